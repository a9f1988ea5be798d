"""The figures that a canary is judged by: what may be written of each, in a rollout or a template.

Two are built in (error-rate, latency-pNN), for every server whose metrics have a profile. The
others are asked for: of Prometheus, of a web address, or by running a Job.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal, get_args

from pydantic import Field
from pydantic.alias_generators import to_camel

from canarium.api.durations import (
    DURATION_PATTERN,
    FIGURE_PATTERN,
    RATIO_PATTERN,
    parse_duration,
)
from canarium.api.jobs import Job
from canarium.api.rules import Model, Rule, keyed, matching
from canarium.api.scalars import (
    DnsLabel,
    Duration,
    Factor,
    Line,
    Ratio,
    Subdomain,
    Text,
    at_least,
    at_most,
    is_duration,
    is_ratio,
)

BuiltIn = Literal["error-rate", "latency-p50", "latency-p90", "latency-p95", "latency-p99"]
BUILT_IN: tuple[str, ...] = get_args(BuiltIn)

_NAMES = ", ".join(f"'{name}'" for name in BUILT_IN)
_ASKED_FOR = ("template_ref", "prometheus", "web", "job")
_HAS_QUERY = "(has(self.templateRef) || has(self.prometheus) || has(self.web) || has(self.job))"
_IS_BUILT_IN = f"self.name in [{_NAMES}]"

_HOST_LABEL = r"[^/?#@\s{}.:\[\]]{1,63}"
Url = Annotated[
    str,
    Field(max_length=2048),
    matching(
        rf"https?://(\[[0-9a-fA-F:.]+\]|({_HOST_LABEL}\.)*{_HOST_LABEL}\.?)(:[0-9]+)?([/?][^\s#]*)?",
        "write a URL such as http://prometheus.monitoring:9090, without a user or password",
    ),
]
Figure = Annotated[
    str,
    Field(max_length=24),
    matching(
        FIGURE_PATTERN,
        'write a number, ratio or duration as a string, such as "0.9", "5%" or "250ms"',
    ),
]
ArgumentName = Annotated[
    str,
    Field(max_length=63),
    matching("[a-zA-Z][a-zA-Z0-9_]*", "write letters, digits and underscores, a letter first"),
]
Timeout = Annotated[Duration, at_least(1), at_most(60)]


class SecretRef(Model):
    """A Secret in the ModelDeployment's own namespace; the operator must be allowed to get it."""

    name: Subdomain
    "Its name. It holds token, or username and password; and ca.crt for an authority of one's own."


def _counts_or_value(value: str) -> Rule:
    """The rule for queries that tell one figure, or bad (or good) ones among a total."""
    attribute = value
    return Rule(
        cel=f"has(self.{value}) ? !has(self.bad) && !has(self.good) && !has(self.total)"
        " : has(self.total) && has(self.bad) != has(self.good)",
        message=f"set {value}, or total with one of bad, good",
        holds=lambda query: (
            (query.bad, query.good, query.total) == (None, None, None)
            if getattr(query, attribute) is not None
            else query.total is not None and (query.bad is None) != (query.good is None)
        ),
    )


class PrometheusQuery(Model):
    """PromQL, with {{name}} where an argument goes. What was said is never part of the query."""

    rules: ClassVar = (_counts_or_value("query"),)

    address: Url | None = None
    """Where Prometheus is; the operator's own setting (--prometheus-url) when left out. Its host is
    a Service of this namespace, or in addresses.allow of the chart's values, or a public name by
    https; of a ClusterMetricTemplate any."""
    secret_ref: SecretRef | None = None
    "How to authenticate."
    query: Annotated[Text, Field(min_length=1)] | None = None
    "One figure of one revision: a gauge. It must give a single series."
    bad: Annotated[Text, Field(min_length=1)] | None = None
    "Counters of bad events of one revision, among total; each series is followed by itself."
    good: Annotated[Text, Field(min_length=1)] | None = None
    "Counters of good events instead: all others of the total are bad."
    total: Annotated[Text, Field(min_length=1)] | None = None
    "Counters of all events of one revision."
    timeout: Timeout | None = None
    "How long an answer may take, at most 60s; 5s when left out."


class WebQuery(Model):
    """JSON over HTTP. {{name}} in the URL is replaced by an argument, percent-encoded."""

    rules: ClassVar = (_counts_or_value("value"),)

    url: Url
    """What to get. Redirects are not followed. Its host is a Service of this namespace, or in
    addresses.allow of the chart's values, or a public name by https; of a ClusterMetricTemplate
    any."""
    secret_ref: SecretRef | None = None
    "How to authenticate."
    value: Annotated[Line, Field(min_length=1)] | None = None
    "Where the figure is in the answer: a JSONPath (RFC 9535) such as $.data.precision."
    bad: Annotated[Line, Field(min_length=1)] | None = None
    "Where a counter of bad events is; counters only grow, but for restarts."
    good: Annotated[Line, Field(min_length=1)] | None = None
    "Where a counter of good events is instead."
    total: Annotated[Line, Field(min_length=1)] | None = None
    "Where the counter of all events is."
    timeout: Timeout | None = None
    "How long an answer may take, at most 60s; 5s when left out."


class TemplateRef(Model):
    """A query that teams share."""

    kind: Literal["MetricTemplate", "ClusterMetricTemplate"] | None = None
    "MetricTemplate, in the ModelDeployment's own namespace, when left out."
    name: Subdomain
    "Its name."


class Argument(Model):
    """What one of a template's arguments stands for here."""

    name: ArgumentName
    "Its name."
    value: Line
    "Its value."


class Comparison(Model):
    """How much worse than stable, on the same traffic at the same time, the canary may be."""

    rules: ClassVar = (
        Rule(
            cel="[has(self.maxIncrease), has(self.maxRatio) || has(self.minRatio)]"
            ".exists_one(given, given)",
            message="set exactly one of maxIncrease, maxRatio",
            holds=lambda value: (
                (value.max_increase is None)
                != (value.max_ratio is None and value.min_ratio is None)
            ),
        ),
    )

    max_increase: Ratio | None = None
    'By how much the error rate may be higher, such as "0.5%" (percentage points).'
    max_ratio: Factor | None = None
    'How many times as high it may be, such as "1.2".'
    min_ratio: Ratio | None = None
    'With judge RankSum: how many times as low it may be, such as "0.9".'


def _is_built_in(metric: Metric) -> bool:
    return metric.name in BUILT_IN


def _error_rate(metric: Metric) -> bool:
    return metric.name == "error-rate"


def _latency(metric: Metric) -> bool:
    return _is_built_in(metric) and not _error_rate(metric)


def _asked_for(metric: Metric) -> int:
    return sum(getattr(metric, field) is not None for field in _ASKED_FOR)


_OF_QUERIES = ("min", "judge", "direction", "arguments", "failureLimit", "interval")
_NOT_OF_JOBS = (
    *("max", "min", "vsStable", "judge", "direction", "arguments"),
    *("failureLimit", "consecutiveErrorLimit", "interval"),
)


def _none_in_cel(fields: Sequence[str]) -> str:
    return f"[{', '.join(f'has(self.{field})' for field in fields)}].all(given, !given)"


def _has_none(metric: Metric, fields: Sequence[str]) -> bool:
    given = (name for name in Metric.model_fields if getattr(metric, name) is not None)
    return set(fields).isdisjoint(map(to_camel, given))


def _enumerate(fields: Sequence[str]) -> str:
    return f"{', '.join(fields[:-1])} and {fields[-1]}"


class Metric(Model):
    """One figure that the canary is judged by."""

    rules: ClassVar = (
        Rule(
            cel=f"{_IS_BUILT_IN} ? !{_HAS_QUERY}"
            " : [has(self.templateRef), has(self.prometheus), has(self.web), has(self.job)]"
            ".exists_one(given, given)",
            message="error-rate and latency-p50, -p90, -p95, -p99 are built in; any other metric"
            " needs exactly one of templateRef, prometheus, web, job",
            holds=lambda metric: _asked_for(metric) == (0 if _is_built_in(metric) else 1),
            at="name",
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
            cel=f"!self.name.startsWith('latency-p') || !({_IS_BUILT_IN}) || !has(self.max)"
            f" || (self.max.matches(r'^({DURATION_PATTERN})$') && duration(self.max) >"
            " duration('0s'))",
            message="the bound of a latency is a duration longer than 0: write 250ms or 1s500ms",
            holds=lambda metric: (
                not _latency(metric)
                or metric.max is None
                or (is_duration(metric.max) and parse_duration(metric.max) > 0)
            ),
            at="max",
        ),
        Rule(
            cel=f"!self.name.startsWith('latency-p') || !({_IS_BUILT_IN})"
            " || !has(self.vsStable) || !has(self.vsStable.maxIncrease)",
            message="a latency is compared by vsStable.maxRatio: maxIncrease is for error-rate",
            holds=lambda metric: (
                not _latency(metric)
                or metric.vs_stable is None
                or metric.vs_stable.max_increase is None
            ),
            at="vsStable.maxIncrease",
        ),
        Rule(
            cel=f"!({_IS_BUILT_IN}) || {_none_in_cel(_OF_QUERIES)}",
            message=f"{_enumerate(_OF_QUERIES)} are for metrics"
            " with a templateRef, prometheus or web",
            holds=lambda metric: not _is_built_in(metric) or _has_none(metric, _OF_QUERIES),
        ),
        Rule(
            cel=f"!has(self.job) || {_none_in_cel(_NOT_OF_JOBS)}",
            message=f"a job's success is its verdict: leave {_enumerate(_NOT_OF_JOBS)} out",
            holds=lambda metric: metric.job is None or _has_none(metric, _NOT_OF_JOBS),
        ),
        Rule(
            cel=f"!has(self.source) || {_IS_BUILT_IN}",
            message="source is for error-rate and latencies: what else is asked for says itself"
            " where it comes from",
            holds=lambda metric: metric.source is None or _is_built_in(metric),
            at="source",
        ),
        Rule(
            cel="!has(self.vsStable) || !has(self.vsStable.minRatio) || has(self.judge)",
            message="minRatio is for judge RankSum: write maxIncrease or maxRatio",
            holds=lambda metric: (
                metric.vs_stable is None
                or metric.vs_stable.min_ratio is None
                or metric.judge is not None
            ),
            at="vsStable.minRatio",
        ),
        Rule(
            cel="!has(self.judge) || !has(self.vsStable) || !has(self.vsStable.maxIncrease)",
            message="RankSum compares by vsStable.maxRatio and minRatio, not by maxIncrease",
            holds=lambda metric: (
                metric.judge is None
                or metric.vs_stable is None
                or metric.vs_stable.max_increase is None
            ),
            at="vsStable.maxIncrease",
        ),
    )

    name: DnsLabel
    """error-rate: answers with 5xx per answer. latency-pNN: the time that NN % stay below. Any
    other name is yours to give."""
    source: Literal["Pods", "Gateway"] | None = None
    "Who counts the answers, for a built-in metric; Pods (the servers themselves) when left out."
    template_ref: TemplateRef | None = None
    "A query that teams share."
    arguments: Annotated[list[Argument], Field(max_length=20), keyed("name")] | None = None
    "What the template's arguments stand for here."
    prometheus: PrometheusQuery | None = None
    "A query of one's own, for Prometheus."
    web: WebQuery | None = None
    "A query of one's own, for a web address that answers JSON."
    job: Job | None = None
    "A Job that is run once in each step, and whose success is the verdict; it has no bounds."
    direction: Literal["LowerIsBetter", "HigherIsBetter"] | None = None
    "Which way is worse, for RankSum; the template's, or LowerIsBetter, when left out."
    max: Figure | None = None
    """What it may be at most: a ratio such as "5%" for error-rate and other counts, a duration
    such as 250ms for latencies, a number else."""
    min: Figure | None = None
    "What it must be at least: a ratio for counts of good ones, a number else."
    vs_stable: Comparison | None = None
    "How much worse than the stable version it may be."
    judge: Literal["RankSum"] | None = None
    """RankSum: compare the readings of both revisions at the end of a step, by the Mann-Whitney
    test, as Kayenta does."""
    failure_limit: Annotated[int, Field(ge=0, le=1000)] | None = None
    "How many readings of a step may be beyond the bound; 0 when left out."
    consecutive_error_limit: Annotated[int, Field(ge=1, le=1000)] | None = None
    "After so many failed readings in a row nothing passes until one works; 4 when left out."
    interval: Annotated[Duration, at_least(1)] | None = None
    "Time between readings; the template's, or 10s, when left out."

    @property
    def is_bound(self) -> bool:
        """Whether anything is asked of it."""
        return (self.max, self.min, self.vs_stable, self.judge, self.job) != (None,) * 5

    @property
    def counted_by_pods(self) -> bool:
        """Whether the servers themselves count it."""
        return _is_built_in(self) and self.source != "Gateway"


class ArgumentSpec(Model):
    """An argument of a template."""

    name: ArgumentName
    "Its name: {{name}} in the query. namespace, model, version, revision and service are given."
    type: Literal["String", "Number", "Duration"] | None = None
    "String (when left out) goes into quoted strings only; Number and Duration go anywhere."
    default: Line | None = None
    "What it is when a metric doesn't say; without it every metric has to."
    description: Line | None = None
    "What it means."


class MetricTemplateSpec(Model):
    """A query with arguments, for many models to be judged by."""

    rules: ClassVar = (
        Rule(
            cel="has(self.prometheus) != has(self.web)",
            message="set exactly one of prometheus, web",
            holds=lambda spec: (spec.prometheus is None) != (spec.web is None),
        ),
    )

    description: Annotated[str, Field(max_length=1024)] | None = None
    "What it tells."
    unit: Annotated[str, Field(max_length=32)] | None = None
    "Its unit, such as Ratio, Seconds, Bytes or Count, for people."
    direction: Literal["LowerIsBetter", "HigherIsBetter"] | None = None
    "Which way is worse; LowerIsBetter when left out."
    interval: Annotated[Duration, at_least(1)] | None = None
    "Time between readings; 10s when left out."
    arguments: Annotated[list[ArgumentSpec], Field(max_length=20), keyed("name")] | None = None
    "What may be different from metric to metric."
    prometheus: PrometheusQuery | None = None
    "The query, for Prometheus."
    web: WebQuery | None = None
    "The query, for a web address that answers JSON."
