"""Who gets requests by the routes of other makers, read apart from the code that writes them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from canarium.core.observed import RouteRecord
from canarium.core.plan import RouteKind

Json = dict[str, Any]
Share = tuple[str, int]
"A Service and its weight; 0 for one that is led to by a header, or gets copies alone."


def read_shares(routes: Mapping[RouteKind, Mapping[str, RouteRecord]]) -> dict[str, int]:
    """By Service, what the rules give it that requests can come to."""
    specs = {
        kind: {name: json.loads(record.spec) for name, record in found.items()}
        for kind, found in routes.items()
    }
    shares = [
        *_follow(specs.get("IngressRoute", {}).values(), specs.get("TraefikService", {})),
        *_list(specs.get("VirtualService", {}).values()),
    ]
    return {name: max(w for other, w in shares if other == name) for name, _ in shares}


def _follow(ingresses: Iterable[Json], services: Mapping[str, Json]) -> Iterator[Share]:
    for ingress in ingresses:
        for rule in ingress["routes"]:
            for target in rule["services"]:
                yield from _resolve(target, services)


def _resolve(target: Json, services: Mapping[str, Json]) -> Iterator[Share]:
    if target["kind"] == "Service":
        yield target["name"], target.get("weight", 0)
        return
    found = services[target["name"]]
    if "mirroring" in found:
        yield from ((mirror["name"], 0) for mirror in found["mirroring"]["mirrors"])
        yield from _resolve(found["mirroring"], services)
    else:
        for part in found["weighted"]["services"]:
            yield from _resolve(part, services)


def _list(services: Iterable[Json]) -> Iterator[Share]:
    for found in services:
        *narrow, main = found["http"]
        yield from ((r["destination"]["host"], 0) for rule in narrow for r in rule["route"])
        yield from ((r["destination"]["host"], r["weight"]) for r in main["route"])
        if "mirror" in main:
            yield main["mirror"]["host"], 0
