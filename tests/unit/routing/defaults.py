"""What the apiserver adds to routes and Services by their definitions, as far as we need it.

That the real one adds nothing else is shown against it in tests/cluster.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from canarium.core.observed import Observed, RouteRecord, ServiceRecord

Json = dict[str, Any]


def fill_defaults(observed: Observed) -> Observed:
    """The same cluster, as the apiserver would show it."""
    return replace(
        observed,
        services=tuple(_fill_service(service) for service in observed.services),
        routes=tuple(_fill_route(route) for route in observed.routes),
    )


def _fill_service(service: ServiceRecord) -> ServiceRecord:
    spec = json.loads(service.spec)
    spec |= {"clusterIP": "198.19.0.7", "clusterIPs": ["198.19.0.7"], "type": "ClusterIP"}
    spec |= {"sessionAffinity": "None", "ipFamilies": ["IPv4"], "internalTrafficPolicy": "Cluster"}
    return replace(service, spec=json.dumps(spec).encode())


def _fill_route(route: RouteRecord) -> RouteRecord:
    spec = json.loads(route.spec)
    if route.kind in ("HTTPRoute", "GRPCRoute"):
        _fill_gateway_api(spec, route.kind)
    return replace(route, spec=json.dumps(spec).encode())


def _fill_gateway_api(spec: Json, kind: str) -> None:
    for parent in spec["parentRefs"]:
        _default(parent, group="gateway.networking.k8s.io", kind="Gateway")
    for rule in spec["rules"]:
        if kind == "HTTPRoute":
            rule.setdefault("matches", [{"path": {"type": "PathPrefix", "value": "/"}}])
        if cookie := rule.get("sessionPersistence", {}).get("cookie"):
            _default(cookie, path="/")
        for backend in [*rule["backendRefs"], *_mirrors(rule)]:
            _default(backend, group="", kind="Service")


def _default(value: Json, **fields: Any) -> None:
    for name, filled in fields.items():
        value.setdefault(name, filled)


def _mirrors(rule: Json) -> list[Json]:
    return [part["requestMirror"]["backendRef"] for part in rule.get("filters", ())]
