"""What judging costs: `python -m benchmarks.judging --objects 200`; fails above one core.

Pods are played by a second process on 127.0.0.1; with two cores each has one.
"""

import argparse
import cProfile
import pstats
import sys

from benchmarks.judging.report import is_kept, render_markdown, render_text
from benchmarks.judging.run import Size, run


def main() -> int:
    """Measure once with the objects out of step, and once with all in step."""
    arguments = parse_arguments()
    figures = []
    for together in (False, True):
        size = Size(arguments.objects, arguments.pods, arguments.seconds, together)
        if arguments.profile:
            return profile(size)
        figures.append(run(size))
        print("\n".join(render_text(figures[-1])) + "\n", flush=True)
    print("\n".join(render_markdown(figures)))
    return 0 if all(map(is_kept, figures)) else 1


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, default=200)
    parser.add_argument("--pods", type=int, default=2, help="of each of the two revisions")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--profile", action="store_true", help="say where the time goes")
    return parser.parse_args()


def profile(size: Size) -> int:
    """Print the functions that take longest by themselves; the profiler makes all of it slower."""
    profiler = cProfile.Profile()
    profiler.runcall(run, size)
    pstats.Stats(profiler).sort_stats("tottime").print_stats(35)
    return 0


if __name__ == "__main__":
    sys.exit(main())
