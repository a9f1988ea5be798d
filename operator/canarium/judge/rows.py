"""The form in which a check is shown to people, and the words that all checks share."""

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["Pass", "Fail", "Inconclusive", "NoData"]
CheckKind = Literal["max", "min", "vsStable", "share", "experiment"]

WORST_FIRST: tuple[Verdict, ...] = ("Fail", "NoData", "Inconclusive", "Pass")


@dataclass(frozen=True, slots=True)
class Row:
    """One check: its verdict, why, and the evidence. Counts are those of the present step.

    `e_value` grows with the evidence against the canary, over the whole rollout; the check fails
    at `fails_at`. `proof` grows with the evidence that it keeps its bound, in this step
    (decide Early). `interval` is where the canary's rate lies (max), or by how much it exceeds
    stable's (vsStable), at 95 % at all times. For Latency a bad answer is one slower than
    `threshold_seconds`; `tested_ratio` is what the buckets have made of maxRatio. In the row of
    `traffic-share` a bad answer is one of stable's, and the total is both sides'.

    A Gauge has no e-value. Its counts are readings, and bad ones were beyond the bound; `value`
    and `stable_value` are the last ones read. With RankSum `interval` is the 98 % interval of
    the shift and `estimate` the shift, in the gauge's own unit.
    """

    metric: str
    check: CheckKind
    verdict: Verdict
    reason: str
    message: str
    stable_bad: int
    stable_total: int
    canary_bad: int
    canary_total: int
    e_value: float | None
    fails_at: float | None
    bound: float
    interval: tuple[float, float] | None
    threshold_seconds: float | None
    tested_ratio: float | None
    proof: float | None = None
    value: float | None = None
    stable_value: float | None = None
    estimate: float | None = None


def say_rate(rate: float) -> str:
    """Write a share of 0 to 1 as people do: 5%."""
    return f"{100 * rate:.3g}%"


def say_points(difference: float) -> str:
    """Write a difference of two shares: 0.5 points."""
    return f"{100 * difference:.3g} points"


def say_seconds(seconds: float) -> str:
    """Write a duration: 250 ms, 1.5 s."""
    return f"{1000 * seconds:.3g} ms" if seconds < 1.0 else f"{seconds:.3g} s"
