"""Clusters, witnesses and scenarios for the end-to-end tests.

Run them with `-n 4 --dist loadfile --no-loadscope-reorder`. However many workers there are, only
as many scenarios with real traffic run side by side as there are processors, or the load client's
answers would suffer from our own crowd.
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.cluster.cluster import Cluster
from tests.cluster.lifecycle import Tier
from tests.e2e.apiserver import Apiserver
from tests.e2e.changes import read_changes
from tests.e2e.invariants import check_namespaces
from tests.e2e.rights import USER
from tests.e2e.running import RunningOperator, start_witness
from tests.e2e.scenario import Scenario, make_scenario
from tests.e2e.stage import (
    Prepare,
    prepare_node,
    prepare_simulated,
    share_cluster,
    take_all_slots,
    take_slot,
)

LONGEST_FIRST = (
    "test_scaling_node",
    "test_envoy",
    "test_rollouts",
    "test_routers",
    "test_faults",
    "test_bad_input",
    "test_gateways",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest, so that no worker is left alone with one."""
    order = {name: number for number, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: order.get(item.path.stem, len(order)))


class Theatre:
    """A cluster of one tier with this worker's witness in it."""

    def __init__(self, cluster: Cluster, witness: Path) -> None:
        self.cluster = cluster
        self.witness = witness
        self.apiserver = Apiserver(cluster.kubeconfig)


def open_theatre(tier: Tier, prepare: Prepare, run: Path, directory: Path) -> Iterator[Theatre]:
    """A cluster of the run and a witness of this worker's own."""
    with ExitStack() as stack:
        cluster = stack.enter_context(share_cluster(tier, prepare, run))
        child, log = start_witness(cluster.kubeconfig, directory)
        stack.callback(child.end)
        yield Theatre(cluster, log)
        astray = list(check_namespaces(read_changes(log)))
        assert not astray, "\n".join(map(str, astray))


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory that all workers of this run share."""
    mine = tmp_path_factory.getbasetemp()
    return mine.parent if "PYTEST_XDIST_WORKER" in os.environ else mine


@pytest.fixture(scope="session")
def node(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Theatre]:
    """A cluster that really runs pods, with a gateway and the model's images."""
    yield from open_theatre("auto", prepare_node, run, tmp_path_factory.mktemp("node"))


@pytest.fixture(scope="session")
def simulated(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Theatre]:
    """A control plane with simulated nodes and without Gateway API."""
    directory = tmp_path_factory.mktemp("simulated")
    yield from open_theatre("control-plane", prepare_simulated, run, directory)


@pytest.fixture
def slot(run: Path, request: pytest.FixtureRequest) -> Iterator[None]:
    """A place among the scenarios with real traffic; all places for one that is marked so."""
    slots = os.cpu_count() or 1
    alone = request.node.get_closest_marker("alone") is not None
    with take_all_slots(slots, run) if alone else take_slot(slots, run):
        yield


@pytest.fixture
def scenario(
    node: Theatre, slot: None, request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[Scenario]:
    """A namespace with an operator of its own, under real traffic where the test starts it."""
    yield from play(node, tmp_path, request.node.name, lease=True)


@pytest.fixture
def rehearsal(
    simulated: Theatre, request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[Scenario]:
    """A namespace of the simulated cluster with an operator of its own."""
    yield from play(simulated, tmp_path, request.node.name, lease=False)


def play(theatre: Theatre, directory: Path, name: str, *, lease: bool) -> Iterator[Scenario]:
    """Lend a scenario and, when its test is over, hold it against the invariants."""
    found = make_scenario(theatre.cluster, theatre.apiserver, theatre.witness, directory, name)
    kubeconfig, log = theatre.cluster.kubeconfig_for(USER), directory / "operator.log"
    found.operator = RunningOperator(kubeconfig, log, found.namespace, lease)
    with ExitStack() as stack:
        stack.callback(found.delete_namespace)
        stack.callback(found.operator.stop)
        found.operator.start()
        yield found
        if found.load is not None:
            found.load.stop()
        violations = found.find_violations()
        assert not violations, "\n".join([*map(str, violations), found.tell()])
