"""Others write what requests come in by in the middle of a rollout: it is put right at once."""

import json
import time
from typing import Any

import pytest

from testbed.programs.processes import wait_until
from testbed.scenario.manifests import rollout, simulated
from testbed.scenario.scenario import Scenario, get_condition, phase, weight

pytestmark = [pytest.mark.timeout(300, func_only=True)]
Json = dict[str, Any]
HOLD = rollout((50, "600s"))
MOST_SECONDS = 10.0
"By the watch: what is listed anew comes a minute later."
STRANGER = "--field-manager=stranger"
PATCH = ("patch", "service/iris", "--type=merge", STRANGER, "-p")
THEIRS = json.dumps({"spec": {"selector": {"app": "theirs"}}})


def test_a_service_that_others_turn_is_turned_back_and_they_are_named(rehearsal: Scenario) -> None:
    scenario = rehearsal
    scenario.apply(simulated("v1", rollout=HOLD))
    scenario.wait(phase("Healthy"), 90)
    scenario.apply(simulated("v2", rollout=HOLD))
    scenario.wait(weight(50, "Holding"), 90)
    before = selector_of(scenario)

    scenario.kubectl(*PATCH, THEIRS)
    edited = time.monotonic()
    while selector_of(scenario) != before:
        assert time.monotonic() < edited + 20, scenario.tell()
        time.sleep(0.02)
    assert time.monotonic() - edited <= MOST_SECONDS

    end = time.monotonic() + 120
    while (found := find_contested(scenario)) is None:
        assert time.monotonic() < end, scenario.tell()
        if selector_of(scenario) == before:
            scenario.kubectl(*PATCH, THEIRS)
    assert "stranger" in json.dumps(found["status"]["conditions"])
    canary, stable = (str(found["status"][part]["revision"]) for part in ("canary", "stable"))
    scenario.command("abort", canary)
    scenario.wait(phase("RolledBack"), 90)
    assert wait_until(lambda: selector_of(scenario).get("canarium.dev/revision") == stable, 60)


def selector_of(scenario: Scenario) -> Json:
    found = scenario.get("Service", "iris")
    assert found is not None
    selector: Json = found["spec"]["selector"]
    return selector


def find_contested(scenario: Scenario) -> Json | None:
    """The model, if Ready is False because others keep writing."""
    found = scenario.get("ModelDeployment", "iris")
    contested = (
        found is not None and get_condition(found, "Ready").get("reason") == "RouteContested"
    )
    return found if contested else None
