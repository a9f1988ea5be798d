"""Experiments: which of two versions does better by a business figure, such as conversions.

Two sequential tests, one in each direction, that share alpha: the wrong one of two versions, or
either of two equal ones, is called better with a probability of at most alpha over all time.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from math import inf
from typing import Any, Literal

from msgspec import Struct, ValidationError, convert, to_builtins

from canarium.judge.intervals import compute_difference_interval
from canarium.judge.rows import Row, Verdict, say_points, say_rate
from canarium.judge.saved import (
    BothCounts,
    SavedProgress,
    flatten,
    load_progress,
    save_progress,
    unflatten,
)
from canarium.judge.sequential import (
    NOTHING,
    Counts,
    Margin,
    begin,
    check_alpha,
    compute_e_value,
)
from canarium.judge.single import Progress, advance

Outcome = Literal["CanaryBetter", "CanaryWorse", "Undecided"]

EFFECTS = (1.03, 1.1, 1.25, 1.6, 3.0)
"""How many times the odds of the other a version may have: business figures differ by little."""
VERSION = 2

_SAME = Margin("Difference", 0.0)
_VERDICTS: Mapping[Outcome, Verdict] = {
    "CanaryBetter": "Pass",
    "CanaryWorse": "Fail",
    "Undecided": "Inconclusive",
}


@dataclass(frozen=True, slots=True)
class Experiment:
    """The state of an experiment. What is counted as `bad` is the event that is being compared."""

    alpha: float
    higher_is_better: bool
    more: Progress = field(default_factory=lambda: Progress(begin(EFFECTS)))
    """Against "the canary has no more of it than stable"."""
    fewer: Progress = field(default_factory=lambda: Progress(begin(EFFECTS)))
    """Against "the canary has no less of it than stable"."""
    stable: Counts = NOTHING
    canary: Counts = NOTHING
    outcome: Outcome = "Undecided"

    @property
    def decided_at(self) -> float:
        """The e-value at which either of the two tests decides."""
        return 2.0 / self.alpha


def start_experiment(alpha: float = 0.05, *, higher_is_better: bool = True) -> Experiment:
    """Start to compare. Raises ValueError when alpha isn't between LEAST_ALPHA and 1."""
    check_alpha(alpha)
    return Experiment(alpha, higher_is_better)


def observe_experiment(experiment: Experiment, stable: Counts, canary: Counts) -> Experiment:
    """Take in what was counted since the last time: events among those who could have one.

    Count people, or what else is assigned to one version, each once: repeated events of one
    person depend on each other. What is decided stays decided.
    """
    if experiment.outcome != "Undecided":
        return experiment
    # Small differences need a rate that is known well, so nothing that was learned fades.
    look = partial(advance, fails_at=experiment.decided_at, effects=EFFECTS, memory=inf)
    seen = replace(
        experiment,
        more=look(experiment.more, _SAME, stable, canary),
        fewer=look(experiment.fewer, _SAME, canary, stable),
        stable=experiment.stable + stable,
        canary=experiment.canary + canary,
    )
    return replace(seen, outcome=_decide(seen))


def verdict_experiment(experiment: Experiment) -> Outcome:
    """Say which version is better, once that is decided."""
    return experiment.outcome


def make_experiment_row(experiment: Experiment, name: str) -> Row:
    """Say what was found, in the form of a check: evidence for worse, and as `proof` for better.

    It passes when the canary is better and fails when it is worse.
    """
    better, worse = _compute_evidence(experiment)
    interval = _compute_interval(experiment)
    return Row(
        metric=name,
        check="experiment",
        verdict=_VERDICTS[experiment.outcome],
        reason=experiment.outcome,
        message=_say(experiment, interval),
        stable_bad=experiment.stable.bad,
        stable_total=experiment.stable.total,
        canary_bad=experiment.canary.bad,
        canary_total=experiment.canary.total,
        e_value=worse,
        fails_at=experiment.decided_at,
        bound=0.0,
        interval=interval,
        threshold_seconds=None,
        tested_ratio=None,
        proof=better,
    )


def _decide(experiment: Experiment) -> Outcome:
    better, worse = _compute_evidence(experiment)
    if max(better, worse) < experiment.decided_at:
        return "Undecided"
    return "CanaryBetter" if better > worse else "CanaryWorse"


def _compute_evidence(experiment: Experiment) -> tuple[float, float]:
    """Compute the e-values of "it is better" and "it is worse"."""
    more = compute_e_value(experiment.more.evidence)
    fewer = compute_e_value(experiment.fewer.evidence)
    return (more, fewer) if experiment.higher_is_better else (fewer, more)


def _compute_interval(experiment: Experiment) -> tuple[float, float] | None:
    if not experiment.stable.total or not experiment.canary.total:
        return None
    return compute_difference_interval(experiment.stable, experiment.canary)


def _say(experiment: Experiment, interval: tuple[float, float] | None) -> str:
    if interval is None:
        return "nothing has been counted yet of one version or of both"
    better, worse = _compute_evidence(experiment)
    low, high = interval
    return (
        f"canary: {_describe(experiment.canary)}; stable: {_describe(experiment.stable)};"
        f" difference {say_points(low)} to {say_points(high)}; evidence that it is better"
        f" {better:.3g}, worse {worse:.3g}, decided at {experiment.decided_at:.4g}"
    )


def _describe(counts: Counts) -> str:
    rate = counts.bad / counts.total if counts.total else 0.0
    return f"{counts.bad} of {counts.total} ({say_rate(rate)})"


class _Saved(Struct, frozen=True, forbid_unknown_fields=True):
    """An experiment as it is kept."""

    version: int
    higher: bool
    more: SavedProgress
    fewer: SavedProgress
    counts: BothCounts
    outcome: Outcome


def dump_experiment(experiment: Experiment) -> dict[str, Any]:
    """Write the state of an experiment as a few JSON values."""
    saved = _Saved(
        version=VERSION,
        higher=experiment.higher_is_better,
        more=save_progress(experiment.more),
        fewer=save_progress(experiment.fewer),
        counts=flatten(experiment.stable, experiment.canary),
        outcome=experiment.outcome,
    )
    dumped: dict[str, Any] = to_builtins(saved)
    return dumped


def load_experiment(
    dumped: object, alpha: float = 0.05, *, higher_is_better: bool = True
) -> Experiment:
    """Carry an experiment on from what `dump_experiment` wrote; what makes no sense starts anew."""
    fresh = start_experiment(alpha, higher_is_better=higher_is_better)
    try:
        saved = convert(dumped, _Saved)
        more, fewer = load_progress(saved.more, fresh.more), load_progress(saved.fewer, fresh.fewer)
        stable, canary = unflatten(saved.counts)
    except (ValidationError, ValueError):
        return fresh
    if (saved.version, saved.higher) != (VERSION, higher_is_better):
        return fresh
    return replace(
        fresh,
        more=more,
        fewer=fewer,
        stable=stable,
        canary=canary,
        outcome=saved.outcome,
    )
