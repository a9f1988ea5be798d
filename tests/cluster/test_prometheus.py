"""A real Prometheus takes the queries that are rendered, and answers what is meant."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import yaml
from aiohttp import web
from canarium.api import parse_template
from canarium.cli.commands.templates import read_templates
from canarium.core.names import pod_names
from canarium.judge.sequential import Counts
from canarium.metrics.counting import CountsTracker, Labels
from canarium.metrics.sources.prometheus import PrometheusSource
from canarium.outbound.errors import SourceError
from canarium.queries.promql import Pattern, Template
from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

from testbed.addons.prometheus import run_prometheus
from testbed.programs.ports import find_free_ports
from testbed.programs.processes import ClusterError
from testbed.programs.progress import Progress
from testbed.servers.scraped import end
from tests.unit.outbound.serving import make_local_session
from tests.unit.queries.test_promql import HOSTILE

pytestmark = [pytest.mark.timeout(600), pytest.mark.xdist_group("prometheus")]
SECONDS = 120.0
SHIPPED = read_templates()
MODELS = [model for model in HOSTILE if model]


@pytest.fixture(scope="module")
def port() -> int:
    """Where the answers are counted; Prometheus scrapes it from the start."""
    return find_free_ports(1)[0]


@pytest.fixture(scope="module")
def prometheus(port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    directory: Path = tmp_path_factory.mktemp("prometheus")
    try:
        with run_prometheus(directory, [f"127.0.0.1:{port}"], Progress()) as address:
            yield address
    except ClusterError as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(str(error))


class Endpoint:
    """What Prometheus scrapes."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.answers = Counter("answers", "x", ["model", "code"], registry=self.registry)
        self.drift = Gauge("drift", "x", ["model"], registry=self.registry)

    async def answer(self, _: web.Request) -> web.Response:
        return web.Response(body=generate_latest(self.registry))


@pytest.fixture
async def endpoint(port: int) -> AsyncIterator[Endpoint]:
    endpoint, app = Endpoint(), web.Application()
    app.router.add_get("/metrics", endpoint.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, reuse_address=True).start()
    yield endpoint
    await end(runner)


@pytest.fixture
async def source(prometheus: str) -> AsyncIterator[PrometheusSource]:
    async with make_local_session() as session:
        yield PrometheusSource(session, prometheus)


async def await_series(source: PrometheusSource, query: str, wanted: float) -> None:
    """Wait until the sum of a query's series is what was counted."""
    async with asyncio.timeout(SECONDS):
        while sum((await source.query_series(query)).values()) != wanted:  # noqa: ASYNC110  # nobody tells
            await asyncio.sleep(0.1)


def read_models(series: dict[Labels, float]) -> list[str]:
    return sorted(dict(labels)["model"] for labels in series)


async def test_whatever_a_model_is_called_only_its_own_series_are_found(
    source: PrometheusSource, endpoint: Endpoint
) -> None:
    for model in MODELS:
        endpoint.answers.labels(model=model, code="200").inc()
    await await_series(source, "answers_total", len(MODELS))
    for matcher in ("='{{model}}'", '="{{model}}"', "=~'{{model}}'", '=~"(?:{{model}}|-)"'):
        template = Template(f"answers_total{{model{matcher}}}")
        for model in MODELS:
            found = await source.query_series(template.render({"model": model}))
            assert read_models(found) == [model], template.text


async def test_what_is_rendered_outside_of_strings_is_taken(
    source: PrometheusSource, endpoint: Endpoint
) -> None:
    endpoint.drift.labels(model="a").set(2.5)
    text = 'max_over_time(drift{model=~"{{model}}|b"}[{{interval}}:{{step}}]) ^ {{power}}'
    values = {"model": "a", "interval": "1m30s", "step": "1s", "power": "-1e0"}
    await await_series(source, Template(text).render(values), 0.4)


async def test_counters_become_counts_since_the_last_reading(
    source: PrometheusSource, endpoint: Endpoint
) -> None:
    bad, total = 'answers_total{code=~"5.."}', "answers_total"
    tracker = CountsTracker()
    endpoint.answers.labels(model="a", code="200").inc(100)
    await await_series(source, total, 100)
    assert tracker.compute_counts({}, await source.query_series(total)) is None
    endpoint.answers.labels(model="a", code="200").inc(7)
    endpoint.answers.labels(model="a", code="500").inc(3)
    await await_series(source, total, 110)
    series = [await source.query_series(query) for query in (bad, total)]
    assert tracker.compute_counts(*series) == Counts(3, 10)


async def test_what_is_no_number_is_no_data_or_told(
    source: PrometheusSource, endpoint: Endpoint
) -> None:
    endpoint.drift.labels(model="a").set(float("nan"))
    endpoint.drift.labels(model="b").set(float("inf"))
    endpoint.drift.labels(model="c").set(7)
    await await_series(source, 'drift{model="c"}', 7)
    assert await source.query_gauge('drift{model="a"}') is None
    assert await source.query_gauge('drift{model="b"}') is None
    assert await source.query_gauge('drift{model="nobody"}') is None
    assert await source.query_gauge("vector(5)") == 5.0
    assert await source.query_gauge("5") == 5.0
    assert await source.query_gauge("0 / 0") is None


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("vector(1) or label_replace(vector(2), 'a', 'b', '', '')", "2 series where one is"),
        ("drift[5m]", "the query gives a matrix, not numbers (wrap a range in a function)"),
        ("'text'", "the query gives a string, not numbers"),
        ("sum(", "the query was refused: "),
    ],
)
async def test_what_is_no_answer_is_an_error_with_its_reason(
    source: PrometheusSource, query: str, message: str
) -> None:
    with pytest.raises(SourceError) as caught:
        await source.query_gauge(query)
    assert message in str(caught.value)


@pytest.mark.parametrize("name", SHIPPED)
async def test_a_shipped_template_is_a_query_that_prometheus_takes(
    source: PrometheusSource, name: str
) -> None:
    spec = parse_template(yaml.safe_load(SHIPPED[name])["spec"])
    values = {argument.name: argument.default or "0.25" for argument in spec.arguments}
    given: dict[str, str] = {
        "namespace": "risk",
        "service": "fraud-5d8f7c9b64",
        "model": "fraud",
    }
    given["pods"] = Pattern(pod_names("fraud-5d8f7c9b64"))
    for text in spec.query.texts:
        query = Template(text).render({**given, "revision": "5d8f7c9b64", **values})
        assert await source.query_series(query) == {}
