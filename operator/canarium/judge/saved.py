"""The progress of a test as a few JSON values and back, rounded towards no evidence."""

from typing import Annotated

from msgspec import Meta, Struct

from canarium.judge.bursts import Overdispersion
from canarium.judge.sequential import BLOCKS_BETWEEN_STARTS, LOG_CEILING, Counts, Evidence
from canarium.judge.single import Progress

Whole = Annotated[int, Meta(ge=0, le=2**62)]
SavedCounts = tuple[Whole, Whole]
"""Bad, total."""
BothCounts = tuple[Whole, Whole, Whole, Whole]
"""Bad, total of stable and then of the canary."""

_Log = Annotated[float, Meta(ge=-1e300, le=LOG_CEILING)]


class SavedEvidence(Struct, frozen=True, forbid_unknown_fields=True):
    """Evidence as it is kept; converting refuses what makes no sense."""

    logs: tuple[_Log, _Log, _Log, _Log, _Log]
    starts: Annotated[int, Meta(ge=1, le=2**53)]
    blocks: Annotated[int, Meta(ge=0, lt=BLOCKS_BETWEEN_STARTS)]


class SavedProgress(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A test's progress as it is kept."""

    evidence: SavedEvidence
    proof: SavedEvidence | None = None
    open: BothCounts = (0, 0, 0, 0)
    learned: SavedCounts = (0, 0)
    scatter: tuple[Whole, Whole, Whole, Annotated[float, Meta(ge=0, le=1e300)]] = (0, 0, 0, 0.0)
    """The last block's counts, pairs, roughness; as they are, for the next bets depend on them."""


def save_progress(progress: Progress) -> SavedProgress:
    """Write down the progress of a test."""
    scatter = progress.scatter
    return SavedProgress(
        _save(progress.evidence),
        None if progress.proof is None else _save(progress.proof),
        flatten(progress.open_stable, progress.open_canary),
        (progress.learned.bad, progress.learned.total),
        (scatter.last.bad, scatter.last.total, scatter.pairs, scatter.roughness),
    )


def load_progress(saved: SavedProgress) -> Progress:
    """Take up what `save_progress` wrote."""
    bad, total, pairs, roughness = saved.scatter
    return Progress(
        _load(saved.evidence),
        None if saved.proof is None else _load(saved.proof),
        *unflatten(saved.open),
        Counts(*saved.learned),
        Overdispersion(Counts(bad, total), pairs, roughness),
    )


def flatten(stable: Counts, canary: Counts) -> BothCounts:
    """Write both sides' counts as four numbers."""
    return stable.bad, stable.total, canary.bad, canary.total


def unflatten(saved: BothCounts) -> tuple[Counts, Counts]:
    """Read stable's and the canary's counts from the four numbers."""
    return Counts(*saved[:2]), Counts(*saved[2:])


def _save(evidence: Evidence) -> SavedEvidence:
    first, second, third, fourth, fifth = map(_round_down, evidence.logs)
    return SavedEvidence((first, second, third, fourth, fifth), evidence.starts, evidence.blocks)


def _round_down(value: float) -> float:
    # What was rounded once stays as it is, which floor(value * 1e4) / 1e4 doesn't promise.
    rounded = round(value, 4)
    return rounded if rounded <= value else round(rounded - 1e-4, 4)


def _load(saved: SavedEvidence) -> Evidence:
    return Evidence(saved.logs, saved.starts, saved.blocks)
