"""What the kubelet says of a pod that doesn't get ready: its events, read now and then.

No watch: clusters have more events than anything else, and of nearly all pods nobody wants to know.
One pod of an object at a time, a small list each, a few at once; what fails is tried again later.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
from typing import Protocol

import msgspec

from canarium.core.observed import PodEvent
from canarium.core.plan import Inspect
from canarium.core.text import quote
from canarium.errors import ApiError, CanariumError
from canarium.kube.client import Client
from canarium.kube.informers.store import Key
from canarium.kube.kinds import CORE_EVENTS

logger = logging.getLogger(__name__)

AGAIN_SECONDS = 15.0
FORBIDDEN_SECONDS = 300.0
AT_ONCE = 4
TELLING = frozenset(
    {"Unhealthy", "FailedMount", "FailedAttachVolume", "FailedMapVolume", "FailedCreatePodSandBox"}
)
"Reasons of the kubelet's that tell why a pod isn't ready; others are told by its status."


class _Series(msgspec.Struct, rename="camel"):
    last_observed_time: str | None = None


class _Event(msgspec.Struct, rename="camel"):
    reason: str | None = None
    message: str | None = None
    last_timestamp: str | None = None
    event_time: str | None = None
    series: _Series | None = None

    @property
    def at(self) -> str:
        """When it was last seen, as RFC 3339: of one format, so that texts compare."""
        last = self.series.last_observed_time if self.series else None
        return last or self.last_timestamp or self.event_time or ""


_decode = msgspec.json.Decoder(_Event).decode


class Places(Protocol):
    """Who may ask at once: so many for all, of which each namespace has its share."""

    def hold(self, owner: str, amount: int) -> AbstractAsyncContextManager[None]:
        """Hold so many places during a block, as soon as there are any."""


class PodEvents:
    """Reads the events of one pod of each object that asks for it."""

    def __init__(self, client: Client, wake: Callable[[Key], None], places: Places) -> None:
        self._client = client
        self._wake = wake
        self._places = places
        self._tasks: dict[Key, tuple[Inspect, asyncio.Task[None]]] = {}
        self._said: dict[Key, PodEvent] = {}

    def ensure(self, key: Key, inspect: Inspect | None) -> None:
        """Have exactly this pod asked about from now on; None for none."""
        running = self._tasks.get(key)
        if running is not None and running[0] == inspect:
            return
        if running is not None:
            running[1].cancel()
            del self._tasks[key]
            self._said.pop(key, None)
        if inspect is not None:
            self._tasks[key] = inspect, asyncio.create_task(self._ask(key, inspect))

    def said(self, key: Key) -> PodEvent | None:
        """What was said last of the pod that is asked about."""
        return self._said.get(key)

    async def close(self) -> None:
        """End all asking."""
        tasks = [task for _, task in self._tasks.values()]
        self._tasks.clear()
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task

    async def _ask(self, key: Key, inspect: Inspect) -> None:
        while True:
            seconds = AGAIN_SECONDS
            try:
                async with self._places.hold(key[0], 1):
                    said = await self._read(key[0], inspect)
            except CanariumError as error:
                is_forbidden = isinstance(error, ApiError) and error.status == 403
                seconds = FORBIDDEN_SECONDS if is_forbidden else AGAIN_SECONDS
                logger.info("the events of pod %s/%s: %s", key[0], inspect.pod, error)
            else:
                self._note(key, said)
            await asyncio.sleep(seconds)

    def _note(self, key: Key, said: PodEvent | None) -> None:
        if said is not None and said != self._said.get(key):
            self._said[key] = said
            self._wake(key)

    async def _read(self, namespace: str, inspect: Inspect) -> PodEvent | None:
        """The last event that tells something; of a page only, which is far more than a pod has."""
        fields = f"involvedObject.uid={inspect.uid}"
        pages = self._client.list_pages(CORE_EVENTS, namespace, fields=fields)
        async for page in pages:
            found = [_read_event(item) for item in page.items or ()]
            telling = [event for event in found if event.reason in TELLING and event.message]
            last = max(telling, key=lambda event: event.at, default=None)
            if last is None:
                return None
            return PodEvent(inspect.pod, last.reason or "", quote(last.message or ""))
        return None


def _read_event(raw: msgspec.Raw) -> _Event:
    try:
        return _decode(raw)
    except msgspec.DecodeError:
        return _Event()
