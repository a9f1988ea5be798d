"""Where the demo plays: a cluster with the gateway, the images, the operator and a namespace."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from testbed.cluster import lifecycle
from testbed.cluster.cluster import Cluster
from testbed.cluster.lifecycle import Wish
from testbed.demo.closing import Kept
from testbed.demo.ending import end
from testbed.demo.operator_process import start_operator
from testbed.demo.story import HOST, PATH
from testbed.operators.running import IRIS
from testbed.programs.progress import Progress
from testbed.scenario.stage import prepare_node

NAME = "demo"
NAMESPACE = "demo"


@dataclass(frozen=True, slots=True)
class Place:
    """A cluster that is ready for the story; `kept` says how to go on when it is left running."""

    cluster: Cluster
    namespace: str
    gateway_url: str
    kept: Kept | None


@contextmanager
def place(*, keep: bool, progress: Progress) -> Iterator[Place]:
    """A fresh cluster of the demo's own, with everything in it; it goes afterwards, unless kept."""
    lifecycle.down(NAME, progress)
    try:
        cluster = lifecycle.up(Wish(name=NAME, owned=not keep), progress)
        prepare_node(cluster, progress)
        with progress.step("starting the operator"):
            operator = start_operator(cluster)
        cluster.kubectl("create", "namespace", NAMESPACE)
        url = cluster.install_gateway(progress)
        yield Place(cluster, NAMESPACE, url, make_kept(cluster, url) if keep else None)
        if not keep:
            end(operator.process)
    finally:
        if not keep:
            lifecycle.down(NAME, progress)


def make_kept(cluster: Cluster, gateway_url: str) -> Kept:
    """How to go on with a cluster that is left running."""
    return Kept(
        name=cluster.name,
        namespace=NAMESPACE,
        kubeconfig=cluster.kubeconfig,
        kubectl=cluster.kubectl_path,
        url=f"{gateway_url}{PATH}",
        host=HOST,
        body=IRIS,
    )
