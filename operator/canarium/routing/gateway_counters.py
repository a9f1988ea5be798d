"""Whose gateways count what each revision answered, and what their counters cannot tell."""

from __future__ import annotations

from collections.abc import Mapping

from canarium.core.observed import Observed
from canarium.core.plan import GatewayKind
from canarium.core.spec import Protocol

_BY_CONTROLLER: Mapping[str, GatewayKind] = {
    "traefik.io/gateway-controller": "Traefik",
    "istio.io/gateway-controller": "Istio",
}
"Whose gateways count by revision. Envoy Gateway's share one cluster among weighted backends."
_BY_ROUTER: Mapping[str, GatewayKind] = {"Traefik": "Traefik", "Istio": "Istio"}

TRAEFIK_CANNOT_TELL_GRPC = (
    "Traefik counts a gRPC call that went well as it does one that failed with UNKNOWN:"
    " take source Pods, or a metric of your own"
)


def find_gateway_kind(router: str, observed: Observed) -> GatewayKind | None:
    """Who counts by revision behind a router; None where nobody does."""
    if router != "GatewayAPI":
        return _BY_ROUTER.get(router)
    kinds = {_BY_CONTROLLER.get(found.controller) for found in observed.gateway_classes}
    return kinds.pop() if len(kinds) == 1 else None


def explain_uncounted(kind: GatewayKind | None, protocol: Protocol) -> str:
    """Why nothing can be judged by a gateway's counters, and what to take instead; "" if it can."""
    if kind is None:
        return "this gateway doesn't count by revision, Traefik and Istio do: take source Pods"
    return TRAEFIK_CANNOT_TELL_GRPC if (kind, protocol) == ("Traefik", "GRPC") else ""
