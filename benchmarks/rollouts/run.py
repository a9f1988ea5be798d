"""One run: create N objects, roll them all, let them rest, then change one at a time."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from benchmarks.rollouts.api import Api, RefusedError, connect, read_access
from benchmarks.rollouts.audit import Request, Tail, find_last_write, tally
from benchmarks.rollouts.objects import (
    COLLECTION,
    NAMESPACE,
    make_name,
    make_object,
    make_version_patch,
)
from benchmarks.rollouts.report import Figures
from benchmarks.rollouts.usage import read_usage
from benchmarks.rollouts.watcher import Seen, StuckError, Watcher, watching

IN_FLIGHT = 32
AUDIT_PERIOD_SECONDS = 0.5
QUIET_SECONDS = 8.0
"""The operator rests when it has written nothing for so long.

Longer than any hold of ours, and than a machine stands still that then goes on."""


@dataclass(frozen=True, slots=True)
class Setting:
    """Where and how large: `patience_seconds` is the longest that any one phase may take."""

    objects: int
    samples: int
    rest_seconds: float
    kubeconfig: Path
    audit_log: Path
    operator_pid: int
    patience_seconds: float = 900.0


@dataclass(slots=True)
class Run:
    """A run in progress."""

    setting: Setting
    api: Api
    watcher: Watcher
    say: Callable[[str], None]
    requests: list[Request] = field(default_factory=list)
    version: int = 1

    @property
    def names(self) -> list[str]:
        """All the objects' names."""
        return [make_name(index) for index in range(self.setting.objects)]

    async def create(self) -> float:
        """Seconds until all are Healthy."""
        self.say(f"creating {self.setting.objects} ModelDeployments of 2 replicas")
        begun = time.monotonic()
        await _in_flight(partial(self.api.post, COLLECTION, make_object(i)) for i in self._all)
        return await self._wait_for(self.names, lambda seen: seen.is_healthy) - begun

    async def roll(self) -> float:
        """Seconds from the first change until all are UpToDate and Healthy again."""
        self.say("rolling all of them: 20 % for 1 s, 50 % for 1 s, 100 %")
        begun = time.monotonic()
        self.version += 1
        await _in_flight(partial(self._change, name) for name in self.names)
        done = await self._wait_for(self.names, self._has(2, healthy=True))
        return done - begun

    async def sample(self, name: str) -> float:
        """Seconds from sending one change until its first status; waits for it to rest after."""
        self.version += 1
        generation = self.watcher.seen[name].metadata.generation + 1
        begun = time.monotonic()
        told = asyncio.create_task(self._wait_for([name], self._has(generation, healthy=False)))
        await self._change(name)
        seconds = await told - begun
        await self._wait_for([name], self._has(generation, healthy=True))
        return seconds

    async def wait_until_quiet(self) -> None:
        """Until the audit log shows no write of the operator's for a while, but the Lease's."""
        begun = time.time()
        while time.time() - max(begun, find_last_write(self.requests)) < QUIET_SECONDS:
            await asyncio.sleep(AUDIT_PERIOD_SECONDS)
            if time.time() - begun > self.setting.patience_seconds:
                raise StuckError("the operator goes on writing though all objects are Healthy")

    @property
    def _all(self) -> range:
        return range(self.setting.objects)

    @staticmethod
    def _has(generation: int, *, healthy: bool) -> Callable[[Seen], bool]:
        def holds(seen: Seen) -> bool:
            told = seen.status.observed_generation >= generation
            return told and (seen.is_healthy or not healthy)

        return holds

    async def _change(self, name: str) -> None:
        await self.api.merge(f"{COLLECTION}/{name}", make_version_patch(self.version))

    async def _wait_for(self, names: Iterable[str], holds: Callable[[Seen], bool]) -> float:
        return await self.watcher.wait_for(names, holds, self.setting.patience_seconds)


async def measure(setting: Setting, say: Callable[[str], None]) -> Figures:
    """All phases against a cluster and an operator that run already."""
    async with connect(read_access(setting.kubeconfig)) as api:
        await _make_namespace(api)
        async with watching(api) as watcher:
            run = Run(setting, api, watcher, say)
            follower = asyncio.create_task(_follow(setting.audit_log, run.requests))
            try:
                return await _measure_phases(run)
            finally:
                follower.cancel()
                with suppress(asyncio.CancelledError):
                    await follower


async def _measure_phases(run: Run) -> Figures:
    setting, begun = run.setting, time.time()
    create_seconds = await run.create()
    run.say(f"created in {create_seconds:.1f} s; waiting for the operator to rest")
    await run.wait_until_quiet()
    before, since = read_usage(setting.operator_pid), time.time()
    roll_seconds = await run.roll()
    rolled = read_usage(setting.operator_pid)
    run.say(f"rolled in {roll_seconds:.1f} s; waiting for the operator to rest")
    await run.wait_until_quiet()
    after, until = read_usage(setting.operator_pid), time.time()
    run.say(f"resting for {setting.rest_seconds:.0f} s")
    await asyncio.sleep(setting.rest_seconds)
    rested, idle = time.time(), read_usage(setting.operator_pid)
    latencies = await _sample_all(run)
    for reason in run.watcher.interruptions:
        run.say(f"the benchmark's own watch was interrupted: {reason}")
    await asyncio.sleep(2 * AUDIT_PERIOD_SECONDS)
    return Figures(
        objects=setting.objects,
        create_seconds=create_seconds,
        roll_seconds=roll_seconds,
        cpu_seconds=after.cpu_seconds - before.cpu_seconds,
        resident_mib=rolled.resident_mib,
        peak_mib=read_usage(setting.operator_pid).peak_mib,
        creating=tally(run.requests, since=begun, until=since),
        rolling=tally(run.requests, since=since, until=until),
        resting=tally(run.requests, since=until, until=rested),
        rest_seconds=rested - until,
        rest_cpu_seconds=idle.cpu_seconds - after.cpu_seconds,
        latencies=latencies,
    )


async def _sample_all(run: Run) -> tuple[float, ...]:
    """Change one object at a time, spread over all of them."""
    run.say(f"changing one at a time, {run.setting.samples} times")
    stride = max(1, run.setting.objects // run.setting.samples)
    chosen = [run.names[i * stride % run.setting.objects] for i in range(run.setting.samples)]
    found = []
    for number, name in enumerate(chosen, 1):
        found.append(await run.sample(name))
        if number % 10 == 0:
            run.say(f"  {number} of {len(chosen)} changes, the last took {1000 * found[-1]:.0f} ms")
    return tuple(found)


async def _in_flight(calls: Iterable[Callable[[], Awaitable[object]]]) -> None:
    """Make the calls, so many at once."""
    waiting: Sequence[Callable[[], Awaitable[object]]] = list(calls)
    iterator = iter(waiting)

    async def work() -> None:
        for call in iterator:
            await call()

    async with asyncio.TaskGroup() as group:
        for _ in range(min(IN_FLIGHT, len(waiting))):
            group.create_task(work())


async def _make_namespace(api: Api) -> None:
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    try:
        await api.post("/api/v1/namespaces", body)
    except RefusedError as error:
        raise RefusedError(f"the benchmark wants a fresh cluster: {error}") from error


async def _follow(path: Path, requests: list[Request]) -> None:
    """Read the audit log as it grows, so that its rotation loses nothing."""
    tail = Tail(path)
    try:
        while True:
            requests.extend(tail.read())
            await asyncio.sleep(AUDIT_PERIOD_SECONDS)
    finally:
        tail.close()
