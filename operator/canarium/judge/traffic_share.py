"""Whether the canary answers at all: its completions against what its weight should bring.

A canary that hangs completes nothing, and so shows no error and no slow answer.
"""

from math import inf

from canarium.judge.metrics import Buckets, Metric, Reading
from canarium.judge.sequential import Counts, Rate

METRIC = Metric("traffic-share", "Ratio", source="")
"""Of no source: whatever reading comes with a share is counted."""

LEAST_PART = 0.25
"""Of its share. A canary that is merely slow falls behind only while its answers pile up; and there
may be three callers who go past the gateway, to stable, for each who doesn't."""
SLOWER = 3.0
"""So much slower than stable's slowest answers a canary may be before it is waited for no more."""
_QUANTILE = 0.99


def make_bound(share: float) -> Rate:
    """Make the bound of the check: of all answers at most this share may be stable's."""
    return Rate(1.0 - LEAST_PART * share)


def count(reading: Reading, share: float | None) -> Counts | None:
    """Count stable's answers among both sides'; None when the reading tells nothing about shares.

    A side that couldn't be read, or has no counter of its answers, has not answered nothing.
    """
    if share is None or not 0.0 < share < 1.0 or reading.stable is None or reading.canary is None:
        return None
    stable, canary = reading.stable.requests, reading.canary.requests
    if stable is None or canary is None:
        return None
    return Counts(stable, stable + canary)


def compute_wait(history: Buckets | None) -> float:
    """Compute for how many seconds a step is too young to tell, by how long stable takes.

    What the canary was given when the step began is answered only when its time is over. 0 when
    the server doesn't say how long its answers take.
    """
    if history is None or not history[-1][1]:
        return 0.0
    enough = _QUANTILE * history[-1][1]
    slowest = 0.0
    for bound, at_or_below in history:
        slowest = bound if bound < inf else slowest
        if at_or_below >= enough:
            break
    return SLOWER * slowest
