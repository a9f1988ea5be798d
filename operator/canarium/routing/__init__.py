"""Routers: weights in, route objects out; a route's status in, "has it taken them?" out. Pure.

One file a router. A new one is a class with the members of `Router`, named in `ROUTERS`.
"""

from __future__ import annotations

from dataclasses import dataclass

from canarium.core.observed import Observed
from canarium.core.spec import Traffic
from canarium.routing.base import Router, Split, Verification
from canarium.routing.gatewayapi import GatewayAPI
from canarium.routing.istio import Istio
from canarium.routing.replicas import Replicas
from canarium.routing.traefik import Traefik

__all__ = ["ROUTERS", "Choice", "Router", "Split", "Verification", "choose_router", "find_router"]

_ALL: tuple[Router, ...] = (GatewayAPI(), Traefik(), Istio(), Replicas())
ROUTERS: dict[str, Router] = {router.name: router for router in _ALL}

_WITHOUT_PARENTS = ("Traefik", "Istio")
"What `Auto` takes for host names that no Gateway is named for, the first that is installed."


@dataclass(frozen=True, slots=True)
class Choice:
    """A router by name, and why it is this one."""

    name: str
    why: str


def choose_router(traffic: Traffic, observed: Observed, current: str = "") -> Choice:
    """Resolve `Auto` by what is asked for and what is installed.

    `current`, the router in use, stays as long as it would do: what is installed beside it later
    is no reason to route a model anew.
    """
    if traffic.router != "Auto":
        return Choice(traffic.router, "spec.traffic.router names it")
    if traffic.parent_refs:
        return Choice("GatewayAPI", "parentRefs name a Gateway")
    if not traffic.is_outward:
        return Choice("Replicas", "no Gateway, host name or path is given")
    would_do = [name for name in _WITHOUT_PARENTS if _would_do(name, traffic, observed)]
    chosen = current if current in would_do else next(iter(would_do), "")
    if not chosen:
        return Choice(_WITHOUT_PARENTS[0], "host names or paths are given, but no Gateway")
    return Choice(chosen, f"host names or paths without a Gateway, and {chosen} is installed")


def _would_do(name: str, traffic: Traffic, observed: Observed) -> bool:
    installed = observed.installed.issuperset(ROUTERS[name].route_kinds)
    return installed and not (name == "Traefik" and traffic.request_timeout)


def find_router(model: str, observed: Observed) -> str:
    """The router whose objects live, when nothing else says which is in use."""
    live = {route.kind for route in observed.routes if route.meta.name == model}
    return next((r.name for r in ROUTERS.values() if live & set(r.route_kinds)), "Replicas")
