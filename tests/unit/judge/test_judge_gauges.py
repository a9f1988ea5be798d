"""Gauges: thresholds with readings forgiven, ranks at the end of the hold, and failed readings."""

import json
from collections.abc import Sequence
from math import inf, nan
from typing import Any

import pytest
from canarium.judge import (
    Analysis,
    Row,
    Verdict,
    absolute,
    dump,
    is_proven,
    load,
    next_step,
    observe_error,
    observe_gauge,
    ranks,
    rows,
    start,
    verdict,
)
from canarium.judge.gauges import MOST_READINGS

from tests.unit.judge.judging import gauge, only_row

NAME = "gpu-memory"
STABLE = [10.0, 11.0, 12.0, 13.0, 14.0, 15.0]


def read(
    analysis: Analysis, canary: Sequence[float | None], stable: Sequence[float | None] = ()
) -> Analysis:
    padded = [*stable, *[None] * (len(canary) - len(stable))]
    for old, new in zip(padded, canary, strict=True):
        analysis = observe_gauge(analysis, NAME, old, new)
    return analysis


@pytest.mark.parametrize(
    ("bounds", "readings", "expected", "reason"),
    [
        ({"max": 0.9}, [], "NoData", "NoCanaryData"),
        ({"max": 0.9}, [None, nan, inf, -inf], "NoData", "NoCanaryData"),
        ({"max": 0.9}, [0.9], "Pass", "WithinBounds"),
        ({"max": 0.9}, [0.91], "Fail", "AboveMax"),
        ({"max": 0.9, "failure_limit": 2}, [1.0, 0.5, 1.0], "Pass", "WithinBounds"),
        ({"max": 0.9, "failure_limit": 2}, [1.0, 0.5, 1.0, None, 1.0], "Fail", "AboveMax"),
        ({"min": -2.0}, [-1.0, -2.0], "Pass", "WithinBounds"),
        ({"min": -2.0}, [-1.0, -2.1], "Fail", "BelowMin"),
        ({"max": 1e15}, [1e308], "Fail", "AboveMax"),
    ],
)
def test_a_gauge_fails_when_more_readings_than_forgiven_were_beyond_its_bound(
    bounds: dict[str, Any], readings: list[float | None], expected: Verdict, reason: str
) -> None:
    analysis = read(start([gauge(**bounds)], min_requests=10**6), readings)
    row = only_row(rows(analysis))
    assert (verdict(analysis), row.verdict, row.reason) == (expected, expected, reason)


def test_a_row_of_a_gauge_counts_readings_and_has_no_evidence() -> None:
    analysis = start([gauge(max=0.9, failure_limit=3)])
    row = only_row(rows(observe_gauge(read(analysis, [0.5, 0.95]), NAME, 0.4, 0.97)))
    assert row == Row(
        metric=NAME,
        check="max",
        verdict="Pass",
        reason="WithinBounds",
        message="2 of 3 readings above 0.9, 3 forgiven; the last was 0.97",
        stable_bad=0,
        stable_total=0,
        canary_bad=2,
        canary_total=3,
        e_value=None,
        fails_at=None,
        bound=0.9,
        interval=None,
        threshold_seconds=None,
        tested_ratio=None,
        value=0.97,
        stable_value=0.4,
    )


def test_each_bound_of_a_gauge_has_a_row_and_shares_no_alpha() -> None:
    analysis = start([gauge(min=1.0, max=2.0, judge="RankSum")])
    assert [row.check for row in rows(analysis)] == ["max", "min", "vsStable"]
    assert analysis.fails_at == 100.0


def test_a_new_step_forgives_anew_and_a_failure_stays() -> None:
    metrics = [gauge(max=0.9, failure_limit=1)]
    once = read(start(metrics), [1.0])
    assert verdict(read(next_step(once), [1.0])) == "Pass"
    twice = read(once, [1.0])
    assert verdict(next_step(twice)) == verdict(read(twice, [0.1] * 9)) == "Fail"


def test_without_stable_a_gauge_keeps_its_bounds_and_loses_its_comparison() -> None:
    metrics = (gauge(max=0.9, judge="RankSum", allowed_increase=1.2), gauge("x", judge="RankSum"))
    assert absolute(metrics) == (gauge(max=0.9),)


# Ranks


def compared(
    canary: Sequence[float | None], stable: Sequence[float | None] = STABLE, **settings: Any
) -> tuple[Verdict, str]:
    analysis = read(start([gauge(judge="RankSum", **settings)]), canary, stable)
    row = only_row(rows(analysis, hold_over=True))
    assert verdict(analysis, hold_over=True) == row.verdict
    return row.verdict, row.reason


HIGHER, LOWER = [value + 20 for value in STABLE], [value / 20 for value in STABLE]


def test_what_is_higher_or_lower_than_stable_fails_by_its_direction() -> None:
    found = [
        compared(canary, higher_is_better=higher)
        for canary in (HIGHER, LOWER, STABLE)
        for higher in (False, True)
    ]
    assert found == [
        ("Fail", "HigherThanStable"),
        ("Pass", "WithinBounds"),
        ("Pass", "WithinBounds"),
        ("Fail", "LowerThanStable"),
        ("Pass", "WithinBounds"),
        ("Pass", "WithinBounds"),
    ]


def test_an_increase_that_is_allowed_passes() -> None:
    assert compared(HIGHER, allowed_increase=3.0) == ("Pass", "WithinBounds")
    assert compared(LOWER, higher_is_better=True, allowed_decrease=0.01)[0] == "Pass"


@pytest.mark.parametrize(
    ("canary", "stable", "expected"),
    [
        ([None] * 6, STABLE, ("NoData", "NoCanaryData")),
        (HIGHER, [None] * 6, ("Inconclusive", "NoStableData")),
        ([*HIGHER[:4], None, nan], STABLE, ("Inconclusive", "TooFewReadings")),
    ],
)
def test_too_few_readings_never_pass_a_comparison(
    canary: list[float | None], stable: list[float | None], expected: tuple[Verdict, str]
) -> None:
    assert compared(canary, stable) == expected


def test_ranks_are_compared_once_when_the_hold_is_over() -> None:
    analysis = read(start([gauge(judge="RankSum")]), HIGHER, STABLE)
    row = only_row(rows(analysis))
    assert (verdict(analysis), row.reason) == ("Inconclusive", "DecidedAtEnd")
    assert verdict(analysis, hold_over=True) == "Fail"
    over = only_row(rows(analysis, hold_over=True))
    assert over.message == (
        "shifted by 20 (98% interval 16 to 24), 2.6 times stable's mean; allowed: 1 times;"
        " 6 readings of the canary, 6 of stable"
    )
    assert (over.interval, over.estimate, over.bound) == ((16.0, 24.0), 20.0, 1.0)


def test_readings_of_a_long_hold_are_thinned_out_evenly() -> None:
    climbing = [float(each) for each in range(1000)]
    (check,) = read(start([gauge(judge="RankSum")]), climbing, climbing).gauges
    assert check.canary == check.stable == tuple(float(each) for each in range(0, 1000, 16))
    assert len(check.canary) <= MOST_READINGS


def test_without_scipy_the_row_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranks, "find_spec", lambda _: None)
    analysis = read(start([gauge(judge="RankSum")]), HIGHER, STABLE)
    row = only_row(rows(analysis, hold_over=True))
    assert (row.verdict, row.reason, row.message) == (
        "Inconclusive",
        "ScipyMissing",
        "RankSum needs scipy: install the extra canarium[stats]",
    )


def test_a_gauge_is_never_proven() -> None:
    assert not is_proven(read(start([gauge(max=1.0)], decide="Early"), [0.0] * 10**3))


# Readings that failed


def fail(analysis: Analysis, times: int, source: str = f"metric:{NAME}") -> Analysis:
    for _ in range(times):
        analysis = observe_error(analysis, source, "connection refused")
    return analysis


def test_so_many_failed_readings_in_a_row_are_inconclusive_until_one_works() -> None:
    good = read(start([gauge(max=1.0, consecutive_error_limit=3)]), [0.5])
    failing = fail(good, 3)
    row = only_row(rows(failing))
    assert (row.verdict, row.reason) == ("Inconclusive", "MetricError")
    assert row.message == "3 readings in a row failed: connection refused"
    assert verdict(fail(good, 2)) == "Pass"
    recovered = read(failing, [None])
    assert verdict(recovered) == verdict(fail(recovered, 2)) == "Pass"


def test_trouble_of_another_source_concerns_nobody_else() -> None:
    good = read(start([gauge(max=1.0)]), [0.5])
    assert verdict(fail(good, 9, "Gateway")) == "Pass"


def test_a_failed_reading_neither_hides_a_failure_nor_makes_one() -> None:
    bad = read(start([gauge(max=1.0)]), [2.0])
    assert verdict(fail(bad, 9)) == "Fail"
    assert fail(bad, 9).gauges == bad.gauges


# What is kept


def test_a_restart_changes_nothing() -> None:
    metrics = [gauge(max=9.0, min=0.0, judge="RankSum"), gauge("drift", max=1.0)]
    running = fail(read(start(metrics), [1 / 3, 10.0, 3e17] * 70, [2 / 3] * 200), 3)
    restarted = load(json.loads(json.dumps(dump(running))), metrics)
    assert restarted == running
    assert len(json.dumps(dump(running), separators=(",", ":"))) < 4000


def test_a_damaged_gauge_starts_anew() -> None:
    metrics = [gauge(max=9.0)]
    dumped = dump(read(start(metrics), [10.0]))
    for damage in ({"readings": -1}, {"last": [None, "1"]}, {"beyond": 2}, {"canary": [0.0] * 101}):
        damaged = {**dumped, "gauges": [{**dumped["gauges"][0], **damage}]}
        assert load(damaged, metrics) == start(metrics)
