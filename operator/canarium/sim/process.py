"""One operator process: the real controller, cache, queue, reflectors and measurements, wired up.

It is started as `runtime` starts the real one: nothing is worked on before every kind was listed.
Killing it leaves nothing behind but what it wrote.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from canarium.api.modeldeployment.defaults import NO_DEFAULTS, Defaults
from canarium.core.observed import ModelObject
from canarium.kube.client import Client
from canarium.kube.informers.cache import Cache
from canarium.kube.informers.projections.meta import project_meta
from canarium.kube.informers.reflector import Reflector
from canarium.kube.informers.watched import make_reflectors
from canarium.kube.kinds import MODEL_DEPLOYMENTS
from canarium.kube.queues.keys import KindQueue, ObjectKey
from canarium.kube.queues.workqueue import WorkQueue
from canarium.shell.controller import Controller
from canarium.shell.tenants.models import Measuring, ModelTenant, Planner, Recording
from canarium.sim.network import SimulatedTransport

WORKERS = 4


class MakeMeasuring(Protocol):
    """Makes what measures for one operator process, out of its cache and queue."""

    def __call__(self, cache: Cache, queue: KindQueue) -> Measuring:
        """Make it."""


class Operator:
    """The operator's parts in one loop; `planner` is the core's `plan`, or a wrong one."""

    def __init__(
        self,
        connection: SimulatedTransport,
        *,
        planner: Planner,
        recorder: Recording,
        make_measuring: MakeMeasuring,
        now: Callable[[], float],
        defaults: Defaults = NO_DEFAULTS,
        watched_since: float = 0.0,
    ) -> None:
        self.connection = connection
        self.client = Client(connection)
        self._loop = asyncio.get_running_loop()
        self.queue: WorkQueue[ObjectKey] = WorkQueue(self._loop)
        due = KindQueue(self.queue, MODEL_DEPLOYMENTS.kind)
        self.cache = Cache(due.add, due.add_soon, due.add_first, defaults=defaults)
        self.cache.watched_since = watched_since
        self.measuring = make_measuring(self.cache, due)
        self.reflectors = [
            self._make_models(),
            *make_reflectors(self.client, self.cache, clock=now),
        ]
        models = ModelTenant(
            plan=planner, cache=self.cache, recorder=recorder, measurements=self.measuring
        )
        self.controller = Controller(
            [models],
            client=self.client,
            queue=self.queue,
            boundary=self.cache.boundary,
            now=now,
        )
        self._tasks = [
            *(self._loop.create_task(reflector.run()) for reflector in self.reflectors),
            self._loop.create_task(self._work()),
        ]

    def resync(self) -> None:
        """Look at every object anew."""
        self.cache.wake_all()

    def kill(self) -> None:
        """End at once; whatever is on its way is never heard of again."""
        self.connection.dead = True
        for task in self._tasks:
            task.cancel()
        for key in self.cache.models.keys():  # noqa: SIM118 - a store is no mapping
            self.measuring.ensure(key, None)

    def _make_models(self) -> Reflector:
        """What kopf's watch does in the real process."""

        def project(raw: bytes) -> ModelObject:
            meta = project_meta(raw)
            known = self.cache.models.get(meta.namespace, meta.name)
            return self.cache.project_model(raw, known)

        return Reflector(
            self.client, MODEL_DEPLOYMENTS, self.cache.models, project, clock=self._loop.time
        )

    async def _work(self) -> None:
        await asyncio.gather(*(reflector.synced.wait() for reflector in self.reflectors))
        self.cache.wake_all()
        async with asyncio.TaskGroup() as group:
            for _ in range(WORKERS):
                group.create_task(self.controller.work())
