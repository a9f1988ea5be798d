"""A real Prometheus answers what pods are scaled by: the load that a server's own text tells.

Each scrape finds all counters grown by what the text says, and `scrapes_total` by one: so a rate
divided by that one's is what the operator itself reads from the text.
"""

import asyncio
import os
import re
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from aiohttp import web
from canarium.core.spec import Protocol, ScalingMetric, ScalingType
from canarium.metrics.counters import Parser
from canarium.metrics.sources.prometheus import PrometheusSource
from canarium.queries.profiles import GRPC_PROFILES, PROFILES
from canarium.queries.scaling import make_query

from testbed.addons.prometheus import run_prometheus
from testbed.programs.ports import find_free_ports
from testbed.programs.processes import ClusterError
from testbed.programs.progress import Progress
from testbed.servers.scraped import end
from tests.naming import make_revision_pod
from tests.unit.outbound.serving import make_local_session

pytestmark = [pytest.mark.timeout(600), pytest.mark.xdist_group("prometheus")]
SECONDS = 120.0
METRICS = Path(__file__).parents[1] / "unit" / "metrics" / "texts"
REVISION = "5d8f7c9b64"
POD = make_revision_pod("fraud", REVISION)
OTHERS = (
    make_revision_pod("fraud", "0123456789"),
    make_revision_pod(f"fraud-{REVISION}-more", REVISION),
)
CUT = {size: make_revision_pod("m" * size, "0123456789") for size in (35, 36, 46, 47, 52)}
"By the length of a model's name: from 36 on Kubernetes cuts those of its pods."

SECONDS_SPENT = {
    "MLServer": 0.625,
    "KServe": 0.2,
    "Triton": 8.0,
    "TensorFlowServing": 0.0012,
    "VLLM": 61.0,
    "BentoML": 0.5,
    "RayServe": 0.75,
    "Prometheus": 3.5,
}
"The sums of durations of inference in the texts."

QUIET = """http_requests_total{handler="/healthz",method="GET",status="2xx"} 400
http_request_duration_seconds_sum{handler="/healthz",method="GET"} 0.4
"""
SILENT = 'nv_inference_request_success{model="fraud",version="1"} 90\n'
GPUS = """DCGM_FI_DEV_GPU_UTIL{gpu="0",namespace="%(namespace)s",pod="%(pod)s"} 90
DCGM_FI_DEV_GPU_UTIL{gpu="1",namespace="%(namespace)s",pod="%(pod)s"} 50
DCGM_FI_DEV_GPU_UTIL{gpu="2",namespace="%(namespace)s",pod="%(second)s"} 10
DCGM_FI_DEV_GPU_UTIL{gpu="3",namespace="%(namespace)s",pod="other"} 100
"""
BY_GRPC = METRICS.parent / "grpc_texts"
CALLED = {f"grpc-{path.stem}": path for path in sorted(BY_GRPC.iterdir())}
"The texts of servers that were called by gRPC, by the namespace in which they are scraped."
TEXTS = {name: (METRICS / f"{name}.txt").read_text() for name in PROFILES} | {
    **{name: path.read_text() for name, path in CALLED.items()},
    "quiet": QUIET,
    "silent": SILENT,
    "empty": "",
    "gpus": GPUS
    % {
        "namespace": "gpus",
        "pod": POD,
        "second": make_revision_pod("fraud", REVISION, random="b5n7k"),
    },
}
COUNTING = [
    {"__metrics_path__": f"/{name}", "__param_pod": pod, "namespace": name, "pod": pod}
    for name in TEXTS
    for pod in (POD, *OTHERS)
    if name != "gpus"
]
COUNTING.append(
    COUNTING[0]
    | {"__metrics_path__": "/BentoML", "namespace": "podmonitor", "endpoint": "metrics"}
    | {"__param_pod": "podmonitor"}
)
COUNTING += [
    {"__metrics_path__": "/MLServer", "__param_pod": pod, "namespace": f"cut-{size}", "pod": pod}
    for size, pod in CUT.items()
]
EXPORTERS = [
    {"__metrics_path__": "/gpus"},
    {"__metrics_path__": "/gpus", "namespace": "gpu-operator", "pod": "dcgm-exporter-abcde"},
]


def grow(text: str, times: int) -> str:
    """The text as it is after so many times what it tells, with a count of them."""

    def multiply(line: re.Match[str]) -> str:
        return f"{line[1]} {float(line[2]) * times}"

    grown = re.sub(r"^([^#\n]+) (\S+)$", multiply, text, flags=re.MULTILINE)
    return f"{grown}scrapes_total {times}\n"


class Servers:
    """All pods behind one port: a text a path, grown with each of a pod's scrapes."""

    def __init__(self) -> None:
        self._scrapes: Counter[tuple[str, str]] = Counter()

    async def answer(self, request: web.Request) -> web.Response:
        name, pod = request.match_info["name"], request.query.get("pod")
        if pod is None:
            return web.Response(text=TEXTS[name])
        self._scrapes[name, pod] += 1
        return web.Response(text=grow(TEXTS[name], self._scrapes[name, pod]))


@pytest.fixture(scope="module")
def servers() -> Servers:
    """They go on counting from one test to the next."""
    return Servers()


@pytest.fixture(scope="module")
def port() -> int:
    return find_free_ports(1)[0]


@pytest.fixture(scope="module")
def prometheus(port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    directory: Path = tmp_path_factory.mktemp("prometheus")
    targets, labelled = [f"127.0.0.1:{port}"], [*COUNTING, *EXPORTERS]
    try:
        with run_prometheus(directory, targets, Progress(), labelled) as address:
            yield address
    except ClusterError as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(str(error))


@pytest.fixture
async def source(prometheus: str, port: int, servers: Servers) -> AsyncIterator[PrometheusSource]:
    """Prometheus, which has scraped every target a few times."""
    app = web.Application()
    app.router.add_get("/{name}", servers.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, reuse_address=True).start()
    async with make_local_session() as session:
        source = PrometheusSource(session, prometheus)
        await await_scrapes(source)
        yield source
    await end(runner)


async def await_scrapes(source: PrometheusSource) -> None:
    wanted = {
        "count(count_over_time(scrapes_total[1m]) > 3)": len(COUNTING),
        "count(up == 1)": len(COUNTING) + len(EXPORTERS),
    }
    async with asyncio.timeout(SECONDS):
        while {query: await source.query_gauge(query) for query in wanted} != wanted:  # noqa: ASYNC110  # nobody tells
            await asyncio.sleep(0.1)


async def read_gauge(source: PrometheusSource, query: str) -> float:
    """What a gauge stands at; it is gone while one scrape came late, and there after the next."""
    async with asyncio.timeout(SECONDS):
        while (found := await source.query_gauge(query)) is None:  # noqa: ASYNC110  # nobody tells
            await asyncio.sleep(0.1)
    return found


async def measure(
    source: PrometheusSource,
    kind: ScalingType,
    profile: str,
    namespace: str = "",
    protocol: Protocol = "HTTP",
) -> float | None:
    """What a metric comes to in the time between two scrapes."""
    namespace = namespace or profile
    metric = ScalingMetric("load", kind, average="1")
    where = {"namespace": namespace, "model": "fraud", "revision": REVISION}
    query = make_query(metric, profile, protocol=protocol, **where)
    scrapes = f'scalar(rate(scrapes_total{{namespace="{namespace}",pod="{POD}"}}[1m]))'
    return await source.query_gauge(f"({query}) / {scrapes}")


async def test_requests_a_second_are_what_the_operator_counts_itself(
    source: PrometheusSource,
) -> None:
    found = {name: await measure(source, "RequestsPerSecond", name) for name in PROFILES}
    counted = {
        name: Parser(profile).parse(TEXTS[name].encode()) for name, profile in PROFILES.items()
    }
    # KServe counts no requests but in its histogram.
    wanted = {name: counters.requests or 39 for name, counters in counted.items()}
    assert found == pytest.approx(wanted, rel=1e-6)


async def test_calls_a_second_are_what_the_operator_counts_itself(
    source: PrometheusSource,
) -> None:
    """One server's REST counters stand beside its gRPC ones, and neither is taken for the other."""
    found, wanted = dict[str, float | None](), dict[str, float]()
    for namespace, path in CALLED.items():
        profile = path.stem
        found[profile] = await measure(
            source, "RequestsPerSecond", profile, namespace, protocol="GRPC"
        )
        wanted[profile] = Parser(GRPC_PROFILES[profile]).parse(path.read_bytes()).requests
    assert found == pytest.approx(wanted, rel=1e-6)
    assert wanted["MLServer"] == 9
    by_http = await measure(source, "RequestsPerSecond", "MLServer", "grpc-MLServer")
    assert by_http == pytest.approx(1, rel=1e-6)


async def test_the_time_spent_on_calls_is_in_seconds(source: PrometheusSource) -> None:
    spent = await measure(source, "Concurrency", "RayServe", "grpc-RayServe", protocol="GRPC")
    assert spent == pytest.approx(0.011, rel=1e-6)


@pytest.mark.parametrize(("size", "pod"), CUT.items())
async def test_a_pod_whose_name_was_cut_has_a_load(
    source: PrometheusSource, size: int, pod: str
) -> None:
    metric = ScalingMetric("load", "RequestsPerSecond", average="1")
    spaces = {"namespace": f"cut-{size}", "model": "m" * size, "revision": "0123456789"}
    query = make_query(metric, "MLServer", protocol="HTTP", **spaces)
    scrapes = f'scalar(rate(scrapes_total{{namespace="cut-{size}",pod="{pod}"}}[1m]))'
    wanted = Parser(PROFILES["MLServer"]).parse(TEXTS["MLServer"].encode()).requests
    assert await source.query_gauge(f"({query}) / {scrapes}") == pytest.approx(wanted, rel=1e-6)


async def test_requests_under_way_are_seconds_spent_in_a_second(source: PrometheusSource) -> None:
    found = {name: await measure(source, "Concurrency", name) for name in SECONDS_SPENT}
    assert found == pytest.approx(SECONDS_SPENT, rel=1e-6)
    assert set(PROFILES) - set(SECONDS_SPENT) == {"TorchServe"}


@pytest.mark.parametrize("kind", ["RequestsPerSecond", "Concurrency"])
async def test_pods_that_answered_nothing_but_probes_have_no_load(
    source: PrometheusSource, kind: ScalingType
) -> None:
    assert await measure(source, kind, "Prometheus", "quiet") == 0
    assert await measure(source, kind, "MLServer", "empty") == 0


@pytest.mark.parametrize("kind", ["RequestsPerSecond", "Concurrency"])
async def test_what_nobody_scrapes_has_no_figure(
    source: PrometheusSource, kind: ScalingType
) -> None:
    metric = ScalingMetric("load", kind, average="1")
    query = make_query(metric, "MLServer", namespace="nobody", model="fraud", revision=REVISION)
    assert await source.query_gauge(query) is None


async def test_a_server_that_tells_no_durations_may_be_busy(source: PrometheusSource) -> None:
    assert await measure(source, "Concurrency", "Triton", "silent") is None
    assert await measure(source, "RequestsPerSecond", "Triton", "silent") == pytest.approx(90)


async def test_a_label_of_prometheus_operators_own_is_no_route(source: PrometheusSource) -> None:
    found = await measure(source, "RequestsPerSecond", "BentoML", "podmonitor")
    assert found == pytest.approx(56)


async def test_a_pods_gpus_count_on_average_whoever_labels_them(source: PrometheusSource) -> None:
    metric = ScalingMetric("gpu", "GPU", average="80")
    query = make_query(metric, "", namespace="gpus", model="fraud", revision=REVISION)
    honoured = query.replace("exported_", "renamed_")
    assert await read_gauge(source, honoured) == 80.0
    assert await read_gauge(source, query) == 80.0
