"""Figures of many rollouts: shares with their upper bound, medians, what any test would need."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, log

from scipy.optimize import minimize_scalar
from scipy.stats import beta

from benchmarks.judge.judges import ALPHA, Outcome


@dataclass(frozen=True, slots=True)
class Share:
    """How many of so many rollouts were taken back."""

    failed: int
    rollouts: int

    @property
    def value(self) -> float:
        return self.failed / self.rollouts

    @property
    def upper_bound(self) -> float:
        """The upper 99 % confidence bound (Clopper and Pearson)."""
        if self.failed == self.rollouts:
            return 1.0
        return float(beta.ppf(0.99, self.failed + 1, self.rollouts - self.failed))


def compute_share(outcomes: Sequence[Outcome]) -> Share:
    return Share(sum(outcome.failed for outcome in outcomes), len(outcomes))


def compute_quantile(numbers: Sequence[int], quantile: float) -> int:
    """Compute the smallest number that this share of them doesn't exceed."""
    return sorted(numbers)[ceil(quantile * len(numbers)) - 1]


def compute_requests(outcomes: Sequence[Outcome], quantile: float) -> int:
    return compute_quantile([outcome.canary_requests for outcome in outcomes], quantile)


def compute_information_bound(stable: float, canary: float, share: float) -> float:
    """Compute about how many canary requests any test with this alpha needs.

    ln(1/alpha) / min over p of [KL(canary, p) + (n_stable/n_canary) KL(stable, p)].
    """
    weight = (1 - share) / share
    nearest = minimize_scalar(
        lambda rate: diverge(canary, rate) + weight * diverge(stable, rate),
        bounds=(min(stable, canary), max(stable, canary)),
        method="bounded",
        options={"xatol": 1e-10},
    )
    return log(1 / ALPHA) / float(nearest.fun)


def diverge(rate: float, other: float) -> float:
    """Compute the Kullback-Leibler divergence of two rates."""
    return rate * log(rate / other) + (1 - rate) * log((1 - rate) / (1 - other))
