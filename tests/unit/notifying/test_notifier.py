"""The notifier against real servers on loopback: slow, failing, asking to be left alone."""

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from ipaddress import ip_network
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from canarium.api import parse_deployment
from canarium.core.allowed_addresses import Allowed, parse_allowed
from canarium.core.observed import Meta, ModelObject
from canarium.core.plan import Event
from canarium.core.receivers import NOTICES, Receiver
from canarium.core.status import Status
from canarium.kube.queues.backoff import Backoff
from canarium.notifying import notifier as notifier_module
from canarium.notifying import posting
from canarium.notifying.destinations import Destination
from canarium.notifying.notifier import TRIES, Notifier
from canarium.notifying.posting import DELIVERED, DeliveryOutcome, judge
from canarium.outbound.reach import Reach
from canarium.sim.loop import VirtualLoop
from canarium.telemetry.metrics import Metrics
from yarl import URL

from testbed.servers.loopback import refusing
from tests.unit.api.specs import plain
from tests.unit.kube.fake import FakeClient
from tests.unit.outbound.serving import serving

LOOPBACK = (ip_network("127.0.0.0/8"),)
NEWS = "version 7 is stable now"
PROMOTED = Event("Normal", "Promoted", "Promote", NEWS, "7b9d", "7", "Promoted")
UNTOLD = "Warning NotificationFailed: ops (Webhook) was not told Promoted"
QUICK = Backoff(first_seconds=0.001, longest_seconds=0.001)
SOON = 30.0


def encode(text: str) -> str:
    return b64encode(text.encode()).decode()


def make_secret(name: str = "chat", **data: str) -> dict[str, Any]:
    values = {key.replace("__", "."): encode(value) for key, value in data.items()}
    metadata = {"name": name, "namespace": "risk"}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": values}


@dataclass
class Post:
    """One request that a receiver got."""

    headers: dict[str, str]
    body: dict[str, Any]


@dataclass
class Inbox:
    """A receiver that answers with one status after the other, the last one again and again."""

    statuses: list[int] = field(default_factory=lambda: [200])
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    hold: asyncio.Event | None = None
    got: list[Post] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.got.append(Post(dict(request.headers), await request.json()))
        if self.hold is not None:
            await self.hold.wait()
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        return web.Response(status=status, headers=self.headers, body=self.body)


class Recorded(list[str]):
    def __init__(self) -> None:
        super().__init__()
        self.about: set[str] = set()

    def record(self, meta: Meta, event: Event) -> None:
        self.about.add(meta.namespace)
        self.append(f"{event.type} {event.reason}: {event.message}")


@dataclass
class Office:
    """A notifier with its client, and what it says."""

    client: FakeClient
    metrics: Metrics
    events: Recorded
    notifier: Notifier

    def notify(
        self,
        *receivers: Receiver,
        event: Event = PROMOTED,
        name: str = "fraud",
        namespace: str = "risk",
    ) -> None:
        model = make_model(*receivers, name=name, namespace=namespace)
        self.notifier.notify(model, event)

    async def settle(self, count: int = 1) -> dict[str, float]:
        """Wait until so many letters ended; how they did."""
        async with asyncio.timeout(SOON):
            while sum(self.outcomes().values()) < count:  # noqa: ASYNC110 - a library counts
                await asyncio.sleep(0.002)
        return self.outcomes()

    def outcomes(self) -> dict[str, float]:
        (family,) = self.metrics.notifications.collect()
        found = family.samples
        return {s.labels["outcome"]: s.value for s in found if s.name.endswith("_total")}


def make_model(*receivers: Receiver, name: str = "fraud", namespace: str = "risk") -> ModelObject:
    spec = replace(parse_deployment(plain()), receivers=receivers)
    return ModelObject(Meta(namespace, name, f"uid-of-{name}", "1"), spec, status=Status())


CHAT = Receiver("ops", "Webhook", secret="chat")


@asynccontextmanager
async def office(
    *secrets: dict[str, Any], allowed: Any = LOOPBACK, **options: Any
) -> AsyncIterator[Office]:
    client, metrics, events = FakeClient(), Metrics(), Recorded()
    client.add(*secrets)
    made = Notifier(client, metrics, events, allowed=allowed, **{"backoff": QUICK, **options})  # type: ignore[arg-type]
    try:
        yield Office(client, metrics, events, made)
    finally:
        await made.close()


async def deliver(inbox: Inbox, *, count: int = 1, **data: str) -> tuple[Office, dict[str, float]]:
    """One letter to a receiver that a Secret has the address of; how it ended."""
    async with serving(inbox.answer) as url, office(make_secret(url=f"{url}hook", **data)) as it:
        it.notify(CHAT)
        return it, await it.settle(count)


async def test_news_is_delivered_to_the_address_of_the_secret() -> None:
    inbox = Inbox()
    it, outcomes = await deliver(inbox)
    (post,) = inbox.got
    assert (outcomes, it.events, it.client.requests) == (
        {"Delivered": 1.0},
        [],
        ["get Secret chat"],
    )
    assert post.headers["Content-Type"] == "application/cloudevents+json"
    assert post.body["data"]["message"] == NEWS


async def test_only_what_a_receiver_asks_for_is_sent() -> None:
    inbox = Inbox()
    only = replace(CHAT, events=("RolledBack", "Failed"))
    async with serving(inbox.answer) as url, office(make_secret(url=url)) as it:
        for notice in (*NOTICES, None):
            it.notify(only, event=replace(PROMOTED, notice=notice))
        assert await it.settle(2) == {"Delivered": 2.0}
    types = sorted(post.body["type"] for post in inbox.got)
    assert types == ["dev.canarium.rollout.failed.v1", "dev.canarium.rollout.rolledback.v1"]


async def test_what_is_raised_in_sending_is_noted_and_its_letter_given_up(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_receiver: Receiver, _news: object) -> None:
        raise RuntimeError("hunter2")

    inbox = Inbox()
    async with serving(inbox.answer) as url, office(make_secret(url=url)) as it:
        with monkeypatch.context() as patch:
            patch.setattr(notifier_module, "make_message", fail)
            it.notify(CHAT)
            it.notify(CHAT)
            assert await it.settle(2) == {"GivenUp": 2.0}
        it.notify(CHAT)
        assert await it.settle(3) == {"GivenUp": 2.0, "Delivered": 1.0}

    noted = [each for each in caplog.records if each.levelname == "ERROR"]
    assert [each.object for each in noted] == ["risk/fraud ops"]  # type: ignore[attr-defined]
    assert it.metrics.internal_errors.labels("Notifying")._value.get() == 2.0
    assert it.events[0].startswith(f"{UNTOLD}: an internal error (RuntimeError at ")
    assert "hunter2" not in it.events[0]


async def test_what_fails_is_sent_again_under_the_same_id() -> None:
    inbox = Inbox(statuses=[500, 429, 200])
    it, outcomes = await deliver(inbox)
    assert (outcomes, it.events, len(inbox.got)) == ({"Delivered": 1.0}, [], 3)
    assert len({post.body["id"] for post in inbox.got}) == 1


async def test_after_so_many_tries_it_is_given_up_with_an_event_that_has_no_secret() -> None:
    inbox = Inbox(statuses=[503], body=b"a secret of the server's")
    it, outcomes = await deliver(inbox)
    assert (outcomes, len(inbox.got)) == ({"GivenUp": 1.0}, TRIES)
    assert it.events == [f"{UNTOLD}: HTTP status 503"]


@pytest.mark.parametrize("status", [301, 400, 401, 404, 410])
async def test_what_is_refused_for_good_is_not_tried_again(status: int) -> None:
    inbox = Inbox(statuses=[status], headers={"Location": "http://127.0.0.1:9/elsewhere"})
    _, outcomes = await deliver(inbox)
    assert (outcomes, len(inbox.got)) == ({"GivenUp": 1.0}, 1)


@pytest.mark.parametrize(
    ("status", "header", "want"),
    [
        (204, "", DELIVERED),
        (429, "7", DeliveryOutcome("HTTP status 429", retry_after=7.0)),
        (
            503,
            "Tue, 14 Nov 2023 22:13:50 GMT",
            DeliveryOutcome("HTTP status 503", retry_after=30.0),
        ),
        (503, "99999999", DeliveryOutcome("HTTP status 503", retry_after=300.0)),
        (503, "soon", DeliveryOutcome("HTTP status 503")),
        (503, "-5", DeliveryOutcome("HTTP status 503")),
        (403, "7", DeliveryOutcome("HTTP status 403", final=True)),
    ],
)
def test_a_status_and_what_it_asks_for(status: int, header: str, want: DeliveryOutcome) -> None:
    assert judge(status, header, 1_700_000_000.0) == want


async def test_it_waits_as_long_as_it_is_asked_to(monkeypatch: pytest.MonkeyPatch) -> None:
    waited, real = [], asyncio.sleep

    async def sleep(seconds: float) -> None:
        waited.append(seconds)
        await real(0)

    inbox = Inbox(statuses=[429, 200], headers={"Retry-After": "7"})
    async with serving(inbox.answer) as url, office(make_secret(url=url)) as it:
        monkeypatch.setattr(asyncio, "sleep", sleep)
        it.notify(CHAT)
        async with asyncio.timeout(SOON):
            while not it.outcomes():
                await real(0.002)
        monkeypatch.undo()
    assert len(waited) == 1
    assert 7.0 <= waited[0] <= 8.4


async def test_one_that_hangs_keeps_nobody_else_waiting() -> None:
    hold, quick = asyncio.Event(), Inbox()
    slow = Inbox(hold=hold)
    async with serving(slow.answer) as slow_url, serving(quick.answer) as url:
        secrets = make_secret("slow", url=slow_url), make_secret(url=url)
        async with office(*secrets) as it:
            it.notify(replace(CHAT, secret="slow"), CHAT)
            it.notify(replace(CHAT, secret="slow"), CHAT)
            assert await it.settle(2) == {"Delivered": 2.0}
            assert (len(quick.got), len(slow.got)) == (2, 1)
            hold.set()
            assert await it.settle(4) == {"Delivered": 4.0}


async def test_one_without_an_answer_is_not_waited_for_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(posting, "TIMEOUT_SECONDS", 0.02)
    hold = asyncio.Event()
    it, outcomes = await deliver(Inbox(hold=hold))
    assert (outcomes, it.events) == ({"GivenUp": 1.0}, [f"{UNTOLD}: no answer within 0.02 s"])


async def test_an_address_that_nobody_answers_at_is_in_no_event() -> None:
    """The words that asyncio has for it would name the host."""
    with refusing() as port:
        async with office(make_secret(url=f"http://127.0.0.1:{port}/")) as it:
            it.notify(CHAT)
            assert await it.settle() == {"GivenUp": 1.0}
            assert it.events == [f"{UNTOLD}: connection refused on port {port}"]


async def test_more_than_fits_is_dropped_and_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notifier_module, "MOST_WAITING", 2)
    hold = asyncio.Event()
    async with serving(Inbox(hold=hold).answer) as url, office(make_secret(url=url)) as it:
        for _ in range(3):
            it.notify(CHAT)
        assert it.outcomes() == {"Dropped": 1.0}
        assert it.events == [f"{UNTOLD}: too many wait already"]
        hold.set()
        assert await it.settle(3) == {"Dropped": 1.0, "Delivered": 2.0}


ROLLED_BACK = Event("Warning", "ErrorRate", "Rollback", "taken back", "7b9d", "7", "RolledBack")
PLATFORM = "platform"


async def test_a_flood_of_one_namespaces_news_neither_drops_nor_delays_anothers_rollback(
    tmp_path: Path,
) -> None:
    """To a receiver of the whole cluster, which takes them one after the other."""
    inbox, file = Inbox(), tmp_path / "address"
    async with serving(inbox.answer) as url:
        file.write_text(url)
        everywhere = [Receiver(PLATFORM, "Webhook", address_file=str(file))]
        async with office(everywhere=everywhere) as it:
            for number in range(1_200):
                it.notify(name=f"m{number}", namespace="a")
            it.notify(name="started", namespace="b")
            it.notify(event=ROLLED_BACK, name="bad", namespace="b")
            await it.settle(203)  # 202 are dropped before the first is sent
            async with asyncio.timeout(SOON):
                while len(inbox.got) < 5:  # noqa: ASYNC110 - a server gets them
                    await asyncio.sleep(0.002)
            told = [
                (post.body["data"]["namespace"], post.body["data"]["name"]) for post in inbox.got
            ]
            assert told[0] == ("b", "bad")
            assert ("b", "started") in told[:4]
            assert it.outcomes()["Dropped"] == 202.0
            assert it.events.about == {"a"}


def test_news_waits_for_one_of_each_namespace_however_slow_a_receiver_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """In virtual time: each letter takes 5 s, and some of the flood are never taken."""
    took: list[tuple[str, float]] = []
    file = tmp_path / "address"
    file.write_text("http://chat.example/hook")

    async def post(_session: Any, _destination: Any, message: Any, *_more: Any) -> DeliveryOutcome:
        await asyncio.sleep(5.0)
        name = json.loads(message.body)["data"]["name"]
        took.append((name, asyncio.get_running_loop().time()))
        return DeliveryOutcome("HTTP status 500") if name == "poison" else DELIVERED

    async def find_destination(*_: Any) -> Destination:
        return Destination(URL(file.read_text()))

    async def play() -> dict[str, float]:
        monkeypatch.setattr(notifier_module, "post", post)
        monkeypatch.setattr(notifier_module, "find_destination", find_destination)
        everywhere = [Receiver(PLATFORM, "Webhook", address_file=str(file))]
        client, metrics, events = FakeClient(), Metrics(), Recorded()
        made = Notifier(client, metrics, events, everywhere=everywhere)  # type: ignore[arg-type]
        it = Office(client, metrics, events, made)
        for number in range(900):
            it.notify(name="poison" if number < 100 else f"m{number}", namespace="a")
        await asyncio.sleep(60.0)
        it.notify(name="started", namespace="b")
        it.notify(event=ROLLED_BACK, name="bad", namespace="c")
        await asyncio.sleep(120.0)
        await made.close()
        return dict(took)

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        reached = runner.run(play())
    assert reached["bad"] <= 60.0 + 4 * 5.0
    assert reached["started"] <= 60.0 + 6 * 5.0


async def test_the_end_of_the_operator_waits_a_moment_and_no_longer(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(notifier_module, "CLOSING_SECONDS", 0.05)
    async with serving(Inbox(hold=asyncio.Event()).answer) as url:
        async with office(make_secret(url=url)) as it:
            it.notify(CHAT)
            it.notify(CHAT)
            await asyncio.sleep(0)
        it.notify(CHAT)
    assert caplog.messages == ["2 notifications are lost: the operator ends"]


async def test_what_is_on_its_way_at_the_end_arrives() -> None:
    inbox = Inbox()
    async with serving(inbox.answer) as url, office(make_secret(url=url)) as it:
        it.notify(CHAT)
        await it.notifier.close()
        assert (it.outcomes(), len(inbox.got)) == ({"Delivered": 1.0}, 1)


PROBLEMS: list[tuple[dict[str, Any] | None, str]] = [
    (None, "there is no Secret chat"),
    (make_secret(other="x"), "there is no key url of Secret chat"),
    (make_secret(url="ftp://chat"), "key url of Secret chat: not an address; write one such as "),
    (make_secret(url="http://me:hunter2@chat/"), "key url of Secret chat: an address with a user"),
    (make_secret(url="http://127.0.0.2:9/", token="a b"), "Secret chat: token is empty or has "),
]


@pytest.mark.parametrize(("secret", "words"), PROBLEMS)
async def test_a_secret_of_no_use_is_named_and_what_is_in_it_is_not(
    secret: dict[str, Any] | None, words: str
) -> None:
    async with office(*([secret] if secret else [])) as it:
        it.notify(CHAT)
        assert await it.settle() == {"GivenUp": 1.0}
    (told,) = it.events
    assert f"was not told Promoted: {words}" in told
    assert "hunter2" not in told


@pytest.mark.parametrize("allowed", [(), LOOPBACK])
async def test_an_address_that_leads_back_into_the_operator_is_refused(allowed: Any) -> None:
    inbox = Inbox()
    async with serving(inbox.answer) as url, office(make_secret(url=url), allowed=allowed) as it:
        it.notify(CHAT)
        outcomes = await it.settle()
    want = ({"Delivered": 1.0}, 1) if allowed else ({"GivenUp": 1.0}, 0)
    assert (outcomes, len(inbox.got)) == want


async def look_up(_host: str, _port: int) -> tuple[str, ...]:
    return ("127.0.0.1",)


@pytest.mark.parametrize("url", ["http://hidden.example:{}/hook", "http://127.0.0.1:{}/hook"])
async def test_a_host_that_is_not_listed_is_told_nothing(url: str) -> None:
    """Nor is it named: an address is a secret. Where it is listed it is told."""
    inbox = Inbox()
    async with serving(inbox.answer) as server:
        written = url.format(URL(server).port)
        for rules, want in (((), {"GivenUp": 1.0}), (("*", "127.0.0.0/8"), {"Delivered": 1.0})):
            reach = Reach(FakeClient(), parse_allowed(rules), look_up)
            async with office(make_secret(url=written), reach=reach) as it:
                it.notify(CHAT)
                assert await it.settle() == want
            told = "".join(it.events)
            assert "hidden" not in told
            assert bool(rules) != ("its host" in told or "loopback address" in told), told
    assert len(inbox.got) == 1


async def test_a_service_of_the_own_namespace_is_told_by_its_name() -> None:
    inbox = Inbox()
    addresses = ["127.0.0.9", "127.0.0.1"]  # nobody listens at the first
    about = {"kind": "Service", "metadata": {"name": "chats"}}
    spec = {"selector": {"app": "chats"}, "clusterIPs": addresses}
    async with serving(inbox.answer) as server:
        port = URL(server).port
        secret = make_secret(url=f"http://chats:{port}/hook")
        async with office(secret, {**about, "spec": spec}) as it:
            it.notifier._reach = Reach(it.client, Allowed(), look_up)
            it.notify(CHAT)
            assert await it.settle() == {"Delivered": 1.0}
    assert inbox.got[0].headers["Host"] == f"chats:{port}"


async def test_a_service_that_is_on_its_way_is_waited_for() -> None:
    """What is refused is told to nobody for good; what is missing may be made in a moment."""
    inbox = Inbox()
    about = {"kind": "Service", "metadata": {"name": "chats"}}
    spec = {"selector": {"app": "chats"}, "clusterIPs": ["127.0.0.1"]}
    async with serving(inbox.answer) as server:
        secret = make_secret(url=f"http://chats:{URL(server).port}/hook")
        async with office(secret) as it:
            seconds = count(0.0, 5.0)

            def tick() -> float:
                if "get Service chats" in it.client.requests:
                    it.client.add({**about, "spec": spec})
                return next(seconds)

            it.notifier._reach = Reach(it.client, Allowed(), look_up, clock=tick)
            it.notify(CHAT)
            assert await it.settle() == {"Delivered": 1.0}
    assert it.client.requests.count("get Service chats") > 1


async def test_a_token_of_the_secret_is_sent_and_the_operators_own_is_not() -> None:
    without, with_token = Inbox(), Inbox()
    await deliver(without)
    await deliver(with_token, token="t0ken")
    sent = [inbox.got[0].headers.get("Authorization") for inbox in (without, with_token)]
    assert sent == [None, "Bearer t0ken"]


async def test_a_receiver_of_the_whole_cluster_has_its_address_in_a_file(tmp_path: Path) -> None:
    inbox, file = Inbox(), tmp_path / "slack"
    async with serving(inbox.answer) as url:
        file.write_text(f"{url}hook\n")
        everywhere = [Receiver("platform", "Slack", address_file=str(file))]
        async with office(everywhere=everywhere) as it:
            it.notify()
            assert await it.settle() == {"Delivered": 1.0}
            it.notifier.notify(ModelObject(Meta("risk", "bad", "u", "1"), None), PROMOTED)
            assert await it.settle(2) == {"Delivered": 2.0}
            assert it.client.requests == []
    assert [post.body["text"] for post in inbox.got] == [
        f"risk/fraud: {NEWS}",
        f"risk/bad: {NEWS}",
    ]


def test_nothing_that_is_kept_shows_an_address() -> None:
    assert "hook" not in repr(Destination(URL("https://chat.example/hook")))
