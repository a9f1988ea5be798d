"""Who edits a spec in a loop: what of a cluster's that takes, and where it ends."""

from __future__ import annotations

import time

import pytest
from canarium.rollout.situation.pace import MOST_BEGUN, PACE_SECONDS, WAITING

from testbed.scenario.manifests import Json, simulated
from testbed.scenario.scenario import named, phase
from tests.security.estate import Place

pytestmark = [pytest.mark.timeout(600, func_only=True)]
SECONDS = 90.0
LONGEST_SECONDS = 240.0
"Until so many edits were taken, on a machine with much else to do."


def test_a_spec_that_is_edited_in_a_loop_makes_twelve_revisions_in_a_minute_and_then_its_last(
    served: Place,
) -> None:
    begun = time.monotonic()
    served.write(simulated("v1"))
    served.scenario.wait(phase("Healthy"), SECONDS)
    edits = edit_until_one_waits(served)
    minutes = int((time.monotonic() - begun) // PACE_SECONDS) + 1
    made = served.scenario.all_of("ModelRevision")
    assert edits >= MOST_BEGUN - 1
    assert len(made) <= MOST_BEGUN * minutes

    served.write(simulated("last"))
    served.scenario.wait(named(is_last, "the last edit is stable"), PACE_SECONDS + SECONDS)
    found = served.scenario.wait(phase("Healthy"), SECONDS)
    assert len(found["status"]["begunAt"]) == MOST_BEGUN


def edit_until_one_waits(place: Place) -> int:
    """Edit again and again until status says that a revision waits; return how many edits it took.

    The operator is behind by an edit or two, so what waits may be the one before the last.
    """
    end = time.monotonic() + LONGEST_SECONDS
    edits = 0
    while not is_waiting(place):
        assert time.monotonic() < end, f"{edits} edits, and none has to wait"
        edits += 1
        place.write(simulated(f"edit-{edits}"))
    return edits


def is_waiting(place: Place) -> bool:
    found = place.scenario.get("ModelDeployment", "iris") or {}
    return bool(found.get("status", {}).get("reason") == WAITING)


def is_last(found: Json) -> bool:
    return bool(found.get("status", {}).get("stable", {}).get("version") == "last")
