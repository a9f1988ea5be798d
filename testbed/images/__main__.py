"""``python -m testbed.images operator iris`` builds these and prints the archives."""

import sys

from testbed.images.iris import build_iris
from testbed.images.operator import build_operator
from testbed.programs.processes import ClusterError
from testbed.programs.progress import Progress

SETS = {"iris": build_iris, "operator": build_operator}


def main(arguments: list[str]) -> int:
    """Build the named sets of images; the exit code."""
    if not arguments or not set(arguments) <= set(SETS):
        print(f"usage: python -m testbed.images {' | '.join(SETS)}", file=sys.stderr)
        return 2
    progress = Progress()
    try:
        for name in arguments:
            print(SETS[name](progress))
    except ClusterError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
