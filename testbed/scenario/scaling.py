"""Models that scale: the terms, what a person does, and what the witness has to say of it."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from canarium.core.quantities import parse_quantity

from testbed.load.traffic import Report
from testbed.programs.processes import wait_until
from testbed.scenario.manifests import Json, iris, read_example, rollout
from testbed.scenario.scenario import Holds, Scenario, named
from testbed.witness.capacity import Look, find_looks, find_size_at
from testbed.witness.changes import Change

READY_SECONDS = 120.0
QUICKLY_DOWN: Json = {"scaleDown": {"stabilizationWindowSeconds": 15}}
"Instead of Kubernetes' five minutes."
AT_REST = 1.0
"Requests a second that one pod is to be enough for, however slow the machine is."
ENOUGH = 3
"""How many times as much as one pod at rest uses it is to use before there are more of them.

Two pods at rest use less than twice that, and `RISE` takes more than six times that:
what a request costs and what a pod uses at rest grow alike on a slower machine."""
SAME = 0.2
"By how much, of the larger, two looks at the same use may differ."
RISE = ((0.0, 1.0), (5.0, 1.0), (35.0, 60.0), (600.0, 60.0))
FALL = ((0.0, 60.0), (20.0, 1.0), (600.0, 1.0))
"Requests a second over time. The first lasts until there are more pods, however long they take."

LIMIT = "200m"
"So little processor time for a pod that one doesn't carry what is offered."
CARRIED = 45.0
"Requests a second, fewer than a pod with LIMIT carries: `python -m benchmarks.scaling carried`."
OFFERED = 60.0
LIMITED: Json = {
    "minReplicas": 1,
    "maxReplicas": 12,
    "metrics": [{"name": "cpu", "type": "CPU", "target": "70m"}],
    "behavior": {"scaleDown": {"stabilizationWindowSeconds": 60}},
}
"Three pods for OFFERED, at some 3.1 ms of processor time a request."
THREE = 3
UNDER_LOAD = rollout((50, "10s"), guard={"duration": "10s"})


def limited(version: str, host: str, scaling: Mapping[str, Any]) -> Json:
    """The example with a limit of processor time."""
    server = read_example(version)["spec"]["server"]
    limits = {**server["resources"]["limits"], "cpu": LIMIT}
    resources = {**server["resources"], "limits": limits}
    spec = {"server": {**server, "resources": resources}, "rollout": UNDER_LOAD}
    return iris(version, host, scaling=scaling, **spec)


def by_cpu(target: str) -> Json:
    """One to eight pods, each of which is to use `target` of processor time."""
    metric = {"name": "cpu", "type": "CPU", "target": target}
    return {"minReplicas": 1, "maxReplicas": 8, "metrics": [metric], "behavior": QUICKLY_DOWN}


def measure_target(scenario: Scenario) -> str:
    """The target by which one pod is enough at rest, from what this machine's pod uses then.

    The only pod of the model is asked a little; its use is looked at until two looks of
    metrics-server, one after the other, say the same: it has got over its start by then.
    """
    scenario.start_load(((0.0, AT_REST), (600.0, AT_REST)))
    looks: dict[str, int] = {}
    if not wait_until(lambda: is_steady(looks, read_use(scenario)), READY_SECONDS):
        raise AssertionError(f"what a pod uses at rest did not become steady: {looks}")
    scenario.stop_load()
    return f"{ENOUGH * [*looks.values()][-1]}m"


def is_steady(looks: dict[str, int], latest: Mapping[str, int]) -> bool:
    """Take in the latest look, in millicores by its time; whether it says what the last one did."""
    looks.update(latest)
    if len(looks) < 2:
        return False
    before, now = [*looks.values()][-2:]
    return abs(now - before) <= SAME * max(now, before)


def read_use(scenario: Scenario) -> dict[str, int]:
    """What the server of the only pod uses, in millicores, by the time of the look.

    Nothing while there is no figure.
    """
    path = f"/apis/metrics.k8s.io/v1beta1/namespaces/{scenario.namespace}/pods"
    items = scenario.apiserver.get(path)["items"]
    return {
        item["timestamp"]: math.ceil(1000 * parse_quantity(container["usage"]["cpu"]))
        for item in items
        for container in item["containers"]
        if container["name"] == "server"
    }


def rise(scenario: Scenario) -> Report:
    """A load that rises and stays until the pods have risen too; what its client saw."""
    scenario.start_load(RISE)
    scenario.wait_for("Deployment", f"iris-{stable_of(scenario)}", larger_than(2), 240)
    return scenario.stop_load()


def fall(scenario: Scenario) -> None:
    """A load that falls, until the pods have fallen too; it goes on."""
    scenario.start_load(FALL)
    scenario.wait_for("Deployment", f"iris-{stable_of(scenario)}", of_size(1), 300)


def of_size(wanted: int) -> Holds:
    """Holds of a Deployment that is to have so many pods, and has them ready and no others."""

    def holds(found: Json) -> bool:
        status = found.get("status", {})
        sizes = (found["spec"]["replicas"], status.get("replicas", 0))
        return sizes == (wanted, wanted) and status.get("readyReplicas", 0) == wanted

    return named(holds, f"{wanted} pods, all ready")


def larger_than(size: int) -> Holds:
    """Holds of a Deployment with more pods ready than that."""

    def holds(found: Json) -> bool:
        return int(found.get("status", {}).get("readyReplicas", 0)) > size

    return named(holds, f"more than {size} pods ready")


def stable_of(scenario: Scenario) -> str:
    """Which revision serves."""
    found = scenario.get("ModelDeployment", "iris")
    assert found is not None
    return str(found["status"]["stable"]["revision"])


def largest(looks: Sequence[Look], revision: str, begin: float) -> int:
    """The largest size of a revision from a time on."""
    later = [look.wanted.get(revision, 0) for look in looks if look.time >= begin]
    return max([find_size_at(looks, revision, begin), *later])


def read_looks(changes: Sequence[Change]) -> list[Look]:
    """How capacity and shares of the iris model stood over time."""
    return find_looks(changes, "iris")
