"""Which router `Auto` takes, and why."""

from __future__ import annotations

from typing import Any

import pytest
from canarium.core.plan import RouteKind
from canarium.routing import ROUTERS, Choice, choose_router, find_router

from tests.unit.routing.routing import (
    EVERYTHING,
    GATEWAY,
    MODEL,
    STABLE,
    make_split,
    make_traffic,
    observe,
)

HOSTS: dict[str, Any] = {"hostnames": ["fraud.example.com"]}
TRAEFIK: frozenset[RouteKind] = frozenset(("IngressRoute", "TraefikService"))
ISTIO: frozenset[RouteKind] = frozenset(("VirtualService",))
NOTHING: frozenset[RouteKind] = frozenset()


def installed(name: str) -> Choice:
    return Choice(name, f"host names or paths without a Gateway, and {name} is installed")


WITHOUT = Choice("Replicas", "no Gateway, host name or path is given")
CASES: dict[str, tuple[dict[str, Any], frozenset[RouteKind], str, Choice]] = {
    "a router that is named": (
        {"router": "Istio"},
        NOTHING,
        "",
        Choice("Istio", "spec.traffic.router names it"),
    ),
    "a Gateway": (
        {**GATEWAY, "router": "Auto"},
        EVERYTHING,
        "Traefik",
        Choice("GatewayAPI", "parentRefs name a Gateway"),
    ),
    "nothing of the kind": ({}, EVERYTHING, "", WITHOUT),
    "every path": ({"paths": [{"value": "/"}]}, EVERYTHING, "", WITHOUT),
    "hosts with everything": (HOSTS, EVERYTHING, "", installed("Traefik")),
    "hosts with Traefik": (HOSTS, TRAEFIK, "", installed("Traefik")),
    "hosts with Istio": (HOSTS, ISTIO, "", installed("Istio")),
    "paths with Istio": ({"paths": [{"value": "/v2"}]}, ISTIO, "", installed("Istio")),
    "timeouts, which Traefik lacks": (
        {**HOSTS, "timeouts": {"request": "3s"}},
        EVERYTHING,
        "",
        installed("Istio"),
    ),
    "the one in use stays": (HOSTS, EVERYTHING, "Istio", installed("Istio")),
    "the one in use is gone": (HOSTS, TRAEFIK, "Istio", installed("Traefik")),
    "hosts with nothing": (
        HOSTS,
        NOTHING,
        "",
        Choice("Traefik", "host names or paths are given, but no Gateway"),
    ),
    "half of Traefik is none": (
        HOSTS,
        frozenset(("IngressRoute",)),
        "",
        Choice("Traefik", "host names or paths are given, but no Gateway"),
    ),
}


@pytest.mark.parametrize(("traffic", "served", "current", "want"), CASES.values(), ids=CASES.keys())
def test_auto_takes_what_is_asked_for_and_installed(
    traffic: dict[str, Any], served: frozenset[RouteKind], current: str, want: Choice
) -> None:
    observed = observe(installed=served)
    assert choose_router(make_traffic(**traffic), observed, current) == want


def test_hosts_that_nothing_can_serve_are_refused_with_the_cure() -> None:
    split, observed = make_split(HOSTS, {STABLE: 100}), observe(installed=NOTHING)
    choice = choose_router(split.traffic, observed)
    found = ROUTERS[choice.name].verify(split, observed)
    assert (found.accepted, found.refused, found.reason) == (False, True, "TraefikNotInstalled")
    assert found.message == (
        "host names and paths without a Gateway need Traefik's own kinds (which know no timeouts) "
        "or Istio's, and the operator sees neither: name a Gateway in spec.traffic.parentRefs, "
        "install one of them, or switch it on (routers.traefik or routers.istio of the operator's "
        "chart)"
    )


@pytest.mark.parametrize("name", ["GatewayAPI", "Traefik", "Istio"])
def test_a_router_is_found_by_the_objects_that_live(name: str) -> None:
    traffic = GATEWAY if name == "GatewayAPI" else {"router": name, **HOSTS}
    live = ROUTERS[name].make_routes(make_split(traffic, {STABLE: 100}))
    assert find_router(MODEL, observe(live)) == name


def test_without_any_route_it_is_the_service_alone() -> None:
    assert find_router(MODEL, observe()) == "Replicas"
