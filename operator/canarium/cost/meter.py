"""What all revisions use and cost, measured once a minute by the operator that leads.

One list of the metrics API (metrics.k8s.io) a namespace that is served; and, with a Prometheus of
the operator's own, a question for all GPUs, one or two a profile, and one for prices.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import aiohttp
import msgspec

from canarium.core.kinds import OURS
from canarium.core.observed import DeploymentRecord, PodRecord, RevisionRecord
from canarium.core.spec import Protocol
from canarium.cost.consumption import Question, read_prometheus
from canarium.cost.families import render_use
from canarium.cost.reading import read_pod_metrics, read_requests
from canarium.cost.usage import (
    ENDED,
    Containers,
    Figure,
    HeldPod,
    PodKey,
    PriceList,
    Readings,
    RevisionUse,
    compute_use,
    find_with_gpus,
)
from canarium.errors import ApiError, CanariumError
from canarium.kube.client import Client
from canarium.kube.informers.cache import Cache
from canarium.kube.informers.store import Key
from canarium.kube.kinds import POD_METRICS
from canarium.memo import remember
from canarium.metrics.profile_directory import OwnProfiles
from canarium.metrics.sessions.measurements import Settings
from canarium.metrics.sources.prometheus import PrometheusSource
from canarium.outbound.forbidden_addresses import make_guarded_session
from canarium.queries.profiles import find_profile

logger = logging.getLogger(__name__)

INTERVAL_SECONDS = 60.0
"metrics-server itself looks every 15 s to a minute; costs are no matter of seconds."
ABSENT_SECONDS = 600.0
"How often an API is looked for that isn't served, or that we may not read."
BATCH = 100
"So many are read until others get their turn."

REASONS = {
    403: "the operator may not list pods of metrics.k8s.io",
    404: "metrics.k8s.io is not served: install metrics-server",
}


@dataclass(frozen=True, slots=True)
class _Holding:
    """A revision that holds resources by its pods."""

    key: Key
    revision: str
    record: RevisionRecord | None
    pods: tuple[HeldPod, ...]


class UsageMeter:
    """The last measurement of every revision, as long as the revision has its Deployment."""

    def __init__(
        self,
        client: Client,
        cache: Cache,
        settings: Settings,
        namespaces: Sequence[str] = (),
        *,
        prices: PriceList | None = None,
        clock: Callable[[], float] = time.time,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._client = client
        self._cache = cache
        self._settings = settings
        self._namespaces, self._prices = tuple(namespaces), prices
        self._clock = clock
        self._pause = pause
        self._profiles = OwnProfiles(settings.profiles)
        self._session: aiohttp.ClientSession | None = None
        self._rows: tuple[RevisionUse, ...] = ()
        self._absence = ""
        self._look_at = float("-inf")

    def rows(self) -> Iterator[RevisionUse]:
        """What was measured of the revisions that still have a Deployment."""
        for row in self._rows:
            own = self._cache.deployments.of((row.namespace, row.model))
            if any(each.revision == row.revision for each in own):
                yield row

    def render(self) -> Iterator[bytes]:
        """The same as metrics, in Prometheus' text format."""
        yield from render_use(self.rows())

    async def run(self) -> None:
        """Measure until cancelled; whatever goes wrong, the operator goes on."""
        try:
            while True:
                try:
                    await self.measure()
                except Exception as error:  # noqa: BLE001 - the next time it may go well
                    self._rows = ()
                    self._cache.boundary.note("Usage", "all models", error)
                spread = random.uniform(0.9, 1.1)  # noqa: S311 - spreads load
                await self._pause(INTERVAL_SECONDS * spread)
        finally:
            self._rows = ()
            if self._session is not None:
                await self._session.close()

    async def measure(self) -> None:
        """Measure once. Without any pods nobody is asked."""
        holdings = [found async for found in self._find_holdings()]
        if not holdings:
            self._rows = ()
            return
        readings, rows = await self._read(holdings), []
        for number, holding in enumerate(holdings, start=1):
            rows += self._make_rows(holding, readings)
            await _take_turns(number)
        self._rows = tuple(rows)

    def _make_rows(self, holding: _Holding, readings: Readings) -> list[RevisionUse]:
        try:
            return [_make_row(holding, readings)]
        except Exception as error:  # noqa: BLE001 - the others' sums can be done all the same
            self._cache.boundary.note("Usage", "/".join(holding.key), error)
            return []

    async def _find_holdings(self) -> AsyncIterator[_Holding]:
        for number, key in enumerate(self._cache.models.keys(), start=1):
            for deployment in self._cache.deployments.of(key):
                pods = self._find_held(deployment, key)
                if pods:
                    record = _find_record(deployment, self._cache.revisions.of(key))
                    yield _Holding(key, deployment.revision, record, pods)
            await _take_turns(number)

    def _find_held(self, deployment: DeploymentRecord, key: Key) -> tuple[HeldPod, ...]:
        """Its pods; none when its template cannot be read, which is noted."""
        about = "/".join(key)
        try:
            pods = _find_held(deployment, self._cache.pods.of(key))
        except Exception as error:  # noqa: BLE001 - the others can be measured all the same
            self._cache.boundary.note("Usage", about, error)
            return ()
        self._cache.boundary.clear("Usage", about)
        return pods

    async def _read(self, holdings: Sequence[_Holding]) -> Readings:
        containers, reason = await self._list_use()
        prometheus, question = self._open_prometheus(), self._ask_about(holdings)
        asked = await read_prometheus(prometheus, question, self._prices, self._clock())
        return replace(asked, containers=containers, reasons={**asked.reasons, **reason})

    async def _list_use(self) -> tuple[Mapping[PodKey, Containers] | None, Mapping[Figure, str]]:
        """The use of each pod of ours, or None and why there is nothing."""
        if self._clock() < self._look_at:
            return None, {"use": self._absence}
        try:
            found = [each async for each in self._list_metrics()]
        except CanariumError as error:
            return None, {"use": self._note_absence(error)}
        self._absence = ""
        return dict(found), {}

    async def _list_metrics(self) -> AsyncIterator[tuple[PodKey, Containers]]:
        for namespace in self._namespaces or (None,):
            async for page in self._client.list_pages(POD_METRICS, namespace, OURS):
                for number, item in enumerate(page.items or (), start=1):
                    found = self._read_pod(item)
                    if found is not None:
                        yield found
                    await _take_turns(number)

    def _read_pod(self, item: msgspec.Raw) -> tuple[PodKey, Containers] | None:
        """What one pod uses; None when that cannot be read: it counts as not measured."""
        try:
            return read_pod_metrics(msgspec.json.decode(item))
        except Exception as error:  # noqa: BLE001 - the others can be read all the same
            self._cache.boundary.note("Usage", "metrics of a pod", error)
            return None

    def _note_absence(self, error: CanariumError) -> str:
        """Why there is nothing; what people have to mend first isn't looked for so often."""
        status = error.status if isinstance(error, ApiError) else 0
        reason = REASONS.get(status, str(error))
        if reason != self._absence:
            logger.info("what pods use is not measured: %s", reason)
        self._absence = reason
        self._look_at = self._clock() + (ABSENT_SECONDS if status in REASONS else 0.0)
        return reason

    def _open_prometheus(self) -> PrometheusSource | None:
        if not self._settings.prometheus_url:
            return None
        if self._session is None:
            self._session = make_guarded_session(self._settings.allowed)
        return PrometheusSource(self._session, self._settings.prometheus_url)

    def _ask_about(self, holdings: Sequence[_Holding]) -> Question:
        own = self._profiles.get()
        pods: dict[tuple[str, Protocol], set[PodKey]] = {}
        for holding in holdings:
            if holding.record is not None and holding.record.metrics is not None:
                counted = holding.record.metrics.profile, self._find_protocol(holding.key)
                pods.setdefault(counted, set()).update(pod.key for pod in holding.pods)
        profiles = {each: own.get(each[0]) or find_profile(*each) for each in pods}
        return Question(
            with_gpus=find_with_gpus(pod for each in holdings for pod in each.pods),
            counting=tuple(
                (profile, frozenset(pods[counted]))
                for counted, profile in profiles.items()
                if profile is not None
            ),
        )

    def _find_protocol(self, key: Key) -> Protocol:
        """What a model's callers speak; HTTP where nothing is known of them."""
        model = self._cache.models.get(*key)
        if model is None:
            return "HTTP"
        stated = model.spec.traffic if model.spec else model.traffic
        traffic = model.status.traffic or stated
        return traffic.protocol if traffic else "HTTP"


async def _take_turns(number: int) -> None:
    if number % BATCH == 0:
        await asyncio.sleep(0)


def _find_held(deployment: DeploymentRecord, pods: Sequence[PodRecord]) -> tuple[HeldPod, ...]:
    """The pods of a Deployment that hold what its template requests."""
    own = [
        pod
        for pod in pods
        if pod.revision == deployment.revision and pod.scheduled and pod.phase not in ENDED
    ]
    requests = _read_template(deployment.template) if own else {}
    return tuple(
        HeldPod((pod.meta.namespace, pod.meta.name), pod.node, requests, pod.meta.created_at)
        for pod in own
    )


@remember()
def _read_template(template: bytes) -> Containers:
    return read_requests(msgspec.json.decode(template).get("spec") or {})


def _find_record(
    deployment: DeploymentRecord, records: Sequence[RevisionRecord]
) -> RevisionRecord | None:
    return next((each for each in records if each.revision == deployment.revision), None)


def _make_row(holding: _Holding, readings: Readings) -> RevisionUse:
    namespace, model = holding.key
    version = holding.record.version if holding.record else ""
    use = compute_use(holding.pods, readings)
    return RevisionUse(namespace, model, holding.revision, version, use)
