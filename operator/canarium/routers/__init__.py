"""Routers: weights in, route objects out; a route's status in, "has it taken them?" out. Pure.

One file a router. A new one is a class with the five members of `Router`, named in `ROUTERS`.
"""

from __future__ import annotations

from canarium.core.spec import RouterName, Traffic
from canarium.routers.base import Router, Split, Verification
from canarium.routers.gatewayapi import GatewayAPI
from canarium.routers.replicas import Replicas

__all__ = ["ROUTERS", "Router", "Split", "Verification", "choose_router"]

ROUTERS: dict[str, Router] = {router.name: router for router in (GatewayAPI(), Replicas())}


def choose_router(traffic: Traffic) -> str:
    """Resolve `Auto`: a Gateway when one is named, whole pods behind a Service otherwise."""
    names: dict[RouterName, str] = {"GatewayAPI": "GatewayAPI", "Replicas": "Replicas"}
    automatic = "GatewayAPI" if traffic.parent_refs else "Replicas"
    return names.get(traffic.router, automatic)
