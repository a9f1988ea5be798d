"""What every router takes and gives."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from typing import Protocol as Interface

from canarium.core.names import (
    GRPC_PORT_NAME,
    GRPC_SERVICE_PORT,
    MODEL_LABEL,
    PORT_NAME,
    SERVICE_PORT,
    child_name,
    revision_selector,
)
from canarium.core.observed import Observed, RouteRecord, ServiceRecord
from canarium.core.plan import Kind, Ref, RouteKind
from canarium.core.spec import HeaderMatch, Protocol, Step, Sticky, Traffic
from canarium.memo import remember
from canarium.routing.diff import says_same


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


class Router(Interface):
    """One way to share traffic."""

    name: str
    settle_seconds: float
    "How long after its word the router may still act on what it had before."
    drain_seconds: float
    "How much longer connections may reach a revision that no rule names."
    mixes_pods: bool
    "Whether a share reaches every ready pod of the model, whatever its revision."
    revision_services: bool
    "Whether each revision needs a Service of its own."
    route_kinds: tuple[RouteKind, ...]
    "The kinds beside the leading Service; what is not among `make_routes` of them is deleted."

    def make_routes(self, split: Split) -> tuple[Child, ...]:
        """The objects that carry this split."""

    def verify(self, split: Split, observed: Observed) -> Verification:
        """Whether the split is what the router works by now."""

    def live_weights(self, model: str, observed: Observed) -> Mapping[str, int]:
        """The revisions that a live rule names, whoever wrote it, with their weights.

        One that is named by a header or a mirror alone is there with weight 0: it needs its pods.
        """

    def has_parents(self, traffic: Traffic, observed: Observed) -> bool:
        """Whether what the routes attach to exists; one that is gone may be replaced any time."""

    def shares(self, split: Split, observed: Observed) -> Mapping[str, int] | None:
        """The real share in percent of each revision; None where weights are exact."""

    def make_url(self, traffic: Traffic) -> str:
        """Where the model is reached from outside; "" when it is only from inside the cluster."""

    def explain_undeliverable(self, step: Step, traffic: Traffic, observed: Observed) -> str:
        """What of a step this router cannot deliver, and what to write instead; "" when it can.

        What isn't there yet (a Gateway, its class, the kinds) is no reason: that may come.
        """


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
    kinds = " and ".join(f"{kind}s" for kind in router.route_kinds)
    words = (
        f"the cluster does not serve {kinds}, or the operator does not look for them"
        f" (routers.{router.name.lower()} of its chart): install {router.name}, switch it on there,"
        " or choose another router"
    )
    if traffic.router == "Auto":
        words = (
            "host names and paths without a Gateway need Traefik's own kinds (which know no "
            "timeouts) or Istio's, and the operator sees neither: name a Gateway in "
            "spec.traffic.parentRefs, install one of them, or switch it on (routers.traefik or "
            "routers.istio of the operator's chart)"
        )
    return Verification(False, f"{router.name}NotInstalled", words, refused=True)


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
