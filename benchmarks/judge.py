"""How often the judge is wrong, and how fast it is right: simulated rollouts, from a seed.

python benchmarks/judge.py --rollouts 2000 prints the tables of docs/analysis.md and fails when a
limit is missed. Every rollout runs the judge itself, one reading after another.
"""

import argparse
import statistics
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count, islice
from math import ceil, inf, log

import numpy as np
from canarium.judge import Metric, Reading, Sample, observe, start, verdict
from scipy.optimize import minimize_scalar
from scipy.stats import beta

ALPHA = 0.01
BLOCK = 100
SPLITS = {"5/95": 0.05, "50/50": 0.5}
NO_WORSE = (Metric("error-rate", "ErrorRate", max_increase=0.0),)
EXAMPLE = (
    Metric("error-rate", "ErrorRate", max=0.05, max_increase=0.005),
    Metric("latency-p99", "Latency", quantile=0.99, max=0.5, max_ratio=1.2),
)
BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, inf)

Rng = np.random.Generator
Readings = Iterator[Reading]
Stream = Callable[[Rng], Readings]
"""What a simulated rollout's answers come from."""
Rate = Callable[[int], float]
"""An error rate, by the number of the reading."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a simulated rollout ended: rolled back or not, and after how much."""

    failed: bool
    readings: int
    canary_requests: int


# Judges


def judge(readings: Readings, metrics: tuple[Metric, ...] = NO_WORSE) -> Outcome:
    """Judge a canary until it fails or the readings end."""
    analysis, number, requests = start(metrics, ALPHA), 0, 0
    for number, reading in enumerate(readings, 1):
        analysis = observe(analysis, reading)
        requests += reading.canary.requests if reading.canary else 0
        if any(check.failed for check in analysis.checks):
            return Outcome(verdict(analysis) == "Fail", number, requests)
    return Outcome(False, number, requests)


def judge_by_threshold(readings: Readings, limit: float) -> Outcome:
    """Judge the usual way: the rate over the last minute (6 readings) is too high three times."""
    window: deque[Sample] = deque(maxlen=6)
    failures = number = requests = 0
    for number, reading in enumerate(readings, 1):
        window.append(reading.canary or Sample(0, 0))
        requests += window[-1].requests
        errors = sum(each.errors for each in window)
        failures += errors > limit * sum(each.requests for each in window)
        if failures == 3:
            return Outcome(True, number, requests)
    return Outcome(False, number, requests)


# Answers


def constant(rate: float) -> Rate:
    return lambda _: rate


def steady(share: float, stable: Rate, canary: Rate) -> Stream:
    """Answer BLOCK requests a reading, for ever, errors being independent."""
    on_canary = round(BLOCK * share)
    on_stable = BLOCK - on_canary

    def answer(rng: Rng) -> Readings:
        for number in count():
            stable_errors = int(rng.binomial(on_stable, stable(number)))
            canary_errors = int(rng.binomial(on_canary, canary(number)))
            yield Reading(10, Sample(on_stable, stable_errors), Sample(on_canary, canary_errors))

    return answer


def in_bursts(share: float, rate: float, length: int) -> Stream:
    """Answer BLOCK requests a reading with errors that come `length` at a time, a side each."""
    on_canary = round(BLOCK * share)

    def answer_side(rng: Rng, requests: int) -> Sample:
        bursts = int(rng.poisson(requests * rate / length))
        return Sample(requests, min(bursts * length, requests))

    def answer(rng: Rng) -> Readings:
        while True:
            yield Reading(10, answer_side(rng, BLOCK - on_canary), answer_side(rng, on_canary))

    return answer


def example(error_rate: float, slower_seconds: float) -> Stream:
    """Answer as the iris example does: 20 requests a second, 20 % on the canary, 20 ms each.

    Durations scatter by a tenth, and one answer in 200 waits another 30 ms for the CPU.
    """

    def answer_side(rng: Rng, requests: int, rate: float, slower: float) -> Sample:
        seconds = rng.lognormal(log(0.0215), 0.1, requests) + slower
        seconds += 0.03 * (rng.random(requests) < 0.005)
        within = np.searchsorted(np.sort(seconds), BOUNDS, side="right")
        latency = tuple(zip(BOUNDS, map(int, within), strict=True))
        return Sample(requests, int(rng.binomial(requests, rate)), latency)

    def answer(rng: Rng) -> Readings:
        while True:
            stable = answer_side(rng, int(rng.poisson(16)), 0.0, 0.0)
            canary = answer_side(rng, int(rng.poisson(4)), error_rate, slower_seconds)
            yield Reading(1, stable, canary)

    return answer


def first(readings: int, stream: Stream) -> Stream:
    return lambda rng: islice(stream(rng), readings)


# Figures


def compute_information_bound(stable: float, canary: float, share: float) -> float:
    """Compute about how many canary requests any test with this alpha needs."""
    split = (1 - share) / share
    nearest = minimize_scalar(
        lambda rate: diverge(canary, rate) + split * diverge(stable, rate),
        bounds=(min(stable, canary), max(stable, canary)),
        method="bounded",
        options={"xatol": 1e-10},
    )
    return log(1 / ALPHA) / float(nearest.fun)


def diverge(rate: float, other: float) -> float:
    """Compute the Kullback-Leibler divergence of two rates."""
    return rate * log(rate / other) + (1 - rate) * log((1 - rate) / (1 - other))


def compute_upper_bound(failures: int, rollouts: int) -> float:
    """Compute the upper 99 % confidence bound (Clopper and Pearson) of a share."""
    if failures == rollouts:
        return 1.0
    return float(beta.ppf(0.99, failures + 1, rollouts - failures))


def compute_quantile(outcomes: list[Outcome], quantile: float) -> int:
    requests = sorted(outcome.canary_requests for outcome in outcomes)
    return requests[ceil(quantile * len(requests)) - 1]


def compute_failed(outcomes: list[Outcome]) -> float:
    return sum(outcome.failed for outcome in outcomes) / len(outcomes)


class Bench:
    """Simulates rollouts from one seed, prints tables in Markdown, remembers missed limits."""

    def __init__(self, rollouts: int, seed: int) -> None:
        self.rollouts = rollouts
        self.missed = 0
        self._seed = seed
        self._seeds = np.random.SeedSequence(seed)

    def run(self, stream: Stream, metrics: tuple[Metric, ...] = NO_WORSE) -> list[Outcome]:
        return [judge(stream(rng), metrics) for rng in self._draw()]

    def run_both(self, stream: Stream, limit: float) -> tuple[list[Outcome], list[Outcome]]:
        """Show the same answers to our judge and to the usual one."""
        seed = int(self._seeds.spawn(1)[0].generate_state(1)[0])
        ours = [judge(stream(np.random.default_rng([seed, each]))) for each in self._numbers()]
        usual = [
            judge_by_threshold(stream(np.random.default_rng([seed, each])), limit)
            for each in self._numbers()
        ]
        return ours, usual

    def _numbers(self) -> range:
        return range(self.rollouts)

    def _draw(self) -> Iterator[Rng]:
        return map(np.random.default_rng, self._seeds.spawn(self.rollouts))

    def table(self, title: str, *columns: str) -> None:
        # Each table has a seed of its own, so that one printed alone is the same.
        self._seeds = np.random.SeedSequence([self._seed, *title.encode()])
        print(f"\n{title}\n\n| {' | '.join(columns)} |\n|{' --- |' * len(columns)}", flush=True)

    def row(self, *cells: str, kept: bool = True) -> None:
        print(f"| {' | '.join(cells)} |{'' if kept else ' MISSED'}", flush=True)
        self.missed += not kept


def show_false_rollbacks(
    bench: Bench, name: str, stream: Stream, limit: float, *, promised: bool
) -> None:
    ours, usual = bench.run_both(first(100, stream), limit)
    failures = sum(outcome.failed for outcome in ours)
    upper = compute_upper_bound(failures, len(ours))
    shares = f"{compute_failed(ours):.2%}", f"{upper:.2%}", f"{compute_failed(usual):.1%}"
    bench.row(name, *shares, kept=upper <= ALPHA or not promised)


def show_equal_versions(bench: Bench) -> None:
    bench.table(
        f"Two equal versions, looked at after each of 100 blocks of {BLOCK} requests",
        "error rate, split",
        "rolled back",
        "99 % bound",
        "by a threshold at twice the rate",
    )
    for rate in (0.001, 0.01, 0.1):
        for split, share in SPLITS.items():
            stream = steady(share, constant(rate), constant(rate))
            show_false_rollbacks(
                bench, f"{100 * rate:g} %, {split}", stream, 2 * rate, promised=True
            )


def show_dependent_errors(bench: Bench) -> None:
    bench.table(
        "Two equal versions with 1 % of errors that are neither independent nor constant",
        "errors, split",
        "rolled back",
        "99 % bound",
        "by a threshold at 2 %",
    )
    for split, share in SPLITS.items():
        for name, stream in list_dependent_errors(share):
            show_false_rollbacks(bench, f"{name}, {split}", stream, 0.02, promised=False)


def list_dependent_errors(share: float) -> Iterator[tuple[str, Stream]]:
    def drift(number: int) -> float:
        return 0.002 + 0.016 * number / 100

    def bad_node(number: int) -> float:
        return 0.05 if number % 10 < 2 else 0.0

    yield "three at a time, on either side by itself", in_bursts(share, 0.01, 3)
    yield "five at a time, on either side by itself", in_bursts(share, 0.01, 5)
    yield "from 0.2 to 1.8 % for both", steady(share, drift, drift)
    yield "5 % in a fifth of the time for both", steady(share, bad_node, bad_node)


def show_regressions(bench: Bench) -> None:
    bench.table(
        "Canary requests to rollback when the error rate goes from 1 % to another at the start",
        "to, split",
        "median",
        "nine of ten within",
        "information bound",
        "median / bound",
        "median by a threshold at 2 %",
    )
    for rate in (0.02, 0.03, 0.05, 0.2):
        for split, share in SPLITS.items():
            show_regression(bench, f"{100 * rate:g} %, {split}", rate, share)


def show_regression(bench: Bench, name: str, rate: float, share: float) -> None:
    bound = compute_information_bound(0.01, rate, share)
    ours, usual = bench.run_both(steady(share, constant(0.01), constant(rate)), 0.02)
    median = compute_quantile(ours, 0.5)
    bench.row(
        name,
        str(median),
        str(compute_quantile(ours, 0.9)),
        f"{bound:.0f}",
        f"{median / bound:.2f}",
        str(compute_quantile(usual, 0.5)),
        kept=median <= (1.8 * bound if bound >= 100 else 2 * bound + BLOCK * share),
    )


def show_late_regressions(bench: Bench) -> None:
    bench.table(
        "Canary requests to rollback when it goes from 1 to 5 % after 20,000 good ones in a step",
        "split",
        "median at the start",
        "median after the good ones",
        "ratio",
        "rolled back before",
    )
    for split, share in SPLITS.items():
        good = round(20_000 / (BLOCK * share))

        def canary(number: int, good: int = good) -> float:
            return 0.05 if number >= good else 0.01

        early = compute_quantile(bench.run(steady(share, constant(0.01), constant(0.05))), 0.5)
        late = bench.run(steady(share, constant(0.01), canary))
        found = [outcome for outcome in late if outcome.canary_requests > 20_000]
        after = compute_quantile(found, 0.5) - 20_000
        before = f"{1 - len(found) / len(late):.2%}"
        kept = after <= 2.5 * early
        bench.row(split, str(early), str(after), f"{after / early:.2f}", before, kept=kept)


def show_example(bench: Bench) -> None:
    bench.table(
        "The iris example at 20 requests a second and 20 %, four checks, 300 s at most",
        "version",
        "rolled back",
        "median seconds",
        "nine of ten within",
    )
    versions = {
        "v2, as good": example(0.0, 0.0),
        "v3, 30 % errors": example(0.3, 0.0),
        "v4, 100 ms": example(0.0, 0.08),
    }
    for name, stream in versions.items():
        outcomes = bench.run(first(300, stream), EXAMPLE)
        seconds = sorted(outcome.readings for outcome in outcomes)
        median, slow = statistics.median(seconds), seconds[ceil(0.9 * len(seconds)) - 1]
        times = (f"{median:.0f}", str(slow)) if compute_failed(outcomes) > 0.5 else ("", "")
        bench.row(name, f"{compute_failed(outcomes):.2%}", *times)


def show_speed(bench: Bench) -> None:
    stream, readings = example(0.001, 0.0), 3000
    drawn = list(first(readings, stream)(np.random.default_rng(0)))
    times = []
    for _ in range(5):
        started = time.process_time()
        judge(iter(drawn), EXAMPLE)
        times.append((time.process_time() - started) / readings)
    bench.table("What a reading costs", "checks", "microseconds a reading")
    bench.row("4", f"{1e6 * min(times):.0f}")


TABLES = {
    "equal": show_equal_versions,
    "regressions": show_regressions,
    "late": show_late_regressions,
    "dependent": show_dependent_errors,
    "example": show_example,
    "speed": show_speed,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rollouts", type=int, default=500, help="simulated in each row")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=TABLES, help="print one table")
    arguments = parser.parse_args()
    started = time.monotonic()
    bench = Bench(arguments.rollouts, arguments.seed)
    print(f"{arguments.rollouts} rollouts in each row, alpha {ALPHA:.0%}, seed {arguments.seed}")
    for name, show in TABLES.items():
        if arguments.only in (None, name):
            show(bench)
    print(f"\n{time.monotonic() - started:.0f} s; limits missed: {bench.missed}")
    return 1 if bench.missed else 0


if __name__ == "__main__":
    sys.exit(main())
