"""From the apiserver's JSON to the core's small records: decoded by type, the rest never built.

A record keeps what the core owns or needs: full dictionaries cost ten times the memory and time.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from canarium.core.plan import RouteKind
from canarium.kube.boundary import Boundary
from canarium.kube.informers.projections.autoscalers import make_scaler_projection
from canarium.kube.informers.projections.gateways import project_gateway, project_gateway_class
from canarium.kube.informers.projections.jobs import project_job
from canarium.kube.informers.projections.meta import Projection
from canarium.kube.informers.projections.neighbours import (
    project_grpc_neighbour,
    project_http_neighbour,
)
from canarium.kube.informers.projections.pods import project_pod
from canarium.kube.informers.projections.revisions import project_revision
from canarium.kube.informers.projections.routes import make_route_projection
from canarium.kube.informers.projections.services import project_endpoints, project_service
from canarium.kube.informers.projections.templates import make_template_projection
from canarium.kube.informers.projections.workloads import project_deployment, project_replica_set
from canarium.kube.kinds import ROUTES, SCALERS, TEMPLATES

NEIGHBOURS: Mapping[RouteKind, Projection] = {
    "HTTPRoute": project_http_neighbour,
    "GRPCRoute": project_grpc_neighbour,
}
"How routes that anybody writes become records, of which models learn what they don't get."


def make_projections(boundary: Boundary) -> dict[str, Projection]:
    """How the kinds that are watched become records, where more than their spec matters.

    `boundary` hears what is raised about single objects.
    """
    return {
        "ModelRevision": partial(project_revision, boundary=boundary),
        "Deployment": project_deployment,
        "ReplicaSet": project_replica_set,
        "Pod": project_pod,
        "Service": project_service,
        "EndpointSlice": project_endpoints,
        "Job": project_job,
        "Gateway": project_gateway,
        "GatewayClass": project_gateway_class,
        **{kind: make_route_projection(kind) for kind in ROUTES},
        **{kind: make_scaler_projection(kind) for kind in SCALERS},
        **{kind: make_template_projection(kind, boundary) for kind in TEMPLATES},
    }
