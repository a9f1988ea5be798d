"""What a metric that is asked for comes to, once its template is known: what to ask, what to test.

A metric that cannot be read (its template is missing, an argument isn't given, a bound means
nothing for what the template tells) is a value of its own: no step passes by it, and status says
what to change.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from canarium.core.spec import (
    ArgumentSpec,
    ArgumentType,
    CustomMetric,
    Query,
    TemplateKind,
    TemplateRef,
    TemplateSpec,
)
from canarium.judge.metrics import Metric

INTERVAL_SECONDS = 10.0
TemplateKey = tuple[TemplateKind, str]
"Kind and name."


@dataclass(frozen=True, slots=True)
class Argument:
    """What stands for a placeholder."""

    name: str
    value: str
    type: ArgumentType = "String"


@dataclass(frozen=True, slots=True)
class MetricQuery:
    """What is asked for one metric, how often, and what is tested by the answers."""

    metric: Metric
    query: Query
    interval_seconds: float
    arguments: tuple[Argument, ...] = ()
    template: TemplateKey | None = None


@dataclass(frozen=True, slots=True)
class Unusable:
    """A metric that nothing can be asked for now, and why: `reason` in one CamelCase word."""

    metric: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class KnownTemplate:
    """A template as it is now; `spec` is None when it cannot be used, and `problem` says why."""

    spec: TemplateSpec | None
    problem: str = ""


def resolve(
    wanted: CustomMetric, templates: Mapping[TemplateKey, KnownTemplate]
) -> MetricQuery | Unusable:
    """Find out what to ask for a metric, and what to test."""
    template = wanted.query
    if not isinstance(template, TemplateRef):
        return _make_feed(wanted, TemplateSpec(template), None)
    key = template.kind, template.name
    known = templates.get(key)
    if known is None:
        return Unusable(wanted.name, "TemplateNotFound", f"there is no {key[0]} {key[1]}")
    if known.spec is None:
        words = f"{key[0]} {key[1]} cannot be used: {known.problem}"
        return Unusable(wanted.name, "TemplateInvalid", words)
    return _make_feed(wanted, known.spec, key)


def _make_feed(
    wanted: CustomMetric, template: TemplateSpec, key: TemplateKey | None
) -> MetricQuery | Unusable:
    given = dict(wanted.arguments)
    if (trouble := _check_arguments(given, template.arguments)) is not None:
        return Unusable(wanted.name, "ArgumentInvalid", trouble)
    try:
        metric = _make_metric(wanted, template)
    except ValueError as error:
        return Unusable(wanted.name, "BoundInvalid", str(error))
    return MetricQuery(
        metric=metric,
        query=template.query,
        interval_seconds=wanted.interval_seconds or template.interval_seconds or INTERVAL_SECONDS,
        arguments=tuple(
            Argument(spec.name, given.get(spec.name, spec.default or ""), spec.type)
            for spec in template.arguments
        ),
        template=key,
    )


def _check_arguments(given: Mapping[str, str], specs: Collection[ArgumentSpec]) -> str | None:
    known = {spec.name: spec for spec in specs}
    if strange := sorted(given.keys() - known.keys()):
        return f"there is no argument {strange[0]}; there are: {', '.join(known) or 'none'}"
    missing = [spec.name for spec in specs if spec.default is None and spec.name not in given]
    return f"the argument {missing[0]} has to be given" if missing else None


def _make_metric(wanted: CustomMetric, template: TemplateSpec) -> Metric:
    """The test of a metric. Raises ValueError for bounds that mean nothing for its kind."""
    if template.query.total:
        return _make_ratio(wanted, template)
    if not wanted.rank_sum and (wanted.max_increase, wanted.max_ratio) != (None, None):
        raise ValueError(
            f"metric {wanted.name}: vsStable compares counts; a gauge is compared by judge: RankSum"
        )
    higher = _is_higher_better(wanted, template)
    useless = wanted.max_ratio if higher else wanted.min_ratio
    if useless is not None:
        direction, needed = ("Higher", "minRatio") if higher else ("Lower", "maxRatio")
        raise ValueError(
            f"metric {wanted.name}: its direction is {direction}IsBetter; write {needed}"
        )
    return Metric(
        wanted.name,
        "Gauge",
        max=wanted.max,
        min=wanted.min,
        higher_is_better=higher,
        judge="RankSum" if wanted.rank_sum else "",
        allowed_increase=wanted.max_ratio,
        allowed_decrease=wanted.min_ratio,
        failure_limit=wanted.failure_limit,
        consecutive_error_limit=wanted.consecutive_error_limit,
        source=f"metric:{wanted.name}",
    )


def _make_ratio(wanted: CustomMetric, template: TemplateSpec) -> Metric:
    """Good ones and bad ones are each other's complement; what is tested is the bad ones' share."""
    good = bool(template.query.good)
    if wanted.failure_limit:
        raise ValueError(f"metric {wanted.name}: failureLimit is for gauges; counts are tested")
    if wanted.rank_sum:
        raise ValueError(f"metric {wanted.name}: RankSum is for gauges; counts have vsStable")
    if good and wanted.max is not None:
        raise ValueError(f"metric {wanted.name}: good events are counted; write min instead of max")
    if not good and wanted.min is not None:
        raise ValueError(f"metric {wanted.name}: bad events are counted; write max instead of min")
    return Metric(
        wanted.name,
        "Ratio",
        max=wanted.max if wanted.min is None else 1.0 - wanted.min,
        max_increase=wanted.max_increase,
        max_ratio=wanted.max_ratio,
        higher_is_better=good,
        consecutive_error_limit=wanted.consecutive_error_limit,
        source=f"metric:{wanted.name}",
    )


def _is_higher_better(wanted: CustomMetric, template: TemplateSpec) -> bool:
    if wanted.higher_is_better is None:
        return template.higher_is_better
    return wanted.higher_is_better
