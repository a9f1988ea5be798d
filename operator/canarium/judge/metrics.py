"""What is judged and what it is judged by: metrics with their bounds, and readings of them.

Most metrics are a ratio of counts (errors per answer, slow answers per answer), because counts can
be tested exactly; the rest are gauges. Where they come from is no business of this package.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import inf
from typing import Literal

Kind = Literal["ErrorRate", "Latency", "Ratio", "Gauge"]
_KINDS = ("ErrorRate", "Latency", "Ratio", "Gauge")
_LARGEST = 1e15

Buckets = tuple[tuple[float, int], ...]
"""A histogram: (upper bound in seconds, answers at or below it), rising, ending with infinity."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A named figure of a revision and the bounds it has to keep; a bound left out is not tested.

    ErrorRate and Latency are fed with readings of answers, a Ratio with counts of its own (bad
    among total), a Gauge with one number a reading and revision.

    `quantile` is given for Latency only (0.99 for p99). `max` is an absolute bound: a rate of
    0 to 1 for ErrorRate and Ratio, seconds for Latency, a number for a Gauge, which may have a
    `min`, too. The others compare with stable: `max_increase` is the allowed difference of the
    rates (ErrorRate, Ratio), `max_ratio` the allowed ratio of the rates (ErrorRate, Ratio) or of
    the latencies (Latency); `judge` "RankSum" compares the readings of a Gauge.

    `higher_is_better` turns RankSum round; for a Ratio it changes only what people read: good
    among total instead of bad. `allowed_increase` and `allowed_decrease` (RankSum) are ratios of
    the canary's mean to stable's from which on a difference counts, 1 when left out.
    `failure_limit` is how many readings of a Gauge in a step may be beyond `max` or `min`;
    after `consecutive_error_limit` readings in a row that failed nothing is concluded. `source`
    names the feed: "Pods", "Gateway", or "metric:<name>" for a metric that is fed by itself.

    Raises ValueError, with a sentence that names the field, for bounds that mean nothing.
    """

    name: str
    kind: Kind
    quantile: float | None = None
    max: float | None = None
    max_increase: float | None = None
    max_ratio: float | None = None
    min: float | None = None
    higher_is_better: bool = False
    judge: Literal["", "RankSum"] = ""
    allowed_increase: float | None = None
    allowed_decrease: float | None = None
    failure_limit: int = 0
    consecutive_error_limit: int = 4
    source: str = "Pods"

    def __post_init__(self) -> None:
        for sentence in (*_check_ranges(self), *_check_combination(self), *_check_gauge(self)):
            raise ValueError(f"metric {self.name}: {sentence}")


@dataclass(frozen=True, slots=True)
class Sample:
    """What one revision answered since the last reading: counts, never rates.

    `errors` are among `requests`; both are None when the server doesn't count them, which isn't
    none. `latency` holds the same answers by how long they took, or None when the server doesn't
    say. Raises ValueError for counts that cannot be.
    """

    requests: int | None
    errors: int | None
    latency: Buckets | None = None

    def __post_init__(self) -> None:
        if not _can_be(self.errors, self.requests):
            raise ValueError(f"{self.errors} errors among {self.requests} requests cannot be")
        if self.latency is not None and not _is_histogram(self.latency):
            raise ValueError("a histogram has to rise and to end with the bound infinity")


@dataclass(frozen=True, slots=True)
class Reading:
    """Both revisions over the same `seconds`; None stands for no data, which isn't zero answers.

    `seconds` is 0 where it isn't known since when: of a first reading that has counts at all.
    """

    seconds: float
    stable: Sample | None
    canary: Sample | None


def absolute(metrics: tuple[Metric, ...]) -> tuple[Metric, ...]:
    """Leave only what can be judged without a stable that answers beside the canary."""
    return tuple(
        replace(
            metric,
            max_increase=None,
            max_ratio=None,
            judge="",
            allowed_increase=None,
            allowed_decrease=None,
        )
        for metric in metrics
        if metric.max is not None or metric.min is not None
    )


def _can_be(errors: int | None, requests: int | None) -> bool:
    if errors is None or requests is None:
        return errors is requests
    return 0 <= errors <= requests


def _is_histogram(buckets: Buckets) -> bool:
    bound, count = 0.0, 0
    for next_bound, next_count in buckets:
        if next_bound <= bound or next_count < count:
            return False
        bound, count = next_bound, next_count
    return bound == inf


def _check_ranges(metric: Metric) -> Iterator[str]:
    if metric.kind not in _KINDS:
        yield f"kind {metric.kind!r} is unknown; write {', '.join(_KINDS[:-1])} or {_KINDS[-1]}"
    if not _is_between(metric.quantile, 0.0, 1.0) or metric.quantile in (0.0, 1.0):
        yield "quantile has to be between 0 and 1"
    ranges = (
        (metric.max, *_find_range(metric.kind)),
        (metric.min, -_LARGEST, _LARGEST, "min has to be a number"),
        (metric.max_increase, 0.0, 1.0, "maxIncrease has to be between 0 and 1"),
        (metric.max_ratio, 1.0, _LARGEST, "maxRatio has to be a number of at least 1"),
        (metric.allowed_increase, 0.0, _LARGEST, "allowedIncrease has to be a ratio, such as 1.1"),
        (metric.allowed_decrease, 0.0, _LARGEST, "allowedDecrease has to be a ratio, such as 0.9"),
        (metric.failure_limit, 0, inf, "failureLimit has to be 0 or more"),
        (metric.consecutive_error_limit, 0, inf, "consecutiveErrorLimit has to be 0 or more"),
    )
    for value, low, high, sentence in ranges:
        if not _is_between(value, low, high):
            yield sentence


def _find_range(kind: Kind) -> tuple[float, float, str]:
    if kind == "Gauge":
        return -_LARGEST, _LARGEST, "max has to be a number"
    highest = _LARGEST if kind == "Latency" else 1.0
    return 0.0, highest, "max has to be between 0 and 1, or for Latency a number of seconds"


def _check_combination(metric: Metric) -> Iterator[str]:
    if metric.kind == "Latency" and metric.quantile is None:
        yield "Latency needs a quantile"
    if metric.kind == "Latency" and metric.max_increase is not None:
        yield "Latency has no maxIncrease; write maxRatio"
    if metric.kind != "Latency" and metric.quantile is not None:
        yield f"{metric.kind} has no quantile"
    if metric.max_increase is not None and metric.max_ratio is not None:
        yield "give maxIncrease or maxRatio, not both"


def _check_gauge(metric: Metric) -> Iterator[str]:
    is_gauge = metric.kind == "Gauge"
    if is_gauge and (metric.max_increase is not None or metric.max_ratio is not None):
        yield "a Gauge has no maxIncrease and no maxRatio; compare it by judge RankSum"
    if not is_gauge and metric.min is not None:
        yield f"{metric.kind} has no min; it is for a Gauge"
    if metric.min is not None and metric.max is not None and metric.min > metric.max:
        yield "min is greater than max"
    if metric.judge not in ("", "RankSum"):
        yield f"judge {metric.judge!r} is unknown; write RankSum or leave it out"
    if not is_gauge and metric.judge:
        yield f"judge RankSum is for a Gauge; {metric.kind} is tested by its counts"
    if not metric.judge and (metric.allowed_increase, metric.allowed_decrease) != (None, None):
        yield "allowedIncrease and allowedDecrease are for judge RankSum"


def _is_between(value: float | None, low: float, high: float) -> bool:
    return value is None or low <= value <= high
