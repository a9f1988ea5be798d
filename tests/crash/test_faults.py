"""An apiserver that errs: the same end as with a good one, no invariant broken, quiet afterwards.

All faults are played side by side, each on an operator with a namespace of its own; the fault goes
on until the end has been seen to be quiet.
"""

import asyncio
from dataclasses import dataclass, field
from functools import partial

import pytest

from tests.crash.conftest import Stage
from tests.crash.ending import Json, is_at_rest, read_ending, tell_difference
from tests.crash.faults import CASES, Case, Fault
from tests.crash.judging import find_broken, read_story
from tests.crash.lane import Lane, supervised
from tests.crash.plays import ROLLBACK, ROLLOUT, Play
from tests.crash.proxy import Gate

pytestmark = [pytest.mark.timeout(2400, func_only=True)]

PLAYS = (ROLLOUT, ROLLBACK)
RESYNC_SECONDS = 4.0
RESYNCS = 3
CALM_SECONDS = 240.0
QUIET_SECONDS = 240.0
MOST_WINDOWS = 3
"Of so many resyncs each; what was on its way when the end was seen may come in the first ones."


@dataclass(slots=True)
class Sound:
    """Where the plays end on a good apiserver; `known` once that has been seen."""

    endings: dict[str, Json] = field(default_factory=dict)
    known: asyncio.Event = field(default_factory=asyncio.Event)


async def test_whatever_the_apiserver_does_a_rollout_ends_as_it_should(stage: Stage) -> None:
    sound, troubles = Sound(), list[str]()
    async with asyncio.TaskGroup() as group:
        group.create_task(play_undisturbed(stage, sound))
        for case in CASES:
            group.create_task(play(stage, case, sound, troubles))
    if troubles:
        pytest.fail("\n".join(troubles))


async def play_undisturbed(stage: Stage, sound: Sound) -> None:
    """Find out where the plays end."""
    async with supervised(await make_lane(stage, "sound", Gate())) as lane:
        await play_soundly(lane, sound)


async def play_soundly(lane: Lane, sound: Sound) -> None:
    """Play both, and note where they ended once nothing is written any more."""
    await settle(lane)
    for its in PLAYS:
        await lane.change(its.manifest(its.name, "v2"))
    for its in PLAYS:
        await lane.wait_for_phase(its.name, its.phase, CALM_SECONDS)
    for its in PLAYS:
        at_rest = partial(is_at_rest, lane.mirror, lane.namespace, its.name)
        assert await lane.mirror.wait_until(lane.namespace, at_rest, CALM_SECONDS)
    assert await check_quiet(lane) == []
    sound.endings = {its.name: read_ending(lane.mirror, lane.namespace, its.name) for its in PLAYS}
    sound.known.set()


async def play(stage: Stage, case: Case, sound: Sound, troubles: list[str]) -> None:
    """Play both under one fault and note whatever is not as it should be."""
    fault = case.make()
    async with supervised(await make_lane(stage, case.name, fault)) as lane:
        troubles += await play_with(lane, case, fault, sound)
        troubles += await judge(stage, lane)


async def play_with(lane: Lane, case: Case, fault: Fault, sound: Sound) -> list[str]:
    """What is not as it should be at the end."""
    troubles: list[str] = []
    await settle(lane)
    fault.begin()
    if case.recreates:
        await recreate(lane)
    for its in PLAYS:
        await lane.change(its.manifest(its.name, "v2"))
    await sound.known.wait()
    begun = asyncio.get_running_loop().time()
    for its in PLAYS:
        troubles += await await_ending(lane, its, sound.endings[its.name], case.seconds)
    print(f"{case.name}: {asyncio.get_running_loop().time() - begun:.0f} s, {fault.struck} struck")
    troubles += await check_quiet(lane)
    return troubles + ([] if fault.struck else [f"{case.name}: the fault was never met"])


async def make_lane(stage: Stage, name: str, gate: Gate | Fault) -> Lane:
    """An operator that lists its objects every few seconds."""
    return await stage.make_lane(name, gate, "--resync-seconds", str(RESYNC_SECONDS))


async def settle(lane: Lane) -> None:
    """Bring both models up at v1."""
    for its in PLAYS:
        await lane.create(its.manifest(its.name, "v1"))
    for its in PLAYS:
        await lane.wait_for_phase(its.name, "Healthy", CALM_SECONDS)


async def recreate(lane: Lane) -> None:
    """Delete both models and, once all that was theirs is gone, create them again."""
    for its in PLAYS:
        await lane.delete(its.name)
    assert await lane.wait_until_empty(CALM_SECONDS)
    await settle(lane)


async def await_ending(lane: Lane, its: Play, wanted: Json, seconds: float) -> list[str]:
    """Wait for the end that a good apiserver gives; in what it differs."""

    def find() -> Json:
        return read_ending(lane.mirror, lane.namespace, its.name)

    if await lane.mirror.wait_until(lane.namespace, lambda: find() == wanted, seconds):
        return []
    return [f"{lane.namespace} {its.name}: {line}" for line in tell_difference(wanted, find())]


async def check_quiet(lane: Lane) -> list[str]:
    """What is written though there is nothing to do, again and again."""
    found: list[str] = []
    for _ in range(MOST_WINDOWS):
        found = await wait_until_quiet(lane)
        if not found:
            break
    return [f"{lane.namespace} is not quiet: {call}" for call in found]


async def wait_until_quiet(lane: Lane) -> list[str]:
    """Let three resyncs go by; what was written meanwhile."""
    begun, deadline = len(lane.proxy.calls), asyncio.get_running_loop().time() + QUIET_SECONDS
    while sum(call.lists("modeldeployments") for call in lane.proxy.calls[begun:]) <= RESYNCS:
        if asyncio.get_running_loop().time() > deadline:
            return ["not even a list"]
        await asyncio.sleep(RESYNC_SECONDS / 4)
    return [f"{call.method} {call}" for call in lane.proxy.calls[begun:] if call.counts]


async def judge(stage: Stage, lane: Lane) -> list[str]:
    """What the witness's log says."""
    changes = (await read_story(stage.witness, lane.mirror, {lane.namespace}))[lane.namespace]
    found = [await find_broken(changes, its.name, blamed=its.crashes) for its in PLAYS]
    return [f"{lane.namespace}: {line}" for lines in found for line in lines]
