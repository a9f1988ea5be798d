"""The kinds that the operator reads or writes, and the URL path of each of their objects."""

from __future__ import annotations

from dataclasses import dataclass, replace
from urllib.parse import quote

from canarium.core.plan import RouteKind, ScalerKind
from canarium.core.spec import TemplateKind
from canarium.errors import ApiError
from canarium.routing import ROUTE_TYPES


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind as the apiserver serves it, such as apps/v1 Deployments."""

    kind: str
    api_version: str
    plural: str
    only: str = ""
    'The one object of the kind that is listed and watched, by its name; "" for all.'

    @property
    def root(self) -> str:
        """The path below which the kind's API version lives; the core group is an exception."""
        return (
            f"/apis/{self.api_version}" if "/" in self.api_version else f"/api/{self.api_version}"
        )

    def path(
        self, namespace: str | None = None, name: str | None = None, subresource: str | None = None
    ) -> str:
        """The path of a collection (no name) or of one object, whatever names hold.

        Raises `ApiError` (400, nothing was sent) for what Kubernetes has as no part of a path:
        nothing, dots alone, and all with a slash or a percent sign.
        """
        scope = ("namespaces", namespace) if namespace is not None else ()
        tail = (part for part in (name, subresource) if part is not None)
        segments = (_escape(part) for part in (*scope, self.plural, *tail))
        return "/".join((self.root, *segments))


def _escape(segment: str) -> str:
    # The apiserver decodes %2F before it takes a path apart, so escaping alone doesn't help.
    if segment in {"", ".", ".."} or "/" in segment or "%" in segment:
        raise ApiError(400, "BadRequest", f"{segment!r} cannot be part of an object's path")
    return quote(segment, safe="")


MODEL_DEPLOYMENTS = Resource("ModelDeployment", "canarium.dev/v1alpha1", "modeldeployments")
MODEL_REVISIONS = Resource("ModelRevision", "canarium.dev/v1alpha1", "modelrevisions")
DEPLOYMENTS = Resource("Deployment", "apps/v1", "deployments")
REPLICA_SETS = Resource("ReplicaSet", "apps/v1", "replicasets")
JOBS = Resource("Job", "batch/v1", "jobs")
PODS = Resource("Pod", "v1", "pods")
POD_METRICS = Resource("PodMetrics", "metrics.k8s.io/v1beta1", "pods")
SERVICES = Resource("Service", "v1", "services")
HORIZONTAL_POD_AUTOSCALERS = Resource(
    "HorizontalPodAutoscaler", "autoscaling/v2", "horizontalpodautoscalers"
)
SCALED_OBJECTS = Resource("ScaledObject", "keda.sh/v1alpha1", "scaledobjects")
POD_DISRUPTION_BUDGETS = Resource("PodDisruptionBudget", "policy/v1", "poddisruptionbudgets")
ENDPOINT_SLICES = Resource("EndpointSlice", "discovery.k8s.io/v1", "endpointslices")
GATEWAY_CLASSES = Resource("GatewayClass", "gateway.networking.k8s.io/v1", "gatewayclasses")
GATEWAYS = Resource("Gateway", "gateway.networking.k8s.io/v1", "gateways")
METRIC_TEMPLATES = Resource("MetricTemplate", "canarium.dev/v1alpha1", "metrictemplates")
CLUSTER_METRIC_TEMPLATES = Resource(
    "ClusterMetricTemplate", "canarium.dev/v1alpha1", "clustermetrictemplates"
)
SECRETS = Resource("Secret", "v1", "secrets")
LEASES = Resource("Lease", "coordination.k8s.io/v1", "leases")
EVENTS = Resource("Event", "events.k8s.io/v1", "events")
CORE_EVENTS = Resource("Event", "v1", "events")
"The same objects; by this version they can be selected by what they are about."
TOKEN_REVIEWS = Resource("TokenReview", "authentication.k8s.io/v1", "tokenreviews")
SUBJECT_ACCESS_REVIEWS = Resource(
    "SubjectAccessReview", "authorization.k8s.io/v1", "subjectaccessreviews"
)
QUESTIONS = (TOKEN_REVIEWS, SUBJECT_ACCESS_REVIEWS)
"Created, and never there: the answer is in what comes back."
VERSION = Resource("Info", "v1", "version")
"No object: what the apiserver says of itself at /version."
API = Resource("APIVersions", "v1", "api")
"No object, either: at /api."

_CRDS = Resource("CustomResourceDefinition", "apiextensions.k8s.io/v1", "customresourcedefinitions")
ROUTES: dict[RouteKind, Resource] = {
    kind: Resource(kind, route.api_version, route.plural) for kind, route in ROUTE_TYPES.items()
}
DEFINITIONS: dict[RouteKind, Resource] = {
    kind: replace(_CRDS, only=f"{route.plural}.{route.api_version.partition('/')[0]}")
    for kind, route in ROUTE_TYPES.items()
    if route.varies
}
"Of the kinds of routes whose fields differ from one installed version to another."
SCALERS: dict[ScalerKind, Resource] = {
    "HorizontalPodAutoscaler": HORIZONTAL_POD_AUTOSCALERS,
    "ScaledObject": SCALED_OBJECTS,
}
TEMPLATES: dict[TemplateKind, Resource] = {
    "MetricTemplate": METRIC_TEMPLATES,
    "ClusterMetricTemplate": CLUSTER_METRIC_TEMPLATES,
}
CHILDREN: dict[str, Resource] = {
    MODEL_REVISIONS.kind: MODEL_REVISIONS,
    DEPLOYMENTS.kind: DEPLOYMENTS,
    SERVICES.kind: SERVICES,
    JOBS.kind: JOBS,
    POD_DISRUPTION_BUDGETS.kind: POD_DISRUPTION_BUDGETS,
    **dict(ROUTES.items()),
    **dict(SCALERS.items()),
}
