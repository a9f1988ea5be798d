"""Intervals for people: where a rate lies, and how far apart two rates are.

They are confidence sequences: true at every moment at once with the stated confidence, so they
may be watched. Source: Robbins, "Statistical methods related to the law of the iterated
logarithm", with a Beta(1/2, 1/2) mixture.
"""

from math import inf, lgamma, log, log1p

from canarium.judge.sequential import Counts

CONFIDENCE = 0.95


def compute_rate_interval(counts: Counts, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Compute the bounds of a rate, each 0 to 1; all of it when nothing was counted."""
    if not counts.total:
        return 0.0, 1.0
    observed = counts.bad / counts.total
    limit = log(1.0 / (1.0 - confidence))
    low = _find_edge(counts, limit, outside=0.0, inside=observed)
    high = _find_edge(counts, limit, outside=1.0, inside=observed)
    return low, high


def compute_difference_interval(
    stable: Counts, canary: Counts, confidence: float = CONFIDENCE
) -> tuple[float, float]:
    """Compute the bounds of canary's rate minus stable's, -1 to 1, from an interval of each."""
    each = 1.0 - (1.0 - confidence) / 2.0
    stable_low, stable_high = compute_rate_interval(stable, each)
    canary_low, canary_high = compute_rate_interval(canary, each)
    return canary_low - stable_high, canary_high - stable_low


def compute_ratio_interval(
    stable: Counts, canary: Counts, confidence: float = CONFIDENCE
) -> tuple[float, float]:
    """Compute the bounds of canary's rate over stable's, 0 to infinity, from an interval of each.

    Infinity means that stable's rate may be zero.
    """
    each = 1.0 - (1.0 - confidence) / 2.0
    stable_low, stable_high = compute_rate_interval(stable, each)
    canary_low, canary_high = compute_rate_interval(canary, each)
    return canary_low / stable_high, canary_high / stable_low if stable_low else inf


def _find_edge(counts: Counts, limit: float, outside: float, inside: float) -> float:
    """Find where a rate stops being believable, going from an unbelievable one inwards."""
    bad, good = counts.bad, counts.total - counts.bad
    mixture = _log_beta(bad + 0.5, good + 0.5) - _log_beta(0.5, 0.5)
    if mixture - _log_likelihood(outside, bad, good) < limit:
        return outside
    for _ in range(30):
        middle = 0.5 * (outside + inside)
        if mixture - _log_likelihood(middle, bad, good) < limit:
            inside = middle
        else:
            outside = middle
    return outside


def _log_likelihood(rate: float, bad: int, good: int) -> float:
    if (rate == 0.0 and bad) or (rate == 1.0 and good):
        return -inf
    return (bad * log(rate) if bad else 0.0) + (good * log1p(-rate) if good else 0.0)


def _log_beta(first: float, second: float) -> float:
    return lgamma(first) + lgamma(second) - lgamma(first + second)
