"""What every router takes and gives."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, TypeAlias

from canarium.core.names import (
    GRPC_PORT_NAME,
    GRPC_SERVICE_PORT,
    MODEL_LABEL,
    PORT_NAME,
    SERVICE_PORT,
    child_name,
    revision_selector,
)
from canarium.core.observed import ModelObject, Observed, RouteRecord, ServiceRecord
from canarium.core.plan import Kind, Ref, RouteKind
from canarium.core.spec import HeaderMatch, Protocol, Step, Sticky, Traffic
from canarium.memo import remember
from canarium.queries.profiles import Profile
from canarium.resources.objects import make_meta
from canarium.routing.diff import says_same
from canarium.routing.routes import ROUTE_TYPES, RouteType

Feature: TypeAlias = Literal["mirror", "sticky", "timeouts"]
"""What of a step, or of spec.traffic, a router delivers by itself. Where that hangs on what stands
behind it, `explain_undeliverable` asks there."""


@dataclass(frozen=True, slots=True)
class Split:
    """How traffic should be shared: percent by revision, only those that get some, 100 in all.

    `primary` is the revision that in-cluster callers of the leading Service reach where the
    router shifts traffic elsewhere: stable, unless it has no share at all. `canary` gets, beside
    its weight (which may be none), the requests with all of `headers`, and copies of `mirror`
    percent of all others; it is "" when it gets neither. `sticky` keeps whoever was led to a
    revision by its weight there. `fields` are those that the installed kind of route has beyond
    what every version of it has (`routing.definitions`).
    """

    model: str
    namespace: str
    traffic: Traffic
    weights: tuple[tuple[str, int], ...]
    primary: str
    canary: str = ""
    headers: tuple[HeaderMatch, ...] = ()
    mirror: int = 0
    sticky: Sticky | None = None
    fields: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Verification:
    """Whether the router has taken what was written last, and if not, why, in its own words.

    `refused` tells a refusal (somebody has to act) from a wait. What is accepted may have a
    message too: how much the router's word is worth.
    """

    accepted: bool
    reason: str = ""
    message: str = ""
    refused: bool = False


@dataclass(frozen=True, slots=True)
class Child:
    """A route object as it should be: its reference, its `spec`, and the same as JSON."""

    ref: Ref
    spec: Mapping[str, Any]
    text: str


@dataclass(frozen=True, slots=True)
class TrafficRule:
    """What has to hold of spec.traffic where it names this router.

    `cel` is for the apiserver, over spec.traffic, and `holds` is its twin over the parsed value.
    `at` is the field that the error names, or `locate` finds it.
    """

    cel: str
    message: str
    holds: Callable[[Any], bool]
    at: str = ""
    locate: Callable[[Any], str] | None = None


@dataclass(frozen=True, slots=True)
class GatewayCounters:
    """How a gateway counts what each revision's Service answered.

    `controller` names the GatewayClasses whose gateways do it alike. `narrow` makes of `profile`
    what reads one Service, from its namespace, its name and the route that leads to it. `untold`
    says of a protocol why its calls can't be judged by that, and what to take instead.
    """

    controller: str
    profile: Profile
    narrow: Callable[[str, str, str], Profile]
    untold: Mapping[Protocol, str] = field(default_factory=dict)


class Router(ABC):
    """One way to share traffic. What isn't said of one is as it is here."""

    name: ClassVar[str]
    summary: ClassVar[str]
    "What it works by, in half a sentence of the API's reference."
    routes: ClassVar[tuple[RouteType, ...]] = ()
    """The kinds beside the leading Service, first the one that requests come in by. What is not
    among `make_routes` of them is deleted."""
    reads: ClassVar[tuple[str, ...]] = ()
    "Other kinds that are read for its sake alone."
    setting: ClassVar[str] = ""
    "Its switch below `routers` in the chart's values."
    stands_in: ClassVar[str] = ""
    """Of one that `Auto` may take for host names without a Gateway: what it needs, for people."""
    features: ClassVar[frozenset[Feature]] = frozenset()
    rules: ClassVar[tuple[TrafficRule, ...]] = ()
    unanswered: ClassVar[frozenset[str]] = frozenset()
    "Reasons of its verification by which nothing that it leads is answered."
    counters: ClassVar[GatewayCounters | None] = None
    "How its gateway counts; None where that isn't known, or has to be asked of GatewayClasses."
    entrance: ClassVar[str] = ""
    """Of one with a switch, for the chart's policy on host names: CEL that ends in a colon, which
    gives the resource that such a model is routed by where other namespaces' are, too.
    `is_shared` is its twin."""
    attaches: ClassVar[bool] = False
    "Whether its routes attach where those of others do, so that these may get its requests."
    settle_seconds: ClassVar[float] = 0.0
    "How long after its word the router may still act on what it had before."
    drain_seconds: ClassVar[float] = 0.0
    "How much longer connections may reach a revision that no rule names."
    mixes_pods: ClassVar[bool] = False
    "Whether a share reaches every ready pod of the model, whatever its revision."
    revision_services: ClassVar[bool] = True
    "Whether each revision needs a Service of its own."

    @property
    def route_kinds(self) -> tuple[RouteKind, ...]:
        """The kinds of its routes, by name."""
        return tuple(route.kind for route in self.routes)

    @abstractmethod
    def make_routes(self, split: Split) -> tuple[Child, ...]:
        """The objects that carry this split; the last is where requests come in."""

    @abstractmethod
    def verify(self, split: Split, observed: Observed) -> Verification:
        """Whether the split is what the router works by now."""

    @abstractmethod
    def live_weights(self, model: str, observed: Observed) -> Mapping[str, int]:
        """The revisions that a live rule names, whoever wrote it, with their weights.

        One that is named by a header or a mirror alone is there with weight 0: it needs its pods.
        """

    def has_parents(self, traffic: Traffic, observed: Observed) -> bool:
        """Whether what the routes attach to exists; one that is gone may be replaced any time."""
        return True

    def shares(self, split: Split, observed: Observed) -> Mapping[str, int] | None:
        """The real share in percent of each revision; None where weights are exact."""
        return None

    @abstractmethod
    def make_url(self, traffic: Traffic) -> str:
        """Where the model is reached from outside; "" when it is only from inside the cluster."""

    @abstractmethod
    def explain_undeliverable(self, step: Step, traffic: Traffic, observed: Observed) -> str:
        """What of a step this router cannot deliver, and what to write instead; "" when it can.

        What isn't there yet (a Gateway, its class, the kinds) is no reason: that may come.
        """

    def is_shared(self, parents: Sequence[Mapping[str, Any]], namespace: str) -> bool:
        """Whether requests come in where those for other namespaces do; parents as they stand."""
        return False


ROUTERS: dict[str, Router] = {}
"Every router by its name, in the order in which people read them; `canarium.routing` lists them."


def register(router: Router) -> None:
    """Make a router known by its name, and the kinds of its routes."""
    ROUTERS[router.name] = router
    ROUTE_TYPES.update({route.kind: route for route in router.routes})


def name_routers(feature: Feature) -> str:
    """Those that deliver it with kinds of their own, for people who are to choose."""
    found = (r.name for r in ROUTERS.values() if r.stands_in and feature in r.features)
    return " or ".join(found)


def explain_sticky_grpc(step: Step, traffic: Traffic) -> str:
    """Why a cookie is of no use in gRPC, and what to write instead; "" when none is asked for."""
    if step.sticky is None or traffic.protocol != "GRPC":
        return ""
    return "gRPC clients keep no cookies: have the front end assign people by headers"


def make_child(kind: Kind, name: str, spec: dict[str, Any]) -> Child:
    """A route object, with its JSON made once."""
    return Child(Ref(kind, name), spec, json.dumps(spec, separators=(",", ":")))


def make_leading_service(split: Split, selector: Mapping[str, str]) -> Child:
    """The Service of the model's own name."""
    return make_child("Service", split.model, _make_service_spec(selector, split.traffic.protocol))


@remember()
def make_revision_service(model: str, revision: str, protocol: Protocol) -> Child:
    """The Service of one revision, to which routes lead."""
    selector = revision_selector(model, revision)
    name = child_name(model, revision)
    return make_child("Service", name, _make_service_spec(selector, protocol))


def _make_service_spec(selector: Mapping[str, str], protocol: Protocol) -> dict[str, Any]:
    """A Service on port 80 that leads to the container port `http`, and on 9000 to `grpc`."""
    ports = [
        {"name": PORT_NAME, "port": SERVICE_PORT, "targetPort": PORT_NAME, "protocol": "TCP"},
    ]
    if protocol == "GRPC":
        grpc = {"name": GRPC_PORT_NAME, "port": GRPC_SERVICE_PORT, "targetPort": GRPC_PORT_NAME}
        ports.append({**grpc, "protocol": "TCP", "appProtocol": "kubernetes.io/h2c"})
    return {"selector": dict(selector), "ports": ports}


def service_port(traffic: Traffic) -> int:
    """The port of our Services that a route leads to."""
    return GRPC_SERVICE_PORT if traffic.protocol == "GRPC" else SERVICE_PORT


def primary_selector(split: Split) -> dict[str, str]:
    """The selector of one revision's pods."""
    return revision_selector(split.model, split.primary)


def model_selector(split: Split) -> dict[str, str]:
    """The selector of all the model's pods, whatever their revision."""
    return {MODEL_LABEL: split.model}


def find_service(observed: Observed, name: str) -> ServiceRecord | None:
    """The live Service of this name."""
    return next((s for s in observed.services if s.meta.name == name), None)


def read_selector(service: ServiceRecord) -> dict[str, str]:
    """The labels of the pods that a live Service leads to."""
    return _parse_selector(service.spec)


@remember()
def _parse_selector(spec: bytes) -> dict[str, str]:
    return dict(json.loads(spec).get("selector") or {})


def find_route(observed: Observed, ref: Ref) -> RouteRecord | None:
    """The live route object that is meant."""
    return next((r for r in observed.routes if (r.kind, r.meta.name) == (ref.kind, ref.name)), None)


def is_current(observed: Observed, child: Child) -> bool:
    """Whether the live object says what this one says, and nothing else that matters."""
    ref = child.ref
    found = find_service(observed, ref.name) if ref.kind == "Service" else find_route(observed, ref)
    return found is not None and says_same(ref.kind, found.spec, child.text)


def find_missing(router: Router, traffic: Traffic, observed: Observed) -> Verification | None:
    """What to do about kinds of the router that are not seen; None when they are.

    An operator that was told to do without them looks no different from a cluster without them.
    """
    if observed.installed.issuperset(router.route_kinds):
        return None
    kinds = " and ".join(f"{kind}s" for kind in reversed(router.route_kinds))
    words = (
        f"the cluster does not serve {kinds}, or the operator does not look for them"
        f" (routers.{router.setting} of its chart): install {router.name}, switch it on there,"
        " or choose another router"
    )
    if traffic.router == "Auto":
        words = _explain_none()
    return Verification(False, f"{router.name}NotInstalled", words, refused=True)


def _explain_none() -> str:
    """What to do where `Auto` finds nobody for host names without a Gateway."""
    able = [router for router in ROUTERS.values() if router.stands_in]
    return (
        f"host names and paths without a Gateway need {' or '.join(r.stands_in for r in able)}, and"
        f" the operator sees {'neither' if len(able) == 2 else 'none of them'}: name a Gateway in"
        " spec.traffic.parentRefs, install one of them, or switch it on"
        f" ({' or '.join(f'routers.{r.setting}' for r in able)} of the operator's chart)"
    )


def make_route(
    model: ModelObject, kind: RouteKind, name: str, spec: Mapping[str, Any]
) -> dict[str, Any]:
    """A route object of any router's kind, as it is written."""
    return {
        "apiVersion": ROUTE_TYPES[kind].api_version,
        "kind": kind,
        "metadata": make_meta(model, name, {MODEL_LABEL: model.meta.name}),
        "spec": dict(spec),
    }


def verify_written(children: tuple[Child, ...], observed: Observed) -> Verification | None:
    """What is still to be written of a router's own objects; None when nothing is.

    The leading Service is for callers in the cluster: no gateway waits for it.
    """
    for child in children:
        if child.ref.kind != "Service" and not is_current(observed, child):
            words = f"{child.ref.kind} {child.ref.name} is being written"
            return Verification(False, "RoutePending", words)
    return None


def by_revision(model: str, observed: Observed, backends: Mapping[str, int]) -> dict[str, int]:
    """Weights by revision, from weights by the names of the revisions' Services."""
    names = {d.revision: child_name(model, d.revision) for d in observed.deployments}
    return {revision: backends[name] for revision, name in names.items() if name in backends}
