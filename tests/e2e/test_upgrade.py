"""The operator is upgraded, downgraded and uninstalled while models are being rolled out.

The earlier version renders pods otherwise (testbed/operators/earlier.py). Real models under real
traffic: no pod of a model is restarted, no rollout is lost, no request fails.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.addons.helm import use_image
from testbed.images.operator import OPERATOR, build_operator
from testbed.operators.account import SWITCHED_ON
from testbed.operators.earlier import TAG, make_earlier
from testbed.operators.installed import InstalledOperator, make_values, serve_one
from testbed.programs.processes import wait_until
from testbed.programs.progress import Progress
from testbed.scenario.manifests import iris, rollout
from testbed.scenario.plays import READY_SECONDS, serve
from testbed.scenario.scenario import Scenario, phase, weight
from testbed.scenario.stage import load_once
from testbed.witness.changes import Json, revision_of
from tests.e2e.conftest import Place, Theatre, play, set_up

pytestmark = [pytest.mark.timeout(900, func_only=True)]
SLOW = rollout((20, "1h"), guard={"duration": "3s"})
"In its step one operator goes and another leads; then a person promotes."
QUICK = rollout(guard={"duration": "0s"})
ROUTERS: Json = {**SWITCHED_ON["routers"], "istio": True}
"""The earlier version knows no --disable, by which an operator is told of what it has no rights on.
So it has all rights, and keeps them through an upgrade: it runs on while Helm changes them."""
EARLIER: Json = {
    "image": {**use_image({})["image"], "tag": TAG},
    "routers": ROUTERS,
    "addresses": {"allow": []},
}
"It knows no --allow-address, either."


@pytest.fixture
def upgraded(
    node: Theatre, slot: Place, request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[Scenario]:
    """A scenario whose operator is the earlier version."""
    load_earlier(node)
    found = set_up(node, tmp_path, request.node.name)
    operator = serve_one(node.cluster, node.apiserver, found.namespace)
    operator.values |= EARLIER
    operator.tested = False
    yield from play(found, operator, slot)


def load_earlier(node: Theatre) -> None:
    """Make the earlier version's image known to the node."""
    name = f"{OPERATOR.reference.rpartition(':')[0]}:{TAG}"
    progress = Progress()
    load_once(node.cluster, make_earlier(build_operator(progress), name), progress)


def test_upgrade_and_downgrade_in_a_rollout_restart_no_pod_and_lose_no_rollout(
    upgraded: Scenario,
) -> None:
    operator = installed(upgraded)
    serve(upgraded, "v1", SLOW, replicas=2)
    assert runs_earlier(operator)
    first = begin_rollout(upgraded, "v2")

    operator.upgrade(make_values(upgraded.namespace, routers=ROUTERS))

    assert not runs_earlier(operator)
    assert finish_rollout(upgraded, first) == first
    assert not spreads(upgraded, first), "as it was rendered when the rollout began"
    second = begin_rollout(upgraded, "v1", third="yes")
    operator.roll_back()
    assert runs_earlier(operator)
    assert finish_rollout(upgraded, second) == second
    assert spreads(upgraded, second), "the earlier version leaves it, too"
    report = upgraded.stop_load()
    assert not report.failures, report.describe_failures()
    assert_no_pod_was_made_twice(upgraded, replicas=2)


def test_without_an_operator_models_go_on_serving_and_can_be_removed(scenario: Scenario) -> None:
    operator = installed(scenario)
    serve(scenario, "v1", QUICK)
    before = names_of_children(scenario)

    operator.uninstall()

    asked = len(scenario.load_so_far().sent)
    assert wait_until(lambda: len(scenario.load_so_far().sent) >= asked + 100, READY_SECONDS)
    assert names_of_children(scenario) == before
    report = scenario.stop_load()
    assert not report.failures, report.describe_failures()
    scenario.kubectl("delete", "modeldeployments", "--all")
    for kind, name in before:
        scenario.wait_gone(kind, name, READY_SECONDS)


def installed(scenario: Scenario) -> InstalledOperator:
    assert isinstance(scenario.operator, InstalledOperator)
    return scenario.operator


def runs_earlier(operator: InstalledOperator) -> bool:
    """Whether the operator that runs now is the earlier version."""
    (pod,) = operator.pods()
    return bool(pod["spec"]["containers"][0]["image"].endswith(f":{TAG}"))


def begin_rollout(scenario: Scenario, version: str, **annotations: str) -> str:
    """Have a version tried, with a fifth of the requests; its revision."""
    found = iris(version, scenario.host, rollout=SLOW, scaling={"replicas": 2})
    if annotations:
        found["spec"]["pod"] |= {"annotations": annotations}
    scenario.apply(found)
    held = scenario.wait(weight(20, "Holding"), READY_SECONDS)
    return str(held["status"]["canary"]["revision"])


def finish_rollout(scenario: Scenario, canary: str) -> str:
    """Promote what is still tried, and wait until it is stable; what is stable then."""
    held = scenario.wait(weight(20, "Holding"), READY_SECONDS)
    assert held["status"]["canary"]["revision"] == canary
    scenario.command("promote", canary)
    healthy = scenario.wait(phase("Healthy"), 2 * READY_SECONDS)
    assert "rejected" not in healthy["status"]
    return str(healthy["status"]["stable"]["revision"])


def spreads(scenario: Scenario, revision: str) -> bool:
    """Whether the pods of a revision ask to be kept apart."""
    (found,) = (each for each in scenario.all_of("Deployment") if revision_of(each) == revision)
    return "topologySpreadConstraints" in found["spec"]["template"]["spec"]


def names_of_children(scenario: Scenario) -> set[tuple[str, str]]:
    """Everything that serves the model, pods with their names: those of another one differ."""
    kinds = ("Deployment", "Pod", "Service", "HTTPRoute", "ModelRevision")
    return {(kind, found["metadata"]["name"]) for kind in kinds for found in scenario.all_of(kind)}


def assert_no_pod_was_made_twice(scenario: Scenario, replicas: int, revisions: int = 3) -> None:
    """By the witness: so many revisions and pods of each, none of which was ever restarted."""
    pods: dict[str, set[str]] = {}
    for seen in scenario.changes():
        if seen.kind == "Pod":
            pods.setdefault(revision_of(seen.object), set()).add(seen.metadata["uid"])
            statuses = seen.object.get("status", {}).get("containerStatuses", ())
            assert [status["restartCount"] for status in statuses if status["restartCount"]] == []
    assert {revision: len(uids) for revision, uids in pods.items()} == dict.fromkeys(pods, replicas)
    assert len(pods) == revisions
