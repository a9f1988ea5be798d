"""``python -m testbed.rights [DIRECTORY]``: judge what the clusters of a run have handed in.

Prints how often each right was used, then what is wrong; the exit code is 1 when something is.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from testbed import failed
from testbed.rights.judging import count_used, find_problems
from testbed.rights.ledger import RUN, read_pages


def main(arguments: list[str]) -> int:
    """Judge the pages of one directory."""
    named = arguments[0] if arguments else os.environ.get(RUN)
    if not named:
        print(f"usage: python -m testbed.rights DIRECTORY (or {RUN}=DIRECTORY)", file=sys.stderr)
        return 2
    pages = read_pages(Path(named))
    print(f"{len(pages)} clusters: {', '.join(page.cluster for page in pages)}")
    for right, times in sorted(count_used(pages).items()):
        print(f"{times:>9} {right}")
    problems = find_problems(pages)
    for problem in problems:
        print(problem)
        failed.write(f"testbed/rights: {problem}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
