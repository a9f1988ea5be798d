"""The operator as a process beside the cluster, started the way a person would start it.

It is recorded in the cluster's directory, so that taking the cluster down ends it too.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

from testbed.cluster.cluster import Cluster, make_list, make_manifest
from testbed.operators.account import give_account
from testbed.operators.running import DISABLED, is_ok
from testbed.programs.ports import find_free_ports
from testbed.programs.processes import ClusterError, Process, spawn, wait_until

READY_SECONDS = 120.0
NAME = "canarium-operator"
NAMESPACE = "canarium"
HOME = make_manifest("v1", "Namespace", NAMESPACE)


@dataclass(frozen=True, slots=True)
class Operator:
    """A running operator: its process, the port of its probes on loopback, and its log."""

    process: Process
    probe_port: int
    log: Path


def start_operator(cluster: Cluster) -> Operator:
    """Start it, with the chart's rights for all namespaces, and wait until it is ready.

    Raises ClusterError with its last words when it doesn't get there.
    """
    (port,) = find_free_ports(1)
    command = [sys.executable, "-m", "canarium", "operator", "run"]
    cluster.kubectl("apply", "--server-side", "-f", "-", stdin=make_list([HOME]))
    kubeconfig = give_account(cluster, NAMESPACE, cluster.directory, watched=())
    access = ["--kubeconfig", str(kubeconfig), "--lease-namespace", NAMESPACE, *DISABLED]
    probes = ["--probe-address", f"127.0.0.1:{port}"]
    process = spawn(cluster.directory, NAME, [*command, *access, *probes])
    operator = Operator(process, port, cluster.logs / f"{NAME}.log")
    url = f"http://127.0.0.1:{port}/readyz"
    settled = wait_until(lambda: is_ok(url) or not process.is_alive(), READY_SECONDS)
    if not settled or not process.is_alive():
        last = "\n".join(operator.log.read_text().splitlines()[-15:])
        raise ClusterError(f"the operator did not become ready (log: {operator.log}):\n{last}")
    return operator
