"""Takes what the queue has next, whatever kind it is of, and has one pass made over it.

What is done in a pass is the same for all kinds (`reconciler`); what a kind wants is the business
of its tenant (`tenant`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

from canarium.core.observed import WriteFailure
from canarium.kube.boundary import Boundary
from canarium.kube.client import Client
from canarium.kube.queues.keys import ObjectKey
from canarium.kube.queues.workqueue import WorkQueue
from canarium.shell.brake import Brake
from canarium.shell.controller.reconciler import Reconciler
from canarium.shell.controller.tenant import Tenant
from canarium.telemetry.metrics import Metrics


class Controller:
    """Works on the objects of all tenants' kinds, one pass at a time."""

    def __init__(
        self,
        tenants: Iterable[Tenant[Any, Any]],
        *,
        client: Client,
        queue: WorkQueue[ObjectKey],
        boundary: Boundary | None = None,
        metrics: Metrics | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._queue = queue
        self._metrics = metrics or Metrics()
        brake = Brake(queue.time)
        self._reconcilers = {
            tenant.resource.kind: Reconciler(
                tenant,
                client=client,
                queue=queue,
                brake=brake,
                boundary=boundary or Boundary(),
                metrics=self._metrics,
                now=now,
            )
            for tenant in tenants
        }

    async def work(self) -> None:
        """Take keys from the queue and work on them until cancelled; run as many as are wanted."""
        while True:
            key = await self._queue.get()
            try:
                with self._metrics.reconcile_seconds.time():
                    await self.attempt(key)
            finally:
                self._queue.done(key)

    async def attempt(self, key: ObjectKey) -> None:
        """One pass; whatever goes wrong ends in another one after a while."""
        await self._reconcilers[key.kind].attempt(key)

    def failures(self, key: ObjectKey) -> tuple[WriteFailure, ...]:
        """The writes for an object that were refused when they were last tried."""
        return self._reconcilers[key.kind].failures(key)
