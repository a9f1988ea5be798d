"""HTTP sessions with an apiserver that leave no connection open once they are closed.

aiohttp's own connector waits only for connections that nobody uses. Those of a watch that was
cancelled are still saying good-bye over TLS when it returns, and a loop that ends then leaves
their sockets to the collector.
"""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from weakref import WeakSet

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.tracing import Trace

from canarium import __version__
from canarium.kube.config import Cluster

FAREWELL_SECONDS = 2.0
"How long a peer that doesn't answer our good-bye is waited for."


class Connector(aiohttp.TCPConnector):
    """Knows each connection until it is really closed; `limit` at once at most, 0: any number."""

    def __init__(self, tls: ssl.SSLContext | None, *, limit: int = 0) -> None:
        super().__init__(limit=limit, ssl=tls or True)
        self._made: WeakSet[ResponseHandler] = WeakSet()
        self._transports: WeakSet[asyncio.Transport] = WeakSet()

    async def _create_connection(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - the base class has it so
    ) -> ResponseHandler:
        connection = await super()._create_connection(req, traces, timeout)
        self._made.add(connection)
        if connection.transport is not None:
            self._transports.add(connection.transport)
        return connection

    async def close(self, *, abort_ssl: bool = False) -> None:
        """Close all connections, and wait until the last of them is closed.

        A peer that is too slow with its good-bye gets none from us.
        """
        farewells = [closed for made in self._made if (closed := made.closed) is not None]
        await super().close(abort_ssl=abort_ssl)
        with suppress(TimeoutError):
            async with asyncio.timeout(FAREWELL_SECONDS):
                await asyncio.gather(*farewells, return_exceptions=True)
        for transport in self._transports:
            transport.abort()
        await asyncio.sleep(0)  # the loop closes the sockets of those that were still open


def open_session(cluster: Cluster, token: str = "") -> aiohttp.ClientSession:
    """A session with the cluster's credentials; connections are made as they are needed."""
    headers = {
        "User-Agent": f"canarium/{__version__}",
        "Accept": "application/json",
        "Accept-Encoding": "identity",
    }
    return aiohttp.ClientSession(
        connector=Connector(cluster.make_ssl_context()),
        headers=headers | ({"Authorization": f"Bearer {token}"} if token else {}),
        proxy=cluster.proxy,
        trust_env=False,
        cookie_jar=aiohttp.DummyCookieJar(),
    )
