"""Requests, use and costs, by hand-made readings whose sums fit in the head."""

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from canarium.cost.reading import parse_prices, read_pod_metrics, read_requests
from canarium.cost.usage import (
    Amounts,
    Containers,
    HeldPod,
    PriceList,
    Prices,
    Readings,
    Use,
    compute_use,
)

GIB = 2**30
NOW, OLD = 10_000.0, 10_000.0 - 300
PRICES = PriceList(Prices(Decimal("0.04"), Decimal("0.01"), Decimal(2)), currency="EUR")


def amounts(cpu: str = "0", gib: str = "0", gpus: str = "0") -> Amounts:
    return Amounts(Decimal(cpu), Decimal(gib) * GIB, Decimal(gpus))


def pod(name: str, created_at: float = 0.0, node: str = "n1", **requests: Amounts) -> HeldPod:
    return HeldPod(("risk", name), node, requests or {"server": amounts("1", "2")}, created_at)


def used(**pods: Containers | Amounts) -> Mapping[tuple[str, str], Containers]:
    """What each pod's containers use; an amount alone is that of its server."""
    return {
        ("risk", name): {"server": use} if isinstance(use, Amounts) else use
        for name, use in pods.items()
    }


def rates(**pods: str) -> Mapping[tuple[str, str], Decimal]:
    return {("risk", name): Decimal(rate) for name, rate in pods.items()}


def test_the_greater_of_what_is_requested_and_used_is_paid_for_by_container() -> None:
    a = pod("a", server=amounts("1", "2"), proxy=amounts("0.5", "1"))
    b = pod("b", server=amounts("1", "2"), proxy=amounts("0.5", "1"))
    readings = Readings(
        NOW,
        containers=used(
            a={"server": amounts("0.2", "3"), "proxy": amounts("0.6", "0.5")},
            b={"server": amounts("1.5", "1"), "proxy": amounts("0.1", "0.5")},
        ),
        predictions=rates(a="3", b="7"),
        prices=PRICES,
    )
    cores = 1 + Decimal("0.6") + Decimal("1.5") + Decimal("0.5")
    hour = cores * Decimal("0.04") + (3 + 1 + 2 + 1) * Decimal("0.01")
    assert compute_use([a, b], readings) == Use(
        pods=2,
        measured_pods=2,
        requested=amounts("3", "6"),
        used_cpu_cores=Decimal("2.4"),
        used_memory_bytes=Decimal(5 * GIB),
        predictions_per_second=Decimal(10),
        cost_per_hour=hour,
        cost_per_thousand_predictions=hour / 36,
        priced=True,
        currency="EUR",
    )


def test_without_any_reading_every_figure_has_its_reason_and_none_is_zero() -> None:
    found = compute_use([pod("a", server=amounts("1", "2", gpus="1"))], Readings(NOW))
    assert found == Use(
        pods=1,
        requested=amounts("1", "2", gpus="1"),
        not_measured={
            "use": "none of its pods was measured yet",
            "gpuUse": "no GPU of its pods was measured",
            "predictions": "no requests to its pods were counted",
            "cost": "no prices are known",
            "costPerThousandPredictions": "no prices are known",
        },
    )


def test_the_reason_that_whoever_asked_has_is_better_than_ours() -> None:
    readings = Readings(NOW, reasons={"use": "metrics.k8s.io is not served", "gpuUse": "why"})
    found = compute_use([pod("a")], readings).not_measured
    assert (found["use"], "gpuUse" in found) == ("metrics.k8s.io is not served", False)


def test_a_revision_without_pods_costs_nothing_and_lacks_nothing() -> None:
    assert compute_use([], Readings(NOW)) == Use()


def test_what_is_not_measured_is_paid_for_as_it_was_requested() -> None:
    readings = Readings(NOW, containers=used(a=amounts("2", "1")), prices=PRICES)
    found = compute_use([pod("a"), pod("new")], readings)
    hour = 3 * Decimal("0.04") + 4 * Decimal("0.01")
    assert (found.cost_per_hour, found.measured_pods, found.used_cpu_cores) == (hour, 1, Decimal(2))


@pytest.mark.parametrize(
    ("requests", "words"),
    [
        (amounts(gib="1"), "CPU of container server is neither requested nor measured"),
        (amounts("1"), "memory of container server is neither requested nor measured"),
    ],
)
def test_what_is_neither_requested_nor_measured_leaves_the_cost_unknown(
    requests: Amounts, words: str
) -> None:
    readings = Readings(NOW, containers=used(other=amounts("1")), prices=PRICES)
    found = compute_use([pod("a", server=requests)], readings)
    assert (found.cost_per_hour, found.not_measured.get("cost")) == (None, words)


def test_a_pod_that_requests_nothing_pays_for_what_it_uses() -> None:
    readings = Readings(NOW, containers=used(a=amounts("0.5", "1")), prices=PRICES)
    found = compute_use([pod("a", server=Amounts())], readings)
    assert found.cost_per_hour == Decimal("0.02") + Decimal("0.01")


def test_a_price_that_is_missing_is_named_and_only_where_it_is_needed() -> None:
    readings = Readings(NOW, prices=replace(PRICES, everywhere=Prices(Decimal(1), Decimal(1))))
    without = compute_use([pod("a")], readings)
    with_gpu = compute_use([pod("a", server=amounts("1", "1", gpus="1"))], readings)
    assert (without.cost_per_hour, with_gpu.cost_per_hour) == (Decimal(3), None)
    assert with_gpu.not_measured["cost"] == "the price of GPU on node n1 isn't known"


def test_each_pod_pays_the_prices_of_its_node() -> None:
    cheap = Prices(Decimal(1), Decimal(0))
    readings = Readings(
        NOW, prices=PriceList(nodes={"n1": cheap, "n2": Prices(*[Decimal(10)] * 2)})
    )
    found = compute_use([pod("a"), pod("b", node="n2")], readings)
    assert found.cost_per_hour == Decimal(1 + 10 + 20)
    assert compute_use([pod("c", node="n3")], readings).cost_per_hour is None


def test_gpus_are_paid_for_as_requested_however_little_they_do() -> None:
    both = [pod("a", server=amounts(gpus="2", cpu="1", gib="1")), pod("b")]
    readings = Readings(NOW, gpus=rates(a="0.3", stranger="9"), prices=PRICES)
    found = compute_use(both, readings)
    assert (found.requested.gpus, found.used_gpus) == (Decimal(2), Decimal("0.3"))
    assert found.cost_per_hour == 2 * 2 + 2 * Decimal("0.04") + 3 * Decimal("0.01")


def test_young_pods_count_neither_in_the_predictions_nor_in_what_these_cost() -> None:
    pods = [pod("old", OLD), pod("idle", OLD), pod("young", OLD + 1)]
    readings = Readings(NOW, predictions=rates(old="4", young="1"), prices=PRICES)
    found = compute_use(pods, readings)
    each = Decimal("0.06")
    assert found.predictions_per_second == 4
    assert found.cost_per_hour == 3 * each
    assert found.cost_per_thousand_predictions == 2 * each * 1000 / (4 * 3600)


@pytest.mark.parametrize(
    ("created_at", "rate", "words"),
    [
        (OLD + 1, rates(a="4"), "its pods are younger than five minutes"),
        (OLD, rates(a="0"), "nobody asked it anything"),
        (OLD, rates(), "no requests to its pods were counted"),
    ],
)
def test_predictions_that_nobody_counted_cost_nothing_that_is_known(
    created_at: float, rate: Mapping[tuple[str, str], Decimal], words: str
) -> None:
    readings = Readings(NOW, predictions=rate, prices=PRICES)
    found = compute_use([pod("a", created_at)], readings)
    assert found.cost_per_thousand_predictions is None
    assert found.not_measured["costPerThousandPredictions"] == words


def test_requests_are_those_of_all_that_goes_on_running_and_limits_stand_for_them() -> None:
    spec = {
        "containers": [
            {
                "name": "server",
                "resources": {
                    "requests": {"cpu": "250m"},
                    "limits": {"cpu": "2", "memory": "1Gi", "nvidia.com/gpu": 1},
                },
            },
            {"name": "bare"},
        ],
        "initContainers": [
            {"name": "proxy", "restartPolicy": "Always", "resources": {"requests": {"cpu": 1}}},
            {"name": "fetch", "resources": {"requests": {"cpu": 8}}},
        ],
    }
    assert read_requests(spec) == {
        "server": amounts("0.25", "1", gpus="1"),
        "bare": Amounts(),
        "proxy": amounts("1"),
    }


def test_gpus_of_every_maker_are_gpus_and_their_slices_are_not() -> None:
    asked = {
        "nvidia.com/gpu": 1,
        "amd.com/gpu": 1,
        "gpu.intel.com/i915": 1,
        "nvidia.com/mig-1g.5gb": 4,
        "example.com/gpu-memory": 7,
    }
    spec = {"containers": [{"name": "server", "resources": {"limits": asked}}]}
    assert read_requests(spec)["server"].gpus == 3


def test_a_pods_metrics_are_read_as_metrics_server_writes_them() -> None:
    item = {
        "metadata": {"name": "a", "namespace": "risk", "labels": {}},
        "timestamp": "2026-11-21T12:00:00Z",
        "window": "10.061s",
        "containers": [{"name": "server", "usage": {"cpu": "1234567n", "memory": "2Mi"}}],
    }
    want = {"server": Amounts(Decimal("0.001234567"), Decimal(2 * 2**20))}
    assert read_pod_metrics(item) == (("risk", "a"), want)


def test_prices_are_read_by_the_names_that_opencost_gives_them() -> None:
    found = parse_prices(
        {"provider": "custom", "CPU": "0.031611", "RAM": 0.004237, "spotCPU": "x", "GPU": None}
    )
    assert found == PriceList(Prices(Decimal("0.031611"), Decimal("0.004237"), None))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (None, "a mapping with CPU, RAM and GPU"),
        ({"cpu": 1}, "a mapping with CPU, RAM and GPU"),
        ({"CPU": "cheap"}, "CPU: write money for an hour, such as 0.031611, not 'cheap'"),
        ({"RAM": -1}, "RAM: write money"),
        ({"GPU": True}, "GPU: write money"),
        ({"GPU": "Infinity"}, "GPU: write money"),
    ],
)
def test_what_is_no_price_is_refused(data: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_prices(data)
