"""metrics-server as a process: what HorizontalPodAutoscalers and ``kubectl top`` ask for usage.

It runs where something needs it, since it looks at every container every ten seconds.
"""

from base64 import b64encode

from testbed.addons.extensions import (
    Kustomization,
    apply_extensions,
    await_api_service,
    fetch_manifests,
    turn_to_processes,
)
from testbed.cluster.cluster import Cluster
from testbed.cluster.credentials import METRICS_SERVER_USER, issue, make_server_extensions
from testbed.programs.binaries import METRICS_SERVER, build
from testbed.programs.ports import find_free_ports
from testbed.programs.processes import spawn
from testbed.programs.progress import Progress

NAME = "metrics-server"
API_SERVICE = "v1beta1.metrics.k8s.io"
MANIFESTS = Kustomization(
    "metrics-server's manifests", "sigs.k8s.io/metrics-server", "manifests/base", METRICS_SERVER
)


def install(cluster: Cluster, progress: Progress) -> None:
    """Run it, unless it runs; returns when the apiserver reaches it.

    The first figures are there one to two resolutions (ten seconds each) later.
    """
    if any(process.name == NAME for process in cluster.processes):
        return
    program, objects = build(METRICS_SERVER, progress), fetch_manifests(MANIFESTS, progress)
    keys = cluster.directory / "certificates"
    names = [f"{NAME}.kube-system.svc"]
    issue(keys / "ca", keys / NAME, f"/CN={NAME}", make_server_extensions(names, ["127.0.0.1"]))
    (port,) = find_free_ports(1)
    with progress.step("starting metrics-server"):
        bundle = b64encode((keys / "ca.crt").read_bytes()).decode()
        apply_extensions(cluster, turn_to_processes(objects, {NAME: port}, bundle))
        spawn(cluster.directory, NAME, [program, *make_flags(cluster, port)])
        await_api_service(cluster, API_SERVICE)


def make_flags(cluster: Cluster, port: int) -> list[str]:
    """The shortest resolution that it takes; kubelets here show certificates of their own."""
    keys, kubeconfig = (
        cluster.directory / "certificates",
        cluster.kubeconfig_for(METRICS_SERVER_USER),
    )
    return [
        f"--kubeconfig={kubeconfig}",
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
        "--bind-address=127.0.0.1",
        f"--secure-port={port}",
        f"--tls-cert-file={keys / NAME}.crt",
        f"--tls-private-key-file={keys / NAME}.key",
        "--metric-resolution=10s",
        "--kubelet-request-timeout=5s",
        "--kubelet-insecure-tls",
        "--kubelet-use-node-status-port",
        "--kubelet-preferred-address-types=InternalIP",
    ]


def prepare(progress: Progress) -> None:
    """Fill the cache with all that it is made of."""
    build(METRICS_SERVER, progress)
    fetch_manifests(MANIFESTS, progress)
