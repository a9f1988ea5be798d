"""The rank-sum judge of Spinnaker's Kayenta, with its meaning kept, for gauges.

A Mann-Whitney test of one look: it has no guarantee for whoever looks again and again. scipy ranks
and tests; it is imported when the first such metric is decided, because it takes 98 MiB.

Sources: Mann and Whitney, "On a test of whether one of two random variables is stochastically
larger than the other"; Hodges and Lehmann, "Estimates of location based on rank tests"; Kayenta's
MannWhitneyClassifier for what High and Low mean.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from itertools import pairwise
from statistics import fmean, median
from typing import Literal

CONFIDENCE = 0.98
TOLERANCE = 0.25
"""The part of the estimated shift that its interval has to stay away from zero."""
LEAST_READINGS = 5
"""A side; with fewer no difference whatsoever is significant at 98 %."""

Label = Literal["High", "Low", "Same"]
MISSING = "RankSum needs scipy: install the extra canarium[stats]"


@dataclass(frozen=True, slots=True)
class Comparison:
    """How the canary's readings lie to stable's, in the unit of the gauge.

    `effect` is the ratio of the means, None where that says nothing: a mean of zero or below.
    """

    label: Label
    interval: tuple[float, float]
    estimate: float
    effect: float | None


def is_available() -> bool:
    """Tell whether scipy is installed, without importing it."""
    return find_spec("scipy") is not None


def prepare() -> None:
    """Import scipy now, if it is installed: that takes a second, which a decision hasn't got."""
    if is_available():
        import_module("scipy.stats")


@lru_cache(maxsize=64)
def compare(
    stable: tuple[float, ...],
    canary: tuple[float, ...],
    allowed_increase: float = 1.0,
    allowed_decrease: float = 1.0,
) -> Comparison:
    """Compare readings of both sides, at least one each, all finite.

    High when the whole interval of the shift is above 0.25 times its estimate and the means' ratio
    is at least `allowed_increase`; Low the other way round. Raises ImportError without scipy.
    """
    low, high = compute_shift_interval(stable, canary)
    estimate, effect = estimate_shift(stable, canary), _compute_effect(stable, canary)
    edge, label = TOLERANCE * abs(estimate), "Same"
    if low > edge and (effect is None or effect >= allowed_increase):
        label = "High"
    elif high < -edge and (effect is None or effect <= allowed_decrease):
        label = "Low"
    return Comparison(label, (low, high), estimate, effect)  # type: ignore[arg-type]  # a Label


def estimate_shift(stable: Sequence[float], canary: Sequence[float]) -> float:
    """Estimate by how much the canary's readings are shifted (Hodges and Lehmann)."""
    return median(new - old for new in canary for old in stable)


def compute_shift_interval(
    stable: Sequence[float], canary: Sequence[float], confidence: float = CONFIDENCE
) -> tuple[float, float]:
    """Compute the interval of the shifts that the two-sided test doesn't reject.

    Normal approximation, corrected for ties and by 0.5 for continuity. The test changes its mind
    only at differences between two readings, so the ends are two of those; where there are too
    few readings to reject any shift they are the smallest and the largest difference.
    Raises ImportError without scipy.
    """
    shifts = sorted({new - old for new in canary for old in stable})
    between = [0.5 * (first + second) for first, second in pairwise(shifts)]
    limit = (1.0 - confidence) / 2.0
    low = _count_rejected(stable, canary, between, limit, "greater")
    high = _count_rejected(stable, canary, between[::-1], limit, "less")
    return shifts[low], shifts[-1 - high]


def _count_rejected(
    stable: Sequence[float],
    canary: Sequence[float],
    shifts: Sequence[float],
    limit: float,
    alternative: Literal["greater", "less"],
) -> int:
    """Count the shifts that are rejected, which come before all that aren't."""
    test = import_module("scipy.stats").mannwhitneyu
    first, last = 0, len(shifts)
    while first < last:
        middle = (first + last) // 2
        moved = [value - shifts[middle] for value in canary]
        found = test(
            moved, stable, use_continuity=True, alternative=alternative, method="asymptotic"
        )
        if found.pvalue < limit:
            first = middle + 1
        else:
            last = middle
    return first


def _compute_effect(stable: Sequence[float], canary: Sequence[float]) -> float | None:
    means = fmean(stable), fmean(canary)
    return means[1] / means[0] if min(means) > 0.0 else None
