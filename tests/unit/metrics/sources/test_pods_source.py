"""Scraping real servers, most of which behave badly."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from canarium.judge import Reading, Sample
from canarium.metrics.counters import Counters
from canarium.metrics.kept_counters import dump_counters, load_counters
from canarium.metrics.own_profiles import parse_profiles
from canarium.metrics.sources.pods import (
    Measurement,
    PodsMeter,
    PodsSource,
    PodTarget,
    Scrape,
    ScrapeError,
    make_session,
)
from canarium.outbound.errors import MAX_MESSAGE, make_printable
from canarium.queries.profiles import Profile

from testbed.servers.loopback import refusing

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with make_session() as session:
        yield session


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[str]:
    """Serve every path by one handler; gives the server's address."""
    app = web.Application()
    app.router.add_get("/{path:.*}", handler)
    async with TestServer(app, shutdown_timeout=0.1) as server:
        yield str(server.make_url("/"))


def metrics(requests: int, errors: int = 0) -> str:
    return (
        f'http_requests_total{{code="200"}} {requests - errors}\n'
        f'http_requests_total{{code="500"}} {errors}\n'
    )


def answering(text: str) -> Handler:
    async def handler(_: web.Request) -> web.Response:
        return web.Response(text=text)

    return handler


def target(url: str, pod: str = "pod", revision: str = "") -> PodTarget:
    return PodTarget(pod, url, "Prometheus", revision)


def make_source(session: aiohttp.ClientSession, timeout_seconds: float = 20) -> PodsSource:
    """Make a source whose deadline a busy machine keeps."""
    return PodsSource(session, timeout_seconds=timeout_seconds)


async def fetch_one(
    session: aiohttp.ClientSession, handler: Handler, timeout_seconds: float = 20
) -> Scrape:
    source = make_source(session, timeout_seconds)
    async with serving(handler) as url:
        (scrape,) = await source.fetch([target(url)])
    return scrape


async def test_a_servers_counters_are_read(session: aiohttp.ClientSession) -> None:
    scrape = await fetch_one(session, answering(metrics(40, 2)))
    assert (scrape.counters, scrape.error) == (Counters(40, 2), None)


@pytest.mark.parametrize(
    ("response", "error"),
    [
        (web.Response, "an empty answer"),
        (
            lambda: web.Response(text="<html>It works!</html>", content_type="text/html"),
            "the answer isn't metrics in Prometheus' text format",
        ),
        (
            lambda: web.Response(body=bytes(range(256)) * 1000),
            "the answer isn't metrics in Prometheus' text format",
        ),
        (lambda: web.Response(status=500, text=metrics(40)), "HTTP status 500"),
        (lambda: web.Response(status=404), "HTTP status 404"),
        (
            lambda: web.Response(body=b"\x1f\x8b", headers={"Content-Encoding": "gzip"}),
            "a compressed answer, which wasn't asked for",
        ),
    ],
    ids=["nothing", "html", "garbage", "500", "404", "gzip"],
)
async def test_what_is_no_metrics_is_an_error_and_not_zero(
    session: aiohttp.ClientSession, response: Callable[[], web.Response], error: str
) -> None:
    async def handler(_: web.Request) -> web.Response:
        return response()

    scrape = await fetch_one(session, handler)
    assert (scrape.counters, scrape.error) == (None, error)


async def test_fifty_megabytes_are_not_read_to_their_end(session: aiohttp.ClientSession) -> None:
    written = 0

    async def handler(request: web.Request) -> web.StreamResponse:
        nonlocal written
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(50):
            await response.write(
                b"# an ordinary filler of a line of comment\n" * (1024 * 1024 // 42)
            )
            written += 1
        return response

    scrape = await fetch_one(session, handler)
    assert (scrape.counters, scrape.error) == (None, "longer than 5 MiB, which is all that is read")
    assert written < 50


async def test_a_server_that_hangs_costs_its_deadline_and_no_more(
    session: aiohttp.ClientSession,
) -> None:
    async def handler(_: web.Request) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    scrape = await fetch_one(session, handler, timeout_seconds=0.05)
    assert (scrape.counters, scrape.error) == (None, "no answer within 0.05 s")


async def test_a_server_that_never_ends_costs_its_deadline_and_no_more(
    session: aiohttp.ClientSession,
) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"# drip\n")
            await asyncio.sleep(0.01)

    scrape = await fetch_one(session, handler, timeout_seconds=0.1)
    assert (scrape.counters, scrape.error) == (None, "no answer within 0.1 s")


async def test_redirects_are_not_followed(session: aiohttp.ClientSession) -> None:
    asked = []

    async def handler(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response(status=302, headers={"Location": "/secret"})

    scrape = await fetch_one(session, handler)
    assert (scrape.error, asked) == ("HTTP status 302", ["/"])


async def test_nothing_of_ours_is_sent_along(
    session: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://user:secret@127.0.0.1:1")
    sent: list[set[str]] = []

    async def handler(request: web.Request) -> web.Response:
        sent.append({name.lower() for name in request.headers})
        response = web.Response(text=metrics(1))
        response.set_cookie("session", "1")
        return response

    source = make_source(session)
    async with serving(handler) as url:
        for _ in range(2):
            assert (await source.fetch([target(url)]))[0].error is None
    assert sent == [{"host", "accept", "accept-encoding", "user-agent"}] * 2


async def test_a_closed_port_is_an_error_with_its_reason(session: aiohttp.ClientSession) -> None:
    with refusing() as port:
        (scrape,) = await make_source(session).fetch([target(f"http://127.0.0.1:{port}/")])
    assert scrape.error == f"connection refused on port {port}"


async def test_an_answer_cut_short_is_an_error(session: aiohttp.ClientSession) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "5000"})
        await response.prepare(request)
        await response.write(metrics(40).encode())
        assert request.transport is not None
        request.transport.close()
        return response

    scrape = await fetch_one(session, handler)
    assert scrape.counters is None
    assert scrape.error is not None
    assert scrape.error.startswith("a broken answer: ")


async def test_what_speaks_no_http_is_an_error_of_one_printable_line(
    session: aiohttp.ClientSession,
) -> None:
    async def speak(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"\x1b[31mSSH-2.0-\x07\x00evil\r\n\r\n" * 50)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(speak, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        (scrape,) = await make_source(session).fetch([target(f"http://127.0.0.1:{port}/")])
    assert scrape.counters is None
    assert scrape.error is not None
    assert scrape.error.isprintable()
    assert len(scrape.error) <= MAX_MESSAGE


async def test_an_address_that_is_none_is_an_error(session: aiohttp.ClientSession) -> None:
    (scrape,) = await make_source(session).fetch([target("http://[nowhere/")])
    assert scrape.error is not None
    assert scrape.error.startswith("not an address: ")


async def test_all_pods_are_asked_at_once(session: aiohttp.ClientSession) -> None:
    everybody = asyncio.Barrier(10)

    async def handler(_: web.Request) -> web.Response:
        await everybody.wait()
        return web.Response(text=metrics(1))

    source = make_source(session)
    async with serving(handler) as url:
        scrapes = await source.fetch([target(url, f"pod-{number}") for number in range(10)])
    assert [scrape.error for scrape in scrapes] == [None] * 10


async def test_no_more_than_ten_pods_are_asked_and_always_the_same(
    session: aiohttp.ClientSession,
) -> None:
    async with serving(answering(metrics(1))) as url:
        targets = [target(url, f"pod-{number:02}") for number in reversed(range(30))]
        scrapes = await make_source(session).fetch(targets)
    assert [scrape.target.pod for scrape in scrapes] == [f"pod-{number:02}" for number in range(10)]


async def test_a_profile_that_is_not_there_is_an_error_of_its_pods(
    session: aiohttp.ClientSession,
) -> None:
    unknown = PodTarget("pod", "http://127.0.0.1/", "Unheard")
    (scrape,) = await make_source(session).fetch([unknown])
    assert scrape == Scrape(unknown, error="there is no profile Unheard")


async def test_a_profile_that_is_misspelt_is_told_with_what_may_be_meant(
    session: aiohttp.ClientSession,
) -> None:
    source = make_source(session)
    own = "requests: fraud_total\nstatus: {labels: [code]}"
    source.use(parse_profiles({"fraud-server": own})[0])
    meant = {"mlserver": "MLServer", "vLLM": "VLLM", "fraud-sever": "fraud-server"}
    for name, right in meant.items():
        (scrape,) = await source.fetch([PodTarget("pod", "http://127.0.0.1/", name)])
        assert scrape.error == f"there is no profile {name}: did you mean {right}?"


async def test_profiles_of_users_come_and_go(session: aiohttp.ClientSession) -> None:
    source = make_source(session)
    async with serving(answering('mine_total{code="500"} 3\nyours_total{code="200"} 5\n')) as url:
        own = PodTarget("pod", url, "own")
        told = []
        for metric in ("mine_total", "mine_total", "yours_total", None):
            text = f"requests: {metric}\nstatus: {{labels: [code]}}"
            source.use(parse_profiles({"own": text})[0] if metric else {})
            (scrape,) = await source.fetch([own])
            told.append(scrape.counters or scrape.error)
    assert told == [Counters(3, 3), Counters(3, 3), Counters(5, 0), "there is no profile own"]


async def test_no_user_can_change_a_profile_of_canariums(session: aiohttp.ClientSession) -> None:
    source = make_source(session)
    source.use({"Prometheus": Profile(requests=None, duration=None)})
    async with serving(answering(metrics(40, 2))) as url:
        (scrape,) = await source.fetch([target(url)])
    assert scrape.counters == Counters(40, 2)


def test_foreign_words_become_one_short_printable_line() -> None:
    assert make_printable("a\x1b[2Jb\nc\u202ed") == "a [2Jb c d"
    assert make_printable("x" * 500) == "x" * (MAX_MESSAGE - 1) + "…"


# The meter


class Cluster:
    """Pods by name with what their counters stand at; None is a pod that answers an error."""

    def __init__(self) -> None:
        self.pods: dict[str, tuple[int, int] | None] = {}

    async def answer(self, request: web.Request) -> web.Response:
        counted = self.pods[request.path.strip("/")]
        if counted is None:
            return web.Response(status=503)
        announced = "# TYPE http_request_duration_seconds histogram\n"
        return web.Response(text=metrics(*counted) + announced)


async def measure(meter: PodsMeter, url: str, stable: list[str], canary: list[str]) -> Measurement:
    return await meter.measure(
        [target(url + pod, pod, "old") for pod in stable],
        [target(url + pod, pod, "new") for pod in canary],
    )


async def test_a_meter_reads_both_revisions_over_the_same_moments(
    session: aiohttp.ClientSession,
) -> None:
    cluster, clock = Cluster(), iter([100.0, 101.5, 102.5])
    meter = PodsMeter(make_source(session), clock=lambda: next(clock))
    async with serving(cluster.answer) as url:
        cluster.pods = {"s1": (1000, 5), "s2": (2000, 5), "c1": (0, 0)}
        baseline = await measure(meter, url, ["s1", "s2"], ["c1"])
        cluster.pods = {"s1": (1008, 5), "s2": (2008, 6), "c1": (4, 2)}
        first = await measure(meter, url, ["s1", "s2"], ["c1"])
        cluster.pods |= {"s2": None, "c1": None}
        second = await measure(meter, url, ["s1", "s2"], ["c1"])
    assert baseline == Measurement(Reading(0.0, None, None))
    assert first == Measurement(Reading(1.5, Sample(16, 1), Sample(4, 2)))
    assert second == Measurement(
        Reading(1.0, Sample(0, 0), None),
        (ScrapeError("s2", "old", "HTTP status 503"), ScrapeError("c1", "new", "HTTP status 503")),
    )


async def test_a_new_meter_begins_with_a_baseline(session: aiohttp.ClientSession) -> None:
    cluster, source = Cluster(), make_source(session)
    async with serving(cluster.answer) as url:
        cluster.pods = {"c1": (100, 50)}
        await measure(PodsMeter(source), url, [], ["c1"])
        cluster.pods = {"c1": (200, 100)}
        restarted = PodsMeter(source)
        assert (await measure(restarted, url, [], ["c1"])).reading.canary is None
        cluster.pods = {"c1": (204, 101)}
        assert (await measure(restarted, url, [], ["c1"])).reading.canary == Sample(4, 1)


async def test_a_meter_that_takes_over_counts_what_was_answered_meanwhile(
    session: aiohttp.ClientSession,
) -> None:
    cluster, source = Cluster(), make_source(session)
    async with serving(cluster.answer) as url:
        new, restarted = (
            replace(target(url + pod, pod, "new"), identity=f"{pod}/0") for pod in ("c1", "c2")
        )
        cluster.pods = {"c1": (100, 5), "c2": (100, 5)}
        before = PodsMeter(source)
        saved = (await before.measure([], [new, restarted])).counted
        cluster.pods = {"c1": (140, 45), "c2": (120, 5)}
        after = PodsMeter(source)
        after.resume(load_counters(json.loads(json.dumps(dump_counters(saved)))))
        first = await after.measure([], [new, replace(restarted, identity="c2/1")])
        cluster.pods = {"c1": (141, 45), "c2": (121, 5)}
        second = await after.measure([], [new, replace(restarted, identity="c2/1")])
    assert (first.resumed, first.reading.canary) == (True, Sample(40, 40))
    assert (second.resumed, second.reading.canary) == (False, Sample(2, 0))
