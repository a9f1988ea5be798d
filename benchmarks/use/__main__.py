"""What measuring the use of all revisions costs: `python -m benchmarks.use --objects 200`.

The metrics API is played by a second process on 127.0.0.1; the cache, the client and everything
behind them are the operator's own.
"""

import argparse
import asyncio
import os
import time
from multiprocessing import get_context

import msgspec
import uvloop
from canarium.core.observed import DeploymentRecord, Meta, ModelObject, PodRecord
from canarium.cost.meter import UsageMeter
from canarium.cost.reading import parse_prices
from canarium.kube.client import Client
from canarium.kube.config import Cluster
from canarium.kube.informers.cache import Cache
from canarium.kube.transport import HttpTransport
from canarium.metrics.sessions import Settings
from canarium.telemetry.metrics import Metrics

from benchmarks.rollouts.usage import read_usage
from benchmarks.use.metrics_api import REVISION, make_answer, make_name, serve

PRICES = parse_prices({"CPU": "0.031611", "RAM": "0.004237"})
REQUESTS = {"cpu": "500m", "memory": "1Gi"}
TICK_SECONDS = 0.005
START_SECONDS = 20.0


def fill_cache(objects: int, pods: int) -> Cache:
    """Models with a revision each, whose pods have a node."""
    cache = Cache(lambda _key: None)
    container = {"name": "server", "image": "registry.example/model:1"}
    spec = {"containers": [{**container, "resources": {"requests": REQUESTS}}]}
    for model in range(objects):
        name = f"model-{model:04d}"
        labels = {"canarium.dev/model": name, "canarium.dev/revision": REVISION}
        template = msgspec.json.encode({"metadata": {"labels": labels}, "spec": spec})
        cache.models.put(ModelObject(Meta("bench", name, f"uid-{model}", "1"), None))
        about = Meta("bench", f"{name}-{REVISION}", f"uid-d-{model}", "1", labels=labels)
        cache.deployments.put(DeploymentRecord(about, REVISION, pods, template))
        for pod in range(pods):
            own = Meta("bench", make_name(model, pod), f"uid-{model}-{pod}", "1", labels=labels)
            cache.pods.put(
                PodRecord(own, REVISION, phase="Running", node="n1", ready=True, scheduled=True)
            )
    return cache


async def find_latest(lateness: list[float]) -> None:
    """Note by how many seconds others in the loop are woken late."""
    while True:
        due = time.perf_counter() + TICK_SECONDS
        await asyncio.sleep(TICK_SECONDS)
        lateness.append(time.perf_counter() - due)


async def measure(port: int, objects: int, pods: int, rounds: int) -> None:
    """Measure some times and print what one of them took."""
    cache, metrics, lateness = fill_cache(objects, pods), Metrics(), list[float]()
    async with HttpTransport(Cluster(server=f"http://127.0.0.1:{port}")) as transport:
        meter = UsageMeter(Client(transport), cache, Settings(), prices=PRICES)
        metrics.add_page(meter.render)
        await meter.measure()
        ticking = asyncio.create_task(find_latest(lateness))
        began, cpu_began = time.perf_counter(), time.process_time()
        for _ in range(rounds):
            await meter.measure()
        cpu, wall = time.process_time() - cpu_began, time.perf_counter() - began
        ticking.cancel()
    shown_began = time.process_time()
    text = b"".join(metrics.render())
    shown = time.process_time() - shown_began
    rows = list(meter.rows())
    if len(rows) != objects or any(row.use.measured_pods != pods for row in rows):
        raise SystemExit("not every pod was measured")
    print(f"{objects} objects, {pods} pods each, {rounds} rounds")
    print(
        f"one measurement: CPU {1000 * cpu / rounds:.1f} ms, {1000 * wall / rounds:.1f} ms in all"
    )
    print(f"others in the loop late, most: {1000 * max(lateness):.1f} ms")
    print(f"/metrics: CPU {1000 * shown:.1f} ms, {len(text) / 1024:.0f} KiB")
    print(f"resident memory: {read_usage(os.getpid()).resident_mib:.0f} MiB")


def main() -> None:
    """Play the metrics API in a process of its own, and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, default=200)
    parser.add_argument("--pods", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=30)
    arguments = parser.parse_args()
    answer = make_answer(arguments.objects, arguments.pods)
    ours, theirs = get_context("spawn").Pipe()
    api = get_context("spawn").Process(target=serve, args=(answer, theirs), daemon=True)
    api.start()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            counts = arguments.objects, arguments.pods, arguments.rounds
            if not ours.poll(START_SECONDS):
                raise SystemExit("the metrics API did not start")
            runner.run(measure(ours.recv(), *counts))
        print(f"one answer: {len(answer) / 1024:.0f} KiB")
    finally:
        api.terminate()
        api.join()


if __name__ == "__main__":
    main()
