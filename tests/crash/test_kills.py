"""SIGKILL before and after every write of a rollout and of a rollback, on a real apiserver.

The writes of an undisturbed run are counted first. Then ten operators at a time, each with a
namespace and a lease of its own, are killed at one write after the other and started again: the
end is the undisturbed one, and the witness's log shows no invariant broken on the way.
"""

import asyncio
import os
from dataclasses import dataclass, field

import pytest

from tests.crash.conftest import Stage
from tests.crash.ending import Json, read_ending, tell_difference
from tests.crash.judging import find_broken, read_story
from tests.crash.killing import KillingGate, Moment
from tests.crash.lane import Lane
from tests.crash.plays import ROLLBACK, ROLLOUT, Play
from tests.crash.proxy import Gate

pytestmark = [pytest.mark.timeout(900, func_only=True)]

LANES = int(os.environ.get("CANARIUM_CRASH_LANES", "10"))
END_SECONDS = 90.0
REST_SECONDS = 3.0
"So long nothing is written any more: longer than any hold of the plays."
FLUCTUATION = 2
"Status is also written for a count of pods, once more or less: the last writes may be missing."


@dataclass(frozen=True, slots=True)
class Kill:
    """One disturbed run: at which write, and whether that is done or not."""

    number: int
    moment: Moment

    @property
    def model(self) -> str:
        return f"{self.moment}{self.number}"


@dataclass(slots=True)
class Outcome:
    """What became of the kills: what was wrong, and which found no write to kill at."""

    troubles: list[str] = field(default_factory=list)
    idle: list[Kill] = field(default_factory=list)


@pytest.mark.parametrize("play", [ROLLOUT, ROLLBACK], ids=lambda play: play.name)
async def test_killed_at_any_write_an_operator_comes_to_the_same_end(
    stage: Stage, play: Play
) -> None:
    lanes = [await stage.make_lane(f"{play.name}-{n}") for n in range(LANES)]
    writes, ending = await record(lanes[0], play)
    kills = [Kill(n, m) for n in range(1, len(writes) + 1) for m in ("before", "after")]
    outcome = Outcome()
    shares = [(lane, kills[n::LANES]) for n, lane in enumerate(lanes)]
    await asyncio.gather(*(disturb(lane, play, share, ending, outcome) for lane, share in shares))
    for lane, share in shares:
        outcome.troubles += await judge(stage, lane, play, share)
    print(f"\n{play.name}: {len(kills)} kills at {len(writes)} writes", *writes, sep="\n  ")
    assert not outcome.troubles, "\n".join(outcome.troubles)
    assert {kill for kill in outcome.idle if kill.number <= len(writes) - FLUCTUATION} == set()


async def record(lane: Lane, play: Play) -> tuple[list[str], Json]:
    """The writes of an undisturbed run, and where it ends."""
    gate = KillingGate("calm", lane.kill)
    await lane.create(play.manifest("calm", "v1"))
    await lane.wait_for_phase("calm", "Healthy", END_SECONDS)
    lane.proxy.gate = gate
    await lane.change(play.manifest("calm", "v2"))
    await lane.wait_for_phase("calm", play.phase, END_SECONDS)
    await rest(gate)
    lane.proxy.gate = Gate()
    return gate.writes, read_ending(lane.mirror, lane.namespace, "calm")


async def rest(gate: KillingGate) -> None:
    """Wait until nothing was written for a while."""
    before = -1
    while before != len(gate.writes):
        before = len(gate.writes)
        await asyncio.sleep(REST_SECONDS)


async def disturb(
    lane: Lane, play: Play, kills: list[Kill], ending: Json, outcome: Outcome
) -> None:
    """One lane's kills, one after the other; all their models are there from the start."""
    for kill in kills:
        await lane.create(play.manifest(kill.model, "v1"))
    for kill in kills:
        await lane.wait_for_phase(kill.model, "Healthy", END_SECONDS)
    for kill in kills:
        await disturb_once(lane, play, kill, outcome)
        outcome.troubles += await await_ending(lane, kill, ending)


async def disturb_once(lane: Lane, play: Play, kill: Kill, outcome: Outcome) -> None:
    """Change the model, kill the operator at the wanted write, and start it again."""
    gate = KillingGate(kill.model, lane.kill, kill.number, kill.moment)
    lane.proxy.gate = gate
    await lane.change(play.manifest(kill.model, "v2"))
    try:
        await asyncio.wait_for(gate.fired.wait(), END_SECONDS / 3)
    except TimeoutError:
        outcome.idle.append(kill)
    lane.proxy.gate = Gate()
    if gate.fired.is_set():
        await lane.restart()


async def await_ending(lane: Lane, kill: Kill, ending: Json) -> list[str]:
    """Wait for the undisturbed end; in what the one that came differs."""

    def find() -> Json:
        return read_ending(lane.mirror, lane.namespace, kill.model)

    if await lane.mirror.wait_until(lane.namespace, lambda: find() == ending, END_SECONDS):
        return []
    return [f"{lane.namespace} {kill}: {line}" for line in tell_difference(ending, find())]


async def judge(stage: Stage, lane: Lane, play: Play, kills: list[Kill]) -> list[str]:
    """What the witness's log says of each of a lane's models."""
    changes = await read_story(stage.witness, lane.mirror, lane.namespace)
    found = (find_broken(changes, kill.model, blamed=play.crashes) for kill in kills)
    return [line for lines in found for line in lines]
