"""Three kinds of host, and nothing else: what is dialled for an address that a namespace wrote."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import msgspec
import pytest
from canarium.core.allowed_addresses import EVERYTHING, Allowed, parse_allowed
from canarium.errors import ApiError, UnavailableError
from canarium.kube.kinds import ENDPOINT_SLICES
from canarium.kube.transport import ApiRequest
from canarium.metrics.sources.gateway import look_up
from canarium.outbound import reach as reaching
from canarium.outbound.errors import SourceError
from canarium.outbound.reach import NotReachedError, Reach
from canarium.outbound.sharing import Shares
from yarl import URL

from tests.unit.kube.fake import FakeClient

PUBLIC, PRIVATE = "93.184.216.34", "10.1.2.3"
NAMES: Mapping[str, Sequence[str]] = {
    "quality.example.com": [PUBLIC],
    "half.example.com": [PUBLIC, PRIVATE],
    "inside.example.com": [PRIVATE],
    "home.example.com": ["127.0.0.1"],
    "mixed.example.com": [PUBLIC, "169.254.1.1"],
    "mapped.example.com": ["64:ff9b::a01:203"],
    "quality.fraud": ["10.96.0.9"],
    "prometheus.monitoring": ["10.96.0.10"],
    "api.example.com": ["10.0.0.1"],
}
PROMETHEUS = "http://prometheus.monitoring:9090"
CURE = "addresses.allow lacks quality.risk, written so: it "


async def resolve(host: str, _port: int) -> Sequence[str]:
    if host not in NAMES:
        raise SourceError(f"{host} is not found: there is no such host")
    return NAMES[host]


async def advertised() -> Sequence[tuple[str, int]]:
    return [("10.0.0.2", 6443)]


def ready(*addresses: str) -> dict[str, Any]:
    return {"endpoints": [{"addresses": [*addresses], "conditions": {"ready": True}}]}


class Now:
    """A clock that stands still until it is set."""

    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def service(name: str = "quality", **spec: Any) -> dict[str, Any]:
    told = {"selector": {"app": name}, "clusterIPs": ["10.96.0.7"], **spec}
    return {"kind": "Service", "metadata": {"name": name}, "spec": told}


class Cluster(FakeClient):
    """Services, and what their EndpointSlices hold, each on a page of its own."""

    def __init__(self, *objects: dict[str, Any], slices: Sequence[dict[str, Any]] = ()) -> None:
        super().__init__()
        self.add(*objects)
        self.slices = slices

    async def send(self, request: ApiRequest) -> bytes:
        if request.resource != ENDPOINT_SLICES:
            return await super().send(request)
        selector = request.query["labelSelector"]
        assert set(request.query) <= {"limit", "labelSelector", "continue"}
        if request.namespace == "default":
            assert selector == "kubernetes.io/service-name=kubernetes"
            ports = [{"port": 6443}, {}]
            return list_page({"endpoints": [{"addresses": ["10.0.0.3"]}], "ports": ports})
        assert (request.namespace, selector) == ("risk", "kubernetes.io/service-name=quality")
        number = int(request.query.get("continue", "0"))
        if not number:
            self.requests.append("list EndpointSlices")
        following = str(number + 1) if number + 1 < len(self.slices) else ""
        return list_page(*self.slices[number : number + 1], following=following)


def list_page(*items: dict[str, Any], following: str = "") -> bytes:
    return msgspec.json.encode({"metadata": {"continue": following}, "items": items})


def reach(client: FakeClient, allowed: Allowed = Allowed(), **more: Any) -> Reach:  # noqa: B008
    return Reach(client, allowed, resolve, prometheus_url=PROMETHEUS, **more)


async def refusal(found: Reach, url: str) -> str:
    with pytest.raises(SourceError) as caught:
        await found.find(URL(url), "risk")
    return str(caught.value)


@pytest.mark.parametrize(
    "host", ["quality", "quality.risk", "quality.risk.svc", "quality.risk.svc.cluster.local"]
)
async def test_a_service_of_ones_own_is_dialled_by_its_own_addresses(host: str) -> None:
    client = Cluster(service(clusterIPs=["10.96.0.7", "fd00::7"]))
    assert await reach(client).find(URL(f"http://{host}:8080/x"), "risk") == (
        "10.96.0.7",
        "fd00::7",
    )
    assert client.requests == ["get Service quality"]


async def test_a_headless_service_is_dialled_by_its_ready_endpoints() -> None:
    endpoints = [
        {"addresses": ["10.2.0.2"], "conditions": {"ready": True}},
        {"addresses": ["10.2.0.3"], "conditions": {"ready": False}},
        {"addresses": ["10.2.0.1"], "conditions": {}},
        {"addresses": ["a.name.example"]},
    ]
    client = Cluster(
        service(clusterIPs=["None"]), slices=[{"endpoints": endpoints}, {"endpoints": None}]
    )
    assert await reach(client).find(URL("http://quality"), "risk") == ("10.2.0.1", "10.2.0.2")
    bare = Cluster(service(clusterIPs=["None"]))
    assert await refusal(reach(bare), "http://quality") == "Service quality has no ready endpoints"


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (
            {"type": "ExternalName", "externalName": "kubernetes.default.svc"},
            "is an alias (ExternalName), which is not followed",
        ),
        (
            {"selector": None},
            "has no selector, so it may lead anywhere: it is not followed",
        ),
        (
            {"selector": {}, "externalName": "a.example"},
            "is an alias (ExternalName), which is not followed",
        ),
    ],
)
async def test_a_service_that_leads_elsewhere_is_not_followed(
    spec: dict[str, Any], words: str
) -> None:
    found = reach(Cluster(service(**spec)))
    assert await found.find_objection("quality", "risk") == words
    assert await refusal(found, "http://quality") == CURE + words


@pytest.mark.parametrize(
    "spec", [{"type": "ExternalName", "externalName": "quality.fraud.svc"}, {"selector": None}]
)
async def test_such_a_service_is_followed_where_it_is_listed(spec: dict[str, Any]) -> None:
    async def look_up(host: str, _port: int) -> Sequence[str]:
        assert host == "quality.risk.svc"
        return ["10.96.0.9"]

    found = Reach(Cluster(service(**spec)), parse_allowed(["quality.risk"]), look_up)
    assert await found.find(URL("http://quality.risk.svc:9090"), "risk") == ("10.96.0.9",)


async def test_what_is_no_service_is_not_looked_up_instead() -> None:
    found = reach(Cluster())
    assert await refusal(found, "http://localhost:8080") == (
        "there is no such Service localhost in namespace risk: "
        "another namespace's is written name.namespace"
    )
    assert not await found.find_objection("localhost", "risk"), "it may come"


async def test_a_name_alone_that_is_no_service_is_not_asked() -> None:
    """To an earlier operator it was one of its own namespace. A name in full is one's own, gone."""
    for url, asked in (("http://prometheus:9090", False), ("http://prometheus.risk:9090", True)):
        with pytest.raises(SourceError) as caught:
            await reach(Cluster()).find(URL(url), "risk")
        assert isinstance(caught.value, NotReachedError) != asked


async def test_names_that_nobody_answers_for_keep_no_other_namespace_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nor do they have more threads than a namespace's share, however many are asked for."""
    over, hanging = threading.Event(), list[str]()

    def find(host: str, port: int, **_: Any) -> Any:
        if host == "hangs.example.com":
            hanging.append(host)
            over.wait(60)
            raise socket.gaierror(socket.EAI_AGAIN, "no answer")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (PUBLIC, port))]

    monkeypatch.setattr(socket, "getaddrinfo", find)
    monkeypatch.setattr(reaching, "LOOKUP_SECONDS", 0.05)
    found = Reach(Cluster(), Allowed(), partial(look_up, room=Shares().lookups))
    slow = URL("https://hangs.example.com")
    crowd = (found.find(slow, "crowd") for _ in range(100))
    failed = await asyncio.gather(*crowd, return_exceptions=True)
    monkeypatch.setattr(reaching, "LOOKUP_SECONDS", 15.0)
    other = found.find(URL("https://quality.example.com"), "risk")
    try:
        answer = await other
    finally:
        over.set()
    assert {type(each) for each in failed} == {SourceError}
    assert len(hanging) <= 8
    assert answer == (PUBLIC,)


async def test_a_service_is_read_once_a_minute() -> None:
    client, now = Cluster(service()), Now()
    found = reach(client, clock=now)
    for seconds in (0.0, 59.0, 60.0):
        now.seconds = seconds
        await found.find(URL("http://quality"), "risk")
    assert client.requests == ["get Service quality"] * 2


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ApiError(403, "Forbidden", "no"), "its Service cannot be read: Forbidden"),
        (UnavailableError("gone"), "its Service cannot be read now"),
    ],
)
async def test_a_service_that_cannot_be_read_is_asked_for_again(error: Any, words: str) -> None:
    client, now = Cluster(service()), Now()
    client.refuse("get Service quality", error)
    found = reach(client, clock=now)
    for seconds in (0.0, 4.0):
        now.seconds = seconds
        assert await refusal(found, "http://quality") == words
    now.seconds = 5.0
    assert await found.find(URL("http://quality"), "risk") == ("10.96.0.7",)
    assert client.requests == ["get Service quality"] * 2


async def test_what_was_read_is_used_while_the_apiserver_does_not_answer() -> None:
    """But not for ever: it may be another's by now."""
    client, now = Cluster(service()), Now()
    found = reach(client, clock=now)
    await found.find(URL("http://quality"), "risk")
    for seconds, here in ((60.0, True), (600.0, True), (661.0, False)):
        client.refuse("get Service quality", UnavailableError("gone"))
        now.seconds = seconds
        if here:
            assert await found.find(URL("http://quality"), "risk") == ("10.96.0.7",)
        else:
            assert await refusal(found, "http://quality") == "its Service cannot be read now"


async def test_what_is_missing_is_looked_for_again_soon() -> None:
    client, now = Cluster(), Now()
    found = reach(client, clock=now)
    assert "no such Service" in await refusal(found, "http://quality")
    client.add(service())
    now.seconds = 4.0
    assert "no such Service" in await refusal(found, "http://quality")
    now.seconds = 5.0
    assert await found.find(URL("http://quality"), "risk") == ("10.96.0.7",)


async def test_a_service_that_was_made_anew_is_found_as_soon_as_nobody_answers() -> None:
    client, now = Cluster(service()), Now()
    found, url = reach(client, clock=now), "http://quality.risk.svc.cluster.local:80/x"
    await found.find(URL(url), "risk")
    client.add(service(clusterIPs=["10.96.0.8"]))
    now.seconds = 4.0
    found.forget(url, "risk")
    assert await found.find(URL(url), "risk") == ("10.96.0.7",), "not with each reading that fails"
    now.seconds = 5.0
    assert await found.find(URL(url), "risk") == ("10.96.0.8",)
    found.forget("http://quality.example.com", "risk")
    found.forget("http://another", "risk")


async def test_endpoints_are_listed_every_ten_seconds() -> None:
    client, now = Cluster(service(clusterIPs=["None"]), slices=[ready("10.2.0.1")]), Now()
    found = reach(client, clock=now)
    for seconds in (0.0, 9.0, 10.0):
        now.seconds = seconds
        await found.find(URL("http://quality"), "risk")
    assert client.requests == ["get Service quality", "list EndpointSlices"] * 2


async def test_many_who_ask_at_once_have_it_read_once() -> None:
    client = Cluster(service())
    found = reach(client)
    asked = (found.find(URL("http://quality"), "risk") for _ in range(40))
    assert set(await asyncio.gather(*asked)) == {("10.96.0.7",)}
    assert client.requests == ["get Service quality"]


async def test_who_stops_waiting_takes_it_from_nobody() -> None:
    found = reach(Cluster(service()))
    first, second = (
        asyncio.create_task(found.find(URL("http://quality"), "risk")) for _ in range(2)
    )
    await asyncio.sleep(0)
    first.cancel()
    assert await second == ("10.96.0.7",)


async def test_a_name_server_that_says_nothing_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reaching, "LOOKUP_SECONDS", 0.01)

    async def look_up(_host: str, _port: int) -> Sequence[str]:
        await asyncio.get_running_loop().create_future()
        raise AssertionError

    found = Reach(Cluster(), Allowed(), look_up)
    words = "no name server says within 0.01 s where it is"
    assert await refusal(found, "https://slow.example.com") == f"slow.example.com: {words}"


@pytest.mark.parametrize(
    "url",
    [
        "http://quality.fraud",
        "http://quality.fraud.svc",
        "http://quality.example.com",  # public, and anybody on the way can read and answer it
        "https://half.example.com",
        "https://inside.example.com",
        "https://mapped.example.com",
        f"https://{PUBLIC}",
        f"http://{PRIVATE}:9090",
        "http://prometheus.monitoring:9091",
        "http://prometheus.monitoring.svc.evil.example:9090",  # its owner chooses where it leads
    ],
)
async def test_all_else_is_refused_with_the_line_that_would_list_it(url: str) -> None:
    evil = "prometheus.monitoring.svc.evil.example"
    names = {**NAMES, "quality.fraud.svc": ["10.96.0.9"], evil: [PRIVATE]}

    async def look_up(host: str, _port: int) -> Sequence[str]:
        return names[host]

    found = Reach(Cluster(), Allowed(), look_up, prometheus_url=PROMETHEUS)
    place = f"{URL(url).host}:{URL(url).port}"
    words = await refusal(found, url)
    assert words.startswith(f"addresses.allow lacks {place}: it is no Service of namespace risk")
    assert len(words) <= 120
    listed = Reach(Cluster(), parse_allowed([place]), look_up, prometheus_url=PROMETHEUS)
    assert await listed.find(URL(url), "risk") == tuple(
        sorted(names.get(str(URL(url).host), [str(URL(url).host)]))
    )


async def test_a_public_name_is_asked_by_https_unless_that_is_turned_off() -> None:
    url = URL("https://quality.example.com")
    assert await reach(Cluster()).find(url, "risk") == (PUBLIC,)
    with pytest.raises(NotReachedError):
        await reach(Cluster(), Allowed(public=False)).find(url, "risk")


async def test_what_an_administrator_set_is_always_asked() -> None:
    for address in (PROMETHEUS, "http://prometheus.monitoring:9090/x"):
        assert await reach(Cluster()).find(URL(address), "risk") == ("10.96.0.10",)


async def test_of_a_listed_hosts_addresses_those_forbidden_to_all_are_left_out() -> None:
    """As of a gateway that has a pod on the operator's own node. A public name has no such one."""
    found = reach(Cluster(), parse_allowed(["mixed.example.com:80"]))
    assert await found.find(URL("http://mixed.example.com"), "risk") == (PUBLIC,)
    assert "addresses.allow lacks" in await refusal(found, "https://mixed.example.com")


@pytest.mark.parametrize("url", ["http://home.example.com", "http://127.0.0.1", "http://[::1]:80"])
async def test_what_is_forbidden_to_all_needs_its_network_listed(url: str) -> None:
    words = await refusal(reach(Cluster(), EVERYTHING), url)
    assert "is not connected to: loopback address" in words
    words = await refusal(reach(Cluster()), url)
    assert "loopback address" in words or words.startswith("addresses.allow lacks home")
    opened = reach(Cluster(), parse_allowed(["127.0.0.0/8", "::1/128"]))
    assert await opened.find(URL(url), "risk") in (("127.0.0.1",), ("::1",))


DISGUISED = ("https://[::ffff:10.0.0.1]:6443", "https://[64:ff9b::10.0.0.2]:6443")


async def test_the_apiserver_is_asked_for_nobody_whatever_is_listed() -> None:
    for rules in (["*"], ["10.0.0.0/8"]):
        found = reach(
            Cluster(),
            parse_allowed(rules),
            apiserver="https://api.example.com:6443",
            advertised=advertised,
        )
        for url in (
            "https://10.0.0.1:6443",
            "https://api.example.com:6443",
            "https://10.0.0.2:6443",
            "https://10.0.0.3:6443",
            *(DISGUISED if rules == ["*"] else ()),
        ):
            assert await refusal(found, url) == "that is the apiserver, which is asked for nobody"
        assert await found.find(URL("https://10.0.0.1:443"), "risk") == ("10.0.0.1",)


async def test_with_everything_listed_a_name_is_a_name_servers() -> None:
    client = Cluster(service())
    found = reach(client, EVERYTHING)
    assert await found.find(URL("http://quality.fraud"), "risk") == ("10.96.0.9",)
    assert not found.is_own("http://quality", "risk")
    assert client.requests == []


async def test_where_a_hosts_name_is_a_secret_it_is_not_said() -> None:
    found = reach(Cluster())
    for url, words in (
        ("http://inside.example.com", "addresses.allow lacks its host: "),
        ("http://hidden", "there is no such Service in namespace risk"),
        ("https://nowhere.example.com", "its host is not found"),
        ("https://home.example.com", "cannot connect: its address is not connected to: loopback"),
    ):
        with pytest.raises(SourceError) as caught:
            await found.find(URL(url), "risk", named=False)
        assert str(caught.value).startswith(words)
