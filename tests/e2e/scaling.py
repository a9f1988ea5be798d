"""Models that scale: the terms, what a person does, and what the witness has to say of it."""

from collections.abc import Mapping, Sequence
from typing import Any

from tests.e2e.capacity import Look, find_looks, find_size_at
from tests.e2e.changes import Change
from tests.e2e.manifests import Json, iris, read_example, rollout
from tests.e2e.scenario import Holds, Scenario, named

READY_SECONDS = 120.0
QUICKLY_DOWN: Json = {"scaleDown": {"stabilizationWindowSeconds": 15}}
"Instead of Kubernetes' five minutes."
BY_CPU: Json = {
    "minReplicas": 1,
    "maxReplicas": 8,
    "metrics": [{"name": "cpu", "type": "CPU", "target": "70%"}],
    "behavior": QUICKLY_DOWN,
}
"70 % of the 50m that the example requests."
RISE_AND_FALL = ((0.0, 1.0), (5.0, 1.0), (35.0, 60.0), (75.0, 60.0), (95.0, 1.0), (240.0, 1.0))
"Requests a second over time; who plays it stops when the pods are gone again."

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


def follow_load(scenario: Scenario) -> None:
    """A load that rises and falls, until the pods have risen and fallen too."""
    name = f"iris-{stable_of(scenario)}"
    scenario.start_load(RISE_AND_FALL)
    scenario.wait_for("Deployment", name, larger_than(2), 90)
    scenario.wait_for("Deployment", name, of_size(1), 180)


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
