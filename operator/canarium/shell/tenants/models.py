"""ModelDeployments: planned by `rollout`, measured, inspected and told of beside their passes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from canarium.core.allowed_addresses import find_service, names_own_service, split_address
from canarium.core.observed import (
    AnalysisResult,
    Meta,
    ModelObject,
    Observed,
    PodEvent,
    WriteFailure,
)
from canarium.core.plan import (
    Apply,
    Create,
    Event,
    Inspect,
    Measure,
    Plan,
    RecordOutcome,
    Ref,
    Write,
)
from canarium.kube.informers.cache import Cache
from canarium.kube.informers.store import Key, own_key
from canarium.kube.kinds import MODEL_DEPLOYMENTS
from canarium.kube.writer import CHOOSING
from canarium.resources.diff import contains, fingerprint
from canarium.rollout.plan import report_bug
from canarium.routing import ROUTERS
from canarium.routing.diff import digest
from canarium.shell.brake import Cause, find_cause
from canarium.shell.controller.tenant import Position, Tenant
from canarium.telemetry.metrics import Metrics

PLACED = {kind for router in ROUTERS.values() for kind in router.route_kinds} | {"Service"}
"Kinds that routes are made of."

Planner = Callable[[Observed, float], Plan]


class Recording(Protocol):
    """Who sends events."""

    def record(self, meta: Meta, event: Event) -> None:
        """Have an event sent soon."""


class Notifying(Protocol):
    """Who tells people outside."""

    def notify(self, model: ModelObject, event: Event) -> None:
        """Have an event told soon to those who want to know."""


class Inspecting(Protocol):
    """Who reads what is said of pods that don't get ready."""

    def ensure(self, key: Key, inspect: Inspect | None) -> None:
        """Have exactly this pod asked about from now on."""

    def said(self, key: Key) -> PodEvent | None:
        """What was said last of it."""


class Finding(Protocol):
    """Who knows what Services are."""

    async def find_objection(self, name: str, namespace: str) -> str:
        """Why a Service is never followed; "" where nothing is against it."""


class Measuring(Protocol):
    """Who measures."""

    def ensure(self, key: Key, measure: Measure | None) -> None:
        """Have exactly this measured from now on."""

    def result(self, key: Key) -> AnalysisResult | None:
        """What has been found so far."""


class _Blind:
    def ensure(self, key: Key, inspect: Inspect | None) -> None:
        pass

    def said(self, _key: Key) -> PodEvent | None:
        return None


class _Nobody:
    def notify(self, model: ModelObject, event: Event) -> None:
        pass


@dataclass(slots=True)
class _Answers:
    """What the apiserver made of our writes for one object, until it is seen in place."""

    placed: dict[Ref, str] = field(default_factory=dict)
    "Digests of routes that the apiserver took from us, until they are seen in place."
    accepted: dict[Ref, tuple[str, str]] = field(default_factory=dict)
    "Uids of Deployments whose template is stored otherwise than we wrote it, and its digest."
    answered: set[str] = field(default_factory=set)
    "Uids of what the apiserver created for us, until status has them."


class ModelTenant(Tenant[ModelObject, Observed]):
    """ModelDeployments; `plan` is the core's, or a wrong one."""

    names_kind = False
    resource = MODEL_DEPLOYMENTS

    def __init__(
        self,
        *,
        plan: Planner,
        cache: Cache,
        recorder: Recording,
        measurements: Measuring,
        metrics: Metrics | None = None,
        notifier: Notifying | None = None,
        inspector: Inspecting | None = None,
        reach: Finding | None = None,
    ) -> None:
        self.store = cache.models
        self.children = cache
        self._plan = plan
        self._cache = cache
        self._recorder = recorder
        self._measurements = measurements
        self._metrics = metrics or Metrics()
        self._notifier = notifier or _Nobody()
        self._inspector = inspector or _Blind()
        self._reach = reach
        self._objections: dict[Key, str] = {}
        "Why the Service that an autoscaler is to ask is never followed, of those where it isn't."
        self._answers: dict[Key, _Answers] = {}

    def observe(self, record: ModelObject, failures: tuple[WriteFailure, ...]) -> Observed:
        """What is known of it and its children, and what came of measuring and of our writes."""
        key = own_key(record)
        found, said = self._measurements.result(key), self._inspector.said(key)
        objection = self._objections.get(key, "")
        observed = self._cache.observe(record, found, failures, said, objection)
        answers = self._answers.get(key)
        if answers is None:
            return observed
        return replace(
            observed,
            placed=frozenset(answers.placed.items()),
            answered=frozenset(answers.answered),
            accepted=frozenset(answers.accepted.values()),
        )

    def plan(self, observed: Observed, now: float) -> Plan:
        """What the core decides."""
        return self._plan(observed, now)

    def report(self, record: ModelObject, problem: str, now: float) -> Mapping[str, Any] | None:
        """Its status with a condition that says so; None where it says so already."""
        return report_bug(record, problem, now)

    def project(self, raw: bytes, known: ModelObject | None) -> ModelObject:
        """The object with the defaults that it leaves out."""
        return self._cache.project_model(raw, known)

    async def prepare(self, record: ModelObject) -> None:
        """Find out why the Service that an autoscaler is to ask is never followed."""
        key = own_key(record)
        objection = await self._object_to_service(record)
        if objection:
            self._objections[key] = objection
        else:
            self._objections.pop(key, None)

    async def _object_to_service(self, model: ModelObject) -> str:
        namespace = model.meta.namespace
        address = model.spec.scaling.prometheus_url if model.spec else ""
        own = address and names_own_service(address, namespace, self._cache.addresses)
        service = find_service(split_address(address)[0], namespace) if own else None
        if self._reach is None or service is None:
            return ""
        return await self._reach.find_objection(*service)

    def find_cause(self, record: ModelObject, plan: Plan) -> Cause:
        """What protects people, and what a person asked for, is written first."""
        return find_cause(record.status, plan)

    def reported(self, before: ModelObject, after: ModelObject) -> None:
        """Count the revisions that are rejected from now on."""
        for rejection in set(after.status.rejected) - set(before.status.rejected):
            self._metrics.rollbacks.labels(rejection.reason).inc()

    def position(self, record: ModelObject) -> Position:
        """Its phase, and where its rollout is."""
        status, rollout = record.status, record.status.rollout
        fields = {
            "phase": status.phase,
            "state": rollout.state if rollout else None,
            "step": rollout.step if rollout else None,
            "reason": status.reason,
        }
        return Position(fields, status.message or status.reason or str(status.phase))

    def follow(self, record: ModelObject, plan: Plan) -> None:
        """Measure and inspect what the plan says, and forget answers that are seen in place."""
        key = own_key(record)
        self._measurements.ensure(key, plan.measure)
        self._inspector.ensure(key, plan.inspect)
        answers = self._answers.get(key)
        if answers is None:
            return
        if record.status.routes is not None and record.status.routes.written:
            answers.placed.clear()
        answers.answered -= _list_noted(record, answers)
        if not (answers.placed or answers.answered or answers.accepted):
            del self._answers[key]

    def wrote(self, record: ModelObject, write: Write, uid: str) -> None:
        """Count outcomes, and remember what the apiserver made of the others."""
        if isinstance(write, RecordOutcome):
            self._count_outcome(write)
        if not isinstance(write, Apply | Create):
            return
        answers = self._answers.setdefault(own_key(record), _Answers())
        _note_placed(answers, write)
        _note_answered(answers, write, uid)
        self._note_accepted(answers, record.meta.namespace, write)

    def tell(self, record: ModelObject, event: Event) -> None:
        """Send an Event, and messages to those who are notified."""
        self._recorder.record(record.meta, event)
        self._notifier.notify(record, event)

    def release(self, key: Key) -> None:
        """End what goes on beside its passes."""
        self._measurements.ensure(key, None)
        self._inspector.ensure(key, None)
        self._answers.pop(key, None)
        self._objections.pop(key, None)

    def _count_outcome(self, write: RecordOutcome) -> None:
        outcome = write.status.get("outcome")
        # Stable again, because the one after it was taken back in its guard, is no rollout's end.
        if outcome and (outcome != "Stable" or "stableAt" in write.status):
            self._metrics.rollouts.labels(outcome).inc()

    def _note_accepted(self, answers: _Answers, namespace: str, write: Apply | Create) -> None:
        """Remember what the apiserver made of a template that it doesn't store as we wrote it."""
        if "template" not in write.body["spec"]:
            return
        stored = self._cache.deployments.get(namespace, write.ref.name)
        if write.ref.kind != "Deployment" or stored is None:
            return
        answers.accepted.pop(write.ref, None)
        if not contains(stored.template, json.dumps(write.body["spec"]["template"])):
            answers.accepted[write.ref] = stored.meta.uid, fingerprint(stored.template)


def _note_placed(answers: _Answers, write: Apply | Create) -> None:
    """Remember of a route what the apiserver has taken."""
    if write.ref.kind in PLACED:
        text = json.dumps(write.body["spec"], separators=(",", ":"))
        answers.placed[write.ref] = digest(text)


def _note_answered(answers: _Answers, write: Write, uid: str) -> None:
    """Remember what was created, of the kinds that are believed by their uid alone."""
    if isinstance(write, Create) and write.ref.kind in CHOOSING:
        answers.answered.add(uid)


def _list_noted(model: ModelObject, answers: _Answers) -> set[str]:
    """The uids that status has, or does without: by CRDs of before, it keeps no account."""
    made = model.status.made
    return answers.answered if made is None else set(made.values())
