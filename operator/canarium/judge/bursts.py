"""Answers that depend on each other: how far the evidence has to be toned down.

Errors that come in bursts of k are like one error that is counted k times. Raising the likelihood
ratio of such counts to the power 1/k gives that of the bursts; and an e-value raised to a power of
at most 1 is an e-value still (Jensen's inequality), so that toning down never breaks the promise
that is made for independent answers. The power for a block is learned from earlier ones.

Source of the measure: von Neumann, "Distribution of the ratio of the mean square successive
difference to the variance". Differences of neighbours leave out what drifts slowly.
"""

from dataclasses import dataclass

from canarium.judge.sequential import NOTHING, Counts

_PRIOR_BAD = 1.0
"""Bad answers that speak for independence before any has been seen."""


@dataclass(frozen=True, slots=True)
class Overdispersion:
    """How stable's share of bad answers jumps from block to block.

    `roughness` sums, over `pairs` of neighbouring blocks, the squared jump over 1/n + 1/n'; each
    is expected to be p (1 - p) while answers are independent.
    """

    last: Counts = NOTHING
    pairs: int = 0
    roughness: float = 0.0


UNSCATTERED = Overdispersion()


def add_block(scatter: Overdispersion, block: Counts) -> Overdispersion:
    """Take in stable's answers of one more block; one without answers is skipped."""
    last = scatter.last
    if not block.total:
        return scatter
    if not last.total:
        return Overdispersion(block, scatter.pairs, scatter.roughness)
    jump = block.bad / block.total - last.bad / last.total
    roughness = jump * jump / (1.0 / block.total + 1.0 / last.total)
    return Overdispersion(block, scatter.pairs + 1, scatter.roughness + roughness)


def compute_dispersion(scatter: Overdispersion, learned: Counts) -> float:
    """Compute the variance of stable's counts over that of independent answers, at least 1.

    `learned` is what stable answered in all these blocks. It is about the number of bad answers
    in a burst, and 1 as long as stable has had none.
    """
    rarer = min(learned.bad, learned.total - learned.bad)
    if not rarer or not scatter.pairs:
        return 1.0
    rate = learned.bad / learned.total
    found = scatter.roughness / (scatter.pairs * rate * (1.0 - rate))
    return max(1.0, (found * rarer + _PRIOR_BAD) / (rarer + _PRIOR_BAD))


def compute_most(answers: int) -> float:
    """Compute the logarithm of the evidence that a block of so many answers may make of none.

    All answers of a small block may be one burst: one of them alone decides nothing, and two in a
    row can, however many good ones were before. A block of a hundred may decide by itself.
    """
    return 5.0 + answers / 30.0
