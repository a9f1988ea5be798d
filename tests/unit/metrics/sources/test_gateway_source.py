"""What gateways say of each revision's Service."""

import asyncio
from collections.abc import Callable, Sequence
from itertools import count
from math import inf

import aiohttp
import pytest
from aiohttp import web
from canarium.core.names import child_name, make_revision_id
from canarium.core.plan import GatewayKind
from canarium.judge import Reading, Sample
from canarium.metrics.counters import Counters
from canarium.metrics.sources.gateway import (
    MAX_PODS,
    Backend,
    GatewayMeter,
    GatewaySource,
    look_up,
    make_parser,
)
from canarium.metrics.sources.pods import Measurement, ScrapeError
from canarium.outbound.errors import SourceError
from canarium.outbound.fetching import Limits
from canarium.outbound.sharing import Room

from tests.naming import make_traefik_services
from tests.unit.outbound.serving import answering, make_local_session, serving

OLD, NEW = "fraud-5d8f7c9b64", "fraud-7b9d6f5c88"
STABLE = Backend("risk", OLD, "fraud")
CANARY = Backend("risk", NEW, "fraud")

ROUTE = "httproute-risk-fraud-gw-gateways-public-ep-web-0-svc-risk"

# As Traefik 3.7 names Services that an HTTPRoute leads to, and those of its own kinds.
TRAEFIK = f"""# TYPE traefik_service_requests_total counter
traefik_service_requests_total{{code="200",method="GET",protocol="http",service="{ROUTE}-{OLD}-0@kubernetesgateway"}} 900
traefik_service_requests_total{{code="200",method="GET",protocol="http",service="{ROUTE}-{NEW}-1@kubernetesgateway"}} 80
traefik_service_requests_total{{code="503",method="GET",protocol="http",service="{ROUTE}-{NEW}-1@kubernetesgateway"}} 5
traefik_service_requests_total{{code="404",method="GET",protocol="http",service="{ROUTE}-{NEW}-1@kubernetesgateway"}} 3
traefik_service_requests_total{{code="502",method="POST",protocol="http",service="risk-{NEW}-80@kubernetescrd"}} 2
traefik_service_requests_total{{code="2",method="POST",protocol="grpc",service="risk-{NEW}-80@kubernetescrd"}} 4
traefik_service_requests_total{{code="13",method="POST",protocol="grpc",service="risk-{NEW}-80@kubernetescrd"}} 6
traefik_service_requests_total{{code="500",method="GET",protocol="http",service="other-{NEW}-80@kubernetescrd"}} 99
traefik_service_requests_total{{code="500",method="GET",protocol="http",service="httproute-other-fraud-gw-gateways-public-ep-web-0-svc-other-{NEW}-1@kubernetesgateway"}} 99
traefik_service_requests_total{{code="500",method="GET",protocol="http",service="risk-{NEW}-x-80@kubernetescrd"}} 99
traefik_service_request_duration_seconds_bucket{{code="200",method="GET",protocol="http",service="{ROUTE}-{NEW}-1@kubernetesgateway",le="0.1"}} 70
traefik_service_request_duration_seconds_bucket{{code="200",method="GET",protocol="http",service="{ROUTE}-{NEW}-1@kubernetesgateway",le="+Inf"}} 80
"""  # noqa: E501  # a gateway's own lines


def istio(service: str, code: int, count: int, reporter: str = "source") -> str:
    labels = (
        f'reporter="{reporter}",source_workload="gateway",response_code="{code}",'
        f'destination_service="{service}.risk.svc.cluster.local",'
        f'destination_service_name="{service}",destination_service_namespace="risk"'
    )
    name = "istio_request_duration_milliseconds_bucket"
    return (
        f"istio_requests_total{{{labels}}} {count}\n"
        f'{name}{{{labels},le="250"}} {count - 1}\n{name}{{{labels},le="+Inf"}} {count}\n'
    )


ISTIO = istio(OLD, 200, 900) + istio(NEW, 200, 80) + istio(NEW, 503, 5) + istio(NEW, 500, 9, "none")


@pytest.mark.parametrize(
    ("kind", "text", "wanted"),
    [
        ("Traefik", TRAEFIK, Counters(90, 7, ((0.1, 70), (inf, 80)))),
        ("Istio", ISTIO, Counters(85, 5, ((0.25, 83), (inf, 85)))),
    ],
)
def test_only_what_was_sent_to_the_service_is_counted(
    kind: GatewayKind, text: str, wanted: Counters
) -> None:
    assert make_parser(kind, CANARY).parse(text.encode()) == wanted


def test_names_are_spelled_as_traefik_spells_them() -> None:
    backend = Backend("a--b", "m--x", "m")
    line = (
        'traefik_service_requests_total{code="200",service="httproute-a-b-m-gw-g-g-ep-web-0'
        '-svc-a--b-m--x-0@kubernetesgateway"} 5'
    )
    assert make_parser("Traefik", backend).parse(line.encode()) == Counters(5, 0)


class Gateway:
    """Pods of a gateway by their address; each answers with its own counts, or an error."""

    def __init__(self) -> None:
        self.stands: dict[str, tuple[int, int] | None] = {}
        self.asked: list[tuple[str, str]] = []

    async def resolve(self, host: str, port: int) -> Sequence[str]:
        return tuple(self.stands)

    async def answer(self, request: web.Request) -> web.Response:
        assert request.transport is not None
        address = request.transport.get_extra_info("sockname")[0]
        self.asked.append((address, request.headers["Host"]))
        stand = self.stands[address]
        if stand is None:
            return web.Response(status=503)
        return web.Response(text=istio(OLD, 200, stand[0]) + istio(NEW, 500, stand[1]))


def ticking() -> Callable[[], float]:
    """A clock that goes on by ten seconds each time it is looked at."""
    return count(0.0, 10.0).__next__


async def test_all_pods_of_a_gateway_are_followed_one_by_one() -> None:
    gateway, clock = Gateway(), iter([100.0, 110.0, 120.0, 130.0])
    async with serving(gateway.answer, "0.0.0.0") as url, make_local_session() as session:  # noqa: S104
        port = url.rsplit(":", 1)[1].strip("/")
        source = GatewaySource(
            session, f"http://gateway:{port}/metrics", resolve=gateway.resolve, clock=ticking()
        )
        meter = GatewayMeter(source, "Istio", clock=lambda: next(clock))
        gateway.stands = {"127.0.0.1": (100, 10), "127.0.0.2": (200, 20)}
        baseline = await meter.measure(STABLE, CANARY)
        gateway.stands = {"127.0.0.1": (105, 11), "127.0.0.2": None}
        one_failed = await meter.measure(STABLE, CANARY)
        gateway.stands = {"127.0.0.1": (105, 11), "127.0.0.2": (204, 22), "127.0.0.3": (9, 9)}
        caught_up = await meter.measure(STABLE, CANARY)
    assert baseline == Measurement(Reading(0.0, None, None))
    assert one_failed == Measurement(
        Reading(10.0, Sample(5, 0, ((0.25, 5), (inf, 5))), Sample(1, 1, ((0.25, 1), (inf, 1)))),
        (ScrapeError("127.0.0.2", "", "HTTP status 503"),),
    )
    assert caught_up == Measurement(
        Reading(10.0, Sample(4, 0, ((0.25, 4), (inf, 4))), Sample(2, 2, ((0.25, 2), (inf, 2))))
    )
    assert gateway.asked[0] == ("127.0.0.1", f"gateway:{port}")


async def test_a_gateway_none_of_whose_pods_can_be_read_is_an_error() -> None:
    gateway = Gateway()
    async with serving(gateway.answer) as url, make_local_session() as session:
        gateway.stands = {"127.0.0.1": None}
        source = GatewaySource(session, url, resolve=gateway.resolve, clock=ticking())
        meter = GatewayMeter(source, "Istio")
        with pytest.raises(SourceError, match="HTTP status 503"):
            await meter.measure(STABLE, CANARY)
        gateway.stands = {}
        with pytest.raises(SourceError, match="nobody answers"):
            await meter.measure(STABLE, CANARY)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("<html>", "isn't metrics"),
        ("", "an empty answer"),
        (ISTIO.replace(" 85", " NaN").replace(" 80", " NaN"), "isn't a count"),
        (" " * 6_000, "longer than 5000 bytes"),
    ],
)
async def test_what_is_no_metrics_is_an_error(body: str, message: str) -> None:
    async with serving(answering(body)) as url, make_local_session() as session:
        source = GatewaySource(session, url, limits=Limits(max_bytes=5_000))
        with pytest.raises(SourceError, match=message):
            await GatewayMeter(source, "Istio").measure(None, CANARY)


async def test_a_host_that_is_not_found_is_an_error() -> None:
    with pytest.raises(SourceError, match=r"no-such-host\.invalid is not found: "):
        await look_up("no-such-host.invalid", 80, room=Room(1, 1))


async def test_a_host_is_looked_up_to_all_its_addresses() -> None:
    assert "127.0.0.1" in await look_up("localhost", 80, room=Room(1, 1))


async def test_there_is_an_end_to_how_many_pods_are_asked() -> None:
    asked = []

    async def handler(request: web.Request) -> web.Response:
        assert request.transport is not None
        asked.append(request.transport.get_extra_info("sockname")[0])
        return web.Response(text=ISTIO)

    async def resolve(host: str, port: int) -> Sequence[str]:
        return [f"127.0.0.{number}" for number in range(1, 2 * MAX_PODS)]

    async with serving(handler, "0.0.0.0") as url, make_local_session() as session:  # noqa: S104
        await GatewaySource(session, url, resolve=resolve).count("Istio", [CANARY])
    assert len(asked) == MAX_PODS


async def test_a_gateway_that_hangs_costs_its_deadline_and_no_more() -> None:
    async def handler(_: web.Request) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    async with serving(handler) as url, make_local_session() as session:
        source = GatewaySource(session, url, limits=Limits(timeout_seconds=0.05))
        with pytest.raises(SourceError, match=r"no answer within 0\.05 s"):
            await GatewayMeter(source, "Traefik").measure(STABLE, CANARY)


async def test_an_address_without_a_host_is_refused() -> None:
    async with aiohttp.ClientSession() as session:
        with pytest.raises(ValueError, match="not an address"):
            GatewaySource(session, "traefik:8080")


async def test_rollouts_that_ask_at_the_same_time_share_one_answer() -> None:
    asked = []
    everybody_asked = asyncio.Event()

    async def handler(request: web.Request) -> web.Response:
        asked.append(request.path)
        await everybody_asked.wait()
        return web.Response(text=ISTIO)

    times = iter([0.0, 0.4, 0.9, 1.0])
    async with serving(handler) as url, make_local_session() as session:
        source = GatewaySource(session, url, clock=lambda: next(times))
        impatient, patient = (
            asyncio.create_task(source.count("Istio", [CANARY])) for _ in range(2)
        )
        await asyncio.sleep(0)
        impatient.cancel()
        everybody_asked.set()
        first = await patient
        assert await source.count("Istio", [CANARY]) is first
        assert len(asked) == 1
        assert await source.count("Istio", [CANARY]) == first
    assert len(asked) == 2


async def test_all_that_is_wanted_is_counted_in_one_look_at_a_time() -> None:
    """Who comes while others' pages are read waits for the next look, which is for all."""
    asked, is_asked, open_door = [], asyncio.Event(), asyncio.Event()
    third = Backend("risk", "fraud-3333333333", "fraud")

    async def handler(request: web.Request) -> web.Response:
        asked.append(request.path)
        is_asked.set()
        await open_door.wait()
        return web.Response(text=ISTIO + istio(third.service, 200, 7))

    async with serving(handler) as url, make_local_session() as session:
        source = GatewaySource(session, url, clock=lambda: 5.0)
        first = asyncio.create_task(source.count("Istio", [CANARY]))
        await is_asked.wait()
        others = [asyncio.create_task(source.count("Istio", [each])) for each in (STABLE, third)]
        await asyncio.sleep(0)
        open_door.set()
        await first
        (second,) = (await others[0]).values()
        assert await others[1] == await others[0]
    assert len(asked) == 2
    assert not isinstance(second, SourceError)
    found = {key[1]: counters.requests for key, counters in second.items()}  # type: ignore[union-attr]
    assert found == {CANARY: 85, STABLE: 900, third: 7}


async def test_what_nobody_asks_for_any_more_is_forgotten() -> None:
    times = iter([0.0, 100.0])
    async with serving(answering(ISTIO)) as url, make_local_session() as session:
        source = GatewaySource(session, url, clock=lambda: next(times))
        await source.count("Istio", [STABLE, CANARY])
        (answer,) = (await source.count("Istio", [CANARY])).values()
    assert not isinstance(answer, SourceError)
    assert list(answer) == [("Istio", CANARY)]
    assert list(source._wanted) == [("Istio", CANARY)]


async def test_addresses_that_come_and_go_are_forgotten() -> None:
    number = count(1)

    async def resolve(host: str, port: int) -> Sequence[str]:
        return [f"127.0.0.{next(number)}"]

    async with serving(answering(ISTIO), "0.0.0.0") as url, make_local_session() as session:  # noqa: S104
        source = GatewaySource(session, url, resolve=resolve, clock=ticking())
        meter = GatewayMeter(source, "Istio")
        for _ in range(5):
            await meter.measure(None, CANARY)
    assert [list(each._last) for each in meter._trackers.values()] == [["127.0.0.5"]]


# gRPC


def test_traefiks_code_of_a_grpc_call_tells_nothing() -> None:
    """Run with Traefik 3.7.15: OK, UNKNOWN, and no pod there at all are each `code="2"`."""
    service = f'service="risk-{NEW}-80@kubernetescrd"'
    text = (
        f'traefik_service_requests_total{{code="2",method="POST",protocol="grpc",{service}}} 15\n'
        f'traefik_service_requests_total{{code="200",method="GET",protocol="http",{service}}} 3\n'
    )
    assert make_parser("Traefik", CANARY).parse(text.encode()) == Counters(3, 0)


def istio_call(code: str, count: int, response: int = 200) -> str:
    return (
        f'istio_requests_total{{reporter="source",request_protocol="grpc",response_code="{response}"'
        f',grpc_response_status="{code}",destination_service_name="{NEW}"'
        f',destination_service_namespace="risk"}} {count}\n'
    )


@pytest.mark.parametrize(
    ("code", "fails"),
    [(str(code), code in (2, 4, 12, 13, 14, 15)) for code in range(17)]
    + [("", False), ("OK", False), ("INTERNAL", True), ("Internal", True), ("130", False)],
)
def test_of_istio_a_grpc_call_that_failed_is_an_error_though_its_answer_was_200(
    code: str, fails: bool
) -> None:
    counters = make_parser("Istio", CANARY).parse(istio_call(code, 7).encode())
    assert counters == Counters(7, 7 if fails else 0)


async def test_a_gateway_without_the_counter_is_no_data_by_name() -> None:
    async with (
        make_local_session() as session,
        serving(answering("traefik_open_connections 3\n", content_type="text/plain")) as url,
    ):
        meter = GatewayMeter(GatewaySource(session, url), "Traefik")
        await meter.measure(STABLE, CANARY)
        measurement = await meter.measure(STABLE, CANARY)
    assert measurement.reading.canary == Sample(None, None)
    assert [(each.name, each.counts) for each in measurement.missing] == [
        ("traefik_service_requests_total", "Answers"),
        ("traefik_service_request_duration_seconds", "Durations"),
    ]


COUNTED = "traefik_service_requests_total"


@pytest.mark.parametrize("source", ["{}", '{"server":{"image":"fraud:7"}}'])
def test_names_that_a_hyphen_joins_alike_are_not_counted_for_each_other(source: str) -> None:
    """Of one and the same spec in both places: the revisions' names tell them apart."""
    mine = child_name("dev-fraud", make_revision_id("risk/dev-fraud", source))
    others = child_name("fraud", make_revision_id("risk-dev/fraud", source))
    parser = make_parser("Traefik", Backend("risk", mine, "dev-fraud"))
    said = {
        service: parser.parse(
            f'{COUNTED}{{code="500",protocol="http",service="{service}"}} 7\n'.encode()
        )
        for service in (
            *make_traefik_services("risk-dev", "fraud", others, "gateways-public"),
            *make_traefik_services("risk", "dev-fraud", mine, "gateways-public"),
        )
    }
    assert [counted.requests for counted in said.values()] == [0] * 4 + [7] * 4
