"""The figures beside what is promised, as text and as Markdown."""

from collections.abc import Iterator, Sequence

from benchmarks.judging.run import Figures
from benchmarks.rollouts.report import compute_quantile

MOST_CORES = 1.0
OBJECTS_PROMISED = 200


def make_rows(figures: Figures) -> Iterator[tuple[str, str]]:
    """Each figure with its name."""
    size = figures.size
    yield "objects, pods of each", f"{size.objects}, {2 * size.pods}"
    yield "begun", "in the same instant" if size.together else "over a second"
    yield "cores, for all that is asked", f"{figures.cores:.2f}"
    yield "answers read a second", f"{figures.read_a_second:.0f} of {figures.asked_a_second:.0f}"
    yield "waited for a processor", f"{figures.waited_seconds / figures.seconds:.1%} of the time"
    yield (
        "others in the loop late, p50 / p99 / most",
        " / ".join(
            f"{1000 * compute_quantile(figures.lateness, quantile):.0f} ms"
            for quantile in (0.5, 0.99, 1.0)
        ),
    )
    yield "verdicts", ", ".join(figures.verdicts)
    yield "objects that lack an answer at the end", f"{figures.unread}"
    yield "resident memory", f"{figures.resident_mib:.0f} MiB, {figures.growth_mib:+.1f} meanwhile"
    yield (
        "CPU seconds a second of the pods' process",
        (f"{figures.served_cpu_seconds / figures.seconds:.2f}"),
    )


def is_kept(figures: Figures) -> bool:
    """Whether judging took less than one core, and nothing was missed."""
    return figures.cores < MOST_CORES and figures.unread == 0


def render_text(figures: Figures) -> Iterator[str]:
    for name, value in make_rows(figures):
        yield f"{name:44}{value}"


def render_markdown(runs: Sequence[Figures]) -> Iterator[str]:
    """A column for each run."""
    tables = [dict(make_rows(figures)) for figures in runs]
    for number, name in enumerate(tables[0]):
        yield f"| {name} | {' | '.join(table[name] for table in tables)} |"
        if number == 0:
            yield "|" + " --- |" * (len(runs) + 1)
