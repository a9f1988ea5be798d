"""What MetricTemplates say of themselves in status: whether they make sense, and whether they work.

Written when something changes and at most every few seconds for each, however many models are
judged by it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from canarium.core.metrics import MetricQuery
from canarium.core.observed import TemplateRecord
from canarium.core.plan import OWNER_MANAGER
from canarium.core.spec import TemplateKind
from canarium.core.status import format_time
from canarium.core.text import sanitize_text
from canarium.errors import CanariumError
from canarium.kube.client import Client
from canarium.kube.informers.cache import Cache
from canarium.kube.informers.store import Key
from canarium.kube.kinds import TEMPLATES
from canarium.kube.queues.turns import Turns
from canarium.metrics.sessions.readers import check_query
from canarium.outbound.errors import take_for_failed

logger = logging.getLogger(__name__)

SECONDS_BETWEEN_WRITES = 5.0
TemplateId = tuple[TemplateKind, Key]
Json = Mapping[str, Any]


class Templates:
    """Hears of templates that change and of readings, and keeps their status."""

    def __init__(self, client: Client, cache: Cache, now: Callable[[], float] = time.time) -> None:
        self._client = client
        self._cache = cache
        self._now = now
        self._readings: dict[TemplateId, dict[Key, str]] = {}
        "Of models that are being judged."
        self._past: dict[TemplateId, dict[Key, str]] = {}
        "The last one of a model that isn't any more."
        self._changed: dict[Key, TemplateId] = {}
        "What is to be written, by where it stands in line."
        self._resting: dict[TemplateId, bool] = {}
        "Those that were written a moment ago, and whether they changed since."
        self._line: Turns[Key] = Turns()
        self._wake = asyncio.Event()
        cache.on_template = self.note_change

    def note_change(self, kind: TemplateKind, key: Key) -> None:
        """A template was written or deleted."""
        self._change((kind, key))

    def note_reading(self, model: Key, metric_query: MetricQuery, problem: str) -> None:
        """A model's reading by a template: why it failed, or an empty text."""
        if metric_query.template is None:
            return
        kind, name = metric_query.template
        template = kind, (model[0] if kind == "MetricTemplate" else "", name)
        readings = self._readings.setdefault(template, {})
        if readings.get(model) != problem:
            readings[model] = problem
            self._change(template)

    def forget(self, model: Key) -> None:
        """Nothing is read for this object any more; its last reading stands for now."""
        for template, readings in self._readings.items():
            if model in readings:
                self._past[template] = {model: readings.pop(model)}

    async def run(self) -> None:
        """Write what changed, until cancelled; the namespaces take turns."""
        while True:
            await self._wake.wait()
            place = self._line.pop(lambda _: True, lambda _: True)
            if place is None:
                self._wake.clear()
                continue
            template = self._changed.pop(place)
            self._resting[template] = False
            await self._attempt(template)
            asyncio.get_running_loop().call_later(SECONDS_BETWEEN_WRITES, self._end_rest, template)

    def _change(self, template: TemplateId) -> None:
        if template in self._resting:
            self._resting[template] = True
            return
        kind, (namespace, name) = template
        place = namespace, f"{kind}/{name}"
        if place not in self._changed:
            self._changed[place] = template
            self._line.append(place)
            self._wake.set()

    def _end_rest(self, template: TemplateId) -> None:
        if self._resting.pop(template):
            self._change(template)

    async def _attempt(self, template: TemplateId) -> None:
        """Write one; whatever goes wrong with it, the others and the operator go on."""
        about = f"{template[0]} {'/'.join(template[1])}"
        try:
            await self._write(template)
            self._cache.boundary.clear("Templates", about)
        except Exception as error:  # noqa: BLE001 - one template must not stop the others
            self._cache.boundary.note("Templates", about, error)

    async def _write(self, template: TemplateId) -> None:
        kind, (namespace, name) = template
        record = self._cache.templates[kind].get(namespace, name)
        if record is None:
            self._readings.pop(template, None)
            self._past.pop(template, None)
            return
        readings = self._readings.get(template) or self._past.get(template, {})
        status = make_template_status(record, readings, self._now())
        if status == record.status:
            return
        try:
            await self._client.patch_status(
                TEMPLATES[kind],
                namespace or None,
                name,
                status,
                resource_version=record.meta.resource_version,
                manager=OWNER_MANAGER,
            )
        except CanariumError as error:
            # A conflict brings news of the template, which is another chance; so do readings.
            logger.info("status of %s %s: %s", kind, name, error)


def make_template_status(record: TemplateRecord, readings: Mapping[Key, str], now: float) -> Json:
    """The status of a template: `readings` holds each model's last problem, "" for none."""
    problems = [record.problem] if record.spec is None else find_problems(record)
    conditions = [_make_ready(record, problems)]
    if readings:
        conditions.append(_make_working(record, readings))
    elif (before := _find(record.status, "Working")) is not None:
        conditions.append(before)
    return {
        "observedGeneration": record.meta.generation,
        "conditions": [_since(condition, record.status, now) for condition in conditions],
    }


def find_problems(record: TemplateRecord) -> list[str]:
    """List what is wrong with a template's query that its schema couldn't tell."""
    if record.spec is None:
        return [record.problem]
    types = {argument.name: argument.type for argument in record.spec.arguments}
    try:
        return list(check_query(record.spec.query, types))
    except Exception as error:  # noqa: BLE001 - it is this template's, and it says so
        return [f"the query cannot be checked: {take_for_failed(error)}"]


def _make_ready(record: TemplateRecord, problems: list[str]) -> Json:
    if problems:
        return _make_condition(record, "Ready", "False", "Invalid", "; ".join(problems))
    return _make_condition(record, "Ready", "True", "Valid", "the query can be filled in")


def _make_working(record: TemplateRecord, readings: Mapping[Key, str]) -> Json:
    failed = {model: problem for model, problem in sorted(readings.items()) if problem}
    if not failed:
        words = f"the last reading for {_count(len(readings))} worked"
        return _make_condition(record, "Working", "True", "Answered", words)
    model, problem = next(iter(failed.items()))
    words = f"{len(failed)} of {_count(len(readings))} cannot be read; {'/'.join(model)}: {problem}"
    return _make_condition(record, "Working", "False", "ReadingFailed", words)


def _count(models: int) -> str:
    return f"{models} model" if models == 1 else f"{models} models"


def _make_condition(
    record: TemplateRecord, kind: str, status: str, reason: str, message: str
) -> Json:
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": sanitize_text(message),
        "observedGeneration": record.meta.generation,
    }


def _since(condition: Json, status: Json, now: float) -> Json:
    before = _find(status, condition["type"])
    same = before is not None and before.get("status") == condition["status"]
    since = before.get("lastTransitionTime") if before is not None and same else None
    return {**condition, "lastTransitionTime": since or format_time(now)}


def _find(status: Json, kind: str) -> Json | None:
    conditions = status.get("conditions") or []
    return next((each for each in conditions if each.get("type") == kind), None)
