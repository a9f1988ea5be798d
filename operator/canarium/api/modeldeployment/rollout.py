"""How a new version is rolled out: steps, what it is judged by, and how long one can go back."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, get_args

from pydantic import Field

from canarium.api.durations import DURATION_PATTERN, parse_duration
from canarium.api.metrics import BUILT_IN, Metric, SecretRef, Url
from canarium.api.modeldeployment.steps import HeaderMatch, Step
from canarium.api.modeldeployment.strategies import HIGHEST_WEIGHTS, MOST_HOLDBACK, Strategy
from canarium.api.rules import Model, Rule, exactly_one_of, keyed, matching
from canarium.api.scalars import Duration, at_least

MAX_DURATION = "336h"
"How long an experiment lasts at most when nothing is said: two weeks."


class GatewayMetrics(Model):
    """Where the gateway counts the answers that it gave."""

    address: Url
    """Its metrics endpoint, such as http://traefik-metrics.gateways:9100/metrics, which has to
    be in addresses.allow of the chart's values where it is of another namespace. Every address
    that the host name stands for is read: name a headless Service where there are several pods."""
    secret_ref: SecretRef | None = None
    "How to authenticate."


class PodsMetrics(Model):
    """How the pods' own counters are read."""

    secret_ref: SecretRef
    "How to authenticate at their metrics endpoints, by a token or a user; nobody does otherwise."


class Analysis(Model):
    """What the canary is judged by while a step holds. It ends in a rollback or in a pass."""

    rules: ClassVar = (
        Rule(
            cel="has(self.gateway) || self.metrics.all(metric, !has(metric.source) ||"
            " metric.source != 'Gateway')",
            message="a metric has the source Gateway: say where the gateway counts, in gateway",
            holds=lambda analysis: (
                analysis.gateway is not None
                or all(metric.source != "Gateway" for metric in analysis.metrics)
            ),
            at="gateway",
        ),
    )

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
    decide: Literal["HoldEnd", "Early"] | None = None
    """When a step may end well: HoldEnd (when left out), or Early, as soon as it is proven that the
    canary is no worse than every bound allows. A fail never waits."""
    traffic_share: Literal["Check", "Ignore"] | None = None
    """Whether a canary that answers far less than its share of the requests fails, since it hangs.
    Check when left out. Write Ignore where many callers inside the cluster go past the gateway."""
    pods: PodsMetrics | None = None
    "How the pods' own counters are read, where they ask who one is."
    gateway: GatewayMetrics | None = None
    "Where the gateway counts, for metrics with the source Gateway."


class Guard(Model):
    """The time after promotion in which the previous version stays warm."""

    rules: ClassVar = (
        Rule(
            cel="!has(self.holdback) || self.holdback == 0"
            f" || !self.duration.matches(r'^({DURATION_PATTERN})$')"
            " || duration(self.duration) > duration('0s')",
            message="what is held back is compared with while the guard lasts: write a duration"
            " longer than 0, or leave holdback out",
            holds=lambda guard: not guard.holdback or parse_duration(guard.duration) > 0,
            at="holdback",
        ),
    )

    duration: Duration
    "How long; 0s for none."
    holdback: Annotated[int, Field(ge=0, le=MOST_HOLDBACK)] | None = None
    """Percentage of the traffic that stays on the previous version while the guard lasts, so that
    vsStable goes on comparing; none when left out, and then only absolute bounds act."""


class Assignment(Model):
    """How people stay with the version that they got first. Left out: each request is dealt out."""

    rules: ClassVar = (exactly_one_of("cookie", "headers"),)

    cookie: (
        Annotated[
            str,
            Field(max_length=64),
            matching("[A-Za-z0-9_-]+", "write a cookie's name, such as canarium-variant"),
        ]
        | None
    ) = None
    "A cookie of this name, which the gateway sets. Not every gateway can."
    headers: (
        Annotated[list[HeaderMatch], Field(min_length=1, max_length=8), keyed("name")] | None
    ) = None
    "Requests with all of these headers go to the canary, nobody else: the front end sets them."


_LONGEST = f"(has(self.maxDuration) ? self.maxDuration : '{MAX_DURATION}')"


class Experiment(Model):
    """Two versions side by side until one is better. It follows the last step by itself."""

    rules: ClassVar = (
        Rule(
            cel=f"!has(self.minDuration) || !self.minDuration.matches(r'^({DURATION_PATTERN})$')"
            f" || !{_LONGEST}.matches(r'^({DURATION_PATTERN})$')"
            f" || duration(self.minDuration) <= duration({_LONGEST})",
            message="minDuration is longer than maxDuration (336h when left out)",
            holds=lambda experiment: (
                parse_duration(experiment.min_duration or "0s")
                <= parse_duration(experiment.max_duration or MAX_DURATION)
            ),
            at="minDuration",
        ),
    )

    metric: Annotated[str, Field(min_length=1, max_length=63)]
    "Name of the metric in analysis.metrics by which one version is better; it has to count."
    weight: Annotated[int, Field(ge=1, le=99)] | None = None
    """Share of the people (with sticky.headers: the share that they are expected to be) who get the
    canary, in percent; 50 when left out."""
    sticky: Assignment | None = None
    "How people stay with the version that they got first."
    min_duration: Duration | None = None
    "Nothing is decided before; 0s when left out."
    max_duration: Annotated[Duration, at_least(1)] | None = None
    "When nothing is decided by then, it ends and the canary goes back; 336h when left out."

    @property
    def share(self) -> int:
        """The weight, in percent."""
        return self.weight or 50

    @property
    def by_header(self) -> bool:
        """Whether the front end says who gets the canary."""
        return self.sticky is not None and self.sticky.headers is not None


_SHARE = "(has(self.experiment.weight) ? self.experiment.weight : 50)"
_HAS_HEADERS = "(has(self.experiment.sticky) && has(self.experiment.sticky.headers))"


DefaultedField = Literal[
    "steps", "analysis", "progressDeadline", "emergencyAfter", "guard", "capacity"
]
DEFAULTED_FIELDS: tuple[DefaultedField, ...] = get_args(DefaultedField)
"What defaults of a cluster may give of all that is copied when a rollout starts."


class Terms(Model):
    """What is copied when a rollout starts, so that it goes on as it began."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            cel="!has(self.steps)"
            " || self.steps.filter(step, has(step.weight)).map(step, step.weight).isSorted()",
            message="weights must not fall from step to step",
            holds=lambda terms: _first_fallen(terms.steps) is None,
            at="steps",
            locate=lambda terms: f"steps[{_first_fallen(terms.steps)}].weight",
        ),
        Rule(
            cel="!has(self.steps) || self.steps.filter(step, has(step.mirror) || has(step.weight))"
            ".map(step, has(step.weight) ? 1 : 0).isSorted()",
            message="a canary that gets requests of its own needs no copies: steps that mirror come"
            " before the first weight",
            holds=lambda terms: _first_late_mirror(terms.steps) is None,
            at="steps",
            locate=lambda terms: f"steps[{_first_late_mirror(terms.steps)}].mirror",
        ),
        Rule(
            cel="!has(self.steps) || !has(self.guard) || !has(self.guard.holdback) || "
            "self.steps.all(step, !has(step.weight) || step.weight <= 100 - self.guard.holdback)",
            message="no step may have more than guard.holdback leaves after the last one: write a"
            " lower weight, or hold less back",
            holds=lambda terms: _first_above(terms) is None,
            at="steps",
            locate=lambda terms: f"steps[{_first_above(terms)}].weight",
        ),
        Rule(
            cel=f"!has(self.experiment) || {_HAS_HEADERS} || !has(self.steps)"
            f" || self.steps.all(step, !has(step.weight) || step.weight <= {_SHARE})",
            message="a step has more than the experiment that follows, and weights do not fall",
            holds=lambda terms: (
                terms.experiment is None
                or terms.experiment.by_header
                or _highest(terms) <= terms.experiment.share
            ),
            at="experiment",
        ),
        Rule(
            cel=f"!has(self.experiment) || !{_HAS_HEADERS} || !has(self.steps)"
            " || self.steps.all(step, !has(step.weight))",
            message="with sticky.headers the front end alone says who gets the canary: leave weight"
            " out of the steps",
            holds=lambda terms: (
                terms.experiment is None or not terms.experiment.by_header or not _highest(terms)
            ),
            at="experiment",
        ),
        Rule(
            cel="!has(self.experiment) || !has(self.guard) || !has(self.guard.holdback)"
            f" || {_SHARE} <= 100 - self.guard.holdback",
            message="the experiment has more than guard.holdback leaves afterwards: write a lower"
            " weight, or hold less back",
            holds=lambda terms: (
                terms.experiment is None or terms.experiment.share <= 100 - _holdback(terms)
            ),
            at="experiment",
        ),
        Rule(
            cel="!has(self.analysis) || self.analysis.metrics.all(metric, has(metric.max) ||"
            " has(metric.min) || has(metric.vsStable) || has(metric.judge) || has(metric.job) ||"
            " (has(self.experiment) && self.experiment.metric == metric.name))",
            message="set max, vsStable, or both: without a bound there is nothing to judge",
            holds=lambda terms: _first_unbound(terms) is None,
            at="analysis",
            locate=lambda terms: f"analysis.metrics[{_first_unbound(terms)}]",
        ),
        Rule(
            cel="!has(self.experiment) || !(self.experiment.metric in ["
            + ", ".join(f"'{name}'" for name in BUILT_IN)
            + "])",
            message="an experiment goes by a metric of your own, which counts what you are after",
            holds=lambda terms: terms.experiment is None or terms.experiment.metric not in BUILT_IN,
            at="experiment",
            locate=lambda _terms: "experiment.metric",
        ),
        Rule(
            cel="!has(self.experiment) || (has(self.analysis) && self.analysis.metrics.exists("
            "metric, metric.name == self.experiment.metric))",
            message="experiment.metric names none of analysis.metrics: add it there",
            holds=lambda terms: terms.experiment is None or _has_metric(terms),
            at="experiment",
        ),
        Rule(
            cel="!has(self.experiment) || !has(self.analysis) || !self.analysis.metrics.exists("
            "metric, metric.name == self.experiment.metric && has(metric.job))",
            message="an experiment goes by what is counted, and a job counts nothing",
            holds=lambda terms: terms.experiment is None or not _goes_by_job(terms),
            at="experiment",
            locate=lambda _terms: "experiment.metric",
        ),
    )

    steps: Annotated[list[Step], Field(max_length=20), keyed("name")] | None = None
    "The stages, with rising weights; 100 follows by itself. None: to 100 as soon as ready."
    experiment: Experiment | None = None
    "After the steps, and before 100: two versions side by side until one is better (A/B)."
    analysis: Analysis | None = None
    "What the canary is judged by; left out, by its pods' health alone."
    progress_deadline: Annotated[Duration, at_least(1)] | None = None
    "How long nothing may progress before a version counts as broken; 10m when left out."
    emergency_after: Annotated[Duration, at_least(1)] | None = None
    """How long the stable version must be without a single ready pod before the version that is
    being rolled out gets its traffic, as an emergency and no promotion; 10s when left out."""
    guard: Guard | None = None
    "How long the previous version stays warm after promotion; 15m when left out."
    capacity: Literal["Surge", "InPlace"] | None = None
    """Where a new version's pods come from. Surge (when left out): beside the stable version's.
    InPlace: where there is no room for both, as with scarce GPUs, in their place, one by one."""


class CopiedTerms(Terms):
    """Terms as a ModelRevision keeps them."""

    defaulted: Annotated[list[DefaultedField], Field(max_length=len(DEFAULTED_FIELDS))] | None = (
        None
    )
    "The fields that the object left out, and that defaults of the cluster gave it."


def _first_fallen(steps: list[Step] | None) -> int | None:
    """Index of the first step whose weight is below one before; None when there is none."""
    highest = 0
    for index, step in enumerate(steps or ()):
        if step.weight is not None and step.weight < highest:
            return index
        highest = step.weight or highest
    return None


def _first_above(terms: Terms) -> int | None:
    """Index of the first step with more than the holdback leaves; None when there is none."""
    most = 100 - _holdback(terms)
    weights = [step.weight or 0 for step in terms.steps or ()]
    return next((index for index, weight in enumerate(weights) if weight > most), None)


def _highest(terms: Terms) -> int:
    return max((step.weight or 0 for step in terms.steps or ()), default=0)


def _has_metric(terms: Terms) -> bool:
    names = [metric.name for metric in terms.analysis.metrics] if terms.analysis else []
    return terms.experiment is not None and terms.experiment.metric in names


def _goes_by_job(terms: Terms) -> bool:
    metrics = terms.analysis.metrics if terms.analysis else []
    jobs = [metric.name for metric in metrics if metric.job is not None]
    return terms.experiment is not None and terms.experiment.metric in jobs


def _holdback(terms: Terms) -> int:
    return (terms.guard.holdback if terms.guard else None) or 0


def _first_unbound(terms: Terms) -> int | None:
    """Index of the first metric that nothing is asked of; None when there is none."""
    experiment = terms.experiment.metric if terms.experiment else ""
    metrics = terms.analysis.metrics if terms.analysis else []
    unbound = (
        index
        for index, metric in enumerate(metrics)
        if not metric.is_bound and metric.name != experiment
    )
    return next(unbound, None)


def _first_late_mirror(steps: list[Step] | None) -> int | None:
    """Index of the first step that mirrors after a weight; None when there is none."""
    weighted = False
    for index, step in enumerate(steps or ()):
        if step.mirror is not None and step.weight is None and weighted:
            return index
        weighted = weighted or step.weight is not None
    return None


def _make_holdback_rule(strategy: Strategy, weight: int) -> Rule:
    """A strategy's last step, too, has no more than the holdback leaves."""
    most = 100 - weight
    return Rule(
        cel=f"!has(self.strategy) || self.strategy != '{strategy}' || !has(self.guard)"
        f" || !has(self.guard.holdback) || self.guard.holdback <= {most}",
        message=f"strategy {strategy} goes to {weight} %: hold at most {most} % back",
        holds=lambda rollout: rollout.strategy != strategy or _holdback(rollout) <= most,
        at="guard.holdback",
    )


def _make_experiment_rule(strategy: Strategy, weight: int) -> Rule:
    """An experiment, which comes after a strategy's last step, has no less than that."""
    return Rule(
        cel=f"!has(self.strategy) || self.strategy != '{strategy}' || !has(self.experiment)"
        f" || ({_HAS_HEADERS} ? false : {_SHARE} >= {weight})",
        message=f"strategy {strategy} goes to {weight} %: give the experiment at least as much, and"
        " no sticky.headers",
        holds=lambda rollout: (
            rollout.strategy != strategy
            or rollout.experiment is None
            or (rollout.experiment.share >= weight and not rollout.experiment.by_header)
        ),
        at="experiment",
    )


class Rollout(Terms):
    """How a new version is rolled out. Left out: to 100 as soon as it is ready."""

    rules: ClassVar[tuple[Rule, ...]] = (
        *Terms.rules,
        Rule(
            cel="!has(self.strategy) || !has(self.steps)",
            message="set strategy or steps, not both: a strategy is a name for steps, and"
            " `canarium explain` prints them",
            holds=lambda rollout: rollout.strategy is None or rollout.steps is None,
            at="strategy",
        ),
        *(
            _make_holdback_rule(strategy, weight)
            for strategy, weight in HIGHEST_WEIGHTS.items()
            if weight > 100 - MOST_HOLDBACK
        ),
        *(_make_experiment_rule(strategy, weight) for strategy, weight in HIGHEST_WEIGHTS.items()),
    )

    strategy: Strategy | None = None
    """Steps that many people want, under a name. Canary: 5, 20, 50 %. BlueGreen: full size, seen by
    header x-canary, until a person promotes. Shadow: copies of 10, then 50 % of the requests.
    Rolling: 25, 50, 75 % as pods become ready. `canarium explain` prints them."""
    paused: bool | None = None
    "Stops all shifting where it is; a rollback still happens."
    revision_history_limit: Annotated[int, Field(ge=0, le=100)] | None = None
    "How many earlier revisions are kept to go back to; 10 when left out."
