"""Router `Traefik`: an IngressRoute to a weighted TraefikService, a mirroring one between them.

For Traefik 3 with its kubernetescrd provider, which mirrors where its Gateway API provider cannot.
Traefik says nothing of what it took, so what is written counts as taken after the settle time.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from canarium.core.names import child_name
from canarium.core.observed import Observed
from canarium.core.spec import HeaderMatch, PathMatch, Step, Traffic
from canarium.memo import remember
from canarium.queries.profiles import Profile
from canarium.routing.base import (
    Child,
    Feature,
    GatewayCounters,
    Router,
    Split,
    TrafficRule,
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
from canarium.routing.gateway_counters import get_last_part, normalize
from canarium.routing.routes import RouteType

Json = dict[str, Any]
SILENT = "Traefik does not say what it took, so it is given 2.5 s for it"


TRAEFIK_CANNOT_TELL_GRPC = (
    "Traefik counts a gRPC call that went well as it does one that failed with UNKNOWN:"
    " take source Pods, or a metric of your own"
)
_DECIDING: Mapping[str, tuple[Any, ...]] = {
    "failover": (),
    "highestRandomWeight": (),
    "kind": ("Service",),
    "middlewares": (),
    "mirroring": (),
    "namespace": (),
    "parentRefs": (),
    "passHostHeader": (True,),
    "percent": (),
    "port": (),
    "priority": (0,),
    "scheme": (),
    "serversTransport": (),
    "sticky": (),
    "syntax": (),
    "weight": (),
    "weighted": (),
}


# What is counted


PROFILE = Profile(
    requests="traefik_service_requests_total",
    duration="traefik_service_request_duration_seconds",
    status_labels=("code",),
    error_status=r"^5\d\d$",
    labels=(("protocol", "(?!grpc).*"),),
)
"""Traefik 3.7. Of gRPC calls `code` is gRPC's number, but 2 (UNKNOWN) also stands for those that
went well and those that no pod answered: they tell nothing."""


def _narrow(namespace: str, service: str, route: str) -> Profile:
    """Traefik names a service after the route and the Service (Gateway API), or by its port.

    Names are joined by hyphens, so a Service of another namespace could be named to look alike;
    with Traefik's option safeNaming those of its own kinds are joined by an underscore.
    """
    by_route = (
        rf"(?:http|grpc)route-{normalize(namespace)}-{normalize(route)}-gw-.+"
        rf"-svc-{re.escape(namespace)}-{re.escape(service)}-\d+@kubernetesgateway"
    )
    by_port = rf"{normalize(namespace)}-{normalize(service)}-\d+@kubernetescrd"
    safely = rf"{re.escape(namespace)}_{re.escape(service)}_\d+@kubernetescrd"
    pattern = f"{by_route}|{by_port}|{safely}"
    labels = (*PROFILE.labels, ("service", pattern))
    return replace(PROFILE, labels=labels, needle=get_last_part(service))


class Traefik(Router):
    """Shares single requests by the weights of a TraefikService."""

    name = "Traefik"
    summary = "an IngressRoute and TraefikServices"
    routes = (
        RouteType("IngressRoute", "traefik.io/v1alpha1", "ingressroutes", _DECIDING),
        RouteType("TraefikService", "traefik.io/v1alpha1", "traefikservices", _DECIDING),
    )
    setting = "traefik"
    stands_in = "Traefik's own kinds (which know no timeouts)"
    features: ClassVar[frozenset[Feature]] = frozenset({"mirror", "sticky"})
    rules = (
        TrafficRule(
            "!has(self.parentRefs) || self.parentRefs.size() == 0",
            "router Traefik answers at Traefik's entry points by host name, not through a"
            " Gateway: remove parentRefs, or choose GatewayAPI",
            lambda traffic: not traffic.parent_refs,
            at="parentRefs",
        ),
        TrafficRule(
            "(has(self.hostnames) && self.hostnames.size() > 0)"
            " || (has(self.paths) && self.paths.size() > 0)",
            "router Traefik would answer for every host: add hostnames or paths",
            lambda traffic: bool(traffic.hostnames or traffic.paths),
            at="hostnames",
        ),
        TrafficRule(
            "!has(self.timeouts)",
            "router Traefik knows no timeout of a request: remove timeouts, or set them for"
            " the whole entry point in Traefik",
            lambda traffic: traffic.timeouts is None,
            at="timeouts",
        ),
    )
    unanswered = frozenset({"TraefikNotInstalled"})
    counters = GatewayCounters(
        "traefik.io/gateway-controller", PROFILE, _narrow, {"GRPC": TRAEFIK_CANNOT_TELL_GRPC}
    )
    entrance = (
        "variables.router == 'Traefik'"
        " || (variables.router == 'Auto' && variables.parents.size() == 0\n"
        "&& variables.hostnames.size() + variables.paths.size() > 0) ? 'ingressroutes' :"
    )
    settle_seconds = 2.5

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

    def make_url(self, traffic: Traffic) -> str:
        """By the first host name."""
        return f"http://{traffic.hostnames[0]}" if traffic.hostnames else ""

    def explain_undeliverable(self, step: Step, traffic: Traffic, observed: Observed) -> str:
        """Copies are made of whole requests, which a gRPC stream may never be."""
        if step.mirror and traffic.protocol == "GRPC":
            return "router Traefik cannot mirror gRPC: write a weight or headers instead of mirror"
        return explain_sticky_grpc(step, traffic)

    def is_shared(self, parents: Sequence[Mapping[str, Any]], namespace: str) -> bool:
        """All come in at Traefik's own entry points."""
        return True


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
