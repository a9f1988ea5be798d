"""Rollouts where there is no place for a second copy, on a real apiserver and scheduler.

Nodes are simulated; router Replicas. Once a quota allows no more pods, once there are no more GPUs.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from testbed.scenario.manifests import Json, rollout, simulated
from testbed.scenario.scaling import of_size, stable_of
from testbed.scenario.scenario import Scenario, condition, phase
from testbed.witness.changes import Change, replay, revision_of

pytestmark = [pytest.mark.timeout(300, func_only=True)]
SECONDS = 120.0
SIZE = 3
IN_PLACE = rollout((34, "1s"), guard={"duration": "2s"}, capacity="InPlace")
GPU = "nvidia.com/gpu"


def make_model(tag: str, resources: Json, size: int = SIZE) -> Json:
    server = {"image": f"registry.example.com/iris:{tag}", "resources": resources}
    pod = {"tolerations": [{"key": GPU, "operator": "Exists"}]}
    return simulated(tag, server=server, pod=pod, scaling={"replicas": size}, rollout=IN_PLACE)


def find_sizes(changes: Sequence[Change]) -> list[tuple[int, int]]:
    """How many pods were ready, and how many there were, whenever that changed."""
    found: list[tuple[int, int]] = []
    for world, _ in replay(changes, "iris"):
        pods = [pod for pod in world.all_of("Pod") if "deletionTimestamp" not in pod["metadata"]]
        ready = sum(world.ready_pods(revision) for revision in {revision_of(p) for p in pods})
        if (ready, len(pods)) not in found[-1:]:
            found.append((ready, len(pods)))
    return found


def assert_replaced_in_place(rehearsal: Scenario) -> None:
    """Version 2 serves with all its pods, and at no time were two pods missing.

    The last pod may come after the guard: Kubernetes tries ever more rarely to make one that a
    quota has refused.
    """
    found = rehearsal.wait(phase("Healthy"), SECONDS)
    assert found["status"]["stable"]["version"] == "v2"
    rehearsal.wait_for("Deployment", f"iris-{stable_of(rehearsal)}", of_size(SIZE), SECONDS)
    sizes = find_sizes(rehearsal.changes())
    served = sizes[sizes.index((SIZE, SIZE)) :]
    assert min(ready for ready, _ in served) >= SIZE - 1


def test_where_a_quota_allows_no_more_pods_they_are_replaced_one_by_one(
    rehearsal: Scenario,
) -> None:
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "pods"},
        "spec": {"hard": {"pods": str(SIZE)}},
    }
    rehearsal.kubectl("apply", "-f", "-", stdin=json.dumps(quota))
    rehearsal.apply(make_model("v1", {}))
    rehearsal.wait(phase("Healthy"), SECONDS)
    rehearsal.wait_for("ResourceQuota", "pods", is_full, SECONDS)

    rehearsal.apply(make_model("v2", {}))

    assert_replaced_in_place(rehearsal)


def is_full(found: Json) -> bool:
    """a quota that was counted, and is used up"""
    status = found.get("status", {})
    return bool(status.get("used") == status.get("hard") == {"pods": str(SIZE)})


@contextmanager
def node_with_gpus(scenario: Scenario, count: int) -> Iterator[None]:
    """One more simulated node, with accelerators.

    It is tainted, as such ones are: pods of other tests would not outlive it.
    """
    name = f"gpus-{scenario.namespace[-8:]}"
    node = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "annotations": {"kwok.x-k8s.io/node": "fake"}},
        "spec": {"taints": [{"key": GPU, "effect": "NoSchedule"}]},
    }
    cluster = scenario.cluster
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(node))
    size = {"cpu": "8", "memory": "8Gi", "pods": "20", GPU: str(count)}
    patch = json.dumps({"status": {"capacity": size, "allocatable": size}})
    cluster.kubectl("patch", "node", name, "--subresource=status", "-p", patch)
    try:
        yield
    finally:
        cluster.kubectl("delete", "node", name)


def test_where_all_accelerators_are_taken_they_are_handed_over_one_by_one(
    rehearsal: Scenario,
) -> None:
    resources = {"limits": {GPU: 1}}
    with node_with_gpus(rehearsal, SIZE):
        rehearsal.apply(make_model("v1", resources))
        rehearsal.wait(phase("Healthy"), SECONDS)
        rehearsal.apply(make_model("v2", resources))
        assert_replaced_in_place(rehearsal)


def test_one_pod_alone_stays_and_what_is_missing_is_named(rehearsal: Scenario) -> None:
    resources = {"limits": {GPU: 1}}
    with node_with_gpus(rehearsal, 1):
        rehearsal.apply(make_model("v1", resources, size=1))
        rehearsal.wait(phase("Healthy"), SECONDS)
        rehearsal.apply(make_model("v2", resources, size=1))
        found = rehearsal.wait(condition("Reconciling", "True", "Unschedulable"), SECONDS)

        assert f"Insufficient {GPU}" in found["status"]["message"]
        assert found["status"]["stable"]["version"] == "v1"
        assert found["status"]["stable"]["readyReplicas"] == 1
