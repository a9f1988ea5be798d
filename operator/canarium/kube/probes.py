"""The HTTP endpoints that Kubernetes and Prometheus ask: /livez, /readyz, /metrics."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterable, Sequence

from aiohttp import web
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4

from canarium.errors import ConfigError

Check = Callable[[], Sequence[str]]
"What keeps the operator from being ready, or what it does without: one short sentence each."
Render = Callable[[], Iterable[bytes]]
"The metrics as they are now, part by part."


def parse_address(text: str) -> tuple[str, int]:
    """Split `host:port`; the host "" is every address. Raises `ConfigError` for anything else."""
    host, separator, port = text.rpartition(":")
    if not separator or not port.isdecimal() or int(port) > 65535:
        raise ConfigError(f"{text!r} is not an address: write host:port, such as 127.0.0.1:8080")
    return host.strip("[]"), int(port)


async def serve_probes(
    address: str, check: Check, render: Render, notices: Check = tuple
) -> web.AppRunner:
    """Listen until the runner that is returned is cleaned up.

    `check` is asked by /readyz, and `notices`, which it tells without being less ready; `render` by
    /metrics.
    """
    host, port = parse_address(address)
    runner = web.AppRunner(_make_app(check, render, notices), access_log=None)
    await runner.setup()
    try:
        await _make_site(runner, host, port).start()
    except OSError as error:
        await runner.cleanup()
        raise ConfigError(f"cannot listen on {address}: {error}") from error
    return runner


def _make_site(runner: web.AppRunner, host: str, port: int) -> web.BaseSite:
    """A host's site; every address is one socket of both families, where the machine has both."""
    if host:
        return web.TCPSite(runner, host, port)
    both = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if both else socket.AF_INET
    listener = socket.create_server(("", port), family=family, dualstack_ipv6=both)
    return web.SockSite(runner, listener)


def _make_app(check: Check, render: Render, notices: Check) -> web.Application:
    async def live(_request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def ready(_request: web.Request) -> web.Response:
        problems = check()
        lines = [*(problems or ("ok",)), *notices()]
        return web.Response(text="\n".join(lines) + "\n", status=503 if problems else 200)

    async def metrics(_request: web.Request) -> web.Response:
        parts = []
        for part in render():
            parts.append(part)
            await asyncio.sleep(0)  # a rollback must not wait for a scrape
        return web.Response(
            body=b"".join(parts), headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4}
        )

    app = web.Application()
    app.router.add_get("/livez", live)
    app.router.add_get("/readyz", ready)
    app.router.add_get("/metrics", metrics)
    return app
