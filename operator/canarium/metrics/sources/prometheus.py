"""Readings from Prometheus, or what speaks its HTTP API: instant queries, and nothing else."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from math import isfinite
from typing import TypeVar

import aiohttp
import msgspec

from canarium.core.spec import PrometheusQuery
from canarium.metrics.counting import Labels
from canarium.metrics.sources.asking import Figure, RevisionReader
from canarium.outbound.auth import NOBODY, Credentials
from canarium.outbound.errors import SourceError, attempt
from canarium.outbound.fetching import Answer, Limits, OutboundRequest, fetching
from canarium.outbound.forbidden_addresses import check_address
from canarium.outbound.sharing import Shares
from canarium.queries.promql import ArgumentType, Template, check_counters, find_metrics
from canarium.queries.promql_selectors import confine

logger = logging.getLogger(__name__)

MAX_SERIES = 2_000
"""Of one query: enough for twenty pods with a hundred series each."""
MAX_LABELS = 8 * 1024
"""Characters of one series' labels."""
_MOST_OBJECTS = 8 * MAX_SERIES
_MOST_QUOTES = 100 * MAX_SERIES
"""What an answer within the bounds has at most (25 labels a series): counted before it is read."""

K = TypeVar("K", Labels, bytes)


_REFUSALS = {
    "bad_data": "the query was refused: it makes no sense",
    "timeout": "the query was refused: it takes too long",
    "canceled": "the query was refused: it was broken off",
    "execution": "the query was refused: it failed while it was run, or wants too much",
    "internal": "the query was refused: an error of the server's own",
    "unavailable": "the query was refused: the server can't answer now",
    "not_found": "the query was refused: there is nothing that could answer",
    "too_many_requests": "the query was refused: there are too many",
}
"""Of Prometheus' `errorType`. What it says in `error` is never repeated: whoever gives an address
chooses who answers, and what stands there may be anything."""

_OTHER_RESULTS = {
    "matrix": "a matrix, not numbers (wrap a range in a function)",
    "string": "a string, not numbers",
}


class _Series(msgspec.Struct):
    metric: dict[str, str] = {}
    value: tuple[float, str] | None = None


class _Data(msgspec.Struct):
    result_type: str = msgspec.field(name="resultType")
    result: msgspec.Raw


class _Body(msgspec.Struct):
    status: str
    data: _Data | None = None
    error: str = ""
    error_type: str = msgspec.field(name="errorType", default="")


_BODY = msgspec.json.Decoder(_Body)
_VECTOR = msgspec.json.Decoder(list[_Series])
_SCALAR = msgspec.json.Decoder(tuple[float, str])


class PrometheusSource:
    """Asks one server, for the namespace `owner`, at the addresses of `dial` where there are some.

    Raises ValueError for an address that is none.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        address: str,
        credentials: Credentials = NOBODY,
        limits: Limits = Limits(),  # noqa: B008  # frozen, so one for all
        *,
        shares: Shares | None = None,
        owner: str = "",
        dial: tuple[str, ...] = (),
    ) -> None:
        url = check_address(address)
        if url.query_string:
            raise ValueError("an address with a ?query; write the part before it")
        self._session = session
        self._url = url / "api/v1/query"
        self._credentials = credentials
        self._limits = limits
        self._shares = shares or Shares()
        self._owner = owner
        self._dial = dial

    async def query_gauge(self, query: str, at: float | None = None) -> float | None:
        """Ask for one number; None when there is none (no series, NaN, an infinity).

        Raises SourceError, also when several series answer.
        """
        found = await self._query(query, at, read_result)
        if len(found) > 1:
            raise SourceError(f"{len(found)} series where one is expected: aggregate them")
        value = next(iter(found.values()), None)
        return value if value is not None and isfinite(value) else None

    async def query_series(self, query: str, at: float | None = None) -> dict[Labels, float]:
        """Ask for series by their labels, at a moment (Unix time) or now.

        Series without a number (NaN, an infinity) are left out. Raises SourceError.
        """
        found = await self._query(query, at, read_result)
        return {labels: value for labels, value in found.items() if isfinite(value)}

    async def query_counters(self, query: str, at: float | None = None) -> dict[bytes, float]:
        """Ask for series as `query_series` does, each by a digest of its labels.

        They are to be followed: labels are of any length, and somebody else's.
        """
        found = await self._query(query, at, _digest_all)
        return {series: value for series, value in found.items() if isfinite(value)}

    async def _query(
        self, query: str, at: float | None, read: Callable[[Answer], dict[K, float]]
    ) -> dict[K, float]:
        form = {"query": query, "timeout": f"{self._limits.timeout_seconds:g}s"}
        if at is not None:
            form["time"] = f"{at:.3f}"
        request = OutboundRequest(
            "POST",
            self._url,
            "application/json",
            form=form,
            credentials=self._credentials,
            owner=self._owner,
            dial=self._dial,
        )
        found = await self._ask(request, read)
        if isinstance(found, SourceError):
            raise found
        return found

    async def _ask(
        self, request: OutboundRequest, read: Callable[[Answer], dict[K, float]]
    ) -> dict[K, float] | SourceError:
        turns = self._shares.turns
        async with fetching(self._session, request, self._limits, self._shares) as answer:
            return await turns.run(self._owner, lambda: attempt(lambda: read(answer)))


def read_result(answer: Answer) -> dict[Labels, float]:
    """Read the answer to an instant query; a scalar is a series without labels.

    Raises SourceError for anything else than one number a series.
    """
    try:
        return _read_result(answer)
    except RecursionError:
        raise SourceError("an answer that is nested too deeply to be Prometheus'") from None


def _digest_all(answer: Answer) -> dict[bytes, float]:
    found = read_result(answer)
    return {
        blake2b(repr(labels).encode(), digest_size=16).digest(): value
        for labels, value in found.items()
    }


def _read_result(answer: Answer) -> dict[Labels, float]:
    _check_costs(answer.body)
    body = _decode(answer)
    if body.status != "success" or body.data is None:
        logger.debug("Prometheus refuses a query: %s", body.error)
        words = _REFUSALS.get(body.error_type, "the query was refused")
        raise SourceError(f"{words}; ask Prometheus itself why")
    if answer.status != 200:
        raise SourceError(f"HTTP status {answer.status}")
    try:
        if body.data.result_type == "scalar":
            return {(): _read_number(_SCALAR.decode(body.data.result)[1])}
        if body.data.result_type == "vector":
            return _read_vector(_VECTOR.decode(body.data.result))
    except msgspec.MsgspecError:
        raise SourceError("an answer that isn't Prometheus'") from None
    given = _OTHER_RESULTS.get(body.data.result_type)
    if given is None:
        raise SourceError("an answer that isn't Prometheus'")
    raise SourceError(f"the query gives {given}")


def _check_costs(body: bytes | bytearray) -> None:
    """Refuse what would take long to read, or much memory, before that is spent."""
    if body.count(b"{") > _MOST_OBJECTS:
        raise SourceError(f"more than {MAX_SERIES} series: aggregate them")
    if body.count(b'"') > _MOST_QUOTES:
        raise SourceError("more labels than are read: aggregate the series")


def _decode(answer: Answer) -> _Body:
    try:
        return _BODY.decode(answer.body)
    except msgspec.MsgspecError:
        what = f"HTTP status {answer.status}" if answer.status != 200 else "not Prometheus' JSON"
        raise SourceError(f"{what}: {_describe(answer.body)}") from None


def _describe(body: bytes | bytearray) -> str:
    start = body.lstrip()[:1]
    if not start:
        return "an empty answer"
    return "a page of HTML" if start == b"<" else "an answer that can't be read"


def _read_vector(found: list[_Series]) -> dict[Labels, float]:
    if len(found) > MAX_SERIES:
        raise SourceError(f"{len(found)} series, more than {MAX_SERIES}: aggregate them")
    return {_sort(series.metric): _read_value(series) for series in found}


def _read_value(series: _Series) -> float:
    if series.value is None:
        raise SourceError("the query gives native histograms, not numbers")
    return _read_number(series.value[1])


def _read_number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise SourceError("a value that isn't a number") from None


def _sort(labels: Mapping[str, str]) -> Labels:
    if sum(len(name) + len(value) for name, value in labels.items()) > MAX_LABELS:
        raise SourceError(f"a series whose labels are longer than {MAX_LABELS} characters")
    return tuple(sorted(labels.items()))


@dataclass(slots=True)
class PrometheusReader(RevisionReader[PrometheusQuery]):
    """One revision, asked about by PromQL; where that is `lent`, in its own namespace alone."""

    query_type = PrometheusQuery

    knows_names: bool = False
    rendered: dict[str, str] = field(default_factory=dict)
    "Each text of the query as it is sent: it is the same each time."

    @staticmethod
    def get_address(query: PrometheusQuery) -> str:
        """As the query names it."""
        return query.address

    @staticmethod
    def describe(query: PrometheusQuery) -> str:
        """By its address, if the query has one."""
        return f"Prometheus {query.address}".strip()

    @staticmethod
    def check(query: PrometheusQuery, arguments: Mapping[str, ArgumentType]) -> tuple[str, ...]:
        """Placeholders that are unknown, and counters that are none."""
        counters = (query.bad, query.good, query.total)
        problems = (_check(text, arguments, counts=text in counters) for text in query.texts)
        return tuple(filter(None, problems))

    async def ask(self) -> Figure:
        """Ask for one figure, or for both counters at one moment."""
        source = await self._connect()
        if not self.query.total:
            return await source.query_gauge(self._render(self.query.query))
        at = self.sources.now()  # both at one moment, or there might be more bad ones than all
        texts = [self._render(self.query.bad or self.query.good), self._render(self.query.total)]
        marked, total = await asyncio.gather(*(source.query_counters(text, at) for text in texts))
        if total and not marked:
            await self._check_names(source, at)
        return self.count(marked, total)

    async def _check_names(self, source: PrometheusSource, at: float) -> None:
        """No bad (or good) one is none only of a counter that there is, under whatever labels.

        That of `total` is there; another may be misspelt. Raises SourceError that names it.
        """
        asked = find_metrics(self.query.bad or self.query.good)
        names = sorted(asked - find_metrics(self.query.total))
        if self.knows_names or not names:
            return
        text = f'group({{__name__=~"{"|".join(names)}"}})'
        known = await source.query_series(self._confine(text), at)
        if not known:
            words = " or ".join(names) + (f" of namespace {self.namespace}" if self.lent else "")
            raise SourceError(f"Prometheus has no {words}: is it counted under another name?")
        self.knows_names = True

    async def _connect(self) -> PrometheusSource:
        address = self.query.address or self.sources.prometheus_url
        if not address:
            raise SourceError("no Prometheus: give an address, or run with --prometheus-url")
        credentials = await self.sources.secrets.get(self.namespace, self.query.secret)
        dial = await self._find(self.query.address)
        limits = Limits(timeout_seconds=self.query.timeout_seconds)
        try:
            return PrometheusSource(
                self.sources.session,
                address,
                credentials,
                limits,
                shares=self.sources.shares,
                owner=self.namespace,
                dial=dial,
            )
        except ValueError as error:
            raise SourceError(str(error)) from error

    async def _find(self, address: str) -> tuple[str, ...]:
        """What is dialled for an address of the query's own; the operator's needs no finding."""
        try:
            return await self.find(check_address(address)) if address else ()
        except ValueError as error:
            raise SourceError(str(error)) from error

    def _render(self, text: str) -> str:
        if text not in self.rendered:
            try:
                self.rendered[text] = self._confine(Template(text).render(self.values))
            except ValueError as error:
                raise SourceError(str(error)) from error
        return self.rendered[text]

    def _confine(self, text: str) -> str:
        return confine(text, self.namespace) if self.lent else text


def _check(text: str, arguments: Mapping[str, ArgumentType], *, counts: bool) -> str:
    try:
        found = Template(text).check(arguments)
        objection = check_counters(text) if counts else None
    except ValueError as error:
        return str(error)
    return "; ".join((*found, *([objection] if objection else [])))
