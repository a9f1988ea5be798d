"""Whose fault it is, on real pods: what the kubelet says is waited for, quoted, or blamed."""

from __future__ import annotations

import time
from typing import Any

import pytest

from testbed.scenario.manifests import Json, answering, image, iris, rollout
from testbed.scenario.plays import JUDGED, change, serve
from testbed.scenario.scenario import Holds, Scenario, named, phase
from testbed.servers.registry import open_registry

pytestmark = [pytest.mark.timeout(600, func_only=True)]
TERMS = rollout((20, "5s"), progressDeadline="45s")
PATIENT = rollout((20, "5s"), progressDeadline="4m")
"Where something else has to come first, however slow the kubelet is."
FLAPPING: Json = {
    "exec": {"command": ["python3", "-c", "import sys, time; sys.exit(time.time() % 30 > 15)"]},
    "periodSeconds": 2,
    "timeoutSeconds": 5,
    "failureThreshold": 1,
}
"Ready for fifteen seconds, and then for fifteen not."


def says(words: str) -> Holds:
    """Its status' message has these words."""

    def holds(found: Json) -> bool:
        return words in found.get("status", {}).get("message", "")

    return named(holds, f"the words {words!r}")


def traffic(scenario: Scenario) -> Json:
    found: Json = iris("v1", scenario.host)["spec"]["traffic"]
    return found


def begin(scenario: Scenario) -> None:
    """A first version that costs next to nothing serves."""
    scenario.apply(answering("v1", traffic(scenario), rollout=TERMS))
    scenario.wait(phase("Healthy"), 90)


def try_next(scenario: Scenario, terms: Json = TERMS, **server: Any) -> None:
    """Apply a second version whose server has these fields."""
    manifest = answering("v2", traffic(scenario), rollout=terms)
    manifest["spec"]["server"] |= server
    scenario.apply(manifest)


def rejection(found: Json) -> tuple[str, str]:
    """Reason and message of the only rejection."""
    (only,) = found["status"]["rejected"]
    return only["reason"], only["message"]


def test_a_secret_that_comes_some_seconds_later_is_waited_for(scenario: Scenario) -> None:
    begin(scenario)
    token = {"secretKeyRef": {"name": "late", "key": "token"}}
    env = answering("v2", {})["spec"]["server"]["env"]
    try_next(scenario, PATIENT, env=[*env, {"name": "TOKEN", "valueFrom": token}])
    waits = scenario.wait(says('secret "late" not found'), 90)
    assert waits["status"]["reason"] == "CreateContainerConfigError"
    time.sleep(6.0)
    scenario.kubectl("create", "secret", "generic", "late", "--from-literal=token=x")
    done = scenario.wait(has_stable("v2"), 180)
    assert not done["status"].get("rejected")


def has_stable(version: str) -> Holds:
    """Holds of a model whose stable version this is."""

    def holds(found: Json) -> bool:
        return bool(found["status"].get("stable", {}).get("version") == version)

    return named(holds, f"stable {version}")


def test_an_image_that_nobody_pushed_is_rejected_soon_in_the_registrys_words(
    scenario: Scenario,
) -> None:
    begin(scenario)
    with open_registry(404) as registry:
        name = registry.image("v2")
        scenario.blamed = {name}
        try_next(scenario, PATIENT, image=name)
        reason, message = rejection(scenario.wait(phase("RolledBack"), 150))
        assert registry.asked
    assert (reason, "not found" in message) == ("ImagePullBackOff", True)


@pytest.mark.parametrize(("status", "words"), [(429, "429 Too Many Requests"), (503, "503")])
def test_a_registry_that_has_no_time_is_waited_for_until_the_deadline(
    scenario: Scenario, status: int, words: str
) -> None:
    begin(scenario)
    with open_registry(status) as registry:
        name = registry.image("v2")
        scenario.blamed = {name}
        started = time.monotonic()
        try_next(scenario, image=name)
        waits = scenario.wait(says(words), 40)
        assert (waits["status"]["phase"], waits["status"]["reason"]) == (
            "Progressing", "ErrImagePull",
        )  # fmt: skip
        reason, message = rejection(scenario.wait(phase("RolledBack"), 150))
    assert (reason, words in message) == ("ProgressDeadlineExceeded", True)
    assert time.monotonic() - started >= 40.0


def test_a_registry_that_refuses_connections_rejects_nobody_at_once(scenario: Scenario) -> None:
    begin(scenario)
    with open_registry(404) as registry:
        name = registry.image("v2")
    scenario.blamed = {name}
    try_next(scenario, PATIENT, image=name)
    scenario.wait(says("connection refused"), 90)
    time.sleep(20.0)
    found = scenario.wait(lambda _: True, 30)
    assert (found["status"]["phase"], found["status"].get("rejected")) == ("Progressing", None)


def test_a_crash_is_told_in_the_last_line_of_its_log(scenario: Scenario) -> None:
    scenario.blamed = {image("v5")}
    serve(scenario, "v1", JUDGED)
    change(scenario, "v5", JUDGED)
    scenario.wait(says("1 restart, saying: v5 wants"), 120)
    reason, message = rejection(scenario.wait(phase("RolledBack"), 120))
    assert (reason, "saying: v5 wants 5 features" in message) == ("CrashLoopBackOff", True), message
    outcomes = [each.get("status", {}) for each in scenario.all_of("ModelRevision")]
    assert any("saying: v5 wants" in each.get("message", "") for each in outcomes), outcomes
    report = scenario.stop_load()
    assert not report.failures, report.describe_failures()


def test_a_probe_that_never_passes_is_quoted(scenario: Scenario) -> None:
    begin(scenario)
    scenario.blamed = {answering("v2", {})["spec"]["server"]["image"]}
    probe = {"httpGet": {"path": "/", "port": 8099}, "periodSeconds": 1}
    terms = rollout((20, "5s"), progressDeadline="75s")
    try_next(scenario, terms, readinessProbe=probe)
    waits = scenario.wait(says("Unhealthy: Readiness probe failed"), 90)
    assert waits["status"]["phase"] == "Progressing"
    reason, message = rejection(scenario.wait(phase("RolledBack"), 150))
    assert reason == "ProgressDeadlineExceeded"
    assert "Readiness probe failed" in message
    assert "8099" in message


def test_a_canary_whose_readiness_comes_and_goes_is_rejected_the_third_time(
    scenario: Scenario,
) -> None:
    scenario.blamed, scenario.returns = {image("v2")}, 2
    terms = rollout((20, "2m"))
    serve(scenario, "v1", terms)
    flapping = iris("v2", scenario.host, rollout=terms, scaling={"replicas": 1})
    flapping["spec"]["server"]["readinessProbe"] = FLAPPING
    scenario.apply(flapping)
    reason, message = rejection(scenario.wait(phase("RolledBack"), 400))
    assert (reason, "3 times" in message) == ("UnreadyUnderTraffic", True)
