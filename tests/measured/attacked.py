"""Measuring under attack: `python -m tests.measured.attacked --seconds 600`.

In a process of its own, as an operator does it: one loop (uvloop), one set of shares. Twenty
ordinary models are read once a second, first by themselves and then beside servers of another
namespace that answer whatever is hostile, all at once, while a large spec of theirs is edited and
the address of their gateway changes. Prints what both halves came to as one line of JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import uvloop
from canarium.core.metrics import MetricQuery
from canarium.core.names import child_name
from canarium.core.plan import Measure
from canarium.core.spec import PrometheusQuery, Query, WebQuery
from canarium.errors import CanariumError
from canarium.judge import Metric
from canarium.metrics.sessions.readers import make_reader
from canarium.metrics.sources.asking import MetricSources
from canarium.metrics.sources.gateway import Backend, GatewayMeter, GatewaySource
from canarium.metrics.sources.pods import PodsMeter, PodsSource, PodTarget, make_session
from canarium.outbound.credentials import Secrets
from canarium.outbound.forbidden_addresses import make_guarded_session
from canarium.outbound.sharing import Shares
from canarium.resources.diff import contains
from canarium.resources.pod_template import render_template

from tests.properties.world import make_spec
from tests.security.answers import ANSWERS
from tests.unit.kube.fake import FakeClient

MODELS = 20
METRICS = 20
MIB = 1024 * 1024
KEY = ("hostile", "m")
STEP = Measure("step-1", (), 10, 1.0, 0.0, "7b9d6f5c88", "5d8f7c9b64")


@dataclass(frozen=True)
class Figures:
    """What one half of the run came to."""

    resident_mib: float
    "At the end."
    readings: int
    "Of the ordinary models, together."
    failed: int
    round_p99_ms: float
    "Time of the processor that the loop went without a turn for others."
    round_most_ms: float


class Reader:
    """Ordinary models, each read once a second, with everything that an operator shares."""

    def __init__(self, base: str, ordinary: str) -> None:
        self.base = base
        self.ordinary = ordinary
        self.readings = self.failed = 0
        self.rounds: list[float] = []
        self.shares = Shares()

    async def read_model(self, number: int, source: PodsSource) -> None:
        """One model, again and again."""
        meter, url = PodsMeter(source), f"{self.ordinary}ordinary"
        stable, canary = (
            [PodTarget(f"{name}-{n}", url, "Prometheus", name, namespace=f"risk-{number}")]
            for n, name in enumerate(("stable", "canary"))
        )
        while True:
            began = time.monotonic()
            measurement = await meter.measure(stable, canary)
            self.readings += 1
            self.failed += bool(measurement.errors)
            await asyncio.sleep(max(0.0, began + 1.0 - time.monotonic()))

    async def watch(self) -> None:
        """How long each round of the loop takes of the processor."""
        while True:
            began = time.thread_time()
            await asyncio.sleep(0)
            self.rounds.append(time.thread_time() - began)
            if len(self.rounds) > 200_000:
                self.rounds = sorted(self.rounds)[-2_000:] + self.rounds[-50_000:]
            await asyncio.sleep(0.002)

    def take_figures(self) -> Figures:
        """What it came to since the last time."""
        rounds, self.rounds = sorted(self.rounds), []
        found = Figures(
            read_resident() / MIB,
            self.readings,
            self.failed,
            1000 * rounds[int(len(rounds) * 0.99)],
            1000 * rounds[-1],
        )
        self.readings = self.failed = 0
        return found


def read_resident() -> int:
    """Bytes of this process that are in memory."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * 4096


@asynccontextmanager
async def serving() -> AsyncIterator[str]:
    """A server in a process of its own: what is hostile keeps that one busy, too."""
    command = [sys.executable, "-m", "tests.security.answers"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:  # noqa: ASYNC220
        try:
            assert server.stdout is not None
            yield f"http://127.0.0.1:{server.stdout.readline().strip()}/"
        finally:
            server.kill()


async def again(seconds: float, do: Callable[[], Awaitable[Any]]) -> None:
    """Do it again and again, as sessions do; what fails is a failed reading."""
    while True:
        with suppress(CanariumError):
            await do()
        await asyncio.sleep(seconds)


def attack(reader: Reader, pods: PodsSource, sources: MetricSources) -> list[Awaitable[None]]:
    """Everything hostile at once, of one namespace."""
    return [
        *(again(1.0, partial(attack_pods, pods, reader.base, name)) for name in ANSWERS),
        *(
            again(0.1, make_reader(sources, KEY, STEP, each).ask)
            for each in make_metric_queries(reader)
        ),
        again(0.3, lambda: attack_gateway(reader, sources)),
        again(0.3, edit(itertools.count())),
    ]


def make_metric_queries(reader: Reader) -> list[MetricQuery]:
    """What one object may ask for, of each server."""
    ratio = Metric("mine", "Ratio", max=0.5, source="metric:mine")
    gauge = Metric("mine", "Gauge", max=0.5, source="metric:mine")
    queries = make_queries(reader)
    return [MetricQuery(ratio if each.total else gauge, each, 10.0) for each in queries]


def make_queries(reader: Reader) -> list[Query]:
    """What two objects may have: twenty metrics of hostile Prometheus, and twenty of the web."""
    prometheus = [name for name, (kind, _) in ANSWERS.items() if kind.endswith("json")]
    queries: list[Query] = [
        PrometheusQuery(bad="b_total", total="t_total", address=f"{reader.base}{name}")
        for name in prometheus
        for _ in range(METRICS // len(prometheus))
    ]
    web = [WebQuery(url=f"{reader.base}wide", value="$..[?@.a==1]") for _ in range(METRICS)]
    return [*queries, *web]


async def attack_pods(pods: PodsSource, base: str, name: str) -> None:
    """Ten pods that all answer this."""
    targets = [
        PodTarget(f"{name}-{n}", f"{base}{name}", "Prometheus", namespace="hostile")
        for n in range(10)
    ]
    await pods.fetch(targets)


_gateways = itertools.cycle([name for name, (kind, _) in ANSWERS.items() if kind == "text/plain"])
_addresses = itertools.count()


async def attack_gateway(reader: Reader, sources: MetricSources) -> None:
    """A gateway of another address each time, which is read once."""
    address = f"{reader.base}{next(_gateways)}/{next(_addresses)}"
    source = GatewaySource(sources.session, address, shares=reader.shares)
    await GatewayMeter(source, "Istio").measure(None, Backend("hostile", "m-1", "m"))


def edit(numbers: itertools.count[int]) -> Callable[[], Awaitable[None]]:
    """A spec of 384 KB that is different each time, rendered and compared."""

    async def once() -> None:
        spec, number = make_spec(), next(numbers)
        env = [{"name": f"E{each}", "value": f"{number}" + "v" * 3_800} for each in range(100)]
        server = {**spec.source["server"], "env": env}
        large = replace(spec, source={**spec.source, "server": server})
        rendered = render_template("hostile", child_name("m", "a"), large)
        contains(rendered.encode(), rendered)

    return once


async def run(seconds: float) -> tuple[Figures, Figures]:
    """Both halves, each so long."""
    async with (
        serving() as base,
        serving() as ordinary,
        make_session() as http,
        make_guarded_session([ip_network("127.0.0.0/8")]) as guarded,
    ):
        reader = Reader(base, ordinary)
        pods = PodsSource(http, timeout_seconds=30.0, shares=reader.shares)
        sources = MetricSources(guarded, Secrets(FakeClient()), shares=reader.shares)
        tasks = [asyncio.create_task(reader.read_model(n, pods)) for n in range(MODELS)]
        tasks.append(asyncio.create_task(reader.watch()))
        await asyncio.sleep(seconds)
        alone = reader.take_figures()
        tasks += [asyncio.ensure_future(each) for each in attack(reader, pods, sources)]
        await asyncio.sleep(seconds)
        attacked = reader.take_figures()
        broken = [task.exception() for task in tasks if task.done()]
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    if broken:
        raise RuntimeError(f"a session ended: {broken[0]!r}")
    return alone, attacked


def main() -> None:
    """Run, and print the figures."""
    parser = argparse.ArgumentParser(prog="python -m tests.measured.attacked", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0, help="of each half (600)")
    alone, attacked = uvloop.run(run(parser.parse_args().seconds))
    print(json.dumps({"alone": asdict(alone), "attacked": asdict(attacked)}))


if __name__ == "__main__":
    main()
