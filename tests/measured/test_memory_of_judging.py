"""Memory stays flat over an hour of judging in virtual time: pods come and go, steps change."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import pytest
from canarium.core.observed import Meta, PodRecord
from canarium.core.plan import Measure
from canarium.core.spec import MetricsEndpoint
from canarium.judge import Metric
from canarium.kube.informers.store import Key
from canarium.metrics.sessions import Measurements
from canarium.metrics.sources.pods import PodsMeter, PodsSource
from canarium.sim.loop import VirtualLoop

from benchmarks.rollouts.usage import read_usage

OBJECTS = 20
HOUR = 3600.0
QUARTER = HOUR / 4
POD_LIVES_SECONDS = 300.0
ANSWERS_A_SECOND = 10
STABLE, CANARY = "5d8f7c9b64", "7b9d6f5c88"
ALLOWED_BLOCKS, ALLOWED_MIB = 50 * OBJECTS, 2.0
"How much more may be allocated at the end than after the first quarter."
ENDPOINT = MetricsEndpoint(port=8082, path="/metrics", profile="Prometheus")
STEP = Measure(
    key="step",
    metrics=(
        Metric("error-rate", "ErrorRate", max=0.05, max_increase=0.005),
        Metric("latency-p99", "Latency", quantile=0.99, max=0.5, max_ratio=1.2),
    ),
    min_requests=100,
    interval_seconds=1.0,
    not_before=0.0,
    canary=CANARY,
    stable=STABLE,
    endpoint=ENDPOINT,
    stable_endpoint=ENDPOINT,
)


@lru_cache(maxsize=1)
def render(answers: int) -> bytes:
    """A server's metrics after so many answers, one in a hundred of them failed."""
    good, name = answers - answers // 100, "http_request_duration_seconds_bucket"
    lines = ["# TYPE http_requests_total counter"]
    lines += [f'http_requests_total{{code="200"}} {good}', 'http_requests_total{code="500"} 1']
    lines += [f'{name}{{le="{bound}"}} {answers}' for bound in (0.05, 0.1, 0.5, 1.0, "+Inf")]
    return "\n".join([*lines, ""]).encode()


@dataclass
class Answer:
    """What stands for an HTTP response: it comes at once and whole."""

    body: bytes
    status: int = 200

    @property
    def headers(self) -> dict[str, str]:
        return {}

    @property
    def content(self) -> Answer:
        return self

    async def iter_chunked(self, size: int) -> AsyncIterator[bytes]:
        yield self.body


class Network:
    """What stands for the HTTP session; all pods have answered as often as there was time for."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.asked = 0

    @asynccontextmanager
    async def get(self, url: str, **_: Any) -> AsyncIterator[Answer]:
        self.asked += 1
        yield Answer(render(int(ANSWERS_A_SECOND * self.loop.time())))


def list_pods(seconds: float) -> Iterator[PodRecord]:
    """A pod of each revision, replaced every five minutes."""
    generation = int(seconds / POD_LIVES_SECONDS)
    for revision in (STABLE, CANARY):
        name = f"{revision}-{generation}"
        meta = Meta(namespace="risk", name=name, uid=name, resource_version="1")
        yield PodRecord(meta, revision, ip="198.18.0.7", ready=True)


class Hour:
    """An hour of judging OBJECTS rollouts, whose step changes every quarter."""

    def __init__(self, loop: VirtualLoop) -> None:
        self.loop = loop
        self.network = Network(loop)
        source = PodsSource(self.network)  # type: ignore[arg-type]  # as much of one as is used
        self.measurements = Measurements(
            self.find_pods,
            lambda _key, _urgent: None,
            now=loop.time,
            make_meter=lambda: PodsMeter(source, clock=loop.time),
        )
        self.keys: list[Key] = [("risk", f"model-{number}") for number in range(OBJECTS)]

    def find_pods(self, _key: Key) -> Sequence[PodRecord]:
        return list(list_pods(self.loop.time()))

    async def spend_a_quarter(self, number: int) -> tuple[int, float]:
        """What is allocated at the end of it: blocks, and resident memory in MiB."""
        for key in self.keys:
            self.measurements.ensure(key, replace(STEP, key=f"step-{number}"))
        await asyncio.sleep(QUARTER)
        gc.collect()
        return sys.getallocatedblocks(), read_usage(os.getpid()).resident_mib

    async def spend(self) -> list[tuple[int, float]]:
        used = [await self.spend_a_quarter(number) for number in range(4)]
        results = [self.measurements.result(key) for key in self.keys]
        assert {result.verdict for result in results if result} == {"Pass"}
        assert len([result for result in results if result]) == OBJECTS
        await self.measurements.close()
        return used


@pytest.mark.timeout(900)
def test_memory_is_flat_over_an_hour_of_judging() -> None:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, VirtualLoop)
        hour = Hour(loop)
        used = runner.run(hour.spend())
    assert hour.network.asked >= 2 * OBJECTS * (HOUR - 10)
    (first_blocks, first_mib), (last_blocks, last_mib) = used[0], used[-1]
    assert last_blocks < first_blocks + ALLOWED_BLOCKS, used
    assert last_mib < first_mib + ALLOWED_MIB, used
