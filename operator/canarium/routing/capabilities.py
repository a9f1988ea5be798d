"""What a Gateway's controller can do beyond weights and exact headers.

Read from the features that its GatewayClass lists; where it lists none, known of the common
controllers by name. What is unknown is taken for impossible: a rule that a gateway cannot carry
out is at best ignored, and at worst answered with 404 for everything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from canarium.core.observed import GatewayClassRecord, Observed, RouteRecord
from canarium.core.spec import HeaderMatch, ParentRef, Step, Traffic
from canarium.routing.base import name_routers
from canarium.routing.parents import describe_parent, find_answers, find_class, find_gateway


@dataclass(frozen=True, slots=True)
class Capabilities:
    """`part_mirror` is to mirror a percentage.

    `grpc_mirror` and `sticky`, to keep by a cookie who came by weight, have no name in
    supportedFeatures.
    """

    mirror: bool = False
    part_mirror: bool = False
    regex_headers: bool = False
    grpc: bool = False
    grpc_mirror: bool = False
    sticky: bool = False


_EVERYTHING = Capabilities(
    mirror=True, part_mirror=True, regex_headers=True, grpc=True, grpc_mirror=True
)
KNOWN: Mapping[str, Capabilities] = {
    "gateway.envoyproxy.io/gatewayclass-controller": replace(_EVERYTHING, sticky=True),
    "istio.io/gateway-controller": _EVERYTHING,
    "gateway.nginx.org/nginx-gateway-controller": _EVERYTHING,
    "io.cilium/gateway-controller": Capabilities(
        mirror=True, part_mirror=True, regex_headers=True, grpc=True
    ),
    "kgateway.dev/kgateway": Capabilities(
        mirror=True, part_mirror=True, regex_headers=True, grpc=True
    ),
    "projectcontour.io/gateway-controller": Capabilities(
        mirror=True, regex_headers=True, grpc=True, grpc_mirror=True
    ),
    "networking.gke.io/gateway": Capabilities(mirror=True, part_mirror=True),
    "traefik.io/gateway-controller": Capabilities(regex_headers=True, grpc=True),
}
"""As of Gateway API v1.5 and the newest versions then.

Mirrors and GRPCRoute: the conformance reports that the controllers' makers sent to
kubernetes-sigs/gateway-api (conformance/reports/v1.3.0 to v1.5: Envoy Gateway 1.8, Istio 1.30,
Cilium 1.20, NGINX Gateway Fabric 2.6, Contour 1.33, kgateway 2.3, GKE 1.5.0, Traefik 3.7).
Regular expressions in headers and mirrors in a GRPCRoute, which have no feature: the controllers'
sources; False where there was nothing to be found. Cookies over weights: likewise, as of August
2026. Envoy Gateway puts all backends of such a rule into one cluster of Envoy's, within which its
cookie names a pod; Istio and Traefik leave sessionPersistence of a route out of account, and NGINX
draws the backend for each request before it looks at the cookie.
"""
_MIRROR, _PART_MIRROR = "HTTPRouteRequestMirror", "HTTPRouteRequestPercentageMirror"


_NOT_STICKY = (
    "is not known to keep people on a revision by a cookie where weights share the traffic: have "
    "the front end assign them, with sticky.headers, or take Envoy Gateway or router {able}"
)


def find_capabilities(found: GatewayClassRecord) -> Capabilities | None:
    """What a class's controller can do; None while it hasn't said that the class is its own."""
    known = KNOWN.get(found.controller)
    features = frozenset(found.supported_features)
    if not features:
        return known or (Capabilities(grpc=True) if found.accepted else None)
    known = known or Capabilities()
    mirror = _MIRROR in features
    return Capabilities(
        mirror=mirror,
        part_mirror=_PART_MIRROR in features,
        regex_headers=known.regex_headers,
        grpc="GRPCRoute" in features,
        grpc_mirror=mirror and known.grpc_mirror,
        sticky=known.sticky,
    )


def explain_parent(
    step: Step, traffic: Traffic, ref: ParentRef, observed: Observed, route: RouteRecord | None
) -> str:
    """What of a step one parent cannot deliver, and what to write instead; "" when it can.

    `route` is the live one, if any: only its status tells who serves what is no Gateway.
    """
    who, can = _ask_class(ref, observed)
    if ref.kind != "Gateway" and route is not None:
        who, can = _ask_route(ref, route, traffic, observed)
    trouble = _explain(step, traffic, can) if can else ""
    return f"{who} of {describe_parent(ref)} {trouble}" if trouble else ""


def _ask_class(ref: ParentRef, observed: Observed) -> tuple[str, Capabilities | None]:
    gateway = find_gateway(ref, observed)
    found = find_class(gateway, observed) if gateway else None
    if found is None:
        return "", None
    return f"the GatewayClass {found.meta.name}", find_capabilities(found)


def _ask_route(
    ref: ParentRef, route: RouteRecord, traffic: Traffic, observed: Observed
) -> tuple[str, Capabilities | None]:
    """Whoever answers for the parent on the route; None while nobody has."""
    others = tuple(other for other in traffic.parent_refs if other != ref)
    answers = find_answers(ref, route, others, observed)
    if not answers:
        return "", None
    controller = answers[-1].controller
    return f"the controller {controller}", KNOWN.get(controller, Capabilities(grpc=True))


def _explain(step: Step, traffic: Traffic, can: Capabilities) -> str:
    if traffic.protocol == "GRPC" and not can.grpc:
        return "does not serve GRPCRoutes: name a Gateway of another class in spec.traffic"
    if step.mirror:
        trouble = _explain_mirror(step, traffic, can)
        if trouble:
            return trouble
    if step.sticky and not can.sticky:
        return _NOT_STICKY.format(able=name_routers("sticky"))
    return "" if can.regex_headers else _explain_headers(step.headers)


def _explain_mirror(step: Step, traffic: Traffic, can: Capabilities) -> str:
    if traffic.protocol == "GRPC" and not can.grpc_mirror:
        return "is not known to mirror gRPC: write a weight or headers instead of mirror"
    if not can.mirror:
        return (
            f"does not list the feature {_MIRROR}: write a weight or headers instead of mirror, "
            f"or name a Gateway of a class that mirrors, or take router {name_routers('mirror')}"
        )
    if step.mirror < 100 and not can.part_mirror:
        return f"does not list the feature {_PART_MIRROR}: write mirror: {{percent: 100}}"
    return ""


def _explain_headers(headers: tuple[HeaderMatch, ...]) -> str:
    regex = next((header for header in headers if header.type == "RegularExpression"), None)
    if regex is None:
        return ""
    return (
        f"is not known to match headers by regular expressions: give the header {regex.name} "
        "a value of type Exact"
    )
