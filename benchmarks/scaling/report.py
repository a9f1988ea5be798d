"""A load's answers in windows of time, what one pod carries by them, and the plot. Pure."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from canarium.cli.drawing.svg import Axis, Curve, Panel, render

from benchmarks.rollouts.report import compute_quantile
from testbed.load.traffic import Report
from testbed.witness.capacity import Look

WINDOW_SECONDS = 5.0
BEARABLE_SECONDS = 0.05
"A median above this, twice that of a pod at leisure, is a queue that grows."
OFFERED, PODS, SLOW = "#1f6fb2", "#2a8c55", "#b26a1f"
MILLISECONDS = 1000


@dataclass(frozen=True, slots=True)
class Window:
    """What left within a few seconds: `begin` after the first, latencies in seconds.

    What was not answered counts with the time that the client waited.
    """

    begin: float
    rate: float
    failed: int
    median: float
    p99: float


def make_windows(report: Report, seconds: float = WINDOW_SECONDS) -> list[Window]:
    """The load in windows of equal length; one in which nothing left is left out."""
    began = report.answers[0].planned
    count = math.ceil((report.answers[-1].planned - began) / seconds)
    windows = (
        (seconds * number, report.between(began + seconds * number, began + seconds * (number + 1)))
        for number in range(count)
    )
    return [_make_window(begin, found, seconds) for begin, found in windows if found.sent]


def _make_window(begin: float, found: Report, seconds: float) -> Window:
    latencies = [answer.latency or 0.0 for answer in found.sent]
    median, p99 = (compute_quantile(latencies, quantile) for quantile in (0.5, 0.99))
    return Window(begin, len(found.sent) / seconds, len(found.failures), median, p99)


def compute_carried(windows: Sequence[Window]) -> float:
    """The highest rate before the first window that failed a request or was too slow; 0 for none.

    The rate has to rise from window to window.
    """
    carried = 0.0
    for window in windows:
        if window.failed or window.median > BEARABLE_SECONDS:
            break
        carried = window.rate
    return carried


def render_windows(windows: Sequence[Window]) -> str:
    """A Markdown table."""
    lines = ["| requests/s | failed | median | p99 |", "| --- | --- | --- | --- |"]
    lines += [
        f"| {window.rate:.0f} | {window.failed} | {_milliseconds(window.median)}"
        f" | {_milliseconds(window.p99)} |"
        for window in windows
    ]
    return "\n".join(lines)


def _milliseconds(seconds: float) -> str:
    return f"{MILLISECONDS * seconds:.0f} ms"


def draw(report: Report, looks: Sequence[Look], revision: str) -> str:
    """The load, the pods that were wanted and ready for it, and how long answers took."""
    began, windows = report.answers[0].planned, make_windows(report, 1.0)
    end = report.answers[-1].planned - began
    time = Axis(0.0, end)
    wanted = list(_step((look.time - began, look.wanted.get(revision, 0)) for look in looks))
    ready = list(_step((look.time - began, look.ready.get(revision, 0)) for look in looks))
    most = max(size for _, size in wanted)
    return render(
        "Load from 1 to 60 requests a second and back, the pods, and how long answers took",
        [
            Panel(
                "Requests a second",
                time,
                Axis(0.0, 70.0),
                [Curve("offered", OFFERED, [(w.begin, w.rate) for w in windows])],
            ),
            Panel(
                "Pods",
                time,
                Axis(0.0, most + 1.0),
                [
                    Curve("wanted", SLOW, _clip(wanted, end)),
                    Curve("ready", PODS, _clip(ready, end)),
                ],
            ),
            Panel(
                "Answers, in ms",
                time,
                Axis(1.0, 2000.0, logarithmic=True),
                [
                    Curve("median", OFFERED, [(w.begin, MILLISECONDS * w.median) for w in windows]),
                    Curve("p99", SLOW, [(w.begin, MILLISECONDS * w.p99) for w in windows]),
                ],
                x_title="seconds",
            ),
        ],
    )


def _step(points: Iterator[tuple[float, int]]) -> Iterator[tuple[float, float]]:
    """A staircase through points, each of which holds until the next."""
    before = None
    for at, size in points:
        if before is not None:
            yield at, before
        yield at, float(size)
        before = float(size)


def _clip(points: Sequence[tuple[float, float]], end: float) -> list[tuple[float, float]]:
    """What lies within the load's time, with the size that there was before and is at the end."""
    before = [size for at, size in points if at <= 0.0]
    inside = [(at, size) for at, size in points if 0.0 < at < end]
    first = before[-1] if before else inside[0][1]
    return [(0.0, first), *inside, (end, inside[-1][1] if inside else first)]
