"""Steps that the router cannot deliver are refused before anything moves."""

from dataclasses import replace

from canarium.core.observed import GatewayClassRecord, Meta
from canarium.core.spec import HeaderMatch, RolloutSpec, Step, Traffic
from canarium.rollout.plan import plan

from tests.properties.world import World, make_spec, serving

TRAEFIK = GatewayClassRecord(
    Meta("", "traefik", "uid-of-the-class", "1"),
    "traefik.io/gateway-controller",
    accepted=True,
    supported_features=("HTTPRoute", "HTTPRouteMethodMatching"),
)
SHADOW = Step("shadow", 0, mirror=20)
TESTERS = Step("testers", 0, headers=(HeaderMatch("x-canary", "1"),), approval=True)


def want(world: World, *steps: Step, version: str = "2", strategy: str = "") -> None:
    rollout = RolloutSpec(steps=steps, guard_seconds=0.0, strategy=strategy)
    traffic = world.spec.traffic if world.spec else Traffic()
    world.apply(make_spec(version, traffic=traffic, rollout=rollout))


def headline(world: World, *classes: GatewayClassRecord) -> tuple[str, str, str]:
    observed = replace(world.observe(), gateway_classes=classes)
    status = plan(observed, world.now).status or world.status_raw
    return status["phase"], status["reason"], status["message"]


def test_a_mirror_that_the_gateway_would_break_on_is_refused_with_what_to_write() -> None:
    world = serving()
    want(world, SHADOW)
    phase, reason, message = headline(world, TRAEFIK)
    assert (phase, reason) == ("Invalid", "InvalidSpec")
    assert message.startswith("spec.rollout.steps[0]: step shadow: the GatewayClass traefik")
    assert "write a weight or headers instead of mirror" in message
    assert plan(replace(world.observe(), gateway_classes=(TRAEFIK,)), world.now).writes == ()


def test_a_strategy_is_refused_by_its_name() -> None:
    world = serving()
    want(world, SHADOW, strategy="Shadow")
    assert headline(world, TRAEFIK)[2].startswith("spec.rollout.strategy: step shadow: ")


def test_a_header_step_is_delivered_by_any_gateway() -> None:
    world = serving()
    want(world, TESTERS)
    assert headline(world, TRAEFIK)[:2] == ("Progressing", "Scaling")


def test_whole_pods_can_be_led_to_by_no_header() -> None:
    world = serving(traffic=Traffic())
    want(world, TESTERS)
    world.settle()
    assert (world.status.phase, world.stable, world.canary) == ("Invalid", "1", "")
    assert "router Replicas" in world.status.message


def test_a_gateway_that_is_not_there_yet_refuses_nothing() -> None:
    world = serving()
    want(world, SHADOW)
    assert headline(world)[:2] == ("Progressing", "Scaling")


def test_what_serves_goes_on_while_a_step_cannot_be_delivered_and_a_mended_spec_rolls_out() -> None:
    world = serving(traffic=Traffic())
    want(world, TESTERS)
    world.run(30.0)
    assert world.condition("Ready") == ("True", "Serving")
    want(world, Step("half", 50))
    world.run_until("Idle")
    world.run(60.0)
    assert world.stable == "2"
