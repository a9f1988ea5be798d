"""A load in windows, and what one pod carries by them."""

from xml.etree import ElementTree as ET

import pytest

from benchmarks.scaling.report import (
    Window,
    compute_carried,
    draw,
    make_windows,
    render_windows,
)
from testbed.load.traffic import Answer, Report
from testbed.witness.capacity import Look


def answers(begin: float, count: int, latency: float, status: int = 200) -> list[Answer]:
    """So many within a second."""
    times = [begin + number / count for number in range(count)]
    return [Answer(0, time, time, latency, status) for time in times]


def window(rate: float, *, failed: int = 0, median: float = 0.02) -> Window:
    return Window(0.0, rate, failed, median, 2 * median)


def test_a_window_has_the_rate_the_failures_and_the_latencies_of_its_seconds() -> None:
    found = [*answers(100.0, 10, 0.02), *answers(101.0, 20, 0.04, status=503)]

    assert make_windows(Report(30, tuple(found)), 1.0) == [
        Window(0.0, 10.0, 0, 0.02, 0.02),
        Window(1.0, 20.0, 20, 0.04, 0.04),
    ]


@pytest.mark.parametrize(
    ("windows", "carried"),
    [
        ([window(10), window(20), window(30)], 30),
        ([window(10), window(20, failed=1), window(30)], 10),
        ([window(10), window(20), window(30, median=0.2)], 20),
        ([window(10, median=0.2)], 0),
    ],
)
def test_a_pod_carries_what_came_before_the_first_failure_or_queue(
    windows: list[Window], carried: float
) -> None:
    assert compute_carried(windows) == carried


def test_the_table_has_a_row_for_each_rate() -> None:
    assert render_windows([window(10), window(20, failed=1)]).splitlines()[2:] == [
        "| 10 | 0 | 20 ms | 40 ms |",
        "| 20 | 1 | 20 ms | 40 ms |",
    ]


def test_the_plot_has_three_panels_whose_sizes_are_a_staircase() -> None:
    report = Report(30, (*answers(100.0, 10, 0.02), *answers(101.0, 20, 0.04)))
    looks = [Look(90.0, {"a": 1}, {"a": 1}, {}), Look(101.0, {"a": 3}, {"a": 1}, {})]

    drawn = ET.fromstring(draw(report, looks, "a"))  # noqa: S314 - our own

    said = [node.text for node in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert [t for t in said if t in ("Requests a second", "Pods", "Answers, in ms")] == [
        "Requests a second",
        "Pods",
        "Answers, in ms",
    ]
    lines = [node.get("points") for node in drawn.iter("{http://www.w3.org/2000/svg}polyline")]
    staircases = [line for line in lines if line is not None and len(line.split()) == 4]
    assert len(staircases) == 2
