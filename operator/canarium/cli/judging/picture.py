"""What `canarium judge` shows: the verdict in words, the rates, how the evidence grew. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.text import Text

from canarium.cli.drawing.plots import draw_curve, draw_interval, find_axis, find_decades
from canarium.cli.drawing.svg import Axis, Band, Curve, Marks, Panel, render
from canarium.cli.drawing.verdicts import describe_bound, tell_verdicts
from canarium.cli.judging.trial import Point, Trial, dump_row, thin
from canarium.judge import Row
from canarium.judge.intervals import compute_rate_interval
from canarium.judge.sequential import Counts

WIDEST = 100
"Wider pictures say no more."
HEIGHT = 8
MOST_POINTS = 300
_SIDES = (("stable", "green"), ("canary", "cyan"))
_SVG_SIDES = (("stable", "#2a7f3f"), ("canary", "#1f6fb2"))
_CHECK_COLOURS = ("#1f6fb2", "#7b3fa0", "#b26a1f", "#2a7f3f")
_COLOURS = {"Pass": "green", "Fail": "red"}

Numbered = Sequence[tuple[int, Point]]


def draw(trial: Trial, width: int, *, ascii_only: bool) -> Iterator[RenderableType]:
    """All of it, for a terminal of this width."""
    width = min(width, WIDEST)
    yield _tell_verdict(trial)
    yield from tell_verdicts([dump_row(row) for row in trial.rows], ascii_only=ascii_only)
    yield ""
    yield from _draw_rates(trial, width, ascii_only=ascii_only)
    if len(trial.points) > 1:
        for place, row in enumerate(trial.rows):
            yield ""
            yield from _draw_evidence(trial, place, row, width, ascii_only=ascii_only)


def _tell_verdict(trial: Trial) -> Text:
    reason = trial.decisive.reason
    line = Text.assemble((trial.verdict, f"bold {_COLOURS.get(trial.verdict, 'yellow')}"))
    line.append(f", {reason}")
    if trial.given > 1:
        seen, given = len(trial.points), trial.given
        at = f" ({trial.failed_at})" if trial.failed_at not in (None, str(seen)) else ""
        when = f"after reading {seen} of {given}{at}" if trial.failed_at else f"{given} readings"
        line.append(f", {when}")
    return line


def _draw_rates(trial: Trial, width: int, *, ascii_only: bool) -> Iterator[Text]:
    """Both rates with their intervals, on one axis."""
    last = trial.points[-1]
    sides = [
        (name, style, counts)
        for (name, style), counts in zip(_SIDES, (last.stable, last.canary), strict=True)
        if counts.total
    ]
    spans = [compute_rate_interval(counts) for _, _, counts in sides]
    bound = next((row.bound for row in trial.rows if row.check == "max"), None)
    axis = find_axis(spans, 0.0, *([bound] if bound is not None else []))
    rates = [f"{100 * counts.bad / counts.total:.3g}%" for _, _, counts in sides]
    inner = max(width - 10 - max(map(len, rates), default=0), 20)
    ends = [f"{100 * end:.3g}%" for end in axis]
    yield Text(f"{'':8}{ends[0]}{ends[1]:>{inner - len(ends[0])}}", "dim")
    for (name, style, counts), span, rate in zip(sides, spans, rates, strict=True):
        drawn = draw_interval(
            span,
            counts.bad / counts.total,
            axis,
            inner,
            bound=bound,
            style=style,
            ascii_only=ascii_only,
        )
        yield Text(f"{name:8}").append_text(drawn).append(f"  {rate}")
    yield Text(f"{'':8}95 % intervals that hold at all times", "dim")


def _draw_evidence(
    trial: Trial, place: int, row: Row, width: int, *, ascii_only: bool
) -> Iterator[Text]:
    """How the evidence of one check grew; no curve of what there never was."""
    points, values = trial.points, [point.e_values[place] for point in trial.points]
    said = f"evidence against the canary, {describe_bound(dump_row(row))}"
    if max(values) <= 1.0:
        yield Text(f"{said}: never above 1")
        return
    yield Text(f"{said}: fails at {trial.fails_at:.4g}")
    yield from draw_curve(
        values,
        trial.fails_at,
        width,
        HEIGHT,
        ends=(points[0].label, points[-1].label),
        ascii_only=ascii_only,
    )


def draw_svg(trial: Trial) -> str:
    """The same as SVG: rates with their intervals, and the evidence of each check."""
    points = thin(list(enumerate(trial.points, 1)), MOST_POINTS)
    x = _make_x(points)
    panels = [_plot_rates(trial, points, x), _plot_evidence(trial, points, x)]
    return render(_tell_verdict(trial).plain, panels)


def _make_x(points: Numbered) -> Axis:
    (first, at_first), (last, at_last) = points[0], points[-1]
    if first == last:
        return Axis(first - 1, last + 1, ticks=[(first, "")])
    return Axis(first, last, ticks=[(first, at_first.label), (last, at_last.label)])


def _plot_rates(trial: Trial, points: Numbered, x: Axis) -> Panel:
    items: list[Curve | Band | Marks] = []
    for name, colour in _SVG_SIDES:
        counted = [(number, getattr(point, name)) for number, point in points]
        items += _plot_side(name, colour, [each for each in counted if each[1].total])
    bounds = [
        (row.bound, f"max {100 * row.bound:.3g}%") for row in trial.rows if row.check == "max"
    ]
    highest = max(
        [high for item in items if isinstance(item, Band) for _, _, high in item.points[-1:]]
        + [1.2 * bound for bound, _ in bounds]
        + [y for item in items if not isinstance(item, Band) for _, y in item.points[-1:]],
        default=1.0,
    )
    y = Axis(0.0, min(1.25 * highest, 1.0) or 1.0, percent=True)
    title = "Share of bad answers so far, with 95 % intervals that hold at all times"
    return Panel(title, x, y, items, bounds)


def _plot_side(
    name: str, colour: str, counted: Sequence[tuple[int, Counts]]
) -> Iterator[Curve | Band | Marks]:
    if not counted:
        return
    yield Band(colour, [(number, *compute_rate_interval(counts)) for number, counts in counted])
    rates = [(float(number), counts.bad / counts.total) for number, counts in counted]
    said = f"{name}: {counted[-1][1].bad} of {counted[-1][1].total}"
    yield Curve(said, colour, rates) if len(rates) > 1 else Marks(said, colour, rates)


def _plot_evidence(trial: Trial, points: Numbered, x: Axis) -> Panel:
    items: list[Curve | Marks] = []
    for place, (row, colour) in enumerate(zip(trial.rows, _CHECK_COLOURS, strict=False)):
        values = [(float(number), point.e_values[place]) for number, point in points]
        name = describe_bound(dump_row(row))
        items.append(
            Curve(name, colour, values) if len(values) > 1 else Marks(name, colour, values)
        )
    low, high = find_decades([y for item in items for _, y in item.points], trial.fails_at)
    return Panel(
        "Evidence against the canary (e-value)",
        x,
        Axis(10.0**low, 10.0**high, logarithmic=True),
        items,
        [(trial.fails_at, f"fails at {trial.fails_at:.4g}")],
        "reading" if len(points) > 1 else "",
    )
