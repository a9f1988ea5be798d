"""A good version's way to 100 percent on real pods under real traffic, and what may cross it.

Every test's log is held against the invariants when it is over (conftest), and every client
sends 20 requests a second without a retry.
"""

import time

import pytest

from testbed.load.traffic import Report
from testbed.scenario.manifests import METRICS, image, rollout
from testbed.scenario.plays import UNJUDGED, change, promote, serve
from testbed.scenario.scenario import Scenario, find_revision, phase, weight
from testbed.witness.changes import Change, Json
from testbed.witness.expectation import SETTLE_SECONDS
from testbed.witness.readings import (
    find_full_weight,
    find_scale_down,
    find_stands,
    find_worst_split,
    find_zero_weight,
    said_of_ready,
)

pytestmark = [pytest.mark.timeout(420, func_only=True)]


def assert_split_as_weighted(report: Report, changes: list[Change]) -> None:
    """While a weight stood, answers were shared by it, give or take five points."""
    stable, canary = (find_revision(changes, image(version)) for version in ("v1", "v2"))
    stands = find_stands(changes, "iris", SETTLE_SECONDS)
    stood = [stand for stand in stands if 0 < stand.shares.get(canary, 0) < 100]
    assert [stand.shares for stand in stood] == [
        {stable: 80, canary: 20},
        {stable: 50, canary: 50},
    ]
    assert find_worst_split(changes, report, canary, "v2") <= 5


def test_promotion_loses_no_request_and_shares_as_weighted(scenario: Scenario) -> None:
    """In a namespace that takes no pods but those that Pod Security calls restricted."""
    enforced = "pod-security.kubernetes.io/enforce=restricted"
    scenario.cluster.kubectl("label", "namespace", scenario.namespace, enforced)
    promote(scenario)

    report, changes = scenario.stop_load(), scenario.changes()
    assert not report.failures, report.describe_failures()
    assert_split_as_weighted(report, changes)
    assert said_of_ready(changes, report.answers[0].planned) == {"True"}
    stable, promoted = (find_revision(changes, image(version)) for version in ("v1", "v2"))
    guarded = find_scale_down(changes, stable) - find_full_weight(changes, promoted)
    assert guarded >= 8
    assert report.last_version == "v2"
    assert_only_status_is_ours(scenario)


def assert_only_status_is_ours(scenario: Scenario) -> None:
    """Who wrote what of the object: we its status, and the person all the rest."""
    found = scenario.get("ModelDeployment", "iris")
    assert found is not None
    written = {
        (entry["manager"], field)
        for entry in found["metadata"]["managedFields"]
        for field in entry["fieldsV1"]
    }
    person = "kubectl-client-side-apply"
    assert written == {(person, "f:metadata"), (person, "f:spec"), ("canarium", "f:status")}
    assert "finalizers" not in found["metadata"]
    assert set(found["metadata"]["annotations"]) == {
        "kubectl.kubernetes.io/last-applied-configuration"
    }


def test_a_holdback_is_compared_with_and_ends_with_the_guard(scenario: Scenario) -> None:
    guard = {"duration": "15s", "holdback": 20}
    terms = rollout((50, "10s"), analysis=METRICS, guard=guard)
    serve(scenario, "v1", terms)
    change(scenario, "v2", terms)

    scenario.wait(is_compared_in_the_guard, 120)
    scenario.wait(phase("Healthy"), 60)

    report, changes = scenario.stop_load(), scenario.changes()
    assert not report.failures, report.describe_failures()
    stable, promoted = (find_revision(changes, image(version)) for version in ("v1", "v2"))
    stands = find_stands(changes, "iris", SETTLE_SECONDS)
    held_back = next(s for s in stands if s.shares == {stable: 20, promoted: 80})
    assert held_back.seconds >= 15
    assert find_worst_split(changes, report, promoted, "v2") <= 5
    assert find_scale_down(changes, stable) > find_full_weight(changes, promoted)
    assert report.last_version == "v2"


def is_compared_in_the_guard(found: Json) -> bool:
    """Whether the new stable is judged beside what is held back on the previous version."""
    status = found.get("status") or {}
    rows = (status.get("stable") or {}).get("analysis") or ()
    checks = {row["check"] for row in rows}
    return status.get("phase") == "Guarding" and "vsStable" in checks


def test_going_back_to_stable_cancels_and_rejects_nobody(scenario: Scenario) -> None:
    serve(scenario, "v2", UNJUDGED)
    change(scenario, "v3", UNJUDGED)
    scenario.wait(weight(20, "Holding"), 60)

    change(scenario, "v2", UNJUDGED)
    healthy = scenario.wait(phase("Healthy"), 60)

    assert "rejected" not in healthy["status"]
    report, changes = scenario.stop_load(), scenario.changes()
    assert {answer.status for answer in report.failures} <= {500}
    canary = find_revision(changes, image("v3"))
    assert find_scale_down(changes, canary) > find_zero_weight(changes, canary)


def test_a_killed_operator_goes_on_where_it_was(scenario: Scenario) -> None:
    terms = rollout((20, "30s"), (50, "2s"), analysis=METRICS)
    serve(scenario, "v1", terms)
    change(scenario, "v2", terms)
    before = scenario.wait(weight(20, "Holding"), 60)["status"]["rollout"]
    assert scenario.operator is not None
    time.sleep(15.0)  # half of the hold: whoever began it anew would take twice what is left

    scenario.operator.kill()
    scenario.operator.start()
    again = time.time()

    scenario.wait(phase("Healthy"), 120)
    report, changes = scenario.stop_load(), scenario.changes()
    assert not report.failures, report.describe_failures()
    canary = find_revision(changes, image("v2"))
    stands = find_stands(changes, "iris", SETTLE_SECONDS)
    held = next(stand for stand in stands if stand.shares.get(canary) == 20)
    assert before["verifiedAt"]
    assert held.seconds >= 29
    assert held.end - again < 29  # the rest of the hold, and not the hold once more
