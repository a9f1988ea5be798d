"""The HTTP endpoints that Kubernetes and Prometheus ask: /livez, /readyz, /metrics."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field

from aiohttp import web
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4

from canarium.errors import ConfigError
from canarium.shell.inbound import SCRAPE_SECONDS, DoorServer, Scrapes

Check = Callable[[], Sequence[str]]
"What keeps the operator from being ready, or what it does without: one short sentence each."
Render = Callable[[], Iterable[bytes]]
"The metrics as they are now, part by part."
Guard = Callable[[str], Awaitable[int]]
"""What whoever sends this Authorization header may have of the metrics: 200, or the HTTP status of
the refusal."""

HEADERS = {"Content-Type": CONTENT_TYPE_PLAIN_0_0_4}
SHUTDOWN_SECONDS = 1.0
REFUSALS = {
    401: "send a token of the cluster's: Authorization: Bearer TOKEN\n",
    403: "this account may not get /metrics (nonResourceURLs)\n",
    503: "too many ask at once, or the apiserver doesn't answer: try again\n",
}


def parse_address(text: str) -> tuple[str, int]:
    """Split `host:port`; the host "" is every address. Raises `ConfigError` for anything else."""
    host, separator, port = text.rpartition(":")
    if not separator or not port.isdecimal() or int(port) > 65535:
        raise ConfigError(f"{text!r} is not an address: write host:port, such as 127.0.0.1:8080")
    return host.strip("[]"), int(port)


async def let_all_read(_authorization: str) -> int:
    """The metrics are anybody's who reaches the port."""
    return 200


async def serve_probes(
    address: str,
    check: Check,
    render: Render,
    notices: Check = tuple,
    guard: Guard = let_all_read,
) -> web.ServerRunner:
    """Listen until the runner that is returned is cleaned up.

    `check` is asked by /readyz, and `notices`, which it tells without being less ready; `render` by
    /metrics, after `guard` let it pass.
    """
    host, port = parse_address(address)
    runner = web.ServerRunner(
        DoorServer(_Endpoints(check, render, notices, guard).answer),
        shutdown_timeout=SHUTDOWN_SECONDS,
    )
    await runner.setup()
    try:
        await _make_site(runner, host, port).start()
    except OSError as error:
        await runner.cleanup()
        raise ConfigError(f"cannot listen on {address}: {error}") from error
    return runner


def _make_site(runner: web.ServerRunner, host: str, port: int) -> web.BaseSite:
    """A host's site; every address is one socket of both families, where the machine has both."""
    if host:
        return web.TCPSite(runner, host, port)
    both = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if both else socket.AF_INET
    listener = socket.create_server(("", port), family=family, dualstack_ipv6=both)
    return web.SockSite(runner, listener)


@dataclass(slots=True)
class _Endpoints:
    """What is answered at which path."""

    check: Check
    render: Render
    notices: Check
    guard: Guard
    scrapes: Scrapes = field(default_factory=Scrapes)

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.method not in ("GET", "HEAD"):
            return _refuse(405, "only GET\n")
        match request.path:
            case "/livez":
                return web.Response(text="ok\n")
            case "/readyz":
                return self._tell_ready()
            case "/metrics":
                return await self._tell_metrics(request)
        return _refuse(404, "write /livez, /readyz or /metrics\n")

    def _tell_ready(self) -> web.Response:
        problems = self.check()
        lines = [*(problems or ("ok",)), *self.notices()]
        return web.Response(text="\n".join(lines) + "\n", status=503 if problems else 200)

    async def _tell_metrics(self, request: web.BaseRequest) -> web.StreamResponse:
        code = await self.guard(request.headers.get("Authorization", ""))
        if code != 200:
            return _refuse(code, REFUSALS[code])
        with self.scrapes.one(request.remote or "") as admitted:
            if not admitted:
                return _refuse(503, REFUSALS[503])
            page = await self._render()
            if request.method == "HEAD":
                return web.Response(body=page, headers=HEADERS)
            return await _send(request, page)

    async def _render(self) -> bytes:
        parts = []
        for part in self.render():
            parts.append(part)
            await asyncio.sleep(0)  # a rollback must not wait for a scrape
        return b"".join(parts)


async def _send(request: web.BaseRequest, page: bytes) -> web.StreamResponse:
    """Send a page to whoever takes it in time; a connection that doesn't is cut."""
    response = web.StreamResponse(headers=HEADERS)
    response.content_length = len(page)
    try:
        async with asyncio.timeout(SCRAPE_SECONDS):
            await response.prepare(request)
            await response.write(page)
            await response.write_eof()
    except TimeoutError:
        if request.transport is not None:
            request.transport.abort()
    return response


def _refuse(status: int, words: str) -> web.Response:
    """Refuse, and close: who was refused has nothing to keep a connection for."""
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
    response = web.Response(status=status, text=words, headers=headers)
    response.force_close()
    return response
