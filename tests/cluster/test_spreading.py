"""Kubernetes' own scheduler keeps pods apart by what is rendered, with zones and without any.

Every node but one is nearly full, so that a scheduler that weighs nothing else takes the empty one.
"""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from canarium.core.names import revision_selector
from canarium.resources.pod_template import make_pod_template

from testbed.cluster.cluster import Cluster
from testbed.cluster.fixtures import own_cluster
from testbed.programs.processes import wait_until

pytestmark = [pytest.mark.timeout(600), pytest.mark.xdist_group("control-plane")]

ZONE = "topology.kubernetes.io/zone"
PODS = 6
SECONDS = 180.0
ALMOST = 0.9

Json = dict[str, Any]


@pytest.fixture(scope="module")
def plane() -> Iterator[Cluster]:
    with own_cluster("control-plane") as cluster:
        yield cluster


@pytest.fixture
def nodes(plane: Cluster) -> list[str]:
    """Three nodes, of which the first alone has much room."""
    found = json.loads(plane.kubectl("get", "nodes", "-o", "json"))["items"]
    for node in found[1:]:
        cpus = int(node["status"]["allocatable"]["cpu"]) * ALMOST
        create(plane, make_load(node["metadata"]["name"], cpus))
    names = [node["metadata"]["name"] for node in found]
    assert len(names) == 3
    return names


def create(cluster: Cluster, body: Json) -> None:
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(body))


def make_load(node: str, cpus: float) -> Json:
    container = {"name": "load", "image": "load", "resources": {"requests": {"cpu": f"{cpus:g}"}}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"load-{node}", "namespace": "default"},
        "spec": {"nodeName": node, "containers": [container]},
    }


def run_pods(cluster: Cluster, model: str) -> list[str]:
    """The nodes of a revision's pods."""
    labels = revision_selector(model, "5d8f7c9b64")
    source = {"server": {"image": "registry.example/fraud:7"}}
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": model, "namespace": "default"},
        "spec": {
            "replicas": PODS,
            "selector": {"matchLabels": labels},
            "template": make_pod_template(source, model=model, revision="5d8f7c9b64"),
        },
    }
    create(cluster, deployment)
    assert wait_until(lambda: len(list_nodes(cluster, model)) == PODS, SECONDS)
    found = list_nodes(cluster, model)
    cluster.kubectl("delete", "deployment", model, "--wait=false")
    return found


def list_nodes(cluster: Cluster, model: str) -> list[str]:
    path = "{range .items[*]}{.spec.nodeName}{'\\n'}{end}"
    chosen = ("-l", f"canarium.dev/model={model}", "-o", f"jsonpath={path}")
    return cluster.kubectl("get", "pods", *chosen).split()


def test_pods_are_kept_apart_over_nodes_and_over_zones(plane: Cluster, nodes: list[str]) -> None:
    without = Counter(run_pods(plane, "nowhere"))
    assert set(without) == set(nodes)
    assert max(without.values()) <= 3
    zones = dict(zip(nodes, ("a", "a", "b"), strict=True))
    for node, zone in zones.items():
        plane.kubectl("label", "node", node, f"{ZONE}={zone}")
    within = Counter(zones[node] for node in run_pods(plane, "somewhere"))
    assert within == {"a": 3, "b": 3}
