"""What the operator may do in the end-to-end tests, and no more: they run it with these rights.

It may not write a ModelDeployment, only its status; so "spec is never written" is enforced here
as well as observed.
"""

from typing import Any

Json = dict[str, Any]
USER = "canarium-operator"
READ = ["get", "list", "watch"]
OWN = [*READ, "create", "patch", "delete"]
RULES: list[tuple[str, list[str], list[str]]] = [
    ("canarium.dev", ["modeldeployments"], READ),
    ("canarium.dev", ["modelrevisions"], OWN),
    ("canarium.dev", ["modeldeployments/status", "modelrevisions/status"], ["patch", "update"]),
    ("canarium.dev", ["metrictemplates", "clustermetrictemplates"], READ),
    ("canarium.dev", ["metrictemplates/status", "clustermetrictemplates/status"], ["patch"]),
    ("apps", ["deployments"], OWN),
    ("", ["services"], OWN),
    ("batch", ["jobs"], [*READ, "create", "delete"]),
    ("policy", ["poddisruptionbudgets"], OWN),
    ("autoscaling", ["horizontalpodautoscalers"], OWN),
    ("keda.sh", ["scaledobjects"], OWN),
    ("gateway.networking.k8s.io", ["httproutes", "grpcroutes"], OWN),
    ("traefik.io", ["ingressroutes", "traefikservices"], OWN),
    ("networking.istio.io", ["virtualservices"], OWN),
    ("gateway.networking.k8s.io", ["gateways", "gatewayclasses"], READ),
    ("discovery.k8s.io", ["endpointslices"], READ),
    ("", ["pods", "namespaces"], READ),
    ("metrics.k8s.io", ["pods"], ["get", "list"]),
    ("apiextensions.k8s.io", ["customresourcedefinitions"], READ),
    ("events.k8s.io", ["events"], ["create", "patch"]),
    ("coordination.k8s.io", ["leases"], ["get", "create", "update", "patch"]),
]


def make_rights() -> list[Json]:
    """The ClusterRole and its binding to the operator's user."""
    rules = [
        {"apiGroups": [group], "resources": resources, "verbs": verbs}
        for group, resources, verbs in RULES
    ]
    about = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": USER}}
    group = "rbac.authorization.k8s.io"
    role = {"apiGroup": group, "kind": "ClusterRole", "name": USER}
    subjects = [{"apiGroup": group, "kind": "User", "name": USER}]
    return [
        {**about, "kind": "ClusterRole", "rules": rules},
        {**about, "kind": "ClusterRoleBinding", "roleRef": role, "subjects": subjects},
    ]
