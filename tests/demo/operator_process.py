"""The operator as a process beside the cluster, started the way a person would start it.

It is recorded in the cluster's directory, so that taking the cluster down ends it too.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.cluster import Cluster
from tests.cluster.ports import find_free_ports
from tests.cluster.processes import ClusterError, Process, spawn, wait_until
from tests.e2e.rights import USER
from tests.e2e.running import is_ok

READY_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Operator:
    """A running operator: its process, the port of its probes on loopback, and its log."""

    process: Process
    probe_port: int
    log: Path


def start_operator(cluster: Cluster) -> Operator:
    """Start it, with its own rights, and wait until it is ready.

    Raises ClusterError with its last words when it doesn't get there.
    """
    (port,) = find_free_ports(1)
    command = [sys.executable, "-m", "canarium", "operator", "run"]
    access = ["--kubeconfig", str(cluster.kubeconfig_for(USER))]
    probes = ["--probe-address", f"127.0.0.1:{port}"]
    process = spawn(cluster.directory, USER, [*command, *access, *probes])
    operator = Operator(process, port, cluster.logs / f"{USER}.log")
    url = f"http://127.0.0.1:{port}/readyz"
    settled = wait_until(lambda: is_ok(url) or not process.is_alive(), READY_SECONDS)
    if not settled or not process.is_alive():
        last = "\n".join(operator.log.read_text().splitlines()[-15:])
        raise ClusterError(f"the operator did not become ready (log: {operator.log}):\n{last}")
    return operator
