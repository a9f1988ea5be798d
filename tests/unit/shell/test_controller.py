import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from canarium.core.observed import AnalysisResult, Meta, Observed, WriteFailure
from canarium.core.plan import (
    CAPACITY_MANAGER,
    Apply,
    Create,
    Delete,
    Event,
    Measure,
    Plan,
    RecordOutcome,
    Ref,
)
from canarium.errors import ApiError, UnavailableError
from canarium.kube.informers.cache import Cache
from canarium.kube.informers.projections.models import project_model
from canarium.kube.informers.projections.services import project_service
from canarium.kube.informers.store import Key
from canarium.kube.queues.keys import KindQueue, ObjectKey
from canarium.kube.queues.workqueue import WorkQueue
from canarium.resources.diff import fingerprint
from canarium.shell.controller import Controller
from canarium.shell.controller.reconciler import Reconciler
from canarium.shell.tenants.models import ModelTenant

from tests.unit.kube.clock import VirtualClock
from tests.unit.kube.fake import FakeClient
from tests.unit.kube.wire import Json, dump, make_model, make_object, make_service, owned_by

FRAUD = ("risk", "fraud")
MODEL = ObjectKey("risk", "fraud", "ModelDeployment")
SERVICE = Ref("Service", "fraud")
DEPLOYMENT = Ref("Deployment", "fraud-5d8f7c9b64")
ROUTE = Ref("HTTPRoute", "fraud")
REVISION = Ref("ModelRevision", "fraud-5d8f7c9b64")
QUOTA = ApiError(403, "Forbidden", "exceeded quota: pods")
HEALTHY = {"phase": "Healthy", "reason": "Serving"}
SHIFTED = Event("Normal", "Shifted", "Shift", "five percent")


class Recorded(list[Event]):
    def record(self, meta: Meta, event: Event) -> None:
        self.append(event)


@dataclass
class Measured:
    wanted: list[Measure | None] = field(default_factory=list)
    found: AnalysisResult | None = None

    def ensure(self, key: Key, measure: Measure | None) -> None:
        self.wanted.append(measure)

    def result(self, key: Key) -> AnalysisResult | None:
        return self.found


class Planner:
    """Answers with one plan after the other, the last one again and again; keeps what it saw."""

    def __init__(self, *plans: Plan | Callable[[Observed], Plan]) -> None:
        self._plans = list(plans)
        self.seen: list[Observed] = []

    def __call__(self, observed: Observed, now: float) -> Plan:
        self.seen.append(observed)
        plan = self._plans.pop(0) if len(self._plans) > 1 else self._plans[0]
        return plan(observed) if callable(plan) else plan


class Shell:
    """A controller with everything around it in memory."""

    def __init__(self, *plans: Plan | Callable[[Observed], Plan], objects: tuple[Json, ...] = ()):
        self.clock = VirtualClock()
        self.client = FakeClient()
        self.client.add(make_model(), *objects)
        self.queue: WorkQueue[ObjectKey] = WorkQueue(self.clock)
        due = KindQueue(self.queue, "ModelDeployment")
        self.cache = Cache(due.add, due.add_soon, due.add_first)
        self.plan = Planner(*plans)
        self.events = Recorded()
        self.measured = Measured()
        self.models = ModelTenant(
            plan=self.plan,
            cache=self.cache,
            recorder=self.events,
            measurements=self.measured,
        )
        self.controller = Controller(
            [self.models],
            client=self.client,
            queue=self.queue,
            boundary=self.cache.boundary,
            now=self.clock.time,
        )
        self.cache.models.put(project_model(make_model()))

    def remembers(self) -> bool:
        """Whether anything is kept of an object between passes."""
        reconciler: Reconciler[Any, Any] = self.controller._reconcilers["ModelDeployment"]
        return bool(reconciler._memories or self.models._answers)

    async def work(self) -> list[str]:
        """Take one key and make a pass, as a worker does; the requests that it cost."""
        before = len(self.client.requests)
        key = await self.queue.get()
        await self.controller.attempt(key)
        self.queue.done(key)
        return self.client.requests[before:]

    async def run(self) -> list[str]:
        """Work until nothing is due now."""
        before = len(self.client.requests)
        while self.queue.depth:
            await self.work()
        return self.client.requests[before:]


def create(ref: Ref = SERVICE) -> Create:
    content: Json = {"template": {}} if ref.kind == "Deployment" else {}
    body = make_object(ref.kind, ref.name, metadata={"ownerReferences": owned_by()}, spec=content)
    del body["metadata"]["resourceVersion"]
    return Create(ref, body)


def apply(version: str = "1", **options: Any) -> Apply:
    body = make_service()
    del body["metadata"]["resourceVersion"]
    return Apply(SERVICE, body, version, **options)


async def test_status_goes_before_children_and_events_come_last() -> None:
    shell = Shell(Plan(status=HEALTHY, writes=(create(),), events=(SHIFTED,)), Plan())
    assert await shell.work() == [
        "status ModelDeployment fraud",
        "create Service fraud",
    ]
    assert shell.events == [SHIFTED]


def note(uids: frozenset[str]) -> Plan:
    """What the core makes of the answers to creates: it notes them in status."""
    return Plan(status={**HEALTHY, "made": {f"Deployment/{uid}": uid for uid in uids}})


async def test_what_the_apiserver_created_for_us_is_told_to_the_core_until_status_has_it() -> None:
    shell = Shell(
        Plan(status={**HEALTHY, "made": {}}, writes=(create(DEPLOYMENT),)),
        lambda observed: note(observed.answered),
        Plan(),
    )
    await shell.run()
    (uid,) = shell.plan.seen[1].answered
    assert uid == shell.client.objects["Deployment", DEPLOYMENT.name]["metadata"]["uid"]
    model = shell.cache.models.get(*FRAUD)
    assert model is not None
    assert model.status.made == {f"Deployment/{uid}": uid}
    shell.queue.add(MODEL)
    await shell.run()
    assert shell.plan.seen[-1].answered == frozenset()
    assert not shell.remembers()


async def test_an_operator_that_is_started_anew_knows_nothing_of_what_it_did_not_note() -> None:
    """Else whoever makes an object at the right moment would have it taken for ours."""
    shell = Shell(Plan(status={**HEALTHY, "made": {}}, writes=(create(DEPLOYMENT),)), Plan())
    await shell.work()
    again = Shell(Plan())
    again.client.objects.update(shell.client.objects)
    await again.run()
    assert again.plan.seen[0].answered == frozenset()


async def test_what_the_apiserver_made_of_a_template_is_told_to_the_core() -> None:
    """A webhook has changed what we wrote: the answer to our write says to what."""
    wanted = create(DEPLOYMENT)
    plain: Json = {"spec": {"containers": [{"name": "server", "image": "a"}]}}
    mirrored: Json = {"spec": {"containers": [{"name": "server", "image": "mirror/a"}]}}
    body = {**wanted.body, "spec": {"template": plain}}
    shell = Shell(Plan(writes=(Create(DEPLOYMENT, body),)), Plan())
    create_as_is = shell.client.create

    async def change(resource: Any, namespace: Any, body: Any, manager: str) -> bytes:
        changed = {**body, "spec": {"template": mirrored}}
        return await create_as_is(resource, namespace, changed, manager)

    shell.client.create = change  # type: ignore[method-assign]
    await shell.run()
    shell.queue.add(MODEL)
    await shell.run()
    uid = shell.client.objects["Deployment", DEPLOYMENT.name]["metadata"]["uid"]
    stored = fingerprint(dump(mirrored))
    assert shell.plan.seen[-1].accepted == {(uid, stored)}


async def test_what_status_cannot_hold_is_not_remembered_for_ever() -> None:
    """By CRDs of before the apiserver drops the field: then no account is kept."""
    shell = Shell(Plan(status=HEALTHY, writes=(create(DEPLOYMENT),)), Plan())
    await shell.run()
    shell.queue.add(MODEL)
    await shell.run()
    assert not shell.remembers()


async def test_a_planner_that_changes_its_mind_in_every_pass_is_braked_and_told_of() -> None:
    shell = Shell()
    minds = itertools.count()
    shell.models._plan = lambda _observed, now: Plan(
        status={"phase": "Healthy", "reason": f"Mind{next(minds)}"}, wake_at=now
    )
    shell.queue.add(MODEL)
    end, requests = shell.clock.time() + 60.0, 0
    while shell.clock.time() < end:
        requests += len(await shell.run())
        shell.clock.advance(0.02)
    assert 30 + 3 * 55 <= requests <= 30 + 3 * 62
    told = [event for event in shell.events if event.reason == "StatusChangesTooOften"]
    assert [event.type for event in told] == ["Warning"]


async def test_an_event_is_sent_when_what_it_tells_of_is_done() -> None:
    shell = Shell(Plan(writes=(create(),), events=(SHIFTED,)), Plan())
    done: list[list[str]] = []

    def record(meta: Meta, event: Event) -> None:
        done.append(list(shell.client.requests))

    shell.events.record = record  # type: ignore[method-assign]
    await shell.run()
    assert done == [["create Service fraud"]]


async def test_a_pass_that_changes_something_is_followed_by_another_that_sees_it() -> None:
    shell = Shell(Plan(status=HEALTHY, writes=(create(),)), Plan())
    await shell.run()
    assert shell.plan.seen[-1].model.status.phase == "Healthy"
    assert [service.meta.name for service in shell.plan.seen[-1].services] == ["fraud"]


async def test_an_object_at_rest_costs_no_request_and_wakes_nobody() -> None:
    shell = Shell(Plan())
    assert await shell.run() == []
    shell.clock.advance(1e6)
    assert shell.queue.depth == 0


async def test_a_status_written_over_somebody_elses_change_is_planned_again_from_it() -> None:
    shell = Shell(Plan(status=HEALTHY, writes=(create(),), events=(SHIFTED,)), Plan())
    shell.client.add(make_model(version=5, generation=2))
    assert await shell.work() == ["status ModelDeployment fraud", "get ModelDeployment fraud"]
    assert shell.events == []
    await shell.run()
    assert shell.plan.seen[-1].model.meta.generation == 2


async def test_an_object_that_is_gone_meanwhile_is_forgotten() -> None:
    shell = Shell(Plan(status=HEALTHY, writes=(create(),)))
    shell.client.objects.clear()
    assert await shell.work() == ["status ModelDeployment fraud"]
    assert await shell.run() == []
    assert shell.measured.wanted[-1] is None


async def test_nothing_is_planned_or_written_for_an_object_that_is_being_deleted() -> None:
    shell = Shell(Plan(status=HEALTHY, writes=(create(),)))
    deleted = {"deletionTimestamp": "2025-01-01T00:00:00Z"}
    shell.cache.models.put(project_model(make_model(version=2, metadata=deleted)))
    assert await shell.run() == []
    assert (shell.plan.seen, shell.measured.wanted) == ([], [None])


async def test_no_child_is_written_when_the_status_write_reveals_a_deletion() -> None:
    shell = Shell(Plan(status=HEALTHY, writes=(create(),)))
    deleted = {"deletionTimestamp": "2025-01-01T00:00:00Z"}
    shell.client.add(make_model(metadata=deleted))
    assert await shell.work() == ["status ModelDeployment fraud"]


async def test_what_a_plan_wants_confirmed_is_read_live_before_it_is_carried_out() -> None:
    def decide(observed: Observed) -> Plan:
        version = observed.services[0].meta.resource_version
        return Plan(writes=(apply(version),), confirm=(SERVICE,))

    shell = Shell(decide, decide, Plan(), objects=(make_service(version=9),))
    shell.cache.services.put(project_service(dump(make_service(version=1))))
    assert await shell.work() == ["get Service fraud", "force Service fraud"]


async def test_a_plan_that_changes_its_mind_after_the_live_read_has_its_new_way() -> None:
    def decide(observed: Observed) -> Plan:
        if observed.services:
            return Plan(status=HEALTHY, confirm=(SERVICE,))
        return Plan(writes=(create(REVISION),))

    shell = Shell(decide)
    shell.cache.services.put(project_service(dump(make_service())))
    assert await shell.work() == ["get Service fraud", "create ModelRevision fraud-5d8f7c9b64"]


async def test_replicas_are_applied_by_their_own_manager_over_the_version_decided_on() -> None:
    shell = Shell(Plan(writes=(apply(manager=CAPACITY_MANAGER),)), Plan())
    shell.client.add(make_service(version=2))
    assert await shell.work() == ["force Service fraud", "get Service fraud"]
    assert shell.cache.services.of(FRAUD)[0].meta.resource_version == "2"
    shell.clock.advance(1.0)
    assert await shell.run() == []
    assert shell.plan.seen[-1].failures == ()


async def test_a_foreign_object_under_our_name_is_never_touched() -> None:
    foreign = make_service(ownerReferences=[], labels={})
    shell = Shell(Plan(writes=(create(),)), objects=(foreign,))
    assert await shell.run() == ["create Service fraud", "get Service fraud"]
    assert shell.client.objects["Service", "fraud"] is foreign
    (failure,) = shell.plan.seen[-1].failures
    assert (failure.reason, "left alone" in failure.message) == ("NameConflict", True)


async def test_children_of_an_earlier_object_of_the_same_name_are_waited_for() -> None:
    shell = Shell(
        Plan(writes=(create(),)), objects=(make_service(ownerReferences=owned_by("dead")),)
    )
    assert await shell.run() == ["create Service fraud", "get Service fraud"]
    assert shell.plan.seen[-1].failures[0].reason == "WaitingForDeletion"
    del shell.client.objects["Service", "fraud"]
    shell.clock.advance(2.0)
    assert (await shell.run())[:1] == ["create Service fraud"]


async def test_a_revision_under_our_name_that_is_not_ours_is_found_by_creating_it() -> None:
    foreign = make_object("ModelRevision", REVISION.name)
    shell = Shell(Plan(writes=(create(REVISION),)), objects=(foreign,))
    assert await shell.run() == [
        "create ModelRevision fraud-5d8f7c9b64",
        "get ModelRevision fraud-5d8f7c9b64",
    ]
    assert shell.plan.seen[-1].failures[0].reason == "NameConflict"


async def test_a_child_of_ours_that_the_cache_had_missed_is_taken_in_and_not_written() -> None:
    shell = Shell(Plan(writes=(create(),)), Plan(), objects=(make_service(),))
    assert await shell.work() == ["create Service fraud", "get Service fraud", "get Service fraud"]
    await shell.run()
    assert [service.meta.name for service in shell.plan.seen[-1].services] == ["fraud"]


async def test_a_child_of_ours_that_lost_its_label_gets_it_back() -> None:
    shell = Shell(Plan(writes=(create(),)), Plan(), objects=(make_service(labels={}),))
    assert await shell.work() == [
        "create Service fraud",
        "get Service fraud",
        "force Service fraud",
    ]


async def test_a_route_is_looked_up_and_applied_so_that_fields_can_be_taken_away_again() -> None:
    shell = Shell(Plan(writes=(create(ROUTE),)), Plan())
    assert await shell.work() == ["get HTTPRoute fraud", "apply HTTPRoute fraud"]


async def test_a_foreign_route_under_our_name_is_never_touched() -> None:
    foreign = make_object("HTTPRoute", "fraud")
    shell = Shell(Plan(writes=(create(ROUTE),)), objects=(foreign,))
    assert await shell.run() == ["get HTTPRoute fraud"]
    assert shell.client.objects["HTTPRoute", "fraud"] is foreign
    assert shell.plan.seen[-1].failures[0].reason == "NameConflict"


async def test_a_refused_write_stops_the_pass_and_the_core_hears_why() -> None:
    shell = Shell(Plan(writes=(create(), create(DEPLOYMENT)), events=(SHIFTED,)))
    shell.client.refuse("create Service fraud", *[QUOTA] * 9)
    assert await shell.run() == ["create Service fraud"]
    assert shell.plan.seen[-1].failures == (
        WriteFailure("Service", "fraud", "QuotaExceeded", "exceeded quota: pods"),
    )


async def test_news_make_no_retry_storm_of_a_refused_write() -> None:
    shell = Shell(Plan(writes=(create(),)))
    shell.client.refuse("create Service fraud", *[QUOTA] * 99)
    await shell.run()
    for _ in range(20):
        shell.queue.add(MODEL)
        assert await shell.run() == []


async def test_a_refused_write_is_tried_again_ever_more_rarely() -> None:
    shell = Shell(Plan(writes=(create(),)))
    shell.client.refuse("create Service fraud", *[QUOTA] * 999)
    await shell.run()
    for _ in range(3600):
        shell.clock.advance(1.0)
        await shell.run()
    tries = shell.client.requests.count("create Service fraud")
    assert 60 <= tries <= 140


async def test_a_write_that_goes_through_at_last_is_no_failure_any_more() -> None:
    shell = Shell(Plan(writes=(create(),)), Plan(writes=(create(),)), Plan(writes=(apply("100"),)))
    shell.client.refuse("create Service fraud", QUOTA)
    await shell.run()
    shell.clock.advance(1.0)
    await shell.work()
    shell.plan._plans = [Plan()]
    await shell.run()
    assert shell.plan.seen[-1].failures == ()


async def test_a_failure_of_a_write_that_nobody_wants_any_more_is_forgotten_by_all() -> None:
    shell = Shell(Plan(writes=(create(),)), Plan(), Plan())
    shell.client.refuse("create Service fraud", QUOTA)
    await shell.run()
    shell.clock.advance(1.0)
    await shell.run()
    assert [seen.failures for seen in shell.plan.seen][-1] == ()


async def test_an_unreachable_apiserver_is_retried_with_backoff() -> None:
    shell = Shell(Plan(status=HEALTHY), Plan(status=HEALTHY), Plan())
    shell.client.refuse("status ModelDeployment fraud", UnavailableError("no route"))
    assert await shell.run() == ["status ModelDeployment fraud"]
    shell.clock.advance(0.2)
    assert await shell.run() == ["status ModelDeployment fraud"]


async def test_what_the_apiserver_asks_for_is_waited() -> None:
    shell = Shell(Plan(status=HEALTHY), Plan(status=HEALTHY), Plan())
    shell.client.refuse("status ModelDeployment fraud", UnavailableError("429", 5.0))
    await shell.run()
    shell.clock.advance(4.9)
    assert await shell.run() == []
    shell.clock.advance(0.2)
    assert await shell.run() == ["status ModelDeployment fraud"]


async def test_a_status_that_was_written_ends_the_backoff() -> None:
    shell = Shell(Plan(status=HEALTHY), Plan())
    for _ in range(8):
        shell.queue.retry(MODEL)
    shell.clock.advance(60.0)
    await shell.run()
    assert shell.queue.retry(MODEL) <= 0.1


async def test_a_bug_with_one_object_is_logged_and_retried(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def explode(_observed: Observed) -> Plan:
        raise ZeroDivisionError

    shell = Shell(explode, Plan(status=HEALTHY), Plan())
    assert await shell.work() == ["status ModelDeployment fraud"]
    shell.clock.advance(0.2)
    assert await shell.run() == ["status ModelDeployment fraud"]
    assert [record.__dict__["object"] for record in caplog.records] == ["risk/fraud"]


async def test_an_object_whose_pass_breaks_says_so_itself_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def explode(_observed: Observed) -> Plan:
        raise ZeroDivisionError("\x1b[31mthe text of somebody else")

    shell = Shell(explode)
    for _ in range(20):
        await shell.run()
        shell.clock.advance(60.0)
    status = shell.cache.models.get(*FRAUD).status  # type: ignore[union-attr]
    said = {each.type: (each.status, each.reason) for each in status.conditions}
    assert said == {
        "Reconciling": ("False", "InternalError"),
        "Stalled": ("True", "InternalError"),
        "UpToDate": ("False", "InternalError"),
    }
    assert "failed on this object (ZeroDivisionError" in status.message
    assert "somebody" not in status.message
    assert shell.client.requests == ["status ModelDeployment fraud"]
    assert [record.levelname for record in caplog.records] == ["ERROR"]


async def test_what_breaks_in_one_write_is_that_writes_and_the_pass_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shell = Shell(Plan(status=HEALTHY, writes=(create(),), wake_at=60.0), Plan(writes=(create(),)))
    monkeypatch.setattr(shell.client, "create", None)
    await shell.run()
    (failure,) = shell.plan.seen[-1].failures
    assert (failure.kind, failure.reason) == ("Service", "InternalError")
    assert failure.message == "TypeError at kube/writer.py:" + failure.message.rpartition(":")[2]


async def test_a_delete_names_the_object_and_one_that_is_gone_already_is_fine() -> None:
    writes = (Delete(SERVICE, "uid-of-fraud", "1"),)
    shell = Shell(Plan(writes=writes), Plan())
    shell.cache.services.put(project_service(dump(make_service())))
    assert await shell.work() == ["delete Service fraud"]
    await shell.run()
    assert shell.plan.seen[-1].services == ()


async def test_a_changed_object_is_looked_at_before_it_is_deleted() -> None:
    writes = (Delete(SERVICE, "uid-of-fraud", "1"),)
    shell = Shell(Plan(writes=writes), Plan(), objects=(make_service(version=2),))
    shell.cache.services.put(project_service(dump(make_service())))
    assert await shell.work() == ["delete Service fraud", "get Service fraud"]
    assert ("Service", "fraud") in shell.client.objects


async def test_outcomes_are_merged_into_the_revision_and_counted() -> None:
    revision = make_object("ModelRevision", REVISION.name, spec={}, version=3)
    write = RecordOutcome(REVISION, {"outcome": "RolledBack"}, "3")
    shell = Shell(Plan(writes=(write,)), Plan(), objects=(revision,))
    assert await shell.work() == ["merge ModelRevision fraud-5d8f7c9b64"]
    assert shell.cache.revisions.get("risk", REVISION.name).outcome == "RolledBack"  # type: ignore[union-attr]


async def test_the_plan_wakes_the_object_when_it_wants() -> None:
    shell = Shell(Plan(wake_at=5.0), Plan())
    await shell.run()
    shell.clock.advance(4.9)
    assert shell.queue.depth == 0
    shell.clock.advance(0.2)
    assert shell.queue.depth == 1


async def test_measuring_follows_the_plan_and_its_result_reaches_the_next_one() -> None:
    result = AnalysisResult("step-1", "Fail")
    shell = Shell(Plan(status=HEALTHY), Plan())
    shell.measured.found = result
    await shell.run()
    assert (shell.measured.wanted, shell.plan.seen[0].analysis) == ([None, None], result)


async def test_events_are_sent_even_if_a_child_is_stale() -> None:
    shell = Shell(Plan(status=HEALTHY, writes=(apply("1"),), events=(SHIFTED,)), Plan())
    shell.client.add(make_service(version=2))
    await shell.run()
    assert shell.events == [SHIFTED]
