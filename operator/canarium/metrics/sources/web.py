"""Readings from any server that answers JSON: one number, found by a JSONPath (RFC 9535)."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from math import isfinite
from typing import Any
from urllib.parse import quote, unquote

import msgspec

from canarium.core.spec import WebQuery
from canarium.metrics.sources.asking import Figure, RevisionReader
from canarium.outbound.errors import SourceError, attempt
from canarium.outbound.fetching import Answer, Limits, OutboundRequest, fetching
from canarium.outbound.forbidden_addresses import check_address
from canarium.queries.promql import ArgumentType, Pattern

MAX_PATH = 200
_PLACEHOLDER = "{{"
WEB_LIMITS = Limits(max_bytes=128 * 1024)
MAX_LOOKS = 100_000
"""How often a path looks at a value of the answer, at most: about 0.2 s of a processor."""

_QUOTED = re.compile(r"'(?:[^'\\]|\\.)*+'|\"(?:[^\"\\]|\\.)*+\"", re.DOTALL)
_NUMBER = re.compile(r"[+-]?[0-9]{1,40}(?:\.[0-9]{1,40})?(?:[eE][+-]?[0-9]{1,3})?")
_SEARCHES = re.compile(r"\.\.|[*?:]")
"What has a path look at more than one place."
_NOT_FINITE = frozenset({"nan", "inf", "+inf", "-inf", "infinity", "+infinity", "-infinity"})


def check_path(path: str) -> None:
    """Check a JSONPath. Raises ValueError with what to write instead.

    What could keep the operator busy is refused: functions (two of them take regular
    expressions), lists of selectors (`[0,0][0,0]…` multiplies), more than one `..`, and a `$` or
    `..` within a filter. So every value of the answer is visited about once.
    """
    if len(path) > MAX_PATH:
        raise ValueError(f"a path of more than {MAX_PATH} characters")
    plain = _QUOTED.sub("''", path)
    if re.search(r"[A-Za-z0-9_]\s*\(", plain):
        raise ValueError("a path with a function, which is not supported: compare values instead")
    if "," in plain:
        raise ValueError("a path with a list of selectors, but one number is wanted: name one")
    if "$" in plain.lstrip()[1:] or plain.count("..") > 1 or re.search(r"\[[^]]*\.\.", plain):
        raise ValueError("a path may have one $, at its start, and one .. outside of filters")
    _compile(path)


def read_number(answer: Answer, path: str) -> float | None:
    """Find the number in an answer; None when there is none (nothing at the path, null, NaN).

    Raises SourceError, also for several values and for one that isn't a number. A path that
    visits all of a big answer takes up to a second: call it in a thread.
    """
    if not 200 <= answer.status < 300:
        raise SourceError(f"HTTP status {answer.status}")
    try:
        data = msgspec.json.decode(answer.body)
    except (msgspec.MsgspecError, RecursionError):
        raise SourceError(f"the answer isn't JSON: {_describe(answer.body)}") from None
    return _read_one(_find(path, data), path)


def _find(path: str, data: object) -> list[Any]:
    _check_costs(path, data)
    if isinstance(data, str):  # which the library would take for JSON once more
        return [data] if path.strip() == "$" else []
    try:
        found = list(_compile(path).finditer(data))
    except Exception as error:
        raise SourceError(f"{path} can't be followed: {type(error).__name__}") from error
    # The library takes slices of texts, too: by RFC 9535 only arrays have any.
    return [each.obj for each in found if not (each.parent and isinstance(each.parent.obj, str))]


def _check_costs(path: str, data: object) -> None:
    """Refuse what would take long, before it does: each part of a path looks at most values once.

    Raises SourceError.
    """
    plain = _QUOTED.sub("''", path)
    if _SEARCHES.search(plain) is None:
        return
    most = MAX_LOOKS // sum(map(plain.count, ".[@"))
    if _count_values(data, most) > most:
        raise SourceError(f"the answer has more values than {path} may search: name the place")


def _count_values(data: object, most: int) -> int:
    """Count the values within a value, and stop beyond so many."""
    count, rest = 1, [data]
    while rest and count <= most:
        value = rest.pop()
        if isinstance(value, dict):
            value = value.values()
        elif not isinstance(value, list):
            continue
        count += len(value)
        rest += value
    return count


def _read_one(found: list[Any], path: str) -> float | None:
    if len(found) > 1:
        raise SourceError(f"{len(found)} values at {path} where one is expected")
    value = found[0] if found else None
    if isinstance(value, str):
        return _read_text(value.strip(), path)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise SourceError(f"what is at {path} isn't a number but {_name(value)}")
    return _make_float(value)


def _read_text(text: str, path: str) -> float | None:
    if text.lower() in _NOT_FINITE:
        return None
    if _NUMBER.fullmatch(text) is None:
        raise SourceError(f"what is at {path} is a text, not a number")
    return _make_float(float(text))


def _make_float(value: float | None) -> float | None:
    try:
        number = None if value is None else float(value)
    except OverflowError:  # An integer of more than 308 digits.
        return None
    return number if number is not None and isfinite(number) else None


def _name(value: object) -> str:
    names: dict[type, str] = {bool: "true or false", dict: "an object", list: "an array"}
    return names.get(type(value), "something else")


def _describe(body: bytes | bytearray) -> str:
    start = body.lstrip()[:1]
    if not start:
        return "it is empty"
    return "a page of HTML" if start == b"<" else "it can't be read"


@lru_cache(maxsize=128)  # of paths of at most MAX_PATH characters
def _compile(path: str) -> Any:
    from jsonpath import JSONPathEnvironment, JSONPathError  # noqa: PLC0415  # see above

    try:
        return JSONPathEnvironment(strict=True).compile(path)
    except Exception as error:
        known = isinstance(error, JSONPathError) and getattr(error, "message", None)
        words = known or type(error).__name__
        raise ValueError(f"not a JSONPath ({words}); write one such as $.data.score") from error


@dataclass(slots=True)
class WebReader(RevisionReader[WebQuery]):
    """One revision, asked about by a URL."""

    query_type = WebQuery

    @staticmethod
    def get_address(query: WebQuery) -> str:
        """All of it: placeholders stand where they lead nowhere else."""
        return query.url

    @staticmethod
    def describe(query: WebQuery) -> str:
        """By its URL without what may be secret in it."""
        return f"Web {query.url.partition('?')[0]}"

    @staticmethod
    def check(query: WebQuery, _arguments: Mapping[str, ArgumentType]) -> tuple[str, ...]:
        """Paths that are none."""
        return tuple(filter(None, (_object_to(path) for path in _paths(query))))

    async def ask(self) -> Figure:
        """Get the answer once, and read all paths of it."""
        if self.lent:  # a query in a URL would be kept to nothing
            raise SourceError(
                "that is the operator's own Prometheus: ask it by prometheus, not web"
            )
        try:
            url = check_address(fill_url(self.query.url, self.values))
            for path in _paths(self.query):
                check_path(path)
        except ValueError as error:
            raise SourceError(str(error)) from error
        credentials = await self.sources.secrets.get(self.namespace, self.query.secret)
        dial = await self.find(url)
        request = OutboundRequest(
            "GET", url, "application/json", credentials=credentials, owner=self.namespace, dial=dial
        )
        limits = Limits(self.query.timeout_seconds, WEB_LIMITS.max_bytes)
        found = await self._read(request, limits)
        failed = next((each for each in found if isinstance(each, SourceError)), None)
        if failed is not None:
            raise failed
        return self._make_figure([each for each in found if not isinstance(each, SourceError)])

    async def _read(
        self, request: OutboundRequest, limits: Limits
    ) -> list[float | SourceError | None]:
        """The numbers at the paths, in order.

        Beside the loop, for that may take a while, and one at a time: threads share a processor.
        """
        session, shares = self.sources.session, self.sources.shares
        found = []
        async with fetching(session, request, limits, shares) as answer:
            for path in _wanted_paths(self.query):
                read = partial(read_number, answer, path)
                async with shares.threads.take(self.namespace):
                    found.append(await asyncio.to_thread(attempt, read))
        return found

    def _make_figure(self, found: list[float | None]) -> Figure:
        if not self.query.total:
            return found[0]
        marked, total = found
        if marked is None or total is None:
            return None
        return self.count({(): marked}, {(): total})


def _object_to(path: str) -> str:
    try:
        check_path(path)
    except ValueError as error:
        return str(error)
    return ""


def _paths(query: WebQuery) -> tuple[str, ...]:
    return tuple(filter(None, (query.value, query.bad, query.good, query.total)))


def _wanted_paths(query: WebQuery) -> tuple[str, ...]:
    return (query.bad or query.good, query.total) if query.total else (query.value,)


def fill_url(url: str, values: Mapping[str, str]) -> str:
    """Replace placeholders, percent-encoded. Raises ValueError for one that is unknown."""
    texts = {name: value for name, value in values.items() if not isinstance(value, Pattern)}
    for name, value in texts.items():
        url = url.replace("{{" + name + "}}", quote(value, safe=""))
    if _PLACEHOLDER in url:
        raise ValueError(f"the URL has an unknown placeholder; there are: {', '.join(texts)}")
    if leads_up(url):
        raise ValueError("a URL whose path has a part . or .., which leads elsewhere: leave it out")
    return url


def leads_up(url: str) -> bool:
    """Whether a part of the path is a dot or two, as somebody on the way may read it.

    A slash or a dot that is percent-encoded counts, for there are servers that decode them first.
    """
    path = re.split(r"[?#]", url, maxsplit=1)[0].partition("://")[2]
    return any(part in (".", "..") for part in re.split(r"[/\\]", unquote(path)))
