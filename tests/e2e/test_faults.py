"""Versions that are at fault, on real pods under real traffic: each is taken back, and says why.

Every test's log is held against the invariants when it is over (conftest), and every client
sends 20 requests a second without a retry.
"""

import pytest

from testbed.scenario.manifests import METRICS, Json, image, rollout
from testbed.scenario.plays import JUDGED, change, roll_back, serve
from testbed.scenario.scenario import Scenario, condition, get_condition, phase
from testbed.witness.readings import said_of_ready

pytestmark = [pytest.mark.timeout(600, func_only=True)]
MOST_SPAN_SECONDS = 30.0
"""From the first 500 to the last: five or six, and more where the machine stands still.

What is read anew every minute comes later.
"""
MEDIAN: Json = {"name": "latency-p50", "vsStable": {"maxRatio": "2"}}
"Of a few dozen answers the median is known; their 99th percentile is the slowest of them."


def test_rollback_is_quick_and_is_remembered(scenario: Scenario) -> None:
    taken_back = roll_back(scenario)

    assert_taken_back(scenario, taken_back, "ErrorRateTooHigh")
    span = scenario.load.report().failing_span() if scenario.load else None
    assert span is not None
    assert span <= MOST_SPAN_SECONDS
    assert_stays_rejected(scenario)
    assert_retried(scenario)
    report = scenario.stop_load()
    assert {answer.status for answer in report.failures} == {500}, report.describe_failures()


def assert_taken_back(scenario: Scenario, found: Json, reason: str) -> None:
    """Stalled with its reason, which is also the short one, and Ready all along."""
    stalled = get_condition(found, "Stalled")
    assert (stalled["status"], stalled["reason"]) == ("True", reason)
    assert stalled["message"]
    assert found["status"]["reason"] == reason
    assert get_condition(found, "UpToDate")["status"] == "False"
    assert scenario.load is not None
    since = scenario.load.report().answers[0].planned
    assert said_of_ready(scenario.changes(), since) == {"True"}


def assert_stays_rejected(scenario: Scenario) -> None:
    """Neither a restart of the operator nor the same manifest again revives it."""
    assert scenario.operator is not None
    scenario.operator.restart()
    change(scenario, "v3", JUDGED)
    scenario.wait(condition("Stalled", "True"), 30)
    scenario.kubectl("annotate", "modeldeployment/iris", "example.com/touched=yes")
    scenario.wait(phase("RolledBack"), 30)


def assert_retried(scenario: Scenario) -> None:
    """A person's retry tries it again, and it is taken back again."""
    rejected = scenario.wait(phase("RolledBack"), 30)["status"]["rejected"][0]["revision"]
    before = scenario.mark()
    scenario.command("retry", rejected)
    scenario.wait(phase("Progressing"), 60, since=before)
    scenario.wait(phase("RolledBack"), 180)


def test_a_slow_version_is_taken_back_for_its_latency(scenario: Scenario) -> None:
    scenario.blamed = {image("v4")}
    terms = rollout((20, "15s"), analysis=[*METRICS, MEDIAN])
    serve(scenario, "v1", terms)

    change(scenario, "v4", terms)
    taken_back = scenario.wait(phase("RolledBack"), 180)

    assert_taken_back(scenario, taken_back, "LatencyTooHigh")
    report = scenario.stop_load()
    assert not report.failures, report.describe_failures()


@pytest.mark.parametrize(
    ("version", "reason"),
    [
        pytest.param("v5", "CrashLoopBackOff"),
        pytest.param("v6", "ErrImageNeverPull"),
    ],
)
def test_a_version_that_never_answers_is_taken_back_before_the_deadline(
    scenario: Scenario, version: str, reason: str
) -> None:
    scenario.blamed = {image(version)}
    serve(scenario, "v1", JUDGED)

    change(scenario, version, JUDGED)  # its progressDeadline is ten minutes
    taken_back = scenario.wait(phase("RolledBack"), 240)

    assert_taken_back(scenario, taken_back, reason)
    report = scenario.stop_load()
    assert not report.failures, report.describe_failures()
