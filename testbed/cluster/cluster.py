"""What every test cluster offers, whichever way it was brought up, and how it is found again.

A cluster is a directory with a state file: a second command reads it and goes on from there.
"""

import json
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from testbed.programs.cache import make_cache_directory
from testbed.programs.processes import ClusterError, Process, read_record
from testbed.programs.progress import Progress

Kind = Literal["node", "control-plane", "kind", "context"]
STATE = "cluster.json"


@dataclass(slots=True, kw_only=True)
class Cluster(ABC):
    """A running cluster. Times in it are seconds; addresses are URLs without a trailing slash.

    ``gateway_url`` and ``gateway_metrics_url`` are None until :meth:`install_gateway`,
    ``envoy_url`` until :meth:`install_envoy_gateway`.
    ``audit_log`` is None where the apiserver isn't ours.
    """

    kind: ClassVar[Kind]
    name: str
    directory: Path
    kubeconfig: Path
    kubectl_path: Path
    audit_log: Path | None = None
    gateway_url: str | None = None
    gateway_metrics_url: str | None = None
    envoy_url: str | None = None
    owner: Process | None = None

    @abstractmethod
    def kubeconfig_for(self, user: str) -> Path:
        """The kubeconfig of one user; raises ClusterError for one that the cluster doesn't know."""

    @abstractmethod
    def load_image(self, archive: Path) -> None:
        """Make a docker-archive's images known to the nodes, without a registry."""

    @abstractmethod
    def install_gateway(self, progress: Progress) -> str:
        """Install Gateway API and Traefik with the Gateway gateways/public; returns its URL."""

    @abstractmethod
    def install_envoy_gateway(self, progress: Progress) -> str:
        """Install Envoy Gateway with the Gateway gateways/envoy; returns its URL."""

    @abstractmethod
    def install_metrics_server(self, progress: Progress) -> None:
        """Serve the usage of pods, which HorizontalPodAutoscalers ask for."""

    @abstractmethod
    def install_keda(self, progress: Progress) -> None:
        """Run KEDA, so that ScaledObjects work."""

    @abstractmethod
    def is_alive(self) -> bool:
        """Whether the cluster can be used as it is."""

    @abstractmethod
    def stop(self) -> None:
        """End the cluster and remove what it left; a cluster of the user's own is left alone."""

    @property
    def processes(self) -> list[Process]:
        """Every process that was started for this cluster."""
        return read_record(self.directory)

    @property
    def logs(self) -> Path:
        """The directory with one log file for each process."""
        return self.directory / "logs"

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Standard output of kubectl as admin; raises ClusterError with its error output."""
        command = [str(self.kubectl_path), "--kubeconfig", str(self.kubeconfig), *arguments]
        result = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
        if result.returncode:
            raise ClusterError(f"kubectl {' '.join(arguments)}: {result.stderr.strip()}")
        return result.stdout

    def environment(self) -> dict[str, str]:
        """What ``env`` exports so that a shell works with this cluster."""
        found = {"KUBECONFIG": str(self.kubeconfig), "CANARIUM_CLUSTER": self.name}
        if self.gateway_url:
            found["GATEWAY_URL"] = self.gateway_url
        if self.envoy_url:
            found["ENVOY_URL"] = self.envoy_url
        return found

    def save(self) -> None:
        """Write the state file, in one step."""
        written = self.directory / f"{STATE}.new"
        written.write_text(json.dumps({"kind": self.kind, **asdict(self)}, default=str, indent=1))
        written.rename(self.directory / STATE)


def read_state(directory: Path) -> dict[str, Any] | None:
    """The fields of the cluster in this directory and its kind, or None where there is none."""
    try:
        state: dict[str, Any] = json.loads((directory / STATE).read_text())
    except FileNotFoundError:
        return None
    for name in ("directory", "kubeconfig", "kubectl_path", "audit_log"):
        state[name] = Path(state[name]) if state[name] else None
    state["owner"] = Process(**state["owner"]) if state["owner"] else None
    return state


def make_clusters_directory() -> Path:
    """Where each cluster has a directory of its name."""
    directory = make_cache_directory() / "clusters"
    directory.mkdir(exist_ok=True)
    return directory


def make_manifest(api_version: str, kind: str, name: str, **fields: Any) -> dict[str, Any]:
    """One Kubernetes object; ``namespace``, ``labels`` and ``annotations`` go into its metadata."""
    inside = ("namespace", "labels", "annotations")
    metadata = {"name": name, **{k: v for k, v in fields.items() if k in inside}}
    rest: Mapping[str, Any] = {k: v for k, v in fields.items() if k not in inside}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **rest}


def make_list(items: list[dict[str, Any]]) -> str:
    """Objects as one JSON document that kubectl takes."""
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
