"""The HTTP endpoints that Kubernetes and Prometheus ask: /livez, /readyz, /metrics."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from canarium.errors import ConfigError

Check = Callable[[], Sequence[str]]
"What keeps the operator from being ready, or what it does without: one short sentence each."


def parse_address(text: str) -> tuple[str, int]:
    """Split `host:port`; raises `ConfigError` for anything else."""
    host, separator, port = text.rpartition(":")
    if not separator or not port.isdecimal() or int(port) > 65535:
        raise ConfigError(f"{text!r} is not an address: write host:port, such as 127.0.0.1:8080")
    return host.strip("[]") or "0.0.0.0", int(port)  # noqa: S104 - what ":8080" means everywhere


async def serve_probes(
    address: str,
    check: Check,
    registry: CollectorRegistry,
    refresh: Callable[[], None],
    notices: Check = tuple,
) -> web.AppRunner:
    """Listen until the runner that is returned is cleaned up.

    `check` is asked by /readyz, and `notices`, which it tells without being less ready; `refresh`
    brings gauges up to date before /metrics is read.
    """
    host, port = parse_address(address)
    runner = web.AppRunner(_make_app(check, registry, refresh, notices), access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        await runner.cleanup()
        raise ConfigError(f"cannot listen on {address}: {error}") from error
    return runner


def _make_app(
    check: Check, registry: CollectorRegistry, refresh: Callable[[], None], notices: Check
) -> web.Application:
    async def live(_request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def ready(_request: web.Request) -> web.Response:
        problems = check()
        lines = [*(problems or ("ok",)), *notices()]
        return web.Response(text="\n".join(lines) + "\n", status=503 if problems else 200)

    async def metrics(_request: web.Request) -> web.Response:
        refresh()
        return web.Response(
            body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST}
        )

    app = web.Application()
    app.router.add_get("/livez", live)
    app.router.add_get("/readyz", ready)
    app.router.add_get("/metrics", metrics)
    return app
