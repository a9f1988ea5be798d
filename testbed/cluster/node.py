"""A local node: a cluster that really runs pods, with no container engine and no registry.

Needs Linux and root. A machine has room for one: the addresses and kube-proxy's chains are its own.
"""

import json
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from testbed.addons import envoy_gateway
from testbed.cluster import dns, machine
from testbed.cluster.api_server import ApiServer
from testbed.cluster.cluster import Kind, make_list, make_manifest, read_state
from testbed.cluster.control_plane import LocalCluster, write_kubeconfigs, write_kubectl
from testbed.cluster.credentials import NODE_NAME
from testbed.cluster.node_config import (
    CONTAINERD_SOCKET,
    DNS_ADDRESS,
    NODE_ADDRESS,
    make_cni_config,
    make_containerd_config,
    make_kubelet_config,
    make_proxy_config,
)
from testbed.programs import packages
from testbed.programs.binaries import KUBEBIN, build
from testbed.programs.cache import exclusive
from testbed.programs.ports import find_free_ports
from testbed.programs.processes import ClusterError, kill_all, read_record, spawn, wait_until
from testbed.programs.program_image import make_pause_image
from testbed.programs.progress import Progress

MACHINE_LOCK = Path("/run/lock/canarium-node")
CONTAINERD_SECONDS = 120.0
NODE_SECONDS = 240


@dataclass(slots=True, kw_only=True)
class NodeCluster(LocalCluster):
    """A control plane and one real node on this machine."""

    kind: ClassVar[Kind] = "node"

    def load_image(self, archive: Path) -> None:
        """Import a docker-archive into the node's containerd."""
        import_image(archive)

    def install_envoy_gateway(self, progress: Progress) -> str:
        """Run Envoy Gateway in pods, with cluster DNS, which it needs."""
        dns.start(self, progress)
        return envoy_gateway.install(self, envoy_gateway.NODE_PORT, progress)

    def stop(self) -> None:
        """End everything and undo what was done to the machine."""
        kill_all(self.directory)
        release(self.directory)
        shutil.rmtree(self.directory)


def release(directory: Path) -> None:
    """Undo what a node cluster in this directory left on the machine, if one ever began there."""
    if machine.read_holder() == directory:
        packages.extend_path()
        with exclusive(MACHINE_LOCK):
            machine.clean(directory)


def is_usable() -> bool:
    """Whether a local node can be had here: Linux and root."""
    return sys.platform == "linux" and os.geteuid() == 0


def start_node(directory: Path, progress: Progress) -> NodeCluster:
    """Bring the node cluster up in an empty directory; returns when the node is Ready."""
    if not is_usable():
        raise ClusterError("a local node needs root on Linux")
    packages.extend_path()
    packages.ensure(progress)
    kubebin, pause = build(KUBEBIN, progress), make_pause_image(progress)
    with exclusive(MACHINE_LOCK):
        take_machine(directory)
        try:
            return start_on_machine(directory, kubebin, pause, progress)
        except BaseException:
            machine.clean(directory)
            raise


def take_machine(directory: Path) -> None:
    """Clean up after whoever had the machine before; raises when somebody still has it."""
    holder = machine.read_holder()
    if holder is not None and holder != directory and is_running(holder):
        raise ClusterError(
            f"cluster {holder.name!r} is this machine's node cluster and there is room for one:"
            f" use it, or take it down with `python -m testbed.cluster down --name {holder.name}`"
        )
    foreign = machine.find_foreign_kubelet()
    if foreign:
        raise ClusterError(f"this machine already is a Kubernetes node ({foreign} runs): use kind")
    machine.clean(holder or directory)
    machine.claim(directory)


def is_running(directory: Path) -> bool:
    """Whether the node cluster in a directory was started fully and still has its processes."""
    processes = read_record(directory)
    started = read_state(directory) is not None
    return started and bool(processes) and all(process.is_alive() for process in processes)


def start_on_machine(
    directory: Path, kubebin: Path, pause: Path, progress: Progress
) -> NodeCluster:
    """Start the parts one after the other on a machine that is ours and clean."""
    bridged = machine.make_network()
    server = ApiServer(kubebin, directory, NODE_ADDRESS)
    cluster = NodeCluster(
        name=directory.name,
        directory=directory,
        kubeconfig=directory / "kubeconfigs" / "admin.yaml",
        kubectl_path=write_kubectl(directory, kubebin),
        audit_log=server.audit_log,
    )
    with progress.step("starting the control plane"):
        server.start()
        write_kubeconfigs(server)
    with progress.step("starting the node"):
        start_containerd(directory)
        import_image(pause)
        start_kubelet(server)
        start_proxy(server, masquerade=not bridged)
        apply_dns_service(cluster)
        await_node(cluster)
        machine.weigh_pods()
    cluster.save()
    return cluster


def start_containerd(directory: Path) -> None:
    """Start a containerd of our own and wait until it answers."""
    snapshotter = "overlayfs" if machine.supports_overlay(directory) else "native"
    config = directory / "containerd.toml"
    config.write_text(make_containerd_config(directory, snapshotter))
    write_json(directory / "cni" / "10-canarium.conflist", make_cni_config())
    process = spawn(directory, "containerd", ["containerd", "--config", config])

    def answers() -> bool:
        try:
            run_ctr("version")
        except ClusterError:
            return not process.is_alive()
        return True

    if not wait_until(answers, CONTAINERD_SECONDS) or not process.is_alive():
        raise ClusterError(f"containerd did not start: see {directory / 'logs' / 'containerd.log'}")


def run_ctr(*arguments: str) -> str:
    """Run containerd's client on our containerd, in Kubernetes' namespace."""
    return machine.run("ctr", "--address", str(CONTAINERD_SOCKET), "-n", "k8s.io", *arguments)


def import_image(archive: Path) -> None:
    """Make an archive's images known to the node."""
    run_ctr("images", "import", str(archive))


def start_kubelet(server: ApiServer) -> None:
    """Start the kubelet on the bridge's address."""
    directory = server.directory
    port, health_port = find_free_ports(2, NODE_ADDRESS)
    config = directory / "kubelet.json"
    write_json(config, make_kubelet_config(directory, port, health_port))
    server.spawn(
        "kubelet",
        f"--config={config}",
        f"--kubeconfig={server.kubeconfig(f'system:node:{NODE_NAME}')}",
        f"--root-dir={directory / 'kubelet'}",
        f"--cert-dir={directory / 'kubelet-certificates'}",
        f"--hostname-override={NODE_NAME}",
        f"--node-ip={NODE_ADDRESS}",
    )


def start_proxy(server: ApiServer, *, masquerade: bool) -> None:
    """Start kube-proxy."""
    config = server.directory / "kube-proxy.json"
    kubeconfig = server.kubeconfig("system:kube-proxy")
    write_json(config, make_proxy_config(kubeconfig, find_free_ports(2), masquerade=masquerade))
    server.spawn("kube-proxy", f"--config={config}", f"--hostname-override={NODE_NAME}")


def apply_dns_service(cluster: NodeCluster) -> None:
    """Cluster DNS without endpoints, so that look-ups are refused at once instead of timing out."""
    ports = [
        {"name": "dns", "port": 53, "protocol": "UDP"},
        {"name": "dns-tcp", "port": 53, "protocol": "TCP"},
    ]
    spec = {"clusterIP": DNS_ADDRESS, "ports": ports}
    service = make_manifest("v1", "Service", "kube-dns", namespace="kube-system", spec=spec)
    cluster.kubectl("apply", "--server-side", "-f", "-", stdin=make_list([service]))


def await_node(cluster: NodeCluster) -> None:
    """Wait until the node is registered and Ready."""
    node, timeout = f"node/{NODE_NAME}", f"--timeout={NODE_SECONDS}s"
    try:
        cluster.kubectl("wait", "--for=create", node, timeout)
        cluster.kubectl("wait", "--for=condition=Ready", node, timeout)
    except ClusterError as error:
        raise ClusterError(f"the node is not ready: see {cluster.logs}\n{error}") from error


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a configuration file; JSON is YAML."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1))
