"""A cluster in containers, by kind: where it is installed and a container engine answers.

Its pods can't be reached from this machine; requests come in through node ports on loopback.
"""

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from testbed.addons import envoy_gateway, gateway
from testbed.cluster.cluster import Cluster, Kind
from testbed.programs.ports import find_free_ports
from testbed.programs.processes import ClusterError
from testbed.programs.progress import Progress

ENGINES = ("docker", "podman", "nerdctl")
PREFIX = "canarium-"


@dataclass(slots=True, kw_only=True)
class KindCluster(Cluster):
    """A cluster of kind's; the ports are those of its gateways on loopback."""

    kind: ClassVar[Kind] = "kind"
    web_port: int
    metrics_port: int
    envoy_port: int

    def kubeconfig_for(self, user: str) -> Path:
        """The admin's: kind's apiserver knows nobody else."""
        return self.kubeconfig

    def load_image(self, archive: Path) -> None:
        """Load a docker-archive into the node."""
        run_kind("load", "image-archive", str(archive), "--name", PREFIX + self.name)

    def install_gateway(self, progress: Progress) -> str:
        """Run Traefik in the cluster; does nothing when it already runs."""
        if self.gateway_url is None:
            gateway.install_as_pod(self, self.web_port, self.metrics_port, progress)
        if self.gateway_url is None:
            raise ClusterError("the gateway has no address")
        return self.gateway_url

    def install_envoy_gateway(self, progress: Progress) -> str:
        """Run Envoy Gateway in the cluster, which has DNS."""
        return envoy_gateway.install(self, self.envoy_port, progress)

    def install_metrics_server(self, progress: Progress) -> None:
        """Not done: it runs as a process, which kind's apiserver doesn't reach."""
        raise ClusterError("metrics-server and KEDA run beside a local node only: use --tier node")

    def install_keda(self, progress: Progress) -> None:
        """Not done, for the same reason."""
        self.install_metrics_server(progress)

    def is_alive(self) -> bool:
        """Whether the apiserver says that it is ready."""
        try:
            return self.kubectl("get", "--raw", "/readyz", "--request-timeout=5s") == "ok"
        except ClusterError:
            return False

    def stop(self) -> None:
        """Delete the cluster."""
        run_kind("delete", "cluster", "--name", PREFIX + self.name)


def is_usable() -> bool:
    """Whether kind is on the PATH and a container engine answers."""
    return shutil.which("kind") is not None and any(answers(engine) for engine in ENGINES)


def answers(engine: str) -> bool:
    """Whether a container engine is there and can be talked to."""
    if shutil.which(engine) is None:
        return False
    return subprocess.run([engine, "info"], capture_output=True, check=False).returncode == 0


def start_kind(directory: Path, progress: Progress) -> KindCluster:
    """Create a cluster of the directory's name; returns when its node is Ready."""
    kubectl = shutil.which("kubectl")
    if kubectl is None or not is_usable():
        raise ClusterError("kind needs kind, kubectl and a running container engine: install them")
    web, metrics, envoy = find_free_ports(3)
    config, kubeconfig = directory / "kind.json", directory / "kubeconfig.yaml"
    config.write_text(json.dumps(make_kind_config(web, metrics, envoy), indent=1))
    files = ["--config", str(config), "--kubeconfig", str(kubeconfig)]
    with progress.step("creating a kind cluster"):
        run_kind("create", "cluster", "--name", PREFIX + directory.name, "--wait", "180s", *files)
    cluster = KindCluster(
        name=directory.name,
        directory=directory,
        kubeconfig=kubeconfig,
        kubectl_path=Path(kubectl),
        web_port=web,
        metrics_port=metrics,
        envoy_port=envoy,
    )
    cluster.save()
    return cluster


def make_kind_config(web: int, metrics: int, envoy: int) -> dict[str, Any]:
    """One node whose gateways' node ports appear on loopback."""
    pairs = {
        gateway.WEB_NODE_PORT: web,
        gateway.METRICS_NODE_PORT: metrics,
        envoy_gateway.NODE_PORT: envoy,
    }
    mappings = [
        {"containerPort": inside, "hostPort": outside, "listenAddress": "127.0.0.1"}
        for inside, outside in pairs.items()
    ]
    return {
        "kind": "Cluster",
        "apiVersion": "kind.x-k8s.io/v1alpha4",
        "nodes": [{"role": "control-plane", "extraPortMappings": mappings}],
    }


def run_kind(*arguments: str) -> None:
    """Run kind, or raise with its last words."""
    command = ["kind", *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise ClusterError(f"kind {' '.join(arguments[:2])} failed:\n{result.stderr[-2000:]}")
