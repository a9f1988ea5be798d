"""The table of kinds: one row for each kind of objects that the operator reads or writes.

Everything else that has to be known of a kind is derived from its row: the stores and the watches
that fill them, what a plan gets to see (`Observed`), how the writer writes it, what `--disable`
switches off, the API version in bodies, and which rules the chart has to give
(docs/contributing/adding-a-kind.md). The table is put together in `kube/kinds.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from canarium.core.names import API_VERSION

Verb = Literal["get", "list", "watch", "create", "patch", "update", "delete"]
Scope = Literal["Served", "Cluster", "Operator", "Opened"]
Role = Literal["", "Route", "Scaler", "Budget", "Template"]

OURS = "canarium.dev/model"
OF_REVISIONS = "canarium.dev/model,canarium.dev/revision"
EVERYBODYS = ""
"Label selectors: what belongs to a model, what to a revision of one, and all there is."

SEEN: tuple[Verb, ...] = ("list", "watch")
READ: tuple[Verb, ...] = ("get", *SEEN)
MADE: tuple[Verb, ...] = ("create", "delete")
KEPT: tuple[Verb, ...] = (*READ, "create", "patch", "delete")
"What is asked of objects: looked at, made and never changed, or kept as they should be."

OTHER_SWITCHES = {
    "HPA": "autoscalers.hpa",
    "KEDA": "autoscalers.keda",
    "Jobs": "jobs.enabled",
    "Usage": "usage.enabled",
}
"""The features that `--disable` names, each with the chart's value that gives its rights; those of
the routers are the routers' own."""


@dataclass(frozen=True, slots=True)
class Row:
    """One kind as the apiserver serves it, and what the operator does with its objects."""

    kind: str
    api_version: str
    plural: str
    verbs: tuple[Verb, ...]
    "What the operator asks for, and so the rights that it needs."
    scope: Scope = "Served"
    """Where: in the namespaces that are served, in the whole cluster, in the operator's own
    namespace, or where people open one object to the operator."""
    selector: str | None = None
    "Which objects are watched, by their labels; None when no reflector watches the kind."
    observed: str = ""
    "The field of `Observed` that has them; children without one are in `Observed.others`."
    written: Literal["", "Posted", "Applied"] = ""
    """How a child of ours is made; "" for what belongs to others.

    Posted: the apiserver refuses when the name is taken. What POST wrote, a later apply without it
    would leave standing, so that is for kinds of which we never take a field away again. Applied:
    looked up first, and applied.
    """
    role: Role = ""
    feature: str = ""
    'The feature (`--disable`) without which it is neither read nor written, "" for none.'
    value: str = ""
    'The chart\'s value that gives the rights, where no feature does, "" for always.'
    rare: bool = False
    "Whether most clusters lack it; then it is looked for more rarely."
    granted: bool = False
    "Whether one can do without it, so that the core is told where the operator may see it."
    chooses_pods: bool = False
    """Whether it chooses pods by a selector that nobody can change. Ours is of labels that the
    chart's policies let nobody else give pods, so what has another one was made by somebody else.
    """
    writes_status: bool = False
    neighbours: bool = False
    "Whether those that anybody makes are watched beside ours."
    only: tuple[str, ...] = ()
    "The objects that are watched, each by its name; all when there are none."

    @property
    def group(self) -> str:
        """The API group; "" for the core's."""
        return self.api_version.rpartition("/")[0]

    @property
    def optional(self) -> bool:
        """Whether it may be forbidden to the operator: then it is taken for absent."""
        return self.rare or self.granted


GATEWAY_API = "gateway.networking.k8s.io/v1"

OF_A_MODEL = (
    Row("ModelDeployment", API_VERSION, "modeldeployments", READ, writes_status=True),
    Row(
        "ModelRevision",
        API_VERSION,
        "modelrevisions",
        (*READ, *MADE),
        selector=OURS,
        observed="revisions",
        written="Posted",
        writes_status=True,
    ),
    Row(
        "Deployment",
        "apps/v1",
        "deployments",
        KEPT,
        selector=OURS,
        observed="deployments",
        written="Posted",
        chooses_pods=True,
    ),
    Row(
        "ReplicaSet",
        "apps/v1",
        "replicasets",
        SEEN,
        selector=OURS,
        observed="replica_sets",
        granted=True,
    ),
    Row("Pod", "v1", "pods", SEEN, selector=OURS, observed="pods"),
    Row("Service", "v1", "services", KEPT, selector=OURS, observed="services", written="Posted"),
    Row(
        "Job",
        "batch/v1",
        "jobs",
        (*SEEN, *MADE),
        selector=OURS,
        observed="jobs",
        written="Posted",
        feature="Jobs",
        granted=True,
        chooses_pods=True,
    ),
    Row(
        "PodDisruptionBudget",
        "policy/v1",
        "poddisruptionbudgets",
        KEPT,
        selector=OURS,
        observed="budgets",
        written="Posted",
        role="Budget",
        granted=True,
    ),
    Row(
        "EndpointSlice",
        "discovery.k8s.io/v1",
        "endpointslices",
        SEEN,
        selector=OF_REVISIONS,
        observed="endpoints",
    ),
)
"What every model has."

AROUND = (
    # Not only our own autoscalers: somebody else's may aim at what is ours.
    Row(
        "HorizontalPodAutoscaler",
        "autoscaling/v2",
        "horizontalpodautoscalers",
        KEPT,
        selector=EVERYBODYS,
        observed="scalers",
        written="Applied",
        role="Scaler",
        feature="HPA",
        granted=True,
    ),
    Row(
        "ScaledObject",
        "keda.sh/v1alpha1",
        "scaledobjects",
        KEPT,
        selector=EVERYBODYS,
        observed="scalers",
        written="Applied",
        role="Scaler",
        feature="KEDA",
        rare=True,
        granted=True,
    ),
    Row(
        "MetricTemplate",
        API_VERSION,
        "metrictemplates",
        SEEN,
        selector=EVERYBODYS,
        role="Template",
        rare=True,
        writes_status=True,
    ),
    # Gateways are everybody's, since routes attach across namespaces.
    Row(
        "Gateway",
        GATEWAY_API,
        "gateways",
        SEEN,
        scope="Cluster",
        selector=EVERYBODYS,
    ),
    Row(
        "GatewayClass",
        GATEWAY_API,
        "gatewayclasses",
        SEEN,
        scope="Cluster",
        selector=EVERYBODYS,
    ),
    Row(
        "CustomResourceDefinition",
        "apiextensions.k8s.io/v1",
        "customresourcedefinitions",
        SEEN,
        scope="Cluster",
        selector=EVERYBODYS,
    ),
    Row(
        "ClusterMetricTemplate",
        API_VERSION,
        "clustermetrictemplates",
        SEEN,
        scope="Cluster",
        selector=EVERYBODYS,
        role="Template",
        writes_status=True,
    ),
    Row("PodMetrics", "metrics.k8s.io/v1beta1", "pods", ("list",), feature="Usage"),
    Row("Event", "events.k8s.io/v1", "events", ("create", "patch")),
    # The same objects; by this version they can be selected by what they are about.
    Row("Event", "v1", "events", ("list",)),
    Row("Secret", "v1", "secrets", ("get",), "Opened"),
    Row("Lease", "coordination.k8s.io/v1", "leases", ("create", "get", "update"), "Operator"),
    # Created, and never there: the answer is in what comes back.
    Row(
        "TokenReview",
        "authentication.k8s.io/v1",
        "tokenreviews",
        ("create",),
        "Cluster",
        value="metrics.authentication",
    ),
    Row(
        "SubjectAccessReview",
        "authorization.k8s.io/v1",
        "subjectaccessreviews",
        ("create",),
        "Cluster",
        value="metrics.authentication",
    ),
)
"What is read or written beside that; kinds of routes are the routers' own."

KINDS = (*OF_A_MODEL, *AROUND)


API_VERSIONS = {row.kind: row.api_version for row in KINDS if row.written}
"What the bodies of children say."
