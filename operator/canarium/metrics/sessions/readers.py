"""What is asked for one metric, of whichever source, about both revisions at once.

A query is filled in once for each revision. Its answers are counters, followed series by series,
or one figure; which test that feeds is the judge's business.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from canarium.core.metrics import MetricQuery
from canarium.core.names import child_name, pod_names
from canarium.core.plan import Measure
from canarium.core.spec import Query
from canarium.kube.informers.store import Key
from canarium.metrics.counting import CountsTracker
from canarium.metrics.sources import SOURCES
from canarium.metrics.sources.asking import Figure, MetricSources, RevisionReader
from canarium.outbound.errors import SourceError
from canarium.queries.promql import BUILT_IN, ArgumentType, Pattern, check_value


@dataclass(frozen=True, slots=True)
class MetricAnswers:
    """What was said of both revisions; stable's is None when nothing serves beside the canary."""

    stable: Figure
    canary: Figure


class MetricReader(Protocol):
    """Asks for one metric again and again."""

    async def ask(self) -> MetricAnswers:
        """Ask about both revisions. Raises SourceError when that fails for either."""


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
    address = SOURCES[type(metric_query.query)].get_address(metric_query.query)
    forget = partial(sources.forget, address, metric_query, key[0])
    return _BothSides(stable, asked(measure.canary, measure.canary_version), forget)


def describe_source(query: Query) -> str:
    """Where a metric's figures come from, for people; without an address the operator's own."""
    return SOURCES[type(query)].describe(query)


def check_feed(metric_query: MetricQuery) -> tuple[str, ...]:
    """List what is wrong with a query and the values of its arguments."""
    types: dict[str, ArgumentType] = {each.name: each.type for each in metric_query.arguments}
    values = ((each, check_value(each.type, each.value)) for each in metric_query.arguments)
    wrong = tuple(f"argument {each.name}: {problem}" for each, problem in values if problem)
    return (*check_query(metric_query.query, types), *wrong)


def check_query(query: Query, types: Mapping[str, ArgumentType]) -> tuple[str, ...]:
    """List what is wrong with a query: placeholders, counters that are none, JSONPaths."""
    return SOURCES[type(query)].check(query, {**BUILT_IN, **types})


@dataclass(frozen=True, slots=True)
class _Refused:
    """Stands for a query that is not asked."""

    problem: str

    async def ask(self) -> MetricAnswers:
        raise SourceError(self.problem)


@dataclass(frozen=True, slots=True)
class _BothSides:
    stable: RevisionReader[Any] | None
    canary: RevisionReader[Any]
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


def _make_side(
    sources: MetricSources, key: Key, metric_query: MetricQuery, revision: str, version: str
) -> RevisionReader[Any]:
    values = _make_values(key, metric_query, revision, version)
    tracker = CountsTracker(sources.shares.series, key[0])
    find = partial(sources.find, metric_query=metric_query, namespace=key[0])
    source = SOURCES[type(metric_query.query)]
    lent = sources.is_lent(source.get_address(metric_query.query), metric_query, key[0])
    return source(sources, key[0], metric_query.query, values, tracker, find, lent=lent)


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
