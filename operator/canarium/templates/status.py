"""What MetricTemplates say of themselves in status: whether they make sense, and whether they work.

However many models are judged by one, it is written now and then at most: that is the shell's
business.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from canarium.core.observed import TemplateRecord
from canarium.core.plan import Plan
from canarium.core.status import format_time
from canarium.core.text import sanitize_text
from canarium.kube.informers.store import Key
from canarium.metrics.sessions.readers import check_query
from canarium.outbound.errors import take_for_failed

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ObservedTemplate:
    """A template, and each model's last problem with a reading by it, "" for none."""

    record: TemplateRecord
    readings: Mapping[Key, str]


def plan_template(observed: ObservedTemplate, now: float) -> Plan:
    """Write its status where it says something else; a template has nothing else to be done for."""
    status = make_template_status(observed.record, observed.readings, now)
    return Plan(status=None if status == observed.record.status else status)


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
