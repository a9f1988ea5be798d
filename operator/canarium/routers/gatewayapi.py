"""Router `GatewayAPI`: an HTTPRoute with weighted backends, one Service for each revision.

The route counts as taken when every gateway that it names says Accepted and ResolvedRefs about
the generation that was written last; Traefik, for one, may then still serve the one before for
up to its throttle of 2 s, hence the settle time.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from canarium.core.actions import Kind, Ref
from canarium.core.names import SERVICE_PORT, child_name
from canarium.core.observed import (
    GatewayRecord,
    Observed,
    RouteCondition,
    RouteParent,
    RouteRecord,
)
from canarium.core.spec import ParentRef, PathMatch, Traffic
from canarium.routers.base import Child, Split, Verification, make_service_spec, primary_selector
from canarium.routers.replicas import find_service, read_selector

NOT_INSTALLED = (
    "the cluster does not serve gateway.networking.k8s.io/v1: install the Gateway API CRDs and a "
    "gateway controller, or set spec.traffic.router to Replicas"
)
_REQUIRED = ("Accepted", "ResolvedRefs")


class GatewayAPI:
    """Shares single requests by the weights of an HTTPRoute's backends."""

    name = "GatewayAPI"
    settle_seconds = 2.5
    drain_seconds = 0.0
    mixes_pods = False
    revision_services = True
    route_kinds: tuple[Kind, ...] = ("HTTPRoute",)

    def make_routes(self, split: Split) -> tuple[Child, ...]:
        """The leading Service for callers in the cluster, and the HTTPRoute."""
        service = Child(Ref("Service", split.model), make_service_spec(primary_selector(split)))
        return (service, Child(Ref("HTTPRoute", split.model), _make_route_spec(split)))

    def is_current(self, split: Split, observed: Observed, child: Child) -> bool:
        """Whether the live object says the same as `child`."""
        if child.ref.kind == "Service":
            service = find_service(observed, child.ref.name)
            return service is not None and read_selector(service.spec) == child.spec["selector"]
        route = find_route(observed, child.ref.name)
        return route is not None and _read_route(route.spec) == _desired(split)

    def verify(self, split: Split, observed: Observed) -> Verification:
        """Ask the route's own status, for every gateway that it names."""
        if not observed.gateway_api:
            return Verification(False, "GatewayAPINotInstalled", NOT_INSTALLED, refused=True)
        route = find_route(observed, split.model)
        if route is None or _read_route(route.spec) != _desired(split):
            return Verification(False, "RoutePending", f"HTTPRoute {split.model} is being written")
        troubles = (_verify_parent(ref, route, observed) for ref in split.traffic.parent_refs)
        return next((t for t in troubles if t is not None), Verification(accepted=True))

    def live_weights(self, model: str, observed: Observed) -> Mapping[str, int]:
        """Whom the live HTTPRoute sends to."""
        route = find_route(observed, model)
        weights = dict(_read_route(route.spec)[1]) if route else {}
        names = {d.revision: child_name(model, d.revision) for d in observed.deployments}
        return {revision: weights[name] for revision, name in names.items() if name in weights}

    def shares(self, split: Split, observed: Observed) -> Mapping[str, int] | None:
        """Weights are exact here."""
        return None


def find_route(observed: Observed, name: str) -> RouteRecord | None:
    """The live HTTPRoute of this name."""
    return next((route for route in observed.routes if route.meta.name == name), None)


def read_traffic(route: RouteRecord) -> Traffic:
    """What a live HTTPRoute says of gateways, host names, paths and timeouts."""
    return _read_route(route.spec)[0]


def _make_route_spec(split: Split) -> dict[str, Any]:
    traffic = split.traffic
    rule: dict[str, Any] = {
        "matches": [{"path": {"type": p.type, "value": p.value}} for p in traffic.paths],
        "backendRefs": [
            {"name": child_name(split.model, revision), "port": SERVICE_PORT, "weight": weight}
            for revision, weight in split.weights
        ],
    }
    if traffic.request_timeout:
        rule["timeouts"] = {"request": traffic.request_timeout}
    return {
        "parentRefs": [_make_parent(ref) for ref in traffic.parent_refs],
        **({"hostnames": list(traffic.hostnames)} if traffic.hostnames else {}),
        "rules": [rule],
    }


def _make_parent(ref: ParentRef) -> dict[str, Any]:
    return {
        "name": ref.name,
        "namespace": ref.namespace,
        **({"sectionName": ref.section_name} if ref.section_name else {}),
        **({"port": ref.port} if ref.port else {}),
    }


_Weights = tuple[tuple[str, int], ...]


@lru_cache(maxsize=4096)
def _desired(split: Split) -> tuple[Traffic, _Weights, int]:
    return _read_route(json.dumps(_make_route_spec(split)).encode())


@lru_cache(maxsize=4096)
def _read_route(spec: bytes) -> tuple[Traffic, _Weights, int]:
    """Traffic, weights by backend, and how much there is that we never write (rules, filters)."""
    route = json.loads(spec)
    rules = route.get("rules") or [{}]
    first = rules[0]
    backends = first.get("backendRefs") or []
    traffic = Traffic(
        router="GatewayAPI",
        parent_refs=tuple(
            ParentRef(r["name"], r.get("namespace", ""), r.get("sectionName"), r.get("port"))
            for r in route.get("parentRefs") or []
        ),
        hostnames=tuple(route.get("hostnames") or ()),
        paths=tuple(_read_paths(first.get("matches") or [])),
        request_timeout=(first.get("timeouts") or {}).get("request"),
    )
    foreign = len(rules) - 1 + len(first.get("filters") or ())
    return traffic, tuple((b["name"], b.get("weight", 1)) for b in backends), foreign


def _read_paths(matches: list[dict[str, Any]]) -> Iterator[PathMatch]:
    for match in matches:
        path = match.get("path") or {}
        yield PathMatch(path.get("type", "PathPrefix"), path.get("value", "/"))


def _verify_parent(ref: ParentRef, route: RouteRecord, observed: Observed) -> Verification | None:
    gateway = _find_gateway(ref, observed)
    where = f"Gateway {ref.namespace}/{ref.name}"
    if gateway is None:
        return Verification(False, "GatewayNotFound", f"{where} does not exist", refused=True)
    if not gateway.programmed:
        words = f"{where} is not programmed: {gateway.message or 'its controller has said nothing'}"
        return Verification(False, "GatewayNotProgrammed", words, refused=True)
    parents = [parent for parent in route.parents if _is_about(parent, ref)]
    if not parents:
        return Verification(False, "RoutePending", f"{where} has not answered for the route yet")
    return next((t for p in parents if (t := _verify_answer(p, route, where))), None)


def _verify_answer(parent: RouteParent, route: RouteRecord, where: str) -> Verification | None:
    by_type = {condition.type: condition for condition in parent.conditions}
    return next((t for kind in _REQUIRED if (t := _trouble(by_type.get(kind), route, where))), None)


def _trouble(
    condition: RouteCondition | None, route: RouteRecord, where: str
) -> Verification | None:
    if condition is None or condition.observed_generation < route.meta.generation:
        return Verification(False, "RoutePending", f"{where} has not taken the route's last change")
    if condition.status != "True":
        words = f"{where}: {condition.message or condition.reason}"
        return Verification(False, condition.reason or "RouteRefused", words, refused=True)
    return None


def _find_gateway(ref: ParentRef, observed: Observed) -> GatewayRecord | None:
    return next(
        (
            gateway
            for gateway in observed.gateways
            if (gateway.meta.namespace, gateway.meta.name) == (ref.namespace, ref.name)
            and not gateway.meta.deleting
        ),
        None,
    )


def _is_about(parent: RouteParent, ref: ParentRef) -> bool:
    return (
        parent.name == ref.name
        and parent.namespace in (ref.namespace, "")
        and (ref.section_name is None or parent.section_name in (ref.section_name, None))
    )
