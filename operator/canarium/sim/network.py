"""What lies between the operator and the apiserver: time, trouble, and the operator's own death.

A `SimulatedTransport` is what one operator process has. Requests take their time both ways, watches
lag behind by kind, so that kinds are seen in another order than they were written in.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any, Literal

import msgspec

from canarium.errors import ApiError, ConflictError, GoneError, UnavailableError
from canarium.kube.clock import ClusterClock
from canarium.kube.kinds import Resource
from canarium.kube.transport import JSON_PATCH, MERGE_PATCH, ApiRequest
from canarium.sim.apiserver import ApiServer, Change, Key, Stored, labels_of
from canarium.sim.fields import Json

Trouble = Literal["Conflict", "Error", "Lost"]
"""409 instead of the write, 500 instead of it, or done but the answer never arrives."""
Moment = Literal["before", "after"]

OPERATOR = "canarium"
PATCHES = {JSON_PATCH: "status", MERGE_PATCH: "merge"}
"By what they are, two kinds of patches are told apart."
LOST_AFTER_SECONDS = 5.0
"How long a request whose answer is lost is waited for."

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


@dataclass(frozen=True, slots=True)
class RecordedRequest:
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
    trouble: Callable[[RecordedRequest], Trouble | None] = lambda _request: None
    note: Callable[[RecordedRequest], None] = lambda _request: None
    crash: Crash | None = None
    writes: int = 0
    "Writes that were sent so far, by all operators."

    def lag(self, kind: str) -> float:
        """Seconds until a change of this kind is seen."""
        return self.lags.get(kind, self.lag_seconds)


class SimulatedTransport:
    """How one operator process gets to the apiserver (a `Transport`); dead, it never answers."""

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

    async def send(self, request: ApiRequest) -> bytes:
        """Ask once; the answer."""
        if request.verb == "list":
            return await self._list(request)
        body = _decode(request.body) if request.body is not None else {}
        key = request.namespace or "", request.name or str(body["metadata"]["name"])
        verb, is_write = PATCHES.get(request.content_type, request.verb), request.method != "GET"
        self._network.writes += is_write
        number = self._network.writes if is_write else 0
        asked = RecordedRequest(verb, request.resource.kind, key, number)
        return await self._ask(asked, lambda: self._act(asked, body, request))

    async def stream(self, request: ApiRequest) -> AsyncGenerator[bytes, None]:
        """The lines of a watch, each as late as the network says."""
        await self._travel()
        self._check_allowed(request.resource)
        kind, query = request.resource.kind, request.query
        stream = _Stream(self._network, kind, _make_filter(request))
        stop = self._server.watch(kind, query["resourceVersion"], stream.take)
        streams = self._streams.setdefault(kind, [])
        streams.append(stream)
        seconds = float(query["timeoutSeconds"])
        end = asyncio.get_running_loop().call_later(seconds, stream.put, None)
        try:
            while (line := await stream.next()) is not None:
                yield line
        finally:
            end.cancel()
            stop()
            streams.remove(stream)

    async def _list(self, request: ApiRequest) -> bytes:
        """The whole list as one page."""
        is_wanted = _make_filter(request)
        await self._travel()
        self._check_allowed(request.resource)
        found = self._server.list(request.resource.kind)
        items = [msgspec.Raw(stored.raw) for stored in found if is_wanted(stored.body)]
        page = _encode({"metadata": {"resourceVersion": self._server.version}, "items": items})
        await self._travel()
        self._hear()
        return page

    def _act(self, asked: RecordedRequest, body: Any, request: ApiRequest) -> Stored | Json:
        """What the apiserver does with a request, and answers."""
        server, place = self._server, (asked.kind, asked.key)
        manager = request.query.get("fieldManager", OPERATOR)
        match asked.verb:
            case "get":
                return server.get(*place)
            case "create":
                return server.create(asked.kind, asked.key[0], body, manager)
            case "apply":
                return server.apply(*place, body, manager, force=request.query["force"] == "true")
            case "status":
                version, status = (step["value"] for step in body)
                return server.replace_status(*place, status, version, manager)
            case "merge":
                return server.merge(*place, body, manager, request.subresource)
            case "delete":
                same = body["preconditions"]
                return server.delete(*place, manager, same["uid"], same.get("resourceVersion", ""))
        raise ApiError(405, "MethodNotAllowed", f"the simulated apiserver knows no {asked.verb}")

    def _check_allowed(self, resource: Resource) -> None:
        if resource.kind in self._network.forbidden:
            raise ApiError(403, "Forbidden", f'User "{OPERATOR}" cannot list {resource.plural}')

    async def _ask(self, request: RecordedRequest, act: Callable[[], Stored | Json]) -> bytes:
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

    async def _die_at(self, request: RecordedRequest, moment: Moment) -> None:
        if self._network.crash != Crash(request.number, moment):
            return
        self.dead, self._network.crash = True, None
        self._on_crash()
        await asyncio.get_running_loop().create_future()


class _Stream:
    """One watch: changes go in as they happen and come out as lines, late but in order."""

    def __init__(self, network: Network, kind: str, is_wanted: Callable[[Json], bool]) -> None:
        self._network = network
        self._kind = kind
        self._is_wanted = is_wanted
        self._loop = asyncio.get_running_loop()
        self._lines: asyncio.Queue[bytes | Exception | None] = asyncio.Queue()
        self._last = 0.0

    def take(self, change: Change) -> None:
        """A change happened; what leaves the selection looks deleted, what enters it new."""
        is_in = self._is_wanted(change.after.body) and change.type != "DELETED"
        was_in = change.before is not None and self._is_wanted(change.before.body)
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


def expired() -> GoneError:
    """What a watch says whose version is too old."""
    return GoneError(410, "Expired", "too old resource version")


def _refuse(trouble: Trouble | None, request: RecordedRequest) -> None:
    if trouble == "Conflict":
        raise ConflictError(409, "Conflict", f"{request}: the object has been modified")
    if trouble == "Error":
        raise ApiError(500, "InternalError", f"{request}: etcdserver: leader changed")


def _make_filter(request: ApiRequest) -> Callable[[Json], bool]:
    """Which objects of a kind are asked for: of a namespace, by names of labels, or by its name."""
    path, _, name = request.query.get("fieldSelector", "").partition("=")
    if path not in ("", "metadata.name"):
        raise ApiError(400, "BadRequest", "the simulated apiserver has no such field")
    wanted = set(filter(None, request.query.get("labelSelector", "").split(",")))
    return lambda body: (
        request.namespace in (None, body["metadata"]["namespace"])
        and name in ("", body["metadata"]["name"])
        and wanted <= labels_of(body).keys()
    )
