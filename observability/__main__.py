"""`python -m observability`: write the dashboards and rules into the chart, or check them."""

import argparse
import sys

from observability.files import CHART, find_stale, render_files


def main() -> int:
    """Write, or with --check say what differs; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m observability", description=__doc__)
    parser.add_argument("--check", action="store_true", help="fail when the files are not current")
    if parser.parse_args().check:
        stale = find_stale()
        for path in stale:
            sys.stderr.write(f"{CHART / path} is not current: run python -m observability\n")
        return 1 if stale else 0
    for path, text in render_files().items():
        (CHART / path).parent.mkdir(parents=True, exist_ok=True)
        (CHART / path).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
