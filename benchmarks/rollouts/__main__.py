"""`python -m benchmarks.rollouts --objects 200`: many rollouts at once on simulated nodes.

A real control plane, kwok's nodes, the operator as a process; prints each figure beside its target.
"""

import argparse
import signal
import sys
from pathlib import Path
from typing import NoReturn

from benchmarks.rollouts.api import RefusedError
from benchmarks.rollouts.fresh import Size, run_on_fresh_cluster
from benchmarks.rollouts.report import find_missed, render_markdown, render_text
from benchmarks.rollouts.watcher import StuckError
from testbed.programs.processes import ClusterError
from testbed.programs.progress import Progress


def main() -> int:
    """Exit code 0 when all runs finished, 2 when one could not; a missed target is only said."""
    arguments = make_parser().parse_args()
    signal.signal(signal.SIGTERM, _end)
    progress, runs = Progress(), []
    try:
        for objects in arguments.objects:
            size = Size(objects, arguments.samples, arguments.rest)
            runs.append(run_on_fresh_cluster(size, progress))
            print("\n".join(render_text(runs[-1])), flush=True)
    except (ClusterError, RefusedError, StuckError) as error:
        print(f"the benchmark could not be finished: {error}", file=sys.stderr)
        return 2
    if arguments.markdown:
        arguments.markdown.write_text("\n".join(render_markdown(runs)) + "\n")
    for run in runs:
        missed = find_missed(run)
        verdict = f"missed: {', '.join(missed)}" if missed else "all targets met"
        print(f"{run.objects} objects: {verdict}")
    return 0


def make_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rollouts", description=__doc__)
    parser.add_argument("--objects", type=int, nargs="+", default=[200], help="one run for each")
    parser.add_argument("--samples", type=int, default=100, help="single changes (default: 100)")
    parser.add_argument("--rest", type=float, default=30.0, help="seconds of rest to watch")
    parser.add_argument("--markdown", type=Path, help="write the table for docs/ to this file")
    return parser


def _end(*_: object) -> NoReturn:
    """Leave by way of every `finally`, so that the cluster goes too."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
