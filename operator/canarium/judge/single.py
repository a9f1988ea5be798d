"""One sequential test by itself, for whoever has counts and a bound but no rollout.

It may be looked at after every update, for as long as one likes.
"""

from dataclasses import dataclass, field, replace
from math import inf

from canarium.judge.bursts import (
    UNSCATTERED,
    Scatter,
    add_block,
    compute_dispersion,
    compute_most,
)
from canarium.judge.sequential import (
    EFFECTS,
    LESSER_EFFECTS,
    NOTHING,
    UNLEARNED,
    Counts,
    Evidence,
    Learned,
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
USUAL_LIMIT = 100.0
"""The e-value that a single test reaches wrongly once in a hundred times."""
FADING = 0.95
"""What a block leaves of what was learned before, so that an outage of both is soon forgotten."""
MEMORY = 2000.0
"""Answers of stable that are kept in any case: of fewer a low rate can't be learned."""


@dataclass(frozen=True, slots=True)
class Progress:
    """What a test remembers: its evidence, the block that isn't closed yet, what was learned."""

    evidence: Evidence = field(default_factory=begin)
    """Against "the canary keeps the bound"."""
    proof: Evidence | None = None
    """Against "it is at the bound or beyond"; None where nobody wants the proof."""
    open_stable: Counts = NOTHING
    open_canary: Counts = NOTHING
    learned: Learned = UNLEARNED
    """What stable answered in closed blocks, the last ones most: the next bets are made with it."""
    scatter: Scatter = UNSCATTERED
    """How both sides' answers scattered: by how much the next bets are toned down."""


def advance(
    progress: Progress,
    bound: Rate | Margin,
    stable: Counts,
    canary: Counts,
    *,
    fails_at: float = USUAL_LIMIT,
    effects: tuple[float, ...] = EFFECTS,
    memory: float = MEMORY,
) -> Progress:
    """Take in what both sides have answered since the last time.

    `fails_at` is the e-value at which somebody acts: a small block alone never lifts the evidence
    from nothing to there. It is infinite where the block cannot be one burst. `memory` is how many
    of stable's answers are remembered in any case.

    Against a Rate stable tells only whether errors come in bursts.
    """
    if isinstance(bound, Rate):
        if not canary.total:
            return progress
        # One is enough where none is allowed.
        most = compute_most(canary.total, fails_at) if bound.value > 0.0 else inf
        bets = bet_on_rate(canary, bound.value, effects)
        proof = bet_on_rate(canary, bound.value, LESSER_EFFECTS) if progress.proof else ()
        return _close_block(progress, (stable, canary), (bets, proof), most, memory)
    stable, canary = progress.open_stable + stable, progress.open_canary + canary
    if min(stable.total, canary.total) < LEAST_BLOCK:
        return replace(progress, open_stable=stable, open_canary=canary)
    learned = progress.learned
    bets = bet_on_margin(stable, canary, bound, learned, effects)
    proof = bet_on_margin(stable, canary, bound, learned, LESSER_EFFECTS) if progress.proof else ()
    most = compute_most(canary.total, fails_at)
    return _close_block(progress, (stable, canary), (bets, proof), most, memory)


def enter_step(progress: Progress, *, keep_learned: bool) -> Progress:
    """Start another process; what was proven of the step before is no proof of this one."""
    return Progress(
        start_another(progress.evidence),
        progress.proof and begin(LESSER_EFFECTS),
        learned=progress.learned if keep_learned else UNLEARNED,
        scatter=progress.scatter if keep_learned else UNSCATTERED,
    )


def _close_block(
    progress: Progress,
    block: tuple[Counts, Counts],
    bets: tuple[tuple[float, ...], tuple[float, ...]],
    most: float,
    memory: float,
) -> Progress:
    """Make the bets (against the canary, and for it) of a block: stable's and the canary's."""
    power = 1.0 / compute_dispersion(progress.scatter)
    against, proof = ([power * bet for bet in each] for each in bets)
    stable, canary = block
    return Progress(
        multiply(progress.evidence, against, most),
        progress.proof and multiply(progress.proof, proof),
        learned=progress.learned.learn(stable, max(FADING, 1.0 - stable.total / memory)),
        scatter=add_block(progress.scatter, stable, canary),
    )


@dataclass(frozen=True, slots=True)
class SequentialTest:
    """A test of a canary's counts against a rate, or against stable's counts with a margin.

    >>> test = SequentialTest(Rate(0.05))
    >>> test = test.update(canary=Counts(bad=4, total=10))
    >>> test = test.update(canary=Counts(bad=5, total=10))
    >>> test.e_value > 1 / 0.01
    True

    Rejecting when `e_value` reaches 1/alpha is wrong with a probability of at most alpha, however
    often one looks. `proof_value` is the same for the opposite: at 1/alpha it is shown that the
    canary keeps the bound. `fails_at` is the 1/alpha that you act on; no block of fewer than about
    a hundred answers reaches it by itself.
    """

    bound: Rate | Margin
    progress: Progress = field(default_factory=lambda: Progress(proof=begin(LESSER_EFFECTS)))
    fails_at: float = USUAL_LIMIT

    def update(self, *, stable: Counts = NOTHING, canary: Counts = NOTHING) -> "SequentialTest":
        """Take in the answers since the last update; counts of new answers, not running totals."""
        progress = advance(self.progress, self.bound, stable, canary, fails_at=self.fails_at)
        return replace(self, progress=progress)

    @property
    def e_value(self) -> float:
        """Evidence that the canary is worse than the bound allows; 1 at first."""
        return compute_e_value(self.progress.evidence)

    @property
    def proof_value(self) -> float:
        """Evidence that the canary keeps the bound; 1 at first."""
        return compute_e_value(self.progress.proof or begin(LESSER_EFFECTS))
