"""Two judges of the same readings: ours, as the operator runs it, and the usual one."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from canarium.judge import Metric, Reading, Sample, observe, start, verdict

ALPHA = 0.01
NO_WORSE = (Metric("error-rate", "ErrorRate", max_increase=0.0),)
EXAMPLE = (
    Metric("error-rate", "ErrorRate", max=0.05, max_increase=0.005),
    Metric("latency-p99", "Latency", quantile=0.99, max=0.5, max_ratio=1.2),
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a simulated rollout ended: rolled back or not, and after how much."""

    failed: bool
    readings: int
    canary_requests: int


def judge(readings: Iterator[Reading], metrics: tuple[Metric, ...] = NO_WORSE) -> Outcome:
    """Judge a canary until it fails or the readings end."""
    analysis, number, requests = start(metrics, ALPHA), 0, 0
    for number, reading in enumerate(readings, 1):
        analysis = observe(analysis, reading)
        requests += (reading.canary.requests or 0) if reading.canary else 0
        if any(check.failed for check in analysis.checks):
            return Outcome(verdict(analysis) == "Fail", number, requests)
    return Outcome(False, number, requests)


@dataclass(frozen=True, slots=True)
class Threshold:
    """The usual way: the rate over the last minute is above `limit`, three times.

    One looks after every `every` readings, of which a minute has `window`. With a `quantile` too
    large a share of answers slower than `slow_seconds` is as bad.
    """

    limit: float
    window: int = 6
    every: int = 1
    quantile: float | None = None
    slow_seconds: float = 0.0

    def judge(self, readings: Iterator[Reading]) -> Outcome:
        """Judge a canary until it fails three times or the readings end."""
        minute: deque[Sample] = deque(maxlen=self.window)
        failures = number = requests = 0
        for number, reading in enumerate(readings, 1):
            minute.append(reading.canary or Sample(0, 0))
            requests += minute[-1].requests or 0
            failures += number % self.every == 0 and self._is_beyond(minute)
            if failures == 3:
                return Outcome(True, number, requests)
        return Outcome(False, number, requests)

    def _is_beyond(self, minute: deque[Sample]) -> bool:
        total = sum(each.requests or 0 for each in minute)
        if sum(each.errors or 0 for each in minute) > self.limit * total:
            return True
        if self.quantile is None:
            return False
        slow = total - sum(_count_within(each, self.slow_seconds) for each in minute)
        return slow > (1.0 - self.quantile) * total + 1e-9


def _count_within(sample: Sample, seconds: float) -> int:
    return max((count for bound, count in sample.latency or () if bound <= seconds), default=0)
