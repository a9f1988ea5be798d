"""What is judged and what it is judged by: metrics with their bounds, and readings of counts.

A metric is a ratio of counts (errors per answer, slow answers per answer), because counts can be
tested exactly. Where the counts come from is no business of this package.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Kind = Literal["ErrorRate", "Latency"]
_LARGEST = 1e15

Buckets = tuple[tuple[float, int], ...]
"""A histogram: (upper bound in seconds, answers at or below it), rising, ending with infinity."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A named figure of a revision and the bounds it has to keep; a bound left out is not tested.

    `quantile` is given for Latency only (0.99 for p99). `max` is an absolute bound: a rate of
    0 to 1 for ErrorRate, seconds for Latency. The others compare with stable: `max_increase` is
    the allowed difference of the rates (ErrorRate), `max_ratio` the allowed ratio of the rates
    (ErrorRate) or of the latencies (Latency).

    Raises ValueError, with a sentence that names the field, for bounds that mean nothing.
    """

    name: str
    kind: Kind
    quantile: float | None = None
    max: float | None = None
    max_increase: float | None = None
    max_ratio: float | None = None

    def __post_init__(self) -> None:
        for sentence in (*_check_ranges(self), *_check_combination(self)):
            raise ValueError(f"metric {self.name}: {sentence}")


@dataclass(frozen=True, slots=True)
class Sample:
    """What one revision answered since the last reading: counts, never rates.

    `errors` are among `requests`. `latency` holds the same answers by how long they took, or None
    when the server doesn't say. Raises ValueError for counts that cannot be.
    """

    requests: int
    errors: int
    latency: Buckets | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.errors <= self.requests:
            raise ValueError(f"{self.errors} errors among {self.requests} requests cannot be")
        if self.latency is not None and not _is_histogram(self.latency):
            raise ValueError("a histogram has to rise and to end with the bound infinity")


@dataclass(frozen=True, slots=True)
class Reading:
    """Both revisions over the same `seconds`; None stands for no data, which isn't zero answers."""

    seconds: float
    stable: Sample | None
    canary: Sample | None


def absolute(metrics: tuple[Metric, ...]) -> tuple[Metric, ...]:
    """Leave only what can be judged without a stable that answers beside the canary."""
    return tuple(
        Metric(metric.name, metric.kind, quantile=metric.quantile, max=metric.max)
        for metric in metrics
        if metric.max is not None
    )


def _is_histogram(buckets: Buckets) -> bool:
    bound, count = 0.0, 0
    for next_bound, next_count in buckets:
        if next_bound <= bound or next_count < count:
            return False
        bound, count = next_bound, next_count
    return bound == float("inf")


def _check_ranges(metric: Metric) -> Iterator[str]:
    if metric.kind not in ("ErrorRate", "Latency"):
        yield f"kind {metric.kind!r} is unknown; write ErrorRate or Latency"
    if not _is_between(metric.quantile, 0.0, 1.0) or metric.quantile in (0.0, 1.0):
        yield "quantile has to be between 0 and 1"
    if not _is_between(metric.max, 0.0, 1.0 if metric.kind == "ErrorRate" else _LARGEST):
        yield "max has to be between 0 and 1, or for Latency a number of seconds"
    if not _is_between(metric.max_increase, 0.0, 1.0):
        yield "maxIncrease has to be between 0 and 1"
    if not _is_between(metric.max_ratio, 1.0, _LARGEST):
        yield "maxRatio has to be a number of at least 1"


def _check_combination(metric: Metric) -> Iterator[str]:
    if metric.kind == "Latency" and metric.quantile is None:
        yield "Latency needs a quantile"
    if metric.kind == "Latency" and metric.max_increase is not None:
        yield "Latency has no maxIncrease; write maxRatio"
    if metric.kind == "ErrorRate" and metric.quantile is not None:
        yield "ErrorRate has no quantile"
    if metric.max_increase is not None and metric.max_ratio is not None:
        yield "give maxIncrease or maxRatio, not both"


def _is_between(value: float | None, low: float, high: float) -> bool:
    return value is None or low <= value <= high
