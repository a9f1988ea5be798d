"""An independent watch of the ModelDeployments: when each was seen in which condition.

It shares no code with the operator, so that the figures are not the operator's own word.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import aiohttp
import msgspec

from benchmarks.rollouts.api import Api
from benchmarks.rollouts.objects import COLLECTION


class _Metadata(msgspec.Struct, rename="camel"):
    name: str = ""
    resource_version: str = ""
    generation: int = 0


class _Condition(msgspec.Struct):
    type: str
    status: str


class _Status(msgspec.Struct, rename="camel"):
    observed_generation: int = 0
    phase: str = ""
    reason: str = ""
    message: str = ""
    conditions: list[_Condition] = []


class Seen(msgspec.Struct):
    """One ModelDeployment as it was last seen."""

    metadata: _Metadata
    status: _Status = msgspec.field(default_factory=_Status)

    @property
    def is_current(self) -> bool:
        """Whether the status is about the latest spec."""
        return self.status.observed_generation >= self.metadata.generation

    @property
    def is_healthy(self) -> bool:
        """Whether the latest spec is what serves, and nothing is left to do."""
        current = self.is_current and self.status.phase == "Healthy"
        return current and any(
            c.type == "UpToDate" and c.status == "True" for c in self.status.conditions
        )

    def __str__(self) -> str:
        status = self.status
        words = f"{self.metadata.name}: {status.phase or 'no status'} {status.reason}"
        return f"{words} {status.message}".rstrip()


class _Event(msgspec.Struct):
    type: str
    object: Seen


class _List(msgspec.Struct):
    metadata: _Metadata
    items: list[Seen]


_event_decoder = msgspec.json.Decoder(_Event)
_list_decoder = msgspec.json.Decoder(_List)


class StuckError(Exception):
    """Objects did not get where they should within the time; the message names some."""


@dataclass(slots=True)
class _Wait:
    """Somebody who waits for all of `pending` to fulfil `holds`."""

    pending: set[str]
    holds: Callable[[Seen], bool]
    done: asyncio.Future[float]

    def note(self, found: Seen, at: float) -> None:
        """Strike the object off the list if that is what was waited for."""
        if found.metadata.name in self.pending and self.holds(found):
            self.pending.discard(found.metadata.name)
            if not self.pending and not self.done.done():
                self.done.set_result(at)


class Watcher:
    """What the watch saw last of each object; waiting goes by its events, not by asking again.

    A watch that ends (the apiserver drops one that cannot keep up) is begun anew with a list, and
    `interruptions` says so: a moment that fell into one is known a little late.
    """

    def __init__(self, api: Api) -> None:
        self.seen: dict[str, Seen] = {}
        self.interruptions: list[str] = []
        self._api = api
        self._waits: list[_Wait] = []
        self._following: asyncio.Task[None] | None = None

    def start(self) -> asyncio.Task[None]:
        """Follow the collection in a task, until it is cancelled."""
        self._following = asyncio.create_task(self._follow_forever())
        return self._following

    async def wait_for(
        self, names: Iterable[str], holds: Callable[[Seen], bool], seconds: float
    ) -> float:
        """The monotonic time at which the last of them was seen to fulfil it.

        Raises StuckError after so many seconds, and whatever ended the following.
        """
        wait = _Wait(set(names), holds, asyncio.get_running_loop().create_future())
        self._waits.append(wait)
        for found in self.seen.values():
            wait.note(found, time.monotonic())
        try:
            return await self._await_done(wait, seconds)
        finally:
            self._waits.remove(wait)

    async def _await_done(self, wait: _Wait, seconds: float) -> float:
        if self._following is None:
            raise RuntimeError("start the watcher before waiting for what it sees")
        either: set[asyncio.Future[Any]] = {wait.done, self._following}
        await asyncio.wait(either, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if wait.done.done():
            return wait.done.result()
        if self._following.done():
            self._following.result()
        raise StuckError(self._describe(wait.pending, seconds))

    async def _follow_forever(self) -> None:
        while True:
            listed = _list_decoder.decode(await self._api.get(COLLECTION))
            for found in listed.items:
                self._note(found)
            try:
                await self._follow(listed.metadata.resource_version)
                self.interruptions.append("the apiserver ended the watch")
            except (OSError, aiohttp.ClientError) as error:
                self.interruptions.append(repr(error))

    async def _follow(self, since: str) -> None:
        async for line in self._api.watch(COLLECTION, resourceVersion=since):
            event = _event_decoder.decode(line)
            if event.type not in ("ADDED", "MODIFIED"):
                self.interruptions.append(f"{event.type} on the watch")
                return
            self._note(event.object)

    def _note(self, found: Seen) -> None:
        self.seen[found.metadata.name] = found
        at = time.monotonic()
        for wait in self._waits:
            wait.note(found, at)

    def _describe(self, pending: set[str], seconds: float) -> str:
        some = sorted(pending)[:3]
        told = [
            str(self.seen[name]) if name in self.seen else f"{name}: never seen" for name in some
        ]
        return f"{len(pending)} objects not there after {seconds:.0f} s: {'; '.join(told)} …"


@asynccontextmanager
async def watching(api: Api) -> AsyncIterator[Watcher]:
    """A watcher that runs as long as the block does."""
    watcher = Watcher(api)
    task = watcher.start()
    try:
        yield watcher
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
