"""Router `Traefik`: an IngressRoute to a weighted TraefikService, a mirroring one between them.

For Traefik 3 with its kubernetescrd provider, which mirrors where its Gateway API provider cannot.
Traefik says nothing of what it took, so what is written counts as taken after the settle time.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from canarium.core.names import child_name
from canarium.core.observed import Observed
from canarium.core.plan import RouteKind
from canarium.core.spec import HeaderMatch, PathMatch, Step, Traffic
from canarium.memo import remember
from canarium.routing.base import (
    Child,
    Split,
    Verification,
    by_revision,
    explain_sticky_grpc,
    find_missing,
    make_child,
    make_leading_service,
    primary_selector,
    service_port,
    verify_written,
)

Json = dict[str, Any]
SILENT = "Traefik does not say what it took, so it is given 2.5 s for it"


class Traefik:
    """Shares single requests by the weights of a TraefikService."""

    name = "Traefik"
    settle_seconds = 2.5
    drain_seconds = 0.0
    mixes_pods = False
    revision_services = True
    route_kinds: tuple[RouteKind, ...] = ("TraefikService", "IngressRoute")

    def make_routes(self, split: Split) -> tuple[Child, ...]:
        """The leading Service, what shares, and last the IngressRoute that leads to it."""
        return _make_routes(split)

    def verify(self, split: Split, observed: Observed) -> Verification:
        """Whether everything is written; more cannot be known."""
        missing = find_missing(self, split.traffic, observed)
        missing = missing or verify_written(self.make_routes(split), observed)
        return missing or Verification(accepted=True, message=SILENT)

    def live_weights(self, model: str, observed: Observed) -> Mapping[str, int]:
        """Whom the live objects send to, whoever's IngressRoute leads to them."""
        backends: dict[str, int] = {}
        for route in observed.routes:
            if route.kind in self.route_kinds:
                for name, weight in _read_backends(route.spec):
                    backends[name] = max(weight, backends.get(name, 0))
        return by_revision(model, observed, backends)

    def has_parents(self, traffic: Traffic, observed: Observed) -> bool:
        """There is nothing to attach to but Traefik's own entry points."""
        return True

    def shares(self, split: Split, observed: Observed) -> Mapping[str, int] | None:
        """Weights are exact here."""
        return None

    def make_url(self, traffic: Traffic) -> str:
        """By the first host name."""
        return f"http://{traffic.hostnames[0]}" if traffic.hostnames else ""

    def explain_undeliverable(self, step: Step, traffic: Traffic, observed: Observed) -> str:
        """Copies are made of whole requests, which a gRPC stream may never be."""
        if step.mirror and traffic.protocol == "GRPC":
            return "router Traefik cannot mirror gRPC: write a weight or headers instead of mirror"
        return explain_sticky_grpc(step, traffic)


# What is written


@remember()
def _make_routes(split: Split) -> tuple[Child, ...]:
    shared: Json = {"kind": "TraefikService", "name": split.model}
    mirror = _make_mirror(split, shared) if split.mirror else None
    leading = {"kind": "TraefikService", "name": mirror.ref.name} if mirror else shared
    return (
        make_leading_service(split, primary_selector(split)),
        make_child("TraefikService", split.model, {"weighted": _make_weighted(split)}),
        *((mirror,) if mirror else ()),
        make_child("IngressRoute", split.model, {"routes": list(_make_rules(split, leading))}),
    )


def _make_weighted(split: Split) -> Json:
    """The shares; with a cookie that names one of them, which goes before the weights."""
    shared: Json = {"services": _make_shares(split)}
    if split.sticky is None:
        return shared
    kept = {"name": split.sticky.cookie, "maxAge": split.sticky.seconds, "httpOnly": True}
    return {**shared, "sticky": {"cookie": kept}}


def _make_shares(split: Split) -> list[Json]:
    return [{**_make_backend(split, revision), "weight": w} for revision, w in split.weights]


def _make_mirror(split: Split, shared: Json) -> Child:
    """An object of the canary's own: the name of no other model's, and gone with its revision."""
    copies = {**_make_backend(split, split.canary), "percent": split.mirror}
    spec = {"mirroring": {**shared, "mirrors": [copies]}}
    return make_child("TraefikService", child_name(split.model, split.canary), spec)


def _make_backend(split: Split, revision: str) -> Json:
    backend = {
        "kind": "Service",
        "name": child_name(split.model, revision),
        "port": service_port(split.traffic),
    }
    return {**backend, "scheme": "h2c"} if split.traffic.protocol == "GRPC" else backend


def _make_rules(split: Split, leading: Json) -> Iterator[Json]:
    """Traefik asks the longest rule first, so the one with headers comes before the other."""
    match = _make_match(split.traffic)
    if split.headers:
        narrow = " && ".join([match, *map(_make_header, split.headers)])
        yield {"kind": "Rule", "match": narrow, "services": [_make_backend(split, split.canary)]}
    yield {"kind": "Rule", "match": match, "services": [leading]}


def _make_match(traffic: Traffic) -> str:
    hosts = " || ".join(_make_host(host) for host in traffic.hostnames)
    paths = " || ".join(_make_path(path) for path in traffic.paths)
    return " && ".join(f"({part})" for part in (hosts, paths) if part)


def _make_host(host: str) -> str:
    if not host.startswith("*."):
        return f"Host(`{host}`)"
    return f"HostRegexp(`^.+{re.escape(host[1:])}$`)"


def _make_path(path: PathMatch) -> str:
    """As Gateway API means it: the prefix /a answers /a and /a/b, but not /ab."""
    value = path.value.rstrip("/")
    if path.type == "Exact":
        return f"Path(`{path.value}`)"
    return f"(Path(`{value}`) || PathPrefix(`{value}/`))" if value else "PathPrefix(`/`)"


def _make_header(header: HeaderMatch) -> str:
    if header.type == "Exact":
        return f"Header({_quote(header.name)}, {_quote(header.value)})"
    return f"HeaderRegexp({_quote(header.name)}, {_quote(f'^(?:{header.value})$')})"


def _quote(text: str) -> str:
    """A string as Go reads it, in which Traefik's rules are written."""
    return json.dumps(text, ensure_ascii=False)


# What is read


@remember()
def _read_backends(spec: bytes) -> tuple[tuple[str, int], ...]:
    """Weights by Service; those that a rule names otherwise come with 0."""
    found = json.loads(spec)
    shared = (found.get("weighted") or {}).get("services") or []
    others = list((found.get("mirroring") or {}).get("mirrors") or [])
    for rule in found.get("routes") or []:
        others += rule.get("services") or []
    services = [service for service in others if service.get("kind", "Service") == "Service"]
    weights = {service["name"]: 0 for service in services}
    return tuple((weights | {s["name"]: s.get("weight", 1) for s in shared}).items())
