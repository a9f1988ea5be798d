"""Builders for the judge's tests."""

from collections.abc import Iterable
from math import inf
from typing import Any

from canarium.judge import Analysis, Buckets, Metric, Reading, Row, Sample, observe

MLSERVER_BOUNDS = (
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, inf,
)  # fmt: skip


def error_rate(**bounds: Any) -> Metric:
    return Metric("error-rate", "ErrorRate", **bounds)


def latency_p99(**bounds: Any) -> Metric:
    return Metric("latency-p99", "Latency", quantile=0.99, **bounds)


def answers(requests: int, errors: int = 0) -> Sample:
    return Sample(requests, errors)


def lasting(*groups: tuple[int, float], bounds: Iterable[float] = MLSERVER_BOUNDS) -> Sample:
    """Good answers in groups of (how many, how long in seconds)."""
    total = sum(count for count, _ in groups)
    return Sample(total, 0, histogram(*groups, bounds=bounds))


def histogram(*groups: tuple[int, float], bounds: Iterable[float] = MLSERVER_BOUNDS) -> Buckets:
    return tuple(
        (bound, sum(count for count, seconds in groups if seconds <= bound)) for bound in bounds
    )


def reading(stable: Sample | None, canary: Sample | None) -> Reading:
    return Reading(1.0, stable, canary)


def observe_all(analysis: Analysis, readings: Iterable[Reading]) -> Analysis:
    for each in readings:
        analysis = observe(analysis, each)
    return analysis


def evidence_of(row: Row) -> float:
    """The e-value of a row that has one: not a gauge's."""
    assert row.e_value is not None
    return row.e_value


def ratio(name: str = "accuracy", **bounds: Any) -> Metric:
    return Metric(name, "Ratio", source=f"metric:{name}", **bounds)


def gauge(name: str = "gpu-memory", **bounds: Any) -> Metric:
    return Metric(name, "Gauge", source=f"metric:{name}", **bounds)


def only_row(found: tuple[Row, ...]) -> Row:
    assert len(found) == 1
    return found[0]
