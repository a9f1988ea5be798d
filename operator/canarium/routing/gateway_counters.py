"""Whose gateways count what each revision answered, and what their counters cannot tell."""

from __future__ import annotations

import re

from canarium.core.observed import Observed
from canarium.core.plan import GatewayKind
from canarium.core.spec import Protocol
from canarium.queries.profiles import Profile
from canarium.routing.base import ROUTERS, GatewayCounters


def find_gateway_kind(router: str, observed: Observed) -> GatewayKind | None:
    """Who counts by revision behind a router; None where nobody does.

    Of those that attach to Gateways their classes' controllers tell. Envoy Gateway's share one
    cluster among weighted backends, so they are nobody.
    """
    found = ROUTERS[router]
    if not found.attaches:
        return router if found.counters else None
    by_controller = {each.controller: kind for kind, each in _list_counters().items()}
    kinds = {by_controller.get(each.controller) for each in observed.gateway_classes}
    return kinds.pop() if len(kinds) == 1 else None


def explain_uncounted(kind: GatewayKind | None, protocol: Protocol) -> str:
    """Why nothing can be judged by a gateway's counters, and what to take instead; "" if it can."""
    known = _list_counters()
    if kind is None:
        names = " and ".join(known)
        return f"this gateway doesn't count by revision, {names} do: take source Pods"
    return known[kind].untold.get(protocol, "")


def name_gateways(protocol: Protocol) -> str:
    """Those whose counters tell how this protocol's calls ended, for people who are to choose."""
    return " or ".join(
        kind for kind, each in _list_counters().items() if protocol not in each.untold
    )


def make_profile(kind: GatewayKind, namespace: str, service: str, route: str) -> Profile:
    """How one Service's answers are called in a gateway's metrics."""
    return _list_counters()[kind].narrow(namespace, service, route)


def normalize(name: str) -> str:
    """As Traefik does: what is no letter or digit becomes one hyphen."""
    return "-".join(re.findall(r"[^\W_]+", name))


def get_last_part(service: str) -> str:
    """What every spelling of the Service's name has in it: usually the revision."""
    return normalize(service).rpartition("-")[2]


def _list_counters() -> dict[GatewayKind, GatewayCounters]:
    return {router.name: router.counters for router in ROUTERS.values() if router.counters}
