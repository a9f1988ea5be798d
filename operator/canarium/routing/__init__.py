"""Routers: weights in, route objects out; a route's status in, "has it taken them?" out. Pure.

One file a router, with all that is true of it alone. A new one is a subclass of `Router`, and a
line here (docs/contributing/adding-a-router.md has an example).
"""

from __future__ import annotations

from dataclasses import dataclass

from canarium.core.observed import Observed
from canarium.core.spec import Traffic
from canarium.routing.base import ROUTERS, Router, Split, Verification, register
from canarium.routing.gatewayapi import GatewayAPI
from canarium.routing.istio import Istio
from canarium.routing.replicas import Replicas
from canarium.routing.routes import ROUTE_TYPES
from canarium.routing.traefik import Traefik

__all__ = [
    "ROUTERS",
    "ROUTE_TYPES",
    "Choice",
    "Router",
    "Split",
    "Verification",
    "choose_router",
    "find_router",
    "guess_router",
]

for _router in (
    GatewayAPI(),
    Traefik(),
    Istio(),
    Replicas(),
):
    register(_router)


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
    name = guess_router(parents=bool(traffic.parent_refs), claims=traffic.is_outward)
    if traffic.parent_refs:
        return Choice(name, "parentRefs name a Gateway")
    if not traffic.is_outward:
        return Choice(name, "no Gateway, host name or path is given")
    would_do = [r.name for r in ROUTERS.values() if _would_do(r, traffic, observed)]
    chosen = current if current in would_do else next(iter(would_do), "")
    if not chosen:
        return Choice(name, "host names or paths are given, but no Gateway")
    return Choice(chosen, f"host names or paths without a Gateway, and {chosen} is installed")


def guess_router(*, parents: bool, claims: bool) -> str:
    """What `Auto` takes by what is asked for alone, whatever is installed."""
    if parents:
        return GatewayAPI.name
    return next(r.name for r in ROUTERS.values() if r.stands_in) if claims else Replicas.name


def _would_do(router: Router, traffic: Traffic, observed: Observed) -> bool:
    installed = observed.installed.issuperset(router.route_kinds)
    patient = "timeouts" in router.features or not traffic.request_timeout
    return bool(router.stands_in) and installed and patient


def find_router(model: str, observed: Observed) -> str:
    """The router whose objects live, when nothing else says which is in use."""
    live = {route.kind for route in observed.routes if route.meta.name == model}
    return next((r.name for r in ROUTERS.values() if live & set(r.route_kinds)), Replicas.name)
