"""Servers on loopback for the tests of sources, and sessions that may reach them."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from ipaddress import ip_network

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestServer
from canarium.outbound.forbidden_addresses import make_guarded_session
from canarium.outbound.sharing import Shares

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

LOOPBACK = (ip_network("127.0.0.0/8"),)


def make_local_session(shares: Shares | None = None) -> aiohttp.ClientSession:
    """A session as sources use it, for which loopback is no secret."""
    return make_guarded_session(LOOPBACK, shares)


@asynccontextmanager
async def serving(handler: Handler, host: str = "127.0.0.1") -> AsyncIterator[str]:
    """Serve every path and method by one handler; gives the server's address."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    async with TestServer(app, host=host, shutdown_timeout=0.1) as server:
        yield str(server.make_url("/"))


def answering(
    body: str | bytes, status: int = 200, content_type: str = "application/json"
) -> Handler:
    """Answer everybody the same."""
    encoded = body.encode() if isinstance(body, str) else body

    async def handler(_: web.Request) -> web.Response:
        return web.Response(body=encoded, status=status, content_type=content_type)

    return handler
