"""What the shell saw: small typed records of the cluster's objects, and nothing decided.

Each record holds only what the core owns or needs. Specs that we own are kept as the apiserver's
JSON bytes, so that an external change is a comparison here and a restart needs no memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from canarium.core.allowed_addresses import EVERYTHING, Allowed
from canarium.core.lending import TenantQueries
from canarium.core.plan import Ref, RouteKind, ScalerKind
from canarium.core.provenance import Origin
from canarium.core.spec import (
    GATEWAY_GROUP,
    MetricsEndpoint,
    ParentRef,
    PathMatch,
    RolloutSpec,
    Spec,
    TemplateKind,
    TemplateSpec,
    Traffic,
)
from canarium.core.status import Status
from canarium.errors import Problem

ExperimentVerdict = Literal["", "CanaryBetter", "CanaryWorse", "Undecided"]


@dataclass(frozen=True, slots=True)
class Owner:
    """The controller in an object's ownerReferences."""

    kind: str
    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class Meta:
    """What every record carries of its object's metadata."""

    namespace: str
    name: str
    uid: str
    resource_version: str
    generation: int = 0
    labels: Mapping[str, str] = field(default_factory=dict)
    owner: Owner | None = None
    deleting: bool = False
    created_at: float = 0.0


@dataclass(frozen=True, slots=True)
class ContainerState:
    """One container of a pod: why it waits or how it ended last, and how often it restarted."""

    name: str
    init: bool = False
    ready: bool = False
    restarts: int = 0
    waiting_reason: str = ""
    waiting_message: str = ""
    terminated_reason: str = ""
    terminated_exit_code: int | None = None
    terminated_message: str = ""
    "What it wrote as its last words, or the end of its log; or why it could not be started."
    image_id: str = ""


@dataclass(frozen=True, slots=True)
class PodRecord:
    """A pod of one revision. `scheduling_message` is why it isn't scheduled ("" when it is)."""

    meta: Meta
    revision: str
    phase: str = "Pending"
    ip: str = ""
    node: str = ""
    ready: bool = False
    scheduled: bool = False
    scheduling_message: str = ""
    reason: str = ""
    containers: tuple[ContainerState, ...] = ()


@dataclass(frozen=True, slots=True)
class PodEvent:
    """What the kubelet said last of a pod that isn't ready, bounded and in one line."""

    pod: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Addition:
    """A field of a pod template's spec that somebody else has written, and who that says to be."""

    path: str
    manager: str


@dataclass(frozen=True, slots=True)
class DeploymentRecord:
    """A revision's Deployment. `template` is spec.template as the apiserver wrote it (JSON)."""

    meta: Meta
    revision: str
    replicas: int
    template: bytes
    observed_generation: int = 0
    current_replicas: int = 0
    ready_replicas: int = 0
    failure_message: str = ""
    "The ReplicaFailure condition's words: a quota or a webhook that refuses pods."
    additions: tuple[Addition, ...] = ()
    "What others have written of the pods' spec; what webhooks do within our own requests is ours."


@dataclass(frozen=True, slots=True)
class ReplicaSetRecord:
    """What stands between a Deployment and its pods: `deployment` is the uid of whose it is.

    "" where it is nobody's.
    """

    meta: Meta
    deployment: str


@dataclass(frozen=True, slots=True)
class ServiceRecord:
    """A Service; `spec` is its spec as JSON bytes, `writers` as in RouteRecord."""

    meta: Meta
    spec: bytes
    writers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EndpointsRecord:
    """One EndpointSlice of a Service: how many ready endpoints it lists."""

    meta: Meta
    service: str
    ready: int


@dataclass(frozen=True, slots=True)
class RouteCondition:
    """One condition that a gateway reports on a route."""

    type: str
    status: str
    reason: str
    message: str
    observed_generation: int


@dataclass(frozen=True, slots=True)
class RouteParent:
    """What one controller says of a route at one of its parents, in an entry of `status.parents`.

    Entries outlive what they speak of: of parents that the route no longer names, and of
    controllers that are gone.
    """

    name: str
    namespace: str
    section_name: str | None
    controller: str
    conditions: tuple[RouteCondition, ...] = ()
    port: int | None = None
    kind: str = "Gateway"
    group: str = GATEWAY_GROUP


@dataclass(frozen=True, slots=True)
class RouteRecord:
    """A route object of any kind; `spec` is its spec as JSON bytes.

    `parents` is what gateways say of it, for the kinds in which they say anything.
    """

    meta: Meta
    spec: bytes
    parents: tuple[RouteParent, ...] = ()
    kind: RouteKind = "HTTPRoute"
    writers: tuple[str, ...] = ()
    "The field managers other than ours that wrote something of its spec, the latest first."


@dataclass(frozen=True, slots=True)
class DefinitionRecord:
    """The installed definition of a kind of routes: the fields that a rule may have.

    A field within another is named with it, as in sessionPersistence.cookie.
    """

    meta: Meta
    kind: RouteKind
    fields: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class GatewayRecord:
    """A Gateway that a route may attach to; `message` holds its own words when not programmed."""

    meta: Meta
    class_name: str
    programmed: bool = False
    message: str = ""


@dataclass(frozen=True, slots=True)
class GatewayClassRecord:
    """A GatewayClass: whose it is, and what its controller says that it can do."""

    meta: Meta
    controller: str
    accepted: bool = False
    supported_features: tuple[str, ...] = ()
    "Empty when the controller says nothing, which many don't."


@dataclass(frozen=True, slots=True)
class RevisionRecord:
    """A ModelRevision.

    `revision` is the id (ten characters) in its label; `canonical` is what today's normaliser
    (`core.normalise`) makes of its source, as canonical JSON; `template` is the rendered pod
    template (one canonical JSON string), `digest` the SHA-256 that the object claims for it.
    `rollout` is the copy of steps, analysis and guard that its rollout goes by: from spec, where
    it was made at the start, or from status, where it was edited or the revision tried again.
    `outcome` is "" while it isn't known.
    """

    meta: Meta
    revision: str
    canonical: str
    template: str
    digest: str
    version: str = ""
    image: str = ""
    rollout: RolloutSpec | None = None
    outcome: str = ""
    started_at: float | None = None
    metrics: MetricsEndpoint | None = None
    "Where its pods serve metrics."
    stable_at: float | None = None
    "When it last became stable; None when it never was."
    ended_at: float | None = None
    reason: str = ""
    "Why it ended so, one CamelCase word."
    committed_at: float | None = None
    "When the change was committed, as the object said."


@dataclass(frozen=True, slots=True)
class TemplateRecord:
    """A MetricTemplate or ClusterMetricTemplate (then without a namespace).

    `spec` is None when it cannot be used, and `problem` says why. `status` is what it says now.
    """

    meta: Meta
    kind: TemplateKind
    spec: TemplateSpec | None
    problem: str = ""
    status: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class JobRecord:
    """A Job that judges: `outcome` is "" while it runs, `message` how it failed, in its own words.

    `has_run`: a pod of it was seen, so that it has failed by itself and not for want of one.
    """

    meta: Meta
    outcome: Literal["", "Complete", "Failed"] = ""
    message: str = ""
    has_run: bool = False


@dataclass(frozen=True, slots=True)
class AnalysisResult:
    """What the judge says of the running step so far.

    `key` names the step that was judged (a result under another key is about something else),
    `rows` are what status shows, `state` the running tests' numbers as JSON, `problems` why
    readings failed (one short sentence a source). `proven`: the canary is no worse than every
    bound allows, and that is proven, so the step need not last longer. `experiment` is what an
    experiment says so far, "" while none is under way; its evidence is the row whose check is
    "experiment". `withheld`: something was not asked at all, because an address is refused here or
    since measuring has only begun, so that there is no data tells nothing of the canary.
    """

    key: str
    verdict: str
    reason: str = ""
    message: str = ""
    rows: tuple[Mapping[str, Any], ...] = ()
    state: str = ""
    problems: tuple[str, ...] = ()
    proven: bool = False
    experiment: ExperimentVerdict = ""
    withheld: bool = False


@dataclass(frozen=True, slots=True)
class ScalerCondition:
    """One condition of an autoscaler's."""

    type: str
    status: str
    reason: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class ScalerRecord:
    """An autoscaler, whoever made it, that aims at the ModelDeployment or at a child of it.

    `target_kind` and `target_name` are of its scaleTargetRef; `spec` is its spec as JSON bytes.
    """

    meta: Meta
    kind: ScalerKind
    target_kind: str
    target_name: str
    spec: bytes
    conditions: tuple[ScalerCondition, ...] = ()


@dataclass(frozen=True, slots=True)
class ChildRecord:
    """A child of which only the spec matters; `spec` is that as JSON bytes."""

    meta: Meta
    spec: bytes


@dataclass(frozen=True, slots=True)
class WriteFailure:
    """Why the last try to write one child failed: `reason` is CamelCase, `message` plain words."""

    kind: str
    name: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class ModelObject:
    """The ModelDeployment itself. `spec` is None when it cannot be used; `problems` say why."""

    meta: Meta
    spec: Spec | None
    problems: tuple[Problem, ...] = ()
    commands: Mapping[str, str] = field(default_factory=dict)
    "Verb to the whole annotation value, of the verbs that we know."
    status: Status = field(default_factory=Status)
    origin: Origin = field(default_factory=Origin)
    "Where the spec of this generation came from."
    traffic: Traffic | None = None
    "How requests should come in by a spec that cannot be used for another reason; None otherwise."


@dataclass(frozen=True, slots=True)
class Claim:
    """One host name ("" for any) and path at one parent, whose namespace is always given."""

    parent: ParentRef
    hostname: str
    path: PathMatch
    protocol: str


@dataclass(frozen=True, slots=True)
class Demand:
    """What one match of a route asks for; `narrowed` by headers, a method or a query besides."""

    claim: Claim
    narrowed: bool = False


@dataclass(frozen=True, slots=True)
class NeighbourRecord:
    """A route, whoever made it, as far as it may get requests of a model: what it asks for."""

    meta: Meta
    kind: RouteKind
    demands: tuple[Demand, ...]


Share = Literal["Older", "LongerPath", "Matches", "NarrowerHost"]
"""How a route gets requests that another one asks for, too: it has the very same and was there
before; or it asks for less, which gateways prefer whatever its age: for a longer path, for headers,
a method or a query besides, for one of the host names."""


@dataclass(frozen=True, slots=True)
class Rival:
    """Whose route gets some of the same requests, and how: `claims` are what is asked for here.

    `kind` is that of the route where it is no ModelDeployment's.
    """

    namespace: str
    name: str
    claims: tuple[Claim, ...]
    kind: str = "ModelDeployment"
    by: Share = "Older"


@dataclass(frozen=True, slots=True)
class Observed:
    """Everything `plan` looks at."""

    model: ModelObject
    revisions: tuple[RevisionRecord, ...] = ()
    deployments: tuple[DeploymentRecord, ...] = ()
    pods: tuple[PodRecord, ...] = ()
    replica_sets: tuple[ReplicaSetRecord, ...] | None = None
    "None when the operator may not see them: then pods are known by their labels alone."
    services: tuple[ServiceRecord, ...] = ()
    endpoints: tuple[EndpointsRecord, ...] = ()
    routes: tuple[RouteRecord, ...] = ()
    gateways: tuple[GatewayRecord, ...] = ()
    gateway_classes: tuple[GatewayClassRecord, ...] = ()
    "Those of the gateways."
    definitions: tuple[DefinitionRecord, ...] = ()
    "Of Gateway API's kinds of routes, where they can be read."
    installed: frozenset[RouteKind] = frozenset()
    "The kinds of routes that the cluster serves."
    templates: tuple[TemplateRecord, ...] = ()
    "Those that the analysis names."
    jobs: tuple[JobRecord, ...] | None = ()
    "Those that judge; None when the operator may not see Jobs."
    scalers: tuple[ScalerRecord, ...] = ()
    "Ours, and those of others that aim at this model or its revisions."
    scaler_kinds: frozenset[ScalerKind] = frozenset()
    "The kinds of autoscalers that the cluster serves and the operator may see."
    budgets: tuple[ChildRecord, ...] | None = ()
    "Disruption budgets; None when the operator may not see them."
    others: Mapping[str, tuple[ChildRecord, ...] | None] = field(default_factory=dict)
    "Our children of kinds without a field here, by kind; None when the operator may not see them."
    rivals: tuple[Rival, ...] = ()
    "Whose routes get requests that this one asks for, at the same parent."
    prometheus_url: str = ""
    "The operator's own Prometheus; empty for none."
    addresses: Allowed = EVERYTHING
    "What may be asked for a namespace, beside Services of its own."
    scaling_service: str = ""
    "Why the Service that an autoscaler is to ask is never followed; empty for nothing."
    tenant_queries: TenantQueries = "OwnNamespace"
    "What queries that the object writes may read there."
    pod_event: PodEvent | None = None
    "Of the pod that the last plan asked about (`Plan.inspect`)."
    watched_since: float = 0.0
    """When somebody began to watch after a time in which nobody did (epoch seconds), else 0: what
    was meanwhile is not known, and how long it was only by clocks that may have jumped."""
    analysis: AnalysisResult | None = None
    failures: tuple[WriteFailure, ...] = ()
    answered: frozenset[str] = frozenset()
    """The uids of Deployments and Jobs that the apiserver has created for this process and that
    status doesn't name yet."""
    accepted: frozenset[tuple[str, str]] = frozenset()
    """Of Deployments whose template the apiserver stored otherwise than we wrote it, since a
    webhook or a policy changes it: the uid, and the digest of what was stored. To write it again
    would come to the same."""
    placed: frozenset[tuple[Ref, str]] = frozenset()
    """Digests of routes that the apiserver has taken from us and that were not seen in place yet:
    whoever undoes them at once may be quicker than our watches."""
