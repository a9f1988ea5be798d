"""A control plane with simulated nodes, a gateway that obliges, a witness, and lanes."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from benchmarks.rollouts.api import Api
from testbed.cluster.cluster import Cluster
from testbed.operators.account import give_account
from testbed.operators.running import start_witness
from testbed.programs.definitions import GATEWAY_API, fetch_definitions
from testbed.programs.progress import Progress
from testbed.scenario.stage import prepare_simulated, share_cluster
from tests.crash import gateway
from tests.crash.lane import Lane
from tests.crash.mirror import Mirror, mirroring
from tests.crash.proxy import Gate, Proxy, connect, open_upstream, serve, write_kubeconfig

MakeLane = Callable[..., Awaitable[Lane]]


def prepare(cluster: Cluster, progress: Progress) -> None:
    """Our definitions, and Gateway API's, once they are served."""
    prepare_simulated(cluster, progress)
    gateway.install(cluster, fetch_definitions(GATEWAY_API, progress))
    cluster.kubectl("get", "--all-namespaces", "modeldeployments,modelrevisions,httproutes")


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A control plane for the tests of this directory."""
    base = tmp_path_factory.getbasetemp()
    run = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    (run / "crash").mkdir(exist_ok=True)
    with share_cluster("control-plane", prepare, run / "crash") as found:
        yield found


@pytest.fixture(scope="session")
def witness(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The log of an independent witness."""
    child, log = start_witness(cluster.kubeconfig, tmp_path_factory.mktemp("witness"))
    with ExitStack() as stack:
        stack.callback(child.end)
        yield log


@dataclass(slots=True)
class Stage:
    """A cluster with its gateway, and as many lanes as one asks for."""

    cluster: Cluster
    witness: Path
    mirror: Mirror
    api: Api
    make_lane: MakeLane


@pytest.fixture
async def stage(cluster: Cluster, witness: Path, tmp_path: Path) -> AsyncIterator[Stage]:
    """What the tests of this directory play on."""
    async with AsyncExitStack() as stack:
        api = await stack.enter_async_context(connect(cluster.kubeconfig))
        upstream = await stack.enter_async_context(open_upstream(cluster.kubeconfig))
        mirror = await stack.enter_async_context(mirroring(api))
        obliging = gateway.ObligingGateway(api, mirror)
        stack.push_async_callback(obliging.close)

        async def make_lane(
            name: str, gate: Gate | None = None, *words: str, beside: Lane | None = None
        ) -> Lane:
            proxy = Proxy(*upstream, gate or Gate())
            await stack.enter_async_context(serve(proxy))
            namespace = beside.namespace if beside else f"{name}-{uuid4().hex[:6]}"
            if beside is None:
                about: Any = {"metadata": {"name": namespace}}
                manifest = {"apiVersion": "v1", "kind": "Namespace", **about}
                await api.post("/api/v1/namespaces", manifest)
            obliging.namespaces.add(namespace)
            original = await asyncio.to_thread(give_account, cluster, namespace, tmp_path)
            kubeconfig = write_kubeconfig(tmp_path / f"{name}.yaml", original, proxy.url)
            log = tmp_path / f"{name}.log"
            lane = Lane(namespace, api, mirror, proxy, kubeconfig, log, words)
            return await stack.enter_async_context(_playing(lane, owned=beside is None))

        yield Stage(cluster, witness, mirror, api, make_lane)


@asynccontextmanager
async def _playing(lane: Lane, *, owned: bool) -> AsyncIterator[Lane]:
    """A lane with a running operator, and the namespace if it is its own; both go in the end."""
    lane.start()
    try:
        yield lane
    finally:
        await lane.stop()
        if owned:
            await lane.api.delete(f"/api/v1/namespaces/{lane.namespace}")
