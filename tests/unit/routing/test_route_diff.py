"""Somebody edits a route or a Service: what is noticed, and what is left alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from canarium.core.observed import Observed
from canarium.routing import ROUTERS
from canarium.routing.base import is_current
from canarium.routing.diff import find_added, says_same

from tests.unit.routing.defaults import fill_defaults
from tests.unit.routing.routing import CANARY, GATEWAY, STABLE, Json, make_split, observe

ROUTER = ROUTERS["GatewayAPI"]
SPLIT = make_split(
    GATEWAY, {STABLE: 95, CANARY: 5}, headers=[{"name": "x-canary", "value": "1"}], mirror=20
)
Edit = Callable[[Json], Any]


def edit(observed: Observed, change: Edit, *, service: bool = False) -> Observed:
    """The cluster after somebody's edit of the route (or the leading Service)."""
    if service:
        (found,) = observed.services
        spec = json.loads(found.spec)
        change(spec)
        return replace(observed, services=(replace(found, spec=json.dumps(spec).encode()),))
    (route,) = observed.routes
    spec = json.loads(route.spec)
    change(spec)
    return replace(observed, routes=(replace(route, spec=json.dumps(spec).encode()),))


def stale_kinds(observed: Observed) -> list[str]:
    children = ROUTER.make_routes(SPLIT)
    return [c.ref.kind for c in children if not is_current(observed, c)]


LIVE = fill_defaults(observe(ROUTER.make_routes(SPLIT)))
FOREIGN_FILTER = {"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": []}}
ROUTE_EDITS: dict[str, Edit] = {
    "another weight": lambda s: s["rules"][1]["backendRefs"][0].update(weight=90),
    "another backend": lambda s: s["rules"][1]["backendRefs"][0].update(name="theirs"),
    "another backend port": lambda s: s["rules"][1]["backendRefs"][0].update(port=81),
    "a backend of another kind": lambda s: s["rules"][1]["backendRefs"][0].update(kind="Bucket"),
    "a backend elsewhere": lambda s: s["rules"][1]["backendRefs"][0].update(namespace="theirs"),
    "a backend more": lambda s: s["rules"][1]["backendRefs"].append({"name": "x", "port": 80}),
    "another header": lambda s: s["rules"][0]["matches"][0]["headers"][0].update(value="2"),
    "no header": lambda s: s["rules"][0]["matches"][0].pop("headers"),
    "a header on the main rule": lambda s: s["rules"][1]["matches"][0].update(
        headers=[{"type": "Exact", "name": "a", "value": "b"}]
    ),
    "a method": lambda s: s["rules"][1]["matches"][0].update(method="POST"),
    "a query": lambda s: s["rules"][1]["matches"][0].update(queryParams=[{"name": "q"}]),
    "another path": lambda s: s["rules"][1]["matches"][0]["path"].update(value="/v2"),
    "a match more": lambda s: s["rules"][1]["matches"].append({"path": {"value": "/v3"}}),
    "no mirror": lambda s: s["rules"][1].pop("filters"),
    "another mirror": lambda s: s["rules"][1]["filters"][0]["requestMirror"].update(percent=90),
    "a filter more": lambda s: s["rules"][1]["filters"].append(FOREIGN_FILTER),
    "a filter on the header rule": lambda s: s["rules"][0].update(filters=[FOREIGN_FILTER]),
    "a rule more": lambda s: s["rules"].append(s["rules"][1]),
    "a rule less": lambda s: s["rules"].pop(0),
    "rules in another order": lambda s: s["rules"].reverse(),
    "a timeout": lambda s: s["rules"][1].update(timeouts={"request": "1s"}),
    "another host": lambda s: s.update(hostnames=["theirs.example.com"]),
    "no host": lambda s: s.pop("hostnames"),
    "another gateway": lambda s: s["parentRefs"][0].update(name="theirs"),
    "one listener alone": lambda s: s["parentRefs"][0].update(sectionName="https"),
}
SERVICE_EDITS: dict[str, Edit] = {
    "another selector": lambda s: s["selector"].update({"canarium.dev/revision": CANARY}),
    "a selector more": lambda s: s["selector"].update(zone="a"),
    "a selector less": lambda s: s["selector"].pop("canarium.dev/revision"),
    "another target": lambda s: s["ports"][0].update(targetPort=9999),
    "another port": lambda s: s["ports"][0].update(port=81),
    "no port": lambda s: s.update(ports=[]),
    "another host's name": lambda s: s.update(type="ExternalName", externalName="theirs.example"),
    "another protocol": lambda s: s["ports"][0].update(appProtocol="https"),
    "pods that aren't ready": lambda s: s.update(publishNotReadyAddresses=True),
}


def test_what_nobody_edited_is_left_alone() -> None:
    assert stale_kinds(LIVE) == []


@pytest.mark.parametrize("change", ROUTE_EDITS.values(), ids=ROUTE_EDITS.keys())
def test_an_edit_of_the_route_is_noticed(change: Edit) -> None:
    assert stale_kinds(edit(LIVE, change)) == ["HTTPRoute"]


@pytest.mark.parametrize("change", SERVICE_EDITS.values(), ids=SERVICE_EDITS.keys())
def test_an_edit_of_the_service_is_noticed(change: Edit) -> None:
    assert stale_kinds(edit(LIVE, change, service=True)) == ["Service"]


def test_fields_that_a_later_version_of_the_kind_fills_in_are_no_drift() -> None:
    def upgrade(spec: Json) -> None:
        spec["scope"] = "Everything"
        spec["rules"][1]["backendRefs"][0]["fallback"] = False
        spec["rules"][0]["name"] = "canary"

    assert stale_kinds(edit(LIVE, upgrade)) == []


def test_what_others_own_on_the_service_is_theirs() -> None:
    def open_it(spec: Json) -> None:
        spec["type"] = "NodePort"
        spec["ports"][0]["nodePort"] = 30123
        spec["ports"][0]["appProtocol"] = "http"
        spec["ports"].append({"name": "debug", "port": 6060, "targetPort": 6060})

    assert stale_kinds(edit(LIVE, open_it, service=True)) == []


def test_a_route_that_is_gone_is_missed() -> None:
    assert stale_kinds(replace(LIVE, routes=())) == ["HTTPRoute"]


def test_a_route_of_another_kind_with_our_name_is_not_ours() -> None:
    (route,) = LIVE.routes
    assert stale_kinds(replace(LIVE, routes=(replace(route, kind="GRPCRoute"),))) == ["HTTPRoute"]


@pytest.mark.parametrize(("named", "stale"), [(["."], True), (["*"], False)])
def test_a_virtual_service_that_somebody_hides_from_gateways_is_noticed(
    named: list[str], stale: bool
) -> None:
    ours = json.dumps({"hosts": ["fraud.example.com"], "gateways": ["mesh/public"]})
    live = json.dumps({**json.loads(ours), "exportTo": named}).encode()
    assert says_same("VirtualService", live, ours) is not stale
    assert find_added("VirtualService", live, ours) == ((("exportTo",),) if stale else ())


def test_of_a_service_that_leads_out_of_the_cluster_the_type_goes_with_the_name() -> None:
    """The apiserver refuses a Service of that type without the name."""
    (child,) = (c for c in ROUTER.make_routes(SPLIT) if c.ref.kind == "Service")
    live = {**json.loads(child.text), "type": "ExternalName", "externalName": "theirs.example"}
    added = find_added("Service", json.dumps(live).encode(), child.text)
    assert added == (("externalName",), ("type",))


UDP = {"name": "theirs", "port": 80, "protocol": "UDP", "targetPort": 80}


def test_ports_are_told_apart_by_number_and_protocol() -> None:
    """Somebody's port for UDP neither hides what was done to ours nor is taken for it."""
    (found,) = LIVE.services
    ports = json.loads(found.spec)["ports"]

    def has(*given: Json) -> list[str]:
        return stale_kinds(edit(LIVE, lambda s: s.update(ports=[*given]), service=True))

    assert has(*ports, {**UDP, "appProtocol": "https"}) == []
    assert has({**ports[0], "appProtocol": "https"}, *ports[1:], UDP) == ["Service"]
