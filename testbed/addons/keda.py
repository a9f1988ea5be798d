"""KEDA as processes: the operator, the adapter that serves its metrics, and the admission webhooks.

It runs where something needs it. Its three parts share one certificate, which in a cluster of pods
the operator makes and keeps in a Secret: all are servers, and the adapter is the operator's client.
"""

import shutil
from base64 import b64encode
from pathlib import Path
from types import MappingProxyType

from testbed.addons.extensions import (
    Kustomization,
    apply_extensions,
    await_api_service,
    fetch_manifests,
    turn_to_processes,
)
from testbed.addons.health import await_ready
from testbed.cluster.cluster import Cluster
from testbed.cluster.credentials import KEDA_USER, issue, make_server_extensions
from testbed.programs.binaries import KEDA, build
from testbed.programs.ports import find_free_ports
from testbed.programs.processes import spawn
from testbed.programs.progress import Progress

NAMESPACE = "keda"
API_SERVICE = "v1beta1.external.metrics.k8s.io"
OPERATOR, ADAPTER, WEBHOOKS = "keda-operator", "keda-metrics-apiserver", "keda-admission-webhooks"
ENVIRONMENT = MappingProxyType(
    {
        "WATCH_NAMESPACE": "",
        "POD_NAMESPACE": NAMESPACE,
        "KEDA_CLUSTER_OBJECT_NAMESPACE": NAMESPACE,
    }
)
MANIFESTS = Kustomization(
    "KEDA's manifests", "github.com/kedacore/keda/v2", "config/default", KEDA["operator"]
)
CLIENT_LIMITS = ("--kube-api-qps=500", "--kube-api-burst=1000")


def install(cluster: Cluster, progress: Progress) -> None:
    """Run it, unless it runs; returns when its metrics are served and its webhooks answer."""
    if any(process.name == OPERATOR for process in cluster.processes):
        return
    programs = {part: build(program, progress) for part, program in KEDA.items()}
    objects = fetch_manifests(MANIFESTS, progress)
    certificates = make_certificates(cluster)
    ports = dict(zip((OPERATOR, ADAPTER, WEBHOOKS), find_free_ports(3), strict=True))
    with progress.step("starting KEDA"):
        bundle = b64encode((certificates / "ca.crt").read_bytes()).decode()
        apply_extensions(cluster, turn_to_processes(objects, ports, bundle))
        start(cluster, programs, certificates, ports)


def start(
    cluster: Cluster, programs: dict[str, Path], certificates: Path, ports: dict[str, int]
) -> None:
    """Start the three, and wait until each is reached."""
    environment = {**ENVIRONMENT, "KUBECONFIG": str(cluster.kubeconfig_for(KEDA_USER))}
    operator_health, webhooks_health, adapter_metrics = find_free_ports(3)
    flags = {
        OPERATOR: make_operator_flags(certificates, ports, operator_health),
        WEBHOOKS: make_webhooks_flags(certificates, ports, webhooks_health),
        ADAPTER: make_adapter_flags(cluster, certificates, ports, adapter_metrics),
    }
    parts = {OPERATOR: "operator", WEBHOOKS: "webhooks", ADAPTER: "adapter"}
    for name, part in parts.items():
        spawn(cluster.directory, name, [programs[part], *flags[name]], environment)
    for name, port in ((OPERATOR, operator_health), (WEBHOOKS, webhooks_health)):
        await_ready(cluster, name, port)
    await_api_service(cluster, API_SERVICE)


def make_certificates(cluster: Cluster) -> Path:
    """The directory that a pod would have as /certs."""
    directory, authority = cluster.directory / NAMESPACE, cluster.directory / "certificates" / "ca"
    names = [f"{service}.{NAMESPACE}.svc" for service in (OPERATOR, ADAPTER, WEBHOOKS)]
    extensions = make_server_extensions(names, ["127.0.0.1"], also_client=True)
    issue(authority, directory / "tls", "/CN=keda", extensions)
    shutil.copyfile(f"{authority}.crt", directory / "ca.crt")
    return directory


def make_operator_flags(certificates: Path, ports: dict[str, int], health: int) -> list[str]:
    """One operator alone, whose certificate somebody else has made."""
    return [
        "--leader-elect=false",
        "--enable-cert-rotation=false",
        f"--cert-dir={certificates}",
        f"--metrics-service-bind-address=127.0.0.1:{ports[OPERATOR]}",
        f"--health-probe-bind-address=127.0.0.1:{health}",
        "--metrics-bind-address=0",
        "--zap-encoder=console",
        *CLIENT_LIMITS,
    ]


def make_webhooks_flags(certificates: Path, ports: dict[str, int], health: int) -> list[str]:
    """Where the webhooks answer."""
    return [
        f"--cert-dir={certificates}",
        f"--port={ports[WEBHOOKS]}",
        f"--health-probe-bind-address=127.0.0.1:{health}",
        "--metrics-bind-address=0",
        "--zap-encoder=console",
        *CLIENT_LIMITS,
    ]


def make_adapter_flags(
    cluster: Cluster, certificates: Path, ports: dict[str, int], metrics: int
) -> list[str]:
    """Where the adapter answers, and where it asks the operator."""
    kubeconfig = cluster.kubeconfig_for(KEDA_USER)
    return [
        f"--lister-kubeconfig={kubeconfig}",
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
        "--bind-address=127.0.0.1",
        f"--secure-port={ports[ADAPTER]}",
        f"--port={metrics}",
        f"--tls-cert-file={certificates / 'tls.crt'}",
        f"--tls-private-key-file={certificates / 'tls.key'}",
        f"--cert-dir={certificates}",
        f"--metrics-service-address=127.0.0.1:{ports[OPERATOR]}",
        *CLIENT_LIMITS,
    ]


def prepare(progress: Progress) -> None:
    """Fill the cache with all that it is made of."""
    for program in KEDA.values():
        build(program, progress)
    fetch_manifests(MANIFESTS, progress)
