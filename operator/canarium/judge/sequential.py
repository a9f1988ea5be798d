"""Sequential tests on counts that stay valid however often one looks at them.

Each test is an e-process: a product, over blocks of answers, of bets against "the canary is no
worse than its bound allows". While that holds, the process exceeds 1/alpha with a probability of
at most alpha over all time (Ville's inequality), so a rollback at 1/alpha is wrong that rarely.

Sources: Turner, Ly and Grünwald, "Generic E-variables for exact sequential k-sample tests that
allow for optional stopping" (blocks of any size), and Turner and Grünwald, "Exact anytime-valid
confidence intervals for contingency tables and beyond" (a null with a margin).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, inf, log, log1p
from typing import Literal

EFFECTS = (1.15, 1.4, 2.0, 3.5, 8.0, 25.0, 150.0)
"""How many times the odds that the bound allows a bad canary may have: what is bet on, evenly.

A bet on more than about twice the true effect loses, so without the small ones there is a zone
beyond the bound in which evidence shrinks for ever.
"""
LESSER_EFFECTS = (0.8, 0.5, 0.25, 0.1, 0.01)
"""The same for a good canary, where it is to be proven that it keeps its bound."""

BLOCKS_BETWEEN_STARTS = 20
LOG_CEILING = 600.0
"""Far beyond every rejection, and its exponential is still a number that JSON can carry."""
LEAST_ALPHA = 1e-100
"""Evidence is never counted beyond the ceiling, so that a smaller one would never be reached."""

FIRST_STAKE = 0.65
"""What the process at the start of a rollout has; the rest is for those that start later."""

_BEGINNING = log(FIRST_STAKE)
_PRIOR_BAD, _PRIOR_TOTAL = 0.5, 50.0
_LEAST_RATE = 1e-9
_LEAST_RATE_BET_ON = 1e-3
_MOST_RATE = 0.999


@dataclass(frozen=True, slots=True)
class Counts:
    """Answers of one revision: `bad` ones among `total`.

    Raises ValueError for counts that cannot be.
    """

    bad: int = 0
    total: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.bad <= self.total:
            raise ValueError(f"{self.bad} bad ones of {self.total} cannot be")

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(self.bad + other.bad, self.total + other.total)


NOTHING = Counts()


@dataclass(frozen=True, slots=True)
class Learned:
    """Answers that were seen before, of which older ones count less."""

    bad: float = 0.0
    total: float = 0.0

    def learn(self, block: Counts, kept: float) -> "Learned":
        """Take a block in; of what was learned so far the part `kept`, 0 to 1, stays."""
        return Learned(kept * self.bad + block.bad, kept * self.total + block.total)


UNLEARNED = Learned()


@dataclass(frozen=True, slots=True)
class Rate:
    """A bound by itself: the canary's rate may be at most `value`, 0 to 1."""

    value: float

    def __post_init__(self) -> None:
        if not 0.0 <= self.value <= 1.0:
            raise ValueError("a rate has to be between 0 and 1")


@dataclass(frozen=True, slots=True)
class Margin:
    """By how much the canary's rate may exceed stable's: p + value, or p * value.

    A difference is 0 to 1, a ratio at least 1.
    """

    kind: Literal["Difference", "Ratio"]
    value: float

    def __post_init__(self) -> None:
        if self.kind == "Difference" and not 0.0 <= self.value <= 1.0:
            raise ValueError("a difference of rates has to be between 0 and 1")
        if self.kind == "Ratio" and not 1.0 <= self.value < inf:
            raise ValueError("a ratio of rates has to be a number of at least 1")

    def allows(self, rate: float) -> float:
        """Compute the highest rate that a canary may have beside a stable with this one."""
        return rate + self.value if self.kind == "Difference" else rate * self.value


@dataclass(frozen=True, slots=True)
class Evidence:
    """A mixture of e-processes, one for each effect and start, held as one number an effect.

    A process that starts late is 1 until then, so the sum of those that have started obeys
    M <- (M + weight of the new one) * e(block): nothing else has to be kept of them. A late start
    is what keeps a long step from going blind: an old process has lost its stake to the thousands
    of good answers before a regression, a young one hasn't.
    """

    logs: tuple[float, ...]
    starts: int
    blocks: int


def check_alpha(alpha: float) -> None:
    """Raise ValueError, with a sentence, for an alpha that means nothing or is never reached."""
    if not 0.0 < alpha < 1.0:
        raise ValueError("alpha has to be between 0 and 1")
    if alpha < LEAST_ALPHA:
        raise ValueError(f"alpha has to be at least {LEAST_ALPHA:g}")


def compute_unstarted(starts: int) -> float:
    """Compute the weight of the processes yet to start, after so many: 1, then falling slowly.

    The weights of the starts are the differences, so they sum to 1. The slow tail costs nothing at
    the beginning and finds late regressions sooner than 1/((j+1)(j+2)) does.
    """
    return 1.0 if starts == 0 else (1.0 - FIRST_STAKE) * float(starts) ** -0.25


def begin(effects: Sequence[float] = EFFECTS) -> Evidence:
    """Start the first process for so many effects: evidence of exactly 1, most of it at stake."""
    return Evidence((_BEGINNING,) * len(effects), starts=1, blocks=0)


def start_another(evidence: Evidence) -> Evidence:
    """Start one more process; when to do so may depend on all that was seen before, but no more."""
    weight = log(compute_unstarted(evidence.starts) - compute_unstarted(evidence.starts + 1))
    logs = tuple(_log_sum(value, weight) for value in evidence.logs)
    return Evidence(logs, evidence.starts + 1, blocks=0)


def multiply(evidence: Evidence, bets: Sequence[float], most: float = inf) -> Evidence:
    """Multiply by a block's e-values (their logarithms, one an effect), computed without it.

    `most` is by how much the block may lift a process (in logarithms), from where it began or
    stands above that: to leave out a part of a gain is to bet less.
    """
    logs = tuple(
        min(value + bet, max(value, _BEGINNING) + most, LOG_CEILING)
        for value, bet in zip(evidence.logs, bets, strict=True)
    )
    grown = Evidence(logs, evidence.starts, evidence.blocks + 1)
    return start_another(grown) if grown.blocks >= BLOCKS_BETWEEN_STARTS else grown


def compute_e_value(evidence: Evidence) -> float:
    """Compute the e-value: the evidence against the canary, 1 at first, a fail at 1/alpha."""
    mixed = sum(exp(value) for value in evidence.logs) / len(evidence.logs)
    return mixed + compute_unstarted(evidence.starts)


def bet_on_rate(
    canary: Counts, allowed: float, effects: tuple[float, ...] = EFFECTS
) -> tuple[float, ...]:
    """Compute the log e-values of a block against "the canary's rate is at most `allowed`".

    With LESSER_EFFECTS the bets are against "it is at least `allowed`".
    """
    upwards, null = effects[0] > 1.0, max(allowed, _LEAST_RATE)
    if null >= _MOST_RATE or (allowed <= _LEAST_RATE and not upwards):
        return (0.0,) * len(effects)
    # A bet on a rate hardly above none would take a million answers to be won.
    base = max(null, _LEAST_RATE_BET_ON) if upwards else null
    return tuple(_log_ratio(canary, rate, null) for rate in _multiply_odds(base, effects))


def bet_on_margin(
    stable: Counts,
    canary: Counts,
    margin: Margin,
    learned: Counts | Learned,
    effects: tuple[float, ...] = EFFECTS,
) -> tuple[float, ...]:
    """Compute the log e-values of a block against "the canary's rate is within the margin".

    With LESSER_EFFECTS the bets are against "it is at the margin or beyond". `learned` is what
    stable answered in *earlier* blocks; bets that look at the block itself would prove anything.
    A block that lacks one side says nothing: all zero.
    """
    stable_rate = (learned.bad + _PRIOR_BAD) / (learned.total + _PRIOR_TOTAL)
    allowed = margin.allows(stable_rate)
    if not stable.total or not canary.total or allowed >= _MOST_RATE:
        return (0.0,) * len(effects)
    bets = []
    for rate in _multiply_odds(allowed, effects):
        null = project(stable_rate, rate, stable.total / canary.total, margin)
        worse = _log_ratio(canary, rate, margin.allows(null))
        bets.append(worse + _log_ratio(stable, stable_rate, null))
    return tuple(bets)


def project(stable_rate: float, canary_rate: float, split: float, margin: Margin) -> float:
    """Find the stable rate at which the margin's edge comes nearest to a pair of rates.

    The pair lies beyond the margin, to show that the canary is worse, or within, to show that it
    is not; the null is the other side, and is convex both times.

    Nearest in the sense of the Kullback-Leibler divergence of a block with `split` stable answers
    for each of the canary's. The null being convex, the likelihood ratio against that point has an
    expectation of at most 1 everywhere in it.
    """
    if margin.kind == "Ratio":
        return _project_on_ratio(stable_rate, canary_rate, split, margin.value)
    if margin.value == 0.0:
        return (split * stable_rate + canary_rate) / (split + 1.0)
    return _project_on_difference(stable_rate, canary_rate, split, margin.value)


def _project_on_ratio(stable_rate: float, canary_rate: float, split: float, ratio: float) -> float:
    # The divergence is flat where split(p-s)(1-rp) + (rp-c)(1-p) = 0; of its two roots the
    # smaller one is within the unit square. Written so that near numbers are never subtracted.
    square = ratio * (split + 1.0)
    linear = split * (1.0 + ratio * stable_rate) + ratio + canary_rate
    constant = split * stable_rate + canary_rate
    root: float = (linear * linear - 4.0 * square * constant) ** 0.5
    return 2.0 * constant / (linear + root)


def _project_on_difference(
    stable_rate: float, canary_rate: float, split: float, margin: float
) -> float:
    # Newton's method on the numerator of the divergence's slope, which has one root between the
    # two ends; a step that leaves the bracket is replaced by halving it.
    low, high = sorted((stable_rate, max(canary_rate - margin, 0.0)))
    rate = (split * stable_rate + max(canary_rate - margin, 0.0)) / (split + 1.0)
    for _ in range(60):
        shifted = rate + margin
        stable_miss, stable_spread = split * (rate - stable_rate), rate * (1.0 - rate)
        canary_miss, canary_spread = shifted - canary_rate, shifted * (1.0 - shifted)
        slope = stable_miss * canary_spread + canary_miss * stable_spread
        if slope > 0.0:
            high = rate
        else:
            low = rate
        rise = (
            split * canary_spread
            + stable_spread
            + stable_miss * (1.0 - 2.0 * shifted)
            + canary_miss * (1.0 - 2.0 * rate)
        )
        moved = rate - slope / rise if rise > 0.0 else low
        if not low <= moved <= high:
            moved = 0.5 * (low + high)
        if abs(moved - rate) <= 1e-14:
            break
        rate = moved
    return rate


def _multiply_odds(allowed: float, effects: tuple[float, ...]) -> tuple[float, ...]:
    odds = allowed / (1.0 - allowed)
    return tuple(effect * odds / (1.0 + effect * odds) for effect in effects)


def _log_ratio(counts: Counts, rate: float, null: float) -> float:
    good = counts.total - counts.bad
    value = good * (log1p(-rate) - log1p(-null)) if good else 0.0
    return value + counts.bad * log(rate / null) if counts.bad else value


def _log_sum(first: float, second: float) -> float:
    high, low = (first, second) if first > second else (second, first)
    return high + log1p(exp(low - high))
