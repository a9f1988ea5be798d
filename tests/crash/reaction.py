"""How soon a rollback begins, alone and beside many others: `python -m tests.crash.reaction`.

A canary's pod goes CrashLoopBackOff; what is measured is the time from the apiserver's answer to
that until its route is seen without the canary. The others are rolled all the while.
"""

import argparse
import asyncio
import json
import signal
import statistics
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.rollouts import objects
from benchmarks.rollouts.api import Api
from testbed.cluster import lifecycle
from testbed.cluster.cluster import Cluster
from testbed.cluster.lifecycle import Wish
from testbed.operators.account import give_account
from testbed.operators.apiserver import COLLECTIONS
from testbed.operators.running import DISABLED, spawn
from testbed.programs.definitions import GATEWAY_API, fetch_definitions
from testbed.programs.ports import find_free_ports
from testbed.programs.progress import Progress
from testbed.scenario.stage import prepare_simulated
from testbed.witness.changes import MODEL_LABEL, REVISION_LABEL
from tests.crash.gateway import ObligingGateway, install, make_crash
from tests.crash.mirror import Mirror, mirroring
from tests.crash.plays import Json, Play
from tests.crash.proxy import connect

NAMESPACE = "reaction"
MODEL = "canary"
PLAY = Play("reaction", hold="1h", crashes=False, phase="RolledBack")
PATIENCE_SECONDS = 600.0
WARM_UP_SECONDS = 5.0
IN_FLIGHT = 16
PACE_SECONDS = 0.05
"Between two changes: twenty a second are more rollouts than two cores get done."
EDITED = 10_000
"A version that those who are rolled don't come to."


@dataclass(frozen=True, slots=True)
class Reactions:
    """Seconds from the fault to the route, for each time: alone, and beside `objects` others.

    `edits` are the seconds beside those others from an edit of a spec until status knows of it, and
    `their_edits` the same of one of the others, which are in another namespace.
    """

    objects: int
    alone: list[float]
    busy: list[float]
    edits: list[float]
    their_edits: list[float]

    def __str__(self) -> str:
        return "\n".join(
            f"{name}: median {statistics.median(found) * 1000:.0f} ms, "
            f"largest {max(found) * 1000:.0f} ms, {len(found)} times"
            for name, found in (
                ("alone", self.alone),
                (f"beside {self.objects}", self.busy),
                (f"an edit beside {self.objects}", self.edits),
                (f"an edit of the {self.objects}", self.their_edits),
            )
        )


async def measure(cluster: Cluster, directory: Path, others: int, times: int) -> Reactions:
    """Take a canary back so many times alone, then while the others are rolled."""
    async with AsyncExitStack() as stack:
        api = await stack.enter_async_context(connect(cluster.kubeconfig))
        for name in (NAMESPACE, objects.NAMESPACE):
            await _create_namespace(api, name)
        mirror = await stack.enter_async_context(mirroring(api, NAMESPACE))
        stack.push_async_callback(ObligingGateway(api, mirror, NAMESPACE).close)
        await stack.enter_async_context(_operating(cluster, directory))
        canaries = [Canary(api, mirror, f"{MODEL}-{n}") for n in range(2 * times)]
        await asyncio.gather(*(canary.begin() for canary in canaries))
        alone = [await canary.fail() for canary in canaries[:times]]
        await _in_flight([_create(api, n) for n in range(others)])
        rolling = asyncio.create_task(_keep_rolling(api, others))
        stack.callback(rolling.cancel)
        await asyncio.sleep(WARM_UP_SECONDS)
        busy = [await canary.fail() for canary in canaries[times:]]
        edits = [await canary.edit() for canary in canaries[times:]]
        their_edits = [await _edit(api, number) for number in range(times)]
        assert not rolling.done(), rolling
        return Reactions(others, alone, busy, edits, their_edits)


class Canary:
    """One model, of which the second version is tried when it begins to fail."""

    def __init__(self, api: Api, mirror: Mirror, model: str) -> None:
        self._api = api
        self._mirror = mirror
        self._model = model

    async def begin(self) -> None:
        """Bring the first version up, and the second one to where it holds."""
        await self._api.post(_path("ModelDeployment", ""), PLAY.manifest(self._model, "v1"))
        await self._wait_for_state("Idle")
        patch = {"spec": PLAY.manifest(self._model, "v2")["spec"]}
        await self._api.merge(_path("ModelDeployment", self._model), patch)
        await self._wait_for_state("Holding")

    async def fail(self) -> float:
        """Let the canary's pod crash, and return the seconds to the route."""
        before = self._route_generation()
        revision = self._find()["status"]["canary"]["revision"]
        for _, pod in self._mirror.all_of(NAMESPACE, "Pod"):
            labels = pod["metadata"]["labels"]
            if (labels[MODEL_LABEL], labels[REVISION_LABEL]) == (self._model, revision):
                path = f"{_path('Pod', pod['metadata']['name'])}/status"
                await self._api.merge(path, make_crash(pod))
        begun = time.monotonic()
        await self._wait(lambda: self._route_generation() != before)
        return time.monotonic() - begun

    async def edit(self) -> float:
        """Name another version, and return the seconds until status knows of it."""
        patch = {"spec": PLAY.manifest(self._model, "v3")["spec"]}
        begun = time.monotonic()
        stored = await self._api.merge(_path("ModelDeployment", self._model), patch)
        wanted = json.loads(stored)["metadata"]["generation"]
        await self._wait(lambda: self._observed_generation() >= wanted)
        return time.monotonic() - begun

    def _observed_generation(self) -> int:
        return int(self._find().get("status", {}).get("observedGeneration", 0))

    def _find(self) -> Json:
        return self._mirror.find("ModelDeployment", NAMESPACE, self._model) or {}

    def _route_generation(self) -> int:
        route = self._mirror.find("HTTPRoute", NAMESPACE, self._model) or {"metadata": {}}
        return int(route["metadata"].get("generation", 0))

    async def _wait_for_state(self, state: str) -> None:
        def holds() -> bool:
            found = self._find()
            status = found.get("status", {})
            told = status.get("observedGeneration") == found.get("metadata", {}).get("generation")
            return bool(told and status.get("rollout", {}).get("state") == state)

        await self._wait(holds)

    async def _wait(self, holds: Callable[[], bool]) -> None:
        if not await self._mirror.wait_until(NAMESPACE, holds, PATIENCE_SECONDS):
            raise TimeoutError(str(self._find().get("status")))


def _path(kind: str, name: str) -> str:
    return COLLECTIONS[kind].path(NAMESPACE, name or None)


async def _create_namespace(api: Api, name: str) -> None:
    about = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    await api.post("/api/v1/namespaces", about)


@asynccontextmanager
async def _operating(cluster: Cluster, directory: Path) -> AsyncIterator[None]:
    watched = [NAMESPACE, objects.NAMESPACE]
    kubeconfig = give_account(cluster, NAMESPACE, directory, watched)
    words = ["canarium", "operator", "run", "--kubeconfig", str(kubeconfig)]
    words += ["--namespace", *watched, "--no-leader-election", *DISABLED]
    words += ["--probe-address", f"127.0.0.1:{find_free_ports(1)[0]}"]
    child = spawn(words, directory / "operator.log")
    try:
        yield
    finally:
        await asyncio.to_thread(child.end)


async def _keep_rolling(api: Api, others: int) -> None:
    """Give all objects their next version, again and again."""
    for version in count(2):
        await _in_flight([_roll(api, number, version) for number in range(others)])


async def _create(api: Api, number: int) -> None:
    await api.post(objects.COLLECTION, objects.make_object(number))


async def _roll(api: Api, number: int, version: int) -> None:
    path = f"{objects.COLLECTION}/{objects.make_name(number)}"
    await api.merge(path, objects.make_version_patch(version))
    await asyncio.sleep(IN_FLIGHT * PACE_SECONDS)


async def _edit(api: Api, number: int) -> float:
    """Name another version of one of the others; return the seconds until status knows of it."""
    name, patch = objects.make_name(number), objects.make_version_patch(EDITED)
    begun = time.monotonic()
    stored = json.loads(await api.merge(f"{objects.COLLECTION}/{name}", patch))
    watched = api.watch(objects.COLLECTION, fieldSelector=f"metadata.name={name}")
    async for line in watched:
        status = json.loads(line)["object"].get("status", {})
        if status.get("observedGeneration", 0) >= stored["metadata"]["generation"]:
            return time.monotonic() - begun
    raise ConnectionError("the watch ended")


async def _in_flight(calls: list[Coroutine[Any, Any, None]]) -> None:
    """Make the calls, so many at once."""
    waiting = iter(calls)

    async def work() -> None:
        for call in waiting:
            await call

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(IN_FLIGHT):
                group.create_task(work())
    finally:
        for call in waiting:
            call.close()


def main() -> None:
    """Measure on a cluster of its own and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash.reaction", description=__doc__)
    parser.add_argument("--objects", type=int, default=1000)
    parser.add_argument("--times", type=int, default=10)
    arguments, progress = parser.parse_args(), Progress()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    wish = Wish(name="reaction", tier="control-plane", owned=True)
    cluster = lifecycle.up(wish, progress)
    try:
        prepare_simulated(cluster, progress)
        install(cluster, fetch_definitions(GATEWAY_API, progress))
        cluster.kubectl("get", "--all-namespaces", "modeldeployments,modelrevisions,httproutes")
        with TemporaryDirectory() as directory:
            found = measure(cluster, Path(directory), arguments.objects, arguments.times)
            print(asyncio.run(found))
    finally:
        lifecycle.down(wish.name, progress)


if __name__ == "__main__":
    main()
