"""From the apiserver's JSON to the core's small records: decoded by type, the rest never built.

A record keeps what the core owns or needs: full dictionaries cost ten times the memory and time.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from itertools import islice, product
from typing import Any, TypeAlias, cast, get_args

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType, field

from canarium.api import parse_deployment, parse_rollout, parse_template, parse_traffic
from canarium.api.modeldeployment.defaults import NO_DEFAULTS, Defaults
from canarium.api.modeldeployment.parsing import image_version
from canarium.core.commands import VERBS
from canarium.core.names import PREFIX, REVISION_LABEL
from canarium.core.normalise import canonical_json, metrics_endpoint, normalise_source
from canarium.core.observed import (
    Addition,
    Claim,
    ContainerState,
    DefinitionRecord,
    Demand,
    DeploymentRecord,
    EndpointsRecord,
    GatewayClassRecord,
    GatewayRecord,
    JobRecord,
    Meta,
    ModelObject,
    NeighbourRecord,
    Owner,
    PodRecord,
    ReplicaSetRecord,
    RevisionRecord,
    RouteCondition,
    RouteParent,
    RouteRecord,
    ServiceRecord,
    TemplateRecord,
)
from canarium.core.plan import CAPACITY_MANAGER, OWNER_MANAGER, RouteKind
from canarium.core.provenance import FieldOwner, Origin, make_origin
from canarium.core.spec import (
    GATEWAY_GROUP,
    MetricsEndpoint,
    ParentKind,
    ParentRef,
    PathMatch,
    RolloutSpec,
    Spec,
    TemplateKind,
    TemplateSpec,
    Traffic,
)
from canarium.core.status import Status, parse, parse_time
from canarium.core.text import last_words, sanitize_text
from canarium.errors import Problem, SpecError
from canarium.kube.boundary import Boundary
from canarium.memo import TEMPLATES, remember

SERVICE_NAME_LABEL = "kubernetes.io/service-name"
OURS = (OWNER_MANAGER, CAPACITY_MANAGER)
OF_A_SPEC = b'"f:spec"'
OF_A_TEMPLATE = b'"f:template"'
MOST_ADDITIONS = 5
MOST_WRITERS = 3
MOST_OF_A_NAME = 63
PARENT_KINDS = frozenset(get_args(ParentKind))
COMPARED = frozenset({"PathPrefix", "Exact"})
UNCOMPARED = "RegularExpression"
"Kinds of paths of which one can be said to lie within another, and the one of which not."
MOST_DEMANDS = 64
MOST_OF_A_PATH = 256
"How much of somebody else's route is kept, so that nobody fills the memory with theirs."
MAKES_A_REVISION = frozenset({"f:model", "f:server", "f:pod"})
"The parts of spec whose writer a revision has."


class _Wire(Struct, rename="camel", gc=False):
    """What every wire shape shares: camel case outside, and no cycles for the collector."""


class _OwnerReference(_Wire):
    kind: str = ""
    name: str = ""
    uid: str = ""
    controller: bool | None = None


class _Metadata(_Wire):
    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    owner_references: list[_OwnerReference] | None = None
    deletion_timestamp: datetime | None = None
    creation_timestamp: datetime | None = None


class _Object(_Wire):
    metadata: _Metadata


class _Condition(_Wire):
    type: str = ""
    status: str = ""
    reason: str = ""
    message: str = ""
    observed_generation: int = 0


class _Waiting(_Wire):
    reason: str = ""
    message: str = ""


class _Terminated(_Wire):
    reason: str = ""
    message: str = ""
    exit_code: int | None = None


class _State(_Wire):
    waiting: _Waiting | None = None
    terminated: _Terminated | None = None


class _ContainerStatus(_Wire):
    name: str = ""
    ready: bool = False
    restart_count: int = 0
    image_id: str = field(default="", name="imageID")
    state: _State | None = None
    last_state: _State | None = None


class _PodStatus(_Wire):
    phase: str = ""
    reason: str = ""
    pod_ip: str = field(default="", name="podIP")
    conditions: list[_Condition] | None = None
    container_statuses: list[_ContainerStatus] | None = None
    init_container_statuses: list[_ContainerStatus] | None = None


class _PodSpec(_Wire):
    node_name: str = ""


class _Pod(_Object):
    spec: _PodSpec
    status: _PodStatus | None = None


class _DeploymentSpec(_Wire):
    template: Raw
    replicas: int | None = None


class _Replicas(_Wire):
    replicas: int | None = None


class _ReplicaSet(_Object):
    spec: _Replicas
    status: _Replicas | None = None


class _DeploymentStatus(_Wire):
    observed_generation: int = 0
    replicas: int = 0
    ready_replicas: int = 0
    conditions: list[_Condition] | None = None


class _ManagedFields(_Wire):
    manager: str = ""
    subresource: str = ""
    time: datetime | None = None
    fields_v1: Raw = Raw(b"{}")


class _WrittenMetadata(_Metadata):
    managed_fields: list[_ManagedFields] | None = None


class _Deployment(_Wire):
    metadata: _WrittenMetadata
    spec: _DeploymentSpec
    status: _DeploymentStatus | None = None


class _JobStatus(_Wire):
    active: int = 0
    terminating: int = 0
    succeeded: int = 0
    failed: int = 0
    conditions: list[_Condition] | None = None


class _Job(_Object):
    status: _JobStatus | None = None


class _Service(_Wire):
    metadata: _WrittenMetadata
    spec: Raw


class _EndpointConditions(_Wire):
    ready: bool | None = None


class _Endpoint(_Wire):
    conditions: _EndpointConditions | None = None


class _EndpointSlice(_Object):
    endpoints: list[_Endpoint] | None = None


_ROUTE_VERSION = "v1"
"The version of Gateway API's kinds that is written."


class _ParentReference(_Wire):
    name: str = ""
    namespace: str | None = None
    section_name: str | None = None
    port: int | None = None
    kind: str | None = None
    group: str | None = None


class _Parent(_Wire):
    parent_ref: _ParentReference
    controller_name: str = ""
    conditions: list[_Condition] | None = None


class _RouteStatus(_Wire):
    parents: list[_Parent] | None = None


class _Route(_Wire):
    metadata: _WrittenMetadata
    spec: Raw
    status: _RouteStatus | None = None


class _PathMatch(_Wire):
    type: str = "PathPrefix"
    value: str = "/"


class _MethodMatch(_Wire):
    type: str = "Exact"
    service: str = ""
    method: str = ""


class _HttpMatch(_Wire):
    path: _PathMatch | None = None
    method: str | None = None
    headers: list[Raw] | None = None
    query_params: list[Raw] | None = None


class _GrpcMatch(_Wire):
    method: _MethodMatch | None = None
    headers: list[Raw] | None = None


class _HttpRule(_Wire):
    matches: list[_HttpMatch] | None = None


class _GrpcRule(_Wire):
    matches: list[_GrpcMatch] | None = None


class _DemandingSpec(_Wire):
    parent_refs: list[_ParentReference] | None = None
    hostnames: list[str] | None = None


class _HttpSpec(_DemandingSpec):
    rules: list[_HttpRule] | None = None


class _GrpcSpec(_DemandingSpec):
    rules: list[_GrpcRule] | None = None


class _HttpNeighbour(_Object):
    spec: _HttpSpec


class _GrpcNeighbour(_Object):
    spec: _GrpcSpec


class _GatewaySpec(_Wire):
    gateway_class_name: str = ""


class _GatewayStatus(_Wire):
    conditions: list[_Condition] | None = None


class _Gateway(_Object):
    spec: _GatewaySpec
    status: _GatewayStatus | None = None


class _Schema(_Wire):
    """A part of a definition's schema: a field's own fields, or those of a list's items."""

    properties: dict[str, _Schema] | None = None
    items: _Schema | None = None


class _VersionSchema(_Wire):
    whole: _Schema | None = field(name="openAPIV3Schema", default=None)


class _DefinitionVersion(_Wire):
    name: str
    schema: _VersionSchema | None = None


class _DefinitionSpec(_Wire):
    versions: list[_DefinitionVersion]


class _Definition(_Object):
    spec: _DefinitionSpec


class _Feature(_Wire):
    name: str = ""


class _GatewayClassSpec(_Wire):
    controller_name: str = ""


class _GatewayClassStatus(_Wire):
    conditions: list[_Condition] | None = None
    supported_features: list[str | _Feature] | None = None


class _GatewayClass(_Object):
    spec: _GatewayClassSpec
    status: _GatewayClassStatus | None = None


class _Origin(_Wire):
    committed_at: datetime | None = None


class _RevisionSpec(_Wire):
    source: Raw = Raw(b"{}")
    template: str = ""
    digest: str = ""
    rollout: dict[str, Any] | UnsetType = UNSET
    origin: _Origin | None = None


class _RevisionStatus(_Wire):
    outcome: str = ""
    reason: str = ""
    ended_at: datetime | None = None
    started_at: datetime | None = None
    stable_at: datetime | None = None
    rollout: dict[str, Any] | UnsetType = UNSET


class _Revision(_Object):
    spec: _RevisionSpec
    status: _RevisionStatus | None = None


_decode_deployment = msgspec.json.Decoder(_Deployment).decode
_decode_replica_set = msgspec.json.Decoder(_ReplicaSet).decode
_decode_job = msgspec.json.Decoder(_Job).decode
_decode_pod = msgspec.json.Decoder(_Pod).decode
_decode_service = msgspec.json.Decoder(_Service).decode
_decode_slice = msgspec.json.Decoder(_EndpointSlice).decode
_decode_route = msgspec.json.Decoder(_Route).decode
_decode_http = msgspec.json.Decoder(_HttpNeighbour).decode
_decode_grpc = msgspec.json.Decoder(_GrpcNeighbour).decode
_decode_class = msgspec.json.Decoder(_GatewayClass).decode
_decode_gateway = msgspec.json.Decoder(_Gateway).decode
_decode_definition = msgspec.json.Decoder(_Definition).decode
_decode_revision = msgspec.json.Decoder(_Revision).decode
_decode_object = msgspec.json.Decoder(_Object).decode


def project_meta(raw: bytes | Raw) -> Meta:
    """Only the metadata, of an object of any kind."""
    return _make_meta(_decode_object(raw).metadata)


def project_deployment(raw: bytes | Raw) -> DeploymentRecord:
    """A Deployment; the template stays the apiserver's own JSON."""
    wire = _decode_deployment(raw)
    status = wire.status or _DeploymentStatus()
    failure = _find_condition(status.conditions, "ReplicaFailure")
    meta = _make_meta(wire.metadata)
    return DeploymentRecord(
        meta=meta,
        revision=meta.labels.get(REVISION_LABEL, ""),
        replicas=1 if wire.spec.replicas is None else wire.spec.replicas,
        template=bytes(wire.spec.template),
        observed_generation=status.observed_generation,
        current_replicas=status.replicas,
        ready_replicas=status.ready_replicas,
        failure_message=failure.message if failure and failure.status == "True" else "",
        additions=_find_additions(wire.metadata.managed_fields),
    )


def project_replica_set(raw: bytes | Raw) -> ReplicaSetRecord | None:
    """A ReplicaSet; None for one without pods, which most are: a revision of the history has one.

    Nothing of it is kept that changes when pods come and go.
    """
    wire = _decode_replica_set(raw)
    if not wire.spec.replicas and not (wire.status and wire.status.replicas):
        return None
    meta = _make_meta(wire.metadata, only_our_labels=True)
    owner = meta.owner.uid if meta.owner else ""
    return ReplicaSetRecord(replace(meta, generation=0, owner=None), owner)


def project_pod(raw: bytes | Raw) -> PodRecord:
    """A pod; of its labels only ours are kept, since there are many pods."""
    wire = _decode_pod(raw)
    status = wire.status or _PodStatus()
    ready = _find_condition(status.conditions, "Ready")
    scheduled = _find_condition(status.conditions, "PodScheduled")
    is_scheduled = bool(wire.spec.node_name)
    meta = _make_meta(wire.metadata, only_our_labels=True)
    return PodRecord(
        meta=meta,
        revision=meta.labels.get(REVISION_LABEL, ""),
        phase=sys.intern(status.phase or "Pending"),
        ip=status.pod_ip,
        node=sys.intern(wire.spec.node_name),
        ready=ready is not None and ready.status == "True",
        scheduled=is_scheduled,
        scheduling_message=scheduled.message if scheduled and not is_scheduled else "",
        reason=status.reason,
        containers=(
            *(_make_container(item, init=True) for item in status.init_container_statuses or ()),
            *(_make_container(item) for item in status.container_statuses or ()),
        ),
    )


def project_job(raw: bytes | Raw) -> JobRecord:
    """A Job; one that is going to fail (FailureTarget: its pods are being ended) has failed."""
    wire = _decode_job(raw)
    status = wire.status or _JobStatus()
    pods = status.active + status.terminating + status.succeeded + status.failed
    true = [item for item in status.conditions or () if item.status == "True"]
    failed = _find_condition(true, "Failed") or _find_condition(true, "FailureTarget")
    complete = _find_condition(true, "Complete")
    return JobRecord(
        meta=_make_meta(wire.metadata),
        outcome="Failed" if failed else "Complete" if complete else "",
        message=f"{failed.reason}: {failed.message}" if failed else "",
        has_run=pods > 0,
    )


def project_service(raw: bytes | Raw) -> ServiceRecord:
    """A Service; its spec stays the apiserver's own JSON."""
    wire = _decode_service(raw)
    return ServiceRecord(
        meta=_make_meta(wire.metadata),
        spec=bytes(wire.spec),
        writers=_find_writers(wire.metadata.managed_fields),
    )


def project_endpoints(raw: bytes | Raw) -> EndpointsRecord:
    """An EndpointSlice; an endpoint that doesn't say whether it is ready counts as ready."""
    wire = _decode_slice(raw)
    meta = _make_meta(wire.metadata)
    return EndpointsRecord(
        meta=meta,
        service=meta.labels.get(SERVICE_NAME_LABEL, ""),
        ready=sum(_is_ready(endpoint) for endpoint in wire.endpoints or ()),
    )


def make_route_projection(kind: RouteKind) -> Callable[[bytes | Raw], RouteRecord]:
    """Make the projection of routes of a kind, each with what gateways say of it."""

    def project(raw: bytes | Raw) -> RouteRecord:
        wire = _decode_route(raw)
        parents = wire.status.parents if wire.status else None
        return RouteRecord(
            meta=_make_meta(wire.metadata),
            spec=bytes(wire.spec),
            parents=tuple(_make_parent(item, wire.metadata.namespace) for item in parents or ()),
            kind=kind,
            writers=_find_writers(wire.metadata.managed_fields),
        )

    return project


def project_http_neighbour(raw: bytes | Raw) -> NeighbourRecord:
    """What an HTTPRoute asks for, without paths by regular expressions: none can be compared."""
    wire = _decode_http(raw)
    matches = (match for rule in wire.spec.rules or () for match in rule.matches or (_HttpMatch(),))
    found = (
        (
            PathMatch(match.path.type, match.path.value) if match.path else PathMatch(),
            bool(match.headers or match.query_params or match.method),
        )
        for match in matches
    )
    return NeighbourRecord(_about(wire), "HTTPRoute", _list_demands(wire, wire.spec, found, "HTTP"))


def project_grpc_neighbour(raw: bytes | Raw) -> NeighbourRecord:
    """What a GRPCRoute asks for; gRPC's path is /service/method."""
    wire = _decode_grpc(raw)
    matches = (match for rule in wire.spec.rules or () for match in rule.matches or (_GrpcMatch(),))
    found = ((_make_grpc_path(match.method), bool(match.headers)) for match in matches)
    return NeighbourRecord(_about(wire), "GRPCRoute", _list_demands(wire, wire.spec, found, "GRPC"))


def _about(wire: _Object) -> Meta:
    return _make_meta(wire.metadata, only_our_labels=True)


def _make_grpc_path(method: _MethodMatch | None) -> PathMatch:
    """The path of a call; a method of any service is nothing that a prefix could say."""
    if method is None:
        return PathMatch()
    if method.type != "Exact" or not method.service:
        return PathMatch(UNCOMPARED)
    path = f"/{method.service}"
    return PathMatch("Exact", f"{path}/{method.method}") if method.method else PathMatch(value=path)


def _list_demands(
    wire: _Object,
    spec: _DemandingSpec,
    matches: Iterable[tuple[PathMatch, bool]],
    protocol: str,
) -> tuple[Demand, ...]:
    """Each parent with each host name and match, as far as they are compared and of some size."""
    fit = ((p, n) for p, n in matches if p.type in COMPARED and len(p.value) <= MOST_OF_A_PATH)
    parents = (_make_ref(ref, wire.metadata.namespace) for ref in spec.parent_refs or ())
    known = [ref for ref in parents if ref is not None]
    each = product(known, spec.hostnames or ("",), fit)
    return tuple(
        Demand(Claim(ref, hostname, path, protocol), narrowed)
        for ref, hostname, (path, narrowed) in islice(each, MOST_DEMANDS)
    )


def _make_ref(wire: _ParentReference, namespace: str) -> ParentRef | None:
    kind, group = wire.kind or "Gateway", GATEWAY_GROUP if wire.group is None else wire.group
    if kind not in PARENT_KINDS:
        return None
    home = wire.namespace or namespace
    ref = ParentRef(wire.name, home, wire.section_name, wire.port, cast("ParentKind", kind))
    return ref if ref.group == group else None


def project_gateway_class(raw: bytes | Raw) -> GatewayClassRecord:
    """A GatewayClass; older versions list features as texts, newer ones as objects with a name."""
    wire = _decode_class(raw)
    status = wire.status or _GatewayClassStatus()
    accepted = _find_condition(status.conditions, "Accepted")
    return GatewayClassRecord(
        meta=_make_meta(wire.metadata),
        controller=wire.spec.controller_name,
        accepted=accepted is not None and accepted.status == "True",
        supported_features=tuple(
            item if isinstance(item, str) else item.name for item in status.supported_features or ()
        ),
    )


def make_definition_projection(kind: RouteKind) -> Callable[[bytes | Raw], DefinitionRecord]:
    """Make the projection of the definition of a kind of routes, in the version that we write."""

    def project(raw: bytes | Raw) -> DefinitionRecord:
        wire = _decode_definition(raw)
        versions = (item.schema for item in wire.spec.versions if item.name == _ROUTE_VERSION)
        rule = _find_rule(next(versions, None))
        return DefinitionRecord(_make_meta(wire.metadata), kind, frozenset(_list_fields(rule)))

    return project


def _find_rule(schema: _VersionSchema | None) -> dict[str, _Schema]:
    """The fields of one of a route's rules."""
    found = schema.whole if schema else None
    for name in ("spec", "rules"):
        found = (found.properties or {}).get(name) if found else None
    return (found.items.properties or {}) if found and found.items else {}


def _list_fields(rule: Mapping[str, _Schema]) -> Iterator[str]:
    """Those that not every version has, each within another with that one's name."""
    yield from (name for name in ("name",) if name in rule)
    session = rule.get("sessionPersistence")
    yield from (f"sessionPersistence.{name}" for name in (session and session.properties) or ())


def project_gateway(raw: bytes | Raw) -> GatewayRecord:
    """A Gateway; while it isn't programmed, the first condition that is False has the words."""
    wire = _decode_gateway(raw)
    conditions = wire.status.conditions if wire.status else None
    programmed = _find_condition(conditions, "Programmed")
    is_programmed = programmed is not None and programmed.status == "True"
    refusals = (c.message or c.reason for c in conditions or () if c.status == "False")
    return GatewayRecord(
        meta=_make_meta(wire.metadata),
        class_name=wire.spec.gateway_class_name,
        programmed=is_programmed,
        message="" if is_programmed else next(refusals, ""),
    )


def project_revision(raw: bytes | Raw, boundary: Boundary | None = None) -> RevisionRecord:
    """A ModelRevision; one whose source makes no sense gets no canonical form, so matches none.

    `boundary` hears what was raised about its source, or about its copy of the rollout's terms.
    """
    wire = _decode_revision(raw)
    status = wire.status or _RevisionStatus()
    meta, boundary = _make_meta(wire.metadata), boundary or Boundary()
    canonical, version, image, metrics = _make_source(meta, bytes(wire.spec.source), boundary)
    terms = wire.spec.rollout if status.rollout is UNSET else status.rollout
    return RevisionRecord(
        meta=meta,
        revision=meta.labels.get(REVISION_LABEL, ""),
        canonical=canonical,
        template=wire.spec.template,
        digest=wire.spec.digest,
        metrics=metrics,
        version=version,
        image=image,
        rollout=_make_rollout(meta, terms, boundary),
        outcome=status.outcome,
        started_at=_seconds(status.started_at) or meta.created_at,
        stable_at=_seconds(status.stable_at),
        ended_at=_seconds(status.ended_at),
        reason=status.reason,
        committed_at=_seconds(wire.spec.origin.committed_at) if wire.spec.origin else None,
    )


def project_model(
    body: Mapping[str, Any],
    known: ModelObject | None = None,
    defaults: Defaults = NO_DEFAULTS,
    boundary: Boundary | None = None,
) -> ModelObject:
    """A ModelDeployment; the spec is parsed again only when its generation is new.

    Whatever is raised about the spec is a problem of the spec's; about its provenance or its
    status, it is as if these weren't there.
    """
    boundary = boundary or Boundary()
    meta = _make_meta(msgspec.convert(body["metadata"], _Metadata))
    same = known if known is not None and _is_same_generation(meta, known) else None
    spec, problems = (same.spec, same.problems) if same else _make_spec(body, defaults, boundary)
    annotations = body["metadata"].get("annotations") or {}
    return ModelObject(
        meta=meta,
        spec=spec,
        problems=problems,
        commands={
            verb: annotations[PREFIX + verb] for verb in VERBS if PREFIX + verb in annotations
        },
        status=_make_status(meta, body.get("status") or {}, boundary),
        origin=same.origin if same else _make_origin(meta, body["metadata"], boundary),
        traffic=same.traffic if same else None if spec else _make_traffic(body, boundary),
    )


def make_template_projection(kind: TemplateKind, boundary: Boundary | None = None) -> Projection:
    """Make what turns one of the kinds of templates into records."""
    noted = boundary or Boundary()

    def project(raw: bytes | Raw) -> TemplateRecord:
        body = msgspec.json.decode(raw)
        meta = _make_meta(msgspec.convert(body["metadata"], _Metadata))
        spec, problem = _make_template(meta, body.get("spec") or {}, noted)
        return TemplateRecord(
            meta=meta,
            kind=kind,
            spec=spec,
            problem=problem,
            status=body.get("status") or {},
        )

    return project


def _make_template(
    meta: Meta, raw: Mapping[str, Any], boundary: Boundary
) -> tuple[TemplateSpec | None, str]:
    try:
        return parse_template(raw), ""
    except SpecError as error:
        return None, str(error)
    except Exception as error:  # noqa: BLE001 - one template must not stop the others
        return None, str(_make_problem(meta, error, boundary))


def _make_problem(meta: Meta, error: Exception, boundary: Boundary) -> Problem:
    """What to say of a spec that this version has no words for."""
    name = boundary.note("Projecting", f"{meta.namespace}/{meta.name}", error)
    words = f"cannot be read by this version ({name}): undo what was changed last, and report it"
    return Problem("spec", words)


def _make_meta(wire: _Metadata, *, only_our_labels: bool = False) -> Meta:
    labels = wire.labels or {}
    return Meta(
        namespace=sys.intern(wire.namespace),
        name=wire.name,
        uid=wire.uid,
        resource_version=wire.resource_version,
        generation=wire.generation,
        labels={
            sys.intern(key): sys.intern(value)
            for key, value in labels.items()
            if not only_our_labels or key.startswith(PREFIX)
        },
        owner=next(
            (_make_owner(ref) for ref in wire.owner_references or () if ref.controller), None
        ),
        deleting=wire.deletion_timestamp is not None,
        created_at=_seconds(wire.creation_timestamp) or 0.0,
    )


def _seconds(moment: datetime | None) -> float | None:
    return moment.timestamp() if moment is not None else None


def _make_owner(wire: _OwnerReference) -> Owner:
    return Owner(kind=sys.intern(wire.kind), name=sys.intern(wire.name), uid=sys.intern(wire.uid))


def _make_container(wire: _ContainerStatus, *, init: bool = False) -> ContainerState:
    state, last = wire.state or _State(), wire.last_state or _State()
    waiting = state.waiting or _Waiting()
    terminated = state.terminated or last.terminated or _Terminated()
    return ContainerState(
        name=sys.intern(wire.name),
        init=init,
        ready=wire.ready,
        restarts=wire.restart_count,
        waiting_reason=waiting.reason,
        waiting_message=waiting.message,
        terminated_reason=terminated.reason,
        terminated_exit_code=terminated.exit_code,
        terminated_message=last_words(terminated.message),
        image_id=sys.intern(wire.image_id),
    )


def _make_parent(wire: _Parent, namespace: str) -> RouteParent:
    return RouteParent(
        name=wire.parent_ref.name,
        namespace=wire.parent_ref.namespace or namespace,
        section_name=wire.parent_ref.section_name,
        controller=wire.controller_name,
        conditions=tuple(
            RouteCondition(
                type=item.type,
                status=item.status,
                reason=item.reason,
                message=item.message,
                observed_generation=item.observed_generation,
            )
            for item in wire.conditions or ()
        ),
        port=wire.parent_ref.port,
        kind=wire.parent_ref.kind or "Gateway",
        group=GATEWAY_GROUP if wire.parent_ref.group is None else wire.parent_ref.group,
    )


def _find_writers(entries: list[_ManagedFields] | None) -> tuple[str, ...]:
    """Who else has written something of a spec, the latest first: a few short names.

    Of managedFields, which are as large as the object, nothing else is kept.
    """
    others = [
        entry
        for entry in entries or ()
        if entry.manager not in OURS
        and not entry.subresource
        and OF_A_SPEC in bytes(entry.fields_v1)
    ]
    others.sort(key=lambda entry: _seconds(entry.time) or 0.0, reverse=True)
    names = dict.fromkeys(sanitize_text(entry.manager)[:MOST_OF_A_NAME] for entry in others)
    return tuple(sys.intern(name) for name in tuple(names)[:MOST_WRITERS] if name)


def _find_additions(entries: list[_ManagedFields] | None) -> tuple[Addition, ...]:
    """Which fields of a pod template's spec others have written: a few, since nobody reads more."""
    found = (
        Addition(path, sys.intern(sanitize_text(entry.manager)[:MOST_OF_A_NAME]))
        for entry in entries or ()
        if entry.manager not in OURS and OF_A_TEMPLATE in bytes(entry.fields_v1)
        for path in _list_paths(msgspec.json.decode(entry.fields_v1))
    )
    return tuple(islice(found, MOST_ADDITIONS))


def _list_paths(fields: Mapping[str, Any]) -> Iterator[str]:
    """The fields of spec.template.spec that an entry of managedFields names, in their order."""
    pods = fields.get("f:spec", {}).get("f:template", {}).get("f:spec", {})
    for name, within in pods.items():
        path = name.removeprefix("f:")
        items = [(key, own) for key, own in within.items() if key.startswith("k:")]
        yield from (_tell_item(path, key, own) for key, own in items)
        if path != "." and not items:
            yield sanitize_text(path)[:MOST_OF_A_NAME]


def _tell_item(path: str, key: str, own: Mapping[str, Any]) -> str:
    """One item of a list, by its name; or what of it was written, where the item is another's."""
    known = msgspec.json.decode(key.removeprefix("k:"))
    item = f"{path}[{known.get('name', '')}]"
    within = next((name for name in own if name != "."), "").removeprefix("f:")
    told = item if "." in own or not within else f"{item}.{within}"
    return sanitize_text(told)[:MOST_OF_A_NAME]


def _find_condition(conditions: list[_Condition] | None, kind: str) -> _Condition | None:
    return next((item for item in conditions or () if item.type == kind), None)


def _is_ready(endpoint: _Endpoint) -> bool:
    return endpoint.conditions is None or endpoint.conditions.ready is not False


def _is_same_generation(meta: Meta, known: ModelObject) -> bool:
    return known.meta.uid == meta.uid and known.meta.generation == meta.generation


def _make_spec(
    body: Mapping[str, Any], defaults: Defaults, boundary: Boundary
) -> tuple[Spec | None, tuple[Problem, ...]]:
    try:
        return parse_deployment(body, defaults), ()
    except SpecError as error:
        return None, error.problems
    except Exception as error:  # noqa: BLE001 - one object must not stop the others
        meta = _make_meta(msgspec.convert(body["metadata"], _Metadata))
        return None, (_make_problem(meta, error, boundary),)


def _make_traffic(body: Mapping[str, Any], boundary: Boundary) -> Traffic | None:
    """What a spec that cannot be used says of traffic, if that much can be read."""
    try:
        return parse_traffic(body)
    except SpecError:
        return None
    except Exception as error:  # noqa: BLE001 - one object must not stop the others
        metadata = body["metadata"]
        boundary.note("Projecting", f"{metadata.get('namespace')}/{metadata.get('name')}", error)
        return None


def _make_origin(meta: Meta, metadata: Mapping[str, Any], boundary: Boundary) -> Origin:
    """Who wrote it and from which commit: worth telling, but nothing depends on it."""
    try:
        return _read_origin(meta, metadata)
    except Exception as error:  # noqa: BLE001 - managedFields and annotations are anybody's
        boundary.note("Projecting", f"{meta.namespace}/{meta.name}", error)
        return Origin()


def _read_origin(meta: Meta, metadata: Mapping[str, Any]) -> Origin:
    """Of managedFields, which are as large as the object, only names and times are kept."""
    entries = metadata.get("managedFields") or ()
    return make_origin(
        meta.generation,
        [_make_writer(entry) for entry in entries if _owns_a_revision(entry)],
        meta.labels,
        metadata.get("annotations") or {},
        f"{meta.namespace}/{meta.name}",
    )


def _owns_a_revision(entry: Mapping[str, Any]) -> bool:
    owned = (entry.get("fieldsV1") or {}).get("f:spec") or {}
    return not MAKES_A_REVISION.isdisjoint(owned)


def _make_writer(entry: Mapping[str, Any]) -> FieldOwner:
    at = parse_time(entry["time"]) if entry.get("time") else 0.0
    return FieldOwner(sys.intern(entry.get("manager", "")), entry.get("operation", ""), at)


def _make_status(meta: Meta, raw: Mapping[str, Any], boundary: Boundary) -> Status:
    """A status that cannot be read is as good as lost: the core rebuilds it from what serves."""
    try:
        return parse(Status, raw)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is lost
        boundary.note("Projecting", f"{meta.namespace}/{meta.name}", error)
        return Status()


_Source: TypeAlias = tuple[str, str, str, MetricsEndpoint | None]
"The canonical form, version, image and metrics endpoint of a revision's source."


def _make_source(meta: Meta, raw: bytes, boundary: Boundary) -> _Source:
    try:
        return _read_source(raw)
    except Exception as error:  # noqa: BLE001 - whatever it is, it makes no sense
        boundary.note("Projecting", f"source of {meta.namespace}/{meta.name}", error)
        return "", "", "", None


@remember(TEMPLATES)
def _read_source(raw: bytes) -> _Source:
    normal = normalise_source(msgspec.json.decode(raw))
    found, image = metrics_endpoint(normal), str(normal["server"].get("image") or "")
    version = str(normal.get("model", {}).get("version") or "") or image_version(image)
    endpoint = None if found is None else MetricsEndpoint(**found)
    return canonical_json(normal), version, image, endpoint


def _make_rollout(
    meta: Meta, raw: dict[str, Any] | UnsetType, boundary: Boundary
) -> RolloutSpec | None:
    """The terms that a rollout was begun by; without those that can be read the spec's hold."""
    if raw is UNSET:
        return None
    try:
        return parse_rollout(raw)
    except Exception as error:  # noqa: BLE001 - one object must not stop the others
        boundary.note("Projecting", f"terms of {meta.namespace}/{meta.name}", error)
        return None


Projection = Callable[[bytes | Raw], Any]
"""How a kind becomes a record."""
