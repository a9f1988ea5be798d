"""A web server on loopback that answers as a test says, and what is needed to ask it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import Any

from aiohttp import web
from canarium.metrics.sources.asking import MetricSources
from canarium.outbound.credentials import Secrets
from canarium.outbound.forbidden_addresses import make_guarded_session

LOOPBACK = ip_network("127.0.0.0/8")


@dataclass
class Asked:
    """One request: where to, with what form and headers."""

    path: str
    form: dict[str, str]
    headers: dict[str, str]


@dataclass
class Server:
    """Answers with whatever `answer` makes of a request, and remembers what it was asked."""

    answer: Callable[[Asked], Any]
    url: str = ""
    asked: list[Asked] = field(default_factory=list)

    async def take(self, request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        asked = Asked(request.raw_path, form, dict(request.headers))
        self.asked.append(asked)
        return web.Response(text=json.dumps(self.answer(asked)), content_type="application/json")


@asynccontextmanager
async def serving(answer: Callable[[Asked], Any]) -> AsyncIterator[Server]:
    server, application = Server(answer), web.Application()
    application.router.add_route("*", "/{tail:.*}", server.take)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield server
    finally:
        await runner.cleanup()


@asynccontextmanager
async def asking(secrets: Secrets, prometheus_url: str = "") -> AsyncIterator[MetricSources]:
    async with make_guarded_session([LOOPBACK]) as session:
        yield MetricSources(session, secrets, prometheus_url, now=lambda: 1000.0)


def vector(*series: tuple[dict[str, str], float | str]) -> dict[str, Any]:
    """Prometheus' answer to an instant query."""
    result = [{"metric": labels, "value": [1000.0, str(value)]} for labels, value in series]
    return {"status": "success", "data": {"resultType": "vector", "result": result}}
