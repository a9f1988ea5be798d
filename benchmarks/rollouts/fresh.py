"""A run on a control plane of its own, with simulated nodes and the operator as a process."""

import asyncio
import math
import os
from dataclasses import dataclass

from benchmarks.rollouts.report import Figures
from benchmarks.rollouts.run import Setting, measure
from testbed.cluster import lifecycle
from testbed.cluster.cluster import Cluster
from testbed.cluster.lifecycle import Wish
from testbed.demo.ending import end
from testbed.demo.operator_process import start_operator
from testbed.programs.processes import ClusterError
from testbed.programs.progress import Progress
from testbed.scenario.stage import prepare_simulated

PODS_PER_NODE = 1000
PODS_PER_OBJECT = 4
"Two of stable and, towards the end of a rollout, two of the canary."


@dataclass(frozen=True, slots=True)
class Size:
    """How much to do: objects that roll at once, single changes, seconds of rest to watch."""

    objects: int
    samples: int = 100
    rest_seconds: float = 30.0


def run_on_fresh_cluster(size: Size, progress: Progress) -> Figures:
    """Bring a cluster up, measure, and remove it."""
    name = f"bench-{os.getpid()}-{size.objects}"
    nodes = 1 + math.ceil(size.objects * PODS_PER_OBJECT / PODS_PER_NODE)
    wish = Wish(name=name, tier="control-plane", nodes=nodes, owned=True)
    try:
        return run_on(lifecycle.up(wish, progress), size, progress)
    finally:
        lifecycle.down(name, progress)


def run_on(cluster: Cluster, size: Size, progress: Progress) -> Figures:
    """Install the definitions, start the operator and measure."""
    if cluster.audit_log is None:
        raise ClusterError("this cluster has no audit log to count requests in")
    prepare_simulated(cluster, progress)
    with progress.step("starting the operator"):
        operator = start_operator(cluster)
    setting = Setting(
        objects=size.objects,
        samples=size.samples,
        rest_seconds=size.rest_seconds,
        kubeconfig=cluster.kubeconfig,
        audit_log=cluster.audit_log,
        operator_pid=operator.process.pid,
    )
    try:
        return asyncio.run(measure(setting, progress.say))
    finally:
        end(operator.process)
