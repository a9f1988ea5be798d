"""What routers say of steps that they cannot deliver, and what to write instead."""

from __future__ import annotations

from typing import Any

import pytest
from canarium.core.observed import GatewayClassRecord
from canarium.core.spec import HeaderMatch, Step
from canarium.routing import ROUTERS
from canarium.routing.capabilities import KNOWN

from tests.unit.routing.routing import GATEWAY, make_class, make_step, make_traffic, observe

EXACT, REGEX = HeaderMatch("x-team", "a"), HeaderMatch("x-team", "a|b", "RegularExpression")
PART, WHOLE = make_step(mirror=20), make_step(mirror=100)
BY_HEADER, BY_REGEX = make_step(headers=[EXACT]), make_step(headers=[EXACT, REGEX])
WEIGHT, STICKY = make_step(), make_step(cookie="variant")
MIRROR, PART_MIRROR = "HTTPRouteRequestMirror", "HTTPRouteRequestPercentageMirror"
ENVOY = "gateway.envoyproxy.io/gatewayclass-controller"
TRAEFIK = "traefik.io/gateway-controller"
WHO = "the GatewayClass nice of Gateway gateways/public"
NO_MIRROR = (
    f"{WHO} does not list the feature {MIRROR}: write a weight or headers instead of mirror, or "
    "name a Gateway of a class that mirrors, or take router Traefik or Istio"
)
NO_PART = f"{WHO} does not list the feature {PART_MIRROR}: write mirror: {{percent: 100}}"
NO_REGEX = (
    f"{WHO} is not known to match headers by regular expressions: give the header x-team a value "
    "of type Exact"
)
NOT_STICKY = (
    f"{WHO} is not known to keep people on a revision by a cookie where weights share the traffic: "
    "have the front end assign them, with sticky.headers, or take Envoy Gateway or router Traefik"
)
NO_GRPC = f"{WHO} does not serve GRPCRoutes: name a Gateway of another class in spec.traffic"
NO_GRPC_MIRROR = f"{WHO} is not known to mirror gRPC: write a weight or headers instead of mirror"


def explain(step: Step, *classes: GatewayClassRecord, **traffic: Any) -> str:
    observed = observe(gateway_classes=classes)
    return ROUTERS["GatewayAPI"].explain_undeliverable(
        step, make_traffic(**GATEWAY | traffic), observed
    )


CASES: list[tuple[str, GatewayClassRecord, dict[str, Step], dict[str, str]]] = [
    (
        "a class that lists everything",
        make_class("HTTPRoute", MIRROR, PART_MIRROR),
        {"part": PART, "whole": WHOLE, "weight": WEIGHT, "header": BY_HEADER},
        {},
    ),
    (
        "a class that mirrors everything or nothing",
        make_class("HTTPRoute", MIRROR),
        {"part": PART, "whole": WHOLE},
        {"part": NO_PART},
    ),
    (
        "a class that lists no mirror",
        make_class("HTTPRoute"),
        {"part": PART, "whole": WHOLE, "weight": WEIGHT, "header": BY_HEADER},
        {"part": NO_MIRROR, "whole": NO_MIRROR},
    ),
    (
        "Traefik, which accepts a mirror and then answers 404 for the whole rule",
        make_class("HTTPRoute", "HTTPRouteMethodMatching", controller=TRAEFIK),
        {"part": PART, "whole": WHOLE, "header": BY_HEADER, "regex": BY_REGEX},
        {"part": NO_MIRROR, "whole": NO_MIRROR},
    ),
    (
        "Envoy Gateway, which lists nothing",
        make_class(controller=ENVOY),
        {"part": PART, "whole": WHOLE, "regex": BY_REGEX, "sticky": STICKY},
        {},
    ),
    (
        "Traefik, which takes no notice of a route's sessions",
        make_class("HTTPRoute", controller=TRAEFIK),
        {"sticky": STICKY},
        {"sticky": NOT_STICKY},
    ),
    (
        "an unknown controller, on cookies",
        make_class("HTTPRoute", MIRROR, PART_MIRROR),
        {"sticky": STICKY},
        {"sticky": NOT_STICKY},
    ),
    (
        "an unknown controller that lists nothing",
        make_class(),
        {"part": PART, "weight": WEIGHT, "header": BY_HEADER, "regex": BY_REGEX},
        {"part": NO_MIRROR, "regex": NO_REGEX},
    ),
    (
        "an unknown controller, on regular expressions",
        make_class("HTTPRoute", MIRROR, PART_MIRROR),
        {"regex": BY_REGEX},
        {"regex": NO_REGEX},
    ),
    (
        "a class that nobody has taken yet",
        make_class(accepted=False),
        {"part": PART, "regex": BY_REGEX},
        {},
    ),
]


@pytest.mark.parametrize(
    ("found", "steps", "want"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_a_step_is_refused_by_what_the_class_can_do(
    found: GatewayClassRecord, steps: dict[str, Step], want: dict[str, str]
) -> None:
    said = {name: explain(step, found) for name, step in steps.items()}
    assert {name: words for name, words in said.items() if words} == want


@pytest.mark.parametrize(
    ("found", "step", "want"),
    [
        (make_class("HTTPRoute"), WEIGHT, NO_GRPC),
        (
            make_class(controller=ENVOY),
            STICKY,
            "gRPC clients keep no cookies: have the front end assign people by headers",
        ),
        (make_class("GRPCRoute"), WEIGHT, ""),
        (make_class("GRPCRoute", MIRROR, PART_MIRROR), WHOLE, NO_GRPC_MIRROR),
        (make_class(controller="networking.gke.io/gateway"), WEIGHT, NO_GRPC),
        (make_class(controller=ENVOY), PART, ""),
        (make_class(controller="io.cilium/gateway-controller"), PART, NO_GRPC_MIRROR),
    ],
)
def test_grpc_asks_for_more(found: GatewayClassRecord, step: Step, want: str) -> None:
    assert explain(step, found, protocol="GRPC") == want


def test_what_is_not_there_yet_refuses_nothing() -> None:
    assert explain(PART) == ""
    observed = observe(gateways=(), gateway_classes=(make_class(),))
    traffic = make_traffic(**GATEWAY)
    assert ROUTERS["GatewayAPI"].explain_undeliverable(PART, traffic, observed) == ""


@pytest.mark.parametrize("controller", KNOWN)
def test_what_a_class_lists_counts_more_than_what_is_known(controller: str) -> None:
    listed = make_class("HTTPRoute", controller=controller)
    assert explain(WHOLE, listed) == NO_MIRROR


@pytest.mark.parametrize(
    ("step", "field"), [(PART, "mirror"), (BY_HEADER, "headers"), (STICKY, "sticky")]
)
def test_replicas_shares_whole_pods_and_nothing_else(step: Step, field: str) -> None:
    said = ROUTERS["Replicas"].explain_undeliverable(step, make_traffic(), observe())
    assert said == (
        f"router Replicas shares whole pods and cannot deliver {field}: leave {field} out, or name "
        "a Gateway in spec.traffic.parentRefs"
    )


def test_replicas_delivers_weights_and_pods() -> None:
    step = Step("asking", 5, hold_seconds=3.0, approval=True, replicas=2)
    assert ROUTERS["Replicas"].explain_undeliverable(step, make_traffic(), observe()) == ""
