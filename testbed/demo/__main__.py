"""`python -m testbed.demo`: a version is promoted and a bad one taken back, on a real cluster.

Brings everything up, tells the story of `testbed.demo.story` with live traffic, and tears it down.
"""

import argparse
import signal
import sys
from typing import NoReturn

from testbed.demo.closing import describe_problems, render_figures, render_next
from testbed.demo.play import play_story
from testbed.demo.presenters import presenting, print_lines
from testbed.demo.settings import Place, place
from testbed.operators.running import NotRunningError
from testbed.programs.processes import ClusterError
from testbed.programs.progress import Progress


def main() -> int:
    """0 when the story went as it should, 1 when it didn't, 2 when it could not be told."""
    arguments = make_parser().parse_args()
    signal.signal(signal.SIGTERM, _end)
    try:
        with place(keep=arguments.keep, progress=Progress()) as where:
            return tell(where, plain=arguments.plain)
    except (ClusterError, NotRunningError) as error:
        print(f"the demo could not be shown: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def tell(where: Place, *, plain: bool) -> int:
    """Play the story and print what it came to."""
    with presenting(plain=plain) as presenter:
        outcome = play_story(where, presenter)
    if outcome.figures is not None:
        print_lines(render_figures(outcome.figures))
    print_lines(describe_problems(outcome.problems))
    print_lines(render_next(where.kept))
    return 1 if outcome.problems else 0


def make_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m testbed.demo", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave everything running at the end")
    parser.add_argument("--plain", action="store_true", help="lines, even on a terminal")
    return parser


def _end(*_: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
