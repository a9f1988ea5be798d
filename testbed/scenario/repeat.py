"""Plays one scenario several times by hand and prints a table, for the figures in the docs.

python -m testbed.scenario.repeat promotion --times 10
python -m testbed.scenario.repeat rollback --times 10 --limit 6  # fails above that median
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from testbed.cluster.cluster import Cluster
from testbed.load.traffic import Report
from testbed.operators.apiserver import Apiserver
from testbed.operators.installed import serve_one
from testbed.operators.running import start_witness
from testbed.scenario.manifests import image
from testbed.scenario.plays import promote, roll_back
from testbed.scenario.scenario import Scenario, find_revision, make_scenario
from testbed.scenario.stage import prepare_node, share_cluster
from testbed.witness.readings import find_worst_split

PLAYS: dict[str, Callable[[Scenario], object]] = {"promotion": promote, "rollback": roll_back}
AS_IT_SHOULD_BE = "as it should be"
COLUMNS = "run seconds sent failed first-to-last-500 split-off-by violations outcome"


@dataclass(frozen=True, slots=True)
class Row:
    """One run: how long it took, what the client saw, and what was violated."""

    number: int
    seconds: float
    sent: int
    failed: int
    span: float | None
    split: float | None
    violations: int
    outcome: str

    def __str__(self) -> str:
        span = "-" if self.span is None else f"{self.span:.1f} s"
        split = "-" if self.split is None else f"{self.split:.1f} points"
        cells = (
            str(self.number), f"{self.seconds:.0f}", str(self.sent), str(self.failed),
            span, split, str(self.violations), self.outcome,
        )  # fmt: skip
        return "| " + " | ".join(cells) + " |"


def play(scenario: Scenario, name: str, number: int) -> Row:
    """Play once; a wait that was in vain is an outcome too."""
    begun, outcome = time.monotonic(), AS_IT_SHOULD_BE
    try:
        PLAYS[name](scenario)
    except AssertionError as error:
        print(error, file=sys.stderr)
        outcome = str(error).partition("\n")[0]
    seconds = time.monotonic() - begun
    report = scenario.stop_load() if scenario.load else Report(0, ())
    violations = scenario.find_violations()
    print(*violations, sep="\n", end="", file=sys.stderr)
    return Row(
        number, seconds, len(report.sent), len(report.failures), report.failing_span(),
        measure_split(scenario, report) if name == "promotion" else None, len(violations), outcome,
    )  # fmt: skip


def measure_split(scenario: Scenario, report: Report) -> float:
    """By how many points v2's share was off its weight (failed answers name no version)."""
    changes = scenario.changes()
    return find_worst_split(changes, report, find_revision(changes, image("v2")), "v2")


def stage(cluster: Cluster, witness: Path, directory: Path) -> Scenario:
    """A scenario with an operator of its own."""
    directory.mkdir()
    apiserver = Apiserver(cluster.kubeconfig)
    scenario = make_scenario(cluster, apiserver, witness, directory, directory.name)
    scenario.operator = serve_one(cluster, apiserver, scenario.namespace)
    scenario.operator.start()
    return scenario


def repeat(name: str, times: int) -> list[Row]:
    """Play, and print each row as soon as it is known."""
    rows = []
    directory = Path(tempfile.mkdtemp(prefix="canarium-repeat-"))
    columns = [word.replace("-", " ") for word in COLUMNS.split()]
    with ExitStack() as stack:
        cluster = stack.enter_context(share_cluster("auto", prepare_node, directory))
        child, witness = start_witness(cluster.kubeconfig, directory)
        stack.callback(child.end)
        print("| " + " | ".join(columns) + " |\n|" + " --- |" * len(columns), flush=True)
        for number in range(1, times + 1):
            scenario = stage(cluster, witness, directory / f"{name}-{number}")
            rows.append(play(scenario, name, number))
            print(rows[-1], flush=True)
            if scenario.operator is not None:
                scenario.operator.remove()
            scenario.delete_namespace()
    return rows


def compute_median_span(rows: Sequence[Row]) -> float | None:
    """The median of seconds from the first 500 to the last, None when there was none in any run."""
    spans = [row.span for row in rows if row.span is not None]
    return statistics.median(spans) if spans else None


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m testbed.scenario.repeat", description=__doc__)
    parser.add_argument("scenario", choices=sorted(PLAYS))
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--limit", type=float, metavar="SECONDS", help="of the median span")
    given = parser.parse_args()
    rows = repeat(given.scenario, given.times)
    median = compute_median_span(rows)
    print("no 500 was seen" if median is None else f"median from first to last: {median:.1f} s")
    late = given.limit is not None and (median is None or median > given.limit)
    return 1 if late or any(row.outcome != AS_IT_SHOULD_BE or row.violations for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
