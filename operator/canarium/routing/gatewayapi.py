"""Router `GatewayAPI`: an HTTPRoute or GRPCRoute with weighted backends, one Service a revision.

The route counts as taken when every gateway that it names says Accepted and ResolvedRefs about
the generation that was written last; Traefik, for one, may then still serve the one before for
up to its throttle of 2 s, hence the settle time.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from canarium.core.names import child_name
from canarium.core.observed import (
    Observed,
    RouteCondition,
    RouteParent,
    RouteRecord,
)
from canarium.core.plan import Ref, RouteKind
from canarium.core.spec import (
    ParentRef,
    Step,
    Sticky,
    Traffic,
)
from canarium.memo import remember
from canarium.routing.base import (
    Child,
    Feature,
    Router,
    Split,
    TrafficRule,
    Verification,
    by_revision,
    explain_sticky_grpc,
    find_route,
    make_child,
    make_leading_service,
    primary_selector,
    service_port,
    verify_written,
)
from canarium.routing.capabilities import explain_parent
from canarium.routing.definitions import COOKIE, ROUTE_KINDS, RULE_NAME, explain_definition
from canarium.routing.parents import describe_parent, find_answers, find_gateway
from canarium.routing.routes import RouteType

API_VERSION = "gateway.networking.k8s.io/v1"
_REQUIRED = ("Accepted", "ResolvedRefs")
_UNDATED = (
    "does not say which generation of the route it has taken (observedGeneration, which Gateway "
    "API demands), so no share could be relied on: take a version of it that does"
)

Json = dict[str, Any]


_ANY_PATH = {"type": "PathPrefix", "value": "/"}
_DECIDING: Mapping[str, tuple[Any, ...]] = {
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
    "useDefaultGateways": ("None",),
}


class GatewayAPI(Router):
    """Shares single requests by the weights of a route's backends."""

    name = "GatewayAPI"
    summary = "an HTTPRoute or GRPCRoute"
    routes = (
        RouteType(
            "HTTPRoute",
            API_VERSION,
            "httproutes",
            _DECIDING,
            common=True,
            varies=True,
            simulated=True,
        ),
        RouteType("GRPCRoute", API_VERSION, "grpcroutes", _DECIDING, varies=True),
    )
    reads = ("Gateway", "GatewayClass", "CustomResourceDefinition")
    setting = "gatewayAPI"
    features: ClassVar[frozenset[Feature]] = frozenset({"timeouts"})
    rules = (
        TrafficRule(
            "(has(self.parentRefs) && self.parentRefs.size() > 0)",
            "router GatewayAPI needs parentRefs: name the Gateway to attach to",
            lambda traffic: bool(traffic.parent_refs),
            at="parentRefs",
        ),
    )
    unanswered = frozenset({"GatewayAPINotInstalled", "GatewayNotFound", "GatewayNotProgrammed"})
    entrance = (
        "variables.router == 'GatewayAPI'"
        " || (variables.router == 'Auto' && variables.parents.size() > 0)\n"
        "? (!variables.foreign ? ''\n"
        ": object.spec.?traffic.?protocol.orValue('HTTP') == 'GRPC'"
        " ? 'grpcroutes' : 'httproutes') :"
    )
    attaches = True
    settle_seconds = 2.5

    def make_routes(self, split: Split) -> tuple[Child, ...]:
        """The leading Service for callers in the cluster, and the route."""
        return _make_routes(split)

    def verify(self, split: Split, observed: Observed) -> Verification:
        """Ask the route's own status, for every gateway that it names."""
        kind = ROUTE_KINDS[split.traffic.protocol]
        if kind not in observed.installed:
            return Verification(False, "GatewayAPINotInstalled", _not_installed(kind), refused=True)
        if (missing := verify_written(self.make_routes(split), observed)) is not None:
            return missing
        route = find_route(observed, Ref(kind, split.model))
        if route is None:
            raise AssertionError("what is written is there")
        refs = split.traffic.parent_refs
        troubles = (_verify_parent(ref, refs, route, observed) for ref in refs)
        return next((t for t in troubles if t is not None), Verification(accepted=True))

    def live_weights(self, model: str, observed: Observed) -> Mapping[str, int]:
        """Whom the live routes send to."""
        backends: dict[str, int] = {}
        for route in observed.routes:
            if route.kind in self.route_kinds and route.meta.name == model:
                backends |= dict(_read_backends(route.spec))
        return by_revision(model, observed, backends)

    def has_parents(self, traffic: Traffic, observed: Observed) -> bool:
        """Whether all the Gateways exist; of other kinds of parents only their answers are seen."""
        known = {(g.meta.namespace, g.meta.name) for g in observed.gateways}
        gateways = (ref for ref in traffic.parent_refs if ref.kind == "Gateway")
        return all((ref.namespace, ref.name) in known for ref in gateways)

    def make_url(self, traffic: Traffic) -> str:
        """By the first host name; https when a listener of that name is asked for.

        A mesh leaves host names out of account: callers use the Service's own name.
        """
        outside = [ref for ref in traffic.parent_refs if ref.kind != "Service"]
        if not traffic.hostnames or not outside:
            return ""
        secure = any(ref.section_name == "https" for ref in outside)
        return f"{'https' if secure else 'http'}://{traffic.hostnames[0]}"

    def explain_undeliverable(self, step: Step, traffic: Traffic, observed: Observed) -> str:
        """Ask what the controllers of all the parents can do."""
        if words := explain_sticky_grpc(step, traffic):
            return words
        if words := self._explain_parents(step, traffic, observed):
            return words
        return explain_definition(step, traffic, observed)

    def is_shared(self, parents: Sequence[Mapping[str, Any]], namespace: str) -> bool:
        """Who may write models in a namespace may use the Gateways that are in it."""
        return any(
            ref.get("kind") == "Service" or ref.get("namespace", namespace) != namespace
            for ref in parents
        )

    def _explain_parents(self, step: Step, traffic: Traffic, observed: Observed) -> str:
        route = find_route(observed, Ref(ROUTE_KINDS[traffic.protocol], observed.model.meta.name))
        refs = traffic.parent_refs
        answers = (explain_parent(step, traffic, ref, observed, route) for ref in refs)
        return next((answer for answer in answers if answer), "")


def _not_installed(kind: RouteKind) -> str:
    return (
        f"the cluster does not serve {kind}s of gateway.networking.k8s.io/v1, or the operator does "
        "not look for them (routers.gatewayAPI of its chart): install the Gateway API CRDs and a "
        "gateway controller, or set spec.traffic.router to Replicas"
    )


# What is written


@remember()
def _make_routes(split: Split) -> tuple[Child, ...]:
    service = make_leading_service(split, primary_selector(split))
    kind = ROUTE_KINDS[split.traffic.protocol]
    return (service, make_child(kind, split.model, _make_route_spec(split)))


def _make_route_spec(split: Split) -> Json:
    traffic = split.traffic
    return {
        "parentRefs": [_make_parent(ref) for ref in traffic.parent_refs],
        **({"hostnames": list(traffic.hostnames)} if traffic.hostnames else {}),
        "rules": [*_make_header_rules(split), _make_main_rule(split)],
    }


def _make_header_rules(split: Split) -> Iterator[Json]:
    """The rule for the requests that are led to the canary; it comes first, and matches more."""
    if split.headers:
        headers = [{"type": h.type, "name": h.name, "value": h.value} for h in split.headers]
        matches = [{**match, "headers": headers} for match in _make_matches(split) or [{}]]
        backends = [_make_backend(split, split.canary, 100)]
        yield {
            **_make_name(split, "headers"),
            "matches": matches,
            "backendRefs": backends,
            **_make_timeouts(split),
        }


def _make_main_rule(split: Split) -> Json:
    matches = _make_matches(split)
    return {
        **_make_name(split, "weights"),
        **({"matches": matches} if matches else {}),
        **({"filters": [_make_mirror(split)]} if split.mirror else {}),
        "backendRefs": [
            _make_backend(split, revision, weight) for revision, weight in split.weights
        ],
        **_make_timeouts(split),
        **(_make_persistence(split.sticky, split.fields) if split.sticky else {}),
    }


def _make_name(split: Split, name: str) -> Json:
    """What policies of others may attach to (their sectionName), where rules have names."""
    return {"name": name} if RULE_NAME in split.fields else {}


def _make_persistence(sticky: Sticky, fields: frozenset[str]) -> Json:
    """Of the experimental channel (GEP-1619): where a cookie leads goes before the weights.

    In the form that the installed definition has; the older one where it has neither any more, so
    that the apiserver refuses it instead of a gateway sharing requests where people were meant.
    """
    hours, seconds = divmod(sticky.seconds, 3600)
    timeout = f"{hours}h{seconds}s" if hours else f"{seconds}s"
    lifetime = {"lifetimeType": "Permanent"}
    form: Json = {"sessionName": sticky.cookie, "cookieConfig": lifetime}
    if COOKIE in fields:
        form = {"cookie": {"name": sticky.cookie, **lifetime}}
    return {"sessionPersistence": {"type": "Cookie", "absoluteTimeout": timeout, **form}}


def _make_matches(split: Split) -> list[Json]:
    """One a path; a GRPCRoute has none and answers every method."""
    if split.traffic.protocol == "GRPC":
        return []
    return [{"path": {"type": p.type, "value": p.value}} for p in split.traffic.paths]


def _make_mirror(split: Split) -> Json:
    backend = {"name": child_name(split.model, split.canary), "port": service_port(split.traffic)}
    # Without a percentage it is an older, more widely supported feature.
    part = {"percent": split.mirror} if split.mirror < 100 else {}
    return {"type": "RequestMirror", "requestMirror": {"backendRef": backend, **part}}


def _make_backend(split: Split, revision: str, weight: int) -> Json:
    name = child_name(split.model, revision)
    return {"name": name, "port": service_port(split.traffic), "weight": weight}


def _make_timeouts(split: Split) -> Json:
    timeout = split.traffic.request_timeout
    return {"timeouts": {"request": timeout}} if timeout else {}


def _make_parent(ref: ParentRef) -> Json:
    """With its group and kind, which the apiserver would fill in: one that is edited is seen."""
    return {
        "group": ref.group,
        "kind": ref.kind,
        "name": ref.name,
        "namespace": ref.namespace,
        **({"sectionName": ref.section_name} if ref.section_name else {}),
        **({"port": ref.port} if ref.port else {}),
    }


# What is read


@remember()
def _read_backends(spec: bytes) -> tuple[tuple[str, int], ...]:
    """Weights by Service; those that a rule names by header or mirror alone come with 0."""
    rules = json.loads(spec).get("rules") or [{}]
    backends = dict.fromkeys(_read_named(rules), 0)
    main = _find_main_rule(rules)
    backends |= {b["name"]: b.get("weight", 1) for b in main.get("backendRefs") or []}
    return tuple(backends.items())


def _find_main_rule(rules: list[Json]) -> Json:
    """The rule for requests without special headers; we write it last."""
    plain = [rule for rule in rules if not any(m.get("headers") for m in rule.get("matches") or ())]
    return (plain or rules)[-1]


def _read_named(rules: list[Json]) -> Iterator[str]:
    """Every Service that a rule sends requests or copies of them to."""
    for rule in rules:
        yield from (backend["name"] for backend in rule.get("backendRefs") or ())
        for part in rule.get("filters") or ():
            if mirror := part.get("requestMirror"):
                yield mirror["backendRef"]["name"]


def _verify_parent(
    ref: ParentRef, refs: tuple[ParentRef, ...], route: RouteRecord, observed: Observed
) -> Verification | None:
    if ref.kind == "Gateway" and (trouble := _verify_gateway(ref, observed)):
        return trouble
    where = describe_parent(ref)
    others = tuple(other for other in refs if other != ref)
    answers = find_answers(ref, route, others, observed)
    if not answers:
        return Verification(False, "RoutePending", f"{where} has not answered for the route yet")
    troubles = [_verify_answer(answer, route, where) for answer in answers]
    if None in troubles:
        return None
    return next((t for t in troubles if t and t.refused), troubles[0])


def _verify_gateway(ref: ParentRef, observed: Observed) -> Verification | None:
    gateway, where = find_gateway(ref, observed), describe_parent(ref)
    if gateway is None:
        return Verification(False, "GatewayNotFound", f"{where} does not exist", refused=True)
    if not gateway.programmed:
        words = f"{where} is not programmed: {gateway.message or 'its controller has said nothing'}"
        return Verification(False, "GatewayNotProgrammed", words, refused=True)
    return None


def _verify_answer(parent: RouteParent, route: RouteRecord, where: str) -> Verification | None:
    by_type = {condition.type: condition for condition in parent.conditions}
    found = (by_type.get(kind) for kind in _REQUIRED)
    who = f"{where}: {parent.controller or 'its controller'}"
    return next((t for c in found if (t := _trouble(c, route, where, who))), None)


def _trouble(
    condition: RouteCondition | None, route: RouteRecord, where: str, who: str
) -> Verification | None:
    if condition is not None and not condition.observed_generation:
        return Verification(False, "RouteUnverifiable", f"{who} {_UNDATED}", refused=True)
    if condition is None or condition.observed_generation < route.meta.generation:
        return Verification(False, "RoutePending", f"{where} has not taken the route's last change")
    if condition.status != "True":
        words = f"{where}: {condition.message or condition.reason}"
        return Verification(False, condition.reason or "RouteRefused", words, refused=True)
    return None
