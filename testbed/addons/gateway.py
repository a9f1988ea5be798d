"""Gateway API and Traefik, reached on loopback: as a process of the host, or as pods.

Both serve the Gateway ``public`` in the namespace ``gateways``, listener ``http``.
"""

import http.client
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from testbed.cluster.cluster import Cluster, make_list, make_manifest
from testbed.programs.binaries import find_traefik
from testbed.programs.definitions import GATEWAY_API, TRAEFIK, apply_definitions, fetch_definitions
from testbed.programs.ports import find_free_ports
from testbed.programs.processes import ClusterError, spawn, wait_until
from testbed.programs.program_image import TRAEFIK_IMAGE, make_traefik_image
from testbed.programs.progress import Progress

API_VERSION = "gateway.networking.k8s.io/v1"
CONTROLLER = "traefik.io/gateway-controller"
NAMESPACE, GATEWAY = "gateways", "public"
READY_SECONDS = 180.0
LOOPBACK = "127.0.0.1"
POD_WEB_PORT, POD_METRICS_PORT = 8000, 8001
WEB_NODE_PORT, METRICS_NODE_PORT = 30080, 30081


def install_on_host(cluster: Cluster, progress: Progress) -> None:
    """Run Traefik as a process; for a cluster whose pods this machine can reach."""
    crds, traefik = fetch_kinds(progress), find_traefik(progress)
    inside = find_address(cluster)
    (web,), (metrics,) = find_free_ports(1), find_free_ports(1, inside)
    command = [str(traefik), *make_flags(f"127.0.0.1:{web}", f"{inside}:{metrics}")]
    environment = {"KUBECONFIG": str(cluster.kubeconfig_for("traefik"))}
    with progress.step("starting the gateway"):
        for found in crds:
            apply_definitions(cluster, found)
        spawn(cluster.directory, "traefik", command, environment)
        apply(cluster, make_gateway_objects(web))
        await_programmed(cluster, GATEWAY)
        record_addresses(cluster, web, metrics, inside)


def find_address(cluster: Cluster) -> str:
    """Where this machine is reached from the cluster's pods: on the apiserver's own address.

    So the operator reads the gateway's counters also when it is a pod.
    """
    clusters = json.loads(cluster.kubeconfig.read_text())["clusters"]
    return urlsplit(clusters[0]["cluster"]["server"]).hostname or LOOPBACK


def install_as_pod(cluster: Cluster, web: int, metrics: int, progress: Progress) -> None:
    """Run Traefik in the cluster; ``web`` and ``metrics`` are what its node ports appear as."""
    crds, image = fetch_kinds(progress), make_traefik_image(progress)
    with progress.step("starting the gateway"):
        for found in crds:
            apply_definitions(cluster, found)
        cluster.load_image(image)
        apply(cluster, [*make_gateway_objects(POD_WEB_PORT), *make_pod_objects()])
        await_programmed(cluster, GATEWAY)
        record_addresses(cluster, web, metrics)


def record_addresses(cluster: Cluster, web: int, metrics: int, inside: str = LOOPBACK) -> None:
    """Wait until both ports answer, and write them down; 404 is the answer without a route."""
    log = str(cluster.logs / "traefik.log")
    await_status(LOOPBACK, web, "/", http.client.NOT_FOUND, log)
    await_status(inside, metrics, "/metrics", http.client.OK, log)
    cluster.gateway_url = f"http://{LOOPBACK}:{web}"
    cluster.gateway_metrics_url = f"http://{inside}:{metrics}/metrics"
    cluster.save()


def apply(cluster: Cluster, objects: list[dict[str, Any]]) -> None:
    """Apply objects on the server's side."""
    cluster.kubectl("apply", "--server-side", "-f", "-", stdin=make_list(objects))


def fetch_kinds(progress: Progress) -> list[Path]:
    """What Traefik serves routes by: Gateway API's kinds and its own."""
    return [fetch_definitions(found, progress) for found in (GATEWAY_API, TRAEFIK)]


def make_flags(web: str, metrics: str) -> list[str]:
    """Traefik on two addresses, with its counters, and providers for Gateway API and its kinds."""
    return [
        f"--entrypoints.web.address={web}",
        f"--entrypoints.metrics.address={metrics}",
        "--providers.kubernetescrd=true",
        "--providers.kubernetescrd.allowemptyservices=true",
        "--providers.kubernetesgateway=true",
        "--providers.kubernetesgateway.statusaddress.ip=127.0.0.1",
        "--metrics.prometheus=true",
        "--metrics.prometheus.entrypoint=metrics",
        "--metrics.prometheus.addserviceslabels=true",
        "--metrics.prometheus.addrouterslabels=true",
        "--global.checknewversion=false",
        "--global.sendanonymoususage=false",
        "--log.level=INFO",
        "--log.nocolor=true",
    ]


def make_gateway_objects(port: int) -> list[dict[str, Any]]:
    """The class, the namespace, and the Gateway.

    Traefik matches a listener with the entry point that has the same port.
    """
    return [
        make_manifest(API_VERSION, "GatewayClass", "traefik", spec={"controllerName": CONTROLLER}),
        make_manifest("v1", "Namespace", NAMESPACE),
        make_gateway(GATEWAY, "traefik", port),
    ]


def make_gateway(name: str, gateway_class: str, port: int) -> dict[str, Any]:
    """A Gateway whose one listener ``http`` takes routes from every namespace."""
    listener = {
        "name": "http",
        "protocol": "HTTP",
        "port": port,
        "allowedRoutes": {"namespaces": {"from": "All"}},
    }
    spec = {"gatewayClassName": gateway_class, "listeners": [listener]}
    return make_manifest(API_VERSION, "Gateway", name, namespace=NAMESPACE, spec=spec)


def make_pod_objects() -> list[dict[str, Any]]:
    """Traefik's Deployment, its account with every right in this cluster, and its node ports."""
    name, labels = "traefik", {"app": "traefik"}
    container = {
        "name": name,
        "image": TRAEFIK_IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "args": make_flags(f":{POD_WEB_PORT}", f":{POD_METRICS_PORT}"),
    }
    pod = {"serviceAccountName": name, "containers": [container]}
    template = {"metadata": {"labels": labels}, "spec": pod}
    deployment = {"selector": {"matchLabels": labels}, "template": template}
    ports = [
        {"name": "web", "port": POD_WEB_PORT, "nodePort": WEB_NODE_PORT},
        {"name": "metrics", "port": POD_METRICS_PORT, "nodePort": METRICS_NODE_PORT},
    ]
    service = {"type": "NodePort", "selector": labels, "ports": ports}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}
    account = {"kind": "ServiceAccount", "name": name, "namespace": NAMESPACE}
    rbac = "rbac.authorization.k8s.io/v1"
    return [
        make_manifest("v1", "ServiceAccount", name, namespace=NAMESPACE),
        make_manifest(rbac, "ClusterRoleBinding", name, roleRef=role, subjects=[account]),
        make_manifest("apps/v1", "Deployment", name, namespace=NAMESPACE, spec=deployment),
        make_manifest("v1", "Service", name, namespace=NAMESPACE, spec=service),
    ]


def await_programmed(cluster: Cluster, name: str) -> None:
    """Wait until its controller says that the Gateway is programmed."""
    seconds = f"--timeout={READY_SECONDS:.0f}s"
    condition = "--for=condition=Programmed"
    cluster.kubectl("wait", condition, f"gateway/{name}", "-n", NAMESPACE, seconds)


def await_status(host: str, port: int, path: str, status: int, where: str) -> None:
    """Wait until a GET is answered with this status; ``where`` to look when it isn't."""
    if not wait_until(make_probe(host, port, path, status), READY_SECONDS):
        raise ClusterError(f"the gateway does not answer on port {port}: see {where}")


def make_probe(host: str, port: int, path: str, status: int) -> Callable[[], bool]:
    """A function that tells whether a GET is answered with this status."""

    def answers() -> bool:
        connection = http.client.HTTPConnection(host, port, timeout=20)
        try:
            connection.request("GET", path)
            return connection.getresponse().status == status
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    return answers
