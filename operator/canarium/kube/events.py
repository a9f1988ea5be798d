"""Kubernetes events about our objects, sent beside the work: one that fails never fails a pass.

A repeat of the same event within a few minutes becomes a series of the first one.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from canarium.core.names import API_VERSION, PREFIX
from canarium.core.observed import Meta
from canarium.core.plan import Event
from canarium.core.status import format_time
from canarium.errors import CanariumError, NotFoundError
from canarium.kube.client import Client
from canarium.kube.kinds import EVENTS
from canarium.kube.queues.backlog import Backlog, crowd_out
from canarium.telemetry.metrics import Metrics

logger = logging.getLogger(__name__)

CONTROLLER = PREFIX + "operator"
FIELD_MANAGER = "canarium"
NOTE_LENGTH = 1024
SERIES_SECONDS = 360.0
BACKLOG = 1000
MOST_REMEMBERED = 4096
"Events that a repeat can count up; of more, the one that was sent first is sent anew."


@dataclass(slots=True)
class _Sent:
    """An event that was sent: where it is, when it was last repeated, and how often."""

    name: str
    at: float
    count: int = 1


@dataclass(frozen=True, slots=True)
class _Job:
    meta: Meta
    event: Event
    at: float


class Recorder:
    """Sends events from a bounded backlog, one after the other; rollbacks first."""

    def __init__(
        self,
        client: Client,
        metrics: Metrics,
        instance: str,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._client = client
        self._metrics = metrics
        self._instance = instance[:128]
        self._now = now
        self._backlog: Backlog[_Job] = Backlog()
        self._came = asyncio.Event()
        self._sent: dict[tuple[str, Event], _Sent] = {}

    def record(self, meta: Meta, event: Event) -> None:
        """Have an event sent soon; of a full backlog one of who has most is dropped and counted."""
        job = _Job(meta, event, self._now())
        self._backlog.put((meta.namespace, meta.name), job, urgent=event.urgent)
        self._came.set()
        if crowd_out([self._backlog], BACKLOG, meta.namespace) is not None:
            self._metrics.events_dropped.inc()

    async def run(self) -> None:
        """Send until cancelled."""
        while True:
            await self.send_next()

    async def send_next(self) -> None:
        """Send one event; a failure is logged and counted, and that is all."""
        while not self._backlog:
            self._came.clear()
            await self._came.wait()
        job = self._backlog.pop()
        try:
            await self._send(job)
        except CanariumError as error:
            self._metrics.events_dropped.inc()
            logger.warning(
                "event %s about %s was not sent: %s", job.event.reason, job.meta.name, error
            )
        except Exception:
            self._metrics.events_dropped.inc()
            logger.exception("event %s about %s was not sent", job.event.reason, job.meta.name)

    async def _send(self, job: _Job) -> None:
        self._expire(job.at)
        known = self._sent.get((job.meta.uid, job.event))
        if known is None or not await self._repeat(job, known):
            await self._create(job)

    async def _create(self, job: _Job) -> None:
        body = make_event(job.meta, job.event, job.at, self._instance)
        await self._client.create(EVENTS, job.meta.namespace, body, FIELD_MANAGER)
        self._sent[job.meta.uid, job.event] = _Sent(body["metadata"]["name"], job.at)
        if len(self._sent) > MOST_REMEMBERED:
            del self._sent[next(iter(self._sent))]

    async def _repeat(self, job: _Job, known: _Sent) -> bool:
        """Count the event up; False when it is no longer there."""
        series = {"count": known.count + 1, "lastObservedTime": _format_micro(job.at)}
        namespace, body = job.meta.namespace, {"series": series}
        try:
            await self._client.merge(EVENTS, namespace, known.name, body, manager=FIELD_MANAGER)
        except NotFoundError:
            return False
        known.count, known.at = known.count + 1, job.at
        return True

    def _expire(self, now: float) -> None:
        for key in [key for key, sent in self._sent.items() if now - sent.at > SERIES_SECONDS]:
            del self._sent[key]


def make_event(meta: Meta, event: Event, at: float, instance: str) -> dict[str, Any]:
    """The events.k8s.io/v1 object; `at` is in epoch seconds."""
    return {
        "apiVersion": EVENTS.api_version,
        "kind": EVENTS.kind,
        "metadata": {"name": f"{meta.name}.{int(at * 1e9):x}", "namespace": meta.namespace},
        "eventTime": _format_micro(at),
        "reportingController": CONTROLLER,
        "reportingInstance": instance,
        "type": event.type,
        "reason": event.reason,
        "action": event.action,
        "note": event.message[:NOTE_LENGTH],
        "regarding": {
            "apiVersion": API_VERSION,
            "kind": "ModelDeployment",
            "namespace": meta.namespace,
            "name": meta.name,
            "uid": meta.uid,
            "resourceVersion": meta.resource_version,
        },
    }


def _format_micro(at: float) -> str:
    """A MicroTime, whose parser insists on six digits."""
    return format_time(at)[:-1] + "000Z"
