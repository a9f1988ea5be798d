"""The figures beside the targets of the design, as text for a terminal and as Markdown."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from benchmarks.rollouts.audit import Tally

Verdict = Literal["ok", "missed", ""]


@dataclass(frozen=True, slots=True)
class Figures:
    """One run with `objects` ModelDeployments.

    `creating` and `rolling` hold the operator's requests until it rests again, `resting` those of
    `rest_seconds` of rest. `cpu_seconds` (while rolling), `rest_cpu_seconds` and memory (resident
    after rolling, peak of the whole run) are the operator's. `latencies` are seconds from sending
    a change until its first status, one a sample.
    """

    objects: int
    create_seconds: float
    roll_seconds: float
    cpu_seconds: float
    resident_mib: float
    peak_mib: float
    creating: Tally
    rolling: Tally
    resting: Tally
    rest_seconds: float
    rest_cpu_seconds: float
    latencies: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Targets:
    """The most that a run with up to `objects` may take."""

    objects: int
    create_seconds: float
    roll_seconds: float
    resident_mib: float
    requests_per_rollout: float = 18.0
    cpu_milliseconds_per_rollout: float = 20.0
    latency_p99_milliseconds: float = 250.0
    rest_cpu_percent: float | None = None
    "Of one core, while nothing happens."


TARGETS = (
    Targets(
        objects=100, create_seconds=12, roll_seconds=20, resident_mib=100, rest_cpu_percent=1.0
    ),
    Targets(objects=200, create_seconds=12, roll_seconds=20, resident_mib=105),
    Targets(objects=1000, create_seconds=70, roll_seconds=110, resident_mib=145),
)


@dataclass(frozen=True, slots=True)
class Row:
    """One figure: what it is, its value, its target ("" where there is none) and the verdict."""

    name: str
    value: str
    target: str = ""
    verdict: Verdict = ""


def compute_quantile(values: Sequence[float], quantile: float) -> float:
    """The smallest value that at least this share of them doesn't exceed (nearest rank)."""
    if not values:
        raise ValueError("no values, no quantile")
    ordered = sorted(values)
    rank = -int(-(quantile * len(ordered)) // 1)
    return ordered[max(rank, 1) - 1]


def find_targets(objects: int) -> Targets:
    """The targets of the smallest size that covers this one; of the largest beyond it."""
    return next((t for t in TARGETS if objects <= t.objects), TARGETS[-1])


def make_rows(figures: Figures) -> list[Row]:
    """Every figure beside its target."""
    t, n = find_targets(figures.objects), figures.objects
    p50, p99 = (1000 * compute_quantile(figures.latencies, q) for q in (0.5, 0.99))
    writes = sum(figures.resting.writes.values())
    return [
        _at_most("create, all Healthy", figures.create_seconds, t.create_seconds, "s"),
        _at_most("roll all, all UpToDate", figures.roll_seconds, t.roll_seconds, "s"),
        _at_most(
            "CPU per rollout", 1000 * figures.cpu_seconds / n, t.cpu_milliseconds_per_rollout, "ms"
        ),
        _at_most("requests per rollout", figures.rolling.total / n, t.requests_per_rollout, ""),
        Row("requests per creation", f"{figures.creating.total / n:.1f}"),
        Row("events per rollout", f"{figures.rolling.events / n:.1f}"),
        Row("conflicts (409) per rollout", f"{figures.rolling.conflicts / n:.2f}"),
        _at_most("resident memory, rolled", figures.resident_mib, t.resident_mib, "MiB"),
        Row("resident memory, peak", f"{figures.peak_mib:.0f} MiB"),
        _at_most(f"writes in {figures.rest_seconds:.0f} s of rest", writes, 0, ""),
        Row("Lease writes meanwhile", str(figures.resting.leases)),
        _tell_rest(figures, t),
        Row("change to status, p50", f"{p50:.0f} ms"),
        _at_most("change to status, p99", p99, t.latency_p99_milliseconds, "ms"),
    ]


def _tell_rest(figures: Figures, targets: Targets) -> Row:
    percent = 100 * figures.rest_cpu_seconds / figures.rest_seconds
    if targets.rest_cpu_percent is None:
        return Row("CPU at rest", f"{percent:.1f} %")
    return _at_most("CPU at rest", percent, targets.rest_cpu_percent, "%")


def find_missed(figures: Figures) -> list[str]:
    """The names of the figures that are above their targets."""
    return [row.name for row in make_rows(figures) if row.verdict == "missed"]


def _at_most(name: str, value: float, target: float, unit: str) -> Row:
    """Compared as printed: a cache's list now and then is no hundredth of a rollout's requests."""

    def digits(number: float) -> int:
        return 0 if float(number).is_integer() or number >= 100 else 1

    def show(number: float) -> str:
        return f"{number:.{digits(number)}f} {unit}".rstrip()

    within = round(value, digits(value)) <= target
    return Row(name, show(value), f"≤ {show(target)}", "ok" if within else "missed")


def render_text(figures: Figures) -> list[str]:
    """Lines for a terminal, at most 80 columns wide."""
    head = f"{figures.objects} ModelDeployments of 2 replicas, {len(figures.latencies)} samples"
    rows = [
        f"  {row.name:<30}{row.value:>12}  {row.target:<12}{row.verdict}".rstrip()
        for row in make_rows(figures)
    ]
    return [head, *rows, *_render_requests(figures), *_render_writes_at_rest(figures)]


def _render_requests(figures: Figures) -> Iterable[str]:
    yield "  requests per rollout by verb and resource:"
    ordered = sorted(figures.rolling.counted.items(), key=lambda item: -item[1])
    for (verb, resource), count in ordered:
        yield f"    {verb:<8}{resource or '(none)':<32}{count / figures.objects:>8.2f}"


def _render_writes_at_rest(figures: Figures) -> Iterable[str]:
    for (verb, resource), count in figures.resting.writes.items():
        yield f"  at rest: {verb} {resource} x{count}"


def render_markdown(runs: Sequence[Figures]) -> list[str]:
    """One table with a column for each run, as docs/performance.md keeps it."""
    sizes = [f"{figures.objects:,} objects" for figures in runs]
    columns = [make_rows(figures) for figures in runs]
    figures = [
        _line([together[0].name, *(_cell(row) for row in together)])
        for together in zip(*columns, strict=True)
    ]
    head = [_line(["", *sizes]), _line(["---"] * (len(runs) + 1))]
    return [*head, *figures, "", *_render_request_table(runs)]


def _cell(row: Row) -> str:
    if not row.target:
        return row.value
    value = row.value if row.verdict == "ok" else f"**{row.value}**"
    return f"{value} ({row.target}: {row.verdict})"


def _render_request_table(runs: Sequence[Figures]) -> Iterable[str]:
    keys = sorted({key for run in runs for key in run.rolling.counted}, key=lambda k: (k[1], k[0]))
    yield _line(["requests per rollout", *(f"{run.objects:,} objects" for run in runs)])
    yield _line(["---"] * (len(runs) + 1))
    for verb, resource in keys:
        counts = (run.rolling.counted.get((verb, resource), 0) / run.objects for run in runs)
        yield _line([f"{verb} {resource}".rstrip(), *(f"{count:.2f}" for count in counts)])


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"
