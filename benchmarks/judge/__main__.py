"""How often the judge is wrong, and how fast it is right: simulated rollouts, from a seed.

`python -m benchmarks.judge` prints the tables of docs/analysis.md and fails when a limit is missed.
Every rollout runs the judge itself, one reading after another.
"""

import argparse
import os
import resource
import sys
import time
from pathlib import Path

from benchmarks.judge.judges import ALPHA
from benchmarks.judge.report import draw, render_table, write_section
from benchmarks.judge.rollouts import simulating
from benchmarks.judge.tables import PARTS, Table

ROOT = Path(__file__).parents[2]
IMAGE = "docs/images/judge.svg"


def main() -> int:
    """Compute the tables that are asked for; 1 when a limit is missed."""
    arguments = parse_arguments()
    begun = time.monotonic()
    print(f"{arguments.rollouts:,} rollouts, alpha {ALPHA:.0%}, seed {arguments.seed}\n")
    tables = compute(arguments)
    seconds, missed = read_cpu_seconds(), sum(each.missed for each in tables.values())
    print(f"{time.monotonic() - begun:.0f} s, {seconds:.0f} s of CPU; limits missed: {missed}")
    if arguments.write:
        write(tables, arguments, seconds)
    return 1 if missed else 0


def read_cpu_seconds() -> float:
    """What this process and those that it started, and that have ended, have used."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rollouts", type=int, default=20_000, help="of equal versions, a row")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=PARTS, help="compute one table")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--write", type=Path, help="write the tables into this document")
    arguments = parser.parse_args()
    if arguments.write and arguments.only:
        parser.error("--write takes all tables")
    return arguments


def compute(arguments: argparse.Namespace) -> dict[str, Table]:
    """Compute the tables, and print each as soon as it is there."""
    tables = {}
    with simulating(arguments.seed, arguments.workers) as simulator:
        for name, part in PARTS.items():
            if arguments.only in (None, name):
                rollouts = max(round(part.share * arguments.rollouts), part.least)
                tables[name] = part.compute(simulator, rollouts)
                print(render_table(tables[name]), flush=True)
    return tables


def write(tables: dict[str, Table], arguments: argparse.Namespace, seconds: float) -> None:
    """Write the tables and the plot where documents have them."""
    how = (
        f"`python -m benchmarks.judge --rollouts {arguments.rollouts} --seed {arguments.seed}`"
        f" took {seconds / 60:.0f} minutes\nof CPU, on {arguments.workers} processes side by side."
    )
    picture = f"![false rollbacks, and requests to rollback]({IMAGE.removeprefix('docs/')})"
    parts = [how + "\n", picture + "\n", *map(render_table, tables.values())]
    write_section(arguments.write, "\n".join(parts).rstrip())
    image = ROOT / IMAGE
    image.parent.mkdir(exist_ok=True)
    image.write_text(draw(tables))


if __name__ == "__main__":
    sys.exit(main())
