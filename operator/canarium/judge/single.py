"""One sequential test by itself, for whoever has counts and a bound but no rollout.

It may be looked at after every update, for as long as one likes.
"""

from dataclasses import dataclass, field, replace
from math import inf

from canarium.judge.bursts import (
    UNSCATTERED,
    Overdispersion,
    add_block,
    compute_dispersion,
    compute_most,
)
from canarium.judge.sequential import (
    EFFECTS,
    LESSER_EFFECTS,
    NOTHING,
    Counts,
    Evidence,
    Margin,
    Rate,
    begin,
    bet_on_margin,
    bet_on_rate,
    compute_e_value,
    multiply,
    start_another,
)

LEAST_BLOCK = 2
"""Answers that each side needs before a block of a comparison is closed."""


@dataclass(frozen=True, slots=True)
class Progress:
    """What a test remembers: its evidence, the block that isn't closed yet, what was learned."""

    evidence: Evidence = field(default_factory=begin)
    """Against "the canary keeps the bound"."""
    proof: Evidence | None = None
    """Against "it is at the bound or beyond"; None where nobody wants the proof."""
    open_stable: Counts = NOTHING
    open_canary: Counts = NOTHING
    learned: Counts = NOTHING
    """What stable answered in closed blocks: what the next bets are made with."""
    scatter: Overdispersion = UNSCATTERED
    """How that scattered: by how much the next bets are toned down."""


def advance(
    progress: Progress,
    bound: Rate | Margin,
    stable: Counts,
    canary: Counts,
    *,
    effects: tuple[float, ...] = EFFECTS,
) -> Progress:
    """Take in what both sides have answered since the last time.

    Against a Rate stable tells only whether errors come in bursts.
    """
    if isinstance(bound, Rate):
        if not canary.total:
            return progress
        # One is enough where none is allowed.
        most = compute_most(canary.total) if bound.value > 0.0 else inf
        bets = bet_on_rate(canary, bound.value, effects)
        proof = bet_on_rate(canary, bound.value, LESSER_EFFECTS) if progress.proof else ()
        return _close_block(progress, stable, bets, proof, most)
    stable, canary = progress.open_stable + stable, progress.open_canary + canary
    if min(stable.total, canary.total) < LEAST_BLOCK:
        return replace(progress, open_stable=stable, open_canary=canary)
    learned = progress.learned
    bets = bet_on_margin(stable, canary, bound, learned, effects)
    proof = bet_on_margin(stable, canary, bound, learned, LESSER_EFFECTS) if progress.proof else ()
    return _close_block(progress, stable, bets, proof, compute_most(canary.total))


def enter_step(progress: Progress, *, keep_learned: bool) -> Progress:
    """Start another process; what was proven of the step before is no proof of this one."""
    return Progress(
        start_another(progress.evidence),
        progress.proof and begin(),
        learned=progress.learned if keep_learned else NOTHING,
        scatter=progress.scatter if keep_learned else UNSCATTERED,
    )


def _close_block(
    progress: Progress,
    stable: Counts,
    bets: tuple[float, ...],
    proof: tuple[float, ...],
    most: float,
) -> Progress:
    power = 1.0 / compute_dispersion(progress.scatter, progress.learned)
    return Progress(
        multiply(progress.evidence, [power * bet for bet in bets], most),
        progress.proof and multiply(progress.proof, [power * bet for bet in proof]),
        learned=progress.learned + stable,
        scatter=add_block(progress.scatter, stable),
    )


@dataclass(frozen=True, slots=True)
class SequentialTest:
    """A test of a canary's counts against a rate, or against stable's counts with a margin.

    >>> test = SequentialTest(Rate(0.05))
    >>> test = test.update(canary=Counts(bad=2, total=10))
    >>> test = test.update(canary=Counts(bad=6, total=10))
    >>> test.e_value > 1 / 0.01
    True

    Rejecting when `e_value` reaches 1/alpha is wrong with a probability of at most alpha, however
    often one looks. `proof_value` is the same for the opposite: at 1/alpha it is shown that the
    canary keeps the bound.
    """

    bound: Rate | Margin
    progress: Progress = field(default_factory=lambda: Progress(proof=begin()))

    def update(self, *, stable: Counts = NOTHING, canary: Counts = NOTHING) -> "SequentialTest":
        """Take in the answers since the last update; counts of new answers, not running totals."""
        return replace(self, progress=advance(self.progress, self.bound, stable, canary))

    @property
    def e_value(self) -> float:
        """Evidence that the canary is worse than the bound allows; 1 at first."""
        return compute_e_value(self.progress.evidence)

    @property
    def proof_value(self) -> float:
        """Evidence that the canary keeps the bound; 1 at first."""
        return compute_e_value(self.progress.proof or begin())
