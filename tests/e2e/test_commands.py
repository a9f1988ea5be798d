"""What a person may do in the middle of a rollout: promote, abort, retry, pause, change the mind.

On a real control plane with simulated nodes; router Replicas.
"""

import time

import pytest

from testbed.scenario.manifests import Json, rollout, simulated
from testbed.scenario.scenario import Holds, Scenario, get_condition, in_state, named, phase

pytestmark = [pytest.mark.timeout(300, func_only=True)]
SECONDS = 60.0
NO_GUARD = {"duration": "0s"}
HOLD_SECONDS = 1.0
QUICK = rollout((50, f"{HOLD_SECONDS:.0f}s"), guard=NO_GUARD)
SLOW = rollout((50, "10m"), guard=NO_GUARD)
APPROVED: Json = {
    "steps": [{"name": "half", "weight": 50, "approval": "Manual"}],
    "guard": NO_GUARD,
}


def serve_and_try(rehearsal: Scenario, terms: Json) -> str:
    """v1 serves and v2 is being tried; the revision of v2."""
    rehearsal.apply(simulated("v1", rollout=terms))
    rehearsal.wait(phase("Healthy"), SECONDS)
    rehearsal.apply(simulated("v2", rollout=terms))
    found = rehearsal.wait(in_state("Holding"), SECONDS)
    return str(found["status"]["canary"]["revision"])


def blame(rehearsal: Scenario, *tags: str) -> None:
    """These versions may be taken back in this scenario."""
    rehearsal.blamed = {f"registry.example.com/iris:{tag}" for tag in tags}


def serving(version: str) -> Holds:
    """Holds of a ModelDeployment that is Healthy with a version."""

    def holds(found: Json) -> bool:
        return phase("Healthy")(found) and found["status"]["stable"]["version"] == version

    return named(holds, f"{version} serving")


def test_a_step_with_approval_waits_for_a_persons_promote(rehearsal: Scenario) -> None:
    canary = serve_and_try(rehearsal, APPROVED)
    waiting = rehearsal.wait(phase("Paused"), SECONDS)

    rehearsal.command("promote", f"{canary}:half")

    rehearsal.wait(serving("v2"), SECONDS)
    assert "promote" in waiting["status"]["message"]
    assert get_condition(waiting, "Reconciling")["status"] == "True"


def test_an_abort_rejects_until_a_retry(rehearsal: Scenario) -> None:
    blame(rehearsal, "v2")
    canary = serve_and_try(rehearsal, SLOW)

    rehearsal.command("abort", canary)
    aborted = rehearsal.wait(phase("RolledBack"), SECONDS)
    rehearsal.command("retry", canary)
    tried = rehearsal.wait(in_state("Holding"), SECONDS)

    assert [(r["revision"], r["reason"]) for r in aborted["status"]["rejected"]] == [
        (canary, "Aborted")
    ]
    assert get_condition(aborted, "Stalled")["reason"] == "Aborted"
    assert tried["status"]["canary"]["revision"] == canary


def test_a_third_version_takes_the_place_of_the_second(rehearsal: Scenario) -> None:
    serve_and_try(rehearsal, SLOW)

    rehearsal.apply(simulated("v3", rollout=QUICK))

    healthy = rehearsal.wait(serving("v3"), SECONDS)
    assert "rejected" not in healthy["status"]


def test_a_pause_holds_a_rollout_where_it_is(rehearsal: Scenario) -> None:
    """The hold, which is long until the pause is there, is over while it lasts."""
    serve_and_try(rehearsal, SLOW)
    rehearsal.apply(simulated("v2", rollout={**QUICK, "paused": True}))
    rehearsal.wait(phase("Paused"), SECONDS)
    time.sleep(3 * HOLD_SECONDS)
    paused = rehearsal.wait(phase("Paused"), SECONDS)

    rehearsal.apply(simulated("v2", rollout=QUICK))

    rehearsal.wait(serving("v2"), SECONDS)
    assert paused["status"]["canary"]["weight"] == 50
    assert "paused" in paused["status"]["message"]


def test_going_back_in_the_guard_is_a_cancel(rehearsal: Scenario) -> None:
    terms = rollout((50, "1s"), guard={"duration": "10m"})
    rehearsal.apply(simulated("v1", rollout=terms))
    rehearsal.wait(serving("v1"), SECONDS)
    rehearsal.apply(simulated("v2", rollout=terms))
    rehearsal.wait(phase("Guarding"), SECONDS)

    rehearsal.apply(simulated("v1", rollout=terms))

    healthy = rehearsal.wait(serving("v1"), SECONDS)
    assert "rejected" not in healthy["status"]
