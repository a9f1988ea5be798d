"""The measurement of every revision, against an apiserver in memory."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

import pytest
from canarium.core.observed import (
    DeploymentRecord,
    Meta,
    ModelObject,
    PodRecord,
    RevisionRecord,
)
from canarium.core.spec import MetricsEndpoint
from canarium.cost.meter import ABSENT_SECONDS, UsageMeter
from canarium.cost.usage import Amounts, PriceList, Prices, RevisionUse, Use
from canarium.errors import ApiError, CanariumError, NotFoundError, UnavailableError
from canarium.kube.boundary import Boundary
from canarium.kube.informers.cache import Cache
from canarium.kube.transport import ApiRequest
from canarium.metrics.sessions import Settings
from canarium.telemetry.metrics import Metrics

from tests.unit.kube.fake import FakeClient
from tests.unit.metrics.sessions.answering import LOOPBACK, Asked, serving, vector

LABELS = {"canarium.dev/model": "fraud"}
V6, V7 = "5d8f7c9b64", "7b9d6f5c88"
NOW = 10_000.0
REQUESTS = {"cpu": "500m", "memory": "1Gi"}
SOON = 40.0
"However slow the machine is."
PRICES = PriceList(Prices(Decimal(1), Decimal(1), Decimal(1)))


@dataclass(eq=False)
class MetricsClient(FakeClient):
    """Lists what it was given of the metrics API; one of `errors` comes first."""

    items: list[Any] = field(default_factory=list)
    errors: list[CanariumError] = field(default_factory=list)

    async def send(self, request: ApiRequest) -> bytes:
        assert set(request.query) == {"limit", "labelSelector"}
        self.requests.append(f"list {request.path} {request.query['labelSelector']}")
        if self.errors:
            raise self.errors.pop(0)
        return json.dumps({"metadata": {}, "items": self.items}).encode()


def meta(name: str, revision: str = "", **fields: Any) -> Meta:
    labels = {**LABELS, **({"canarium.dev/revision": revision} if revision else {})}
    return Meta("risk", name, f"uid-{name}", "1", labels=labels, **fields)


def make_cache(*pods: PodRecord, resources: Any = None) -> Cache:
    """The model `fraud` with two revisions, of which the first counts as MLServer does."""
    cache = Cache(lambda _key: None)
    cache.models.put(ModelObject(replace(meta("fraud"), labels={}), None))
    spec = {"containers": [{"name": "server", "resources": resources or {"requests": REQUESTS}}]}
    template = json.dumps({"spec": spec}).encode()
    for revision, version in ((V6, "v6"), (V7, "v7")):
        about = meta(f"fraud-{revision}", revision)
        cache.deployments.put(DeploymentRecord(about, revision, 1, template))
        endpoint = MetricsEndpoint(8082, "/metrics", "MLServer") if revision == V6 else None
        cache.revisions.put(
            RevisionRecord(about, revision, "{}", "", "", version=version, metrics=endpoint)
        )
    for pod in pods:
        cache.pods.put(pod)
    return cache


def make_pod(name: str, revision: str = V6, **fields: Any) -> PodRecord:
    held = {"phase": "Running", "node": "n1", "scheduled": True, **fields}
    age = held.pop("seconds_ago", 900)
    return PodRecord(meta(name, revision, created_at=NOW - age), revision, **held)


def used(name: str, cpu: str = "100m", memory: str = "256Mi") -> dict[str, Any]:
    usage = {"name": "server", "usage": {"cpu": cpu, "memory": memory}}
    return {"metadata": {"namespace": "risk", "name": name}, "containers": [usage]}


def make_meter(
    client: FakeClient, cache: Cache, settings: Settings | None = None, **fields: Any
) -> UsageMeter:
    return UsageMeter(client, cache, settings or Settings(), clock=lambda: NOW, **fields)


class Rest:
    """The time between two measurements, which has no end here."""

    def __init__(self) -> None:
        self.began = asyncio.Event()

    async def take(self, _seconds: float) -> None:
        self.began.set()
        await asyncio.Event().wait()


@asynccontextmanager
async def running(meter: UsageMeter) -> AsyncIterator[None]:
    task = asyncio.create_task(meter.run())
    async with asyncio.timeout(SOON):
        yield
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


LIST = "list /apis/metrics.k8s.io/v1beta1/pods canarium.dev/model"


async def test_each_revision_has_what_its_pods_request_and_use() -> None:
    client = MetricsClient(items=[used("a"), used("b"), used("c"), used("stranger")])
    cache = make_cache(make_pod("a"), make_pod("b"), make_pod("c", V7))
    meter = make_meter(client, cache, prices=PRICES)
    await meter.measure()
    first, second = sorted(meter.rows(), key=lambda row: row.version)
    no_prometheus = "no Prometheus is known: name one by --prometheus-url"
    assert client.requests == [LIST]
    assert first == RevisionUse(
        "risk",
        "fraud",
        V6,
        "v6",
        Use(
            pods=2,
            measured_pods=2,
            requested=Amounts(Decimal(1), Decimal(2 * 2**30)),
            used_cpu_cores=Decimal("0.2"),
            used_memory_bytes=Decimal(2**29),
            cost_per_hour=Decimal(3),
            priced=True,
            not_measured={
                "predictions": no_prometheus,
                "costPerThousandPredictions": "no requests to its pods were counted",
            },
        ),
    )
    assert (second.revision, second.use.pods, second.use.cost_per_hour) == (V7, 1, Decimal("1.5"))


async def test_pods_without_a_node_or_at_their_end_hold_nothing() -> None:
    client = MetricsClient(items=[used("a")])
    waiting = make_pod("b", scheduled=False, phase="Pending")
    meter = make_meter(client, make_cache(make_pod("a"), waiting, make_pod("c", phase="Failed")))
    await meter.measure()
    assert [row.use.pods for row in meter.rows()] == [1]


async def test_what_cannot_be_read_of_one_takes_no_figures_from_the_others() -> None:
    broken = {"metadata": {"name": "a"}, "containers": [{"name": "server", "usage": {"cpu": "-1"}}]}
    client = MetricsClient(items=[broken, used("b")])
    cache = make_cache(make_pod("b"), make_pod("c", V7))
    about = meta(f"fraud-{V7}", V7)
    template = b'{"spec":{"containers":[{"name":"a","resources":{"limits":{"cpu":"a lot"}}}]}}'
    cache.deployments.put(DeploymentRecord(replace(about, resource_version="2"), V7, 1, template))
    meter = make_meter(client, cache, prices=PRICES)
    await meter.measure()
    assert [(row.version, row.use.measured_pods) for row in meter.rows()] == [("v6", 1)]


async def test_a_measurement_that_breaks_is_noted_once_and_made_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    broken = RuntimeError("hunter2")
    client = MetricsClient(items=[used("a")], errors=[broken, broken])  # type: ignore[list-item]
    metrics, turns, measured = Metrics(), list[float](), asyncio.Event()
    cache = make_cache(make_pod("a"))
    cache.boundary = Boundary(metrics)

    async def pause(seconds: float) -> None:
        turns.append(seconds)
        if len(turns) == 3:
            measured.set()
            await asyncio.Event().wait()

    meter = make_meter(client, cache, pause=pause)
    async with running(meter):
        await measured.wait()
        assert [row.version for row in meter.rows()] == ["v6"]

    assert metrics.internal_errors.labels("Usage")._value.get() == 2.0
    assert len(caplog.records) == 1


async def test_nobody_is_asked_when_there_are_no_pods() -> None:
    client = MetricsClient()
    meter = make_meter(client, make_cache())
    await meter.measure()
    assert (client.requests, list(meter.rows())) == ([], [])


async def test_each_namespace_that_is_served_is_asked_for_itself() -> None:
    client = MetricsClient()
    await make_meter(client, make_cache(make_pod("a")), namespaces=("a", "b")).measure()
    assert client.requests == [
        "list /apis/metrics.k8s.io/v1beta1/namespaces/a/pods canarium.dev/model",
        "list /apis/metrics.k8s.io/v1beta1/namespaces/b/pods canarium.dev/model",
    ]


@pytest.mark.parametrize(
    ("error", "reason", "looks"),
    [
        (
            NotFoundError(404, "NotFound", "x"),
            "metrics.k8s.io is not served: install metrics-server",
            1,
        ),
        (
            ApiError(403, "Forbidden", "x"),
            "the operator may not list pods of metrics.k8s.io",
            1,
        ),
        (UnavailableError("503 : no endpoints"), "503 : no endpoints", 2),
        (ApiError(500, "Internal", "oh"), "500 Internal: oh", 2),
    ],
)
async def test_what_people_have_to_mend_first_is_not_looked_for_each_minute(
    error: CanariumError, reason: str, looks: int
) -> None:
    now = [NOW]
    client = MetricsClient(items=[used("a")], errors=[error])
    meter = UsageMeter(client, make_cache(make_pod("a")), Settings(), clock=lambda: now[0])
    await meter.measure()
    (row,) = meter.rows()
    assert (row.use.used_cpu_cores, row.use.not_measured["use"]) == (None, reason)
    now[0] += 60
    await meter.measure()
    assert len(client.requests) == looks
    now[0] += ABSENT_SECONDS
    await meter.measure()
    (row,) = meter.rows()
    assert row.use.used_cpu_cores == Decimal("0.1")


async def test_prometheus_is_asked_once_for_all_gpus_a_profile_and_the_prices() -> None:
    def answer(asked: Asked) -> Any:
        query = asked.form["query"]
        labels = {"namespace": "risk", "pod": "a"}
        if "DCGM" in query:
            return vector((labels, 0.5))
        if "rest_server_requests_total" in query:
            return vector((labels, 10))
        return vector(
            ({"__name__": "node_cpu_hourly_cost", "node": "n1"}, 1),
            ({"__name__": "node_ram_hourly_cost", "node": "n1"}, 1),
            ({"__name__": "node_gpu_hourly_cost", "node": "n1"}, 2),
        )

    limits = {"limits": {**REQUESTS, "nvidia.com/gpu": "1"}}
    cache = make_cache(make_pod("a"), make_pod("b", V7), resources=limits)
    async with serving(answer) as server:
        settings = Settings(prometheus_url=server.url, allowed=(LOOPBACK,))
        rest = Rest()
        meter = make_meter(MetricsClient(items=[used("a")]), cache, settings, pause=rest.take)
        async with running(meter):
            await rest.began.wait()
            row = next(row for row in meter.rows() if row.revision == V6)
    assert len(server.asked) == 3
    assert (row.use.used_gpus, row.use.cost_per_hour) == (Decimal("0.5"), Decimal("3.5"))
    assert row.use.cost_per_thousand_predictions == Decimal(3500) / 36000
    assert list(meter.rows()) == []


async def test_the_rate_of_a_revision_is_not_that_of_a_pod_that_began_within_it() -> None:
    answers = vector(*(({"namespace": "risk", "pod": pod}, 10) for pod in "ab"))
    cache = make_cache(make_pod("a"), make_pod("b", seconds_ago=299))
    async with serving(lambda _: answers) as server:
        settings = Settings(prometheus_url=server.url, allowed=(LOOPBACK,))
        rest = Rest()
        meter = make_meter(MetricsClient(), cache, settings, prices=PRICES, pause=rest.take)
        async with running(meter):
            await rest.began.wait()
            (row,) = meter.rows()
    assert (row.use.predictions_per_second, row.use.cost_per_hour) == (Decimal(10), Decimal(3))
    assert row.use.cost_per_thousand_predictions == Decimal(1500) / 36000


async def test_an_answer_that_makes_no_sense_ends_neither_the_operator_nor_the_measuring(
    caplog: pytest.LogCaptureFixture,
) -> None:
    client = MetricsClient(items=[used("a", cpu="much")])
    rest = Rest()
    meter = make_meter(client, make_cache(make_pod("a")), pause=rest.take)
    async with running(meter):
        await rest.began.wait()
    assert "not a quantity: 'much'" in caplog.text


async def test_the_gauges_of_a_revision_go_with_its_deployment() -> None:
    cache, metrics = make_cache(make_pod("a"), make_pod("b", V7)), Metrics()
    meter = make_meter(MetricsClient(items=[used("a")]), cache, prices=PRICES)
    metrics.add_page(meter.render)
    await meter.measure()

    def shown() -> list[str]:
        text = b"".join(metrics.render()).decode()
        return [line for line in text.splitlines() if line.startswith("canarium_revision_")]

    v6 = f'{{namespace="risk",model="fraud",revision="{V6}",version="v6"}}'
    v7 = f'{{namespace="risk",model="fraud",revision="{V7}",version="v7"}}'
    assert shown() == [
        f"canarium_revision_pods{v6} 1.0",
        f"canarium_revision_pods{v7} 1.0",
        f"canarium_revision_measured_pods{v6} 1.0",
        f"canarium_revision_measured_pods{v7} 0.0",
        f"canarium_revision_cpu_requested_cores{v6} 0.5",
        f"canarium_revision_cpu_requested_cores{v7} 0.5",
        f"canarium_revision_cpu_used_cores{v6} 0.1",
        f"canarium_revision_memory_requested_bytes{v6} 1073741824.0",
        f"canarium_revision_memory_requested_bytes{v7} 1073741824.0",
        f"canarium_revision_memory_used_bytes{v6} 268435456.0",
        f"canarium_revision_cost_per_hour{v6} 1.5",
        f"canarium_revision_cost_per_hour{v7} 1.5",
    ]
    cache.deployments.drop("risk", f"fraud-{V7}")
    assert [line for line in shown() if V7 in line] == []
