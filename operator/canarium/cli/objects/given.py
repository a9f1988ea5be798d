"""Which host names a namespace was given, and what a model asks for beside them. Pure.

The chart's policy `routes` decides; it is written in CEL and asked of writes alone. Here its rules
are again, for what is stored. What it was made with stands in its annotations.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from canarium import routing

Json = Mapping[str, Any]

HOSTNAMES = "canarium.dev/hostnames"
"The annotation of a Namespace, and of the policy: the entries for all namespaces."
ROUTERS = "canarium.dev/routers"
"The annotation of the policy: the routers that are on."
NAMESPACES = "canarium.dev/namespaces"
"The annotation of the policy: the only namespaces that it is about."
MOST = 64
"How many entries of a Namespace count."


@dataclass(frozen=True, slots=True)
class HostNameRule:
    """Host names that end with `tail`, after a ^, and paths that begin with `head`."""

    tail: str
    head: str

    def is_for(self, hostname: str, path: str) -> bool:
        """Whether a route may have this path, with a slash at its end."""
        return f"^{hostname}".endswith(self.tail) and path.startswith(self.head)


@dataclass(frozen=True, slots=True)
class Policy:
    """The chart's policy: entries for every namespace, and of which routers it asks, and where."""

    entries: tuple[str, ...]
    routers: frozenset[str]
    namespaces: frozenset[str]

    def is_about(self, namespace: str) -> bool:
        """Whether it is asked of what is written in a namespace."""
        return not self.namespaces or namespace in self.namespaces


def read_policy(found: Json) -> Policy | None:
    """The policy as the apiserver has it; None for another one."""
    annotations = found["metadata"].get("annotations") or {}
    if ROUTERS not in annotations:
        return None
    return Policy(
        entries=tuple(_split(annotations.get(HOSTNAMES, ""))),
        routers=frozenset(_split(annotations[ROUTERS])),
        namespaces=frozenset(_split(annotations.get(NAMESPACES, ""))),
    )


def list_given(policy: Policy, namespace: Json) -> tuple[str, ...]:
    """The entries that a Namespace has, of all namespaces and its own."""
    metadata = namespace["metadata"]
    own = _split((metadata.get("annotations") or {}).get(HOSTNAMES, ""))[:MOST]
    of_all = (entry.replace("{namespace}", metadata["name"]) for entry in policy.entries)
    return (*of_all, *own)


def _split(text: str) -> list[str]:
    return re.findall(r"[^,\s]+", text)


def read_entries(given: tuple[str, ...]) -> tuple[HostNameRule, ...]:
    """The entries; a star with a path says nothing."""
    entries = map(_read_entry, given)
    return tuple(entry for entry in entries if entry.tail or entry.head == "/")


def _read_entry(text: str) -> HostNameRule:
    host, _, path = text.partition("/")
    tail = "" if host == "*" else host[1:] if host.startswith("*.") else f"^{host}"
    return HostNameRule(
        tail.lower(), f"/{path}/" if path and not path.endswith("/") else f"/{path}"
    )


def list_missing(model: Json, policy: Policy, given: tuple[str, ...]) -> tuple[str, ...]:
    """What a model's route asks for that its namespace wasn't given: a host name and path each."""
    namespace, traffic = model["metadata"]["namespace"], model["spec"].get("traffic") or {}
    if not _is_guarded(traffic, namespace, policy.routers):
        return ()
    entries = read_entries(given)
    hostnames = traffic.get("hostnames") or []
    if not hostnames:
        return () if any(not entry.tail for entry in entries) else ("every host name",)
    return tuple(_find_missing(traffic, hostnames, entries))


def _find_missing(
    traffic: Json, hostnames: list[str], entries: tuple[HostNameRule, ...]
) -> Iterator[str]:
    """The first path of each host name that no entry is for."""
    paths = [path["value"] for path in traffic.get("paths") or ()] or ["/"]
    for hostname in hostnames:
        lost = (p for p in paths if not any(e.is_for(hostname, f"{p}/") for e in entries))
        yield from (f"{hostname}{path}" for path in [next(lost, None)] if path is not None)


def list_services(model: Json, policy: Policy) -> tuple[str, ...]:
    """The Services that a model's route takes the requests of, with their namespaces."""
    namespace, traffic = model["metadata"]["namespace"], model["spec"].get("traffic") or {}
    if not _is_guarded(traffic, namespace, policy.routers):
        return ()
    return tuple(
        f"{ref.get('namespace', namespace)}/{ref['name']}"
        for ref in traffic.get("parentRefs") or ()
        if ref.get("kind") == "Service"
    )


def _is_guarded(traffic: Json, namespace: str, routers: frozenset[str]) -> bool:
    """Whether it comes to a route at an entrance that others share, of a router that is on."""
    router, parents = traffic.get("router", "Auto"), traffic.get("parentRefs") or []
    if router == "Auto":
        claims = bool(traffic.get("hostnames") or traffic.get("paths"))
        router = routing.guess_router(parents=bool(parents), claims=claims)
    known = routing.ROUTERS.get(router) if router in routers else None
    return known is not None and known.is_shared(parents, namespace)
