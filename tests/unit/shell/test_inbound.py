"""Who may be connected to the operator's own port, tried with real sockets on loopback."""

from __future__ import annotations

import asyncio
import logging
import resource
import socket
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import pytest
import uvloop
from aiohttp import web
from canarium.shell import inbound, probes
from canarium.shell.inbound import CONNECTIONS, CONNECTIONS_OF_ADDRESS, SCRAPES_OF_ADDRESS
from canarium.shell.probes import serve_probes

HOST = "127.0.0.1"
IDLE = 4000
PATIENCE_SECONDS = 40.0
PROBE = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
SCRAPE = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\n"
LARGE = [b"x" * 2**20] * 32
"More than the buffers of a connection hold, so that it takes a reader."

Render = Callable[[], list[bytes]]
LOOPS = pytest.mark.parametrize("loop", [None, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
"The operator runs on uvloop."


@asynccontextmanager
async def serving(render: Render = list) -> AsyncIterator[web.ServerRunner]:
    runner = await serve_probes(f"{HOST}:0", list, render)
    try:
        yield runner
    finally:
        await runner.cleanup()


async def connect(runner: web.ServerRunner, source: str = HOST) -> socket.socket:
    """A connection from one of this machine's own addresses (127.0.0.0/8)."""
    found = socket.socket()
    found.setblocking(False)
    found.bind((source, 0))
    await asyncio.get_running_loop().sock_connect(found, runner.addresses[0])
    return found


async def ask(runner: web.ServerRunner, request: bytes, source: str = HOST) -> bytes:
    """The first bytes of the answer to a request on a connection of its own; b"" for none."""
    visitor = await connect(runner, source)
    with visitor:
        return await exchange(visitor, request)


async def exchange(visitor: socket.socket, request: bytes) -> bytes:
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(PATIENCE_SECONDS):
        try:
            await loop.sock_sendall(visitor, request)
            return await loop.sock_recv(visitor, 4096)
        except ConnectionError:
            return b""


async def wait_until_closed(visitor: socket.socket) -> float:
    """The seconds until the other side ends a connection, whatever it sends before."""
    begun, loop = time.monotonic(), asyncio.get_running_loop()
    async with asyncio.timeout(PATIENCE_SECONDS):
        try:
            while await loop.sock_recv(visitor, 2**20):
                pass
        except ConnectionError:
            pass
    return time.monotonic() - begun


@contextmanager
def many_files() -> Iterator[None]:
    """As many open files as this process may have."""
    before, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (before, most))


def run(scenario: Coroutine[Any, Any, None], loop: Callable[[], Any] | None = None) -> None:
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(scenario)


@LOOPS
def test_4000_idle_connections_keep_no_probe_from_being_answered(
    loop: Callable[[], Any] | None,
) -> None:
    """From 200 addresses, so that no limit of one address helps."""

    async def scenario() -> None:
        async with serving() as runner:
            visitors = [
                await connect(runner, f"127.0.{1 + number % 200}.1") for number in range(IDLE)
            ]
            answers = {await ask(runner, PROBE) for _ in range(20)}
            held = len(runner.server.connections) if runner.server else 0
            for visitor in visitors:
                visitor.close()
        assert {answer[: len(OK)] for answer in answers} == {OK}
        assert held <= CONNECTIONS

    with many_files():
        run(scenario(), loop)


async def test_an_address_has_its_own_limit_and_takes_nothing_from_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(inbound, "HEADER_SECONDS", PATIENCE_SECONDS)  # nobody is closed for that
    async with serving() as runner:
        other = await connect(runner, "127.0.0.2")
        crowd = [await connect(runner) for _ in range(3 * CONNECTIONS_OF_ADDRESS)]
        newest = await exchange(crowd[-1], PROBE)
        longest = await exchange(other, PROBE)
        held = len(runner.server.connections) if runner.server else 0
        for visitor in (other, *crowd):
            visitor.close()
    assert (newest[: len(OK)], longest[: len(OK)]) == (OK, OK)
    assert held <= CONNECTIONS_OF_ADDRESS + 1


@LOOPS
def test_where_all_are_being_answered_a_new_connection_is_closed_at_once(
    loop: Callable[[], Any] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbound, "CONNECTIONS_OF_ADDRESS", SCRAPES_OF_ADDRESS)

    async def scenario() -> None:
        async with serving(lambda: LARGE) as runner:
            readers = [await connect(runner) for _ in range(SCRAPES_OF_ADDRESS)]
            for reader in readers:
                assert (await exchange(reader, SCRAPE)).startswith(OK)
            refused, elsewhere = await ask(runner, PROBE), await ask(runner, PROBE, "127.0.0.2")
            for reader in readers:
                reader.close()
        assert (refused, elsewhere[: len(OK)]) == (b"", OK)

    run(scenario(), loop)


async def test_who_is_being_answered_is_not_the_one_who_has_to_go() -> None:
    async with serving(lambda: LARGE) as runner:
        reader = await connect(runner)
        first = await exchange(reader, SCRAPE)
        crowd = [await connect(runner) for _ in range(2 * CONNECTIONS_OF_ADDRESS)]
        received, loop = len(first), asyncio.get_running_loop()
        while received < sum(map(len, LARGE)):
            received += len(await loop.sock_recv(reader, 2**20))
        for visitor in (reader, *crowd):
            visitor.close()
    assert first.startswith(OK)


async def test_a_request_has_five_seconds_for_its_headers(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slowly it goes on sending some; a connection that says nothing, too."""
    assert inbound.HEADER_SECONDS == 5
    monkeypatch.setattr(inbound, "HEADER_SECONDS", 1.5)
    async with serving() as runner:
        answered = await connect(runner)
        assert (await exchange(answered, PROBE)).startswith(OK)
        silent, slow = [await connect(runner) for _ in range(2)]
        dripping = asyncio.create_task(drip(slow))
        waited = [await wait_until_closed(visitor) for visitor in (silent, slow, answered)]
        await dripping
        for visitor in (silent, slow, answered):
            visitor.close()
    assert sum(waited) < PATIENCE_SECONDS


async def drip(visitor: socket.socket) -> None:
    """Send a request that never ends, a header at a time, until the other side has enough."""
    loop = asyncio.get_running_loop()
    try:
        await loop.sock_sendall(visitor, b"GET /livez HTTP/1.1\r\n")
        for number in range(100):
            await asyncio.sleep(0.1)
            await loop.sock_sendall(visitor, f"a{number}: b\r\n".encode())
    except OSError:
        return


async def test_metrics_that_nobody_takes_have_a_share_and_an_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(probes, "SCRAPE_SECONDS", 10.0)
    pages = [LARGE] * SCRAPES_OF_ADDRESS + [[b"up 1\n"]] * 2
    async with serving(lambda: pages.pop(0)) as runner:
        stuck = [await connect(runner) for _ in range(SCRAPES_OF_ADDRESS)]
        for visitor in stuck:
            assert (await exchange(visitor, SCRAPE)).startswith(OK)
        assert (await ask(runner, SCRAPE)).startswith(b"HTTP/1.1 503 ")
        elsewhere = await ask(runner, SCRAPE, "127.0.0.2")
        probe = await ask(runner, PROBE)
        again = b""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not again.startswith(OK):
                await asyncio.sleep(0.2)
                again = await ask(runner, SCRAPE)
        for visitor in stuck:
            await wait_until_closed(visitor)
            visitor.close()
    assert {answer[: len(OK)] for answer in (elsewhere, probe, again)} == {OK}


@pytest.mark.parametrize(
    "junk",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 100,
        b"GET /livez HTTP/1.1\r\n" + b"a: " + b"b" * 9000 + b"\r\n\r\n",
        b"GET /livez HTTP/1.1\r\n" + b"a: b\r\n" * 200 + b"\r\n",
        b"GET /livez HTTP/9.9\r\nHost: x\r\n\r\n",
        b"POST /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n",
    ],
    ids=["tls", "long-header", "many-headers", "no-version", "body"],
)
async def test_what_is_no_request_is_refused_and_makes_no_line_in_the_log(
    junk: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving() as runner:
        visitor = await connect(runner)
        assert (await exchange(visitor, junk))[8:10] == b" 4"
        await wait_until_closed(visitor)
        visitor.close()
    assert [record for record in caplog.records if record.levelno > logging.DEBUG] == []


async def test_only_what_there_is_can_be_asked_for() -> None:
    async with serving(lambda: [b"up 1\n"]) as runner:
        found = {
            path: (await ask(runner, f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()))[9:12]
            for path in ("/livez", "/readyz", "/metrics", "/metrics?x=1", "/", "/livez/..")
        }
        head = await ask(runner, b"HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
    assert found == {
        "/livez": b"200",
        "/readyz": b"200",
        "/metrics": b"200",
        "/metrics?x=1": b"200",
        "/": b"404",
        "/livez/..": b"404",
    }
    assert head.startswith(OK)
    assert b"up 1" not in head
