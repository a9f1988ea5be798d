"""Observe, plan, report, apply: one pass over one object. What to do is the plan's business.

The order is what makes it safe to be killed at any instant: live reads, then the intent in status
(only if nobody wrote since), then the children, then events.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable
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
    OWNER_MANAGER,
    SIZING_KINDS,
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
from canarium.core.status import Status
from canarium.errors import (
    CanariumError,
    ConflictError,
    NotFoundError,
    UnavailableError,
    describe_bug,
)
from canarium.kube.client import Client
from canarium.kube.informers.cache import Cache
from canarium.kube.informers.projections.meta import project_meta
from canarium.kube.informers.store import Key
from canarium.kube.kinds import MODEL_DEPLOYMENTS
from canarium.kube.queues.backoff import Backoff
from canarium.kube.queues.workqueue import WorkQueue
from canarium.kube.refusals import explain, is_stale
from canarium.kube.writer import CHOOSING, RefusedError, StaleError, Writer
from canarium.resources.diff import contains, fingerprint
from canarium.rollout.plan import report_bug
from canarium.routing import ROUTERS
from canarium.routing.diff import digest
from canarium.shell.brake import Brake, Cause, find_cause
from canarium.telemetry.metrics import Metrics

logger = logging.getLogger(__name__)

IN_THE_WAY = ("Wait", "Route")
"Actions of warnings that tell of a fault around us; all other events are decisions."
BRAKED = Event(
    "Warning",
    "StatusChangesTooOften",
    "Wait",
    "what is decided changes many times a second; from now on it is written more rarely, commands"
    " and rollbacks first. Unless somebody else writes in a loop, this is a bug: report it",
)
PLACED = {kind for router in ROUTERS.values() for kind in router.route_kinds} | {"Service"}
"Kinds that routes are made of."
CONFIRM_ROUNDS = 4
"Each round of live reads can bring up another wish; then the pass begins anew."
RETRY = Backoff(first_seconds=0.5, longest_seconds=60.0)
WAIT_FOR_DELETION = Backoff(first_seconds=0.5, longest_seconds=2.0)

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


class _Blind:
    def ensure(self, key: Key, inspect: Inspect | None) -> None:
        pass

    def said(self, _key: Key) -> PodEvent | None:
        return None


class Finding(Protocol):
    """Who knows what Services are."""

    async def find_objection(self, name: str, namespace: str) -> str:
        """Why a Service is never followed; "" where nothing is against it."""


class _Nobody:
    def notify(self, model: ModelObject, event: Event) -> None:
        pass


class Measuring(Protocol):
    """Who measures."""

    def ensure(self, key: Key, measure: Measure | None) -> None:
        """Have exactly this measured from now on."""

    def result(self, key: Key) -> AnalysisResult | None:
        """What has been found so far."""


@dataclass(slots=True)
class _Refusal:
    """A write that failed: what the core is told, how often, and when it is tried again."""

    failure: WriteFailure
    count: int
    retry_at: float


@dataclass(slots=True)
class _Memory:
    """What is remembered of one object between passes; losing it costs a retry, nothing else."""

    refusals: dict[Ref, _Refusal] = field(default_factory=dict)
    placed: dict[Ref, str] = field(default_factory=dict)
    "Digests of routes that the apiserver took from us, until they are seen in place."
    accepted: dict[Ref, tuple[str, str]] = field(default_factory=dict)
    "Uids of Deployments whose template is stored otherwise than we wrote it, and its digest."
    answered: set[str] = field(default_factory=set)
    "Uids of what the apiserver created for us, until status has them."

    def failures(self) -> tuple[WriteFailure, ...]:
        return tuple(refusal.failure for refusal in self.refusals.values())


class Controller:
    """Brings objects to where their plans want them, one pass at a time."""

    def __init__(
        self,
        *,
        plan: Planner,
        client: Client,
        cache: Cache,
        queue: WorkQueue,
        recorder: Recording,
        measurements: Measuring,
        metrics: Metrics | None = None,
        notifier: Notifying | None = None,
        inspector: Inspecting | None = None,
        reach: Finding | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._plan = plan
        self._client = client
        self._cache = cache
        self._queue = queue
        self._recorder = recorder
        self._measurements = measurements
        self._metrics = metrics or Metrics()
        self._notifier = notifier or _Nobody()
        self._inspector = inspector or _Blind()
        self._now = now
        self._reach = reach
        self._writer = Writer(client, cache)
        self._brake = Brake(queue.time)
        self._boundary = cache.boundary
        self._memories: dict[Key, _Memory] = {}

    async def work(self) -> None:
        """Take keys from the queue and work on them until cancelled; run as many as are wanted."""
        while True:
            key = await self._queue.get()
            try:
                with self._metrics.reconcile_seconds.time():
                    await self.attempt(key)
            finally:
                self._queue.done(key)

    async def attempt(self, key: Key) -> None:
        """One pass; whatever goes wrong ends in another one after a while."""
        try:
            await self.reconcile(key)
        except StaleError:
            self._queue.retry(key)
        except CanariumError as error:
            delay = self._note_error(key, error)
            extra = {"object": "/".join(key)}
            logger.warning("%s; again in %.1f s", error, delay, extra=extra)
        except Exception as error:  # noqa: BLE001 - a bug with one object must not stop the others
            self._note_error(key, error)
            await self._report_bug(key, error)
        else:
            self._boundary.clear("Planning", "/".join(key))

    def _note_error(self, key: Key, error: Exception) -> float:
        """Count it and have the object looked at again; in how many seconds."""
        self._metrics.reconcile_errors.inc()
        return self._queue.retry(key, _asked_to_wait(error))

    async def _report_bug(self, key: Key, error: Exception) -> None:
        """Have the object itself say what its pass came to; written only when that is news."""
        words = self._boundary.note("Planning", "/".join(key), error)
        model = self._cache.models.get(*key)
        if model is None:
            return
        status = report_bug(model, words, self._now())
        try:
            await self._report(key, model, Plan(status=status))
        except Exception as failure:  # noqa: BLE001 - it is in the log, and is tried again
            logger.info("%s was not told: %s", words, describe_bug(failure))

    async def reconcile(self, key: Key) -> None:
        """One pass over one object.

        Raises `StaleError` when it has to be made again at once, and what the client raises when
        status cannot be written.
        """
        model = self._cache.models.get(*key)
        if model is None or model.meta.deleting:
            self._release(key)
            return
        plan = await self._decide(key, model)
        before = model.status
        if self._is_braked(key, model, plan):
            return
        model = await self._report(key, model, plan)
        _log_pass(key, plan)
        _log_events(key, plan, before, model.status)
        if model.meta.deleting:
            return
        self._queue.prefer(key, plan.urgent)
        self._measurements.ensure(key, plan.measure)
        self._inspector.ensure(key, plan.inspect)
        try:
            clean = await self._apply(key, model, plan)
        finally:
            for event in plan.events:
                self._recorder.record(model.meta, event)
                self._notifier.notify(model, event)
        self._wake_later(key, plan)
        if clean:
            self._queue.forget(key)

    def _is_braked(self, key: Key, model: ModelObject, plan: Plan) -> bool:
        """Whether status changed so often lately that this has to wait: it is planned again then.

        Nothing is carried out either, since the intent goes first.
        """
        if plan.status is None:
            return False
        wait = self._brake.spend(key, find_cause(model.status, plan))
        if not wait:
            return False
        self._metrics.status_writes_delayed.inc()
        self._queue.add_in(key, wait)
        if self._brake.is_news(key):
            logger.warning("%s", BRAKED.message, extra={"object": "/".join(key)})
            self._recorder.record(model.meta, BRAKED)
        return True

    async def _decide(self, key: Key, model: ModelObject) -> Plan:
        """Plan; what the plan wants confirmed is read live, and then it is made once more."""
        objection = await self._object_to_service(model)
        now, confirmed = self._now(), set[Ref]()
        for _ in range(CONFIRM_ROUNDS):
            plan = self._plan(self._observe(key, model, objection), now)
            missing = [ref for ref in plan.confirm if ref not in confirmed]
            if not missing:
                return plan
            namespace = model.meta.namespace
            await asyncio.gather(*(self._writer.refresh(namespace, ref) for ref in missing))
            confirmed.update(missing)
        raise StaleError("the children keep changing")

    async def _object_to_service(self, model: ModelObject) -> str:
        """Why the Service that an autoscaler is to ask is never followed."""
        namespace = model.meta.namespace
        address = model.spec.scaling.prometheus_url if model.spec else ""
        own = address and names_own_service(address, namespace, self._cache.addresses)
        service = find_service(split_address(address)[0], namespace) if own else None
        if self._reach is None or service is None:
            return ""
        return await self._reach.find_objection(*service)

    def _observe(self, key: Key, model: ModelObject, objection: str = "") -> Observed:
        found, said = self._measurements.result(key), self._inspector.said(key)
        observed = self._cache.observe(model, found, self.failures(key), said, objection)
        memory = self._memories.get(key)
        if memory is None:
            return observed
        return replace(
            observed,
            placed=frozenset(memory.placed.items()),
            answered=frozenset(memory.answered),
            accepted=frozenset(memory.accepted.values()),
        )

    async def _report(self, key: Key, model: ModelObject, plan: Plan) -> ModelObject:
        """Write status; the object as it is afterwards."""
        if plan.status is None:
            return model
        try:
            raw = await self._client.patch_status(
                MODEL_DEPLOYMENTS,
                *key,
                plan.status,
                resource_version=model.meta.resource_version,
                manager=OWNER_MANAGER,
            )
        except ConflictError as error:
            await self._refresh(key)
            raise StaleError("the object changed meanwhile") from error
        except NotFoundError as error:
            self._cache.models.drop(*key)
            raise StaleError("the object is gone") from error
        self._queue.forget(key)  # it has come further: what fails next is another matter
        written = self._take(key, raw)
        self._count_rejections(model.status, written.status)
        return written

    async def _refresh(self, key: Key) -> None:
        """Read the object itself live."""
        try:
            raw = await self._client.get(MODEL_DEPLOYMENTS, *key)
        except NotFoundError:
            self._cache.models.drop(*key)
            return
        self._take(key, raw)

    def _take(self, key: Key, raw: bytes) -> ModelObject:
        """Take an answer in, unless the watch has brought the same already."""
        known = self._cache.models.get(*key)
        if known is None or known.meta.resource_version != project_meta(raw).resource_version:
            known = self._cache.project_model(raw, known)
            self._cache.models.put(known)
        return known

    async def _apply(self, key: Key, model: ModelObject, plan: Plan) -> bool:
        """Carry out the writes in order, up to the first that fails; whether all went through."""
        memory = self._memories.setdefault(key, _Memory())
        told = set(memory.refusals)
        try:
            return await self._apply_each(key, model, plan, memory)
        finally:
            if told - set(memory.refusals):  # the plan was made with a failure that is over
                self._queue.add_in(key, RETRY.first_seconds)

    async def _apply_each(self, key: Key, model: ModelObject, plan: Plan, memory: _Memory) -> bool:
        self._forget_abandoned(memory, plan)
        if model.status.routes is not None and model.status.routes.written:
            memory.placed.clear()
        memory.answered -= _list_noted(model, memory)
        for write in plan.writes:
            if self._is_held_off(memory, write) or self._is_contested(key, model, write):
                return False
            try:
                created = await self._writer.write(model, write)
            except CanariumError as error:
                await self._handle(key, memory, write, error)
                return False
            except Exception as error:  # noqa: BLE001 - it is this write that cannot be made
                words = self._boundary.note("Planning", "/".join(key), error)
                self._refuse(key, memory, write, RefusedError("InternalError", words))
                return False
            self._note_outcome(write)
            memory.refusals.pop(write.ref, None)
            _note_placed(memory, write)
            _note_answered(memory, write, created)
            self._note_accepted(memory, key, write)
        if not (memory.refusals or memory.placed or memory.answered or memory.accepted):
            del self._memories[key]
        return True

    def _note_accepted(self, memory: _Memory, key: Key, write: Write) -> None:
        """Remember what the apiserver made of a template that it doesn't store as we wrote it."""
        if not isinstance(write, Apply | Create) or "template" not in write.body["spec"]:
            return
        stored = self._cache.deployments.get(key[0], write.ref.name)
        if write.ref.kind != "Deployment" or stored is None:
            return
        memory.accepted.pop(write.ref, None)
        if not contains(stored.template, json.dumps(write.body["spec"]["template"])):
            memory.accepted[write.ref] = stored.meta.uid, fingerprint(stored.template)

    def failures(self, key: Key) -> tuple[WriteFailure, ...]:
        """The writes for an object that were refused when they were last tried."""
        memory = self._memories.get(key)
        return memory.failures() if memory else ()

    def _forget_abandoned(self, memory: _Memory, plan: Plan) -> None:
        wanted = {write.ref for write in plan.writes}
        memory.refusals = {ref: item for ref, item in memory.refusals.items() if ref in wanted}

    def _is_held_off(self, memory: _Memory, write: Write) -> bool:
        refusal = memory.refusals.get(write.ref)
        return refusal is not None and self._now() < refusal.retry_at

    def _is_contested(self, key: Key, model: ModelObject, write: Write) -> bool:
        """Whether a child was written so often lately that this has to wait.

        Routes have pauses of their own (`rollout.situation.contest`); this is for all kinds, and
        whatever else may be wrong.
        """
        child = f"{write.ref.kind} {write.ref.name}"
        wait = self._brake.spend(key, Cause.CHILD, child) if isinstance(write, Apply) else 0.0
        if not wait:
            return False
        self._queue.add_in(key, wait)
        if self._brake.is_news(key, child):
            event = _tell_contest(child)
            logger.warning("%s", event.message, extra={"object": "/".join(key)})
            self._recorder.record(model.meta, event)
        return True

    async def _handle(self, key: Key, memory: _Memory, write: Write, error: CanariumError) -> None:
        """What a refused write means: the cache was behind, or the core has to know."""
        if isinstance(error, StaleError):
            raise error
        if is_stale(error) or isinstance(error, NotFoundError):
            await self._writer.refresh(key[0], write.ref)
        if is_stale(error):
            raise StaleError(str(error)) from error
        self._refuse(key, memory, write, error)

    def _refuse(self, key: Key, memory: _Memory, write: Write, error: CanariumError) -> None:
        reason, message = _explain(error)
        before = memory.refusals.get(write.ref)
        count = before.count + 1 if before else 1
        backoff = WAIT_FOR_DELETION if reason == "WaitingForDeletion" else RETRY
        failure = WriteFailure(write.ref.kind, write.ref.name, reason, message)
        retry_at = self._now() + max(backoff.compute(count), _asked_to_wait(error))
        memory.refusals[write.ref] = _Refusal(failure, count, retry_at)
        if before is None or before.failure != failure:
            self._metrics.write_failures.labels(write.ref.kind, reason).inc()
            _log_refusal(key, failure)
            self._queue.add(key)

    def _wake_later(self, key: Key, plan: Plan) -> None:
        """Ask for the next pass at the earliest time that somebody wants one."""
        memory = self._memories.get(key)
        times = [refusal.retry_at for refusal in memory.refusals.values()] if memory else []
        if plan.wake_at is not None:
            times.append(plan.wake_at)
        if times:
            self._queue.add_in(key, min(times) - self._now())

    def _release(self, key: Key) -> None:
        """Forget an object that is gone or going: nothing is written for it any more."""
        self._measurements.ensure(key, None)
        self._inspector.ensure(key, None)
        self._memories.pop(key, None)
        self._brake.forget(key)
        self._queue.prefer(key, urgent=False)
        self._queue.forget(key)

    def _note_outcome(self, write: Write) -> None:
        if not isinstance(write, RecordOutcome):
            return
        outcome = write.status.get("outcome")
        # Stable again, because the one after it was taken back in its guard, is no rollout's end.
        if outcome and (outcome != "Stable" or "stableAt" in write.status):
            self._metrics.rollouts.labels(outcome).inc()

    def _count_rejections(self, before: Status, after: Status) -> None:
        for rejection in set(after.rejected) - set(before.rejected):
            self._metrics.rollbacks.labels(rejection.reason).inc()


def _note_placed(memory: _Memory, write: Write) -> None:
    """Remember of a route what the apiserver has taken."""
    if isinstance(write, Apply | Create) and write.ref.kind in PLACED:
        text = json.dumps(write.body["spec"], separators=(",", ":"))
        memory.placed[write.ref] = digest(text)


def _list_noted(model: ModelObject, memory: _Memory) -> set[str]:
    """The uids that status has, or does without: by CRDs of before, it keeps no account."""
    made = model.status.made
    return memory.answered if made is None else set(made.values())


def _note_answered(memory: _Memory, write: Write, uid: str) -> None:
    """Remember what was created, of the kinds that are believed by their uid alone."""
    if isinstance(write, Create) and write.ref.kind in CHOOSING:
        memory.answered.add(uid)


def _tell_contest(child: str) -> Event:
    words = f"{child} is changed again and again by somebody else; it is put right once a second"
    return Event("Warning", "ChildContested", "Wait", f"{words}: have it left alone")


def _log_events(key: Key, plan: Plan, before: Status, after: Status) -> None:
    """One line for each decision, in the event's own words; other changes are for debugging."""
    about: dict[str, Any] = {"object": "/".join(key), **_position(after)}
    for event in plan.events:
        fault = event.type == "Warning" and event.action in IN_THE_WAY
        told = {"revision": event.revision, "version": event.version, "action": event.action}
        level = logging.WARNING if fault else logging.INFO
        logger.log(level, "%s", event.message, extra={**about, **told, "reason": event.reason})
    if not plan.events and _position(before) != _position(after):
        logger.debug("%s", _describe(after), extra=about)


def _log_refusal(key: Key, failure: WriteFailure) -> None:
    """Of most kinds the next pass makes a line of it, since status will tell; of these it won't."""
    level = logging.WARNING if failure.kind in SIZING_KINDS else logging.DEBUG
    about = {"object": "/".join(key), "reason": failure.reason}
    logger.log(level, "%s %s: %s", failure.kind, failure.name, failure.message, extra=about)


def _log_pass(key: Key, plan: Plan) -> None:
    if logger.isEnabledFor(logging.DEBUG):
        words = ("status", *(f"{type(write).__name__} {write.ref.kind}" for write in plan.writes))
        said = ", ".join(words if plan.status is not None else words[1:]) or "nothing"
        logger.debug("a pass writes %s", said, extra={"object": "/".join(key)})


def _asked_to_wait(error: Exception) -> float:
    return error.retry_after_seconds if isinstance(error, UnavailableError) else 0.0


def _explain(error: CanariumError) -> tuple[str, str]:
    if isinstance(error, RefusedError):
        return error.reason, str(error)
    return explain(error)


def _position(status: Status) -> dict[str, str | int | None]:
    rollout = status.rollout
    return {
        "phase": status.phase,
        "state": rollout.state if rollout else None,
        "step": rollout.step if rollout else None,
        "reason": status.reason,
    }


def _describe(status: Status) -> str:
    return status.message or status.reason or str(status.phase)
