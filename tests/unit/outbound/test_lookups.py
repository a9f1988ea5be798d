"""Names that a name server never answers for, beside those that it does."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from aiohttp import web
from canarium.metrics.sources.gateway import Backend, GatewaySource
from canarium.outbound.errors import SourceError
from canarium.outbound.fetching import Limits, OutboundRequest, fetching
from canarium.outbound.lookups import look_up, looking_up_for
from canarium.outbound.sharing import Room, Shares
from yarl import URL

from tests.unit.outbound.serving import make_local_session, serving

HANGS = "hangs.example"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The names that were looked up; one of them is answered for when the test is over."""
    over, names, real = threading.Event(), list[str](), socket.getaddrinfo

    def find(host: str, port: int, *rest: Any, **named: Any) -> Any:
        names.append(host)
        if host == HANGS:
            over.wait(60)
            raise socket.gaierror(socket.EAI_AGAIN, "no answer")
        return real("127.0.0.1", port, *rest, **{**named, "flags": 0})

    monkeypatch.setattr(socket, "getaddrinfo", find)
    yield names
    over.set()


async def ask(session: Any, shares: Shares, url: URL, owner: str, seconds: float) -> int:
    request = OutboundRequest("GET", url, "*/*", owner=owner)
    async with fetching(session, request, Limits(seconds, 1_000), shares) as answer:
        return answer.status


async def answer(_: web.Request) -> web.Response:
    return web.Response(text="1")


async def test_names_that_nobody_answers_for_keep_no_other_namespace_waiting(
    asked: list[str],
) -> None:
    """More of them than any loop has threads, and they hang on when their readings have ended."""
    shares = Shares()
    async with serving(answer) as base, make_local_session(shares) as session:
        slow, quick = URL(base).with_host(HANGS), URL(base).with_host("good.example")
        crowd = [asyncio.create_task(ask(session, shares, slow, "crowd", 0.02)) for _ in range(100)]
        await asyncio.wait(crowd)
        assert {type(each.exception()) for each in crowd} == {SourceError}
        assert asked.count(HANGS) <= 8
        other = ask(session, shares, quick, "risk", 40.0)
        (found,) = await asyncio.gather(other, return_exceptions=True)
        assert found == 200


async def test_a_gateway_whose_name_nobody_answers_for_is_a_failed_reading(
    asked: list[str],
) -> None:
    async with make_local_session() as session:
        source = GatewaySource(session, f"http://{HANGS}:9100/metrics", limits=Limits(0.02))
        with pytest.raises(SourceError, match=f"{HANGS} is not found within 0.02 s"):
            await source.count("Istio", [Backend("risk", "fraud-7b9d6f5c88", "fraud")])


async def test_a_lookup_has_its_place_until_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    room, over = Room(2, 1), threading.Event()

    def find(*_: Any, **__: Any) -> Any:
        assert over.wait(60)
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    monkeypatch.setattr(socket, "getaddrinfo", find)
    with looking_up_for("risk"):
        first = asyncio.create_task(look_up(HANGS, 80, room))
        await asyncio.sleep(0)
        second = asyncio.create_task(look_up(HANGS, 80, room))
        await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait([first])
    assert (room.total, second.done()) == (1, False)
    over.set()
    with pytest.raises(socket.gaierror):
        await second
    await asyncio.sleep(0)
    assert room.total == 0


async def test_a_thread_that_cannot_be_begun_takes_nobodys_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    room = Room(1, 1)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        with looking_up_for("team"), pytest.raises(OSError, match="no thread is left"):
            await look_up("good.example", 80, room)
    assert room.total == 0
