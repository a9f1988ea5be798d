"""Latency as a count: how many answers took longer than a bucket of the histogram says.

A histogram tells only how many answers were at or below each of its bounds, so every threshold
is one of those bounds, and the ratio that is really tested follows from them.
"""

from math import inf

from canarium.judge.metrics import Buckets
from canarium.judge.sequential import Counts

ANSWERS_TO_LEARN_FROM = 30


def count_slower(buckets: Buckets, seconds: float) -> Counts | None:
    """Count the answers slower than a bound of the histogram; None when it has no such bound."""
    total = buckets[-1][1]
    for bound, at_or_below in buckets:
        if bound == seconds:
            return Counts(total - at_or_below, total)
    return None


def round_up(buckets: Buckets, seconds: float) -> float | None:
    """Find the smallest finite bound of at least `seconds`, or None when there is none."""
    # A hair of slack: 1.2 * 0.25 must not miss the bucket 0.3 by a rounding error.
    return next((bound for bound, _ in buckets if seconds * (1 - 1e-9) <= bound < inf), None)


def add(first: Buckets | None, second: Buckets | None) -> Buckets | None:
    """Add two histograms, keeping the bounds that both have; None stands for none yet."""
    if first is None or second is None:
        return first or second
    counts = dict(second)
    return tuple((bound, count + counts[bound]) for bound, count in first if bound in counts)


def keep_bounds(first: Buckets | None, second: Buckets | None) -> Buckets | None:
    """Keep of a histogram the bounds that another one has, too; all where there is no other."""
    if first is None or second is None:
        return first
    bounds = {bound for bound, _ in second}
    return tuple(each for each in first if each[0] in bounds)


def choose_thresholds(
    stable: Buckets, canary: Buckets, quantile: float, ratio: float
) -> tuple[float, float] | None:
    """Choose (stable's, canary's) threshold in seconds, for "at most `ratio` times as slow".

    Stable's is the smallest bound that `quantile` of its answers keep, canary's is `ratio` times
    that, rounded up to a bound. Where that is beyond the histogram the highest pair that can be
    counted is taken; None when there is none.
    """
    total = stable[-1][1]
    chosen = None
    for bound, at_or_below in stable:
        slower = round_up(canary, bound * ratio)
        if bound == inf or slower is None:
            break
        chosen = (bound, slower)
        if total - at_or_below <= total * (1.0 - quantile) + 1e-9:
            break
    return chosen
