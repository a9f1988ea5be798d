"""What is asked of a Prometheus about use and prices. What it makes of that: tests/cluster."""

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from canarium.cost.consumption import (
    Question,
    make_gpu_query,
    make_predictions_queries,
    read_prometheus,
)
from canarium.cost.prices import read_prices
from canarium.cost.usage import PriceList, Prices, Readings
from canarium.errors import ConfigError
from canarium.metrics.own_profiles import parse_profiles
from canarium.metrics.sources.prometheus import PrometheusSource
from canarium.queries.profiles import PROFILES, Profile

from tests.unit.outbound.serving import Handler, make_local_session, serving

A, B = ("risk", "a"), ("risk", "b")
LISTED = PriceList(Prices(Decimal(1)))
PLAIN = Profile(requests="predictions_total", duration=None)
BY_POD = "sum by (namespace, pod, exported_namespace, exported_pod) "


def answer_by(answers: dict[str, list[tuple[dict[str, str], str]] | None]) -> Handler:
    """Answers a query by the first of these words that is in it; with None it fails."""

    async def handler(request: web.Request) -> web.Response:
        query = str((await request.post())["query"])
        found = next(answer for word, answer in answers.items() if word in query)
        if found is None:
            return web.json_response({"status": "error", "error": "too much"}, status=422)
        result = [{"metric": labels, "value": [1.0, value]} for labels, value in found]
        data = {"resultType": "vector", "result": result}
        return web.Response(text=json.dumps({"status": "success", "data": data}))

    return handler


async def read(handler: Handler, question: Question, listed: PriceList | None = None) -> Readings:
    async with serving(handler) as url, make_local_session() as session:
        return await read_prometheus(PrometheusSource(session, url), question, listed, 7.0)


async def test_everything_is_read_of_the_pods_that_were_asked_about_and_no_others() -> None:
    answers: dict[str, Any] = {
        "DCGM": [
            ({"namespace": "risk", "pod": "a"}, "0.5"),
            (
                {
                    "namespace": "gpu-operator",
                    "pod": "exporter",
                    "exported_namespace": "risk",
                    "exported_pod": "a",
                },
                "0.25",
            ),
            ({"namespace": "risk", "pod": "stranger"}, "1"),
        ],
        "predictions_total": [({"namespace": "risk", "pod": "b"}, "20")],
        "hourly_cost": [
            ({"__name__": "node_cpu_hourly_cost", "node": "n1", "instance": "10.0.0.1"}, "0.03"),
            ({"__name__": "node_ram_hourly_cost", "node": "n1", "instance": "10.0.0.1"}, "0.004"),
            ({"__name__": "node_gpu_hourly_cost", "instance": "n2"}, "0.95"),
        ],
    }
    found = await read(answer_by(answers), Question({A}, ((PLAIN, {A, B}),)))
    nodes = {
        "n1": Prices(Decimal("0.03"), Decimal("0.004")),
        "n2": Prices(gpu_hour=Decimal("0.95")),
    }
    assert found == Readings(
        7.0,
        gpus={A: Decimal("0.75")},
        predictions={B: Decimal("20.0")},
        prices=PriceList(nodes=nodes),
    )


async def test_what_fails_has_its_reason_and_the_rest_is_read() -> None:
    answers: dict[str, Any] = {"DCGM": None, "total": [], "hourly_cost": []}
    found = await read(answer_by(answers), Question({A}, ((PLAIN, {A}),)))
    assert found == Readings(
        7.0,
        predictions={},
        reasons={"gpuUse": "Prometheus: the query was refused; ask Prometheus itself why"},
    )


async def test_listed_prices_hold_and_nothing_is_asked_that_nobody_wants() -> None:
    found = await read(answer_by({"": None}), Question(), LISTED)
    assert found == Readings(7.0, gpus={}, predictions={}, prices=LISTED)


async def test_without_a_prometheus_the_reasons_say_how_to_name_one() -> None:
    bare = await read_prometheus(None, Question({A}), None, 7.0)
    words = "no Prometheus is known: name one by --prometheus-url"
    prices = "no prices are known: name a file by --prices, or a Prometheus that OpenCost fills"
    assert bare.reasons == {"gpuUse": words, "predictions": words, "cost": prices}
    assert (await read_prometheus(None, Question(), LISTED, 7.0)).prices == LISTED


def test_gpus_are_asked_about_by_either_pair_of_labels() -> None:
    assert make_gpu_query({"risk", "fun"}) == (
        BY_POD + '({__name__="DCGM_FI_DEV_GPU_UTIL",exported_namespace=~"fun|risk",'
        'exported_pod!=""} or {__name__="DCGM_FI_DEV_GPU_UTIL",namespace=~"fun|risk",pod!="",'
        'exported_pod=""}) / 100'
    )


def test_a_profile_asks_for_its_inference_routes_alone() -> None:
    profile = Profile(
        requests="requests_total",
        duration=None,
        route_labels=("path", "uri"),
        routes="^/v2",
        not_routes=r"/ready\.x$",
        methods=("POST",),
        labels=(("model", "fraud"),),
    )
    (query,) = make_predictions_queries(profile, {"risk"})
    common = 'model=~"fraud",method=~"POST|"'
    wanted = r'=~".*(?:^/v2).*",{0}!~".*(?:/ready\\.x$).*"'
    selections = [
        f'{common},path!="",path{wanted.format("path")}',
        f'{common},path="",uri!="",uri{wanted.format("uri")}',
        f'{common},path="",uri=""',
    ]
    places = (
        'exported_namespace=~"risk",exported_pod!=""',
        'namespace=~"risk",pod!="",exported_pod=""',
    )
    rates = [
        f'rate({{__name__="requests_total",{selection},{place}}}[300s])'
        for selection in selections
        for place in places
    ]
    assert query == f"{BY_POD}({' or '.join(rates)})"


@pytest.mark.parametrize(
    ("name", "counters"),
    [
        ("KServe", []),
        ("MLServer", ["rest_server_requests_total"]),
        ("Triton", ["nv_inference_request_success", "nv_inference_request_failure"]),
        ("TorchServe", ["ts_inference_requests_total"]),
    ],
)
def test_failures_are_predictions_too_where_they_are_counted_apart(
    name: str, counters: list[str]
) -> None:
    queries = make_predictions_queries(PROFILES[name], {"risk"})
    assert len(queries) == len(counters)
    assert all(f'"{counter}"' in query for counter, query in zip(counters, queries, strict=True))


def test_a_pattern_of_ones_own_is_spelled_as_prometheus_reads_it() -> None:
    text = (
        "requests: x_total\nroutes: {labels: [path], only: ['/a*b*/c.d\\Z']}\nstatus: {labels: [s]}"
    )
    profiles, problems = parse_profiles({"own": text})
    (query,) = make_predictions_queries(profiles["own"], {"risk"})
    assert not problems
    assert r"(?s:\\A/a(?:.*?b).*/c\\.d\\\\Z\\z)" in query


def test_prices_come_from_a_file_of_yaml_or_json(tmp_path: Path) -> None:
    file = tmp_path / "default.json"
    file.write_text('{"provider": "custom", "CPU": "0.03", "RAM": "0.004", "currencyCode": "EUR"}')
    want = PriceList(Prices(Decimal("0.03"), Decimal("0.004")), currency="EUR")
    assert read_prices(file) == want


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (lambda _file: None, "prices cannot be read from .*: No such file"),
        (lambda file: file.write_text("["), "prices has no prices: "),
        (lambda file: file.write_text("CPU: x"), "prices has no prices: CPU: write money"),
        (lambda file: file.write_bytes(b"\xff"), "prices has no prices: "),
    ],
)
def test_a_file_without_prices_is_refused(
    tmp_path: Path, write: Callable[[Path], object], words: str
) -> None:
    write(tmp_path / "prices")
    with pytest.raises(ConfigError, match=words):
        read_prices(tmp_path / "prices")
