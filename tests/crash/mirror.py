"""What the cluster has now, in memory: one list and one watch a kind, for all lanes of a test.

Waiting goes by events. It is the tests' own view, by the admin's credentials and past the proxies.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from benchmarks.rollouts.api import Api
from testbed.operators.apiserver import COLLECTIONS

Json = dict[str, Any]
KINDS = ("ModelDeployment", "ModelRevision", "Deployment", "Service", "HTTPRoute", "Pod")
Key = tuple[str, str, str]
Listener = Callable[[str, Json], None]


class Mirror:
    """Objects by (kind, namespace, name); `listeners` hear of each that is new or has changed."""

    def __init__(self, api: Api, namespace: str | None = None) -> None:
        self.objects: dict[Key, Json] = {}
        self.listeners: list[Listener] = []
        self._api = api
        self._namespace = namespace
        self._waiters: defaultdict[str, set[asyncio.Future[None]]] = defaultdict(set)
        self._failure: BaseException | None = None

    def find(self, kind: str, namespace: str, name: str) -> Json | None:
        """One object, or None."""
        return self.objects.get((kind, namespace, name))

    def all_of(self, namespace: str, *kinds: str) -> list[tuple[str, Json]]:
        """All objects of a namespace, of these kinds, in an order that doesn't change."""
        return [
            (key[0], found)
            for key, found in sorted(self.objects.items())
            if key[1] == namespace and key[0] in kinds
        ]

    async def wait_until(self, namespace: str, holds: Callable[[], bool], seconds: float) -> bool:
        """Wait for something to hold of a namespace; False when it didn't in time."""
        try:
            async with asyncio.timeout(seconds):
                while not holds():
                    await self._next_change(namespace)
        except TimeoutError:
            return False
        return True

    async def _next_change(self, namespace: str) -> None:
        if self._failure is not None:
            raise RuntimeError("the tests' own view of the cluster broke") from self._failure
        waiter = asyncio.get_running_loop().create_future()
        self._waiters[namespace].add(waiter)
        try:
            await waiter
        finally:
            self._waiters[namespace].discard(waiter)

    def _wake(self, namespace: str) -> None:
        for waiter in self._waiters[namespace]:
            if not waiter.done():
                waiter.set_result(None)

    def fail(self, task: asyncio.Task[None]) -> None:
        """One kind is no longer followed: whoever waits hears of it."""
        if not task.cancelled():
            self._failure = task.exception()
            for namespace in list(self._waiters):
                self._wake(namespace)

    async def follow(self, kind: str) -> None:
        """List one kind and follow it, until cancelled."""
        path = COLLECTIONS[kind].path(self._namespace)
        listed = msgspec.json.decode(await self._api.get(path))
        for item in listed["items"]:
            self._take("ADDED", kind, item)
        since = listed["metadata"]["resourceVersion"]
        while True:
            async for line in self._api.watch(path, resourceVersion=since):
                event = msgspec.json.decode(line)
                if event["type"] == "ERROR":
                    raise RuntimeError(f"the test's own watch of {kind} failed: {event['object']}")
                since = event["object"]["metadata"]["resourceVersion"]
                self._take(event["type"], kind, event["object"])

    def _take(self, change: str, kind: str, found: Json) -> None:
        about = found["metadata"]
        key = (kind, about["namespace"], about["name"])
        if change == "DELETED":
            self.objects.pop(key, None)
        else:
            self.objects[key] = found
        self._wake(about["namespace"])
        if change != "DELETED":
            for listener in self.listeners:
                listener(kind, found)


@asynccontextmanager
async def mirroring(api: Api, namespace: str | None = None) -> AsyncIterator[Mirror]:
    """A mirror that follows all kinds (in one namespace) as long as the block lasts."""
    mirror = Mirror(api, namespace)
    tasks = [asyncio.create_task(mirror.follow(kind)) for kind in KINDS]
    for task in tasks:
        task.add_done_callback(mirror.fail)
    try:
        yield mirror
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
