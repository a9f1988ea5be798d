"""A person's and a witness's access to the apiserver: plain JSON in and out, and watches.

The official client brings the credentials and the transport; no kind needs a class here.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kubernetes import client, config

Json = dict[str, Any]
WATCH_SECONDS = 600.0
MERGE_PATCH = "application/merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"


class WatchEndedError(Exception):
    """The apiserver no longer has what a watch asked for: list again."""


@dataclass(frozen=True, slots=True)
class Collection:
    """One kind of object and where the apiserver lists it."""

    kind: str
    prefix: str
    plural: str
    namespaced: bool = True

    def path(self, namespace: str | None = None, name: str | None = None) -> str:
        """The URL path of the list (of all namespaces without one), or of one object."""
        inside = f"/namespaces/{namespace}" if namespace and self.namespaced else ""
        return f"{self.prefix}{inside}/{self.plural}" + (f"/{name}" if name else "")


RBAC = "/apis/rbac.authorization.k8s.io/v1"
COLLECTIONS = {
    collection.kind: collection
    for collection in (
        Collection("ModelDeployment", "/apis/canarium.dev/v1alpha1", "modeldeployments"),
        Collection("ModelRevision", "/apis/canarium.dev/v1alpha1", "modelrevisions"),
        Collection("MetricTemplate", "/apis/canarium.dev/v1alpha1", "metrictemplates"),
        Collection(
            "ClusterMetricTemplate",
            "/apis/canarium.dev/v1alpha1",
            "clustermetrictemplates",
            namespaced=False,
        ),
        Collection("Deployment", "/apis/apps/v1", "deployments"),
        Collection("Job", "/apis/batch/v1", "jobs"),
        Collection("HorizontalPodAutoscaler", "/apis/autoscaling/v2", "horizontalpodautoscalers"),
        Collection("ScaledObject", "/apis/keda.sh/v1alpha1", "scaledobjects"),
        Collection("PodDisruptionBudget", "/apis/policy/v1", "poddisruptionbudgets"),
        Collection("HTTPRoute", "/apis/gateway.networking.k8s.io/v1", "httproutes"),
        Collection("GRPCRoute", "/apis/gateway.networking.k8s.io/v1", "grpcroutes"),
        Collection("IngressRoute", "/apis/traefik.io/v1alpha1", "ingressroutes"),
        Collection("TraefikService", "/apis/traefik.io/v1alpha1", "traefikservices"),
        Collection("Gateway", "/apis/gateway.networking.k8s.io/v1", "gateways"),
        Collection("Service", "/api/v1", "services"),
        Collection("EndpointSlice", "/apis/discovery.k8s.io/v1", "endpointslices"),
        Collection("Pod", "/api/v1", "pods"),
        Collection("Event", "/apis/events.k8s.io/v1", "events"),
        Collection("Namespace", "/api/v1", "namespaces", namespaced=False),
        Collection("ResourceQuota", "/api/v1", "resourcequotas"),
        Collection("ServiceAccount", "/api/v1", "serviceaccounts"),
        Collection("Role", RBAC, "roles"),
        Collection("RoleBinding", RBAC, "rolebindings"),
        Collection("ClusterRole", RBAC, "clusterroles", namespaced=False),
        Collection("ClusterRoleBinding", RBAC, "clusterrolebindings", namespaced=False),
    )
}


class Apiserver:
    """One connection to a cluster. Failures raise `kubernetes.client.ApiException`."""

    def __init__(self, kubeconfig: Path) -> None:
        self._api = config.new_client_from_config(str(kubeconfig))  # type: ignore[no-untyped-call]

    def get(self, path: str) -> Json:
        """One object, or one list with its `items` and `metadata.resourceVersion`."""
        return self._send("GET", path)

    def get_text(self, path: str) -> str:
        """What isn't JSON: a log, or what a pod answers through the apiserver's proxy."""
        return str(self._open("GET", path, []).data.decode(errors="replace"))

    def create(self, path: str, body: Mapping[str, Any]) -> Json:
        """POST an object to a list's path."""
        return self._send("POST", path, body)

    def merge(self, path: str, patch: Mapping[str, Any]) -> Json:
        """Merge-patch one object: None removes a field."""
        return self._send("PATCH", path, patch, content=MERGE_PATCH)

    def apply(self, path: str, body: Mapping[str, Any]) -> Json:
        """Server-side apply of one object under its own path."""
        query = [("fieldManager", "person"), ("force", "true")]
        answer = self._open("PATCH", path, query, body, APPLY_PATCH)
        found: Json = json.loads(answer.data)
        return found

    def delete(self, path: str) -> Json:
        """DELETE one object; its dependents go in the background."""
        return self._send("DELETE", path)

    def watch(
        self, path: str, since: str, *, seconds: float = WATCH_SECONDS, selector: str = ""
    ) -> Iterator[tuple[str, Json]]:
        """Yield (type, object) of each change after a resourceVersion, for so many seconds.

        `selector` is a field selector. Raises WatchEndedError when the apiserver sends an ERROR.
        """
        query = [("watch", "1"), ("resourceVersion", since), ("timeoutSeconds", f"{seconds:.0f}")]
        response = self._open("GET", path, query + [("fieldSelector", selector)] * bool(selector))
        try:
            for line in _split_lines(response):
                event = json.loads(line)
                if event["type"] == "ERROR":
                    raise WatchEndedError(event["object"].get("message", ""))
                yield event["type"], event["object"]
        finally:
            response.close()
            response.release_conn()

    def _send(
        self, method: str, path: str, body: Any = None, content: str = "application/json"
    ) -> Json:
        found: Json = json.loads(self._open(method, path, [], body, content).data)
        return found

    def _open(
        self,
        method: str,
        path: str,
        query: list[tuple[str, str]],
        body: Any = None,
        content: str = "application/json",
    ) -> Any:
        request = self._api.param_serialize(
            method,
            path,
            query_params=query,
            header_params={"Accept": "application/json, */*", "Content-Type": content},
            body=body,
            auth_settings=["BearerToken"],
        )
        answer = self._api.call_api(*request)
        if not 200 <= answer.status <= 299:
            answer.read()
            raise client.ApiException.from_response(
                http_resp=answer, body=answer.data.decode(), data=None
            )
        return answer.response


def _split_lines(response: Any) -> Iterator[bytes]:
    rest = b""
    for chunk in response.stream(amt=None, decode_content=False):
        *whole, rest = (rest + chunk).split(b"\n")
        yield from (line for line in whole if line)
