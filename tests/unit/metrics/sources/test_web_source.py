"""One number out of anybody's JSON."""

import json
import time

import pytest
from canarium.metrics.sources.web import MAX_PATH, check_path, read_number
from canarium.outbound.errors import MAX_MESSAGE, SourceError
from canarium.outbound.fetching import Answer


def read(answer: str, path: str = "$.score", status: int = 200) -> float | None:
    return read_number(Answer(status, answer.encode()), path)


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
def test_the_number_at_the_path_is_read(answer: str, path: str, value: float | None) -> None:
    assert read(answer, path) == value


@pytest.mark.parametrize("path", ["$.score[-1:]", "$.score[0:1]", "$..[::-1]", "$.*[:1][:1]"])
def test_a_text_has_no_slices(path: str) -> None:
    assert read('{"score": "97.3"}', path) is None
    assert read('{"score": ["9"]}', path.removesuffix("[:1]")) == 9.0


@pytest.mark.parametrize(
    ("answer", "status", "message"),
    [
        ('{"score": true}', 200, "what is at $.score isn't a number but true or false"),
        ('{"score": {}}', 200, "isn't a number but an object"),
        ('{"score": []}', 200, "isn't a number but an array"),
        ('{"score": "fast"}', 200, "is a text, not a number"),
        ('{"score": "0x10"}', 200, "is a text, not a number"),
        ('{"score": "1_000"}', 200, "is a text, not a number"),
        ("<html>", 200, "isn't JSON: a page of HTML"),
        ("", 200, "isn't JSON: it is empty"),
        ('{"score": NaN}', 200, "isn't JSON: it can't be read"),
        ("[" * 100_000, 200, "isn't JSON: it can't be read"),
        ('{"score": 1}', 500, "HTTP status 500"),
        ('{"score": 1}', 404, "HTTP status 404"),
    ],
)
def test_what_is_no_number_is_an_error_of_one_printable_line(
    answer: str, status: int, message: str
) -> None:
    with pytest.raises(SourceError) as caught:
        read(answer, status=status)
    assert message in str(caught.value)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) <= MAX_MESSAGE


def test_several_values_are_an_error() -> None:
    with pytest.raises(SourceError, match=r"2 values at \$\.\* where one is expected"):
        read('{"a": 1, "b": 2}', "$.*")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("", "not a JSONPath"),
        ("score", "not a JSONPath"),
        ("$.", "not a JSONPath"),
        ("$['a", "not a JSONPath"),
        ("$[?@.a == ]", "not a JSONPath"),
        ("$[?@.a==1e400]", "not a JSONPath"),
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
    ("path", "message"),
    [
        ("$..*", "values at"),
        ("$[?@[?@[?@[?@.a]]]]", "more values than"),
        ("$.*.*.*.*.*.*", "more values than"),
        ("$[::1][::-1]", "values at"),
        ("$..[?@.b||@.b||@.b||@.b||@.b||@.b||@.b||@.b||@.b||@.b||@.b||@.b]", "more values than"),
    ],
)
def test_no_path_keeps_the_operator_busy(path: str, message: str) -> None:
    wide = json.dumps([[[[[{"a": 1}] * 10] * 10] * 10] * 10])
    assert len(wide) < 128 * 1024
    check_path(path)
    began = time.process_time()
    with pytest.raises(SourceError, match=message):
        read_number(Answer(200, wide.encode()), path)
    assert time.process_time() - began < 2.0
