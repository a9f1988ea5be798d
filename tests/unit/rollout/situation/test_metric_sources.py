"""What a step is judged by, in the small world: templates, gateways, proof that ends it early."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest
from canarium.core.observed import GatewayClassRecord, Meta, Observed, TemplateRecord
from canarium.core.plan import GatewayEndpoint, Measure, RouteKind
from canarium.core.spec import (
    AnalysisSpec,
    CustomMetric,
    ExperimentSpec,
    PrometheusQuery,
    RolloutSpec,
    Spec,
    TemplateRef,
    TemplateSpec,
    Traffic,
)

from tests.properties.world import ERROR_RATE, GATEWAY_TRAFFIC, World, make_rollout, make_spec

GAUGE = PrometheusQuery(query='gpu{service="{{service}}"}')
SHARED = CustomMetric("gpu", TemplateRef("gpu"), max=10.0)
OWN = CustomMetric("queue", GAUGE, max=5.0)
COMPARED = CustomMetric("score", GAUGE, rank_sum=True)
BY_GATEWAY = replace(ERROR_RATE, source="Gateway")
ADDRESS = "http://gateway:9100/metrics"


@dataclass
class SourcedWorld(World):
    """The small world with templates, a class of gateways, and a judge who may have proof."""

    templates: tuple[TemplateRecord, ...] = ()
    proven: bool = False

    def _store(self, kind: str) -> dict[str, Any]:
        """The one kind of route that there is, by whichever name."""
        return super()._store("HTTPRoute" if kind == "GRPCRoute" else kind)

    def observe(self) -> Observed:
        found = super().observe()
        meta = Meta("", "traefik", "uid-of-the-class", "1")
        made = GatewayClassRecord(meta, self.controller, accepted=True)
        analysis = found.analysis and replace(found.analysis, proven=self.proven)
        return replace(found, templates=self.templates, gateway_classes=(made,), analysis=analysis)


def judged(*custom: CustomMetric, built_in: bool = False, **analysis: object) -> AnalysisSpec:
    metrics = (ERROR_RATE,) if built_in else ()
    return AnalysisSpec(metrics=metrics, custom=custom, **analysis)  # type: ignore[arg-type]


def rollout(analysis: AnalysisSpec, *, hold: float = 60.0, guard: float = 30.0) -> RolloutSpec:
    return replace(make_rollout(20, hold=hold, guard=guard), analysis=analysis)


def start(traffic: Traffic = GATEWAY_TRAFFIC) -> SourcedWorld:
    """A world in which a first version serves."""
    installed = frozenset[RouteKind]({"GRPCRoute"})
    world = SourcedWorld(make_spec("1", traffic=traffic), installed=installed)
    world.run_until("Idle")
    world.settle()
    return world


def begin(analysis: AnalysisSpec, **terms: float) -> SourcedWorld:
    """A world in which version 2 holds at 20 % and is judged by this."""
    world = start()
    world.apply(make_spec("2", rollout=rollout(analysis, **terms)))
    world.run_until("Holding")
    world.settle()
    return world


def template(query: PrometheusQuery = GAUGE) -> TemplateRecord:
    meta = Meta("risk", "gpu", "uid-of-the-template", "1")
    return TemplateRecord(meta, "MetricTemplate", TemplateSpec(query))


def measured(world: World) -> Measure:
    measure = world.step().measure
    assert measure is not None
    return measure


def judgement(world: World) -> tuple[str, str, str]:
    (found,) = (each for each in world.status.conditions if each.type == "Judged")
    return found.status, found.reason, found.message


def test_a_metric_without_its_template_holds_the_step_and_says_so() -> None:
    world = begin(judged(SHARED), hold=10.0)
    world.run(600.0)
    assert (world.state, world.canary_weight) == ("Holding", 20)
    assert judgement(world) == (
        "False",
        "TemplateNotFound",
        "gpu: there is no MetricTemplate gpu",
    )
    assert world.step().measure is None
    world.templates = (template(),)
    world.run(60.0)
    assert world.stable == "2"


def test_without_its_template_nothing_is_promoted_even_where_no_data_takes_back() -> None:
    world = begin(judged(SHARED, on_no_data="Rollback"), hold=10.0)
    world.run(60.0)
    assert (world.state, world.stable) == ("Rejected", "1")


def test_an_edited_template_starts_its_tests_anew() -> None:
    world = begin(judged(SHARED))
    world.templates = (template(),)
    before = measured(world)
    assert measured(world).key == before.key
    world.templates = (template(PrometheusQuery(query="other")),)
    after = measured(world)
    assert (after.key != before.key, after.metric_queries[0].query.texts) == (True, ("other",))


def test_beside_stable_everything_is_asked_and_in_the_guard_what_has_a_bound_of_its_own() -> None:
    world = begin(judged(OWN, COMPARED), hold=10.0)
    assert [metric_query.metric.name for metric_query in measured(world).metric_queries] == [
        "queue",
        "score",
    ]
    world.run_until("Guarding")
    world.settle()
    assert [metric_query.metric.name for metric_query in measured(world).metric_queries] == [
        "queue"
    ]


def test_what_is_judged_at_the_end_of_the_hold_is_due_then() -> None:
    world = begin(judged(COMPARED), hold=10.0)
    world.verdicts["2"] = "Inconclusive"
    assert not measured(world).hold_over
    world.run(30.0)
    assert (world.state, measured(world).hold_over) == ("Holding", True)


def test_with_proof_a_step_ends_before_its_hold_is_over() -> None:
    world = begin(judged(built_in=True, decide="Early"), hold=3600.0)
    world.run(120.0)
    assert (world.state, world.canary_weight) == ("Holding", 20)
    world.proven = True
    world.run(60.0)
    assert world.stable == "2"


def test_proof_ends_no_experiment_and_no_step_that_waits_for_a_person() -> None:
    analysis = judged(CustomMetric("clicks", PrometheusQuery(good="a", total="b")), built_in=True)
    terms = rollout(analysis, hold=3600.0)
    step = replace(terms.steps[0], approval=True)
    for held in (
        replace(terms, steps=(step,)),
        replace(terms, steps=(), experiment=ExperimentSpec("clicks", min_seconds=3600.0)),
    ):
        world = start()
        world.proven = True
        world.outcomes["2"] = "CanaryBetter"
        world.apply(make_spec("2", rollout=held))
        world.run(600.0)
        assert (world.state, world.stable) == ("Holding", "1")


def test_an_experiment_by_one_figure_cannot_be_decided_and_says_what_to_write() -> None:
    terms = replace(rollout(judged(OWN)), experiment=ExperimentSpec("queue", min_seconds=10.0))
    world = start()
    world.apply(make_spec("2", rollout=terms))
    world.run_until("Holding")
    world.settle()
    assert judgement(world)[1] == "ExperimentNeedsCounts"


@pytest.mark.parametrize(
    ("controller", "kind"),
    [("traefik.io/gateway-controller", "Traefik"), ("istio.io/gateway-controller", "Istio")],
)
def test_a_gateways_counters_are_read_where_it_counts_by_revision(
    controller: str, kind: str
) -> None:
    world = start()
    world.controller = controller
    analysis = AnalysisSpec(metrics=(BY_GATEWAY,), gateway=ADDRESS)
    world.apply(make_spec("2", rollout=rollout(analysis)))
    world.run_until("Holding")
    world.settle()
    assert measured(world).gateway == GatewayEndpoint(kind, ADDRESS)


@pytest.mark.parametrize(
    "traffic", [GATEWAY_TRAFFIC, Traffic(router="Replicas")], ids=["Envoy Gateway", "Replicas"]
)
def test_a_gateway_that_does_not_tell_revisions_apart_promotes_nobody(traffic: Traffic) -> None:
    world = start(traffic)
    world.controller = "gateway.envoyproxy.io/gatewayclass-controller"
    analysis = AnalysisSpec(metrics=(BY_GATEWAY,), gateway=ADDRESS)
    terms = replace(make_rollout(50, hold=10.0), analysis=analysis)
    world.apply(make_spec("2", traffic=traffic, rollout=terms))
    world.run(300.0)
    assert (world.state, world.stable, judgement(world)[1]) == ("Holding", "1", "GatewayCannotTell")


def grpc_spec(version: str, analysis: AnalysisSpec) -> Spec:
    """A model that is called by gRPC."""
    traffic = replace(GATEWAY_TRAFFIC, protocol="GRPC")
    return make_spec(version, traffic=traffic, rollout=rollout(analysis))


def test_what_callers_speak_says_which_counters_are_read() -> None:
    world = start(replace(GATEWAY_TRAFFIC, protocol="GRPC"))
    world.apply(grpc_spec("2", judged(built_in=True)))
    world.run_until("Holding")
    world.settle()
    assert measured(world).protocol == "GRPC"


def test_calls_by_grpc_are_not_judged_by_what_traefik_counts() -> None:
    analysis = AnalysisSpec(metrics=(BY_GATEWAY,), gateway=ADDRESS)
    world = start(replace(GATEWAY_TRAFFIC, protocol="GRPC"))
    world.apply(grpc_spec("2", analysis))
    world.run(60.0)
    assert (world.status.phase, world.stable, world.canary) == ("Invalid", "1", "")
    assert world.status.message == (
        "spec.rollout.analysis: metric error-rate: Traefik counts a gRPC call that went well as it"
        " does one that failed with UNKNOWN: take source Pods, or a metric of your own"
    )


def test_calls_by_grpc_are_judged_by_what_istio_counts() -> None:
    analysis = AnalysisSpec(metrics=(BY_GATEWAY,), gateway=ADDRESS)
    world = start(replace(GATEWAY_TRAFFIC, protocol="GRPC"))
    world.controller = "istio.io/gateway-controller"
    world.apply(grpc_spec("2", analysis))
    world.run_until("Holding")
    world.settle()
    assert measured(world).gateway == GatewayEndpoint("Istio", ADDRESS)


def test_the_traffic_share_is_judged_where_requests_are_split_and_not_against_a_persons_word() -> (
    None
):
    for traffic, traffic_share, expected in (
        (GATEWAY_TRAFFIC, "Check", (True, 0.5)),
        (GATEWAY_TRAFFIC, "Ignore", (False, 0.5)),
        (Traffic(router="Replicas"), "Check", (False, None)),
    ):
        world = start(traffic)
        terms = replace(
            make_rollout(50, hold=60.0), analysis=judged(built_in=True, traffic_share=traffic_share)
        )
        world.apply(make_spec("2", traffic=traffic, rollout=terms))
        world.run_until("Holding")
        world.run(10.0)
        measure = measured(world)
        assert (measure.traffic_share, measure.share) == expected
