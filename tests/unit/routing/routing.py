"""Builders for what routers take and see, shared by their tests."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, cast

from canarium.api import parse_deployment
from canarium.core.names import child_name
from canarium.core.observed import (
    DefinitionRecord,
    DeploymentRecord,
    GatewayClassRecord,
    GatewayRecord,
    Meta,
    ModelObject,
    Observed,
    RouteCondition,
    RouteParent,
    RouteRecord,
    ServiceRecord,
)
from canarium.core.plan import RouteKind
from canarium.core.spec import HeaderMatch, Step, Sticky, Traffic
from canarium.routing import Split
from canarium.routing.base import Child

Json = dict[str, Any]
NAMESPACE, MODEL = "risk", "fraud"
STABLE, CANARY = "0f336a1ab5", "7b9d6f5c88"
EVERYTHING: frozenset[RouteKind] = frozenset(
    ("HTTPRoute", "GRPCRoute", "IngressRoute", "TraefikService", "VirtualService")
)
GATEWAY: Json = {
    "router": "GatewayAPI",
    "parentRefs": [{"name": "public", "namespace": "gateways"}],
    "hostnames": ["fraud.example.com"],
}


def make_traffic(**fields: Any) -> Traffic:
    """Traffic as a person writes it."""
    server = {"image": "registry.example/fraud:7", "grpcPort": 8081}
    metadata = {"name": MODEL, "namespace": NAMESPACE}
    spec = {"server": server, "traffic": fields}
    return parse_deployment({"metadata": metadata, "spec": spec}).traffic


def make_split(
    traffic: Json,
    weights: Mapping[str, int],
    *,
    headers: Iterable[Mapping[str, str]] = (),
    mirror: int = 0,
    sticky: Mapping[str, Any] | None = None,
) -> Split:
    """A split; the canary is the revision that gets headers or copies."""
    return Split(
        model=MODEL,
        namespace=NAMESPACE,
        traffic=make_traffic(**traffic),
        weights=tuple(weights.items()),
        primary=next(iter(weights)),
        canary=CANARY if headers or mirror else "",
        headers=tuple(HeaderMatch(**cast("Any", header)) for header in headers),
        mirror=mirror,
        sticky=Sticky(**sticky) if sticky else None,
    )


def make_step(*, mirror: int = 0, headers: Iterable[HeaderMatch] = (), cookie: str = "") -> Step:
    """A step that asks for something beside its weight."""
    sticky = Sticky(cookie, 3600) if cookie else None
    weight = 0 if mirror else 5
    return Step("asking", weight, mirror=mirror, headers=tuple(headers), sticky=sticky)


def make_meta(name: str, namespace: str = NAMESPACE, generation: int = 1) -> Meta:
    """Metadata of whatever is live."""
    return Meta(namespace, name, f"uid-{name}", "1", generation=generation)


def make_route(kind: RouteKind, name: str, spec: Mapping[str, Any], **fields: Any) -> RouteRecord:
    """A live route."""
    return RouteRecord(make_meta(name), json.dumps(spec).encode(), kind=kind, **fields)


def make_gateway(*, class_name: str = "nice", programmed: bool = True) -> GatewayRecord:
    """The Gateway `public`."""
    return GatewayRecord(make_meta("public", "gateways"), class_name, programmed=programmed)


def make_class(
    *features: str, controller: str = "example.com/unknown", accepted: bool = True
) -> GatewayClassRecord:
    """The class `nice`, of a controller that lists features."""
    return GatewayClassRecord(make_meta("nice", ""), controller, accepted, features)


def make_definition(*fields: str, kind: RouteKind = "HTTPRoute") -> DefinitionRecord:
    """The installed definition of a kind of routes, whose rules have these fields beside others."""
    name = f"{kind.lower()}s.gateway.networking.k8s.io"
    return DefinitionRecord(make_meta(name, ""), kind, frozenset(fields))


def observe(
    children: Iterable[Child] = (),
    *,
    installed: frozenset[RouteKind] = EVERYTHING,
    **fields: Any,
) -> Observed:
    """A cluster with two revisions, in which these children live."""
    written = list(children)
    revisions = (STABLE, CANARY)
    deployments = tuple(
        DeploymentRecord(make_meta(child_name(MODEL, r)), r, 1, b"{}") for r in revisions
    )
    given: Json = {
        "deployments": deployments,
        "services": tuple(
            ServiceRecord(make_meta(c.ref.name), c.text.encode())
            for c in written
            if c.ref.kind == "Service"
        ),
        "routes": tuple(
            make_route(c.ref.kind, c.ref.name, c.spec) for c in written if c.ref.kind != "Service"
        ),
        "gateways": (make_gateway(),),
        "definitions": (make_definition("name", "sessionPersistence.sessionName"),),
    }
    model = ModelObject(make_meta(MODEL), None)
    return Observed(model=model, installed=installed, **given | fields)


def answer(*, generation: int = 1, entry: Json | None = None, **conditions: str) -> RouteParent:
    """What Gateway `public` says: conditions by type, with their status.

    `entry` changes whom the answer is about and who gave it.
    """
    said = tuple(
        RouteCondition(kind, status, f"{kind}{status}", f"{kind} is {status}", generation)
        for kind, status in ({"Accepted": "True", "ResolvedRefs": "True"} | conditions).items()
    )
    about: Json = {"name": "public", "namespace": "gateways", "section_name": None}
    return RouteParent(
        **about | {"controller": "example.com/unknown", "conditions": said} | (entry or {})
    )
