"""Scenario 21 (AR#2855, AR#4571): memory stays flat over two simulated days.

A few objects here; `CANARIUM_SIM_OBJECTS=1000 pytest tests/simulated/test_memory.py` for as many as
the scenario has.
"""

from __future__ import annotations

import gc
import os
import sys

import pytest

from tests.simulated.play import Play, make_manifest

OBJECTS = int(os.environ.get("CANARIUM_SIM_OBJECTS", "12"))
HOUR = 3600.0
ALLOWED = 1.02
"How much larger the end may be than the first evening: what is kept is bounded, not constant."


def count_blocks() -> int:
    gc.collect()
    return sys.getallocatedblocks()


@pytest.mark.timeout(0)
def test_memory_is_flat_over_two_days_of_rollouts() -> None:
    with Play(remembered=100) as play:
        for number in range(OBJECTS):
            play.apply(make_manifest("1", name=f"m{number}", replicas=1, gateway=False))
        play.run(60.0)
        blocks = [spend_half_a_day(play, half) for half in range(4)]
    growth = blocks[-1] / blocks[1]
    assert growth < ALLOWED, f"{growth:.3f} of {blocks}"


def spend_half_a_day(play: Play, half: int) -> int:
    """Every object is rolled out once, one watch after the other breaks, time passes."""
    version = str(2 + half % 2)
    for number in range(OBJECTS):
        play.apply(make_manifest(version, name=f"m{number}", replicas=1, gateway=False, guard="1m"))
        play.run(12 * HOUR / OBJECTS)
    assert play.operator is not None
    for kind in ("Pod", "Deployment", "ModelDeployment"):
        play.operator.connection.cut(kind)
    play.resync()
    play.run(60.0)
    return count_blocks()
