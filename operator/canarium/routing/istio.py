"""Router `Istio`: a VirtualService whose destinations are the revisions' Services.

Not subsets of one host: docs/adr/0006-istio-destinations.md says why. Istio says nothing of what
its proxies took, so what is written counts as taken after the settle time.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from canarium.core.names import child_name
from canarium.core.observed import Observed
from canarium.core.plan import Ref
from canarium.core.spec import HeaderMatch, PathMatch, Step, Traffic
from canarium.memo import remember
from canarium.queries.profiles import GRPC_ERRORS, Profile
from canarium.routing.base import (
    Child,
    Feature,
    GatewayCounters,
    Router,
    Split,
    TrafficRule,
    Verification,
    by_revision,
    find_missing,
    find_route,
    make_child,
    make_leading_service,
    name_routers,
    primary_selector,
    service_port,
    verify_written,
)
from canarium.routing.gateway_counters import get_last_part
from canarium.routing.routes import RouteType

Json = dict[str, Any]
MESH = "mesh"
SILENT = "Istio does not say what its proxies took, so they are given 10 s for it"

_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


_DECIDING: Mapping[str, tuple[Any, ...]] = {
    "authority": (),
    "delegate": (),
    "directResponse": (),
    "exportTo": (["*"],),
    "fault": (),
    "gateways": (),
    "headers": (),
    "ignoreUriCase": (False,),
    "match": (),
    "method": (),
    "mirror": (),
    "mirrorPercentage": (),
    "mirrors": (),
    "port": (),
    "queryParams": (),
    "redirect": (),
    "rewrite": (),
    "route": (),
    "scheme": (),
    "sourceLabels": (),
    "sourceNamespace": (),
    "subset": (),
    "tcp": (),
    "timeout": (),
    "tls": (),
    "uri": (),
    "weight": (0,),
    "withoutHeaders": (),
}


# What is counted


PROFILE = Profile(
    requests="istio_requests_total",
    duration="istio_request_duration_milliseconds",
    status_labels=("response_code",),
    error_status=r"^5\d\d$",
    other_errors=(("grpc_response_status", GRPC_ERRORS),),
    unit="Milliseconds",
    labels=(("reporter", "source"),),
)
"""Istio 1.32's gateways, which report as the source of what they send on. A gRPC call that failed
has response_code 200."""


def _narrow(namespace: str, service: str, _route: str) -> Profile:
    labels = (
        ("destination_service_name", re.escape(service)),
        ("destination_service_namespace", re.escape(namespace)),
    )
    return replace(PROFILE, labels=(*PROFILE.labels, *labels), needle=get_last_part(service))


def _kinds_of(traffic: Any) -> set[str]:
    return {ref.kind or "Gateway" for ref in traffic.parent_refs or ()}


class Istio(Router):
    """Shares single requests by the weights of a VirtualService's destinations."""

    name = "Istio"
    summary = "a VirtualService"
    routes = (RouteType("VirtualService", "networking.istio.io/v1", "virtualservices", _DECIDING),)
    setting = "istio"
    stands_in = "Istio's"
    features: ClassVar[frozenset[Feature]] = frozenset({"mirror", "timeouts"})
    rules = (
        TrafficRule(
            "!has(self.parentRefs)"
            " || self.parentRefs.all(ref, !has(ref.kind) || ref.kind == 'Gateway')",
            "router Istio attaches to Istio's own Gateways: remove kind and group, or"
            " choose GatewayAPI",
            lambda traffic: _kinds_of(traffic) <= {"Gateway"},
            at="parentRefs",
        ),
    )
    unanswered = frozenset({"IstioNotInstalled"})
    counters = GatewayCounters("istio.io/gateway-controller", PROFILE, _narrow)
    entrance = "variables.router == 'Istio' && variables.parents.size() > 0 ? 'virtualservices' :"
    # istiod collects changes for at most PILOT_DEBOUNCE_MAX, 10 s unless it is set.
    settle_seconds = 10.0

    def make_routes(self, split: Split) -> tuple[Child, ...]:
        """The leading Service for callers without a proxy, and the VirtualService."""
        return _make_routes(split)

    def verify(self, split: Split, observed: Observed) -> Verification:
        """Whether everything is written; more cannot be known."""
        missing = find_missing(self, split.traffic, observed)
        missing = missing or verify_written(self.make_routes(split), observed)
        return missing or Verification(accepted=True, message=SILENT)

    def live_weights(self, model: str, observed: Observed) -> Mapping[str, int]:
        """Whom the live VirtualService sends to."""
        route = find_route(observed, Ref("VirtualService", model))
        return by_revision(model, observed, dict(_read_backends(route.spec))) if route else {}

    def make_url(self, traffic: Traffic) -> str:
        """By the first host name that a gateway serves."""
        outside = traffic.hostnames and traffic.parent_refs
        return f"http://{traffic.hostnames[0]}" if outside else ""

    def explain_undeliverable(self, step: Step, traffic: Traffic, observed: Observed) -> str:
        """Weights, headers of both types and mirrors can all be delivered.

        A cookie cannot: the destination is drawn by weight for each request, and consistent
        hashing chooses only among the pods of the one that was drawn.
        """
        if step.sticky is None:
            return ""
        return (
            "router Istio draws a revision for every request and keeps nobody on one by a cookie: "
            "have the front end assign people, with sticky.headers, or take router "
            f"{name_routers('sticky')}"
        )

    def is_shared(self, parents: Sequence[Mapping[str, Any]], namespace: str) -> bool:
        """In the mesh a host name is heard at home alone."""
        return bool(parents)


# What is written


@remember()
def _make_routes(split: Split) -> tuple[Child, ...]:
    traffic = split.traffic
    spec = {
        "hosts": _make_hosts(split),
        "gateways": [f"{ref.namespace}/{ref.name}" for ref in traffic.parent_refs] or [MESH],
        **_make_reach(traffic),
        "http": [*_make_header_rules(split), _make_main_rule(split)],
    }
    service = make_leading_service(split, primary_selector(split))
    return (service, make_child("VirtualService", split.model, spec))


def _make_reach(traffic: Traffic) -> Json:
    """In the mesh a host name may be anybody's Service, so who claims one is heard at home alone.

    Exported everywhere, which is what Istio does when nothing is said, it would catch what other
    namespaces send to, say, payments.others.svc.cluster.local.
    """
    claims = traffic.hostnames and not traffic.parent_refs
    return {"exportTo": ["."]} if claims else {}


def _make_hosts(split: Split) -> list[str]:
    """In the mesh the model is also reached by its Service's name."""
    hosts = list(split.traffic.hostnames)
    if not split.traffic.parent_refs:
        return [*hosts, split.model]
    return hosts or ["*"]


def _make_header_rules(split: Split) -> Iterator[Json]:
    if split.headers:
        # Istio wants names of headers in lower case.
        headers = {h.name.lower(): _make_match(h) for h in split.headers}
        matches = [{**match, "headers": headers} for match in _make_matches(split) or [{}]]
        route = [{"destination": _make_destination(split, split.canary)}]
        yield {"match": matches, "route": route, **_make_timeout(split)}


def _make_match(header: HeaderMatch) -> Json:
    return {"exact" if header.type == "Exact" else "regex": header.value}


def _make_main_rule(split: Split) -> Json:
    matches = _make_matches(split)
    shares = [
        {"destination": _make_destination(split, revision), "weight": weight}
        for revision, weight in split.weights
    ]
    return {
        **({"match": matches} if matches else {}),
        "route": shares,
        **(_make_mirror(split) if split.mirror else {}),
        **_make_timeout(split),
    }


def _make_mirror(split: Split) -> Json:
    return {
        "mirror": _make_destination(split, split.canary),
        "mirrorPercentage": {"value": split.mirror},
    }


def _make_destination(split: Split, revision: str) -> Json:
    host = child_name(split.model, revision)
    return {"host": host, "port": {"number": service_port(split.traffic)}}


def _make_matches(split: Split) -> list[Json]:
    """One a path, none for all of them; a prefix means whole segments, as in Gateway API."""
    if split.traffic.paths == (PathMatch(),):
        return []
    return [match for path in split.traffic.paths for match in _make_path(path)]


def _make_path(path: PathMatch) -> Iterator[Json]:
    value = path.value.rstrip("/")
    if path.type == "Exact":
        yield {"uri": {"exact": path.value}}
        return
    if value:
        yield {"uri": {"exact": value}}
    yield {"uri": {"prefix": f"{value}/"}}


def _make_timeout(split: Split) -> Json:
    """In seconds, which Istio reads in every version; for ever is said by nothing."""
    seconds = _parse_seconds(split.traffic.request_timeout or "0s")
    return {"timeout": f"{seconds:.3f}".rstrip("0").rstrip(".") + "s"} if seconds else {}


def _parse_seconds(duration: str) -> float:
    """Seconds of a duration such as 1m30s (GEP-2257)."""
    parts = re.findall(r"([0-9.]+)(ms|h|m|s)", duration)
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


# What is read


@remember()
def _read_backends(spec: bytes) -> tuple[tuple[str, int], ...]:
    """Weights by Service; those that a rule names by header or mirror alone come with 0."""
    rules = json.loads(spec).get("http") or []
    weights: dict[str, int] = {}
    for rule in rules:
        for part in [*(rule.get("mirrors") or []), {"destination": rule.get("mirror")}]:
            if destination := part.get("destination"):
                weights.setdefault(_short(destination), 0)
        weights |= {_short(part["destination"]): 0 for part in rule.get("route") or []}
    for part in _find_main_rule(rules).get("route") or []:
        weights[_short(part["destination"])] = part.get("weight", 100)
    return tuple(weights.items())


def _short(destination: Json) -> str:
    return str(destination["host"]).partition(".")[0]


def _find_main_rule(rules: list[Json]) -> Json:
    """The rule for requests without special headers; we write it last."""
    plain = [rule for rule in rules if not any(m.get("headers") for m in rule.get("match") or ())]
    return next(iter((plain or rules)[-1:]), {})
