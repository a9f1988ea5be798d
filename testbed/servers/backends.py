"""Two tiny web servers behind routes of one's choice, for trying a gateway with real requests."""

import http.client
from collections import Counter
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from testbed.addons.gateway import API_VERSION, apply
from testbed.cluster.cluster import Cluster, make_manifest
from testbed.programs.program_image import PAUSE_IMAGE

STABLE, CANARY = "stable", "canary"
SECONDS = 120
Object = dict[str, Any]


def deploy_backends(cluster: Cluster, namespace: str) -> None:
    """One pod each of ``stable`` and ``canary``, which answer with their name; waits for both."""
    apply(cluster, [make_manifest("v1", "Namespace", namespace)])
    names = (STABLE, CANARY)
    apply(cluster, [item for name in names for item in make_backend(name, namespace)])
    for name in names:
        waiting = ("wait", "--for=condition=Available", f"deployment/{name}", "-n", namespace)
        cluster.kubectl(*waiting, f"--timeout={SECONDS}s")


def make_backend(name: str, namespace: str) -> list[Object]:
    """A Deployment of one pod, and its Service."""
    labels = {"app": name}
    container = {
        "name": name,
        "image": PAUSE_IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "env": [
            {"name": "PAUSE_LISTEN", "value": ":8080"},
            {"name": "PAUSE_ANSWER", "value": name},
        ],
        "readinessProbe": {"httpGet": {"port": 8080, "path": "/answered"}, "periodSeconds": 1},
    }
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    deployment = {"selector": {"matchLabels": labels}, "template": template}
    service = {"selector": labels, "ports": [{"name": "web", "port": 80, "targetPort": 8080}]}
    return [
        make_manifest("apps/v1", "Deployment", name, namespace=namespace, spec=deployment),
        make_manifest("v1", "Service", name, namespace=namespace, spec=service),
    ]


def make_route(name: str, namespace: str, gateway: str, *rules: Object, kind: str) -> Object:
    """A route of one host, named after it, attached to one of the gateways."""
    parent = {"name": gateway, "namespace": "gateways", "sectionName": "http"}
    spec = {"parentRefs": [parent], "hostnames": [make_host(name)], "rules": list(rules)}
    return make_manifest(API_VERSION, kind, name, namespace=namespace, spec=spec)


def make_host(route: str) -> str:
    """The host name that a route of this name serves."""
    return f"{route}.example.com"


def make_rule(weights: Mapping[str, int], **fields: Any) -> Object:
    """A rule that shares requests by weight; ``fields`` are its matches and filters."""
    backends = [{"name": name, "port": 80, "weight": weight} for name, weight in weights.items()]
    return {**fields, "backendRefs": backends}


def ask(url: str | None, host: str, times: int, **headers: str) -> Counter[str]:
    """How often each answer came to that many requests on one connection; a failure's status."""
    connection = http.client.HTTPConnection(urlsplit(url or "").netloc, timeout=30)
    answers: Counter[str] = Counter()
    try:
        for _ in range(times):
            connection.request("GET", "/", headers={"Host": host, **headers})
            response = connection.getresponse()
            body = response.read().decode()
            answers[body if response.status == http.client.OK else str(response.status)] += 1
    finally:
        connection.close()
    return answers


def count_answered(cluster: Cluster, name: str, namespace: str) -> int:
    """How many requests a backend has answered, by its own count."""
    path = f"/api/v1/namespaces/{namespace}/services/{name}:web/proxy/answered"
    return int(cluster.kubectl("get", "--raw", path))
