"""Asking a Prometheus, and what passes for one."""

import asyncio
import json
from typing import Any

import pytest
from aiohttp import web
from canarium.metrics.sources.prometheus import MAX_SERIES, PrometheusSource
from canarium.outbound.auth import Credentials
from canarium.outbound.errors import MAX_MESSAGE, SourceError
from canarium.outbound.fetching import Limits

from tests.unit.outbound.serving import Handler, answering, make_local_session, serving


def vector(*series: tuple[dict[str, str], str]) -> str:
    result = [{"metric": labels, "value": [1700000000.781, value]} for labels, value in series]
    return success("vector", result)


def success(kind: str, result: Any) -> str:
    return json.dumps({"status": "success", "data": {"resultType": kind, "result": result}})


async def ask_gauge(handler: Handler, limits: Limits = Limits(20)) -> float | None:  # noqa: B008
    async with serving(handler) as url, make_local_session() as session:
        return await PrometheusSource(session, url, limits=limits).query_gauge("up")


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        (vector(({"pod": "a"}, "0.25")), 0.25),
        (success("scalar", [1700000000, "3"]), 3.0),
        (vector(({}, "-1e-3")), -0.001),
        (vector(), None),
        (vector(({}, "NaN")), None),
        (vector(({}, "+Inf")), None),
        (vector(({}, "-Inf")), None),
        (success("scalar", [1700000000, "NaN"]), None),
    ],
)
async def test_one_number_or_none_is_read(answer: str, value: float | None) -> None:
    assert await ask_gauge(answering(answer)) == value


PAGE = "<!DOCTYPE html><html><body>Sign in</body></html>"


@pytest.mark.parametrize(
    ("handler", "message"),
    [
        (
            answering(vector(({"a": "1"}, "1"), ({"a": "2"}, "2"))),
            "2 series where one is expected: aggregate them",
        ),
        (answering(PAGE, content_type="text/html"), "not Prometheus' JSON: a page of HTML"),
        (answering(PAGE, 503, "text/html"), "HTTP status 503: a page of HTML"),
        (answering(""), "not Prometheus' JSON: an empty answer"),
        (answering("{}"), "not Prometheus' JSON: an answer that can't be read"),
        (answering("[" * 100_000), "not Prometheus' JSON: an answer that can't be read"),
        (answering(b"\x00\xff"), "not Prometheus' JSON: an answer that can't be read"),
        (answering(vector()[:-9]), "not Prometheus' JSON: an answer that can't be read"),
        (
            answering(json.dumps({"status": "error", "errorType": "bad_data", "error": "x"}), 400),
            "the query was refused: it makes no sense; ask Prometheus itself why",
        ),
        (
            answering(json.dumps({"status": "error", "error": "hunter2\n"}), 400),
            "the query was refused; ask Prometheus itself why",
        ),
        (answering(vector(), 500), "HTTP status 500"),
        (answering(success("string", [1, "x"])), "the query gives a string, not numbers"),
        (
            answering(success("matrix", [])),
            "the query gives a matrix, not numbers (wrap a range in a function)",
        ),
        (answering(success("vector", [{"metric": {}, "histogram": [1, {}]}])), "native histograms"),
        (answering(success("vector", [{"value": [1, 5]}])), "an answer that isn't Prometheus'"),
        (answering(success("vector", {"a": 1})), "an answer that isn't Prometheus'"),
        (answering(vector(({}, "many"))), "a value that isn't a number"),
        (
            answering(vector(*[({"n": str(n)}, "1") for n in range(MAX_SERIES + 1)])),
            "2001 series, more than 2000: aggregate them",
        ),
        (answering(" " * (1024 * 1024 + 1)), "longer than 1 MiB"),
    ],
)
async def test_what_is_no_answer_is_an_error_of_one_printable_line(
    handler: Handler, message: str
) -> None:
    with pytest.raises(SourceError) as caught:
        await ask_gauge(handler)
    assert message in str(caught.value)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) <= MAX_MESSAGE


async def test_an_answer_after_the_deadline_is_none() -> None:
    async def handler(_: web.Request) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    with pytest.raises(SourceError, match=r"no answer within 0\.05 s"):
        await ask_gauge(handler, Limits(timeout_seconds=0.05))


async def test_series_are_told_apart_by_their_labels_whatever_these_hold() -> None:
    odd = {"pod": 'a"b\nc\\', "path": "/{}"}
    answer = vector((odd, "5"), ({}, "7.5"), ({"pod": "x"}, "NaN"))
    async with serving(answering(answer)) as url, make_local_session() as session:
        found = await PrometheusSource(session, url).query_series("up")
    assert found == {(("path", "/{}"), ("pod", 'a"b\nc\\')): 5.0, (): 7.5}


async def test_the_query_is_posted_with_credentials_and_the_moment() -> None:
    asked: list[dict[str, object]] = []

    async def handler(request: web.Request) -> web.Response:
        asked.append(
            {
                "path": request.path,
                "method": request.method,
                "authorization": request.headers.get("Authorization"),
                **await request.post(),
            }
        )
        return web.Response(text=vector())

    async with serving(handler) as url, make_local_session() as session:
        source = PrometheusSource(session, url + "prefix/", Credentials("Bearer hush"))
        await source.query_series('up{a="&=%+é"}', at=1700000000.25)
        await source.query_gauge("up")
    common = {
        "path": "/prefix/api/v1/query",
        "method": "POST",
        "authorization": "Bearer hush",
        "timeout": "5s",
    }
    assert asked == [
        {**common, "query": 'up{a="&=%+é"}', "time": "1700000000.250"},
        {**common, "query": "up"},
    ]


async def test_an_address_with_a_query_is_refused() -> None:
    async with make_local_session() as session:
        with pytest.raises(ValueError, match=r"an address with a \?query"):
            PrometheusSource(session, "http://prometheus/?token=hush")
