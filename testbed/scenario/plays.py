"""What a person does in a scenario, without a word on what has to come of it."""

from testbed.scenario.manifests import METRICS, Json, image, iris, rollout
from testbed.scenario.scenario import Scenario, phase, serves

JUDGED = rollout((20, "10s"), (50, "10s"), analysis=METRICS, guard={"duration": "8s"})
UNJUDGED = rollout((20, "60s"))
READY_SECONDS = 120.0


def serve(scenario: Scenario, version: str, terms: Json, replicas: int = 1) -> None:
    """Have a first version serve, and begin to send."""
    change(scenario, version, terms, replicas)
    scenario.wait(phase("Healthy"), READY_SECONDS)
    scenario.start_load()


def change(scenario: Scenario, version: str, terms: Json, replicas: int = 1) -> None:
    """Apply the example's manifest of a version."""
    size = {"replicas": replicas}
    scenario.apply(iris(version, scenario.host, rollout=terms, scaling=size))


def promote(scenario: Scenario) -> None:
    """v1 serves with two pods and v2 takes its place, guard and all."""
    serve(scenario, "v1", JUDGED, replicas=2)
    change(scenario, "v2", JUDGED, replicas=2)
    scenario.wait(serves("v2"), 240)


def roll_back(scenario: Scenario) -> Json:
    """v2 serves, v3 is tried at 20 percent and taken back."""
    scenario.blamed = {image("v3")}
    serve(scenario, "v2", JUDGED)
    change(scenario, "v3", JUDGED)
    return scenario.wait(phase("RolledBack"), 150)
