"""The events of pods that don't get ready: read rarely, bounded, and of the kubelet's words."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from canarium.core.observed import PodEvent
from canarium.core.plan import Inspect
from canarium.errors import ApiError, CanariumError, UnavailableError
from canarium.kube.pod_events import AGAIN_SECONDS, AT_ONCE, FORBIDDEN_SECONDS, PodEvents
from canarium.kube.transport import ApiRequest
from canarium.outbound.sharing import Room
from canarium.sim.loop import VirtualLoop

from tests.unit.kube.fake import FakeClient

KEY = ("risk", "fraud")
PATHS = [f"/api/v1/namespaces/{namespace}/events" for namespace in ("risk", "crowd")]
POD = Inspect("fraud-7b9d6f5c88-x1", "uid-of-x1")
OTHER = Inspect("fraud-7b9d6f5c88-x2", "uid-of-x2")


def event(reason: Any, message: Any, at: str = "2026-11-29T20:00:00Z", **more: Any) -> Any:
    return {"reason": reason, "message": message, "lastTimestamp": at, **more}


class Events(FakeClient):
    """An apiserver that has events by the uid of what they are about."""

    def __init__(self, **by_uid: list[Any]) -> None:
        super().__init__()
        self.by_uid = by_uid
        self.asked: list[tuple[float, str]] = []
        self.refusal: CanariumError | None = None

    async def send(self, request: ApiRequest) -> bytes:
        assert request.path in PATHS
        assert set(request.query) == {"limit", "fieldSelector"}
        fields = request.query["fieldSelector"]
        self.asked.append((asyncio.get_running_loop().time(), fields))
        if self.refusal is not None:
            raise self.refusal
        items = self.by_uid.get(fields.removeprefix("involvedObject.uid=").replace("-", "_"), [])
        return msgspec.json.encode({"metadata": {}, "items": items})


def play(events: Events, seconds: float, act: Callable[[PodEvents], None]) -> Any:
    """Let it ask for a while; what was said in the end, and who was woken."""

    async def run() -> Any:
        woken: list[Any] = []
        reader = PodEvents(events, woken.append, Room(AT_ONCE, AT_ONCE))
        act(reader)
        await asyncio.sleep(seconds)
        said = reader.said(KEY)
        await reader.close()
        return said, woken

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(run())


def ask(reader: PodEvents) -> None:
    reader.ensure(KEY, POD)


def test_the_last_event_that_tells_something_is_kept_in_one_bounded_line() -> None:
    found = [
        event(
            "Unhealthy", "Readiness probe failed:\n\x1b[31m" + "x" * 5000, "2026-11-29T20:00:09Z"
        ),
        event("FailedMount", 'secret "late" not found', "2026-11-29T20:00:01Z"),
        event("Pulled", "Container image is present", "2026-11-29T20:00:30Z"),
        event(None, None, "2026-11-29T20:00:40Z"),
        "no event at all",
    ]
    said, woken = play(Events(uid_of_x1=found), 1.0, ask)
    assert (said.pod, said.reason, len(said.message)) == (POD.pod, "Unhealthy", 256)
    assert said.message.startswith("Readiness probe failed: xxx")
    assert woken == [KEY]


def test_of_a_series_the_last_repeat_counts() -> None:
    series = event("Unhealthy", "again", "", eventTime="2026-11-29T20:00:00.000000Z",
                   series={"lastObservedTime": "2026-11-29T20:05:00.000000Z"})  # fmt: skip
    series["lastTimestamp"] = None
    found = [series, event("FailedMount", "once", "2026-11-29T20:01:00Z")]
    said, _ = play(Events(uid_of_x1=found), 1.0, ask)
    assert said == PodEvent(POD.pod, "Unhealthy", "again")


def test_it_is_asked_now_and_then_and_nobody_is_woken_for_what_is_known() -> None:
    events = Events(uid_of_x1=[event("Unhealthy", "failed")])
    _, woken = play(events, 10 * AGAIN_SECONDS + 1.0, ask)
    assert (len(events.asked), woken) == (11, [KEY])


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (ApiError(403, "Forbidden", "events is forbidden"), FORBIDDEN_SECONDS),
        (UnavailableError("no route"), AGAIN_SECONDS),
    ],
)
def test_what_fails_is_tried_again_later(error: CanariumError, seconds: float) -> None:
    events = Events()
    events.refusal = error
    said, woken = play(events, FORBIDDEN_SECONDS + 1.0, ask)
    assert (said, woken) == (None, [])
    assert [at for at, _ in events.asked[:2]] == [0.0, seconds]


def test_another_pod_or_none_ends_the_asking_and_forgets() -> None:
    events = Events(uid_of_x1=[event("Unhealthy", "failed")])

    async def run() -> None:
        reader = PodEvents(events, lambda _: None, Room(AT_ONCE, AT_ONCE))
        for inspect in (POD, POD, OTHER):
            reader.ensure(KEY, inspect)
            await asyncio.sleep(1.0)
        assert (reader.said(KEY), len(events.asked)) == (None, 2)
        reader.ensure(KEY, None)
        await asyncio.sleep(100.0)
        assert len(events.asked) == 2

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(run())


def test_a_thousand_objects_ask_a_few_at_a_time() -> None:
    running = most = 0

    class Slow(Events):
        async def send(self, request: ApiRequest) -> bytes:
            nonlocal running, most
            running += 1
            most = max(most, running)
            await asyncio.sleep(0.1)
            running -= 1
            return await super().send(request)

    def ask_all(reader: PodEvents) -> None:
        for number in range(1000):
            reader.ensure(("risk", f"m{number}"), POD)

    play(Slow(), 10.0, ask_all)
    assert most == 4


def test_pods_of_another_namespace_whose_events_hang_are_not_waited_for() -> None:
    class Hanging(Events):
        async def send(self, request: ApiRequest) -> bytes:
            if request.namespace == "crowd":
                await asyncio.sleep(3600.0)
            return await super().send(request)

    def ask_all(reader: PodEvents) -> None:
        for number in range(1000):
            reader.ensure(("crowd", f"m{number}"), POD)

    def ask_all_and_one(reader: PodEvents) -> None:
        ask_all(reader)
        reader.ensure(KEY, POD)

    said, woken = play(Hanging(uid_of_x1=[event("Unhealthy", "failed")]), 1.0, ask_all_and_one)
    assert (said.message, woken) == ("failed", [KEY])
