"""Answers that depend on each other: how far the evidence has to be toned down.

Errors that come in bursts of k are like one error that is counted k times. Raising the likelihood
ratio of such counts to the power 1/k gives that of the bursts; and an e-value raised to a power of
at most 1 is an e-value still (Jensen's inequality), so that toning down never breaks the promise
that is made for independent answers. The power for a block is learned from earlier ones.

What is measured is the *difference* of the two sides' rates, from one block to the next: a swing
that both share leaves it as it is, a burst on either side doesn't, and a canary that is worse all
the time has a difference that stays. Bursts that last are seen over several blocks together.

Source of the measure: von Neumann, "Distribution of the ratio of the mean square successive
difference to the variance". Differences of neighbours leave out what drifts slowly.
"""

from dataclasses import dataclass
from math import log, sqrt

from canarium.judge.sequential import NOTHING, Counts

SPANS = (1, 4, 16)
"""Blocks that are taken together before they are compared with the next so many."""
ENOUGH_TO_DECIDE = 100
"""Answers of the canary with which a block comes near to deciding by itself; with twice as many it
may."""

_SHARE_OF_TWO = 0.64
"""For an alpha of some percent: with it two blocks come to what is needed, where three of the bets
gain all that they may."""
_PRIOR_BAD = 1.0
"""Bad answers that speak for independence before any has been seen."""
_BAD_A_PAIR = 4.0
"""Bad answers for which a pair of spans counts at most: few pairs tell little of many answers."""
_DEVIATIONS = 1.0
"""Standard deviations by which the scatter has to exceed what chance brings."""
_VARIANCE_OF_A_PAIR = 3.0
"""Of the mean of so many squared successive differences, times their number, where 1 is expected.

Of one the variance is 2; each shares a block with its neighbour, by which it is correlated 1/4.
"""


@dataclass(frozen=True, slots=True)
class Span:
    """How the difference of both sides' rates jumps between neighbouring spans of blocks.

    `roughness` sums the squared jumps, each divided by the sum of 1/n over both sides of both
    spans, so that all pairs count alike; `stable_part` sums what stable has of that divisor, as a
    part of 1.
    """

    stable: Counts = NOTHING
    canary: Counts = NOTHING
    blocks: int = 0
    """In the span that isn't full yet, whose answers the first two are."""
    last_stable: Counts = NOTHING
    last_canary: Counts = NOTHING
    pairs: int = 0
    roughness: float = 0.0
    stable_part: float = 0.0


@dataclass(frozen=True, slots=True)
class Scatter:
    """What all blocks answered, and how it jumped, over each of SPANS."""

    stable: Counts = NOTHING
    canary: Counts = NOTHING
    spans: tuple[Span, ...] = (Span(),) * len(SPANS)


UNSCATTERED = Scatter()


def add_block(scatter: Scatter, stable: Counts, canary: Counts) -> Scatter:
    """Take in the answers of one more block; one that lacks a side is skipped."""
    if not stable.total or not canary.total:
        return scatter
    spans = zip(scatter.spans, SPANS, strict=True)
    return Scatter(
        scatter.stable + stable,
        scatter.canary + canary,
        tuple(_add(span, stable, canary, size) for span, size in spans),
    )


def compute_dispersion(scatter: Scatter) -> float:
    """Compute the variance of the difference over that of independent answers, at least 1.

    It is about the number of bad answers in a burst, by the span that shows it best, and 1 as long
    as there are no bad answers.
    """
    spread = _compute_spread(scatter.stable), _compute_spread(scatter.canary)
    rarer = _count_rarer(scatter.stable) + _count_rarer(scatter.canary)
    if not rarer:
        return 1.0
    return max(1.0, *(_compare(span, spread, rarer) for span in scatter.spans))


def compute_most(answers: int, fails_at: float) -> float:
    """Compute the logarithm of the evidence that a block of so many answers may make of none.

    All answers of a small block may be one burst: one of them alone doesn't reach `fails_at`, and
    two in a row can, however many good ones were before. How much more a larger one may is set by
    ENOUGH_TO_DECIDE.
    """
    needed = log(fails_at)
    return max(needed - 1.0, 0.5 * needed + _SHARE_OF_TWO) + answers / ENOUGH_TO_DECIDE


def _add(span: Span, stable: Counts, canary: Counts, size: int) -> Span:
    stable, canary = span.stable + stable, span.canary + canary
    kept = span.pairs, span.roughness, span.stable_part
    if span.blocks + 1 < size:
        return Span(stable, canary, span.blocks + 1, span.last_stable, span.last_canary, *kept)
    if not span.last_stable.total:
        return Span(NOTHING, NOTHING, 0, stable, canary, *kept)
    of_stable = 1.0 / stable.total + 1.0 / span.last_stable.total
    of_canary = 1.0 / canary.total + 1.0 / span.last_canary.total
    both = of_stable + of_canary
    jump = _differ(stable, canary) - _differ(span.last_stable, span.last_canary)
    return Span(
        NOTHING,
        NOTHING,
        0,
        stable,
        canary,
        span.pairs + 1,
        span.roughness + jump * jump / both,
        span.stable_part + of_stable / both,
    )


def _compare(span: Span, spread: tuple[float, float], rarer: int) -> float:
    canary_part = span.pairs - span.stable_part
    expected = span.stable_part * spread[0] + canary_part * spread[1]
    if not expected:
        return 1.0
    found = span.roughness / expected - _DEVIATIONS * sqrt(_VARIANCE_OF_A_PAIR / span.pairs)
    # A single jump is what a change for the worse looks like, too.
    weight = min(float(rarer), _BAD_A_PAIR * (span.pairs - 1))
    return (found * weight + _PRIOR_BAD) / (weight + _PRIOR_BAD)


def _differ(stable: Counts, canary: Counts) -> float:
    return canary.bad / canary.total - stable.bad / stable.total


def _compute_spread(counts: Counts) -> float:
    """The variance of a single answer."""
    if not counts.total:
        return 0.0
    rate = counts.bad / counts.total
    return rate * (1.0 - rate)


def _count_rarer(counts: Counts) -> int:
    return min(counts.bad, counts.total - counts.bad)
