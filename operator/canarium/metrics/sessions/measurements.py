"""The measuring sessions of all objects, and what each has found so far.

A session lives as long as the plan asks for the same measurement. What it finds goes into the next
pass over the object, which is asked for at once when the verdict changes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from ipaddress import ip_network
from pathlib import Path
from typing import Protocol
from weakref import WeakValueDictionary

import aiohttp
import msgspec
from yarl import URL

from canarium import judge
from canarium.core.allowed_addresses import Allowed, parse_allowed
from canarium.core.lending import TENANT_QUERIES, TenantQueries
from canarium.core.metrics import MetricQuery
from canarium.core.observed import AnalysisResult, PodRecord
from canarium.core.plan import GatewayEndpoint, Measure
from canarium.errors import ConfigError
from canarium.kube.boundary import Boundary
from canarium.kube.client import Client
from canarium.kube.informers.store import Key
from canarium.kube.queues.backoff import Backoff
from canarium.metrics.counters import Counters
from canarium.metrics.kept_counters import load_counters
from canarium.metrics.profile_directory import OwnProfiles
from canarium.metrics.sessions.readers import MetricReader, make_reader
from canarium.metrics.sessions.results import COUNTERS, EXPERIMENT
from canarium.metrics.sessions.session import Meter, Scrapers, Session, SessionDeps
from canarium.metrics.sources.asking import MetricSources
from canarium.metrics.sources.gateway import GatewayMeter, GatewaySource
from canarium.metrics.sources.pods import PodsMeter, PodsSource, make_session
from canarium.outbound.auth import Credentials
from canarium.outbound.credentials import Secrets
from canarium.outbound.errors import SourceError
from canarium.outbound.forbidden_addresses import Network, check_address, make_guarded_session
from canarium.outbound.reach import Reach
from canarium.outbound.sharing import Shares

REPORT_SECONDS = 5.0
"How often an object is looked at for new figures alone; verdicts don't wait for it."

BROKEN = Backoff(first_seconds=1.0, longest_seconds=60.0)
"How long a session that broke, which none should, waits until it goes on."

Wake = Callable[[Key, bool], None]
"Have an object looked at; True puts it before ordinary work."
FindPods = Callable[[Key], Sequence[PodRecord]]


class Listener(Protocol):
    """Who hears how the readings by queries go."""

    def note_reading(self, model: Key, metric_query: MetricQuery, problem: str) -> None:
        """One reading: why it failed, or an empty text."""

    def forget(self, model: Key) -> None:
        """Nothing is read for this object any more."""


class _Nobody:
    def note_reading(self, model: Key, metric_query: MetricQuery, problem: str) -> None:
        pass

    def forget(self, model: Key) -> None:
        pass


@dataclass(frozen=True, slots=True)
class Settings:
    """How the operator asks: its own Prometheus and what tenants may read there, networks that may
    be read from whatever they are, and the directory with profiles of users' own.
    """

    prometheus_url: str = ""
    allowed: tuple[Network, ...] = ()
    profiles: Path | None = None
    tenant_queries: TenantQueries = "OwnNamespace"
    addresses: Allowed = field(default_factory=Allowed)
    "What namespaces may have asked beside their own Services."

    @classmethod
    def parse(
        cls,
        prometheus_url: str,
        networks: Sequence[str],
        profiles: str = "",
        *,
        tenant_queries: str = "",
        addresses: Sequence[str] = (),
        public: bool = True,
    ) -> Settings:
        """Read what was given as text.

        Raises ConfigError for what is no address, network, rule or choice.
        """
        chosen = _find_choice(tenant_queries or TENANT_QUERIES[0])
        try:
            if prometheus_url:
                check_address(prometheus_url)
            listed_networks = [str(ip_network(each)) for each in networks]
            rules = parse_allowed([*addresses, *listed_networks], public=public)
            directory = Path(profiles) if profiles else None
            return cls(prometheus_url, rules.networks, directory, chosen, rules)
        except ValueError as error:
            raise ConfigError(str(error)) from error


def _find_choice(text: str) -> TenantQueries:
    found = next((each for each in TENANT_QUERIES if each == text), None)
    if found is None:
        raise ConfigError(f"tenant queries {text!r}: write {' or '.join(TENANT_QUERIES)}")
    return found


class Measurements:
    """The sessions of all objects, and what each has found so far."""

    def __init__(
        self,
        find_pods: FindPods,
        wake: Wake,
        now: Callable[[], float] = time.time,
        make_meter: Callable[[], Meter] | None = None,
        *,
        client: Client | None = None,
        settings: Settings = Settings(),
        listener: Listener | None = None,
        boundary: Boundary | None = None,
        reach: Reach | None = None,
    ) -> None:
        self._make_meter = make_meter or self._make_pods_meter
        self._find_pods = find_pods
        self._wake = wake
        self._now = now
        self._client = client
        self._settings = settings
        self._reach = reach
        self._profiles = OwnProfiles(settings.profiles)
        self._listener = listener or _Nobody()
        self._boundary = boundary or Boundary()
        self._shares = Shares()
        self._pods: tuple[aiohttp.ClientSession, PodsSource] | None = None
        self._asking: MetricSources | None = None
        self._gateways: WeakValueDictionary[tuple[str, str, str], GatewaySource] = (
            WeakValueDictionary()
        )
        """By address, and by namespace and name of the Secret that is shown there. A source goes
        with the last session that reads it."""
        self._preparing: asyncio.Task[None] | None = None
        self._sessions: dict[Key, tuple[Session, asyncio.Task[None]]] = {}
        self._results: dict[Key, AnalysisResult] = {}
        self._reported: dict[Key, float] = {}

    def result(self, key: Key) -> AnalysisResult | None:
        """What the running session has found; None before its first reading."""
        return self._results.get(key)

    def ensure(self, key: Key, measure: Measure | None) -> None:
        """Have exactly this measured from now on, and nothing when it is None.

        Never raises: the object's pass has more to do. What cannot be begun is told as a result.
        """
        try:
            self._ensure(key, measure)
        except Exception as error:  # noqa: BLE001 - see above
            words = self._boundary.note("Measuring", "/".join(key), error)
            if measure is not None:
                problem = f"measuring cannot begin: an internal error ({words})"
                self._take(key, AnalysisResult(measure.key, "NoData", problems=(problem,)))

    def _ensure(self, key: Key, measure: Measure | None) -> None:
        session = self._sessions[key][0] if key in self._sessions else None
        if measure is None:
            self._stop(key)
        elif session is None or session.measure.key != measure.key:
            self._stop(key)
            self._start(key, measure, session)
        else:
            session.update(measure)

    async def close(self) -> None:
        """End every session, and the connections to whom was asked."""
        tasks = [task for _session, task in self._sessions.values()]
        for key in tuple(self._sessions):
            self._stop(key)
        if tasks:
            await asyncio.wait(tasks)
        if self._preparing is not None:
            await asyncio.wait([self._preparing])
        if self._pods is not None:
            await self._pods[0].close()
        if self._asking is not None:
            await self._asking.session.close()

    def _start(self, key: Key, measure: Measure, before: Session | None) -> None:
        if self._preparing is None and any(
            metric_query.metric.judge for metric_query in measure.metric_queries
        ):
            self._preparing = asyncio.create_task(asyncio.to_thread(judge.prepare_ranks))
        same = before is not None and _trial(before.measure) == _trial(measure)
        session = Session(
            measure,
            self._make_deps(key),
            before.scrapers if before and same else self._make_readers(measure, before),
            _begin(measure, before if same else None),
            _begin_experiment(measure),
        )
        running = self._keep_running(key, session)
        task = asyncio.create_task(running, name=f"measuring {'/'.join(key)}")
        self._sessions[key] = (session, task)

    async def _keep_running(self, key: Key, session: Session) -> None:
        """Measure until cancelled. A session never ends by itself; one that broke goes on, ever
        more rarely, with what it has found so far.
        """
        about, failures, loop = "/".join(key), 0, asyncio.get_running_loop()
        while True:
            started = loop.time()
            try:
                await session.run()
            except Exception as error:  # noqa: BLE001 - other objects are measured, too
                words = self._boundary.note("Measuring", about, error)
                steady = loop.time() - started > BROKEN.longest_seconds
                failures = 1 if steady else failures + 1
                self._note_end(key, session, f"measuring broke: an internal error ({words})")
            await asyncio.sleep(BROKEN.compute(failures))

    def _note_end(self, key: Key, session: Session, problem: str) -> None:
        try:
            session.note_end(problem)
        except Exception as error:  # noqa: BLE001 - then that is all that can be told
            self._boundary.note("Measuring", "/".join(key), error)
            self._take(key, AnalysisResult(session.measure.key, "NoData", problems=(problem,)))

    def _make_deps(self, key: Key) -> SessionDeps:
        return SessionDeps(
            key=key,
            find_pods=partial(self._find_pods, key),
            make_reader=partial(self._make_asker, key),
            make_gateway_meter=partial(self._make_gateway_meter, key),
            authorize=partial(self._authorize, key),
            publish=partial(self._take, key),
            record_reading=partial(self._listener.note_reading, key),
            boundary=self._boundary,
            now=self._now,
        )

    def _make_readers(self, measure: Measure, before: Session | None) -> Scrapers:
        """New ones; but counting goes on with the same canary's pods.

        Who takes the step over goes on from where their counters stood when it was saved.
        """
        if before is not None and _is_same_canary(before.measure, measure):
            return Scrapers(before.scrapers.meter)
        meter = self._make_meter()
        if before is None and (kept := _load_counters(measure)):
            meter.resume(kept)
        return Scrapers(meter)

    def _stop(self, key: Key) -> None:
        _session, task = self._sessions.pop(key, (None, None))
        if task is not None:
            task.cancel()
        self._listener.forget(key)
        self._results.pop(key, None)
        self._reported.pop(key, None)

    def _make_pods_meter(self) -> Meter:
        if self._pods is None:
            http = make_session()
            self._pods = http, PodsSource(http, shares=self._shares)
        self._pods[1].use(self._profiles.get())
        return PodsMeter(self._pods[1])

    def _make_asker(self, key: Key, measure: Measure, metric_query: MetricQuery) -> MetricReader:
        return make_reader(self._open_sources(), key, measure, metric_query)

    async def _authorize(self, key: Key, secret: str) -> Credentials:
        return await self._open_sources().secrets.get(key[0], secret)

    def _make_gateway_meter(self, key: Key, gateway: GatewayEndpoint) -> GatewayMeter:
        """What reads a gateway; its answers are shared by all who ask the same one as the same.

        Raises SourceError for an address that is none.
        """
        shared = self._reach is None or self._reach.is_same_for_all(gateway.address)
        place = gateway.address, key[0] if gateway.secret or not shared else "", gateway.secret
        source = self._gateways.get(place)
        if source is None:
            source = self._gateways[place] = self._make_gateway_source(key, gateway)
        return GatewayMeter(source, gateway.kind)

    def _make_gateway_source(self, key: Key, gateway: GatewayEndpoint) -> GatewaySource:
        authorize = partial(self._authorize, key, gateway.secret)
        try:
            sources, address = self._open_sources(), gateway.address
            resolve = partial(self._resolve, check_address(address), key[0])
            return GatewaySource(
                sources.session,
                address,
                authorize=authorize,
                resolve=resolve if self._reach else None,
                shares=self._shares,
            )
        except ValueError as error:
            raise SourceError(str(error)) from error

    async def _resolve(self, url: URL, namespace: str, _host: str, _port: int) -> Sequence[str]:
        if self._reach is None:
            raise AssertionError("without it names are looked up as they are")
        return await self._reach.find(url, namespace)

    def _open_sources(self) -> MetricSources:
        if self._client is None:
            raise AssertionError("without a client nothing can be asked for")
        if self._asking is None:
            self._asking = MetricSources(
                make_guarded_session(self._settings.allowed, self._shares),
                Secrets(self._client),
                self._settings.prometheus_url,
                self._now,
                self._shares,
                self._settings.tenant_queries,
                self._reach,
            )
        return self._asking

    def _take(self, key: Key, result: AnalysisResult) -> None:
        before, self._results[key] = self._results.get(key), result
        changed = before is None or _decision(before) != _decision(result)
        due = self._now() - self._reported.get(key, 0.0) >= REPORT_SECONDS
        if changed or due:
            self._reported[key] = self._now()
            self._wake(key, result.verdict == "Fail")


def _decision(result: AnalysisResult) -> tuple[str, bool, str, bool]:
    return result.verdict, result.proven, result.experiment, result.withheld


def _begin(measure: Measure, before: Session | None) -> judge.Analysis:
    """Go on with the rollout's evidence; after a restart with what status has kept of it."""
    if not measure.resume and before is not None:
        return judge.next_step(before.analysis)
    return judge.load(
        _decode(measure.resume) if measure.resume else None,
        (*measure.metrics, *(metric_query.metric for metric_query in measure.metric_queries)),
        min_requests=measure.min_requests,
        decide=measure.decide,
        traffic_share=measure.traffic_share,
    )


def _begin_experiment(measure: Measure) -> judge.Experiment | None:
    """Start the step's experiment, or go on with what status has kept of it; None without one."""
    metric_queries = (
        metric_query
        for metric_query in measure.metric_queries
        if metric_query.metric.name == measure.experiment
    )
    metric_query = next(metric_queries, None)
    if metric_query is None:
        return None
    saved = _decode(measure.resume) if measure.resume else None
    kept = saved.get(EXPERIMENT) if isinstance(saved, dict) else None
    return judge.load_experiment(kept, higher_is_better=metric_query.metric.higher_is_better)


def _load_counters(measure: Measure) -> dict[str, Counters]:
    """Where the pods' counters stood at the reading that was saved."""
    saved = _decode(measure.resume) if measure.resume else None
    return load_counters(saved.get(COUNTERS)) if isinstance(saved, dict) else {}


def _decode(text: str) -> object:
    """What was saved, or None when it isn't JSON, which the judge takes for nothing saved."""
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return None


def _is_same_canary(before: Measure, measure: Measure) -> bool:
    known = (before.canary, before.endpoint, before.protocol)
    return known == (measure.canary, measure.endpoint, measure.protocol)


def _trial(measure: Measure) -> tuple[object, ...]:
    """What has to be the same for evidence to be about the same."""
    return (
        measure.canary,
        measure.stable,
        measure.metrics,
        measure.metric_queries,
        measure.gateway,
        measure.protocol,
        measure.pods_secret,
        measure.min_requests,
        measure.decide,
        measure.traffic_share,
    )
