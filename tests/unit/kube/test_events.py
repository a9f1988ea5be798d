import asyncio
from dataclasses import replace

import pytest
from canarium.core.observed import Meta
from canarium.core.plan import Event
from canarium.errors import ApiError
from canarium.kube.events import BACKLOG, Recorder
from canarium.telemetry.metrics import Metrics

from tests.unit.kube.clock import VirtualClock
from tests.unit.kube.fake import FakeClient

META = Meta(namespace="risk", name="fraud", uid="uid-of-fraud", resource_version="7")
ROLLED_BACK = Event("Warning", "RolledBack", "Rollback", "7 answers in 100 failed")


class Stage:
    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.clock.advance(1_700_000_000)
        self.client = FakeClient()
        self.metrics = Metrics()
        self.recorder = Recorder(self.client, self.metrics, "pod-1", now=self.clock.time)

    async def send(self, *events: Event) -> None:
        for event in events:
            self.recorder.record(META, event)
            await self.recorder.send_next()

    def dropped(self) -> float | None:
        return self.metrics.registry.get_sample_value("canarium_events_dropped_total")


async def test_an_event_is_about_the_object_and_says_who_reports_it() -> None:
    stage = Stage()
    await stage.send(ROLLED_BACK)
    (event,) = stage.client.objects.values()
    name = event["metadata"]["name"]
    want = {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "eventTime": "2023-11-14T22:13:20.000000Z",
        "reportingController": "canarium.dev/operator",
        "reportingInstance": "pod-1",
        "type": "Warning",
        "reason": "RolledBack",
        "action": "Rollback",
        "note": "7 answers in 100 failed",
        "regarding": {
            "apiVersion": "canarium.dev/v1alpha1",
            "kind": "ModelDeployment",
            "namespace": "risk",
            "name": "fraud",
            "uid": "uid-of-fraud",
            "resourceVersion": "7",
        },
    }
    assert {key: event[key] for key in want} == want
    assert name.startswith("fraud.")


async def test_a_repeat_counts_the_first_one_up() -> None:
    stage = Stage()
    await stage.send(ROLLED_BACK)
    stage.clock.advance(60)
    await stage.send(ROLLED_BACK, ROLLED_BACK)
    (event,) = stage.client.objects.values()
    assert event["series"] == {"count": 3, "lastObservedTime": "2023-11-14T22:14:20.000000Z"}


async def test_the_same_after_a_while_is_an_event_of_its_own() -> None:
    stage = Stage()
    await stage.send(ROLLED_BACK)
    stage.clock.advance(361)
    await stage.send(ROLLED_BACK)
    assert len(stage.client.objects) == 2


async def test_a_repeat_of_one_that_was_deleted_is_sent_anew() -> None:
    stage = Stage()
    await stage.send(ROLLED_BACK)
    stage.client.objects.clear()
    stage.client.refuse("merge Event gone")
    stage.clock.advance(1)
    await stage.send(ROLLED_BACK)
    assert len(stage.client.objects) == 1


async def test_so_many_events_are_remembered_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("canarium.kube.events.MOST_REMEMBERED", 3)
    stage = Stage()
    for number in range(5):
        stage.clock.advance(1)
        await stage.send(replace(ROLLED_BACK, message=str(number)))
    assert [event.message for _, event in stage.recorder._sent] == ["2", "3", "4"]


async def test_an_event_that_cannot_be_sent_is_counted_and_that_is_all(
    caplog: pytest.LogCaptureFixture,
) -> None:
    stage = Stage()
    name = f"fraud.{int(stage.clock.time() * 1e9):x}"
    stage.client.refuse(f"create Event {name}", ApiError(403, "Forbidden", "no events for you"))
    await stage.send(ROLLED_BACK)
    assert (stage.dropped(), "no events for you" in caplog.text) == (1.0, True)


async def test_a_full_backlog_drops_and_never_blocks() -> None:
    stage = Stage()
    for _ in range(BACKLOG + 3):
        stage.recorder.record(META, ROLLED_BACK)
    assert stage.dropped() == 3.0


async def test_long_notes_are_cut_to_what_the_apiserver_takes() -> None:
    stage = Stage()
    await stage.send(Event("Normal", "Shifted", "Shift", "x" * 3000))
    (event,) = stage.client.objects.values()
    assert len(event["note"]) == 1024


async def test_one_namespaces_events_neither_drop_those_of_another_nor_come_before_them() -> None:
    stage = Stage()
    for number in range(BACKLOG + 200):
        flood = replace(META, namespace="a", name=f"m{number}", uid=f"uid-{number}")
        stage.recorder.record(flood, Event("Normal", "Promoted", "Promote", "stable now"))
    stage.recorder.record(META, Event("Normal", "WeightShifted", "Shift", "step 1 of 2"))
    stage.recorder.record(replace(META, name="churn"), replace(ROLLED_BACK, notice="RolledBack"))
    for _ in range(4):
        await stage.recorder.send_next()
    told = [event["regarding"]["namespace"] for event in stage.client.objects.values()]
    reasons = [event["reason"] for event in stage.client.objects.values()]
    assert reasons[0] == "RolledBack"
    assert (sorted(told), stage.dropped()) == (["a", "a", "risk", "risk"], 202.0)


async def test_a_recorder_that_waits_sends_what_comes() -> None:
    stage = Stage()
    running = asyncio.create_task(stage.recorder.run())
    for count in (1, 2):
        await asyncio.sleep(0)
        stage.recorder.record(replace(META, name=f"m{count}", uid=f"uid-{count}"), ROLLED_BACK)
        async with asyncio.timeout(40):
            while len(stage.client.objects) < count:  # noqa: ASYNC110 - a fake has them
                await asyncio.sleep(0)
    running.cancel()
