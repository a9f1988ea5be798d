import asyncio
import base64
import gc
import threading
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import pytest
from aiohttp import web
from canarium.core.allowed_addresses import parse_allowed
from canarium.core.lending import TenantQueries
from canarium.core.metrics import Argument, MetricQuery, TemplateKey
from canarium.core.plan import Measure
from canarium.core.spec import PrometheusQuery, Query, WebQuery
from canarium.errors import ApiError
from canarium.judge import Counts, Metric
from canarium.metrics.sessions.readers import (
    MetricAnswers,
    MetricReader,
    check_query,
    describe_source,
    make_reader,
)
from canarium.metrics.sources import web as web_source
from canarium.metrics.sources.asking import MetricSources
from canarium.metrics.sources.web import fill_url
from canarium.outbound.credentials import Secrets
from canarium.outbound.errors import SourceError
from canarium.outbound.fetching import Answer
from canarium.outbound.reach import Reach

from tests.unit.kube.fake import FakeClient
from tests.unit.metrics.sessions.answering import Asked, asking, serving, vector
from tests.unit.outbound.serving import serving as serving_by

FRAUD = ("risk", "fraud")
STABLE, CANARY = "5d8f7c9b64", "7b9d6f5c88"
STEP = Measure("step-1", (), 10, 1.0, 0.0, CANARY, STABLE, canary_version="7", stable_version="6")


def metric_query(query: Query, *arguments: Argument) -> MetricQuery:
    made = Metric("mine", "Ratio" if query.total else "Gauge", max=0.5, source="metric:mine")
    return MetricQuery(made, query, 10.0, arguments)


def reader(sources: MetricSources, wanted: MetricQuery, step: Measure = STEP) -> MetricReader:
    return make_reader(sources, FRAUD, step, wanted)


def secrets(**data: str) -> Secrets:
    client = FakeClient()
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    client.add({"kind": "Secret", "metadata": {"name": "key"}, "data": encoded})
    return Secrets(client)


def of_revisions(stable: Any, canary: Any) -> Callable[[Asked], Any]:
    """Answers by the revision that is named in what was asked."""
    return lambda asked: canary if CANARY in asked.path + asked.form.get("query", "") else stable


async def test_a_gauge_is_asked_of_both_revisions_with_everything_filled_in() -> None:
    query = PrometheusQuery(
        'gpu{ns="{{namespace}}",m="{{model}}",v="{{version}}",s="{{service}}",x=~"{{x}}"}[{{w}}]'
    )
    wanted = metric_query(query, Argument("x", 'a"b|c'), Argument("w", "5m", "Duration"))
    answer = of_revisions(vector(({}, 3)), vector(({}, "4.5")))
    async with serving(answer) as server, asking(secrets()) as sources:
        wanted = replace(wanted, query=replace(query, address=server.url))
        assert await reader(sources, wanted).ask() == MetricAnswers(3.0, 4.5)
    assert {asked.form["query"] for asked in server.asked} == {
        f'gpu{{ns="risk",m="fraud",v="{version}",s="fraud-{revision}",x=~"(?:a\\"b\\\\|c)"}}[5m]'
        for version, revision in (("6", STABLE), ("7", CANARY))
    }


async def test_without_a_stable_beside_only_the_canary_is_asked_about() -> None:
    query = PrometheusQuery('gpu{revision="{{revision}}"}')
    alone = Measure("guard", (), 10, 1.0, 0.0, CANARY, None)
    async with serving(lambda _: vector(({}, 1))) as server, asking(secrets()) as sources:
        wanted = metric_query(PrometheusQuery(query.query, address=server.url))
        assert await reader(sources, wanted, alone).ask() == MetricAnswers(None, 1.0)
        assert len(server.asked) == 1


async def test_counters_are_told_by_what_they_grew_from_the_second_reading_on() -> None:
    standing = {"refused": 5.0, "asked": 100.0}

    def answer(asked: Asked) -> Any:
        name = asked.form["query"].partition("{")[0]
        more = 10.0 if CANARY in asked.form["query"] else 0.0
        return vector(({"pod": "a"}, standing[name] + more), ({"pod": "b"}, 1))

    query = PrometheusQuery(
        bad='refused{revision="{{revision}}"}', total='asked{revision="{{revision}}"}'
    )
    async with serving(answer) as server, asking(secrets(), server.url) as sources:
        it = reader(sources, metric_query(query))
        assert await it.ask() == MetricAnswers(None, None)
        standing.update(refused=7.0, asked=140.0)
        assert await it.ask() == MetricAnswers(Counts(2, 40), Counts(2, 40))
    assert {asked.form["time"] for asked in server.asked} == {"1000.000"}


@pytest.mark.parametrize("marked", ["bad", "good"])
async def test_no_series_is_none_only_of_a_metric_that_there_is(marked: str) -> None:
    """A misspelt counter of refusals would never find one; of clicks, it would find nobody's."""
    known = list[Any]()

    def answer(asked: Asked) -> Any:
        query = asked.form["query"]
        if query.startswith("group"):
            assert query == 'group({__name__=~"refused_totl",namespace="risk"})'
            return vector(*known)
        return vector(({}, 100)) if query.startswith("asked") else vector()

    name = "refused_totl{}"
    bad = PrometheusQuery(bad=name, total="asked_total{}")
    query = bad if marked == "bad" else PrometheusQuery(good=name, total="asked_total{}")
    async with serving(answer) as server, asking(secrets(), server.url) as sources:
        it = reader(sources, metric_query(query))
        with pytest.raises(SourceError) as caught:
            await it.ask()
        known.append(({}, 1))
        assert await it.ask() == MetricAnswers(None, None)
        await it.ask()
    assert str(caught.value) == (
        "Prometheus has no refused_totl of namespace risk: is it counted under another name?"
    )
    asked = [each.form["query"] for each in server.asked]
    assert sum(query.startswith("group") for query in asked) == 4, "once known, of each side"


async def look_up(host: str, _port: int) -> tuple[str, ...]:
    return (host.removesuffix(".example"),)


def make_service(*addresses: str) -> dict[str, Any]:
    spec = {"selector": {"app": "quality"}, "clusterIPs": [*addresses]}
    return {"kind": "Service", "metadata": {"name": "quality"}, "spec": spec}


def reaching(sources: MetricSources, rules: Sequence[str] = ()) -> MetricSources:
    """The same for namespaces that may have their own Services asked, and what is listed."""
    client = FakeClient()
    client.add(make_service("127.0.0.9", "127.0.0.1"))
    return replace(sources, reach=Reach(client, parse_allowed(rules), look_up))


@pytest.mark.parametrize("source", ["web", "prometheus"])
async def test_a_service_of_the_own_namespace_is_asked_under_its_name(source: str) -> None:
    """The first of its addresses has nobody listening."""
    async with serving(lambda _: vector(({}, 1))) as server, asking(secrets()) as sources:
        address = server.url.replace("127.0.0.1", "quality.risk.svc")
        web = WebQuery(address, value="$.data.result[0].value[1]")
        query = web if source == "web" else PrometheusQuery("gpu", address=address)
        it = reader(reaching(sources), metric_query(query))
        assert await it.ask() == MetricAnswers(1.0, 1.0)
    hosts = {asked.headers["Host"] for asked in server.asked}
    assert hosts == {address.removeprefix("http://")}


@pytest.mark.parametrize("source", ["web", "prometheus"])
async def test_a_service_that_was_made_anew_is_asked_at_its_new_address(source: str) -> None:
    """Within the minute for which the old one is kept."""
    async with serving(lambda _: vector(({}, 1))) as server, asking(secrets()) as sources:
        address = server.url.replace("127.0.0.1", "quality")
        web = WebQuery(address, value="$.data.result[0].value[1]")
        query = web if source == "web" else PrometheusQuery("gpu", address=address)
        now, client = [0.0], FakeClient()
        client.add(make_service("127.0.0.9"))
        reach = Reach(client, parse_allowed(()), look_up, clock=lambda: now[0])
        it = reader(replace(sources, reach=reach), metric_query(query))
        with pytest.raises(SourceError):
            await it.ask()
        client.add(make_service("127.0.0.1"))
        now[0] = 10.0
        assert await it.ask() == MetricAnswers(1.0, 1.0)


@pytest.mark.parametrize("source", ["web", "prometheus"])
async def test_what_is_not_listed_is_asked_by_an_administrators_template_alone(source: str) -> None:
    async with serving(lambda _: vector(({}, 1))) as server, asking(secrets()) as sources:
        place = server.url.removeprefix("http://").replace("127.0.0.1", "127.0.0.1.example")
        web = WebQuery(f"http://{place}", value="$.data.result[0].value[1]")
        asking_it = PrometheusQuery("gpu", address=f"http://{place}")
        query: Query = web if source == "web" else asking_it
        with pytest.raises(SourceError, match=f"addresses.allow lacks {place}"):
            await reader(reaching(sources), metric_query(query)).ask()
        listed = reaching(sources, [place, "127.0.0.0/8"])
        assert await reader(listed, metric_query(query)).ask() == MetricAnswers(1.0, 1.0)
        asked = len(server.asked)
        here: Query = replace(web, url=server.url)
        if isinstance(query, PrometheusQuery):
            here = replace(query, address=server.url)
        cluster = replace(metric_query(here), template=CLUSTERS)
        assert await reader(reaching(sources), cluster).ask() == MetricAnswers(1.0, 1.0)
    assert len(server.asked) > asked


OWN: TemplateKey = ("MetricTemplate", "gpu")
CLUSTERS: TemplateKey = ("ClusterMetricTemplate", "gpu")


@pytest.mark.parametrize("template", [None, OWN])
@pytest.mark.parametrize("path", ["", "/", "/a/prefix"])
async def test_a_namespaces_own_query_reads_its_own_series_of_what_all_share(
    template: TemplateKey | None, path: str
) -> None:
    """Also where it writes the same address itself, and whatever it says about the namespace."""
    query = PrometheusQuery('gpu{namespace=~".*"} or {{limit}} * other{v="{{version}}"}')
    limit = Argument("limit", "-1", "Number")
    wanted = replace(metric_query(query, limit), template=template)
    async with serving(lambda _: vector(({}, 1))) as server, asking(secrets(), server.url) as it:
        if path:
            wanted = replace(wanted, query=replace(query, address=server.url + path))
        assert await reader(it, wanted).ask() == MetricAnswers(1.0, 1.0)
        assert await reader(it, wanted).ask() == MetricAnswers(1.0, 1.0)
    assert {asked.form["query"] for asked in server.asked} == {
        'gpu{namespace=~".*",namespace="risk"} or (- 1)'
        f' * other{{v="{version}",namespace="risk"}}'
        for version in ("6", "7")
    }


async def test_counters_are_kept_to_the_namespace_too() -> None:
    query = PrometheusQuery(bad="refused", total="asked")
    async with serving(lambda _: vector(({}, 1))) as server, asking(secrets(), server.url) as it:
        await reader(it, metric_query(query)).ask()
    asked = {each.form["query"] for each in server.asked}
    assert asked == {'refused{namespace="risk"}', 'asked{namespace="risk"}'}


@pytest.mark.parametrize("why", ["template", "setting", "address"])
async def test_a_query_that_is_not_lent_anything_is_sent_as_it_is(why: str) -> None:
    query = PrometheusQuery("sum(gpu)  # of all")
    wanted = replace(metric_query(query), template=CLUSTERS if why == "template" else OWN)
    async with serving(lambda _: vector(({}, 1))) as server:
        shared = server.url if why != "address" else "http://prometheus.monitoring:9090"
        async with asking(secrets(), shared) as sources:
            tenants: TenantQueries = "Any" if why == "setting" else "OwnNamespace"
            it = replace(sources, tenant_queries=tenants)
            if why == "address":
                wanted = replace(wanted, query=replace(query, address=server.url))
            assert await reader(it, wanted).ask() == MetricAnswers(1.0, 1.0)
    assert {asked.form["query"] for asked in server.asked} == {query.query}


async def test_what_cannot_be_kept_to_its_namespace_is_not_sent() -> None:
    async with serving(lambda _: vector(({}, 1))) as server, asking(secrets(), server.url) as it:
        for query in ('gpu{a="b" or c="d"}', "info(gpu)"):
            with pytest.raises(SourceError):
                await reader(it, metric_query(PrometheusQuery(query))).ask()
        web = WebQuery(f"{server.url}/api/v1/query?query=gpu", value="$.data.result[0].value[1]")
        with pytest.raises(SourceError) as caught:
            await reader(it, metric_query(web)).ask()
        assert str(caught.value) == (
            "that is the operator's own Prometheus: ask it by prometheus, not web"
        )
        assert server.asked == []
        shared = replace(metric_query(web), template=CLUSTERS)
        assert await reader(it, shared).ask() == MetricAnswers(1.0, 1.0)


async def test_of_two_queries_neither_is_begun_where_one_cannot_be_sent() -> None:
    query = PrometheusQuery(bad="refused", total='asked{a="b" or c="d"}')
    async with serving(lambda _: vector(({}, 1))) as server, asking(secrets(), server.url) as it:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            with pytest.raises(SourceError):
                await reader(it, metric_query(query)).ask()
            gc.collect()
        assert server.asked == []
    assert [str(each.message) for each in warned] == []


async def test_no_series_of_the_metric_that_counts_all_is_none() -> None:
    def answer(asked: Asked) -> Any:
        return vector() if "5.." in asked.form["query"] else vector(({}, 100))

    query = PrometheusQuery(bad='asked{code=~"5.."}', total="asked")
    async with serving(answer) as server, asking(secrets(), server.url) as sources:
        it = reader(sources, metric_query(query))
        await it.ask()
        assert await it.ask() == MetricAnswers(Counts(0, 0), Counts(0, 0))


async def test_good_ones_are_turned_into_bad_ones() -> None:
    shown = {"clicks": 1, "shown": 10}
    query = WebQuery("{}/{{{{revision}}}}", good="$.clicks", total="$.shown")
    async with serving(lambda _: shown) as server, asking(secrets()) as sources:
        address = query.url.format(server.url)
        it = reader(sources, metric_query(WebQuery(address, good="$.clicks", total="$.shown")))
        await it.ask()
        shown.update(clicks=4, shown=30)
        assert await it.ask() == MetricAnswers(Counts(17, 20), Counts(17, 20))


async def test_a_web_address_is_filled_in_percent_encoded() -> None:
    async with serving(of_revisions({"a": 1}, {"a": "2"})) as server, asking(secrets()) as sources:
        query = WebQuery(server.url + "/{{revision}}?of={{x}}", value="$.a")
        assert await reader(
            sources, metric_query(query, Argument("x", "a&b=/c"))
        ).ask() == MetricAnswers(1.0, 2.0)
    assert sorted(asked.path for asked in server.asked) == [
        f"/{revision}?of=a%26b%3D/c" for revision in (STABLE, CANARY)
    ]


async def test_a_big_answer_is_read_beside_everything_else(monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[int] = []

    def read(_answer: Answer, _path: str) -> float:
        threads.append(threading.get_ident())
        return 1.0

    monkeypatch.setattr(web_source, "read_number", read)
    async with serving(lambda _: {}) as server, asking(secrets()) as sources:
        wanted = metric_query(WebQuery(server.url, value="$..*"))
        assert await reader(sources, wanted).ask() == MetricAnswers(1.0, 1.0)
    assert len(threads) == 2
    assert threading.get_ident() not in threads


async def test_an_answer_that_is_too_long_or_comes_too_late_is_an_error() -> None:
    async def never(_: web.Request) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    async with serving(lambda _: "a" * 128 * 1024) as server, asking(secrets()) as sources:
        wanted = WebQuery(server.url, value="$")
        assert await failure(sources, wanted) == "longer than 128 KiB, which is all that is read"
    async with serving_by(never) as url, asking(secrets()) as sources:
        wanted = WebQuery(url, value="$", timeout_seconds=0.05)
        assert await failure(sources, wanted) == "no answer within 0.05 s"


def test_a_value_that_looks_like_a_placeholder_stays_what_it_is() -> None:
    assert fill_url("http://a/{{x}}/{{y}}", {"x": "{{y}}", "y": "b"}) == "http://a/%7B%7By%7D%7D/b"


@pytest.mark.parametrize(
    ("url", "value"),
    [
        ("http://a/api/{{x}}/score", ".."),
        ("http://a/api/{{x}}/score", "."),
        ("http://a/api/{{x}}/score", "v1/../../admin"),
        ("http://a/api/{{x}}/score", "..\\admin"),
        ("http://a/api/{{x}}{{x}}/score", "."),
        ("http://a/api/.{{x}}/score", "."),
        ("http://a/api/{{x}}?a=b", ".."),
        ("http://a/api/%2e{{x}}/score", "."),
    ],
)
def test_no_value_leads_a_urls_path_up(url: str, value: str) -> None:
    with pytest.raises(ValueError, match=r"^a URL whose path has a part \. or \.\., which leads"):
        fill_url(url, {"x": value})


@pytest.mark.parametrize("value", ["v1..2", "...", "a.", ".a", "%2e%2e", "1.2.3"])
def test_a_value_with_dots_in_it_leads_nowhere(value: str) -> None:
    assert fill_url("http://a/{{x}}/b?c=../{{x}}#..", {"x": value}).endswith(f"{quote(value)}#..")


async def test_nothing_is_no_data() -> None:
    async with serving(lambda _: vector()) as server, asking(secrets(), server.url) as sources:
        it = reader(sources, metric_query(PrometheusQuery("gpu")))
        assert await it.ask() == MetricAnswers(None, None)


async def test_credentials_are_those_of_the_secret_in_the_objects_namespace() -> None:
    async with serving(lambda _: vector(({}, 1))) as server:
        wanted = metric_query(PrometheusQuery("gpu", address=server.url, secret="key"))
        async with asking(secrets(token="abc")) as sources:
            await reader(sources, wanted).ask()
        assert {asked.headers["Authorization"] for asked in server.asked} == {"Bearer abc"}


async def failure(sources: MetricSources, query: Query) -> str:
    with pytest.raises(SourceError) as caught:
        await reader(sources, metric_query(query)).ask()
    return str(caught.value)


async def test_a_reading_that_fails_says_why_and_what_to_do() -> None:
    client = FakeClient()
    client.refuse("get Secret mine", *[ApiError(403, "Forbidden", "no")] * 2)
    async with serving(lambda _: {"status": "error"}) as server, asking(Secrets(client)) as sources:
        at = server.url
        assert await failure(sources, PrometheusQuery("a")) == (
            "no Prometheus: give an address, or run with --prometheus-url"
        )
        assert await failure(sources, PrometheusQuery("a", address=at, secret="mine")) == (
            "may not get Secret mine: grant the operator get on it by a Role"
        )
        assert await failure(sources, WebQuery(at, value="$.a", secret="other")) == (
            "there is no Secret other"
        )
        assert await failure(sources, WebQuery(at + "/{{revisoin}}", value="$.a")) == (
            "the URL has an unknown placeholder; there are: namespace, model, version, revision,"
            " service, interval"
        )
        assert "refused" in await failure(sources, PrometheusQuery("a", address=at))


async def test_what_makes_no_sense_is_never_sent() -> None:
    async with (
        serving(lambda _: vector(({}, 1))) as server,
        asking(secrets(), server.url) as sources,
    ):
        assert "sum doesn't give counters" in await failure(
            sources, PrometheusQuery(bad="sum(a)", total="b")
        )
        wrong = metric_query(PrometheusQuery("a[{{w}}]"), Argument("w", "soon", "Duration"))
        with pytest.raises(SourceError, match="argument w: 'soon' is not a duration"):
            await reader(sources, wrong).ask()
    assert server.asked == []


async def test_a_secret_is_read_again_only_after_a_while() -> None:
    client, now = FakeClient(), [0.0]
    client.add({"kind": "Secret", "metadata": {"name": "key"}, "data": {"token": "YWJj"}})
    kept = Secrets(client, clock=lambda: now[0])
    for now[0] in (0.0, 59.0, 61.0):
        assert (await kept.get("risk", "key")).headers == {"Authorization": "Bearer abc"}
    assert client.requests == ["get Secret key"] * 2


@pytest.mark.parametrize(
    ("query", "problems"),
    [
        (PrometheusQuery('a{r="{{revision}}"}'), 0),
        (PrometheusQuery('a{r="{{revisoin}}"}'), 1),
        (PrometheusQuery(bad="sum(a)", total="b"), 1),
        (PrometheusQuery("a{"), 0),
        (PrometheusQuery('a{r="'), 1),
        (PrometheusQuery(bad='a{r="', total="b"), 1),
        (PrometheusQuery(bad="a", total='b{r="{{revisoin}}"}'), 1),
        (WebQuery("http://a", value="$.a"), 0),
        (WebQuery("http://a", value="a b"), 1),
    ],
)
def test_a_query_is_checked_before_it_is_asked(query: Query, problems: int) -> None:
    assert len(check_query(query, {})) == problems


def test_where_a_figure_comes_from_is_told_without_what_was_asked() -> None:
    assert describe_source(WebQuery("http://a/b?token=c", value="$.a")) == "Web http://a/b"
    assert describe_source(PrometheusQuery("a", address="http://p")) == "Prometheus http://p"
