import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path

import aiohttp
import pytest
import uvloop
from canarium.kube import connections
from canarium.kube.connections import Connector

from testbed.cluster.credentials import make_certificates
from tests.unit.kube.silent import silent_server


async def read_first(session: aiohttp.ClientSession, url: str, begun: asyncio.Event) -> None:
    """Ask, say when the answer has begun, and wait for more of it."""
    async with session.get(url) as response:
        async for _part in response.content.iter_any():
            begun.set()


@pytest.mark.parametrize("make_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_peer_that_never_says_good_bye_leaves_no_socket_open(
    make_loop: Callable[[], asyncio.AbstractEventLoop],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connections, "FAREWELL_SECONDS", 1.0)
    make_certificates(tmp_path, ["127.0.0.1"])
    tls = ssl.create_default_context(cafile=tmp_path / "ca.crt")

    async def leave() -> None:
        async with silent_server(tmp_path) as (url, _):
            connector, begun = Connector(tls), asyncio.Event()
            async with aiohttp.ClientSession(connector=connector) as session:
                watch = asyncio.create_task(read_first(session, url, begun))
                await begun.wait()
                (transport,) = connector._transports.values()
                socket = transport.get_extra_info("socket")
                watch.cancel()
                await asyncio.wait([watch])
                assert socket.fileno() != -1  # it is still saying good-bye
            assert not connector._transports
            assert socket.fileno() == -1

    with asyncio.Runner(loop_factory=make_loop) as runner:
        runner.run(leave())
