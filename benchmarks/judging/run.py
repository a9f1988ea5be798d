"""Many objects judged at once, as the operator does it: its measuring, its sources, its loop."""

import asyncio
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import uvloop
from canarium.core.observed import Meta, PodRecord
from canarium.core.plan import Measure
from canarium.core.spec import MetricsEndpoint
from canarium.judge import Metric
from canarium.kube.informers.store import Key
from canarium.metrics.sessions import Measurements

from benchmarks.judging.pods import Serving, serving
from benchmarks.rollouts.usage import Usage, read_usage

METRICS = (
    Metric("error-rate", "ErrorRate", max=0.05, max_increase=0.005),
    Metric("latency-p99", "Latency", quantile=0.99, max=0.5, max_ratio=1.2),
)
STABLE, CANARY = "5d8f7c9b64", "7b9d6f5c88"
INTERVAL_SECONDS = 1.0
WARM_UP_SECONDS = 3.0
TICK_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Size:
    """How many objects, with so many pods of each revision, for how long."""

    objects: int = 200
    pods: int = 2
    seconds: float = 60.0
    together: bool = False
    """Whether all objects begin in the same instant, as after a restart; else over an interval."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What judging took over `seconds`, after a warm-up.

    `cpu_seconds` and memory are the judging process's, `waited_seconds` how long it waited for a
    processor that others had; `served_cpu_seconds` is of the process that plays the pods.
    `lateness` is by how many seconds others in the loop were woken late. `wakes` is how often an
    object was to be looked at, `unread` how many objects lack a pod's answer at the end. `scrapes`
    are those of the whole run of `lived_seconds`, with the warm-up.
    """

    size: Size
    seconds: float
    lived_seconds: float
    cpu_seconds: float
    waited_seconds: float
    served_cpu_seconds: float
    resident_mib: float
    growth_mib: float
    scrapes: int
    wakes: int
    unread: int
    verdicts: tuple[str, ...]
    lateness: tuple[float, ...] = field(repr=False)

    @property
    def asked_a_second(self) -> float:
        """How many answers a second should be read."""
        return 2 * self.size.pods * self.size.objects / INTERVAL_SECONDS

    @property
    def read_a_second(self) -> float:
        """How many were: fewer where a processor is waited for."""
        return self.scrapes / self.lived_seconds

    @property
    def cores(self) -> float:
        """How much of one core judging takes, if all that is asked for is read."""
        behind = self.asked_a_second / self.read_a_second
        return self.cpu_seconds / self.seconds * max(behind, 1.0)


def run(size: Size) -> Figures:
    """Judge for a while. Load goes to 127.0.0.1, and to nobody else's ports."""
    with (
        serving(2 * size.objects) as pods,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as it,
    ):
        bench = Bench(size, pods)
        figures = it.run(bench.run())
    return replace(figures, scrapes=pods.answered)


class Bench:
    """One run. Object n's revisions have the ports 2n (stable) and 2n + 1 (canary)."""

    def __init__(self, size: Size, pods: Serving) -> None:
        self._size = size
        self._pods = pods
        self._records = tuple(
            make_pod(f"{side}-{n}", revision)
            for side, revision in (("s", STABLE), ("c", CANARY))
            for n in range(size.pods)
        )
        self._wakes = 0
        self._lateness: list[float] = []
        self._measurements = Measurements(self._find_pods, self._wake)

    def _find_pods(self, key: Key) -> Sequence[PodRecord]:
        return self._records

    def _wake(self, key: Key, urgent: bool) -> None:
        self._wakes += 1

    async def run(self) -> Figures:
        born, keys = time.monotonic(), [("bench", f"model-{n}") for n in range(self._size.objects)]
        for number, key in enumerate(keys):
            self._measurements.ensure(key, self._make_measure(number))
            await asyncio.sleep(0 if self._size.together else INTERVAL_SECONDS / len(keys))
        await asyncio.sleep(WARM_UP_SECONDS)
        ticking = asyncio.create_task(self._tick())
        begun, before, served = time.monotonic(), read_usage(os.getpid()), self._read_served()
        cpu, waited, woken = time.process_time(), read_waited_seconds(), self._wakes
        await asyncio.sleep(self._size.seconds)
        cpu, waited = time.process_time() - cpu, read_waited_seconds() - waited
        seconds, after = time.monotonic() - begun, read_usage(os.getpid())
        ticking.cancel()
        results = [self._measurements.result(key) for key in keys]
        await self._measurements.close()
        return Figures(
            self._size,
            seconds,
            time.monotonic() - born,
            cpu,
            waited,
            self._read_served().cpu_seconds - served.cpu_seconds,
            after.resident_mib,
            after.resident_mib - before.resident_mib,
            scrapes=0,  # known when the pods have ended
            wakes=self._wakes - woken,
            unread=sum(result is None or bool(result.problems) for result in results),
            verdicts=tuple(sorted({result.verdict for result in results if result})),
            lateness=tuple(self._lateness),
        )

    def _read_served(self) -> Usage:
        return read_usage(self._pods.pid)

    async def _tick(self) -> None:
        """Somebody else in the same loop, who notices when it is busy."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + TICK_SECONDS
            await asyncio.sleep(TICK_SECONDS)
            self._lateness.append(loop.time() - due)

    def _make_measure(self, number: int) -> Measure:
        stable, canary = self._pods.ports[2 * number : 2 * number + 2]
        return Measure(
            key="step-1",
            metrics=METRICS,
            min_requests=100,
            interval_seconds=INTERVAL_SECONDS,
            not_before=0.0,
            canary=CANARY,
            stable=STABLE,
            endpoint=MetricsEndpoint(port=canary, path="/metrics", profile="MLServer"),
            stable_endpoint=MetricsEndpoint(port=stable, path="/metrics", profile="MLServer"),
        )


def make_pod(name: str, revision: str) -> PodRecord:
    """A ready pod on this machine."""
    meta = Meta(namespace="bench", name=name, uid=name, resource_version="1")
    return PodRecord(meta, revision, ip="127.0.0.1", ready=True)


def read_waited_seconds() -> float:
    """How long this process has waited for a processor: the second field of schedstat."""
    return int(Path("/proc/self/schedstat").read_text().split()[1]) / 1e9
