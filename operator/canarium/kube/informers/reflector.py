"""Keeps a store equal to what the apiserver has of one kind: list once, then watch.

A watch is resumed where it stopped; whatever else happens (an ERROR in the stream, 410, a refused
list) ends in a new list after a jittered backoff, for as long as it takes. A kind that the cluster
doesn't serve is a state of its own and looked for every half minute.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable
from contextlib import aclosing
from typing import Any, Literal

import msgspec

from canarium.errors import ApiError, BugError, CanariumError, NotFoundError, UnavailableError
from canarium.kube.boundary import Boundary
from canarium.kube.client import Client
from canarium.kube.informers.projections.meta import Projection
from canarium.kube.informers.store import Store
from canarium.kube.kinds import Resource
from canarium.kube.queues.backoff import Backoff

logger = logging.getLogger(__name__)

State = Literal["starting", "synced", "absent"]

WATCH_SECONDS = (240, 480)
STEADY_SECONDS = 5.0


class WatchError(CanariumError):
    """The watch said ERROR: what it knows can no longer be trusted, list again."""


class _Event(msgspec.Struct):
    type: str
    object: msgspec.Raw


class _Versioned(msgspec.Struct, rename="camel"):
    resource_version: str = ""
    name: str = ""
    namespace: str = ""


class _Object(msgspec.Struct):
    metadata: _Versioned


_decode_event = msgspec.json.Decoder(_Event).decode
_decode_object = msgspec.json.Decoder(_Object).decode


class Reflector:
    """One kind, cluster-wide or in one namespace, into one store.

    An object that cannot be read is left out, as if it weren't there, and noted; the others of its
    kind are taken in. An optional kind that we may not read is taken for absent: one can work
    without it.
    """

    def __init__(
        self,
        client: Client,
        resource: Resource,
        store: Store[Any],
        project: Projection,
        *,
        selector: str = "",
        namespace: str | None = None,
        optional: bool = False,
        backoff: Backoff | None = None,
        absent_seconds: float = 30.0,
        clock: Callable[[], float] = time.monotonic,
        on_state: Callable[[], None] | None = None,
        boundary: Boundary | None = None,
    ) -> None:
        self.resource = resource
        self.namespace = namespace
        self.state: State = "starting"
        self.problem = ""
        self._client = client
        self._store = store
        self._project = project
        self._selector = selector
        self._optional = optional
        self._backoff = backoff or Backoff(first_seconds=0.5, longest_seconds=30.0)
        self._absent_seconds = absent_seconds
        self._clock = clock
        self._on_state = on_state or (lambda: None)
        self._boundary = boundary or Boundary()
        self._heard_at = float("-inf")
        self._version = ""
        self._failures = 0
        self.synced = asyncio.Event()
        self.settled = asyncio.Event()
        "Synced, or refused for want of a right: others need not wait for it any longer."

    @property
    def age(self) -> float:
        """Seconds since the apiserver last said anything at all about this kind."""
        return self._clock() - self._heard_at

    async def run(self) -> None:
        """List and watch until cancelled."""
        while True:
            delay = await self._advance()
            await asyncio.sleep(delay)

    async def _advance(self) -> float:
        """One list (when needed) and one watch; the seconds to wait before the next."""
        try:
            if not self._version:
                await self._list()
            await self._watch()
        except NotFoundError:
            return self._note_absence()
        except UnavailableError as error:
            return self._note_failure(error)
        except (ApiError, WatchError, msgspec.DecodeError) as error:
            self._version = ""
            if self._optional and isinstance(error, ApiError) and error.status == 403:
                return self._note_ban(error)
            if isinstance(error, ApiError) and error.status == 403:
                self.problem = str(error)
                self.settled.set()
            return self._note_failure(error)
        except Exception as error:  # noqa: BLE001 - the other kinds need this process
            self._version = ""
            words = self._boundary.note("Projecting", self.resource.plural, error)
            return self._note_failure(BugError(words))
        return 0.0

    async def _list(self) -> None:
        records: list[Any] = []
        version = ""
        async for page in self._client.list_pages(self.resource, self.namespace, self._selector):
            records += filter(None, map(self._read, page.items or ()))
            version = page.metadata.resource_version
            self._hear()
        self._store.replace(records, version, self.namespace)
        self._version = version
        self._enter("synced")

    async def _watch(self) -> None:
        started = self._clock()
        seconds = random.randint(*WATCH_SECONDS)  # noqa: S311 - spreads reconnections
        stream = self._client.watch(
            self.resource, self.namespace, self._selector, self._version, seconds
        )
        async with aclosing(stream) as lines:
            async for line in lines:
                self._take(_decode_event(line))
                self._failures = 0
        self._hear()
        if self._clock() - started < STEADY_SECONDS:
            raise UnavailableError(f"watch of {self.resource.plural} ended at once")

    def _take(self, event: _Event) -> None:
        if event.type == "ERROR":
            raise WatchError(f"watch of {self.resource.plural}: {bytes(event.object).decode()}")
        self._hear()
        meta = _decode_object(event.object).metadata
        self._version = meta.resource_version or self._version
        if event.type == "DELETED":
            self._store.drop(meta.namespace, meta.name, meta.resource_version)
        elif event.type in {"ADDED", "MODIFIED"}:
            record = self._read(event.object)
            if record is None:
                self._store.drop(meta.namespace, meta.name, meta.resource_version)
            else:
                self._store.put(record)

    def _read(self, raw: msgspec.Raw) -> Any:
        """The record of one object; None when it cannot be read."""
        try:
            return self._project(raw)
        except Exception as error:  # noqa: BLE001 - one object must not hide all others
            self._boundary.note("Projecting", self._name(raw), error)
            return None

    def _name(self, raw: msgspec.Raw) -> str:
        meta = _decode_object(raw).metadata
        return f"{self.resource.plural} {meta.namespace}/{meta.name}"

    def _hear(self) -> None:
        self._heard_at = self._clock()

    def _note_absence(self) -> float:
        self._hear()
        self._store.replace((), "", self.namespace)
        self._version = ""
        self._failures = 0
        self._enter("absent")
        return self._absent_seconds * random.uniform(0.75, 1.25)  # noqa: S311 - spreads load

    def _note_ban(self, error: ApiError) -> float:
        if self.state != "absent":
            logger.warning("%s are taken for absent: %s", self.resource.plural, error)
        delay = self._note_absence()
        self.problem = str(error)
        return delay

    def _note_failure(self, error: CanariumError | msgspec.DecodeError) -> float:
        self._failures += 1
        self.problem = str(error)
        level = logging.WARNING if self._failures > 1 else logging.INFO
        logger.log(level, "cache of %s: %s", self.resource.plural, error)
        asked = error.retry_after_seconds if isinstance(error, UnavailableError) else 0.0
        return max(asked, self._backoff.compute(self._failures))

    def _enter(self, state: State) -> None:
        changed, self.state, self.problem = state != self.state, state, ""
        self.synced.set()
        self.settled.set()
        if changed:
            self._on_state()
