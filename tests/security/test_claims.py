"""Line 7, where entry points are shared: nobody gets a route by a model who could not make one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from testbed.scenario.manifests import Json, simulated
from tests.security.estate import (
    POLICY_SECONDS,
    TENANT,
    Estate,
    Place,
    is_taken,
    until,
)

pytestmark = [pytest.mark.timeout(600, func_only=True)]
PAYMENTS = ["pay.example.com"]
ENTRANCE = [{"name": "public", "namespace": "istio-system"}]
AT_TRAEFIK: Json = {"router": "Traefik", "hostnames": PAYMENTS}
LEFT_TO_US: Json = {"hostnames": PAYMENTS}
BY_PATH: Json = {"paths": [{"value": "/pay"}]}
AT_ISTIO: Json = {"router": "Istio", "hostnames": PAYMENTS, "parentRefs": ENTRANCE}
AT_OWN_ISTIO: Json = {"router": "Istio", "hostnames": PAYMENTS, "parentRefs": [{"name": "own"}]}
"Istio's Gateways open proxies that all share, whoever made them."
INGRESS_ROUTES, VIRTUAL_SERVICES = "ingressroutes.traefik.io", "virtualservices.networking.istio.io"
CLAIMS: list[tuple[Json, str]] = [
    (AT_TRAEFIK, INGRESS_ROUTES),
    (LEFT_TO_US, INGRESS_ROUTES),
    (BY_PATH, INGRESS_ROUTES),
    (AT_ISTIO, VIRTUAL_SERVICES),
    (AT_OWN_ISTIO, VIRTUAL_SERVICES),
]
WHAT = "a policy in force"
NO_CLAIMS: list[Json] = [
    {"parentRefs": [{"name": "public"}], "hostnames": PAYMENTS},
    {"router": "Istio", "hostnames": PAYMENTS},
    {"router": "Replicas"},
]


def dry(place: Place, body: Json) -> None:
    place.write(body, "--dry-run=server")


def claiming(traffic: Json) -> Json:
    return simulated("v1", traffic=traffic)


def ask_for(right: str) -> str:
    return f"and you may not create {right} in it; it has no host names; have an administrator"


@pytest.fixture
def guarded(estate: Estate, place: Place) -> Iterator[Place]:
    """The policy in force for all routers, on a cluster that took each claim before."""
    for traffic, _ in CLAIMS:
        dry(place, claiming(traffic))
    with estate.with_values({"routers": {"traefik": True, "istio": True}}):
        yield place


def test_a_claim_at_a_shared_entry_point_asks_for_the_right_to_make_such_a_route(
    guarded: Place,
) -> None:
    for traffic, right in CLAIMS:
        assert ask_for(right) in guarded.refusal(claiming(traffic))
    for traffic in NO_CLAIMS:
        dry(guarded, claiming(traffic))

    grant_routes(guarded)

    for traffic, _ in CLAIMS:
        dry(guarded, claiming(traffic))


def test_host_names_that_the_namespace_was_given_need_no_right(guarded: Place) -> None:
    guarded.give(*PAYMENTS)
    until(lambda: is_taken(lambda: dry(guarded, claiming(AT_TRAEFIK))), POLICY_SECONDS, WHAT)
    for traffic in (LEFT_TO_US, AT_ISTIO):
        dry(guarded, claiming(traffic))
    assert "was not given every host name" in guarded.refusal(claiming(BY_PATH))

    guarded.give("*")
    until(lambda: is_taken(lambda: dry(guarded, claiming(BY_PATH))), POLICY_SECONDS, WHAT)


def grant_routes(place: Place) -> None:
    """Let the tenant make routes, as an admin does."""
    rules = (
        {"apiGroups": ["traefik.io"], "resources": ["ingressroutes"], "verbs": ["create"]},
        {
            "apiGroups": ["networking.istio.io"],
            "resources": ["virtualservices"],
            "verbs": ["create"],
        },
    )
    place.grant(TENANT, *rules)


def test_what_an_admin_claimed_stays_and_is_not_the_tenants_to_widen(guarded: Place) -> None:
    guarded.apply(claiming(AT_TRAEFIK))

    guarded.tenant("scale", "mdep", "iris", "--replicas=3")
    wider = claiming({**AT_TRAEFIK, "hostnames": ["example.com"]})
    assert ask_for(INGRESS_ROUTES) in guarded.refusal(wider)
