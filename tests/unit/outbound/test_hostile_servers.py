"""Servers that say what nobody asked for: no word of theirs gets into what people are shown.

Each speaks raw TCP on loopback and has a secret in whatever it says. Everything that asks somebody
whose address was written by a person is tried against each of them.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
import pytest
from canarium.failures import NO_HTTP, explain_failure
from canarium.metrics.sources.gateway import Backend, GatewayMeter, GatewaySource
from canarium.metrics.sources.pods import PodsSource, PodTarget
from canarium.metrics.sources.prometheus import PrometheusSource
from canarium.metrics.sources.web import read_number
from canarium.notifying.destinations import Destination
from canarium.notifying.messages import Message
from canarium.notifying.posting import post
from canarium.outbound.errors import SourceError
from canarium.outbound.fetching import Limits, OutboundRequest, fetch
from canarium.outbound.forbidden_addresses import check_address

from tests.unit.outbound.serving import make_local_session

SECRET = "hunter2"  # noqa: S105 - it is to be found nowhere
BANNER = f"db-password={SECRET}".encode()


def ok(body: bytes, *headers: bytes) -> bytes:
    lines = [b"HTTP/1.1 200 OK", b"Content-Length: %d" % len(body), *headers, b"", body]
    return b"\r\n".join(lines)


def refused(kind: str) -> bytes:
    said = {"status": "error", "errorType": kind, "error": f"user admin, password {SECRET}"}
    return ok(json.dumps(said).encode())


def result(kind: str) -> bytes:
    return ok(
        json.dumps({"status": "success", "data": {"resultType": kind, "result": []}}).encode()
    )


@dataclass(frozen=True)
class Hostile:
    """What a server says; `words` is what whoever asks for HTTP alone says of it."""

    name: str
    said: bytes
    words: str = ""


BROKEN = "a broken answer: it ends early, or in pieces that are none"
CLOSED = "the connection was closed before an answer came"
HOSTILE = (
    Hostile("banner", BANNER + b"\r\n", NO_HTTP),
    Hostile("banner-without-end", BANNER, NO_HTTP),
    Hostile("ssh", b"SSH-2.0-OpenSSH_9.2 " + BANNER + b"\r\n", NO_HTTP),
    Hostile("redis", b"-ERR wrong number of arguments for " + BANNER + b"\r\n", NO_HTTP),
    Hostile("silence", b"", CLOSED),
    Hostile(
        "status-controls", b"HTTP/1.1 200 \x1b[2J" + BANNER + b"\x9b\r\nContent-Length: 0\r\n\r\n"
    ),
    Hostile("status-reason", b"HTTP/1.1 503 " + BANNER + b"\r\nContent-Length: 0\r\n\r\n"),
    Hostile("status-odd", b"HTTP/1.1 hunter2 OK\r\n\r\n", NO_HTTP),
    Hostile("header-without-colon", b"HTTP/1.1 200 OK\r\n" + BANNER + b"\r\n\r\n", NO_HTTP),
    Hostile("header-controls", b"HTTP/1.1 200 OK\r\nX: a\x00" + BANNER + b"\r\n\r\n", NO_HTTP),
    Hostile("header-huge", b"HTTP/1.1 200 OK\r\nX: " + BANNER * 60_000 + b"\r\n\r\n"),
    Hostile("length-odd", b"HTTP/1.1 200 OK\r\nContent-Length: hunter2\r\n\r\n", NO_HTTP),
    Hostile(
        "chunk-broken",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + BANNER + b"\r\n",
    ),
    Hostile("cut-short", b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n" + BANNER, BROKEN),
    Hostile(
        "redirect",
        b"HTTP/1.1 302 Found\r\nLocation: http://a/?token=hunter2\r\nContent-Length: 0\r\n\r\n",
        "HTTP status 302: redirects are not followed",
    ),
    Hostile("text", ok(BANNER)),
    Hostile(
        "latin-1", ok("Paßwort=hunter2 é".encode("latin-1"), b"Content-Type: text/plain; charset=x")
    ),
    Hostile("utf-16", ok('{"a": "hunter2"}'.encode("utf-16"))),
    Hostile(
        "gzip-bomb",
        ok(gzip.compress(BANNER * 100_000), b"Content-Encoding: gzip"),
        "a compressed answer, which wasn't asked for",
    ),
    Hostile("too-long", ok(BANNER * 100_000), "longer than 64 KiB, which is all that is read"),
    Hostile("prometheus-bad-data", refused("bad_data")),
    Hostile("prometheus-odd-type", refused(f"password {SECRET}")),
    Hostile("prometheus-odd-result", result(f"password {SECRET}")),
    Hostile("json-text", ok(json.dumps({"score": f"password {SECRET}"}).encode())),
    Hostile("json-keys", ok(json.dumps({f"password {SECRET}": {"score": [SECRET]}}).encode())),
    Hostile(
        "metrics", ok(f'# TYPE {SECRET} counter\n{SECRET}{{a="{SECRET}"}} {SECRET}\n'.encode())
    ),
)


@asynccontextmanager
async def speaking(said: bytes) -> AsyncIterator[str]:
    """A server that says this once it was asked, and hangs up."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65536)
        try:
            writer.write(said)
            await writer.drain()
        except ConnectionError:
            return  # whoever asked has heard enough
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


LIMITS = Limits(timeout_seconds=30.0, max_bytes=65536)
Ask = Callable[[aiohttp.ClientSession, str], Awaitable[object]]


async def ask_web(session: aiohttp.ClientSession, url: str) -> object:
    request = OutboundRequest("GET", check_address(url), "application/json")
    return read_number(await fetch(session, request, LIMITS), "$.score")


async def ask_prometheus(session: aiohttp.ClientSession, url: str) -> object:
    return await PrometheusSource(session, url, limits=LIMITS).query_gauge("up")


async def ask_pod(session: aiohttp.ClientSession, url: str) -> object:
    source = PodsSource(session, timeout_seconds=30.0, max_bytes=65536)
    (scrape,) = await source.fetch([PodTarget("pod", url, "Prometheus")])
    if scrape.error is not None:
        raise SourceError(scrape.error)
    return scrape.counters


async def ask_gateway(session: aiohttp.ClientSession, url: str) -> object:
    meter = GatewayMeter(GatewaySource(session, url, limits=LIMITS), "Traefik")
    measured = await meter.measure(None, Backend("risk", "fraud-1a2b3c4d5e", "fraud"))
    return [error.message for error in measured.errors]


async def send(session: aiohttp.ClientSession, url: str) -> object:
    outcome = await post(session, Destination(check_address(url)), Message("text/json", b"{}"))
    raise SourceError(outcome.problem or "delivered")


ASKING: dict[str, Ask] = {
    "web": ask_web,
    "prometheus": ask_prometheus,
    "pod": ask_pod,
    "gateway": ask_gateway,
    "notification": send,
}


@pytest.mark.parametrize("hostile", HOSTILE, ids=lambda hostile: hostile.name)
@pytest.mark.parametrize("asking", ASKING)
async def test_no_word_of_whoever_answers_is_repeated(
    asking: str, hostile: Hostile, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    words = await listen(ASKING[asking], hostile)
    assert (SECRET in words, words.isprintable()) == (False, True)
    assert SECRET not in caplog.text
    if asking == "web" and hostile.words:
        assert words == hostile.words


async def listen(ask: Ask, hostile: Hostile) -> str:
    """What came of asking: a reading, or the words and the cause of its failure."""
    async with speaking(hostile.said) as url, make_local_session() as session:
        try:
            return str(await ask(session, url))
        except SourceError as error:
            return str(error) + (repr(error.__cause__) if error.__cause__ else "")


async def test_details_are_in_the_log_at_debug(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "canarium")
    async with speaking(BANNER + b"\r\n") as url, make_local_session() as session:
        with pytest.raises(SourceError, match=NO_HTTP):
            await ask_web(session, url)
    assert SECRET in caplog.text


def list_kinds(kind: type[BaseException]) -> list[type[BaseException]]:
    found = [kind]
    for inner in kind.__subclasses__():
        found += list_kinds(inner)
    return found


@pytest.mark.parametrize(
    "kind", [*list_kinds(aiohttp.ClientError), *list_kinds(OSError)], ids=lambda kind: kind.__name__
)
def test_no_kind_of_error_is_told_in_its_own_words(kind: type[BaseException]) -> None:
    """Also one that a later version of a library adds; RefusedAddressError's words are ours."""
    error = kind.__new__(kind)
    error.args = (5, SECRET)
    if isinstance(error, OSError):
        error.strerror = SECRET
    words = explain_failure(error)
    assert (words != "", SECRET in words) == (True, False) or kind.__name__ == "RefusedAddressError"
