"""A real control plane with simulated nodes: any user, several side by side, no real traffic."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from testbed.addons import gateway, keda, metrics_server
from testbed.cluster.api_server import ApiServer
from testbed.cluster.cluster import Cluster, Kind, make_list, make_manifest
from testbed.cluster.credentials import USERS
from testbed.programs.binaries import KUBEBIN, KWOK_PROGRAM, build, fetch_kwok_stages
from testbed.programs.processes import ClusterError, kill_all, spawn, wait_until
from testbed.programs.progress import Progress

LOOPBACK = "127.0.0.1"
FAKE = {"kwok.x-k8s.io/node": "fake"}
NODE_READY_SECONDS = 180.0
ALIVE_SECONDS = 60.0
"An apiserver that runs answers within this, however busy the machine is."
CAPACITY = {"cpu": "64", "memory": "256Gi", "pods": "1000", "ephemeral-storage": "1Ti"}


@dataclass(slots=True, kw_only=True)
class LocalCluster(Cluster):
    """What a control plane of ours can do whether or not there is a real node under it."""

    def kubeconfig_for(self, user: str) -> Path:
        """The kubeconfig of one of the users in credentials."""
        path = self.directory / "kubeconfigs" / f"{user.replace(':', '-')}.yaml"
        if not path.exists():
            raise ClusterError(f"no user {user!r}: there are {', '.join(USERS)}")
        return path

    def install_gateway(self, progress: Progress) -> str:
        """Run Traefik as a process of this cluster; does nothing when it already runs."""
        if self.gateway_url is None:
            gateway.install_on_host(self, progress)
        if self.gateway_url is None:
            raise ClusterError("the gateway has no address")
        return self.gateway_url

    def install_metrics_server(self, progress: Progress) -> None:
        """Run it as a process of this cluster; does nothing when it already runs."""
        metrics_server.install(self, progress)

    def install_keda(self, progress: Progress) -> None:
        """Run it as processes of this cluster; does nothing when it already runs."""
        keda.install(self, progress)

    def is_alive(self) -> bool:
        """Whether every process runs and the apiserver says that it is ready."""
        return (
            wait_until(lambda: not self._runs() or self._is_ready(), ALIVE_SECONDS) and self._runs()
        )

    def _runs(self) -> bool:
        processes = self.processes
        return bool(processes) and all(process.is_alive() for process in processes)

    def _is_ready(self) -> bool:
        try:
            return self.kubectl("get", "--raw", "/readyz", "--request-timeout=20s") == "ok"
        except ClusterError:
            return False


@dataclass(slots=True, kw_only=True)
class ControlPlane(LocalCluster):
    """A control plane whose nodes are simulated by kwok."""

    kind: ClassVar[Kind] = "control-plane"

    def load_image(self, archive: Path) -> None:
        """Nothing: simulated pods run without images; the archive has to exist all the same."""
        if not archive.is_file():
            raise ClusterError(f"no image archive {archive}")

    def install_envoy_gateway(self, progress: Progress) -> str:
        """Not possible: it runs in pods, and simulated pods run nothing."""
        raise ClusterError("Envoy Gateway needs a cluster that really runs pods: use a node")

    def stop(self) -> None:
        """End the processes and remove the directory."""
        kill_all(self.directory)
        shutil.rmtree(self.directory)


def start_control_plane(directory: Path, nodes: int, progress: Progress) -> ControlPlane:
    """Bring one up in an empty directory, with that many simulated nodes, all of them Ready."""
    kubebin = build(KUBEBIN, progress)
    kwok = build(KWOK_PROGRAM, progress)
    server = ApiServer(kubebin, directory, LOOPBACK)
    cluster = ControlPlane(
        name=directory.name,
        directory=directory,
        kubeconfig=directory / "kubeconfigs" / "admin.yaml",
        kubectl_path=write_kubectl(directory, kubebin),
        audit_log=server.audit_log,
    )
    try:
        with progress.step("starting the control plane"):
            server.start()
            write_kubeconfigs(server)
        with progress.step(f"adding {nodes} simulated nodes"):
            start_kwok(cluster, kwok, fetch_kwok_stages(progress))
            add_nodes(cluster, nodes)
    except BaseException:
        kill_all(directory)
        raise
    cluster.save()
    return cluster


def write_kubectl(directory: Path, kubebin: Path) -> Path:
    """An executable ``kubectl`` for this cluster's people and scripts."""
    path = directory / "bin" / "kubectl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'#!/bin/sh\nexec "{kubebin}" kubectl "$@"\n')
    path.chmod(0o755)
    return path


def write_kubeconfigs(server: ApiServer) -> None:
    """A kubeconfig for every user."""
    for user in USERS:
        server.kubeconfig(user)


def start_kwok(cluster: ControlPlane, kwok: Path, stages: list[Path]) -> None:
    """Start kwok for the nodes that carry its annotation."""
    config = cluster.directory / "kwok.yaml"
    config.write_text("\n---\n".join(stage.read_text() for stage in stages))
    flags = [
        f"--kubeconfig={cluster.kubeconfig_for('kwok')}",
        f"--config={config}",
        "--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake",
        "--node-lease-duration-seconds=40",
        "--cidr=10.128.0.0/9",
    ]
    spawn(cluster.directory, "kwok", [kwok, *flags])


def add_nodes(cluster: ControlPlane, count: int) -> None:
    """Create the simulated nodes and wait until all are Ready."""
    if not count:
        return
    nodes = [make_fake_node(f"fake-{number}") for number in range(count)]
    cluster.kubectl("apply", "--server-side", "-f", "-", stdin=make_list(nodes))
    template = '{range .items[*]}{.status.conditions[?(@.type=="Ready")].status} {end}'

    def ready() -> bool:
        said = cluster.kubectl("get", "nodes", "-o", f"jsonpath={template}")
        return said.split().count("True") >= count

    if not wait_until(ready, NODE_READY_SECONDS):
        raise ClusterError(f"simulated nodes are not ready: see {cluster.logs / 'kwok.log'}")


def make_fake_node(name: str) -> dict[str, Any]:
    """A node that kwok takes care of."""
    labels = {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "type": "kwok"}
    status = {"capacity": CAPACITY, "allocatable": CAPACITY}
    return make_manifest("v1", "Node", name, labels=labels, annotations=FAKE, status=status)
