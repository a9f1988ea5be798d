"""What `canarium status` tells of use and cost: whole trees, and what is left out of them."""

import copy
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from canarium.cli.drawing.status_tree import make_tree
from canarium.cli.main import main
from canarium.cli.objects.status_report import make_report
from canarium.cli.objects.usage import format_bytes, format_number, make_question
from canarium.core.status import dump
from canarium.cost.usage import Amounts, PriceList, Prices, Readings
from canarium.queries.profiles import GRPC_PROFILES, PROFILES

from tests.unit.cli import objects
from tests.unit.cli.fake_apiserver import PODS as PODS_PATH
from tests.unit.cli.fake_apiserver import FakeApiserver, make_refusal, serve
from tests.unit.cli.golden import compare, printed
from tests.unit.cli.objects import NOW, RECORDS, V6, V7, Json, make_pod

POD_METRICS = PODS_PATH.replace("/api/v1", "/apis/metrics.k8s.io/v1beta1")
GIB = 2**30
REQUESTS = {"cpu": "1", "memory": "2Gi"}


def holding(pod: Json, requests: Json, **limits: str) -> Json:
    """The pod with a node and one container that requests this."""
    resources = {"requests": requests, "limits": limits}
    spec = {"nodeName": "n1", "containers": [{"name": "server", "resources": resources}]}
    return {**pod, "spec": spec}


STABLE = [holding(make_pod(V6, f"aaaa{n}", seconds_ago=86400), REQUESTS) for n in range(2)]
CANARY = [holding(make_pod(V7, "bbbb1", seconds_ago=190), REQUESTS, **{"nvidia.com/gpu": "1"})]
PODS = [*STABLE, *CANARY]
MODEL = objects.make_model(
    "Progressing",
    "Holding",
    "step 1 of 3 (five) at 5 % for 5 min",
    rollout={"step": 1, "stepName": "five", "verifiedAt": objects.ago(41), "heldSeconds": 100},
    stable=objects.make_part(V6, "v6", 2, 95),
    canary=objects.make_part(V7, "v7", 1, 5),
)


def key(pod: Json) -> tuple[str, str]:
    return "risk", pod["metadata"]["name"]


def amounts(cpu: str, gib: str) -> dict[str, Amounts]:
    return {"server": Amounts(Decimal(cpu), Decimal(gib) * GIB)}


MEASURED = Readings(
    NOW,
    containers={key(pod): amounts("0.2345", "1.5") for pod in STABLE},
    gpus={},
    predictions={key(pod): Decimal("12.5") for pod in STABLE},
    prices=PriceList(Prices(Decimal("0.031611"), Decimal("0.004237"), Decimal("0.95")), {}, "EUR"),
    reasons={"gpuUse": "no Prometheus is known: name one by --prometheus-url"},
)


def draw(readings: Readings | None, pods: list[Json] = PODS) -> str:
    report = make_report(MODEL, RECORDS, pods, NOW, readings)
    return printed([make_tree(report, NOW)])


def test_each_revision_has_a_line_of_what_it_uses_and_costs() -> None:
    compare("status-use.txt", draw(MEASURED))


def test_everything_is_there_for_programs_with_every_reason() -> None:
    report = dump(make_report(MODEL, RECORDS, PODS, NOW, MEASURED))
    told = {each["revision"]: each["use"] for each in report["revisions"]}
    compare("status-use.yaml", yaml.safe_dump(told, sort_keys=False))


def test_where_neither_use_nor_prices_are_known_the_tree_is_as_ever() -> None:
    nothing = Readings(NOW, reasons={"use": "metrics.k8s.io is not served", "cost": "no prices"})
    assert draw(nothing) == draw(None)


def test_where_prices_are_known_the_tree_says_what_the_cost_rests_on() -> None:
    priced = Readings(NOW, prices=MEASURED.prices, reasons={"use": "metrics.k8s.io is not served"})
    lines = [line.strip("│├└─ ") for line in draw(priced, STABLE).splitlines()[3:6]]
    assert lines[1:] == [
        "CPU 2 requested   memory 4 GiB requested   0.0802 EUR/h",
        "use not measured: metrics.k8s.io is not served",
    ]


def test_the_use_of_some_pods_says_of_how_many() -> None:
    some = Readings(NOW, containers={key(STABLE[0]): amounts("0.5", "1")})
    assert "CPU 0.5 of 2   memory 1 GiB of 4 GiB   of 1 of 2 pods" in draw(some)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("0", "0"),
        ("0.00041267", "0.000413"),
        ("1", "1"),
        ("1.50", "1.5"),
        ("99.96", "100"),
        ("1234.5", "1234"),
        ("3000", "3000"),
    ],
)
def test_numbers_have_three_digits_that_matter_and_no_exponent(value: str, text: str) -> None:
    assert format_number(Decimal(value)) == text


def test_bytes_are_mebibytes_or_gibibytes() -> None:
    assert [format_bytes(Decimal(size)) for size in (2**20 * 3 // 2, 2**30, 10 * 2**30)] == [
        "1.5 MiB",
        "1 GiB",
        "10 GiB",
    ]


def test_pods_are_asked_about_as_their_servers_count() -> None:
    def counted(record: Json, **server: Any) -> Json:
        source = {**record["spec"]["source"], "server": {"image": "x", **server}}
        return {**record, "spec": {**record["spec"], "source": source}}

    stable, canary = RECORDS
    records = [
        counted(stable, metrics={"port": 8082, "profile": "MLServer"}),
        counted(canary, metrics={"profile": "our-own"}),
    ]
    question = make_question(PODS, records)
    assert question.with_gpus == {key(CANARY[0])}
    assert question.counting == ((PROFILES["MLServer"], {key(pod) for pod in STABLE}),)
    (default,) = make_question(STABLE, [counted(stable, metrics={}), canary]).counting
    assert default[0] is PROFILES["Prometheus"]
    ((by_grpc, _pods),) = make_question(PODS, records, "GRPC").counting
    assert by_grpc is GRPC_PROFILES["MLServer"]


def test_the_command_asks_the_cluster_once_and_reads_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prices = tmp_path / "prices.yaml"
    prices.write_text("{CPU: 0.03, RAM: 0.004}")
    items = [
        {
            "metadata": {"namespace": "risk", "name": pod["metadata"]["name"]},
            "containers": [{"name": "server", "usage": {"cpu": "250m", "memory": "1Gi"}}],
        }
        for pod in STABLE
    ]
    fake = FakeApiserver(copy.deepcopy(MODEL), list(RECORDS), list(STABLE))
    fake.refusals[f"GET {POD_METRICS}"] = [(200, {"metadata": {}, "items": items})]
    words = ["status", "fraud", "-o", "json", "--prices", str(prices)]
    with serve(fake, tmp_path) as kubeconfig:
        assert main([*words, "--kubeconfig", str(kubeconfig)]) == 0
    stable = json.loads(capsys.readouterr().out)["revisions"][0]
    assert (stable["use"]["usedCpuCores"], stable["use"]["costPerHour"]) == ("0.5", "0.076")
    assert fake.refusals[f"GET {POD_METRICS}"] == []


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (
            (404, make_refusal(404, "NotFound")),
            "metrics.k8s.io is not served: install metrics-server",
        ),
        (
            (403, make_refusal(403, "Forbidden")),
            "you may not list pods in namespace risk: ask for that right, or choose -n, --context",
        ),
        (
            (503, "service unavailable"),
            "the cluster refused to list pods in namespace risk: service unavailable",
        ),
        (
            (
                200,
                {
                    "items": [
                        {
                            "metadata": {"name": "a"},
                            "containers": [{"name": "server", "usage": {"cpu": "much"}}],
                        }
                    ]
                },
            ),
            "not a quantity: 'much'",
        ),
    ],
)
def test_a_cluster_that_measures_nothing_is_no_error(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    answer: tuple[int, Json | str],
    reason: str,
) -> None:
    fake = FakeApiserver(copy.deepcopy(MODEL), list(RECORDS), list(STABLE))
    fake.refusals[f"GET {POD_METRICS}"] = [answer]
    with serve(fake, tmp_path) as kubeconfig:
        assert main(["status", "fraud", "-o", "json", "--kubeconfig", str(kubeconfig)]) == 0
    stable = json.loads(capsys.readouterr().out)["revisions"][0]
    assert stable["use"]["notMeasured"]["use"] == reason


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--prices", "/nowhere"], "prices cannot be read from /nowhere: No such file"),
        (["--prometheus-url", "prometheus"], "not an address; write one such as http://"),
    ],
)
def test_sources_of_no_use_are_refused_before_anybody_is_asked(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["status", "fraud", *words]) == 2
    assert said in capsys.readouterr().err
