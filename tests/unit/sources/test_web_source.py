"""One number out of anybody's JSON."""

import asyncio
import json
import time

import pytest
from aiohttp import web
from canarium.sources.auth import Credentials
from canarium.sources.errors import MAX_MESSAGE, SourceError
from canarium.sources.fetching import Answer, Limits
from canarium.sources.web import MAX_PATH, WebSource, check_path, read_number

from tests.unit.sources.serving import Handler, answering, make_local_session, serving


async def ask(handler: Handler, path: str = "$.score") -> float | None:
    async with serving(handler) as url, make_local_session() as session:
        return await WebSource(session, url, path).query_gauge()


@pytest.mark.parametrize(
    ("answer", "path", "value"),
    [
        ('{"score": 0.75}', "$.score", 0.75),
        ('{"score": "0.75"}', "$.score", 0.75),
        ('{"score": " -1e3 "}', "$.score", -1000.0),
        ("12", "$", 12.0),
        ('{"a": [{"n": "x", "v": 1}, {"n": "y", "v": 2}]}', "$.a[?@.n == 'y'].v", 2.0),
        ('{"a": {"b": {"score": 3}}}', "$..score", 3.0),
        ('{"a.b": {"$": 4}}', "$['a.b']['$']", 4.0),
        ('{"score": null}', "$.score", None),
        ('{"other": 1}', "$.score", None),
        ('{"score": "NaN"}', "$.score", None),
        ('{"score": "+Inf"}', "$.score", None),
        ('{"score": 1' + "0" * 400 + "}", "$.score", None),
        ('{"score": "1e999"}', "$.score", None),
        ("[]", "$.score", None),
        ('"text"', "$.score", None),
        ('"0.5"', "$", 0.5),
        ('"["', "$.score", None),
    ],
)
async def test_the_number_at_the_path_is_read(answer: str, path: str, value: float | None) -> None:
    assert await ask(answering(answer), path) == value


@pytest.mark.parametrize(
    ("handler", "message"),
    [
        (answering('{"score": true}'), "what is at $.score isn't a number but true or false"),
        (answering('{"score": {}}'), "isn't a number but an object"),
        (answering('{"score": []}'), "isn't a number but an array"),
        (answering('{"score": "fast"}'), "is a text, not a number"),
        (answering('{"score": "0x10"}'), "is a text, not a number"),
        (answering('{"score": "1_000"}'), "is a text, not a number"),
        (answering("<html>", content_type="text/html"), "isn't JSON: a page of HTML"),
        (answering(""), "isn't JSON: it is empty"),
        (answering('{"score": NaN}'), "isn't JSON: it can't be read"),
        (answering("[" * 100_000), "isn't JSON: it can't be read"),
        (answering('{"score": 1}', 500), "HTTP status 500"),
        (answering('{"score": 1}', 404), "HTTP status 404"),
        (answering(" " * (128 * 1024 + 1)), "more than 131072 bytes"),
    ],
)
async def test_what_is_no_number_is_an_error_of_one_printable_line(
    handler: Handler, message: str
) -> None:
    with pytest.raises(SourceError) as caught:
        await ask(handler)
    assert message in str(caught.value)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) <= MAX_MESSAGE


async def test_several_values_are_an_error() -> None:
    with pytest.raises(SourceError, match=r"2 values at \$\.\* where one is expected"):
        await ask(answering('{"a": 1, "b": 2}'), "$.*")


async def test_an_answer_after_the_deadline_is_none() -> None:
    async def handler(_: web.Request) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    async with serving(handler) as url, make_local_session() as session:
        source = WebSource(session, url, "$", limits=Limits(timeout_seconds=0.05))
        with pytest.raises(SourceError, match=r"no answer within 0\.05 s"):
            await source.query_gauge()


async def test_a_body_is_posted_with_credentials() -> None:
    asked: list[tuple[object, ...]] = []

    async def handler(request: web.Request) -> web.Response:
        authorization, kind = (request.headers.get(h) for h in ("Authorization", "Content-Type"))
        asked.append((request.method, authorization, kind, await request.text()))
        return web.Response(text="1")

    async with serving(handler) as url, make_local_session() as session:
        await WebSource(
            session,
            url,
            "$",
            method="POST",
            body='{"model": "é"}',
            credentials=Credentials("Bearer hush"),
        ).query_gauge()
    assert asked == [("POST", "Bearer hush", "application/json", '{"model": "é"}')]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("", "not a JSONPath"),
        ("score", "not a JSONPath"),
        ("$.", "not a JSONPath"),
        ("$['a", "not a JSONPath"),
        ("$[?@.a == ]", "not a JSONPath"),
        ("$" + ".a" * MAX_PATH, "more than 200 characters"),
        ("$[0,0][0,0]", "a path with a list of selectors"),
        ("$..a..b", "one .. outside of filters"),
        ("$[?@..a]", "one .. outside of filters"),
        ("$[?$.a]", "one $, at its start"),
        ("$.a | $.b", "one $, at its start"),
        ("$[?search(@.a, '(a+)+$')]", "a path with a function"),
        ("$[?match (@.a, 'b')]", "a path with a function"),
    ],
)
def test_a_path_of_no_use_is_refused(path: str, message: str) -> None:
    with pytest.raises(ValueError, match=message.replace("$", r"\$").replace(".", r"\.")):
        check_path(path)


@pytest.mark.parametrize(
    ("path", "several"),
    [
        ("$..*", True),
        ("$[?@[?@[?@[?@.a]]]]", False),
        ("$.*.*.*.*.*.*", True),
        ("$[::1][::-1]", True),
        ("$..[?@.b||@.b||@.b||@.b||@.b||@.b||@.b||@.b||@.b||@.b||@.b||@.b]", False),
    ],
)
def test_no_path_keeps_the_operator_busy(path: str, several: bool) -> None:
    wide = json.dumps([[[[[{"a": 1}] * 10] * 10] * 10] * 10])
    assert len(wide) < 128 * 1024
    check_path(path)
    began = time.process_time()
    if several:
        with pytest.raises(SourceError, match=r"values at|isn't a number"):
            read_number(Answer(200, wide.encode()), path)
    else:
        assert read_number(Answer(200, wide.encode()), path) is None
    assert time.process_time() - began < 10.0
