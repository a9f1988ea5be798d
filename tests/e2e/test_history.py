"""What crosses a rollout or comes after it, on real pods under real traffic.

A third version, a person who goes back, pods that are restarted, a bad version promoted by hand.
Every test's log is held against the invariants when it is over (conftest).
"""

from typing import Any

import pytest

from testbed.scenario.manifests import METRICS, Json, image, iris, rollout
from testbed.scenario.plays import change, serve
from testbed.scenario.scenario import (
    Holds,
    Scenario,
    find_revision,
    in_state,
    named,
    phase,
    serves,
    weight,
)
from testbed.witness.capacity import find_looks
from testbed.witness.changes import Change, revision_of
from testbed.witness.expectation import SETTLE_SECONDS
from testbed.witness.readings import find_stands

pytestmark = [pytest.mark.timeout(900, func_only=True)]
HALF = rollout((50, "60s"), analysis=METRICS)
QUICK = rollout((50, "1s"), guard={"duration": "3s"})
BOUNDED = rollout((20, "60s"), analysis=[{"name": "error-rate", "max": "5%"}])
ROLLBACK = "canarium.dev/rollback"
PODS = 2
GOING_BACK_SECONDS = 20.0
"From ready pods to a gateway that works by it; what is looked at anew comes after a minute."


def make_third(host: str, **spec: Any) -> Json:
    """Another revision of a version that is known to be good."""
    found = iris("v2", host, **spec)
    annotations = {"example.com/build": "third"}
    return {
        **found,
        "spec": {**found["spec"], "pod": {**found["spec"]["pod"], "annotations": annotations}},
    }


def test_a_third_version_loses_no_request_and_a_shorter_history_forgets_the_second(
    scenario: Scenario,
) -> None:
    serve(scenario, "v1", HALF, replicas=2)
    change(scenario, "v2", HALF, replicas=2)
    second = scenario.wait(weight(50, "Holding"), 150)["status"]["canary"]["revision"]

    quick = {"rollout": QUICK, "scaling": {"replicas": 2}}
    scenario.apply(make_third(scenario.host, **quick))
    healthy = scenario.wait(phase("Healthy"), 240)

    assert healthy["status"]["stable"]["revision"] != second
    assert outcome(scenario, second) == "Canceled"
    shorter = {"rollout": {**QUICK, "revisionHistoryLimit": 0}, "scaling": quick["scaling"]}
    scenario.apply(make_third(scenario.host, **shorter))
    for kind in ("Service", "Deployment", "ModelRevision"):
        scenario.wait_gone(kind, f"iris-{second}", 90)
    report = scenario.stop_load()
    assert not report.failures, report.describe_failures()


def outcome(scenario: Scenario, revision: str) -> str:
    """How a revision's ModelRevision says that it ended."""
    found = scenario.get("ModelRevision", f"iris-{revision}")
    assert found is not None
    return str(found["status"]["outcome"])


def test_a_person_goes_back_and_restarts_without_a_lost_request(scenario: Scenario) -> None:
    serve(scenario, "v1", QUICK, replicas=PODS)
    change(scenario, "v2", QUICK, replicas=PODS)
    scenario.wait(serves("v2"), 240)
    first = find_revision(scenario.changes(), image("v1"))

    scenario.command("rollback", first)
    gone_back = scenario.wait(rests_with(first), 240)["status"]
    assert (gone_back["stable"]["revision"], gone_back["reason"]) == (first, "Overridden")

    before = names_of_pods(scenario, first)
    scenario.command("restart", first)
    wait_for_other_pods(scenario, first, before)
    report, changes = scenario.stop_load(), scenario.changes()
    assert not report.failures, report.describe_failures()
    assert report.last_version == "v1"
    assert spent_going_back(changes, first) <= GOING_BACK_SECONDS


def names_of_pods(scenario: Scenario, revision: str) -> set[str]:
    """The pods of a revision."""
    return {p["metadata"]["name"] for p in scenario.all_of("Pod") if revision_of(p) == revision}


def wait_for_other_pods(scenario: Scenario, revision: str, before: set[str]) -> None:
    """Wait until every pod of a revision has been replaced."""
    scenario.wait_for("Deployment", f"iris-{revision}", is_restarted, 60)
    scenario.kubectl("rollout", "status", f"deployment/iris-{revision}", "--timeout=240s")
    for pod in before:
        scenario.wait_gone("Pod", pod, 120)


def is_restarted(found: Json) -> bool:
    """A Deployment whose template asks for new pods."""
    annotations = found["spec"]["template"]["metadata"].get("annotations", {})
    return "canarium.dev/restarted-at" in annotations


def rests_with(revision: str) -> Holds:
    """Holds of a model at rest to which a person has brought a revision back."""

    def holds(found: Json) -> bool:
        back = found["status"]["stable"]["revision"] == revision
        return back and in_state("Idle")(found) and phase("RolledBack")(found)

    return named(holds, f"gone back to {revision}")


def spent_going_back(changes: list[Change], first: str) -> float:
    """Seconds in which a person's rollback had its pods, until the gateway surely works by it.

    How long pods of a model take to start tells of the machine.
    """
    asked = next(change.time for change in changes if ROLLBACK in annotations_of(change))
    looks = find_looks(changes, "iris")
    carried = next(k.time for k in looks if k.time > asked and k.ready.get(first, 0) >= PODS)
    stands = find_stands(changes, "iris", SETTLE_SECONDS)
    back = (s.begin for s in stands if s.begin > asked and s.shares == {first: 100})
    return next(back) - carried


def annotations_of(change: Change) -> Json:
    """The annotations of the object."""
    return dict(change.metadata.get("annotations") or {})


def test_a_bad_version_that_a_person_promotes_is_taken_back_to_the_one_before(
    scenario: Scenario,
) -> None:
    scenario.blamed = {image("v3")}
    serve(scenario, "v2", BOUNDED)
    change(scenario, "v3", {**BOUNDED, "guard": {"duration": "60s"}})
    bad = scenario.wait(weight(20), 150)["status"]["canary"]["revision"]

    scenario.command("promote", f"{bad}:full")
    taken_back = scenario.wait(phase("RolledBack"), 180)["status"]

    good = find_revision(scenario.changes(), image("v2"))
    assert taken_back["stable"]["revision"] == good
    assert [refused["revision"] for refused in taken_back["rejected"]] == [bad]
    report = scenario.stop_load()
    assert {answer.status for answer in report.failures} == {500}, report.describe_failures()
    assert report.last_version == "v2"
