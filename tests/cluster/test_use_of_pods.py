"""A real Prometheus answers what is asked of it about use and prices, and adds up as is meant."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from aiohttp import web
from canarium.cost.consumption import Question, make_predictions_queries, read_prometheus
from canarium.cost.usage import PriceList, Prices
from canarium.metrics.own_profiles import parse_profiles
from canarium.metrics.sources.prometheus import PrometheusSource
from canarium.queries.profiles import PROFILES

from testbed.addons.prometheus import run_prometheus
from testbed.programs.ports import find_free_ports
from testbed.programs.processes import ClusterError
from testbed.programs.progress import Progress
from testbed.servers.scraped import end
from tests.unit.outbound.serving import make_local_session

pytestmark = [pytest.mark.timeout(600), pytest.mark.xdist_group("prometheus")]

A, B, C = ("risk", "a"), ("risk", "b"), ("risk", "c")
OWN = """
requests: own_total
failures: own_failed_total
counting: Successes
routes: {labels: [handler, path], only: ["/predict/*/now", /score], except: ["*/health/*"]}
labels: {model: "fraud*"}
methods: [POST]
"""
GAUGES = """
DCGM_FI_DEV_GPU_UTIL{gpu="0",namespace="risk",pod="a"} 50
DCGM_FI_DEV_GPU_UTIL{gpu="1",namespace="risk",pod="a"} 25
DCGM_FI_DEV_GPU_UTIL{gpu="2",namespace="gpu",pod="x",exported_namespace="risk",exported_pod="b"} 100
DCGM_FI_DEV_GPU_UTIL{gpu="3",namespace="risk",pod="stranger"} 100
DCGM_FI_DEV_GPU_UTIL{gpu="4",namespace="elsewhere",pod="a"} 100
node_cpu_hourly_cost{node="n1",arch="amd64"} 0.031611
node_ram_hourly_cost{node="n1",arch="amd64"} 0.004237
node_gpu_hourly_cost{node="n1",arch="amd64"} 0.95
node_cpu_hourly_cost{node="n2"} 0.02
"""
COUNTERS = {
    'rest_server_requests_total{pod="a",method="POST",path="/v2/models/m/infer"': 10,
    'rest_server_requests_total{pod="a",method="POST",path="/v2/models/n/infer"': 5,
    'rest_server_requests_total{pod="a",method="GET",path="/v2/health/ready"': 1000,
    'rest_server_requests_total{pod="stranger",method="POST",path="/invocations"': 1000,
    'own_total{pod="b",model="fraud-1",method="POST",handler="/predict/x/now"': 4,
    'own_total{pod="b",model="fraud-1",path="/score"': 3,
    'own_total{pod="b",model="fraud-1",method="POST",path="/predict/health/now"': 1000,
    'own_total{pod="b",model="spam",method="POST",path="/score"': 1000,
    'own_total{pod="b",model="fraud",method="GET",path="/score"': 1000,
    'own_total{pod="b",model="fraud",handler="/other",path="/score"': 1000,
    'own_total{pod="b",model="fraud"': 2,
    'own_failed_total{pod="b",model="fraud"': 1,
}
"What is added to each series at a time, all of the namespace `risk`."


LOOKS = 12


class Endpoint:
    """What Prometheus scrapes: counters that grow with each look at them, for some looks.

    Then they rest, so that it doesn't matter at which moment each query is answered.
    """

    def __init__(self) -> None:
        self.looks = 0
        self.rests = asyncio.Event()

    async def answer(self, _: web.Request) -> web.Response:
        self.looks += 1
        if self.looks > LOOKS:
            self.rests.set()
        grown = min(self.looks, LOOKS)
        counters = [
            f'{series},namespace="risk"}} {rate * grown}' for series, rate in COUNTERS.items()
        ]
        return web.Response(text="\n".join((*counters, GAUGES.strip(), "")))


@pytest.fixture(scope="module")
def port() -> int:
    return find_free_ports(1)[0]


@pytest.fixture(scope="module")
def address(port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    directory: Path = tmp_path_factory.mktemp("prometheus")
    try:
        with run_prometheus(directory, [f"127.0.0.1:{port}"], Progress()) as found:
            yield found
    except ClusterError as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(str(error))


@pytest.fixture
async def scraped(port: int) -> AsyncIterator[Endpoint]:
    """The endpoint, after some scrapes."""
    endpoint, application = Endpoint(), web.Application()
    application.router.add_get("/metrics", endpoint.answer)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    yield endpoint
    await end(runner)


async def test_gpus_predictions_and_prices_are_those_of_the_pods_that_were_asked_about(
    address: str, scraped: Endpoint
) -> None:
    own, problems = parse_profiles({"own": OWN})
    assert not problems
    question = Question({A, B}, ((PROFILES["MLServer"], {A}), (own["own"], {B, C})))
    await asyncio.wait_for(scraped.rests.wait(), 120)
    async with make_local_session() as session:
        found = await read_prometheus(PrometheusSource(session, address), question, None, 0.0)
    assert found.reasons == {}
    assert found.gpus == {A: Decimal("0.75"), B: Decimal(1)}
    assert found.prices == PriceList(
        nodes={
            "n1": Prices(Decimal("0.031611"), Decimal("0.004237"), Decimal("0.95")),
            "n2": Prices(Decimal("0.02")),
        }
    )
    # All series began together, so their rates are as their steps, however short the time is.
    assert found.predictions is not None
    assert found.predictions.keys() == {A, B}
    assert float(found.predictions[A] / found.predictions[B]) == pytest.approx(15 / 10, rel=0.05)


@pytest.mark.parametrize("name", PROFILES)
async def test_the_query_of_every_profile_is_one_that_prometheus_reads(
    address: str, name: str
) -> None:
    async with make_local_session() as session:
        for query in make_predictions_queries(PROFILES[name], {"risk", "other-1"}):
            await PrometheusSource(session, address).query_series(query)
