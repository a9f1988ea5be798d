"""What every source is asked with, and what one that answers queries has to be able to do."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, TypeAlias, TypeVar

import aiohttp
from yarl import URL

from canarium.core.lending import TenantQueries, may_be_same_server
from canarium.core.metrics import MetricQuery
from canarium.core.spec import Query
from canarium.judge import Counts
from canarium.metrics.counting import CountsTracker, flip
from canarium.outbound.credentials import Secrets
from canarium.outbound.reach import Reach
from canarium.outbound.sharing import Shares
from canarium.queries.promql import ArgumentType

Figure: TypeAlias = Counts | float | None
"""Counts since the last time, or one figure; None for no data."""
Find: TypeAlias = Callable[[URL], Awaitable[tuple[str, ...]]]
"""From an address to what is dialled for it. Raises SourceError."""
Q = TypeVar("Q", bound=Query)


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


@dataclass(slots=True)
class RevisionReader(ABC, Generic[Q]):
    """Asks about one revision, by the queries of one type; a source is a class like this.

    `values` are what stands for placeholders, and `find` says what is dialled for an address.
    What is `lent` is the operator's own Prometheus, which others share.
    """

    query_type: ClassVar[type[Query]]

    sources: MetricSources
    namespace: str
    query: Q
    values: Mapping[str, str]
    tracker: CountsTracker
    find: Find
    lent: bool = False

    @staticmethod
    @abstractmethod
    def get_address(query: Q) -> str:
        """The query's own address; "" for the operator's."""

    @staticmethod
    @abstractmethod
    def describe(query: Q) -> str:
        """Where its figures come from, for people."""

    @staticmethod
    @abstractmethod
    def check(query: Q, arguments: Mapping[str, ArgumentType]) -> tuple[str, ...]:
        """List what is wrong with a query, before it is ever sent."""

    @abstractmethod
    async def ask(self) -> Figure:
        """Ask. Raises SourceError."""

    def count(self, marked: Mapping[Any, float], total: Mapping[Any, float]) -> Counts | None:
        """What was counted since the last time, of series by whatever tells them apart."""
        counts = self.tracker.compute_counts(marked, total)
        return flip(counts) if self.query.good and counts is not None else counts
