"""A leader ends, is killed, is stopped and wakes, or loses its Lease, each in mid-rollout.

Times are the Lease's own, so that a slow machine is not taken for a slow takeover.
"""

import asyncio
import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.crash.conftest import Stage
from tests.crash.judging import find_broken, read_story
from tests.crash.lane import LEASE
from tests.crash.plays import Play
from tests.crash.proxy import Call
from tests.crash.standby import LEASES, Holding, HoldingGate, Pair, paired

pytestmark = [pytest.mark.timeout(900, func_only=True)]

PLAY = Play("standby", hold="4s", crashes=False, phase="Healthy")
EXPIRY_SECONDS = 15.0
MOST_SECONDS = 60.0
MOST_CLEAN_SECONDS = 10.0
"Less than a Lease takes to expire, with room for a slow machine; figures: docs/operations.md."
END_SECONDS = 120.0
MODELS = ("due", "growing", "shifting")
LONGER = "15s"


async def end_well(stage: Stage) -> None:
    async with paired(stage, "ends") as pair:
        await begin(pair, "ending")
        begun = time.time()
        assert pair.leader.child is not None
        assert await asyncio.to_thread(pair.leader.child.end) == 0
        taken = await pair.wait_for_takeover()
        (given_back,) = (each for each in pair.leases.holdings if not each.holder)
        say("a leader that ends", taken.written_at - begun)
        assert begun <= given_back.written_at <= taken.written_at < begun + MOST_CLEAN_SECONDS
        await finish(stage, pair, "ending")


async def be_killed(stage: Stage, directory: Path) -> None:
    """The one that takes over has other defaults, which change nothing midway."""
    before, after = (write_defaults(directory, deadline) for deadline in ("9m", "8m"))
    async with paired(stage, "killed", *before, standing_by=after) as pair:
        await begin(pair, "killing")
        killed = time.time()
        await pair.leader.end_at_once()
        taken = await pair.wait_for_takeover()
        asked = len(pair.standby.proxy.calls)
        say("a leader that is killed", taken.written_at - killed)
        assert_expired(pair, taken)
        await finish(stage, pair, "killing")
        assert [str(call) for call in pair.standby.proxy.calls[asked:] if lists(call)] == []
        own = PLAY.manifest("killing", "v2")["spec"]["rollout"]
        given = {"progressDeadline": "9m", "defaulted": ["progressDeadline"]}
        assert pair.terms("killing", "v2") == [{**own, **given}]


def assert_expired(pair: Pair, taken: Holding) -> None:
    """Nobody took the Lease before its time, and nobody let it lie for long."""
    since = taken.written_at - pair.leases.last_of(pair.identity).written_at
    assert EXPIRY_SECONDS <= since < MOST_SECONDS


def write_defaults(directory: Path, deadline: str) -> tuple[str, str]:
    """The option for defaults of a cluster."""
    file = directory / f"defaults-{deadline}.yaml"
    file.write_text(f"progressDeadline: {deadline}\n")
    return "--defaults", str(file)


def lists(call: Call) -> bool:
    """Whether children are listed: one that has stood by knows them."""
    plain = call.method == "GET" and not call.watch and not call.name
    measured = call.path.startswith("/apis/metrics.k8s.io/")
    return plain and not measured and call.resource not in ("", "modeldeployments")


async def be_stopped_and_wake(stage: Stage) -> None:
    """It is stopped with a weight and a scale on their way, which arrive when they are history.

    A third model is in a hold, which is over when it wakes: that has it write at once, if it can.
    """
    async with paired(stage, "stopped") as pair:
        await asyncio.gather(*(pair.serve(PLAY, model) for model in MODELS))
        await pair.roll(replace(PLAY, hold=LONGER), "due")
        await pair.roll(replace(PLAY, hold="1h"), "growing")
        gate = HoldingGate(deployments="growing", httproutes="shifting")
        pair.leader.proxy.gate = gate
        await pair.go_on("growing")
        await pair.lane.change(PLAY.manifest("shifting", "v2"))
        await asyncio.wait_for(gate.held.wait(), END_SECONDS)
        child = pair.leader.child
        assert child is not None
        os.kill(child.process.pid, signal.SIGSTOP)
        stopped = time.time()
        try:
            taken = await pair.wait_for_takeover()
            say("a leader that is stopped", taken.written_at - stopped)
            assert_expired(pair, taken)
            for model in MODELS:
                await pair.finish(model)
            gate.let_go.set()
            await asyncio.wait_for(gate.answered.wait(), END_SECONDS)
            asked = len(pair.leader.proxy.calls)
        finally:
            os.kill(child.process.pid, signal.SIGCONT)
        code = await asyncio.to_thread(child.process.wait, END_SECONDS)
        pair.leader.child = None
        sent = [f"{call.method} {call}" for call in pair.leader.proxy.calls[asked:] if writes(call)]
        assert (code, sent) == (1, []), child.tail()
        assert gate.statuses == {"deployments": 409, "httproutes": 409}
        assert "is lost" in child.tail()
        assert pair.leases.holder == taken.holder
        for model in MODELS:
            await finish(stage, pair, model)


def writes(call: Call) -> bool:
    """Whether it is a write of any kind but of the Lease."""
    return call.method != "GET" and call.resource != "leases"


async def lose_the_lease(stage: Stage) -> None:
    async with paired(stage, "deleted") as pair:
        await begin(pair, "deleting")
        deleted = time.time()
        await stage.api.delete(f"{LEASES.format(pair.leader.namespace)}/{LEASE}")
        await pair.leases.wait_until(lambda: len(pair.leases.since_deleted()) > 1)
        without = pair.leases.since_deleted()[0].written_at - deleted
        say("a Lease that is deleted", without)
        assert without < MOST_CLEAN_SECONDS
        await finish(stage, pair, "deleting")
        holders = {each.holder for each in pair.leases.since_deleted()}
        assert len(holders) == 1
        await end_the_one_that_lost(pair, holders.pop())


async def end_the_one_that_lost(pair: Pair, holder: str) -> None:
    """Who led before goes on, or ends because somebody else was quicker."""
    child = pair.leader.child
    assert child is not None
    if holder != pair.identity:
        assert await asyncio.to_thread(child.process.wait, END_SECONDS) == 1
        assert "is lost" in child.tail()
        pair.leader.child = None


async def begin(pair: Pair, model: str) -> None:
    await pair.serve(PLAY, model)
    await pair.roll(PLAY, model)


async def finish(stage: Stage, pair: Pair, model: str) -> None:
    """The rollout ends as it should, and no invariant was broken on the way."""
    await pair.finish(model)
    namespace = pair.lane.namespace
    stories = await read_story(stage.witness, stage.mirror, {namespace})
    assert await find_broken(stories[namespace], model, blamed=False) == []


def say(what: str, seconds: float) -> None:
    print(f"\n{what}: {seconds:.1f} s until one led again")


async def test_a_leader_that_ends_or_loses_its_lease_is_followed_at_once(
    stage: Stage,
) -> None:
    async with asyncio.TaskGroup() as acts:
        acts.create_task(end_well(stage))
        acts.create_task(lose_the_lease(stage))


async def test_a_leader_that_is_killed_or_stopped_is_followed_when_its_lease_has_expired(
    stage: Stage, tmp_path: Path
) -> None:
    async with asyncio.TaskGroup() as acts:
        acts.create_task(be_killed(stage, tmp_path))
        acts.create_task(be_stopped_and_wake(stage))
