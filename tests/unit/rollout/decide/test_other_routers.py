"""Rollouts through Traefik's and Istio's own kinds, and changes from one router to another."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from canarium.core.plan import RouteKind
from canarium.core.spec import HeaderMatch, RolloutSpec, Step, Traffic
from canarium.routing import ROUTERS

from tests.properties.world import GATEWAY_TRAFFIC, NAME, World, make_rollout, make_spec

KINDS: dict[str, frozenset[RouteKind]] = {
    "Traefik": frozenset(("IngressRoute", "TraefikService")),
    "Istio": frozenset(("VirtualService",)),
}
HOSTS = Traffic(hostnames=("fraud.example.com",))
PREVIEW = RolloutSpec(
    steps=(
        Step("copies", 0, hold_seconds=20.0, mirror=20),
        Step("testers", 0, hold_seconds=20.0, headers=(HeaderMatch("x-canary", "1"),)),
        Step("half", 50, hold_seconds=20.0),
    ),
    guard_seconds=20.0,
)


def serving_by(name: str, **options: Any) -> World:
    """A world in which a first version serves through the router that is installed."""
    traffic = options.pop("traffic", HOSTS)
    world = World(make_spec("1", traffic=traffic), gateway_api=False, installed=KINDS[name])
    world.run_until("Idle")
    world.settle()
    return world


def names(world: World, kind: RouteKind) -> set[str]:
    return set(world.others.get(kind, {}))


def routed_message(world: World) -> str:
    return next(c.message for c in world.status.conditions if c.type == "Routed")


@pytest.mark.parametrize("name", KINDS)
def test_a_version_is_previewed_and_promoted(name: str) -> None:
    world = serving_by(name)
    world.apply(make_spec("2", traffic=HOSTS, rollout=PREVIEW))
    seen = []
    for _ in range(150):
        world.run(1.0)
        step = world.status.rollout.step_name if world.status.rollout else ""
        by_version = {world.version_of(r): w for r, w in world.routed().items()}
        if world.state == "Holding" and (step, by_version) not in seen:
            seen.append((step, by_version))
    assert (world.state, world.stable) == ("Idle", "2")
    assert seen == [
        ("copies", {"1": 100, "2": 0}),
        ("testers", {"1": 100, "2": 0}),
        ("half", {"1": 50, "2": 50}),
    ]
    assert world.routed() == {world.revision("2"): 100}


def test_traefiks_mirror_is_gone_after_its_step() -> None:
    world = serving_by("Traefik")
    world.apply(make_spec("2", traffic=HOSTS, rollout=PREVIEW))
    world.run(15.0)
    copies = f"{NAME}-{world.revision('2')}"
    assert names(world, "TraefikService") == {NAME, copies}
    world.run(150.0)
    assert (world.state, names(world, "TraefikService")) == ("Idle", {NAME})


def test_traefik_has_seen_the_mirror_when_requests_are_led_to_it() -> None:
    world = serving_by("Traefik")
    world.apply(make_spec("2", traffic=HOSTS, rollout=PREVIEW))
    while names(world, "TraefikService") == {NAME}:
        world.run(0.1)
    mirror = f"{NAME}-{world.revision('2')}"
    created = world.others["TraefikService"][mirror].meta.created_at
    while world.routed().get(world.revision("2")) is None:
        assert world.state == "Shifting"
        world.run(0.1)
    waited = world.now - created
    assert waited == pytest.approx(ROUTERS["Traefik"].settle_seconds + 1.0, abs=0.2)


def test_requests_leave_traefiks_mirror_at_once() -> None:
    world = serving_by("Traefik")
    world.apply(make_spec("2", traffic=HOSTS, rollout=PREVIEW))
    world.run_until("Holding")
    world.crashing.add("2")
    world.run_until("Reverting")
    began = world.now
    while world.revision("2") in world.routed():
        world.run(0.1)
    assert world.now - began <= 0.2


@pytest.mark.parametrize("name", KINDS)
def test_a_canary_that_only_gets_copies_is_taken_back_with_them(name: str) -> None:
    world = serving_by(name)
    world.apply(make_spec("2", traffic=HOSTS, rollout=PREVIEW))
    world.run(ROUTERS[name].settle_seconds + 10.0)
    world.crashing.add("2")
    world.run(60.0)
    assert (world.state, world.routed()) == ("Rejected", {world.revision("1"): 100})
    assert world.replicas("2") == 0


@pytest.mark.parametrize("name", KINDS)
def test_the_condition_says_which_router_it_is_and_how_much_its_word_is_worth(name: str) -> None:
    world = serving_by(name)
    why = f"{name}: host names or paths without a Gateway, and {name} is installed; {name} does"
    assert routed_message(world).startswith(why)
    assert world.condition("Routed") == ("True", "Accepted")


def test_a_router_that_is_installed_later_changes_nothing() -> None:
    world = serving_by("Istio")
    world.installed |= KINDS["Traefik"]
    world.run(30.0)
    assert (world.status.router, names(world, "IngressRoute")) == ("Istio", set())


def test_a_router_that_is_asked_for_in_mid_rollout_waits() -> None:
    world = serving_by("Traefik")
    world.installed |= KINDS["Istio"]
    world.apply(make_spec("2", traffic=HOSTS, rollout=make_rollout(50)))
    world.run_until("Holding")
    other = replace(HOSTS, router="Istio")
    world.apply(make_spec("2", traffic=other, rollout=make_rollout(50)))
    world.run(5.0)
    assert (world.status.router, names(world, "VirtualService")) == ("Traefik", set())
    world.run(120.0)
    assert (world.status.router, names(world, "IngressRoute")) == ("Istio", set())


def test_the_old_routes_stay_until_the_new_ones_are_taken() -> None:
    world = World(make_spec("1", traffic=GATEWAY_TRAFFIC), installed=KINDS["Traefik"])
    world.run_until("Idle")
    world.apply(make_spec("1", traffic=HOSTS))
    world.settle()
    assert names(world, "IngressRoute") == {NAME}
    settle = ROUTERS["Traefik"].settle_seconds
    world.run(settle)
    assert set(world.routes) == {NAME}
    world.run(2.0)
    assert set(world.routes) == set()


def test_hosts_that_nothing_installed_serves_are_said_and_heal() -> None:
    world = World(make_spec("1", traffic=HOSTS), gateway_api=False)
    world.run(10.0)
    assert world.condition("Routed") == ("False", "TraefikNotInstalled")
    assert "spec.traffic.parentRefs" in routed_message(world)
    world.installed = KINDS["Istio"]
    world.run(30.0)
    assert (world.state, world.status.router) == ("Idle", "Istio")
