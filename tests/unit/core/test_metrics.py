from dataclasses import replace
from typing import Any

import pytest
from canarium.core.metrics import (
    Argument,
    KnownTemplate,
    MetricQuery,
    TemplateKey,
    Unusable,
    resolve,
)
from canarium.core.spec import (
    ArgumentSpec,
    CustomMetric,
    PrometheusQuery,
    TemplateRef,
    TemplateSpec,
    WebQuery,
)
from canarium.judge.metrics import Metric

GAUGE = PrometheusQuery(query='gpu_bytes{service="{{service}}"}')
ERRORS = PrometheusQuery(bad="refused_total", total="asked_total")
CLICKS = WebQuery("http://clicks.shop/{{revision}}", good="$.clicks", total="$.shown")
SHARED = TemplateRef("shared")
KEY: TemplateKey = ("MetricTemplate", "shared")


def metric(query: Any, **bounds: Any) -> CustomMetric:
    return CustomMetric("mine", query, **bounds)


def found(wanted: CustomMetric, template: TemplateSpec | None = None) -> MetricQuery:
    known = {KEY: KnownTemplate(template)} if template else {}
    metric_query = resolve(wanted, known)
    assert isinstance(metric_query, MetricQuery), metric_query
    return metric_query


def refused(wanted: CustomMetric, *known: KnownTemplate) -> Unusable:
    unusable = resolve(wanted, dict.fromkeys([KEY], *known) if known else {})
    assert isinstance(unusable, Unusable), unusable
    return unusable


def test_counts_of_bad_events_are_a_ratio_with_its_bounds() -> None:
    wanted = metric(ERRORS, max=0.02, max_increase=0.01, interval_seconds=3.0)
    assert found(wanted) == MetricQuery(
        Metric("mine", "Ratio", max=0.02, max_increase=0.01, source="metric:mine"),
        ERRORS,
        interval_seconds=3.0,
    )


def test_of_good_events_what_is_tested_is_the_share_of_the_others() -> None:
    tested = found(metric(CLICKS, min=0.9)).metric
    assert (tested.kind, tested.higher_is_better) == ("Ratio", True)
    assert tested.max == pytest.approx(0.1)


def test_a_figure_is_a_gauge() -> None:
    tested = found(metric(GAUGE, max=4e9, min=1.0)).metric
    assert (tested.kind, tested.max, tested.min, tested.judge) == ("Gauge", 4e9, 1.0, "")


@pytest.mark.parametrize(
    ("wanted", "template", "higher"),
    [
        (metric(SHARED, rank_sum=True), TemplateSpec(GAUGE), False),
        (metric(SHARED, rank_sum=True), TemplateSpec(GAUGE, higher_is_better=True), True),
        (metric(SHARED, rank_sum=True, higher_is_better=True), TemplateSpec(GAUGE), True),
        (
            metric(SHARED, rank_sum=True, higher_is_better=False),
            TemplateSpec(GAUGE, higher_is_better=True),
            False,
        ),
    ],
)
def test_which_way_is_worse_says_the_metric_or_else_its_template(
    wanted: CustomMetric, template: TemplateSpec, higher: bool
) -> None:
    tested = found(wanted, template).metric
    assert (tested.judge, tested.higher_is_better) == ("RankSum", higher)


def test_a_templates_arguments_are_those_of_the_metric_or_its_own_defaults() -> None:
    template = TemplateSpec(
        GAUGE,
        arguments=(ArgumentSpec("window", "Duration", "5m"), ArgumentSpec("segment")),
        interval_seconds=30.0,
    )
    metric_query = found(metric(SHARED, max=1.0, arguments=(("segment", "card"),)), template)
    assert metric_query.arguments == (
        Argument("window", "5m", "Duration"),
        Argument("segment", "card"),
    )
    assert (metric_query.interval_seconds, metric_query.template) == (30.0, KEY)


NEEDY = TemplateSpec(GAUGE, arguments=(ArgumentSpec("segment"),))
LIMITED = metric(ERRORS, max=0.5, failure_limit=1)
BAD: list[tuple[CustomMetric, KnownTemplate | None, str, str]] = [
    (metric(SHARED, max=1.0), None, "TemplateNotFound", "there is no MetricTemplate shared"),
    (
        metric(SHARED, max=1.0),
        KnownTemplate(None, "spec.interval: must be at least 1s"),
        "TemplateInvalid",
        "MetricTemplate shared cannot be used: spec.interval: must be at least 1s",
    ),
    (
        metric(SHARED, max=1.0),
        KnownTemplate(NEEDY),
        "ArgumentInvalid",
        "the argument segment has to be given",
    ),
    (
        metric(SHARED, max=1.0, arguments=(("segmnet", "card"),)),
        KnownTemplate(NEEDY),
        "ArgumentInvalid",
        "there is no argument segmnet; there are: segment",
    ),
    (
        metric(GAUGE, max_ratio=1.2),
        None,
        "BoundInvalid",
        "metric mine: vsStable compares counts; a gauge is compared by judge: RankSum",
    ),
    (
        metric(ERRORS, rank_sum=True),
        None,
        "BoundInvalid",
        "metric mine: RankSum is for gauges; counts have vsStable",
    ),
    (
        metric(GAUGE, rank_sum=True, min_ratio=0.9),
        None,
        "BoundInvalid",
        "metric mine: its direction is LowerIsBetter; write maxRatio",
    ),
    (
        metric(GAUGE, rank_sum=True, max_ratio=1.2, higher_is_better=True),
        None,
        "BoundInvalid",
        "metric mine: its direction is HigherIsBetter; write minRatio",
    ),
    (
        LIMITED,
        None,
        "BoundInvalid",
        "metric mine: failureLimit is for gauges; counts are tested",
    ),
    (
        metric(CLICKS, max=0.5),
        None,
        "BoundInvalid",
        "metric mine: good events are counted; write min instead of max",
    ),
    (
        metric(ERRORS, min=0.5),
        None,
        "BoundInvalid",
        "metric mine: bad events are counted; write max instead of min",
    ),
]


@pytest.mark.parametrize(("wanted", "known", "reason", "message"), BAD)
def test_what_nothing_can_be_asked_for_says_why(
    wanted: CustomMetric, known: KnownTemplate | None, reason: str, message: str
) -> None:
    unusable = refused(wanted, *([known] if known else []))
    assert unusable == Unusable("mine", reason, message)


def test_a_share_beyond_1_is_refused_in_the_judges_words() -> None:
    unusable = refused(metric(ERRORS, max=5.0))
    assert unusable.reason == "BoundInvalid"
    assert "max has to be between 0 and 1" in unusable.message


def test_the_same_metric_resolved_twice_is_the_same_feed() -> None:
    wanted = metric(ERRORS, max=0.02)
    assert hash(found(wanted)) == hash(found(replace(wanted)))
