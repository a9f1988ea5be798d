"""When a route counts as taken, and whose pods it needs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from canarium.core.observed import Observed, RouteParent
from canarium.routing import ROUTERS, Verification

from tests.unit.routing.routing import (
    CANARY,
    GATEWAY,
    MODEL,
    STABLE,
    answer,
    make_gateway,
    make_route,
    make_split,
    observe,
)

ROUTER = ROUTERS["GatewayAPI"]
SPLIT = make_split(GATEWAY, {STABLE: 80, CANARY: 20})
GRPC = make_split({**GATEWAY, "protocol": "GRPC"}, {STABLE: 100})


def written(
    *parents: RouteParent, split: Any = SPLIT, generation: int = 1, **fields: Any
) -> Observed:
    """Everything is written, and the gateways say this of the route."""
    observed = observe(ROUTER.make_routes(split), **fields)
    routes = tuple(
        replace(r, meta=replace(r.meta, generation=generation), parents=parents)
        for r in observed.routes
    )
    return replace(observed, routes=routes)


@pytest.mark.parametrize("split", [SPLIT, GRPC], ids=["HTTPRoute", "GRPCRoute"])
def test_a_route_that_every_gateway_took_is_programmed(split: Any) -> None:
    assert ROUTER.verify(split, written(answer(), split=split)) == Verification(accepted=True)


WAITS = {
    "nobody answered": (written(), "Gateway gateways/public has not answered for the route yet"),
    "an answer to an earlier change": (
        written(answer(generation=1), generation=2),
        "Gateway gateways/public has not taken the route's last change",
    ),
    "not written": (observe(), "HTTPRoute fraud is being written"),
}


@pytest.mark.parametrize(("observed", "words"), WAITS.values(), ids=WAITS.keys())
def test_a_route_that_is_not_taken_yet_is_waited_for(observed: Observed, words: str) -> None:
    assert ROUTER.verify(SPLIT, observed) == Verification(False, "RoutePending", words)


def refused(reason: str, message: str) -> Verification:
    return Verification(False, reason, message, refused=True)


REFUSALS = {
    "no gateway": (
        written(answer(), gateways=()),
        refused("GatewayNotFound", "Gateway gateways/public does not exist"),
    ),
    "a gateway that isn't ready": (
        written(answer(), gateways=(make_gateway(programmed=False),)),
        refused(
            "GatewayNotProgrammed",
            "Gateway gateways/public is not programmed: its controller has said nothing",
        ),
    ),
    "the gateway's own words": (
        written(answer(ResolvedRefs="False")),
        refused("ResolvedRefsFalse", "Gateway gateways/public: ResolvedRefs is False"),
    ),
}


@pytest.mark.parametrize(("observed", "want"), REFUSALS.values(), ids=REFUSALS.keys())
def test_what_stands_in_the_way_is_said(observed: Observed, want: Verification) -> None:
    assert ROUTER.verify(SPLIT, observed) == want


@pytest.mark.parametrize(("split", "kind"), [(SPLIT, "HTTPRoute"), (GRPC, "GRPCRoute")])
def test_a_kind_that_is_not_installed_is_named(split: Any, kind: str) -> None:
    found = ROUTER.verify(split, observe(installed=frozenset()))
    assert (found.reason, found.refused) == ("GatewayAPINotInstalled", True)
    assert f"does not serve {kind}s" in found.message
    assert "routers.gatewayAPI" in found.message


def test_a_revision_that_any_rule_of_anybody_names_is_live() -> None:
    theirs = {"matches": [{"headers": []}], "backendRefs": [{"name": f"{MODEL}-{CANARY}"}]}
    ours = {"matches": [{"path": {}}], "backendRefs": [{"name": f"{MODEL}-{STABLE}"}]}
    observed = observe(routes=(make_route("HTTPRoute", MODEL, {"rules": [theirs, ours]}),))
    assert ROUTER.live_weights(MODEL, observed) == {STABLE: 1, CANARY: 0}


def test_backends_that_are_no_revision_of_ours_are_nobodys() -> None:
    rules = [{"backendRefs": [{"name": "theirs", "weight": 50}]}]
    observed = observe(routes=(make_route("HTTPRoute", MODEL, {"rules": rules}),))
    assert ROUTER.live_weights(MODEL, observed) == {}


def test_routes_of_both_kinds_count_while_the_protocol_changes() -> None:
    children = [*ROUTER.make_routes(SPLIT), ROUTER.make_routes(GRPC)[1]]
    assert ROUTER.live_weights(MODEL, observe(children)) == {STABLE: 100, CANARY: 20}
