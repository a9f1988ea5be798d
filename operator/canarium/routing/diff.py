"""Whether a live route or Service still says what we render.

Everything of ours has to be there, lists with just our items, and nothing beside it that leads
requests elsewhere. The apiserver fills in defaults and later versions of a kind bring new fields:
neither is an external change, or we would write for ever. Results are remembered by value.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from canarium.core.plan import Kind
from canarium.memo import remember
from canarium.resources.diff import contains
from canarium.routing.routes import ROUTE_TYPES

_EMPTY: tuple[Any, ...] = (None, "", [], {})
_SERVICE: Mapping[str, tuple[Any, ...]] = {
    "externalName": (),
    "publishNotReadyAddresses": (False,),
}
_PLAIN = (None, "", "http", "kubernetes.io/ws")
"What a Service's port may say of its protocol where ours says nothing: gateways speak HTTP to it."


@remember()
def says_same(kind: Kind, live: bytes, ours: str) -> bool:
    """Whether the live spec (the apiserver's JSON) says what ours (JSON too) says, and no more.

    Of a Service, ports that somebody added are theirs; its selector has to be just ours.
    """
    found, rendered = json.loads(live), json.loads(ours)
    if kind == "Service":
        if any(_list_added(found, rendered, _SERVICE)) or _speaks_otherwise(found, rendered):
            return False
        return found.get("selector") == rendered["selector"] and contains(live, ours)
    return _says(found, rendered, ROUTE_TYPES[kind].deciding)


def _speaks_otherwise(live: dict[str, Any], ours: dict[str, Any]) -> bool:
    """Whether somebody added a protocol to a port of ours, which our pods don't speak."""
    said = {_port_key(port): port.get("appProtocol") for port in live.get("ports") or ()}
    plain = (_port_key(port) for port in ours["ports"] if "appProtocol" not in port)
    return any(said.get(key) not in _PLAIN for key in plain)


def _port_key(port: Mapping[str, Any]) -> tuple[Any, str]:
    """What tells a Service's ports apart: others may have the number for UDP."""
    return port.get("port"), port.get("protocol") or "TCP"


def speak_plainly(body: Mapping[str, Any], live: bytes) -> Mapping[str, Any]:
    """A Service as it is to be written over one whose ports somebody gave a protocol.

    Server-side apply leaves what one never wrote, and no port can have an empty one: so HTTP is
    written out where it is meant.
    """
    spec = body["spec"]
    if not _speaks_otherwise(json.loads(live), spec):
        return body
    return {**body, "spec": spell_protocol(spec)}


def spell_protocol(spec: Mapping[str, Any]) -> Mapping[str, Any]:
    """A Service's spec with HTTP written out at the ports that say nothing."""
    ports = [{"appProtocol": "http", **port} for port in spec["ports"]]
    return {**spec, "ports": ports}


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
    ours_are_there = all(_says(live.get(key), value, telling) for key, value in ours.items())
    return ours_are_there and not any(_list_added(live, ours, telling))


def _list_added(
    live: dict[str, Any], ours: dict[str, Any], telling: Mapping[str, tuple[Any, ...]]
) -> Iterator[str]:
    """The fields beside ours that lead requests elsewhere."""
    for key, value in live.items():
        if key in ours or key not in telling:
            continue
        if value not in (*_EMPTY, *telling[key]):
            yield key


@remember()
def find_added(kind: Kind, live: bytes, ours: str) -> tuple[tuple[str, ...], ...]:
    """The paths of what others added to a spec and that has to be taken away.

    Server-side apply leaves what one never wrote. Within lists nothing has to be taken away: they
    are ours as a whole.
    """
    telling = _SERVICE if kind == "Service" else ROUTE_TYPES[kind].deciding
    found = json.loads(live)
    added = tuple(_walk(found, json.loads(ours), telling, ()))
    # A Service of this type may not be without the name that was added.
    return (*added, ("type",)) if found.get("type") == "ExternalName" else added


def _walk(
    live: dict[str, Any],
    ours: dict[str, Any],
    telling: Mapping[str, tuple[Any, ...]],
    path: tuple[str, ...],
) -> Iterator[tuple[str, ...]]:
    yield from ((*path, key) for key in _list_added(live, ours, telling))
    for key, value in ours.items():
        if isinstance(value, dict) and isinstance(live.get(key), dict):
            yield from _walk(live[key], value, telling, (*path, key))


def digest(text: str) -> str:
    """Ten characters that stand for a route as it is rendered, where the whole is not kept."""
    return hashlib.sha256(text.encode()).hexdigest()[:10]
