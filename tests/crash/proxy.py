"""A proxy between one operator and the apiserver, in which requests can be held, refused or lost.

The operator speaks plain HTTP with it and brings its own token; what happens to a request is a
`Gate`'s business. A gate sees every request once before it goes on and once with its answer.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from canarium.kube.connections import Connector
from yarl import URL

from benchmarks.rollouts.api import Access, Api, read_access

Json = dict[str, Any]
UNCOUNTED = ("leases", "events")
"Writes that say nothing of a rollout."
KEPT = ("Content-Type", "Retry-After")
LONGEST_LINE = 2**24


@dataclass(frozen=True, slots=True)
class Call:
    """One request: what is done to which object of which kind."""

    method: str
    path: str
    resource: str
    name: str
    subresource: str = ""
    watch: bool = False

    @property
    def counts(self) -> bool:
        """Whether it is a write that a rollout is made of."""
        return self.method != "GET" and self.resource not in UNCOUNTED

    def lists(self, resource: str) -> bool:
        """Whether it lists a kind."""
        return (self.method, self.resource, self.name) == ("GET", resource, "") and not self.watch

    def __str__(self) -> str:
        return "/".join(part for part in (self.resource, self.name, self.subresource) if part)


@dataclass(frozen=True, slots=True)
class Answer:
    """What is answered, by the apiserver or in its stead."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


def refuse(status: int, reason: str, **headers: str) -> Answer:
    """The answer of an apiserver that refuses."""
    body = {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "message": f"{reason}, says the test",
        "reason": reason,
        "code": status,
    }
    kept = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, json.dumps(body).encode(), {"Content-Type": "application/json", **kept})


class CutError(Exception):
    """A gate wants the connection of a watch to break."""


class Gate:
    """Lets everything through; faults are made by overriding one of these."""

    async def admit(self, call: Call) -> Answer | None:
        """Before a request goes on: an answer in the apiserver's stead, or None to let it go."""

    async def release(self, call: Call, answer: Answer) -> Answer | None:
        """What becomes of the answer; with None the connection is cut instead."""
        return answer

    async def relay(self, call: Call, lines: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The events of a watch, as they are passed on; `CutError` breaks its connection."""
        async for line in lines:
            yield line


class Proxy:
    """Serves one operator; `gate` may be exchanged at any time, `calls` are all that it asked."""

    def __init__(self, access: Access, session: aiohttp.ClientSession, gate: Gate) -> None:
        self.gate = gate
        self.url = ""
        self.calls: list[Call] = []
        self._access = access
        self._session = session

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Pass one request on, if the gate lets it."""
        body = await request.read()
        call = read_call(request.method, request.path, dict(request.query), body)
        self.calls.append(call)
        answer = await self.gate.admit(call)
        if answer is None and call.watch:
            return await self._watch(request, call)
        if answer is None:
            found = await self._forward(request, body)
            answer = await self.gate.release(call, found)
        if answer is None:
            return cut(request)
        return web.Response(status=answer.status, body=answer.body, headers=answer.headers)

    async def _forward(self, request: web.Request, body: bytes) -> Answer:
        async with self._send(request, body) as response:
            kept = {name: response.headers[name] for name in KEPT if name in response.headers}
            return Answer(response.status, await response.read(), kept)

    def _send(self, request: web.Request, body: bytes) -> Any:
        names = ("Authorization", "Content-Type", "Accept")
        headers = {name: request.headers[name] for name in names if name in request.headers}
        url = URL(f"{self._access.server}{request.raw_path}", encoded=True)
        return self._session.request(request.method, url, data=body or None, headers=headers)

    async def _watch(self, request: web.Request, call: Call) -> web.StreamResponse:
        async with self._send(request, b"") as upstream:
            response = web.StreamResponse(status=upstream.status)
            response.content_type = "application/json"
            await response.prepare(request)
            with suppress(aiohttp.ClientConnectionResetError):  # the operator is gone
                try:
                    async for line in self.gate.relay(call, upstream.content):
                        await response.write(line)
                except CutError:
                    return cut(request)
        return response


def cut(request: web.Request) -> web.Response:
    """End the connection without a word."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


def read_call(method: str, path: str, query: dict[str, str], body: bytes) -> Call:
    """What a request is about, from its path; the name of what is created, from its body."""
    parts = path.strip("/").split("/")
    rest = parts[2:] if parts[0] == "api" else parts[3:]
    if len(rest) > 2 and rest[0] == "namespaces":
        rest = rest[2:]
    resource, name, subresource = ([*rest, "", "", ""])[:3]
    if method == "POST":
        name = json.loads(body)["metadata"]["name"]
    return Call(method, path, resource, name, subresource, watch=query.get("watch") == "true")


@asynccontextmanager
async def open_upstream(kubeconfig: Path) -> AsyncIterator[tuple[Access, aiohttp.ClientSession]]:
    """The apiserver's side, shared by all proxies of a test; the operators bring the tokens."""
    access = read_access(kubeconfig)
    async with open_session(access) as session:
        yield access, session


@asynccontextmanager
async def connect(kubeconfig: Path) -> AsyncIterator[Api]:
    """The tests' own way to the apiserver, past all proxies."""
    access = read_access(kubeconfig)
    async with open_session(access, Authorization=f"Bearer {access.token}") as session:
        yield Api(session)


def open_session(access: Access, **headers: str) -> aiohttp.ClientSession:
    """A session that leaves no connection open when it is closed, and cuts no line in two."""
    return aiohttp.ClientSession(
        base_url=access.server,
        headers=headers,
        connector=Connector(access.tls),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=60),
        read_bufsize=LONGEST_LINE,
    )


@asynccontextmanager
async def serve(proxy: Proxy) -> AsyncIterator[Proxy]:
    """Listen on loopback, at a port that is free; a client that goes takes its requests with it."""
    application = web.Application(client_max_size=LONGEST_LINE)
    application.router.add_route("*", "/{path:.*}", proxy.handle)
    runner = web.AppRunner(
        application, handler_cancellation=True, access_log=None, shutdown_timeout=1.0
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        proxy.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield proxy
    finally:
        await runner.cleanup()


def write_kubeconfig(path: Path, original: Path, url: str) -> Path:
    """The same user's kubeconfig, with the proxy in the apiserver's place."""
    config: Json = json.loads(original.read_text())
    config["clusters"] = [{"name": "canarium", "cluster": {"server": url}}]
    path.touch(mode=0o600)
    path.write_text(json.dumps(config))
    return path


async def wait_for_ever() -> None:
    """Until cancelled: whoever asked is going to be gone."""
    await asyncio.Event().wait()
