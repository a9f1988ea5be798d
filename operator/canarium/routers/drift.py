"""Whether a live route or Service still says what we render.

Everything of ours has to be there, lists with just our items, and nothing beside it that leads
requests elsewhere. The apiserver fills in defaults and later versions of a kind bring new fields:
neither is drift, or we would write for ever. Results are remembered by value.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from canarium.core.actions import Kind
from canarium.core.drift import contains

_ANY_PATH = {"type": "PathPrefix", "value": "/"}
_EMPTY: tuple[Any, ...] = (None, "", [], {})
_GATEWAY_API: Mapping[str, tuple[Any, ...]] = {
    "backendRefs": (),
    "filters": (),
    "fraction": (),
    "group": ("", "gateway.networking.k8s.io"),
    "headers": (),
    "hostnames": (),
    "kind": ("Service", "Gateway"),
    "matches": ([{"path": _ANY_PATH}],),
    "method": (),
    "namespace": (),
    "path": (_ANY_PATH, "/"),  # of a match, and of a cookie (Gateway API 1.7)
    "percent": (100,),
    "port": (),
    "queryParams": (),
    "retry": (),
    "sectionName": (),
    "sessionPersistence": (),
    "timeouts": (),
}
_TRAEFIK: Mapping[str, tuple[Any, ...]] = {
    "failover": (),
    "highestRandomWeight": (),
    "kind": ("Service",),
    "middlewares": (),
    "mirroring": (),
    "namespace": (),
    "percent": (),
    "port": (),
    "priority": (0,),
    "scheme": (),
    "sticky": (),
    "syntax": (),
    "weight": (),
    "weighted": (),
}
_ISTIO: Mapping[str, tuple[Any, ...]] = {
    "delegate": (),
    "directResponse": (),
    "fault": (),
    "headers": (),
    "match": (),
    "mirror": (),
    "mirrorPercentage": (),
    "mirrors": (),
    "redirect": (),
    "rewrite": (),
    "route": (),
    "subset": (),
    "timeout": (),
    "uri": (),
    "weight": (0,),
}
_TELLING: Mapping[Kind, Mapping[str, tuple[Any, ...]]] = {
    "HTTPRoute": _GATEWAY_API,
    "GRPCRoute": _GATEWAY_API,
    "IngressRoute": _TRAEFIK,
    "TraefikService": _TRAEFIK,
    "VirtualService": _ISTIO,
}
"""By kind, the fields that lead requests elsewhere when somebody adds them, with the values that
the apiserver fills in (those say nothing)."""


@lru_cache(maxsize=4096)
def says_same(kind: Kind, live: bytes, ours: str) -> bool:
    """Whether the live spec (the apiserver's JSON) says what ours (JSON too) says, and no more.

    Of a Service, ports that somebody added are theirs; its selector has to be just ours.
    """
    found, rendered = json.loads(live), json.loads(ours)
    if kind == "Service":
        return found.get("selector") == rendered["selector"] and contains(live, ours)
    return _says(found, rendered, _TELLING[kind])


def _says(live: Any, ours: Any, telling: Mapping[str, tuple[Any, ...]]) -> bool:
    if isinstance(ours, dict):
        return isinstance(live, dict) and _says_fields(live, ours, telling)
    if isinstance(ours, list):
        return (
            isinstance(live, list)
            and len(live) == len(ours)
            and all(_says(a, b, telling) for a, b in zip(live, ours, strict=True))
        )
    return bool(live == ours)


def _says_fields(
    live: dict[str, Any], ours: dict[str, Any], telling: Mapping[str, tuple[Any, ...]]
) -> bool:
    added = (key for key in live if key not in ours and key in telling)
    return all(_says(live.get(key), value, telling) for key, value in ours.items()) and all(
        live[key] in (*_EMPTY, *telling[key]) for key in added
    )
