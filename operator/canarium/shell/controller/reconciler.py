"""Observe, plan, apply: one pass over one object. What to do is its tenant's business.

The order is what makes it safe to be killed at any instant: live reads, then the intent in status
(only if nobody wrote since), then the children, then events.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Generic

from canarium.core.observed import WriteFailure
from canarium.core.plan import OWNER_MANAGER, Apply, Event, Plan, Ref, Write
from canarium.errors import CanariumError, ConflictError, NotFoundError, describe_bug
from canarium.kube.boundary import Boundary
from canarium.kube.client import Client
from canarium.kube.informers.projections.meta import project_meta
from canarium.kube.queues.keys import ObjectKey
from canarium.kube.queues.workqueue import WorkQueue
from canarium.kube.refusals import is_stale
from canarium.kube.writer import RefusedError, StaleError, Writer
from canarium.shell.brake import Brake, Cause
from canarium.shell.controller.logs import log_events, log_pass, log_refusal, logger
from canarium.shell.controller.memory import RETRY, Memory, asked_to_wait
from canarium.shell.controller.tenant import O, R, Tenant
from canarium.telemetry.metrics import Metrics

BRAKED = Event(
    "Warning",
    "StatusChangesTooOften",
    "Wait",
    "what is decided changes many times a second; from now on it is written more rarely, commands"
    " and rollbacks first. Unless somebody else writes in a loop, this is a bug: report it",
)
CONFIRM_ROUNDS = 4
"Each round of live reads can bring up another wish; then the pass begins anew."


class Reconciler(Generic[R, O]):
    """Makes passes over the objects of one kind."""

    def __init__(
        self,
        tenant: Tenant[R, O],
        *,
        client: Client,
        queue: WorkQueue[ObjectKey],
        brake: Brake,
        boundary: Boundary,
        metrics: Metrics,
        now: Callable[[], float],
    ) -> None:
        self._tenant = tenant
        self._client = client
        self._queue = queue
        self._brake = brake
        self._boundary = boundary
        self._metrics = metrics
        self._now = now
        self._writer = Writer(client, tenant.children, tenant.resource.kind)
        self._memories: dict[ObjectKey, Memory] = {}

    async def attempt(self, key: ObjectKey) -> None:
        """One pass; whatever goes wrong ends in another one after a while."""
        try:
            await self.reconcile(key)
        except StaleError:
            self._queue.retry(key)
        except CanariumError as error:
            delay = self._note_error(key, error)
            extra = {"object": self._name(key)}
            logger.warning("%s; again in %.1f s", error, delay, extra=extra)
        except Exception as error:  # noqa: BLE001 - a bug with one object must not stop the others
            self._note_error(key, error)
            await self._report_bug(key, error)
        else:
            self._boundary.clear(self._tenant.part, self._name(key))

    def failures(self, key: ObjectKey) -> tuple[WriteFailure, ...]:
        """The writes for an object that were refused when they were last tried."""
        memory = self._memories.get(key)
        return memory.failures() if memory else ()

    def _name(self, key: ObjectKey) -> str:
        """What the object is called in the log."""
        own = "/".join(key.own)
        return f"{key.kind} {own}" if self._tenant.names_kind else own

    def _note_error(self, key: ObjectKey, error: Exception) -> float:
        """Count it and have the object looked at again; in how many seconds."""
        self._metrics.reconcile_errors.inc()
        return self._queue.retry(key, asked_to_wait(error))

    async def _report_bug(self, key: ObjectKey, error: Exception) -> None:
        """Have the object itself say what its pass came to; written only when that is news."""
        words = self._boundary.note(self._tenant.part, self._name(key), error)
        record = self._tenant.store.get(*key.own)
        if record is None:
            return
        try:
            status = self._tenant.report(record, words, self._now())
            await self._report(key, record, Plan(status=status))
        except Exception as failure:  # noqa: BLE001 - it is in the log, and is tried again
            logger.info("%s was not told: %s", words, describe_bug(failure))

    async def reconcile(self, key: ObjectKey) -> None:
        """One pass over one object.

        Raises `StaleError` when it has to be made again at once, and what the client raises when
        status cannot be written.
        """
        tenant, about = self._tenant, self._name(key)
        before = tenant.store.get(*key.own)
        if before is None or before.meta.deleting:
            self._release(key)
            return
        plan = await self._decide(key, before)
        if self._is_braked(key, before, plan):
            return
        record = await self._report(key, before, plan)
        log_pass(about, plan)
        log_events(about, plan, tenant.position(before), tenant.position(record))
        if record.meta.deleting:
            return
        self._queue.prefer(key, plan.urgent)
        tenant.follow(record, plan)
        try:
            clean = await self._apply(key, record, plan)
        finally:
            for event in plan.events:
                tenant.tell(record, event)
        self._wake_later(key, plan)
        if clean:
            self._queue.forget(key)

    def _is_braked(self, key: ObjectKey, record: R, plan: Plan) -> bool:
        """Whether status changed so often lately that this has to wait: it is planned again then.

        Nothing is carried out either, since the intent goes first.
        """
        if plan.status is None:
            return False
        cause = self._tenant.find_cause(record, plan)
        wait = self._brake.spend(key, cause)
        if not wait:
            return False
        self._queue.add_in(key, wait)
        if cause is Cause.PACED:  # its status is written now and then by design: nothing is amiss
            return True
        self._metrics.status_writes_delayed.inc()
        if self._brake.is_news(key):
            logger.warning("%s", BRAKED.message, extra={"object": self._name(key)})
            self._tenant.tell(record, BRAKED)
        return True

    async def _decide(self, key: ObjectKey, record: R) -> Plan:
        """Plan; what the plan wants confirmed is read live, and then it is made once more."""
        await self._tenant.prepare(record)
        now, confirmed = self._now(), set[Ref]()
        for _ in range(CONFIRM_ROUNDS):
            plan = self._tenant.plan(self._tenant.observe(record, self.failures(key)), now)
            missing = [ref for ref in plan.confirm if ref not in confirmed]
            if not missing:
                return plan
            await asyncio.gather(*(self._writer.refresh(key.namespace, ref) for ref in missing))
            confirmed.update(missing)
        raise StaleError("the children keep changing")

    async def _report(self, key: ObjectKey, record: R, plan: Plan) -> R:
        """Write status; the object as it is afterwards."""
        if plan.status is None:
            return record
        try:
            raw = await self._client.patch_status(
                self._tenant.resource,
                key.namespace or None,
                key.name,
                plan.status,
                resource_version=record.meta.resource_version,
                manager=OWNER_MANAGER,
            )
        except ConflictError as error:
            await self._refresh(key)
            raise StaleError("the object changed meanwhile") from error
        except NotFoundError as error:
            self._drop(key)
            raise StaleError("the object is gone") from error
        self._queue.forget(key)  # it has come further: what fails next is another matter
        written = self._take(key, raw)
        self._tenant.reported(record, written)
        return written

    async def _refresh(self, key: ObjectKey) -> None:
        """Read the object itself live."""
        if not self._tenant.reads_live:
            return
        try:
            raw = await self._client.get(self._tenant.resource, key.namespace or None, key.name)
        except NotFoundError:
            self._drop(key)
            return
        self._take(key, raw)

    def _drop(self, key: ObjectKey) -> None:
        """Take it for gone; of a kind that is only watched, 404 may be about its status alone."""
        if self._tenant.reads_live:
            self._tenant.store.drop(*key.own)

    def _take(self, key: ObjectKey, raw: bytes) -> R:
        """Take an answer in, unless the watch has brought the same already."""
        known = self._tenant.store.get(*key.own)
        if known is None and not self._tenant.reads_live:
            # Its end came by the watch meanwhile, and nothing else would take it away again.
            return self._tenant.project(raw, None)
        if known is None or known.meta.resource_version != project_meta(raw).resource_version:
            known = self._tenant.project(raw, known)
            self._tenant.store.put(known)
        return known

    async def _apply(self, key: ObjectKey, record: R, plan: Plan) -> bool:
        """Carry out the writes in order, up to the first that fails; whether all went through."""
        memory = self._memories.setdefault(key, Memory())
        told = set(memory.refusals)
        try:
            return await self._apply_each(key, record, plan, memory)
        finally:
            if told - set(memory.refusals):  # the plan was made with a failure that is over
                self._queue.add_in(key, RETRY.first_seconds)

    async def _apply_each(self, key: ObjectKey, record: R, plan: Plan, memory: Memory) -> bool:
        memory.forget_abandoned(plan)
        for write in plan.writes:
            held_off = memory.is_held_off(write.ref, self._now())
            if held_off or self._is_contested(key, record, write):
                return False
            try:
                created = await self._writer.write(record, write)
            except CanariumError as error:
                await self._handle(key, memory, write, error)
                return False
            except Exception as error:  # noqa: BLE001 - it is this write that cannot be made
                words = self._boundary.note(self._tenant.part, self._name(key), error)
                self._refuse(key, memory, write, RefusedError("InternalError", words))
                return False
            memory.refusals.pop(write.ref, None)
            self._tenant.wrote(record, write, created)
        if not memory.refusals:
            del self._memories[key]
        return True

    def _is_contested(self, key: ObjectKey, record: R, write: Write) -> bool:
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
            logger.warning("%s", event.message, extra={"object": self._name(key)})
            self._tenant.tell(record, event)
        return True

    async def _handle(
        self, key: ObjectKey, memory: Memory, write: Write, error: CanariumError
    ) -> None:
        """What a refused write means: the cache was behind, or the core has to know."""
        if isinstance(error, StaleError):
            raise error
        if is_stale(error) or isinstance(error, NotFoundError):
            await self._writer.refresh(key.namespace, write.ref)
        if is_stale(error):
            raise StaleError(str(error)) from error
        self._refuse(key, memory, write, error)

    def _refuse(self, key: ObjectKey, memory: Memory, write: Write, error: CanariumError) -> None:
        news = memory.refuse(write.ref, error, self._now())
        if news is not None:
            self._metrics.write_failures.labels(news.kind, news.reason).inc()
            log_refusal(self._name(key), news)
            self._queue.add(key)

    def _wake_later(self, key: ObjectKey, plan: Plan) -> None:
        """Ask for the next pass at the earliest time that somebody wants one."""
        memory = self._memories.get(key)
        times = memory.moments() if memory else []
        if plan.wake_at is not None:
            times.append(plan.wake_at)
        if times:
            self._queue.add_in(key, min(times) - self._now())

    def _release(self, key: ObjectKey) -> None:
        """Forget an object that is gone or going: nothing is written for it any more."""
        self._tenant.release(key.own)
        self._memories.pop(key, None)
        self._brake.forget(key)
        self._queue.prefer(key, urgent=False)
        self._queue.forget(key)


def _tell_contest(child: str) -> Event:
    words = f"{child} is changed again and again by somebody else; it is put right once a second"
    return Event("Warning", "ChildContested", "Wait", f"{words}: have it left alone")
