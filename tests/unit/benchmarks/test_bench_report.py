"""Figures beside targets."""

import dataclasses

import pytest

from benchmarks.rollouts.audit import Tally
from benchmarks.rollouts.report import (
    Figures,
    Row,
    compute_quantile,
    find_targets,
    make_rows,
    render_markdown,
    render_text,
)

FIGURES = Figures(
    objects=200,
    create_seconds=10.04,
    roll_seconds=20.5,
    cpu_seconds=2.6,
    resident_mib=104.0,
    peak_mib=111.7,
    creating=Tally(counted={("create", "deployments"): 1900}, events=200),
    rolling=Tally(
        counted={("patch", "modeldeployments/status"): 1400, ("create", "deployments"): 200},
        events=1000,
        leases=9,
        watches=2,
        conflicts=3,
    ),
    resting=Tally(leases=15),
    rest_seconds=30.0,
    rest_cpu_seconds=0.15,
    latencies=(0.010, 0.020, 0.030, 0.040),
)


def test_each_figure_stands_beside_its_target() -> None:
    assert make_rows(FIGURES) == [
        Row("create, all Healthy", "10.0 s", "≤ 12 s", "ok"),
        Row("roll all, all UpToDate", "20.5 s", "≤ 20 s", "missed"),
        Row("CPU per rollout", "13 ms", "≤ 20 ms", "ok"),
        Row("requests per rollout", "8", "≤ 18", "ok"),
        Row("requests per creation", "9.5"),
        Row("events per rollout", "5.0"),
        Row("conflicts (409) per rollout", "0.01"),
        Row("resident memory, rolled", "104 MiB", "≤ 105 MiB", "ok"),
        Row("resident memory, peak", "112 MiB"),
        Row("writes in 30 s of rest", "0", "≤ 0", "ok"),
        Row("Lease writes meanwhile", "15"),
        Row("CPU at rest", "0.5 %"),
        Row("change to status, p50", "20 ms"),
        Row("change to status, p99", "40 ms", "≤ 250 ms", "ok"),
    ]


def test_a_write_at_rest_is_a_miss_and_is_named() -> None:
    restless = dataclasses.replace(
        FIGURES, resting=Tally(counted={("patch", "modeldeployments/status"): 2})
    )
    rows = {row.name: row for row in make_rows(restless)}
    assert rows["writes in 30 s of rest"].verdict == "missed"
    assert "  at rest: patch modeldeployments/status x2" in render_text(restless)


@pytest.mark.parametrize(
    ("objects", "covered_by"), [(20, 100), (101, 200), (200, 200), (201, 1000), (5000, 1000)]
)
def test_targets_are_those_of_the_next_larger_size(objects: int, covered_by: int) -> None:
    assert find_targets(objects).objects == covered_by


@pytest.mark.parametrize(("quantile", "value"), [(0.5, 50), (0.99, 99), (1.0, 100), (0.001, 1)])
def test_a_quantile_is_a_value_that_was_measured(quantile: float, value: int) -> None:
    assert compute_quantile(range(1, 101), quantile) == value


def test_there_is_no_quantile_of_nothing() -> None:
    with pytest.raises(ValueError, match="no values"):
        compute_quantile([], 0.5)


def test_the_text_fits_80_columns() -> None:
    assert max(len(line) for line in render_text(FIGURES)) <= 80


def test_markdown_has_a_column_for_each_run_and_marks_what_missed() -> None:
    larger = dataclasses.replace(FIGURES, objects=1000, roll_seconds=100.0)
    lines = render_markdown([FIGURES, larger])
    assert lines[0] == "|  | 200 objects | 1,000 objects |"
    assert "| roll all, all UpToDate | **20.5 s** (≤ 20 s: missed) | 100 s (≤ 110 s: ok) |" in lines
    assert lines[-1] == "| patch modeldeployments/status | 7.00 | 1.40 |"
