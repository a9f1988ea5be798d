"""What lies between the operator and the apiserver: time, trouble, and the operator's own death.

A `Connection` is what one operator process has. Requests take their time both ways, watches lag
behind by kind, so that kinds are seen in another order than they were written in.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any, Literal

import msgspec

from canarium.errors import ApiError, ConflictError, GoneError, UnavailableError
from canarium.kube.client import ListMeta, Page
from canarium.kube.clock import ClusterClock
from canarium.kube.kinds import Resource
from canarium.sim.apiserver import ApiServer, Change, Key, Stored, labels_of
from canarium.sim.fields import Json

Trouble = Literal["Conflict", "Error", "Lost"]
"""409 instead of the write, 500 instead of it, or done but the answer never arrives."""
Moment = Literal["before", "after"]

OPERATOR = "canarium"
LOST_AFTER_SECONDS = 5.0
"How long a request whose answer is lost is waited for."

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


@dataclass(frozen=True, slots=True)
class Request:
    """One request of the operator; `number` counts its writes from 1, reads have 0."""

    verb: str
    kind: str
    key: Key
    number: int = 0

    def __str__(self) -> str:
        return f"{self.verb} {self.kind} {self.key[1]}"


@dataclass(frozen=True, slots=True)
class Crash:
    """Kill the operator right before or after its write with this number."""

    write: int
    moment: Moment


@dataclass(slots=True)
class Network:
    """How things are between any operator and the apiserver; change it while it runs.

    `lags` are seconds by kind until a watch tells of a change, `lag_seconds` for all other kinds;
    `forbidden` are kinds that the operator may not list or watch.
    `trouble` says what goes wrong with a write; `note` hears of every write that is sent.
    """

    latency_seconds: float = 0.004
    lag_seconds: float = 0.02
    lags: dict[str, float] = field(default_factory=dict)
    forbidden: set[str] = field(default_factory=set)
    trouble: Callable[[Request], Trouble | None] = lambda _request: None
    note: Callable[[Request], None] = lambda _request: None
    crash: Crash | None = None
    writes: int = 0
    "Writes that were sent so far, by all operators."

    def lag(self, kind: str) -> float:
        """Seconds until a change of this kind is seen."""
        return self.lags.get(kind, self.lag_seconds)


class Connection:
    """The client of one operator process (`kube.client.Api`); dead, it never answers again."""

    def __init__(
        self,
        server: ApiServer,
        network: Network,
        on_crash: Callable[[], None],
        clock: ClusterClock,
    ) -> None:
        self.dead = False
        self.clock = clock
        self._server = server
        self._network = network
        self._on_crash = on_crash
        self._streams: dict[str, list[_Stream]] = {}

    def cut(self, kind: str, error: Exception | None = None) -> None:
        """End the watches of a kind, as a connection that breaks does, or with another error."""
        for stream in self._streams.get(kind, ()):
            stream.put(error or UnavailableError(f"watch of {kind}: connection reset"))

    async def get(self, resource: Resource, namespace: str | None, name: str) -> bytes:
        """Read one object."""
        request = Request("get", resource.kind, (namespace or "", name))
        return await self._ask(request, lambda: self._server.get(*_place(request)))

    async def create(
        self, resource: Resource, namespace: str | None, body: Mapping[str, Any], manager: str
    ) -> bytes:
        """Create an object that must not exist."""
        key, plain = (namespace or "", str(body["metadata"]["name"])), _plain(body)
        request = self._write("create", resource, key)
        return await self._ask(
            request, lambda: self._server.create(resource.kind, key[0], plain, manager)
        )

    async def apply(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        body: Mapping[str, Any],
        manager: str,
        *,
        force: bool,
    ) -> bytes:
        """Server-side apply."""
        request, plain = self._write("apply", resource, (namespace or "", name)), _plain(body)
        return await self._ask(
            request, lambda: self._server.apply(*_place(request), plain, manager, force=force)
        )

    async def patch_status(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        status: Mapping[str, Any],
        *,
        resource_version: str,
        manager: str,
    ) -> bytes:
        """Write the whole status over the version that was read."""
        request, plain = self._write("status", resource, (namespace or "", name)), _plain(status)
        return await self._ask(
            request,
            lambda: self._server.replace_status(*_place(request), plain, resource_version, manager),
        )

    async def merge(
        self,
        resource: Resource,
        namespace: str | None,
        name: str,
        body: Mapping[str, Any],
        *,
        manager: str,
        subresource: str | None = None,
    ) -> bytes:
        """JSON merge patch."""
        request, plain = self._write("merge", resource, (namespace or "", name)), _plain(body)
        return await self._ask(
            request, lambda: self._server.merge(*_place(request), plain, manager, subresource)
        )

    async def delete(
        self, resource: Resource, namespace: str | None, name: str, uid: str, resource_version: str
    ) -> bytes:
        """Delete exactly this object."""
        request = self._write("delete", resource, (namespace or "", name))
        return await self._ask(
            request,
            lambda: self._server.delete(*_place(request), OPERATOR, uid, resource_version),
        )

    async def list_pages(
        self,
        resource: Resource,
        namespace: str | None = None,
        selector: str = "",
        *,
        fields: str = "",
    ) -> AsyncIterator[Page]:
        """The whole list as one page; by fields one object is selected, by its name."""
        key, _, name = fields.partition("=")
        if key not in ("", "metadata.name"):
            raise ApiError(400, "BadRequest", "the simulated apiserver has no such field")
        await self._travel()
        self._check_allowed(resource)
        found = self._server.list(resource.kind)
        items = [
            msgspec.Raw(stored.raw)
            for stored in found
            if _is_wanted(stored.body, namespace, selector)
            and name in ("", stored.body["metadata"]["name"])
        ]
        page = Page(ListMeta(resource_version=self._server.version), items)
        await self._travel()
        self._hear()
        yield page

    async def watch(
        self,
        resource: Resource,
        namespace: str | None,
        selector: str,
        resource_version: str,
        timeout_seconds: int,
    ) -> AsyncGenerator[bytes, None]:
        """The lines of a watch, each as late as the network says."""
        await self._travel()
        self._check_allowed(resource)
        stream = _Stream(self._network, resource.kind, namespace, selector)
        stop = self._server.watch(resource.kind, resource_version, stream.take)
        streams = self._streams.setdefault(resource.kind, [])
        streams.append(stream)
        end = asyncio.get_running_loop().call_later(timeout_seconds, stream.put, None)
        try:
            while (line := await stream.next()) is not None:
                yield line
        finally:
            end.cancel()
            stop()
            streams.remove(stream)

    def _check_allowed(self, resource: Resource) -> None:
        if resource.kind in self._network.forbidden:
            raise ApiError(403, "Forbidden", f'User "{OPERATOR}" cannot list {resource.plural}')

    def _write(self, verb: str, resource: Resource, key: Key) -> Request:
        self._network.writes += 1
        return Request(verb, resource.kind, key, self._network.writes)

    async def _ask(self, request: Request, act: Callable[[], Stored | Json]) -> bytes:
        """Send a request and wait for its answer, unless something happens on the way."""
        await self._travel()
        trouble = self._network.trouble(request) if request.number else None
        await self._die_at(request, "before")
        if request.number:
            self._network.note(request)
        try:
            _refuse(trouble, request)
            answer = act()
        finally:
            await self._die_at(request, "after")
        if trouble == "Lost":
            await asyncio.sleep(LOST_AFTER_SECONDS)
            raise UnavailableError(f"{request}: no answer")
        await self._travel()
        self._hear()
        return answer.raw if isinstance(answer, Stored) else _encode(answer)

    def _hear(self) -> None:
        """What every answer says in its Date header, in whole seconds."""
        date = format_datetime(datetime.fromtimestamp(self._server.time_of_day(), UTC), usegmt=True)
        self.clock.hear(date, asyncio.get_running_loop().time())

    async def _travel(self) -> None:
        await asyncio.sleep(self._network.latency_seconds)
        if self.dead:
            await asyncio.get_running_loop().create_future()

    async def _die_at(self, request: Request, moment: Moment) -> None:
        if self._network.crash != Crash(request.number, moment):
            return
        self.dead, self._network.crash = True, None
        self._on_crash()
        await asyncio.get_running_loop().create_future()


class _Stream:
    """One watch: changes go in as they happen and come out as lines, late but in order."""

    def __init__(self, network: Network, kind: str, namespace: str | None, selector: str) -> None:
        self._network = network
        self._kind = kind
        self._namespace = namespace
        self._selector = selector
        self._loop = asyncio.get_running_loop()
        self._lines: asyncio.Queue[bytes | Exception | None] = asyncio.Queue()
        self._last = 0.0

    def take(self, change: Change) -> None:
        """A change happened; what leaves the selection looks deleted, what enters it new."""
        is_in = self._is_wanted(change.after) and change.type != "DELETED"
        was_in = change.before is not None and self._is_wanted(change.before)
        if not is_in and not was_in:
            return
        type_ = ("MODIFIED" if was_in else "ADDED") if is_in else "DELETED"
        line = b'{"type":"%s","object":%s}' % (type_.encode(), change.after.raw)
        self._last = max(self._last, self._loop.time() + self._network.lag(self._kind))
        self._loop.call_at(self._last, self.put, line)

    def put(self, line: bytes | Exception | None) -> None:
        """Have this read next; an error, or None, ends the watch."""
        self._lines.put_nowait(line)

    async def next(self) -> bytes | None:
        """The next line, None at the end; raises the error that ends the watch."""
        line = await self._lines.get()
        if isinstance(line, Exception):
            raise line
        return line

    def _is_wanted(self, stored: Stored) -> bool:
        return _is_wanted(stored.body, self._namespace, self._selector)


def expired() -> GoneError:
    """What a watch says whose version is too old."""
    return GoneError(410, "Expired", "too old resource version")


def _refuse(trouble: Trouble | None, request: Request) -> None:
    if trouble == "Conflict":
        raise ConflictError(409, "Conflict", f"{request}: the object has been modified")
    if trouble == "Error":
        raise ApiError(500, "InternalError", f"{request}: etcdserver: leader changed")


def _place(request: Request) -> tuple[str, Key]:
    return request.kind, request.key


def _plain(body: Mapping[str, Any]) -> Json:
    """The body as the apiserver reads it: a copy that nobody shares."""
    found: Json = _decode(_encode(body))
    return found


def _is_wanted(body: Json, namespace: str | None, selector: str) -> bool:
    """Whether a list or watch of one namespace (None: all) and these label names has the object."""
    if namespace not in (None, body["metadata"]["namespace"]):
        return False
    labels = labels_of(body)
    return all(name in labels for name in selector.split(",") if name)
