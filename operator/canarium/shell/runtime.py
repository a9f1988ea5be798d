"""The process: caches, queue, workers, lease and probes, and kopf's task, which may die and return.

Everything but kopf's own task lives as long as the process. `Runtime.run` ends only by being
cancelled or by losing what it cannot go on without: then the process has to end.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import random
import secrets
import signal
import socket
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import Any

import kopf
import msgspec

from canarium.api.modeldeployment.defaults import NO_DEFAULTS, Defaults
from canarium.core.allowed_addresses import Allowed
from canarium.core.receivers import Receiver
from canarium.core.spec import TemplateKind
from canarium.cost.meter import UsageMeter
from canarium.cost.usage import PriceList
from canarium.errors import (
    ApiError,
    CanariumError,
    ConfigError,
    NotFoundError,
    UnavailableError,
)
from canarium.kube.boundary import Boundary
from canarium.kube.client import Client
from canarium.kube.clock import ClusterClock
from canarium.kube.config import Cluster, load_cluster
from canarium.kube.connections import HEADERS, open_session
from canarium.kube.events import Recorder
from canarium.kube.informers.cache import Cache
from canarium.kube.informers.projections.meta import project_meta
from canarium.kube.informers.reflector import Reflector
from canarium.kube.informers.store import Key, is_newer
from canarium.kube.informers.watched import make_reflectors
from canarium.kube.kinds import FEATURES, MODEL_DEPLOYMENTS, TEMPLATES
from canarium.kube.lease import Lease
from canarium.kube.pod_events import AT_ONCE, PodEvents
from canarium.kube.queues.backoff import Backoff
from canarium.kube.queues.keys import KindQueue, ObjectKey
from canarium.kube.queues.workqueue import WorkQueue
from canarium.kube.transport import HttpTransport
from canarium.metrics.sessions import Measurements, Settings
from canarium.metrics.sources.gateway import look_up
from canarium.notifying import Notifier
from canarium.outbound.reach import Reach
from canarium.outbound.sharing import Room, Shares
from canarium.shell.controller import Controller
from canarium.shell.probes import Guard, let_all_read, serve_probes
from canarium.shell.readiness import (
    MISSING_CRD,
    OLDEST,
    explain_bar,
    explain_version,
    find_notices,
    find_problems,
)
from canarium.shell.reviews import MetricsReaders
from canarium.shell.startup_files import read_defaults, read_price_list, read_receivers
from canarium.shell.tasks import cancel, find_tasks_of
from canarium.shell.tenants.models import ModelTenant, Planner
from canarium.shell.tenants.templates import TemplateTenant
from canarium.telemetry.families import ModelSnapshot
from canarium.telemetry.metrics import Metrics
from canarium.templates.readings import Readings

logger = logging.getLogger(__name__)

WORKERS = 12
"Passes at once; the queue gives at most half of them to ordinary work (docs/performance.md)."
RESYNC_SECONDS = 300.0
RESYNC_AFTER_START = (3.0, 30.0)
"What is deleted while kopf's watch is down is not told by its next one: list soon after it began."
BARRED_SECONDS = 30.0
"How often a namespace that may not be read is tried again."
LEASE_NAME = "canarium-operator"
LONG_GAP_SECONDS = 60.0
"No failover takes so long (a lease lasts 15 s): an outage, or a clock that was set forward."


@dataclass(frozen=True, slots=True)
class Options:
    """How the operator runs. Without namespaces it serves all of them."""

    kubeconfig: str | None = None
    context: str | None = None
    namespaces: tuple[str, ...] = ()
    probe_address: str = "127.0.0.1:8080"
    protect_metrics: bool = False
    "Whether /metrics are for those alone whom the apiserver lets read them."
    leader_election: bool = True
    lease_namespace: str = ""
    workers: int = WORKERS
    resync_seconds: float = RESYNC_SECONDS
    disabled: tuple[str, ...] = ()
    "Names of `kube.kinds.FEATURES`."
    measuring: Settings = field(default_factory=Settings)
    prices: PriceList | None = None
    defaults: Defaults = NO_DEFAULTS
    receivers: tuple[Receiver, ...] = ()

    @property
    def addresses(self) -> Allowed:
        """What namespaces may have asked; what defaults name is an administrator's, too."""
        return self.measuring.addresses.add(self.defaults.addresses)

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> Options:
        """Read the values of the table in `shell.options`, by name, and the files that they name.

        Raises ConfigError for what is no address, network, feature, or file of use.
        """
        names = tuple(values["namespaces"])
        return cls(
            kubeconfig=values["kubeconfig"],
            context=values["context"],
            namespaces=() if "all" in names else names,
            probe_address=values["probe_address"],
            protect_metrics=values["protect_metrics"],
            leader_election=values["leader_election"],
            lease_namespace=values["lease_namespace"],
            disabled=parse_features(values["disable"]),
            resync_seconds=values["resync_seconds"],
            measuring=Settings.parse(
                values["prometheus_url"],
                values["allow_networks"],
                values["profiles"],
                tenant_queries=values["tenant_queries"],
                addresses=values["allow_addresses"],
                public=values["public_addresses"],
            ),
            prices=read_price_list(values["prices"]),
            defaults=read_defaults(values["defaults"]),
            receivers=read_receivers(values["notifications"]),
        )


class Runtime:
    """All the parts of one operator process; make it inside the running loop."""

    def __init__(self, options: Options, plan: Planner, cluster: Cluster | None = None) -> None:
        self.options = options
        self.cluster = cluster or load_cluster(options.kubeconfig, options.context)
        self.clock = ClusterClock()
        self.metrics = Metrics(now=self.clock.now)
        self.queue: WorkQueue[ObjectKey] = WorkQueue(on_begin=self.metrics.queue_wait.observe)
        self.models_due = KindQueue(self.queue, MODEL_DEPLOYMENTS.kind)
        self.cache = self._make_cache()
        self.transport = HttpTransport(
            self.cluster, observer=self.metrics.observe_request, clock=self.clock
        )
        self.client = Client(self.transport)
        self.reach = self._make_reach()
        self.recorder = Recorder(self.client, self.metrics, _identity(), now=self.clock.now)
        self.notifier = self._make_notifier()
        self.readings = Readings(self._wake_template)
        self.cache.on_template = self._wake_template
        self.measurements = self._make_measurements()
        self.use = UsageMeter(
            self.client,
            self.cache,
            options.measuring,
            options.namespaces,
            prices=options.prices,
        )
        self.metrics.add_page(self.use.render)
        self.metrics.show_models(self._view_models, self._note_unshown)
        self.pod_events = PodEvents(self.client, self.models_due.add, Room(AT_ONCE, AT_ONCE))
        self.controller = self._make_controller(plan)
        self.reflectors = make_reflectors(
            self.client, self.cache, options.namespaces, disabled=options.disabled
        )
        self._leads = False
        self.listed = asyncio.Event()
        self._resync_due = asyncio.Event()
        self._came_back = asyncio.Event()
        self._settled = asyncio.Event()
        self._barred: dict[str, str] = {}
        "Namespaces that we lack the rights for, and which: the others are served all the same."
        self._version: tuple[int, int] | None = None
        self._serves_models = True
        self._main: asyncio.Task[Any] | None = None
        self._login: tuple[str, kopf.AiohttpSession] | None = None

    # The parts that are made of others, in the order in which they are made

    def _make_cache(self) -> Cache:
        return Cache(
            self.models_due.add,
            self.models_due.add_soon,
            self.models_due.add_first,
            prometheus_url=self.options.measuring.prometheus_url,
            tenant_queries=self.options.measuring.tenant_queries,
            addresses=self.options.addresses,
            defaults=self.options.defaults,
            boundary=Boundary(self.metrics),
        )

    def _make_reach(self) -> Reach:
        settings = self.options.measuring
        return Reach(
            self.client,
            self.options.addresses,
            partial(look_up, room=Shares().lookups),
            prometheus_url=settings.prometheus_url,
            apiserver=self.cluster.server,
            advertised=self.client.fetch_addresses,
            cluster_wide=not self.options.namespaces,
        )

    def _make_notifier(self) -> Notifier:
        return Notifier(
            self.client,
            self.metrics,
            self.recorder,
            everywhere=self.options.receivers,
            allowed=self.options.measuring.allowed,
            reach=self._make_reach(),  # names of metrics' servers keep no news waiting
            now=self.clock.now,
        )

    def _make_measurements(self) -> Measurements:
        return Measurements(
            self.cache.counted_pods,
            lambda key, urgent: self.models_due.add(key, urgent=urgent),
            client=self.client,
            settings=self.options.measuring,
            listener=self.readings,
            boundary=self.cache.boundary,
            now=self.clock.now,
            reach=self.reach,
        )

    def _make_controller(self, plan: Planner) -> Controller:
        models = ModelTenant(
            plan=plan,
            cache=self.cache,
            recorder=self.recorder,
            measurements=self.measurements,
            metrics=self.metrics,
            notifier=self.notifier,
            inspector=self.pod_events,
            reach=self.reach,
        )
        templates = (TemplateTenant(kind, self.cache, self.readings) for kind in TEMPLATES)
        return Controller(
            [models, *templates],
            client=self.client,
            queue=self.queue,
            boundary=self.cache.boundary,
            metrics=self.metrics,
            now=self.clock.now,
        )

    def _wake_template(self, kind: TemplateKind, key: Key) -> None:
        self.queue.add(ObjectKey(*key, kind))

    # What kopf's handlers bring

    def ingest_model(self, body: Mapping[str, Any]) -> None:
        """A ModelDeployment as kopf saw it; what is older than what we know is passed over."""
        meta, models = body["metadata"], self.cache.models
        known = models.get(meta["namespace"], meta["name"])
        if known is None or is_newer(meta["resourceVersion"], known.meta.resource_version):
            models.put(self.cache.project_model(body, known))

    def drop_model(self, body: Mapping[str, Any]) -> None:
        """A ModelDeployment that kopf saw going; whatever was begun for it ends."""
        meta = body["metadata"]
        self.cache.models.drop(meta["namespace"], meta["name"], meta["resourceVersion"])

    def log_in(self) -> kopf.AiohttpSession:
        """What kopf is to talk to the apiserver with.

        With the same credentials it gets the same again: so it sees when there are no others to
        try, and its watch gives up instead of asking without end.
        """
        token = self.cluster.read_token()
        if self._login is None or self._login[0] != token:
            login = kopf.AiohttpSession(
                server=self.cluster.server,
                default_namespace=self.cluster.namespace,
                aiohttp_session=open_session(
                    self.cluster,
                    HEADERS | ({"Authorization": f"Bearer {token}"} if token else {}),
                ),
            )
            self._login = token, login
        return self._login[1]

    # The process

    async def run(self, *, with_kopf: bool) -> None:
        """Everything, until cancelled; `with_kopf` also runs (and restarts) kopf's own task."""
        async with self.transport:
            self._main = asyncio.current_task()
            probes = await serve_probes(
                self.options.probe_address,
                self.problems,
                self._render_metrics,
                self.notices,
                self._guard,
            )
            try:
                async with asyncio.TaskGroup() as group:
                    for reflector in self.reflectors:
                        group.create_task(reflector.run())
                    group.create_task(self.recorder.run())
                    group.create_task(self._resync())
                    group.create_task(self._check_version())
                    group.create_task(self._lead())
                    if with_kopf:
                        self._take_signals()
                        group.create_task(self._keep_watching())
            finally:
                await self.notifier.close()
                await self.measurements.close()
                await self.pod_events.close()
                await probes.cleanup()

    def problems(self) -> list[str]:
        """Why the operator isn't ready; nothing when it is."""
        found = [] if self.listed.is_set() else ["modeldeployments: not listed yet"]
        if not self._serves_models:
            found = [MISSING_CRD]
        if self.options.namespaces and not self.served:
            found.append("none of the namespaces can be served")
        return found + find_problems(self.reflectors, self._barred)

    def notices(self) -> list[str]:
        """What the operator does without, ready as it may be."""
        return find_notices(self.reflectors, self._barred, self._version)

    @property
    def served(self) -> tuple[str, ...]:
        """The namespaces to serve, without those that we lack the rights for."""
        return tuple(name for name in self.options.namespaces if name not in self._barred)

    async def _lead(self) -> None:
        """Once everything is known and the lease is ours: work, for as long as it is."""
        await asyncio.gather(self.listed.wait(), *map(_wait_for, self.reflectors))
        for reflector in self.reflectors:
            if reflector.namespace is not None and not reflector.synced.is_set():
                self._bar(reflector.namespace, reflector.problem)
        self._settled.set()
        _settle_memory()
        if not self.options.leader_election:
            await self._work(None)
            return
        namespace = self.options.lease_namespace or self.cluster.namespace
        lease = Lease(self.client, namespace, LEASE_NAME, _identity(), time_of_day=self.clock)
        await lease.acquire()
        if lease.gap_seconds > LONG_GAP_SECONDS:
            logger.warning("nobody has led for %.0f s, as far as clocks tell", lease.gap_seconds)
            self.cache.watched_since = self.clock.now()
        self.client.may_write = lambda: lease.is_held
        try:
            await self._work(lease)
        finally:
            await lease.release()

    async def _work(self, lease: Lease | None) -> None:
        self._leads = True
        self.metrics.leader.set(1)
        self.cache.wake_all()
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self.options.workers):
                    group.create_task(self.controller.work())
                if "Usage" not in self.options.disabled:
                    group.create_task(self.use.run())
                if lease is not None:
                    group.create_task(lease.hold())
        finally:
            self._leads = False
            self.metrics.leader.set(0)

    async def _resync(self) -> None:
        """List our objects now and then: a delete that kopf missed is noticed here."""
        failures, backoff = 0, Backoff(1.0, 30.0)
        while True:
            try:
                await self._list_models()
                spread = random.uniform(0.75, 1.25)  # noqa: S311
                seconds = self.options.resync_seconds
                seconds = min(seconds, BARRED_SECONDS) if self._barred else seconds
                failures, delay = 0, seconds * spread
            except Exception as error:  # noqa: BLE001 - a list must never be the last one
                failures += 1
                asked = error.retry_after_seconds if isinstance(error, UnavailableError) else 0.0
                delay = max(asked, backoff.compute(failures))
                self._note_unlisted(error)
            await self._pause(delay)

    async def _pause(self, seconds: float) -> None:
        """Wait for the next list; a new watch of kopf's calls for one sooner."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._resync_due.wait()
        self._resync_due.clear()

    def _note_unlisted(self, error: Exception) -> None:
        if not isinstance(error, CanariumError):
            self.cache.boundary.note("Projecting", "modeldeployments", error)
            return
        if not isinstance(error, NotFoundError):
            logger.warning("listing ModelDeployments: %s", error)
            return
        self.cache.models.replace((), "")
        if self._serves_models:
            logger.warning(MISSING_CRD)
            self._serves_models = False

    async def _list_models(self) -> None:
        for namespace in self.options.namespaces or (None,):
            try:
                await self._list_models_of(namespace)
            except ApiError as error:
                if error.status != 403 or namespace is None:
                    raise
                self._bar(namespace, str(error))
        if not self._serves_models:
            self._serves_models = True
            self._came_back.set()
        self.listed.set()

    async def _list_models_of(self, namespace: str | None) -> None:
        """List those of one namespace; of one that was barred only once all else of it is known."""
        barred = namespace in self._barred
        if barred and not all(r.synced.is_set() for r in self._reflectors_of(namespace)):
            return
        records: list[Any] = []
        version = ""
        async for page in self.client.list_pages(MODEL_DEPLOYMENTS, namespace):
            records += filter(None, map(self._project_listed, page.items or ()))
            version = page.metadata.resource_version
        self.cache.models.replace(records, version, namespace)
        if namespace is not None and barred:
            del self._barred[namespace]
            logger.info("namespace %s is served from now on", namespace)
            self._came_back.set()

    def _reflectors_of(self, namespace: str | None) -> list[Reflector]:
        return [each for each in self.reflectors if each.namespace == namespace]

    def _bar(self, namespace: str, why: str) -> None:
        """Leave a namespace alone that we lack the rights for: none of its objects is acted on."""
        if namespace not in self._barred:
            logger.warning(explain_bar(namespace, why))
            self._came_back.set()
            self._resync_due.set()
        self._barred[namespace] = why
        self.cache.models.replace((), "", namespace)

    async def _check_version(self) -> None:
        """Say once when the cluster is older than what we are made for."""
        backoff = Backoff(1.0, 30.0)
        for failures in count(1):
            try:
                self._version = await self.client.fetch_version()
                break
            except UnavailableError:
                await asyncio.sleep(backoff.compute(failures))
            except (ApiError, ValueError, msgspec.MsgspecError) as error:
                logger.info("which Kubernetes this is, is not told: %s", error)
                return
        if self._version is not None and self._version < OLDEST:
            logger.warning(explain_version(self._version))

    def _project_listed(self, raw: Any) -> Any:
        """The record of one object; what is known of it, or None, when it cannot be read."""
        meta = project_meta(raw)
        known = self.cache.models.get(meta.namespace, meta.name)
        if known is not None and known.meta.resource_version == meta.resource_version:
            return known
        try:
            return self.cache.project_model(raw, known)
        except Exception as error:  # noqa: BLE001 - one object must not stop the others
            self.cache.boundary.note("Projecting", f"{meta.namespace}/{meta.name}", error)
            return known

    async def _keep_watching(self) -> None:
        """Run kopf's own tasks, and again when they end: its watch gives up, we don't."""
        await asyncio.gather(self.listed.wait(), self._settled.wait())
        failures, backoff = 0, Backoff(0.5, 30.0)
        loop = asyncio.get_running_loop()
        while True:
            started = loop.time()
            error = await self._watch_once()
            failures = 1 if loop.time() - started > 60.0 else failures + 1
            logger.warning("kopf's watch ended (%s) and is started again", error or "kinds changed")
            await asyncio.sleep(backoff.compute(failures))

    async def _watch_once(self) -> BaseException | None:
        """Run kopf until one of its root tasks ends, or our kind comes back; what it ended with."""
        self._came_back.clear()
        if self.options.namespaces and not self.served:
            await self._came_back.wait()
            return None
        tasks: list[asyncio.Task[Any]] = []
        try:
            tasks += await self._spawn_kopf()
            tasks.append(asyncio.create_task(self._came_back.wait()))
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await cancel(tasks)
            await cancel(find_tasks_of("kopf"))
            await self._log_out()
        return next((task.exception() for task in done if not task.cancelled()), None)

    async def _spawn_kopf(self) -> Collection[asyncio.Task[Any]]:
        """Kopf's root tasks; cancelled meanwhile, it leaves those that it has begun with."""
        tasks = await kopf.spawn_tasks(
            registry=kopf.get_default_registry(),
            memo=kopf.Memo(runtime=self),
            clusterwide=not self.options.namespaces,
            namespaces=self.served,
            standalone=True,
        )
        self._take_signals()
        for delay in RESYNC_AFTER_START:
            asyncio.get_running_loop().call_later(delay, self._resync_due.set)
        return tasks

    async def _log_out(self) -> None:
        """Close kopf's session, which it does itself only when it is not interrupted."""
        login, self._login = self._login, None
        if login is not None:
            await login[1].aiohttp_session.close()

    def _take_signals(self) -> None:
        """Take the process's signals back from kopf: they are to end the whole of it."""
        loop = asyncio.get_running_loop()
        if self._main is not None and threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(number, self._main.cancel)

    def _view_models(self) -> Iterator[ModelSnapshot] | None:
        """All models, for who looks at the metrics: told by one process, the one that acts."""
        return self._view_each() if self._leads else None

    def _view_each(self) -> Iterator[ModelSnapshot]:
        for key in self.cache.models.keys():  # noqa: SIM118 - a store is no mapping
            model, found = self.cache.models.get(*key), self.measurements.result(key)
            if model is not None:
                rows = found.rows if found is not None else ()
                refused = self.controller.failures(ObjectKey(*key, MODEL_DEPLOYMENTS.kind))
                yield ModelSnapshot(model, self.cache.revisions.of(key), rows, refused)

    def _note_unshown(self, about: str, error: Exception) -> None:
        self.cache.boundary.note("Metrics", about, error)

    @property
    def _guard(self) -> Guard:
        """Who may read the metrics."""
        return MetricsReaders(self.client).judge if self.options.protect_metrics else let_all_read

    def _render_metrics(self) -> Iterator[bytes]:
        self._refresh()
        return self.metrics.render()

    def _refresh(self) -> None:
        """Bring the gauges up to date; of a kind in several namespaces it is the oldest cache."""
        self.metrics.queue_depth.set(self.queue.depth)
        ages: dict[str, float] = {}
        for reflector in self.reflectors:
            name = reflector.resource.plural
            ages[name] = max(reflector.age, ages.get(name, 0.0))
        for name, age in ages.items():
            if age != float("inf"):
                self.metrics.cache_age.labels(name).set(age)


def parse_features(names: Iterable[str]) -> tuple[str, ...]:
    """Check the names of features that are to be disabled; raises ConfigError for unknown ones."""
    given = tuple(name for name in names if name)
    if unknown := [name for name in given if name not in FEATURES]:
        raise ConfigError(f"{unknown[0]!r} cannot be disabled: name any of {', '.join(FEATURES)}")
    return given


async def _wait_for(reflector: Reflector) -> None:
    """Wait for what everything needs; a namespace without the rights keeps no other waiting."""
    await (reflector.synced if reflector.namespace is None else reflector.settled).wait()


def _settle_memory() -> None:
    """What lives now lives on: take it out of the collector's rounds."""
    gc.collect()
    gc.freeze()


def _identity() -> str:
    """Who holds the lease and reports events: the pod (or machine), and one process of it."""
    return f"{os.environ.get('HOSTNAME') or socket.gethostname()}_{secrets.token_hex(4)}"
