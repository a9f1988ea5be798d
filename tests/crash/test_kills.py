"""SIGKILL before and after every write of a rollout and of a rollback, on a real apiserver.

The writes of an undisturbed run are counted first. Then ten operators at a time, each with a
namespace and a lease of its own, are killed at one write after the other and started again: the
end is the undisturbed one, and the witness's log shows no invariant broken on the way.
"""

import asyncio
import os
import re
from asyncio import FIRST_COMPLETED
from collections import Counter, deque
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import pytest

from testbed.operators.running import is_ok
from tests.crash.conftest import Stage
from tests.crash.ending import Json, is_at_rest, read_ending, tell_difference
from tests.crash.judging import find_broken, read_story
from tests.crash.killing import KillingGate, Moment
from tests.crash.lane import Lane, supervised
from tests.crash.plays import ROLLBACK, ROLLOUT, Play
from tests.crash.proxy import Gate

pytestmark = [pytest.mark.timeout(2400, func_only=True)]

LANES = int(os.environ.get("CANARIUM_CRASH_LANES", "10"))
END_SECONDS = 240.0
LOOK_SECONDS = 0.1
REST_LOOKS = 30
"So many looks in a row nothing is written any more: longer than any hold of the plays."
STATUS = "/status"
"It is also written for a count of pods, oftener or more rarely as news come together or not."
REVISION = re.compile(r"(?<=<model>-)[0-9a-f]{10}\b")
LEAST_FIRED = 0.75
"Of all kills."


@dataclass(frozen=True, slots=True)
class Calm:
    """An undisturbed run: its writes in order, and where it ended."""

    play: Play
    writes: list[str]
    ending: Json


@dataclass(frozen=True, slots=True)
class Kill:
    """One disturbed run: at which write (counted from 1), and whether that is done or not."""

    calm: Calm
    number: int
    moment: Moment

    @property
    def model(self) -> str:
        """The name of the model that is rolled."""
        return f"{self.calm.play.name}-{self.moment}{self.number}"


@dataclass(slots=True)
class Outcome:
    """What became of the kills: what was wrong, how many fired, and which lacked a write."""

    troubles: list[str] = field(default_factory=list)
    done: list[tuple[Lane, Kill]] = field(default_factory=list)
    fired: int = 0
    lacking: list[str] = field(default_factory=list)


async def test_killed_at_any_write_an_operator_comes_to_the_same_end(stage: Stage) -> None:
    lanes = [await stage.make_lane(f"kills-{n}") for n in range(LANES)]
    async with AsyncExitStack() as stack:
        for lane in lanes:
            await stack.enter_async_context(supervised(lane))
        calms = await asyncio.gather(record(lanes[0], ROLLOUT), record(lanes[1], ROLLBACK))
        kills, outcome = [kill for calm in calms for kill in list_kills(calm)], Outcome()
        waiting = deque(kills)
        await asyncio.gather(*(disturb(lane, waiting, outcome) for lane in lanes))
        outcome.troubles += await judge(stage, outcome)
    for calm in calms:
        print(f"\n{calm.play.name}: {len(calm.writes)} writes", *calm.writes, sep="\n  ")
    if outcome.troubles:
        pytest.fail("\n".join(outcome.troubles))
    assert outcome.lacking == [], "these came to the end without a write that it needs"
    assert outcome.fired >= LEAST_FIRED * len(kills)


def list_kills(calm: Calm) -> list[Kill]:
    """Before and after each write."""
    numbers = range(1, len(calm.writes) + 1)
    return [Kill(calm, number, moment) for number in numbers for moment in ("before", "after")]


async def record(lane: Lane, play: Play) -> Calm:
    """Play undisturbed and write down what was written."""
    model = f"{play.name}-calm"
    gate = KillingGate(model, lane.kill)
    await lane.create(play.manifest(model, "v1"))
    await lane.wait_for_phase(model, "Healthy", END_SECONDS)
    lane.proxy.gate = gate
    await lane.change(play.manifest(model, "v2"))
    await lane.wait_for_phase(model, play.phase, END_SECONDS)
    await rest(lane, gate, model)
    lane.proxy.gate = Gate()
    return Calm(play, gate.writes, read_ending(lane.mirror, lane.namespace, model))


async def rest(lane: Lane, gate: KillingGate, model: str) -> None:
    """Wait until nothing was written for a while, and nothing is to come from the cluster.

    Looks are counted at which the operator answers, and no seconds: who stands still, or has not
    heard yet, has not come to rest.
    """
    calm, before, url = 0, -1, f"http://{lane.address}/livez"
    while calm < REST_LOOKS:
        written = len(gate.writes)
        done = written == before and is_at_rest(lane.mirror, lane.namespace, model)
        calm = calm + 1 if done and await asyncio.to_thread(is_ok, url) else 0
        before = written
        await asyncio.sleep(LOOK_SECONDS)


async def disturb(lane: Lane, waiting: deque[Kill], outcome: Outcome) -> None:
    """One lane's kills, one after the other, as long as there are any to be done."""
    while waiting:
        kill = waiting.popleft()
        outcome.done.append((lane, kill))
        await lane.create(kill.calm.play.manifest(kill.model, "v1"))
        await lane.wait_for_phase(kill.model, "Healthy", END_SECONDS)
        gate = await disturb_once(lane, kill)
        if gate.fired.is_set():
            outcome.fired += 1
            await lane.restart()
        elif lacking := find_lacking(kill.calm.writes, gate.writes):
            outcome.lacking.append(f"{kill.model}: {', '.join(lacking)}")
        outcome.troubles += await await_ending(lane, kill)


def find_lacking(calm: list[str], writes: list[str]) -> list[str]:
    """What was written undisturbed and is not here, but for status, which is written by chance."""
    undisturbed, here = (
        Counter(REVISION.sub("", each) for each in all_) for all_ in (calm, writes)
    )
    return [each for each in undisturbed - here if not each.endswith(STATUS)]


async def disturb_once(lane: Lane, kill: Kill) -> KillingGate:
    """Change the model and kill the operator at the wanted write; the gate says whether it came."""
    gate = KillingGate(kill.model, lane.kill, kill.number, kill.moment)
    lane.proxy.gate = gate
    await lane.change(kill.calm.play.manifest(kill.model, "v2"))
    fired, ended = asyncio.create_task(gate.fired.wait()), asyncio.create_task(end(lane, kill))
    await asyncio.wait((fired, ended), return_when=FIRST_COMPLETED)
    resting = asyncio.create_task(rest(lane, gate, kill.model))
    if not fired.done():
        await asyncio.wait((fired, resting), timeout=END_SECONDS, return_when=FIRST_COMPLETED)
    for task in (fired, ended, resting):
        task.cancel()
    lane.proxy.gate = Gate()
    return gate


async def end(lane: Lane, kill: Kill) -> bool:
    """Wait for the undisturbed run's end; whether it came in time."""
    at_the_end = lambda: find_ending(lane, kill) == kill.calm.ending  # noqa: E731 - one line
    return await lane.mirror.wait_until(lane.namespace, at_the_end, END_SECONDS)


def find_ending(lane: Lane, kill: Kill) -> Json:
    """Where a disturbed model is now."""
    return read_ending(lane.mirror, lane.namespace, kill.model)


async def await_ending(lane: Lane, kill: Kill) -> list[str]:
    """Wait for the undisturbed end; in what the one that came differs."""
    if await end(lane, kill):
        return []
    differences = tell_difference(kill.calm.ending, find_ending(lane, kill))
    return [f"{lane.namespace} {kill.model}: {line}" for line in differences]


async def judge(stage: Stage, outcome: Outcome) -> list[str]:
    """What the witness's log says of each model."""
    lanes = {lane.namespace for lane, _ in outcome.done}
    stories = await read_story(stage.witness, stage.mirror, lanes)
    found: list[str] = []
    for lane, kill in outcome.done:
        changes = stories[lane.namespace]
        found += await find_broken(changes, kill.model, blamed=kill.calm.play.crashes)
    return found
