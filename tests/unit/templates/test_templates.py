import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from canarium.core.metrics import MetricQuery
from canarium.core.observed import Meta, TemplateRecord
from canarium.core.spec import PrometheusQuery, TemplateKind, TemplateSpec
from canarium.judge import Metric
from canarium.kube.client import Client
from canarium.kube.informers.cache import Cache
from canarium.kube.informers.store import Key
from canarium.kube.kinds import TEMPLATES
from canarium.kube.queues.keys import ObjectKey
from canarium.kube.queues.workqueue import WorkQueue
from canarium.kube.transport import ApiRequest
from canarium.metrics.sessions.readers import check_query
from canarium.shell.brake import PACE_SECONDS
from canarium.shell.controller import Controller
from canarium.shell.tenants.templates import TemplateTenant
from canarium.sim.loop import VirtualLoop
from canarium.templates.readings import Readings
from canarium.templates.status import make_template_status

from tests.unit.kube.fake import FakeClient
from tests.unit.kube.wire import dump

QUERY = 'gpu{service="{{service}}"}'
GOOD = TemplateSpec(PrometheusQuery(QUERY))
FEED = MetricQuery(
    Metric("gpu", "Gauge", max=1.0, source="metric:gpu"),
    GOOD.query,
    10.0,
    template=("MetricTemplate", "gpu"),
)
FRAUD, SPAM = ("risk", "fraud"), ("risk", "spam")


def record(spec: TemplateSpec | None = GOOD, problem: str = "", **status: Any) -> TemplateRecord:
    meta = Meta("risk", "gpu", "uid", resource_version="7", generation=3)
    return TemplateRecord(meta, "MetricTemplate", spec, problem, status)


def condition(kind: str, status: str, reason: str, message: str, since: str = "") -> Any:
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "observedGeneration": 3,
        "lastTransitionTime": since or "1970-01-01T00:01:40.000Z",
    }


READY = condition("Ready", "True", "Valid", "the query can be filled in")


def test_a_template_that_nobody_uses_says_only_whether_it_makes_sense() -> None:
    assert make_template_status(record(), {}, 100.0) == {
        "observedGeneration": 3,
        "conditions": [READY],
    }


def test_a_template_says_what_is_wrong_with_it() -> None:
    wrong = TemplateSpec(PrometheusQuery('gpu{service="{{servcie}}"}'))
    for bad, words in (
        (record(wrong), "{{servcie}} is not an argument"),
        (record(None, "spec.interval: must be at least 1s"), "spec.interval: must be at least 1s"),
    ):
        (ready,) = make_template_status(bad, {}, 100.0)["conditions"]
        assert (ready["status"], ready["reason"]) == ("False", "Invalid")
        assert words in ready["message"]


def test_a_template_works_when_its_last_readings_did() -> None:
    works = condition("Working", "True", "Answered", "the last reading for 2 models worked")
    status = make_template_status(record(), {FRAUD: "", SPAM: ""}, 100.0)
    assert status["conditions"] == [READY, works]


def test_a_template_that_fails_for_one_model_names_it() -> None:
    words = "1 of 2 models cannot be read; risk/spam: no answer within 5 s"
    fails = condition("Working", "False", "ReadingFailed", words)
    status = make_template_status(record(), {FRAUD: "", SPAM: "no answer within 5 s"}, 100.0)
    assert status["conditions"] == [READY, fails]


def test_what_was_said_last_stands_when_nothing_is_read_any_more() -> None:
    before = condition("Working", "True", "Answered", "the last reading for 1 model worked", "x")
    status = make_template_status(record(conditions=[READY, before]), {}, 200.0)
    assert status["conditions"] == [READY, before]


def stored(name: str = "gpu", namespace: str = "risk", query: str = QUERY) -> Any:
    """A template as the apiserver has it."""
    meta = {"name": name, "namespace": namespace, "uid": "uid", "resourceVersion": "7"}
    spec = {"prometheus": {"query": query}}
    return {"kind": "MetricTemplate", "metadata": meta | {"generation": 3}, "spec": spec}


class Templates:
    """Both kinds of templates with a controller of their own, and one worker."""

    def __init__(self, client: Client, cache: Cache, now: Callable[[], float]) -> None:
        self.queue: WorkQueue[ObjectKey] = WorkQueue()
        readings = Readings(self.wake)
        cache.on_template = self.wake
        self.note_reading, self.forget = readings.note_reading, readings.forget
        self.run = Controller(
            [TemplateTenant(kind, cache, readings) for kind in TEMPLATES],
            client=client,
            queue=self.queue,
            boundary=cache.boundary,
            now=now,
        ).work

    def wake(self, kind: TemplateKind, key: Key) -> None:
        self.queue.add(ObjectKey(*key, kind))


class Watched(FakeClient):
    """An apiserver that says when something was written."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.written = asyncio.Event()
        self.awaited = 1

    async def send(self, request: ApiRequest) -> bytes:
        answer = await super().send(request)
        self.awaited -= 1
        if not self.awaited:
            self.written.set()
        return answer


async def test_status_is_written_once_though_the_judging_is_over_by_then() -> None:
    client, cache = Watched(), Cache(lambda _key: None)
    client.add(stored())
    templates = Templates(client, cache, now=lambda: 100.0)
    cache.templates["MetricTemplate"].put(record())
    running = asyncio.create_task(templates.run())
    for _ in range(3):
        templates.note_reading(FRAUD, FEED, "")
    templates.forget(FRAUD)
    await asyncio.wait_for(client.written.wait(), 40)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    assert len(client.requests) == 1
    written = client.objects["MetricTemplate", "gpu"]["status"]["conditions"]
    assert [each["type"] for each in written] == ["Ready", "Working"]


async def test_what_goes_wrong_with_one_template_leaves_the_others_and_the_operator_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client, cache = Watched(), Cache(lambda _key: None)
    client.add(stored())
    templates = Templates(client, cache, now=lambda: 100.0)
    broken = replace(record(), meta=replace(record().meta, name="broken", uid="another"))
    monkeypatch.setattr(
        "canarium.templates.status.check_query",
        lambda query, types: check_query(query, types) if query == GOOD.query else 1 // 0,
    )
    client.add(stored("broken", query="a"))
    broken = replace(broken, spec=TemplateSpec(PrometheusQuery("a")))
    client.awaited = 2
    for each in (broken, record()):
        cache.templates["MetricTemplate"].put(each)
    running = asyncio.create_task(templates.run())
    await asyncio.wait_for(client.written.wait(), 40)
    assert not running.done()
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    said = {
        name: client.objects["MetricTemplate", name]["status"]["conditions"][0]["message"]
        for name in ("gpu", "broken")
    }
    assert said == {
        "gpu": "the query can be filled in",
        "broken": "the query cannot be checked: an internal error, which the operator's log has"
        " (ZeroDivisionError)",
    }


def test_a_namespaces_many_templates_keep_no_others_waiting() -> None:
    """In virtual time: each write takes a second."""

    class Slow(FakeClient):
        async def send(self, request: ApiRequest) -> bytes:
            await asyncio.sleep(1.0)
            return await super().send(request)

    async def play() -> list[str]:
        client, cache = Slow(), Cache(lambda _key: None)
        templates = Templates(client, cache, now=lambda: 100.0)
        running = asyncio.create_task(templates.run())

        def put(namespace: str, name: str) -> None:
            client.add(stored(name, namespace))
            own = replace(record().meta, namespace=namespace, name=name, uid=name)
            cache.templates["MetricTemplate"].put(replace(record(), meta=own))

        for number in range(300):
            put("crowd", f"m{number}")
        await asyncio.sleep(30.5)
        put("risk", "gpu")
        await asyncio.sleep(3.0)
        running.cancel()
        return client.requests

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        requests = runner.run(play())
    assert len(requests) == 33
    assert requests[-1].endswith(" gpu")


@pytest.mark.parametrize("there", [True, False], ids=["it changed", "it seems to be gone"])
def test_what_may_only_be_watched_is_not_read_live_and_stays_known(there: bool) -> None:
    """The operator may list and watch templates: the watch has the last word."""

    async def play() -> tuple[list[str], bool]:
        client, cache = FakeClient(), Cache(lambda _key: None)
        if there:
            newer = stored()
            newer["metadata"]["resourceVersion"] = "8"
            client.add(newer)
        templates = Templates(client, cache, now=lambda: 100.0)
        running = asyncio.create_task(templates.run())
        cache.templates["MetricTemplate"].put(record())
        await asyncio.sleep(11.0)
        running.cancel()
        return client.requests, cache.templates["MetricTemplate"].get("risk", "gpu") is not None

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        requests, is_known = runner.run(play())
    assert requests == ["status MetricTemplate gpu"] * 3
    assert is_known


def test_a_template_whose_end_comes_before_the_answer_to_its_status_is_gone() -> None:
    class Late(FakeClient):
        async def send(self, request: ApiRequest) -> bytes:
            cache.templates["MetricTemplate"].drop("risk", "gpu")
            return dump(stored())

    async def play() -> None:
        templates = Templates(Late(), cache, now=lambda: 100.0)
        running = asyncio.create_task(templates.run())
        cache.templates["MetricTemplate"].put(record())
        await asyncio.sleep(11.0)
        running.cancel()

    cache = Cache(lambda _key: None)
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(play())
    assert cache.templates["MetricTemplate"].get("risk", "gpu") is None


def test_a_template_that_changes_again_and_again_is_written_every_few_seconds() -> None:
    class Taking(FakeClient):
        async def send(self, request: ApiRequest) -> bytes:
            _, status = json.loads(request.body or b"")
            written.append(str(status["value"]["conditions"][-1]["message"]))
            return dump(stored())

    written: list[str] = []

    async def play() -> None:
        cache = Cache(lambda _key: None)
        templates = Templates(Taking(), cache, now=lambda: 100.0)
        running = asyncio.create_task(templates.run())
        cache.templates["MetricTemplate"].put(record())
        for number in range(100):
            templates.note_reading(FRAUD, FEED, f"problem {number}")
            await asyncio.sleep(0.1)
        await asyncio.sleep(PACE_SECONDS)
        running.cancel()

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(play())
    assert len(written) == 3
    assert written[-1].endswith("problem 99")
