"""The tables of docs/analysis.md: what is simulated for each row, and the limit that it keeps."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from math import ceil

import numpy as np
from canarium.judge import Metric

from benchmarks.judge.figures import (
    compute_information_bound,
    compute_quantile,
    compute_requests,
    compute_share,
)
from benchmarks.judge.judges import ALPHA, EXAMPLE, Outcome, Threshold, judge
from benchmarks.judge.rollouts import Case, Outcomes, Simulator
from benchmarks.judge.streams import (
    BLOCK,
    BadNode,
    Bursts,
    Constant,
    Drift,
    Example,
    First,
    Steady,
    Steps,
    Stream,
    Swing,
)

SPLITS = {"5/95": 0.05, "50/50": 0.5}
LETTER = "\N{GREEK SMALL LETTER ALPHA}"
GOOD_REQUESTS = 20_000
USUAL = Threshold(0.02)
USUAL_EXAMPLE = Threshold(0.05, window=60, every=10, quantile=0.99, slow_seconds=0.5)


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a table; `figures` are the numbers that a plot needs."""

    cells: tuple[str, ...]
    kept: bool = True
    figures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Table:
    """A title, what each column is, the rows, and words below."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    note: str = ""

    @property
    def missed(self) -> int:
        return sum(not row.kept for row in self.rows)


Compute = Callable[[Simulator, int], Table]


def compute_equal(simulator: Simulator, rollouts: int) -> Table:
    rows = [
        make_false_row(
            simulator,
            Case(
                f"{100 * rate:g} %, {split}",
                First(100, Steady(share, Constant(rate), Constant(rate))),
                Threshold(2 * rate),
            ),
            rollouts,
            promised=True,
        )
        for rate in (0.001, 0.01, 0.1)
        for split, share in SPLITS.items()
    ]
    title = f"Two equal versions, looked at after each of 100 blocks of {BLOCK} requests"
    usual = "by a threshold at twice the rate"
    return Table(
        f"{title} ({rollouts:,} rollouts a row)",
        ("error rate, split", "rolled back", "99 % bound", usual),
        tuple(rows),
    )


def compute_dependent(simulator: Simulator, rollouts: int) -> Table:
    rows = [
        make_false_row(
            simulator, Case(f"{name}, {split}", First(100, stream), USUAL), rollouts, promised=False
        )
        for split, share in SPLITS.items()
        for name, stream in list_dependent(share).items()
    ]
    title = "Two equal versions with 1 % of errors that are neither independent nor constant"
    return Table(
        f"{title} ({rollouts:,} rollouts a row)",
        ("errors, split", "rolled back", "99 % bound", "by a threshold at 2 %"),
        tuple(rows),
    )


def list_dependent(share: float) -> dict[str, Stream]:
    drift, node = Drift(0.002, 0.018, 100), BadNode(0.05, 2, 10)
    return {
        "three at a time, on either side by itself": Bursts(share, 0.01, 3),
        "five at a time, on either side by itself": Bursts(share, 0.01, 5),
        "twenty at a time, on either side by itself": Bursts(share, 0.01, 20),
        "twenty over five readings, on either side by itself": Bursts(share, 0.01, 20, 5),
        "from 0.2 to 1.8 % for both": Steady(share, drift, drift),
        "5 % in a fifth of the time for both, as from one bad node": Steady(share, node, node),
    }


def make_false_row(simulator: Simulator, case: Case, rollouts: int, *, promised: bool) -> Row:
    outcomes = simulator.run(case, rollouts)
    ours, usual = compute_share(outcomes.ours), compute_share(outcomes.usual)
    cells = case.name, f"{ours.value:.2%}", f"{ours.upper_bound:.2%}", f"{usual.value:.1%}"
    figures = {"ours": ours.value, "upper": ours.upper_bound, "usual": usual.value}
    return Row(cells, ours.upper_bound <= ALPHA or not promised, figures)


def compute_margins(simulator: Simulator, rollouts: int) -> Table:
    rows = []
    for length in (3, 5):
        for split, share in SPLITS.items():
            stream = First(100, Bursts(share, 0.01, length))
            name = f"{length} at a time, {split}"
            shares = [
                compute_share(simulator.run(Case(name, stream, USUAL, metrics), rollouts).ours)
                for metrics in map(allow_increase, (0.0, 0.005, 0.01, 0.02))
            ]
            rows.append(Row((name, *(f"{each.value:.1%}" for each in shares))))
    title = "The same bursts, when more errors than stable's are allowed: rolled back"
    return Table(
        f"{title} ({rollouts:,} rollouts each)",
        ("errors, split", "`maxIncrease: 0%`", "`0.5%`", "`1%`", "`2%`"),
        tuple(rows),
    )


def allow_increase(increase: float) -> tuple[Metric, ...]:
    return (Metric("error-rate", "ErrorRate", max_increase=increase),)


def compute_regressions(simulator: Simulator, rollouts: int) -> Table:
    rows = [
        make_regression_row(simulator, (0.01, rate), split, share, rollouts)
        for rate in (0.02, 0.03, 0.05, 0.2)
        for split, share in SPLITS.items()
    ]
    title = "Canary requests to rollback when the error rate goes from 1 % to another at the start"
    return Table(
        f"{title} ({rollouts:,} rollouts a row)",
        (
            "to, split",
            "median",
            "nine of ten within",
            "information bound",
            "median / bound",
            "median by a threshold at 2 %",
        ),
        tuple(rows),
        f"The information bound is what any test with this {LETTER} needs, about: ln(1/{LETTER})"
        " divided by the smallest\nKullback-Leibler distance of the two versions from two equal"
        " ones. The threshold is quick because it is\noften wrong.",
    )


def compute_small(simulator: Simulator, rollouts: int) -> Table:
    rows = [
        make_small_row(simulator, rates, split, share, rollouts)
        for rates in ((0.1, 0.13), (0.5, 0.55))
        for split, share in SPLITS.items()
    ]
    title = "The same for a canary that is worse by a small part of a high rate"
    return Table(
        f"{title} ({rollouts:,} rollouts a row)",
        (
            "from, to, split",
            "median",
            "nine of ten within",
            "information bound",
            "median / bound",
            "not found within 8 times the bound",
        ),
        tuple(rows),
    )


def make_regression_row(
    simulator: Simulator, rates: tuple[float, float], split: str, share: float, rollouts: int
) -> Row:
    bound = compute_information_bound(*rates, share)
    stream = Steady(share, *map(Constant, rates))
    outcomes = simulator.run(Case(f"{100 * rates[1]:g} %, {split}", stream, USUAL), rollouts)
    cells, median = describe_requests(outcomes, bound)
    usual = compute_requests(outcomes.usual, 0.5)
    kept = median <= (1.8 * bound if bound >= 100 else 2 * bound + BLOCK * share)
    name = f"{100 * rates[1]:g} %, {split}"
    return Row((name, *cells, str(usual)), kept, {"bound": bound, "median": median, "usual": usual})


def make_small_row(
    simulator: Simulator, rates: tuple[float, float], split: str, share: float, rollouts: int
) -> Row:
    bound = compute_information_bound(*rates, share)
    name = f"{100 * rates[0]:g} %, {100 * rates[1]:g} %, {split}"
    stream = First(ceil(8 * bound / (BLOCK * share)), Steady(share, *map(Constant, rates)))
    outcomes = simulator.run(Case(name, stream, USUAL), rollouts)
    cells, median = describe_requests(outcomes, bound)
    missed = 1.0 - compute_share(outcomes.ours).value
    return Row((name, *cells, f"{missed:.2%}"), median <= 2.0 * bound and not missed)


def describe_requests(outcomes: Outcomes, bound: float) -> tuple[tuple[str, ...], int]:
    """Say how many canary requests our rollbacks took, beside the bound; and the median."""
    median, most = (compute_requests(outcomes.ours, quantile) for quantile in (0.5, 0.9))
    return (str(median), str(most), f"{bound:.0f}", f"{median / bound:.2f}"), median


def compute_shared(simulator: Simulator, rollouts: int) -> Table:
    rows = [
        make_shared_row(simulator, f"{name}, {split}", streams, rollouts)
        for split, share in SPLITS.items()
        for name, streams in list_shared(share).items()
    ]
    title = "Readings to rollback of a bad version beside what befalls both sides alike"
    return Table(
        f"{title} ({rollouts:,} rollouts a row)",
        ("what, split", "median", "nine of ten within", "without it", "not found"),
        tuple(rows),
        "A reading is 100 requests. An outage lasts 60 readings, and 210 later 1 % becomes 5 %.\n"
        "A swing is up for 30 readings and down for 30; the canary has three times as many errors.",
    )


def list_shared(share: float) -> dict[str, tuple[Stream, Stream, int]]:
    """What befalls both, the same without it, and at which reading the canary becomes bad."""
    quiet, bad_from = Steady(share, Constant(0.01), Steps(((0, 0.01), (270, 0.05)))), 270
    outage = Steady(
        share,
        Steps(((0, 0.5), (60, 0.01))),
        Steps(((0, 0.5), (60, 0.01), (bad_from, 0.05))),
    )
    swing = Steady(share, Swing(0.002, 0.03, 60), Swing(0.006, 0.09, 60))
    even = Steady(share, Constant(0.016), Constant(0.048))
    return {
        "an outage before it, half of all answers": (outage, quiet, bad_from),
        "a rate that swings from 0.2 to 3 %": (swing, even, 0),
    }


def make_shared_row(
    simulator: Simulator, name: str, streams: tuple[Stream, Stream, int], rollouts: int
) -> Row:
    beside, without, bad_from = streams
    ours, even = (
        simulator.run(Case(f"{name}{kind}", First(bad_from + 600, each), USUAL), rollouts).ours
        for each, kind in ((beside, ""), (without, ", without"))
    )
    late = [outcome.readings - bad_from for outcome in ours if outcome.readings > bad_from]
    usual = [outcome.readings - bad_from for outcome in even if outcome.readings > bad_from]
    median, most = (compute_quantile(late, quantile) for quantile in (0.5, 0.9))
    missed = 1.0 - compute_share(ours).value
    limit = 1.25 * compute_quantile(usual, 0.5) if bad_from else 150
    cells = (name, str(median), str(most), str(compute_quantile(usual, 0.5)), f"{missed:.2%}")
    return Row(cells, median <= limit and not missed)


def compute_late(simulator: Simulator, rollouts: int) -> Table:
    rows = [make_late_row(simulator, split, share, rollouts) for split, share in SPLITS.items()]
    title = (
        "Canary requests to rollback when it goes from 1 to 5 % after 20,000 good ones in a step"
    )
    return Table(
        f"{title} ({rollouts:,} rollouts a row)",
        (
            "split",
            "median at the start",
            "median after the good ones",
            "ratio",
            "rolled back before",
            "by a threshold at 2 %: before, median after",
        ),
        tuple(rows),
    )


def make_late_row(simulator: Simulator, split: str, share: float, rollouts: int) -> Row:
    good, bad = Constant(0.01), Constant(0.05)
    jump = Steps(((0, 0.01), (round(GOOD_REQUESTS / (BLOCK * share)), 0.05)))
    at_once = simulator.run(Case(f"at once, {split}", Steady(share, good, bad), USUAL), rollouts)
    late = simulator.run(Case(f"late, {split}", Steady(share, good, jump), USUAL), rollouts)
    early, after = compute_requests(at_once.ours, 0.5), compute_late_median(late.ours)
    cells = (
        split,
        str(early),
        str(after),
        f"{after / early:.2f}" if after else "",
        f"{compute_share_before(late.ours):.2%}",
        f"{compute_share_before(late.usual):.1%}, {compute_late_median(late.usual) or 'none left'}",
    )
    return Row(cells, after is not None and after <= 2.5 * early)


def compute_late_median(outcomes: tuple[Outcome, ...]) -> int | None:
    """Compute the median of requests after the good ones; None when nobody got that far."""
    after = [each.canary_requests - GOOD_REQUESTS for each in outcomes]
    found = [requests for requests in after if requests > 0]
    return compute_quantile(found, 0.5) if found else None


def compute_share_before(outcomes: tuple[Outcome, ...]) -> float:
    return sum(each.canary_requests <= GOOD_REQUESTS for each in outcomes) / len(outcomes)


def compute_example(simulator: Simulator, rollouts: int) -> Table:
    versions = {
        "v2, as good": Example(0.0, 0.0),
        "v3, 30 % errors": Example(0.3, 0.0),
        "v4, 100 ms": Example(0.0, 0.08),
    }
    rows = [make_example_row(simulator, *version, rollouts) for version in versions.items()]
    title = "The iris example at 20 requests a second and 20 %, four checks, 300 s at most"
    return Table(
        f"{title} ({rollouts:,} rollouts a row)",
        (
            "version",
            "rolled back",
            "median seconds",
            "nine of ten within",
            "by thresholds at 5 % and 500 ms, every 10 s: rolled back, median seconds",
        ),
        tuple(rows),
        "The example's seconds are readings; reading the pods and moving the route come on top.",
    )


def make_example_row(simulator: Simulator, name: str, stream: Example, rollouts: int) -> Row:
    outcomes = simulator.run(Case(name, First(300, stream), USUAL_EXAMPLE, EXAMPLE), rollouts)
    ours = compute_share(outcomes.ours)
    good = stream == Example(0.0, 0.0)
    usual = f"{compute_share(outcomes.usual).value:.1%}"
    if good:
        return Row((name, f"{ours.value:.2%}", "", "", usual), ours.upper_bound <= ALPHA)
    seconds = sorted(outcome.readings for outcome in outcomes.ours)
    times = (str(compute_quantile(seconds, quantile)) for quantile in (0.5, 0.9))
    slow = compute_median_failed(outcomes)
    kept = ours.failed == ours.rollouts
    return Row((name, f"{ours.value:.2%}", *times, f"{usual}{slow}"), kept)


def compute_median_failed(outcomes: Outcomes) -> str:
    """Say the median of the usual judge's readings, when most rollouts were taken back."""
    if compute_share(outcomes.usual).value <= 0.5:
        return ""
    return f", {compute_quantile([outcome.readings for outcome in outcomes.usual], 0.5)}"


def compute_cost(_simulator: Simulator, _rollouts: int) -> Table:
    """Measure a reading's cost: the least of five, for others use the processor too."""
    readings = 3000
    drawn = list(islice(Example(0.001, 0.0).answer(np.random.default_rng(0)), readings))
    cost = min(_time_judging(lambda: iter(drawn)) for _ in range(5)) / readings
    return Table(
        "What a reading costs the judge",
        ("checks", "microseconds a reading"),
        (Row(("4", f"{1e6 * cost:.0f}")),),
    )


def _time_judging(readings: Callable[[], Iterator[object]]) -> float:
    begun = time.process_time()
    judge(readings(), EXAMPLE)  # type: ignore[arg-type]  # readings, all of them
    return time.process_time() - begun


@dataclass(frozen=True, slots=True)
class Part:
    """A table, the share of the rollouts that makes its figures sure, and how many it needs.

    Of fewer than 459 rollouts none may fail, and still the bound of their share is above 1 %.
    """

    compute: Compute
    share: float
    least: int = 1


PARTS = {
    "equal": Part(compute_equal, 1.0),
    "regressions": Part(compute_regressions, 0.1),
    "small": Part(compute_small, 0.1),
    "late": Part(compute_late, 0.1),
    "shared": Part(compute_shared, 0.1),
    "dependent": Part(compute_dependent, 1.0),
    "margins": Part(compute_margins, 0.1),
    "example": Part(compute_example, 0.1, 500),
    "cost": Part(compute_cost, 0.0),
}
