"""Plots as SVG: panels below each other with curves, bands and marks. Pure, and a few lines each.

Everything that is drawn is clipped to its panel's axes; a logarithmic axis takes positive numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from math import ceil, floor, log10
from typing import Literal

Xy = tuple[float, float]

_LEFT, _RIGHT, _TOP, _BELOW, _LEGEND = 64, 24, 44, 36, 18
_STYLE = (
    "text{font:12px sans-serif;fill:#333}.title{font-size:14px;font-weight:bold}"
    ".axis{stroke:#999;fill:none}.grid{stroke:#e4e4e4}.limit{stroke:#c33;stroke-dasharray:5 4}"
    ".end{text-anchor:end}.middle{text-anchor:middle}"
)


@dataclass(frozen=True, slots=True)
class Curve:
    """A line through points; `dashed` when it is no measurement."""

    name: str
    colour: str
    points: Sequence[Xy]
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class Band:
    """An area between two curves: (x, low, high) each. A band of one x is a bar."""

    colour: str
    points: Sequence[tuple[float, float, float]]


@dataclass(frozen=True, slots=True)
class Marks:
    """Points that no line joins."""

    name: str
    colour: str
    points: Sequence[Xy]
    shape: Literal["Circle", "Cross"] = "Circle"


@dataclass(frozen=True, slots=True)
class Axis:
    """From `low` to `high`; ticks as (value, label), or chosen when there are none."""

    low: float
    high: float
    logarithmic: bool = False
    ticks: Sequence[tuple[float, str]] = ()
    percent: bool = False

    def place(self, value: float) -> float:
        """Where a value lies, 0 to 1; what is beyond the axis lies at its end."""
        low, high, at = (self._scale(each) for each in (self.low, self.high, value))
        return min(max((at - low) / (high - low), 0.0), 1.0)

    def _scale(self, value: float) -> float:
        return log10(max(value, 1e-300)) if self.logarithmic else value

    def list_ticks(self) -> Sequence[tuple[float, str]]:
        """The values to write down, each with its label."""
        return self.ticks or [(value, self._format(value)) for value in self._choose_ticks()]

    def _choose_ticks(self) -> list[float]:
        if self.logarithmic:
            low, high = floor(log10(self.low) + 1e-9), ceil(log10(self.high) - 1e-9)
            parts = (1, 2, 5) if high - low <= 2 else (1,)
            powers = range(low, high + 1, ceil((high - low + 1) / 8))
            values = [part * 10.0**power for power in powers for part in parts]
            return [value for value in values if self.low <= value * 1.0001 <= self.high * 1.0002]
        step = _find_step(self.high - self.low)
        first, last = ceil(self.low / step - 1e-9), floor(self.high / step + 1e-9)
        return [number * step for number in range(first, last + 1)]

    def _format(self, value: float) -> str:
        return f"{100 * value:.4g}%" if self.percent else f"{value:.6g}"


@dataclass(frozen=True, slots=True)
class Panel:
    """One plot; `limits` are horizontal lines with what they say."""

    title: str
    x: Axis
    y: Axis
    items: Sequence[Curve | Band | Marks]
    limits: Sequence[tuple[float, str]] = ()
    x_title: str = ""
    height: int = 220


@dataclass(slots=True)
class _Frame:
    """Where a panel's axes lie, in pixels."""

    panel: Panel
    top: int
    width: int
    parts: list[str] = field(default_factory=list)

    def x(self, value: float) -> float:
        return _LEFT + self.panel.x.place(value) * (self.width - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        return self.top + (1.0 - self.panel.y.place(value)) * self.panel.height

    def write(self, text: str) -> None:
        self.parts.append(text)


def render(title: str, panels: Sequence[Panel], width: int = 720) -> str:
    """The picture as a document of its own, with `title` as what it is called aloud."""
    top, drawn = 0, []
    for panel in panels:
        frame = _Frame(panel, top + _TOP + _LEGEND, width)
        _draw_panel(frame)
        drawn += frame.parts
        top = frame.top + panel.height + _BELOW
    size = f'width="{width}" height="{top}" viewBox="0 0 {width} {top}"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">',
            f"<title>{escape(title)}</title>",
            f"<style>{_STYLE}</style>",
            '<rect width="100%" height="100%" fill="#fff"/>',
            *drawn,
            "</svg>\n",
        ]
    )


def _draw_panel(frame: _Frame) -> None:
    panel = frame.panel
    frame.write(
        f'<text class="title" x="{_LEFT}" y="{frame.top - 30}">{escape(panel.title)}</text>'
    )
    _draw_axes(frame)
    for item in panel.items:
        _draw(frame, item)
    for value, words in panel.limits:
        _draw_limit(frame, value, words)
    _draw_legend(frame)


def _draw_axes(frame: _Frame) -> None:
    bottom, right = frame.top + frame.panel.height, frame.width - _RIGHT
    for value, label in frame.panel.y.list_ticks():
        y = f"{frame.y(value):.1f}"
        frame.write(f'<line class="grid" x1="{_LEFT}" y1="{y}" x2="{right}" y2="{y}"/>')
        frame.write(f'<text class="end" x="{_LEFT - 6}" y="{y}" dy="4">{escape(label)}</text>')
    for value, label in frame.panel.x.list_ticks():
        x = f"{frame.x(value):.1f}"
        # A long label at the right edge would not be seen whole if its middle stood there.
        side = "end" if frame.x(value) > right - 3 * len(label) else "middle"
        frame.write(f'<line class="axis" x1="{x}" y1="{bottom}" x2="{x}" y2="{bottom + 4}"/>')
        frame.write(f'<text class="{side}" x="{x}" y="{bottom + 17}">{escape(label)}</text>')
    frame.write(
        f'<text class="end" x="{right}" y="{bottom + 31}">{escape(frame.panel.x_title)}</text>'
    )
    frame.write(
        f'<polyline class="axis" points="{_LEFT},{frame.top} {_LEFT},{bottom} {right},{bottom}"/>'
    )


def _draw(frame: _Frame, item: Curve | Band | Marks) -> None:
    if isinstance(item, Curve):
        dashes = ' stroke-dasharray="4 3"' if item.dashed else ""
        frame.write(
            f'<polyline fill="none" stroke="{item.colour}" stroke-width="2"{dashes}'
            f' points="{_join(frame, item.points)}"/>'
        )
    elif isinstance(item, Band):
        _draw_band(frame, item)
    else:
        for x, y in item.points:
            frame.write(_draw_mark(frame.x(x), frame.y(y), item))


def _draw_band(frame: _Frame, band: Band) -> None:
    if len(band.points) == 1:
        ((x, low, high),) = band.points
        at = f'x1="{frame.x(x):.1f}" y1="{frame.y(low):.1f}" x2="{frame.x(x):.1f}"'
        frame.write(
            f'<line {at} y2="{frame.y(high):.1f}" stroke="{band.colour}" stroke-width="2"/>'
        )
        return
    there = [(x, high) for x, _, high in band.points]
    back = [(x, low) for x, low, _ in reversed(band.points)]
    frame.write(
        f'<polygon fill="{band.colour}" fill-opacity="0.15"'
        f' points="{_join(frame, [*there, *back])}"/>'
    )


def _draw_mark(x: float, y: float, marks: Marks) -> str:
    if marks.shape == "Circle":
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{marks.colour}"/>'
    return (
        f'<path d="M{x - 4:.1f},{y - 4:.1f}l8,8m0,-8l-8,8" stroke="{marks.colour}"'
        ' stroke-width="2"/>'
    )


def _draw_limit(frame: _Frame, value: float, words: str) -> None:
    y, right = frame.y(value), frame.width - _RIGHT
    frame.write(f'<line class="limit" x1="{_LEFT}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}"/>')
    frame.write(f'<text x="{_LEFT + 6}" y="{y - 5:.1f}">{escape(words)}</text>')


def _draw_legend(frame: _Frame) -> None:
    x, y = float(_LEFT), frame.top - 12
    for item in frame.panel.items:
        if isinstance(item, Band) or not item.name:
            continue
        if isinstance(item, Marks):
            frame.write(_draw_mark(x + 8, y - 4, item))
        else:
            frame.write(
                f'<line x1="{x}" y1="{y - 4}" x2="{x + 16}" y2="{y - 4}" stroke="{item.colour}"'
                ' stroke-width="2"/>'
            )
        frame.write(f'<text x="{x + 22:.0f}" y="{y}">{escape(item.name)}</text>')
        x += 40 + 7 * len(item.name)


def _join(frame: _Frame, points: Sequence[Xy]) -> str:
    return " ".join(f"{frame.x(x):.1f},{frame.y(y):.1f}" for x, y in points)


def _find_step(span: float) -> float:
    """A round step of which a span has four to eight."""
    size = 10.0 ** floor(log10(span))
    return next(
        size * part for part in (0.1, 0.2, 0.25, 0.5, 1.0, 2.0) if span / (size * part) <= 8
    )
