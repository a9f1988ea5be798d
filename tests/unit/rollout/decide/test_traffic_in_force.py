"""Somebody edits a live route: what was in force is in status, and is put back in any state."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from canarium.core.plan import RouteKind
from canarium.core.spec import ParentRef, PathMatch, RolloutSpec, Spec, Step, Traffic

from tests.properties.world import (
    GATEWAY_TRAFFIC,
    NAME,
    World,
    make_rollout,
    make_spec,
)

Json = dict[str, Any]
Edit = Callable[[Json], Any]
WHERE = Traffic(hostnames=("fraud.example.com",), paths=(PathMatch("PathPrefix", "/v1"),))
AT_GATEWAY = replace(WHERE, parent_refs=(ParentRef("public", "gateways"),), request_timeout="30s")
IN_MESH = replace(WHERE, router="Istio", request_timeout="30s")
ROUTERS: dict[str, tuple[Traffic, frozenset[RouteKind]]] = {
    "GatewayAPI": (AT_GATEWAY, frozenset()),
    "Traefik": (WHERE, frozenset(("IngressRoute", "TraefikService"))),
    "Istio": (IN_MESH, frozenset(("VirtualService",))),
}
BEFORE_STABLE: Json = {
    "GatewayAPI": {"backendRefs": [{"name": "theirs", "port": 80}]},
    "Traefik": {
        "kind": "Rule",
        "match": "PathPrefix(`/`)",
        "services": [{"kind": "Service", "name": "theirs"}],
    },
    "Istio": {"route": [{"destination": {"host": "theirs"}, "weight": 100}]},
}
COOKIE: Json = {"cookie": {"name": "theirs"}}
EDITS: list[tuple[str, RouteKind, str, Edit]] = [
    ("GatewayAPI", "HTTPRoute", "path", lambda s: _matches(s)["path"].update(value="/theirs")),
    ("GatewayAPI", "HTTPRoute", "host", lambda s: s.update(hostnames=["theirs.example.com"])),
    ("GatewayAPI", "HTTPRoute", "parent", lambda s: s["parentRefs"][0].update(name="theirs")),
    ("GatewayAPI", "HTTPRoute", "timeout", lambda s: s["rules"][-1].pop("timeouts")),
    ("GatewayAPI", "HTTPRoute", "rule", lambda s: _put_first(s, "rules", "GatewayAPI")),
    ("GatewayAPI", "HTTPRoute", "gateways", lambda s: s.update(useDefaultGateways="All")),
    ("Traefik", "IngressRoute", "parent", lambda s: s.update(parentRefs=[{"name": "theirs"}])),
    ("Traefik", "TraefikService", "failover", lambda s: s.update(failover={"service": "x"})),
    ("Traefik", "TraefikService", "cookie", lambda s: s["weighted"].update(sticky=COOKIE)),
    ("Traefik", "IngressRoute", "path", lambda s: s["routes"][-1].update(match="Path(`/x`)")),
    ("Traefik", "IngressRoute", "host", lambda s: s["routes"][-1].update(match="Host(`x.y`)")),
    ("Traefik", "IngressRoute", "rule", lambda s: _put_first(s, "routes", "Traefik")),
    ("Traefik", "TraefikService", "scheme", lambda s: _shares(s)[0].update(scheme="h2c")),
    ("Istio", "VirtualService", "tcp", lambda s: s.update(tcp=[{"route": []}])),
    ("Istio", "VirtualService", "method", lambda s: _narrow(s, method={"exact": "POST"})),
    ("Istio", "VirtualService", "source", lambda s: _narrow(s, sourceNamespace="theirs")),
    ("Istio", "VirtualService", "path", lambda s: s["http"][-1]["match"][0].update(uri={})),
    ("Istio", "VirtualService", "host", lambda s: s.update(hosts=["theirs.example.com"])),
    ("Istio", "VirtualService", "parent", lambda s: s.update(gateways=["theirs/public"])),
    ("Istio", "VirtualService", "timeout", lambda s: s["http"][-1].update(timeout="1s")),
    ("Istio", "VirtualService", "rule", lambda s: _put_first(s, "http", "Istio")),
]
NAMES = [f"{router}-{what}" for router, _, what, _ in EDITS]
MANUAL = make_rollout(20, 50, hold=100.0)
STATES = ("Holding", "Scaling", "Guarding", "Idle", "Reverting")


def _matches(spec: Json) -> Json:
    found: Json = spec["rules"][-1]["matches"][0]
    return found


def _shares(spec: Json) -> list[Json]:
    found: list[Json] = spec["weighted"]["services"]
    return found


def _narrow(spec: Json, **match: Any) -> None:
    spec["http"][-1]["match"][0].update(match)


def _put_first(spec: Json, where: str, router: str) -> None:
    spec[where].insert(0, BEFORE_STABLE[router])


def spec_for(router: str, version: str, rollout: RolloutSpec = MANUAL, **traffic: Any) -> Spec:
    where, _ = ROUTERS[router]
    return make_spec(version, traffic=replace(where, **traffic), rollout=rollout)


def rolling(router: str, state: str = "Holding") -> World:
    """A world in which version 2 is on its way by a router, in this state of it."""
    world = World(spec_for(router, "1"), installed=ROUTERS[router][1])
    world.gateway_api = router == "GatewayAPI"
    world.run_until("Idle")
    world.settle()
    if state == "Idle":
        world.run(2.0)
        return world
    if state == "Scaling":
        world.unready.add("2")
    world.apply(spec_for(router, "2"))
    if state == "Reverting":
        world.run_until("Holding")
        world.command("abort", "2")
    world.run_until(state)
    world.run(1.0)
    assert world.state == state
    return world


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize(("router", "kind", "_what", "change"), EDITS, ids=NAMES)
def test_an_edit_is_put_right_at_once_in_every_state(
    router: str, kind: RouteKind, _what: str, change: Edit, state: str
) -> None:
    world = rolling(router, state)
    before = world.reach()
    world.edit_route(kind, change)
    world.settle()
    assert world.reach() == before


@pytest.mark.parametrize("state", ["Holding", "Guarding"])
def test_what_people_edit_in_a_rollout_waits_until_it_is_over(state: str) -> None:
    world = rolling("GatewayAPI", state)
    before = world.reach()
    world.apply(spec_for("GatewayAPI", "2", hostnames=("new.example.com",)))
    world.settle()
    assert world.reach() == before
    world.run_until("Idle")
    world.settle()
    assert world.reach()[f"HTTPRoute {NAME}"]["hostnames"] == ["new.example.com"]


def test_what_is_in_force_is_stored_before_a_route_is_written_by_it() -> None:
    world = rolling("GatewayAPI", "Idle")
    world.apply(spec_for("GatewayAPI", "1", hostnames=("new.example.com",)))
    made = world.step()
    assert made.writes == ()
    assert world.status.traffic == replace(AT_GATEWAY, hostnames=("new.example.com",))


@pytest.mark.parametrize("lost", ["all", "traffic"], ids=["lost-status", "older-operator"])
@pytest.mark.parametrize("router", ROUTERS)
def test_what_no_status_says_comes_from_the_spec_and_not_from_an_edited_route(
    router: str, lost: str
) -> None:
    world = rolling(router)
    before = world.reach()
    for name, kind, _, change in EDITS:
        if name == router and kind != "TraefikService":
            world.edit_route(kind, change)
    kept = {k: v for k, v in world.status_raw.items() if k not in ("traffic", "router")}
    world.status_raw = {} if lost == "all" else kept
    world.settle()
    assert world.reach() == before


def test_to_note_what_is_in_force_is_one_write_of_status_and_nothing_else() -> None:
    world = rolling("GatewayAPI", "Idle")
    world.status_raw = {k: v for k, v in world.status_raw.items() if k != "traffic"}
    writes = len(world.writes)
    world.settle()
    assert world.writes[writes:] == ["status"]


def test_crds_that_drop_what_is_in_force_stop_nothing() -> None:
    world = World(spec_for("GatewayAPI", "1"))
    for _ in range(60):
        world.step()
        world.status_raw = {k: v for k, v in world.status_raw.items() if k != "traffic"}
        world.tick(1.0)
    assert world.state == "Idle"
    world.edit_route("HTTPRoute", EDITS[1][-1])
    world.step()
    assert world.reach()[f"HTTPRoute {NAME}"]["hostnames"] == ["fraud.example.com"]


def test_with_a_spec_of_no_use_an_edit_is_put_right_all_the_same() -> None:
    world = rolling("GatewayAPI")
    before = world.reach()
    world.apply(None)
    world.settle()
    world.edit_route("HTTPRoute", EDITS[0][-1])
    world.settle()
    assert (world.status.phase, world.reach()) == ("Invalid", before)


def test_where_nobody_knows_what_was_in_force_the_route_is_left_as_it_is() -> None:
    world = rolling("GatewayAPI", "Idle")
    world.apply(None)
    world.status_raw = {}
    world.edit_route("HTTPRoute", EDITS[0][-1])
    edited = world.reach()
    world.run(10.0)
    assert world.reach() == edited
    assert world.condition("Routed")[1] == "NotRouted"
    world.apply(spec_for("GatewayAPI", "1"))
    world.run_until("Idle")
    world.settle()
    assert world.reach()[f"HTTPRoute {NAME}"]["rules"][-1]["matches"] == [
        {"path": {"type": "PathPrefix", "value": "/v1"}}
    ]


def test_a_gateway_that_is_gone_is_replaced_by_the_one_that_the_spec_names_now() -> None:
    world = rolling("GatewayAPI")
    elsewhere = (ParentRef("other", "gateways"),)
    world.apply(spec_for("GatewayAPI", "2", parent_refs=elsewhere))
    world.settle()
    assert world.status.traffic == AT_GATEWAY
    world.delete_gateway()
    world.settle()
    assert world.status.traffic == replace(AT_GATEWAY, parent_refs=elsewhere)


def test_a_gateway_that_is_gone_for_a_moment_brings_no_other_edit_into_force() -> None:
    world = rolling("GatewayAPI")
    world.apply(spec_for("GatewayAPI", "2", hostnames=("new.example.com",)))
    world.delete_gateway()
    world.settle()
    assert world.status.traffic == AT_GATEWAY


def weigh(world: World, canary: int) -> None:
    """A stranger writes weights into the main rule."""
    name = f"{NAME}-{world.revision('2')}"
    world.edit_route(
        "HTTPRoute",
        lambda s: [
            b.update(weight=canary if b["name"] == name else 100 - canary)
            for b in s["rules"][-1]["backendRefs"]
        ],
    )


def test_weights_that_somebody_gave_a_canary_with_too_few_pods_are_not_adopted() -> None:
    world = World(make_spec("1", replicas=10))
    world.run_until("Idle")
    world.apply(make_spec("2", replicas=10, rollout=make_rollout(20, 50, hold=100.0)))
    world.run_until("Holding")
    world.settle()
    lost = [name for name, pod in world.pods.items() if world.version_of(pod.revision) == "2"]
    world.pods[lost[0]] = replace(world.pods[lost[0]], ready=False)
    weigh(world, 90)
    world.step()
    assert world.canary_weight <= 20


def test_weights_that_somebody_gave_a_refused_canary_are_not_adopted() -> None:
    world = rolling("GatewayAPI")
    world.unready.add("1")
    world.make_pods()
    for pod in [n for n, p in world.pods.items() if world.version_of(p.revision) == "1"][1:]:
        world.pods[pod] = replace(world.pods[pod], ready=True)
    world.scale()
    world._count_pods()
    world.command("abort", "2")
    weigh(world, 90)
    world.step()
    assert (world.state, world.canary_weight <= 20) == ("Reverting", True)


def test_a_service_that_somebody_turned_to_a_refused_canary_is_turned_back() -> None:
    world = World(make_spec("1", traffic=GATEWAY_TRAFFIC, replicas=4))
    world.run_until("Idle")
    world.apply(make_spec("2", replicas=4, rollout=make_rollout(50, hold=100.0)))
    world.run_until("Holding")
    world.settle()
    before = world.services[NAME].spec
    for pod in [n for n, p in world.pods.items() if world.version_of(p.revision) == "1"][:2]:
        world.pods[pod] = replace(world.pods[pod], ready=False)
    world._count_pods()
    world.command("abort", "2")
    world.settle()
    assert (world.state, world.canary_weight) == ("Reverting", 50)
    world.edit_selector({"canarium.dev/model": NAME, "canarium.dev/revision": world.revision("2")})
    world.settle()
    assert world.services[NAME].spec == before


def test_the_service_of_pods_that_share_it_is_put_right() -> None:
    world = World(make_spec("1", traffic=Traffic()))
    world.run_until("Idle")
    world.apply(make_spec("2", traffic=Traffic(), rollout=make_rollout(50, hold=100.0)))
    world.run_until("Holding")
    world.settle()
    before = world.services[NAME].spec
    world.edit_selector({"app": "theirs"})
    world.settle()
    assert world.services[NAME].spec == before


def test_a_cookie_and_a_header_that_are_in_force_are_put_right() -> None:
    step = Step("sticky", 50, hold_seconds=100.0)
    world = World(make_spec("1"))
    world.run_until("Idle")
    world.apply(make_spec("2", rollout=make_rollout(step)))
    world.run_until("Holding")
    world.settle()
    before = world.routes[NAME].spec
    persistence = {"sessionName": "theirs", "type": "Cookie"}
    world.edit_route("HTTPRoute", lambda s: s["rules"][-1].update(sessionPersistence=persistence))
    world.settle()
    assert world.routes[NAME].spec == before


@pytest.mark.parametrize("what", ["host", "timeout"])
def test_an_edit_is_put_right_while_a_shift_waits_for_pods_that_went(what: str) -> None:
    """A share that was decided can't be written; how requests come in has to be all the same."""
    world = rolling("GatewayAPI", "Scaling")
    world.unready.clear()
    while world.state != "Shifting":
        world.step()
        world.tick(1.0)
    before = world.reach()
    world.unready.add("2")
    world.make_pods()
    world.edit_route("HTTPRoute", dict(zip(NAMES, EDITS, strict=True))[f"GatewayAPI-{what}"][-1])
    edited = world.reach()
    world.settle()
    assert (edited == before, world.reach() == before) == (False, True)


def test_a_rule_after_ours_goes_as_soon_as_anybody_has_a_ready_pod() -> None:
    """It looks as if ours had no share, and no share is raised without a ready pod."""
    world = rolling("GatewayAPI")
    world.unready |= {"1", "2"}
    world.make_pods()
    world.settle()
    before = world.reach()
    world.edit_route("HTTPRoute", lambda s: s["rules"].append(BEFORE_STABLE["GatewayAPI"]))
    world.settle()
    edited = world.reach()
    world.unready.clear()
    world.make_pods()
    world.settle()
    assert (edited == before, world.reach() == before) == (False, True)


# Against somebody who keeps writing


def fight(world: World, seconds: float, *, every: float = 1.0) -> list[float]:
    """A stranger who writes again as soon as it is put right; when it was put right."""
    reverted, end = [], world.now + seconds
    while world.now < end:
        world.edit_route("HTTPRoute", EDITS[0][-1])
        edited = world.reach()
        while world.reach() == edited and world.now < end:
            world.step()
            world.tick(every)
        reverted.append(world.now)
    return reverted


def test_an_edit_is_told_with_the_field_manager_in_every_state() -> None:
    for state in STATES:
        world = rolling("GatewayAPI", state)
        world.edit_route("HTTPRoute", EDITS[0][-1])
        world.settle()
        world.run(3.0)
        assert world.events.count("ExternalChangeReverted") == 1, state
        said = [e.message for e in world.told if e.reason == "ExternalChangeReverted"]
        assert said == [f"HTTPRoute {NAME} was changed by kubectl-patch; it is put right"], state


def test_an_edit_of_a_route_that_no_gateway_has_taken_yet_is_told_too() -> None:
    world = rolling("GatewayAPI")
    world.delete_gateway()
    world.settle()
    world.edit_route("HTTPRoute", EDITS[0][-1])
    world.settle()
    assert world.events.count("ExternalChangeReverted") == 1


def test_a_route_that_somebody_deleted_is_written_again_and_told() -> None:
    world = rolling("GatewayAPI")
    before = world.reach()
    world.routes.clear()
    world.settle()
    assert (world.reach(), world.events.count("ExternalChangeReverted")) == (before, 1)


def test_what_a_later_version_writes_otherwise_is_nobodys_edit() -> None:
    world = rolling("GatewayAPI", "Idle")
    routes = {**world.status_raw["routes"], "written": "by-another"}
    world.status_raw = {**world.status_raw, "routes": routes}
    world.edit_route("HTTPRoute", EDITS[0][-1])
    world.settle()
    assert world.events.count("ExternalChangeReverted") == 0


@pytest.mark.parametrize("router", ROUTERS)
def test_a_write_of_ours_that_is_undone_at_once_is_nobodys_edit(router: str) -> None:
    world = rolling(router, "Scaling")
    world.unready.clear()
    while len(world.routed()) == 1:
        world.step()
        world.tick(0.25)
    world.command("abort", "2")
    world.run_until("Rejected")
    world.run(3.0)
    assert world.routed() == {world.revision("1"): 100}
    assert world.events.count("ExternalChangeReverted") == 0


def test_against_somebody_who_keeps_writing_it_is_put_right_ever_more_rarely() -> None:
    world = rolling("GatewayAPI")
    times = fight(world, 150.0)
    waits = [round(b - a) for a, b in pairwise(times)]
    assert waits[:9] == [1, 1, 1, 2, 4, 8, 16, 30, 30]
    assert world.condition("Ready") == ("False", "RouteContested")
    ready = next(c for c in world.status.conditions if c.type == "Ready")
    assert "kubectl-patch" in ready.message
    assert world.status.reason == "RouteContested"
    assert world.events.count("RouteContested") == 1


def test_a_contest_is_over_when_nobody_has_written_for_a_minute() -> None:
    world = rolling("GatewayAPI", "Idle")
    fight(world, 20.0)
    world.settle()
    world.run(100.0)
    assert world.condition("Ready") == ("True", "Serving")
    assert world.status.routes is not None
    assert (world.status.routes.reverts, world.status.routes.managers) == (0, ())
    made = world.step()
    assert (made.status, made.writes) == (None, ())


def test_a_restart_does_not_forget_a_contest() -> None:
    world = rolling("GatewayAPI")
    fight(world, 40.0)
    world.edit_route("HTTPRoute", EDITS[0][-1])
    edited = world.reach()
    world.step()
    world.tick(1.0)
    world.step()
    assert world.reach() == edited
    assert world.last_plan.wake_at is not None


def test_a_rollback_waits_for_no_contest() -> None:
    world = rolling("GatewayAPI")
    fight(world, 60.0)
    world.edit_route("HTTPRoute", EDITS[0][-1])
    world.verdicts["2"] = "Fail"
    world.command("abort", "2")
    world.settle()
    assert (world.state, world.routed()) == ("Reverting", {world.revision("1"): 100})


def test_weight_that_has_to_go_back_to_stable_waits_a_second_at_most() -> None:
    world = rolling("GatewayAPI")
    fight(world, 60.0)
    weigh(world, 90)
    began = world.now
    while world.routed()[world.revision("2")] == 90:
        world.step()
        world.tick(0.25)
    assert world.now - began <= 1.5


def test_a_step_that_is_due_is_written_in_the_middle_of_a_contest() -> None:
    world = rolling("GatewayAPI")
    fight(world, 60.0)
    world.edit_route("HTTPRoute", EDITS[0][-1])
    world.command("promote", "2", step="full")
    world.run(2.0)
    assert world.routed() == {world.revision("2"): 100}


def test_names_of_field_managers_are_few_short_and_harmless() -> None:
    world = rolling("GatewayAPI")
    for number in range(6):
        world.edit_route("HTTPRoute", EDITS[0][-1])
        name = f"{number}\n\x1b[31m" + "x" * 200
        world.routes[NAME] = replace(world.routes[NAME], writers=(name,))
        world.settle()
        world.tick(3.0)
    assert world.status.routes is not None
    kept = world.status.routes.managers
    assert len(kept) == 3
    assert all(len(name) <= 63 and name.isprintable() for name in kept)
    assert all(len(e.message) <= 400 and e.message.isprintable() for e in world.told[-6:])


# What is reported of others, tried on ours


def test_a_virtual_service_that_somebody_deletes_is_written_again() -> None:
    """kserve/kserve#451: one that is modified or deleted stays so."""
    world = rolling("Istio")
    before = world.reach()
    world.others["VirtualService"].clear()
    world.settle()
    assert (world.reach(), world.events.count("ExternalChangeReverted")) == (before, 1)


def test_a_header_that_somebody_adds_goes_at_once_and_not_hours_later_without_a_word() -> None:
    """knative/serving#15580: it is taken for kept, and is gone after a few hours."""
    world = rolling("Istio")
    headers = {"response": {"set": {"x-auth": "1"}}}
    world.edit_route("VirtualService", lambda s: s["http"][-1].update(headers=headers))
    world.settle()
    (spec,) = world.reach().values()
    assert "headers" not in spec["http"][-1]
    assert world.told[-1].message == (
        f"VirtualService {NAME} was changed by kubectl-patch; it is put right"
    )


@pytest.mark.parametrize("router", ["GatewayAPI", "Istio"])
def test_host_names_that_the_spec_leaves_out_again_leave_the_route(router: str) -> None:
    """fluxcd/flagger#1464: gateways and hosts that were taken out of the Canary stay."""
    world = rolling(router, "Idle")
    world.apply(spec_for(router, "1", hostnames=()))
    world.settle()
    (spec,) = (s for name, s in world.reach().items() if not name.startswith("Traefik"))
    assert "fraud.example.com" not in [*spec.get("hostnames", []), *spec.get("hosts", [])]


def test_a_service_that_somebody_turns_during_a_pause_is_turned_back() -> None:
    """fluxcd/flagger#1471: nothing corrects it while the Canary is suspended."""
    world = rolling("GatewayAPI")
    world.apply(spec_for("GatewayAPI", "2", replace(MANUAL, paused=True)))
    world.settle()
    before = world.services[NAME].spec
    world.edit_selector({"canarium.dev/model": NAME, "canarium.dev/revision": world.revision("2")})
    world.settle()
    assert (world.status.phase, world.services[NAME].spec) == ("Paused", before)


def test_weights_that_somebody_resets_in_the_middle_of_a_rollout_stop_nothing() -> None:
    """fluxcd/flagger#1692: reset weights of a TraefikService kept a promotion in a loop."""
    world = rolling("Traefik")
    world.edit_route("TraefikService", lambda s: [b.update(weight=100) for b in _shares(s)])
    world.run(1.0)
    assert world.routed() == {world.revision("1"): 80, world.revision("2"): 20}
    world.run_until("Idle")
    assert world.stable == "2"
