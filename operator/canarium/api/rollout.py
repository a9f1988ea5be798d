"""How a new version is rolled out: steps, what it is judged by, and how long one can go back."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from canarium.api.durations import DURATION_PATTERN, RATIO_PATTERN, parse_duration
from canarium.api.rules import Model, Rule, keyed
from canarium.api.scalars import (
    DnsLabel,
    Duration,
    Factor,
    Ratio,
    at_least,
    is_duration,
    is_ratio,
)

MetricName = Literal["error-rate", "latency-p50", "latency-p90", "latency-p95", "latency-p99"]


class Step(Model):
    """One stage of a rollout."""

    name: DnsLabel
    "Its name, shown in status and used by commands."
    weight: Annotated[
        int,
        Field(ge=1, le=100),
        Rule(
            cel="self < 100",
            message="100 follows by itself after the last step: leave this step out",
            holds=lambda weight: weight < 100,
        ),
    ]
    "Share of the traffic that the canary gets, in percent, 1 to 99."
    hold: Duration | None = None
    "How long the step lasts once its traffic is verified; 0s when left out."
    approval: Literal["Manual"] | None = None
    "Manual: wait, after the hold, until a person promotes."


class Comparison(Model):
    """How much worse than stable, on the same traffic at the same time, the canary may be."""

    rules: ClassVar = (
        Rule(
            cel="has(self.maxIncrease) != has(self.maxRatio)",
            message="set exactly one of maxIncrease, maxRatio",
            holds=lambda value: (value.max_increase is None) != (value.max_ratio is None),
        ),
    )

    max_increase: Ratio | None = None
    'By how much the error rate may be higher, such as "0.5%" (percentage points).'
    max_ratio: Factor | None = None
    'How many times as high it may be, such as "1.2".'


def _error_rate(metric: Metric) -> bool:
    return metric.name == "error-rate"


class Metric(Model):
    """One figure that the canary is judged by."""

    rules: ClassVar = (
        Rule(
            cel="has(self.max) || has(self.vsStable)",
            message="set max, vsStable, or both: without a bound there is nothing to judge",
            holds=lambda metric: metric.max is not None or metric.vs_stable is not None,
        ),
        Rule(
            cel="self.name != 'error-rate' || !has(self.max)"
            f" || self.max.matches(r'^({RATIO_PATTERN})$')",
            message='the bound of error-rate is a ratio: write a string such as "5%" or "0.05"',
            holds=lambda metric: (
                not _error_rate(metric) or metric.max is None or is_ratio(metric.max)
            ),
            at="max",
        ),
        Rule(
            cel="self.name == 'error-rate' || !has(self.max)"
            f" || (self.max.matches(r'^({DURATION_PATTERN})$') && duration(self.max) >"
            " duration('0s'))",
            message="the bound of a latency is a duration longer than 0: write 250ms or 1s500ms",
            holds=lambda metric: (
                _error_rate(metric)
                or metric.max is None
                or (is_duration(metric.max) and parse_duration(metric.max) > 0)
            ),
            at="max",
        ),
        Rule(
            cel="self.name == 'error-rate' || !has(self.vsStable)"
            " || !has(self.vsStable.maxIncrease)",
            message="a latency is compared by vsStable.maxRatio: maxIncrease is for error-rate",
            holds=lambda metric: (
                _error_rate(metric)
                or metric.vs_stable is None
                or metric.vs_stable.max_increase is None
            ),
            at="vsStable.maxIncrease",
        ),
    )

    name: MetricName
    "error-rate: answers with 5xx per answer. latency-pNN: the time that NN % stay below."
    max: Annotated[str, Field(max_length=24)] | None = None
    'What it may be at most: a ratio such as "5%" for error-rate, a duration such as 250ms else.'
    vs_stable: Comparison | None = None
    "How much worse than the stable version it may be."


class Analysis(Model):
    """What the canary is judged by while a step holds. It ends in a rollback or in a pass."""

    metrics: Annotated[list[Metric], Field(min_length=1, max_length=20), keyed("name")]
    "The figures, each with its bounds."
    interval: Annotated[Duration, at_least(1)] | None = None
    "Time between readings; 1s when left out."
    initial_delay: Duration | None = None
    "Wait before the first reading of a step, for cold starts; 0s when left out."
    min_requests: Annotated[int, Field(ge=0, le=1000000000)] | None = None
    "Answers of the canary that a pass needs; 100 when left out. A fail never waits for them."
    on_no_data: Literal["Hold", "Rollback"] | None = None
    "What to do at the end of a hold without data; Hold when left out. Never promotes."


class Guard(Model):
    """The time after promotion in which the previous version stays warm."""

    duration: Duration
    "How long; 0s for none."


class Terms(Model):
    """What is copied when a rollout starts, so that it goes on as it began."""

    rules: ClassVar = (
        Rule(
            cel="!has(self.steps) || (self.steps.map(step, step.weight).isSorted()"
            " && self.steps.all(a, self.steps.exists_one(b, a.weight == b.weight)))",
            message="weights must rise from step to step",
            holds=lambda terms: not _first_fallen(terms.steps),
            at="steps",
            locate=lambda terms: f"steps[{_first_fallen(terms.steps)}].weight",
        ),
    )

    steps: Annotated[list[Step], Field(max_length=20), keyed("name")] | None = None
    "The stages, with rising weights; 100 follows by itself. None: to 100 as soon as ready."
    analysis: Analysis | None = None
    "What the canary is judged by; left out, by its pods' health alone."
    progress_deadline: Annotated[Duration, at_least(1)] | None = None
    "How long nothing may progress before a version counts as broken; 10m when left out."
    guard: Guard | None = None
    "How long the previous version stays warm after promotion; 15m when left out."


def _first_fallen(steps: list[Step] | None) -> int:
    """Index of the first step whose weight isn't above the one before; 0 when all rise."""
    weights = [step.weight for step in steps or ()]
    pairs = enumerate(pairwise(weights), start=1)
    return next((index for index, (before, after) in pairs if after <= before), 0)


class Rollout(Terms):
    """How a new version is rolled out. Left out: to 100 as soon as it is ready."""

    paused: bool | None = None
    "Stops all shifting where it is; a rollback still happens."
    revision_history_limit: Annotated[int, Field(ge=0, le=100)] | None = None
    "How many earlier revisions are kept to go back to; 10 when left out."
