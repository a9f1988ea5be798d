"""The progress of a test as a few JSON values and back, rounded towards no evidence."""

from typing import Annotated

from msgspec import Meta, Struct

from canarium.judge.bursts import SPANS, UNSCATTERED, Scatter, Span
from canarium.judge.sequential import (
    BLOCKS_BETWEEN_STARTS,
    LESSER_EFFECTS,
    LOG_CEILING,
    Counts,
    Evidence,
    Learned,
    begin,
)
from canarium.judge.single import Progress

Whole = Annotated[int, Meta(ge=0, le=2**62)]
BothCounts = tuple[Whole, Whole, Whole, Whole]
"""Bad, total of stable and then of the canary."""

_Log = Annotated[float, Meta(ge=-1e300, le=LOG_CEILING)]
_Amount = Annotated[float, Meta(ge=0, le=1e300)]


class SavedEvidence(Struct, frozen=True, forbid_unknown_fields=True):
    """Evidence as it is kept, a logarithm an effect; converting refuses what makes no sense."""

    logs: Annotated[tuple[_Log, ...], Meta(min_length=1, max_length=16)]
    starts: Annotated[int, Meta(ge=1, le=10**12)]
    """Of more the weight of the next one would be lost in rounding."""
    blocks: Annotated[int, Meta(ge=0, lt=BLOCKS_BETWEEN_STARTS)]


_SavedSpan = tuple[BothCounts, Whole, BothCounts, Whole, _Amount, _Amount]
"""The span that is open and its blocks; the last one; pairs, roughness, stable's part."""


class SavedScatter(Struct, frozen=True, forbid_unknown_fields=True, array_like=True):
    """How answers scattered, as it is, for the next bets depend on it."""

    counts: BothCounts
    spans: tuple[_SavedSpan, ...]


class SavedProgress(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A test's progress as it is kept."""

    evidence: SavedEvidence
    proof: SavedEvidence | None = None
    open: BothCounts = (0, 0, 0, 0)
    learned: tuple[_Amount, _Amount] = (0.0, 0.0)
    """Bad, total."""
    scatter: SavedScatter | None = None


def save_progress(progress: Progress) -> SavedProgress:
    """Write down the progress of a test."""
    learned, scatter = progress.learned, progress.scatter
    return SavedProgress(
        _save(progress.evidence),
        None if progress.proof is None else _save(progress.proof),
        flatten(progress.open_stable, progress.open_canary),
        (learned.bad, learned.total),
        None if scatter == UNSCATTERED else _save_scatter(scatter),
    )


def load_progress(saved: SavedProgress, fresh: Progress) -> Progress:
    """Take up what `save_progress` wrote; `fresh` is how such a test begins.

    Raises ValueError for what no such test can have written.
    """
    proof = None if saved.proof is None else _load(saved.proof, begin(LESSER_EFFECTS))
    return Progress(
        _load(saved.evidence, fresh.evidence),
        proof,
        *unflatten(saved.open),
        Learned(*saved.learned),
        UNSCATTERED if saved.scatter is None else _load_scatter(saved.scatter),
    )


def flatten(stable: Counts, canary: Counts) -> BothCounts:
    """Write both sides' counts as four numbers."""
    return stable.bad, stable.total, canary.bad, canary.total


def unflatten(saved: BothCounts) -> tuple[Counts, Counts]:
    """Read stable's and the canary's counts from the four numbers."""
    return Counts(*saved[:2]), Counts(*saved[2:])


def _save(evidence: Evidence) -> SavedEvidence:
    logs = tuple(map(_round_down, evidence.logs))
    return SavedEvidence(logs, evidence.starts, evidence.blocks)


def _round_down(value: float) -> float:
    # What was rounded once stays as it is, which floor(value * 1e4) / 1e4 doesn't promise.
    rounded = round(value, 4)
    return rounded if rounded <= value else round(rounded - 1e-4, 4)


def _load(saved: SavedEvidence, fresh: Evidence) -> Evidence:
    if len(saved.logs) != len(fresh.logs):
        raise ValueError("the evidence is of other effects")
    return Evidence(saved.logs, saved.starts, saved.blocks)


def _save_scatter(scatter: Scatter) -> SavedScatter:
    return SavedScatter(
        flatten(scatter.stable, scatter.canary),
        tuple(
            (
                flatten(span.stable, span.canary),
                span.blocks,
                flatten(span.last_stable, span.last_canary),
                span.pairs,
                span.roughness,
                span.stable_part,
            )
            for span in scatter.spans
        ),
    )


def _load_scatter(saved: SavedScatter) -> Scatter:
    if len(saved.spans) != len(SPANS):
        raise ValueError("the scatter is of other spans")
    return Scatter(*unflatten(saved.counts), tuple(map(_load_span, saved.spans)))


def _load_span(saved: _SavedSpan) -> Span:
    counts, blocks, last, pairs, roughness, part = saved
    if (last[1] == 0) != (last[3] == 0) or part > pairs or (roughness and not pairs):
        raise ValueError("no jumps can have come to that")
    return Span(*unflatten(counts), blocks, *unflatten(last), pairs, roughness, part)
