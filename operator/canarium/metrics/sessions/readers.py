"""What is asked for one metric: of Prometheus or a web address, about both revisions at once.

A query is filled in once for each revision. Its answers are counters, followed series by series,
or one figure; which test that feeds is the judge's business.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol, TypeAlias
from urllib.parse import quote, unquote

import aiohttp
from yarl import URL

from canarium.core.lending import TenantQueries, may_be_same_server
from canarium.core.metrics import MetricQuery
from canarium.core.names import child_name, pod_names
from canarium.core.plan import Measure
from canarium.core.spec import PrometheusQuery, Query, WebQuery
from canarium.judge import Counts
from canarium.kube.informers.store import Key
from canarium.metrics.counting import CountsTracker, flip
from canarium.metrics.sources.prometheus import PrometheusSource
from canarium.metrics.sources.web import WEB_LIMITS, check_path, read_number
from canarium.outbound.credentials import Secrets
from canarium.outbound.errors import SourceError, attempt
from canarium.outbound.fetching import Limits, OutboundRequest, fetching
from canarium.outbound.forbidden_addresses import check_address
from canarium.outbound.reach import Reach
from canarium.outbound.sharing import Shares
from canarium.queries.promql import (
    BUILT_IN,
    ArgumentType,
    Pattern,
    Template,
    check_counters,
    check_value,
    find_metrics,
)
from canarium.queries.promql_selectors import confine

Figure = Counts | float | None
"""Counts since the last time, or one figure; None for no data."""

_PLACEHOLDER = "{{"


@dataclass(frozen=True, slots=True)
class MetricAnswers:
    """What was said of both revisions; stable's is None when nothing serves beside the canary."""

    stable: Figure
    canary: Figure


class MetricReader(Protocol):
    """Asks for one metric again and again."""

    async def ask(self) -> MetricAnswers:
        """Ask about both revisions. Raises SourceError when that fails for either."""


@dataclass(frozen=True, slots=True)
class MetricSources:
    """With what everything is asked; `prometheus_url` is the operator's own setting, or "".

    `tenant_queries` is what queries of a namespace's own may read there.
    """

    session: aiohttp.ClientSession
    secrets: Secrets
    prometheus_url: str = ""
    now: Callable[[], float] = field(default=time.time)
    shares: Shares = field(default_factory=Shares)
    tenant_queries: TenantQueries = "OwnNamespace"
    reach: Reach | None = None
    "What may be dialled for a namespace; without it whatever isn't forbidden to all."

    def is_lent(self, address: str, metric_query: MetricQuery, namespace: str) -> bool:
        """Whether a query of a namespace's own asks the operator's Prometheus at this address."""
        if not is_tenants(metric_query) or not self.prometheus_url or self.tenant_queries == "Any":
            return False
        own = self.reach is not None and self.reach.is_own(address, namespace)
        looked_up = namespace if own else ""
        return not address or may_be_same_server(address, self.prometheus_url, looked_up)

    async def find(self, url: URL, metric_query: MetricQuery, namespace: str) -> tuple[str, ...]:
        """What is dialled for a query's address; nothing for what its name leads to.

        Raises SourceError where a namespace may not have that asked.
        """
        if self.reach is None or not is_tenants(metric_query):
            return ()
        async with self.shares.requests.hold(namespace, 1):  # a name server may be slow, too
            return await self.reach.find(url, namespace)

    def forget(self, address: str, metric_query: MetricQuery, namespace: str) -> None:
        """Find anew soon what is dialled, since asking there failed."""
        if self.reach is not None and is_tenants(metric_query):
            self.reach.forget(address, namespace)


def is_tenants(metric_query: MetricQuery) -> bool:
    """Whether a namespace wrote what is asked, and not an administrator for all of them."""
    return metric_query.template is None or metric_query.template[0] != "ClusterMetricTemplate"


def make_reader(
    sources: MetricSources, key: Key, measure: Measure, metric_query: MetricQuery
) -> MetricReader:
    """Make what asks for a metric about the revisions of a step.

    A query that makes no sense is never sent: asking for it is refused, with what is wrong with it.
    """
    if problems := check_feed(metric_query):
        return _Refused("; ".join(problems))
    asked = partial(_make_side, sources, key, metric_query)
    stable = asked(measure.stable, measure.stable_version) if measure.stable else None
    address = (
        metric_query.query.url
        if isinstance(metric_query.query, WebQuery)
        else metric_query.query.address
    )
    forget = partial(sources.forget, address, metric_query, key[0])
    return _BothSides(stable, asked(measure.canary, measure.canary_version), forget)


def describe_source(query: Query) -> str:
    """Where a metric's figures come from, for people; without an address the operator's own."""
    if isinstance(query, WebQuery):
        return f"Web {query.url.partition('?')[0]}"
    return f"Prometheus {query.address}".strip()


def check_feed(metric_query: MetricQuery) -> tuple[str, ...]:
    """List what is wrong with a query and the values of its arguments."""
    types: dict[str, ArgumentType] = {each.name: each.type for each in metric_query.arguments}
    values = ((each, check_value(each.type, each.value)) for each in metric_query.arguments)
    wrong = tuple(f"argument {each.name}: {problem}" for each, problem in values if problem)
    return (*check_query(metric_query.query, types), *wrong)


def check_query(query: Query, types: Mapping[str, ArgumentType]) -> tuple[str, ...]:
    """List what is wrong with a query: placeholders, counters that are none, JSONPaths."""
    arguments = {**BUILT_IN, **types}
    if isinstance(query, WebQuery):
        checks = [partial(check_path, path) for path in _paths(query)]
        return tuple(filter(None, (_object_to(check) for check in checks)))
    counters = (query.bad, query.good, query.total)
    problems = (_check_promql(text, arguments, counts=text in counters) for text in query.texts)
    return tuple(filter(None, problems))


def _check_promql(text: str, arguments: Mapping[str, ArgumentType], *, counts: bool) -> str:
    try:
        found = Template(text).check(arguments)
        objection = check_counters(text) if counts else None
    except ValueError as error:
        return str(error)
    return "; ".join((*found, *([objection] if objection else [])))


def _object_to(check: Callable[[], None]) -> str:
    try:
        check()
    except ValueError as error:
        return str(error)
    return ""


def _paths(query: WebQuery) -> tuple[str, ...]:
    return tuple(filter(None, (query.value, query.bad, query.good, query.total)))


@dataclass(frozen=True, slots=True)
class _Refused:
    """Stands for a query that is not asked."""

    problem: str

    async def ask(self) -> MetricAnswers:
        raise SourceError(self.problem)


@dataclass(frozen=True, slots=True)
class _BothSides:
    stable: _Side | None
    canary: _Side
    forget: Callable[[], None]

    async def ask(self) -> MetricAnswers:
        try:
            return await self._ask()
        except SourceError:
            self.forget()
            raise

    async def _ask(self) -> MetricAnswers:
        if self.stable is None:
            return MetricAnswers(None, await self.canary.ask())
        # The one that is quicker waits, so that nothing is left running when the other fails.
        found = await asyncio.gather(self.stable.ask(), self.canary.ask(), return_exceptions=True)
        stable, canary = (_unless_failed(each) for each in found)
        return MetricAnswers(stable, canary)


def _unless_failed(found: Figure | BaseException) -> Figure:
    if isinstance(found, BaseException):
        raise found
    return found


Find: TypeAlias = Callable[[URL], Awaitable[tuple[str, ...]]]
"""From an address to what is dialled for it. Raises SourceError."""


class _Side(Protocol):
    """Asks about one revision."""

    async def ask(self) -> Figure:
        """Ask. Raises SourceError."""


def _make_side(
    sources: MetricSources, key: Key, metric_query: MetricQuery, revision: str, version: str
) -> _Side:
    values = _make_values(key, metric_query, revision, version)
    tracker = CountsTracker(sources.shares.series, key[0])
    find = partial(sources.find, metric_query=metric_query, namespace=key[0])
    if isinstance(metric_query.query, WebQuery):
        lent = sources.is_lent(metric_query.query.url, metric_query, key[0])
        return _WebSide(sources, key[0], metric_query.query, values, tracker, find, lent=lent)
    lent = sources.is_lent(metric_query.query.address, metric_query, key[0])
    return _PrometheusSide(sources, key[0], metric_query.query, values, tracker, find, lent=lent)


def _make_values(
    key: Key, metric_query: MetricQuery, revision: str, version: str
) -> Mapping[str, str]:
    namespace, model = key
    return {
        "namespace": namespace,
        "model": model,
        "version": version,
        "revision": revision,
        "service": child_name(model, revision),
        "pods": Pattern(pod_names(child_name(model, revision))),
        "interval": f"{max(1, round(metric_query.interval_seconds))}s",
        **{argument.name: argument.value for argument in metric_query.arguments},
    }


@dataclass(slots=True)
class _PrometheusSide:
    """One revision, asked about by PromQL; where that is `lent`, in its own namespace alone."""

    sources: MetricSources
    namespace: str
    query: PrometheusQuery
    values: Mapping[str, str]
    tracker: CountsTracker
    find: Find
    lent: bool = False
    knows_names: bool = False
    rendered: dict[str, str] = field(default_factory=dict)
    "Each text of the query as it is sent: it is the same each time."

    async def ask(self) -> Figure:
        source = await self._connect()
        if not self.query.total:
            return await source.query_gauge(self._render(self.query.query))
        at = self.sources.now()  # both at one moment, or there might be more bad ones than all
        texts = [self._render(self.query.bad or self.query.good), self._render(self.query.total)]
        marked, total = await asyncio.gather(*(source.query_counters(text, at) for text in texts))
        if total and not marked:
            await self._check_names(source, at)
        return _count(self.tracker, marked, total, good=bool(self.query.good))

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


@dataclass(slots=True)
class _WebSide:
    """One revision, asked about by a URL."""

    sources: MetricSources
    namespace: str
    query: WebQuery
    values: Mapping[str, str]
    tracker: CountsTracker
    find: Find
    lent: bool = False

    async def ask(self) -> Figure:
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
        return _count(self.tracker, {(): marked}, {(): total}, good=bool(self.query.good))


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


def _count(
    tracker: CountsTracker,
    marked: Mapping[Any, float],
    total: Mapping[Any, float],
    *,
    good: bool,
) -> Counts | None:
    counts = tracker.compute_counts(marked, total)
    return flip(counts) if good and counts is not None else counts
