"""An apiserver that plays a transcript: one answer for each request, in order, then silence."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer
from canarium.kube.client import Client
from canarium.kube.config import Cluster
from canarium.kube.transport import HttpTransport


@dataclass(frozen=True)
class Answer:
    """A whole answer."""

    body: Any
    status: int = 200


@dataclass(frozen=True)
class Watch:
    """A watch: these events, and then it is ended well, cut off, or held open."""

    events: Sequence[tuple[str, Any]]
    then: str = "end"


def make_page(*items: Any, version: int, next_page: str = "") -> Answer:
    """One page of a list."""
    metadata = {"resourceVersion": str(version), "continue": next_page}
    return Answer({"kind": "List", "metadata": metadata, "items": list(items)})


def make_refusal(status: int, reason: str, message: str = "no") -> Answer:
    """The Status object of a refused request."""
    return Answer({"kind": "Status", "reason": reason, "message": message}, status)


@dataclass
class Apiserver:
    """Plays the script and keeps what was asked."""

    script: list[Answer | Watch]
    asked: list[web.BaseRequest] = field(default_factory=list)
    bodies: list[Any] = field(default_factory=list)
    over: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        self.asked.append(request)
        text = await request.text()
        self.bodies.append(json.loads(text) if text else None)
        if not self.script:
            self.over.set()
            await asyncio.Event().wait()
        step = self.script.pop(0)
        if isinstance(step, Answer):
            return web.json_response(step.body, status=step.status)
        return await self._stream(request, step)

    async def _stream(self, request: web.BaseRequest, watch: Watch) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        for kind, body in watch.events:
            await response.write(json.dumps({"type": kind, "object": body}).encode() + b"\n")
        if watch.then == "hold":
            self.over.set()
            await asyncio.Event().wait()
        if watch.then == "cut" and request.transport is not None:
            request.transport.abort()
        return response

    def queries(self) -> list[dict[str, str]]:
        """What each request said about list, watch and version."""
        keys = ("watch", "resourceVersion", "continue", "labelSelector")
        return [{k: r.query[k] for k in keys if k in r.query} for r in self.asked]


@asynccontextmanager
async def play(
    *script: Answer | Watch, transport: type[HttpTransport] = HttpTransport
) -> AsyncIterator[tuple[Client, Apiserver]]:
    """A client, and the server at its other end."""
    async with serve(*script) as (url, apiserver), transport(Cluster(server=url)) as connected:
        yield Client(connected), apiserver


@asynccontextmanager
async def serve(*script: Answer | Watch) -> AsyncIterator[tuple[str, Apiserver]]:
    """A server, and where it is."""
    apiserver = Apiserver(list(script))
    server = TestServer(_make_app(apiserver))
    await server.start_server(shutdown_timeout=0.1)
    try:
        yield str(server.make_url("")).rstrip("/"), apiserver
    finally:
        await server.close()


def _make_app(apiserver: Apiserver) -> web.Application:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", apiserver.answer)
    return app
