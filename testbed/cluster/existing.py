"""A cluster of the user's own, used only when asked for by the name of its context."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from testbed.cluster.cluster import Cluster, Kind
from testbed.programs.processes import ClusterError
from testbed.programs.progress import Progress


@dataclass(slots=True, kw_only=True)
class ExistingCluster(Cluster):
    """Whatever the context points at; nothing is installed into it, and it is never stopped."""

    kind: ClassVar[Kind] = "context"

    def kubeconfig_for(self, user: str) -> Path:
        """The user's own kubeconfig: there are no other users here."""
        return self.kubeconfig

    def load_image(self, archive: Path) -> None:
        """Not possible: the images have to be in a registry that the cluster reaches."""
        raise ClusterError(f"images cannot be loaded into a cluster of yours: push {archive}")

    def install_gateway(self, progress: Progress) -> str:
        """Not done: the gateway there is the user's business."""
        raise ClusterError("a gateway is never installed into a cluster of yours: name its URL")

    def install_envoy_gateway(self, progress: Progress) -> str:
        """Not done, for the same reason."""
        return self.install_gateway(progress)

    def install_metrics_server(self, progress: Progress) -> None:
        """Not done: what serves metrics there is the user's business."""
        raise ClusterError("nothing is installed into a cluster of yours: install metrics-server")

    def install_keda(self, progress: Progress) -> None:
        """Not done, for the same reason."""
        raise ClusterError("nothing is installed into a cluster of yours: install KEDA")

    def is_alive(self) -> bool:
        """Whether its apiserver answers."""
        try:
            return self.kubectl("get", "--raw", "/readyz", "--request-timeout=10s") == "ok"
        except ClusterError:
            return False

    def stop(self) -> None:
        """Nothing."""


def use_context(directory: Path, context: str) -> ExistingCluster:
    """Copy one context of the user's kubeconfig into the cluster's directory."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        raise ClusterError("--context needs kubectl on the PATH")
    command = [kubectl, "config", "view", "--minify", "--flatten", "--context", context]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise ClusterError(f"no context {context!r}: {result.stderr.strip()}")
    path = directory / "kubeconfig.yaml"
    path.touch(mode=0o600)
    path.write_text(result.stdout)
    name = directory.name
    return ExistingCluster(
        name=name, directory=directory, kubeconfig=path, kubectl_path=Path(kubectl)
    )
