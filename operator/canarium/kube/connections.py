"""HTTP sessions with an apiserver that leave no connection open once they are closed.

aiohttp's own connector waits only for connections that nobody uses. Those of a watch that was
cancelled are still saying good-bye over TLS when it returns, and a loop that ends then leaves
their sockets to the collector.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping

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
        self._transports: dict[asyncio.Future[None], asyncio.Transport] = {}
        "Of each connection that isn't closed yet, by the future that says when it is."

    async def _create_connection(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - the base class has it so
    ) -> ResponseHandler:
        connection = await super()._create_connection(req, traces, timeout)
        if connection.closed is not None and connection.transport is not None:
            self._transports[connection.closed] = connection.transport
            connection.closed.add_done_callback(self._forget)
        return connection

    def _forget(self, closed: asyncio.Future[None]) -> None:
        del self._transports[closed]
        closed.exception()  # why it was lost is told to whoever waits for an answer

    async def close(self, *, abort_ssl: bool = False) -> None:
        """Close all connections, and wait until the last of them is closed.

        A peer that is too slow with its good-bye gets none from us; with `abort_ssl` none does.
        """
        await super().close(abort_ssl=abort_ssl)
        if self._transports and not abort_ssl:
            await asyncio.wait(self._transports, timeout=FAREWELL_SECONDS)
        for transport in list(self._transports.values()):
            transport.abort()
        if self._transports:
            await asyncio.wait(self._transports, timeout=FAREWELL_SECONDS)


HEADERS = {
    "User-Agent": f"canarium/{__version__}",
    "Accept": "application/json",
    "Accept-Encoding": "identity",
}


def open_session(
    cluster: Cluster, headers: Mapping[str, str] = HEADERS, *, trust_env: bool = False
) -> aiohttp.ClientSession:
    """A session with the cluster's TLS and proxy; connections are made as they are needed."""
    return aiohttp.ClientSession(
        connector=Connector(cluster.make_ssl_context()),
        headers=headers,
        proxy=cluster.proxy,
        trust_env=trust_env,
        cookie_jar=aiohttp.DummyCookieJar(),
    )
