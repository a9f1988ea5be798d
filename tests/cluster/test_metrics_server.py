"""metrics-server on the local node: what real containers use, and an autoscaler that follows."""

import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from testbed.cluster.cluster import Cluster, make_list, make_manifest
from testbed.cluster.fixtures import own_cluster
from testbed.programs.processes import ClusterError, wait_until
from testbed.programs.progress import Progress
from testbed.servers.backends import STABLE, deploy_backends

pytestmark = [pytest.mark.timeout(1200), pytest.mark.xdist_group("node")]
NAMESPACE = "usage"
SECONDS = 240.0
"Two looks of metrics-server (10 s each) make the first figure; the autoscaler looks every 5 s."


@pytest.fixture(scope="module")
def node() -> Iterator[Cluster]:
    with own_cluster("node") as cluster:
        cluster.install_metrics_server(Progress())
        deploy_backends(cluster, NAMESPACE)
        yield cluster


def read_usage(cluster: Cluster) -> dict[str, set[str]]:
    """Which containers of each pod have figures; none while there are no metrics yet."""
    try:
        words = ("get", "--raw", f"/apis/metrics.k8s.io/v1beta1/namespaces/{NAMESPACE}/pods")
        items = json.loads(cluster.kubectl(*words))["items"]
    except ClusterError:
        return {}
    return {
        item["metadata"]["labels"]["app"]: {
            container["name"] for container in item["containers"] if "cpu" in container["usage"]
        }
        for item in items
    }


@contextmanager
def asking(cluster: Cluster) -> Iterator[None]:
    """Keep the pods of ``stable`` busy until the block ends."""
    path = "jsonpath={.items[0].status.podIP}"
    words = ("get", "pods", "-n", NAMESPACE, "-l", f"app={STABLE}", "-o", path)
    address, ended = cluster.kubectl(*words), threading.Event()

    def ask() -> None:
        connection = http.client.HTTPConnection(address, 8080, timeout=30)
        while not ended.wait(0.005):
            connection.request("GET", "/")
            connection.getresponse().read()
        connection.close()

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(30)


def make_autoscaler() -> dict[str, object]:
    """A HorizontalPodAutoscaler by the CPU of one container, that goes down at once."""
    resource = {
        "name": "cpu",
        "container": STABLE,
        "target": {"type": "AverageValue", "averageValue": "2m"},
    }
    spec = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": STABLE},
        "minReplicas": 1,
        "maxReplicas": 3,
        "metrics": [{"type": "ContainerResource", "containerResource": resource}],
        "behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}},
    }
    kind = "HorizontalPodAutoscaler"
    return make_manifest("autoscaling/v2", kind, STABLE, namespace=NAMESPACE, spec=spec)


def count_wanted(cluster: Cluster) -> int:
    words = ("get", f"deployment/{STABLE}", "-n", NAMESPACE, "-o", "jsonpath={.spec.replicas}")
    return int(cluster.kubectl(*words))


def test_the_usage_of_every_container_is_served(node: Cluster) -> None:
    assert wait_until(
        lambda: read_usage(node) == {"stable": {"stable"}, "canary": {"canary"}}, SECONDS
    )


def test_a_deployment_follows_the_cpu_that_one_of_its_containers_uses(node: Cluster) -> None:
    node.kubectl("apply", "--server-side", "-f", "-", stdin=make_list([make_autoscaler()]))

    with asking(node):
        assert wait_until(lambda: count_wanted(node) > 1, SECONDS)

    assert wait_until(lambda: count_wanted(node) == 1, SECONDS)
