"""Tables as Markdown, the plot of them as SVG, and their place in a document."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from canarium.cli.drawing.svg import Axis, Band, Curve, Marks, Panel, render

from benchmarks.judge.judges import ALPHA
from benchmarks.judge.tables import LETTER, Row, Table

BEGIN, END = "<!-- bench-judge: begin -->", "<!-- bench-judge: end -->"
OURS, USUAL = "#1f6fb2", "#b26a1f"


def render_table(table: Table) -> str:
    """The title, the table, the words below; a row that missed its limit says so."""
    lines = [f"**{table.title}.**", "", f"| {' | '.join(table.columns)} |"]
    lines.append("|" + " --- |" * len(table.columns))
    lines += [f"| {' | '.join(_mark(row))} |" for row in table.rows]
    return "\n".join([*lines, *(["", table.note] if table.note else [])]) + "\n"


def _mark(row: Row) -> tuple[str, ...]:
    return row.cells if row.kept else (f"{row.cells[0]}, **limit missed**", *row.cells[1:])


def write_section(document: Path, text: str) -> None:
    """Replace what stands between the marks. Raises ValueError when there are none."""
    whole = document.read_text()
    before, begun, rest = whole.partition(BEGIN)
    _old, ended, after = rest.partition(END)
    if not begun or not ended:
        raise ValueError(f"{document} has no lines {BEGIN} and {END}")
    document.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")


def draw(tables: Mapping[str, Table]) -> str:
    """The plot of the tables `equal` and `regressions`."""
    title = "How often the judge is wrong, and how soon it is right"
    return render(title, [_plot_wrong(tables["equal"]), _plot_soon(tables["regressions"])])


def _plot_wrong(table: Table) -> Panel:
    rows = list(enumerate(table.rows, 1))
    least = 1e-4
    return Panel(
        "Good versions taken back, of rollouts",
        Axis(0.5, len(rows) + 0.5, ticks=[(n, row.cells[0]) for n, row in rows]),
        Axis(least, 1.0, logarithmic=True, percent=True),
        [
            *(Band(OURS, [(n, least, row.figures["upper"])]) for n, row in rows),
            Marks("Canarium, line: up to its 99 % bound", OURS, _points(rows, "ours")),
            Marks("threshold at twice the rate", USUAL, _points(rows, "usual"), "Cross"),
        ],
        [(ALPHA, f"{LETTER} = {ALPHA:.0%}")],
        "error rate of both, split canary/stable; none at all is drawn at the bottom",
    )


def _points(rows: Sequence[tuple[int, Row]], figure: str) -> list[tuple[float, float]]:
    return [(n, row.figures[figure]) for n, row in rows]


def _plot_soon(table: Table) -> Panel:
    bounds = [row.figures["bound"] for row in table.rows]
    ends = min(bounds) / 2, max(bounds) * 2
    return Panel(
        "Canary requests until a bad version is taken back (median)",
        Axis(*ends, logarithmic=True),
        Axis(10.0, 10_000.0, logarithmic=True),
        [
            Curve("information bound", "#999", [(end, end) for end in ends], dashed=True),
            Curve("1.8 times that", "#ccc", [(end, 1.8 * end) for end in ends], dashed=True),
            Marks("Canarium", OURS, [_place(row, "median") for row in table.rows]),
            Marks("threshold at 2 %", USUAL, [_place(row, "usual") for row in table.rows], "Cross"),
        ],
        x_title="information bound, in canary requests; 1 % of errors to 2, 3, 5, 20 %",
    )


def _place(row: Row, figure: str) -> tuple[float, float]:
    return row.figures["bound"], row.figures[figure]
