"""Clusters, witnesses and scenarios for the end-to-end tests.

Run them with `-n 4 --dist loadfile --no-loadscope-reorder`. However many workers there are, only
as many scenarios with real traffic run side by side as there are processors, or the load client's
answers would suffer from our own crowd.
"""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path

import pytest

from testbed.cluster.cluster import Cluster
from testbed.cluster.lifecycle import Tier
from testbed.operators.account import HOME, give_account
from testbed.operators.apiserver import Apiserver
from testbed.operators.installed import serve_one
from testbed.operators.running import Operator, RunningOperator, start_witness
from testbed.scenario.scenario import Scenario, make_scenario
from testbed.scenario.stage import (
    Prepare,
    own_node,
    prepare_node,
    prepare_simulated,
    share_cluster,
    share_node,
    take_all_slots,
    take_slot,
)
from testbed.witness.changes import read_changes
from testbed.witness.invariants import check_namespaces

Place = AbstractContextManager[None]
LONGEST_FIRST = (
    "test_scaling_node",
    "test_envoy",
    "test_rollouts",
    "test_upgrade",
    "test_routers",
    "test_faults",
    "test_bad_input",
    "test_gateways",
)


LAST = "test_installed_by_default"
"It has the node for itself: best when the others are done with it."


BY_HAND = "CANARIUM_ARGO_CD"
"With it in the environment the tests that are marked `by_hand` are there: `make e2e-argocd`."


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest, so that no worker is left alone with one."""
    order = {name: number for number, name in enumerate(LONGEST_FIRST)}
    order[LAST] = len(order) + 1
    if BY_HAND not in os.environ:
        items[:] = [item for item in items if item.get_closest_marker("by_hand") is None]
    items.sort(key=lambda item: order.get(item.path.stem, len(LONGEST_FIRST)))


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
def slot(run: Path, request: pytest.FixtureRequest) -> Iterator[Place]:
    """A place among the scenarios with real traffic; all places for one that is marked so.

    It is taken when the operator is ready, and given back before that one is removed.
    """
    slots = os.cpu_count() or 1
    alone = request.node.get_closest_marker("alone") is not None
    with share_node(run):
        yield take_all_slots(slots, run) if alone else take_slot(slots, run)


@pytest.fixture
def alone(run: Path) -> Iterator[None]:
    """The node: nobody else has an operator on it, or real traffic."""
    with own_node(run):
        yield


@pytest.fixture
def scenario(
    node: Theatre, slot: Place, request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[Scenario]:
    """A namespace with an operator of its own, under real traffic where the test starts it.

    The operator is installed by the chart and runs in a pod.
    """
    found = set_up(node, tmp_path, request.node.name)
    yield from play(found, serve_one(node.cluster, node.apiserver, found.namespace), slot)


@pytest.fixture
def rehearsal(
    simulated: Theatre, request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[Scenario]:
    """A namespace of the simulated cluster with an operator of its own.

    Simulated nodes run nothing, so it is a process here, with the chart's account and rights.
    """
    found = set_up(simulated, tmp_path, request.node.name)
    operator = make_process(found)
    with ExitStack() as stack:
        words = ("delete", "namespace", operator.namespace, "--wait=false")
        stack.callback(found.cluster.kubectl, *words)
        yield from play(found, operator)


def set_up(theatre: Theatre, directory: Path, name: str) -> Scenario:
    """A scenario in a namespace of its own, without an operator as yet."""
    return make_scenario(theatre.cluster, theatre.apiserver, theatre.witness, directory, name)


def make_process(scenario: Scenario) -> RunningOperator:
    """An operator out of the cluster, which acts at once; its account has a namespace too."""
    watched, home = scenario.namespace, scenario.namespace + HOME
    scenario.cluster.kubectl("create", "namespace", home)
    kubeconfig = give_account(scenario.cluster, home, scenario.directory, [watched])
    log = scenario.directory / "operator.log"
    return RunningOperator(kubeconfig, log, watched, lease=False, home=home)


def play(scenario: Scenario, operator: Operator, place: Place | None = None) -> Iterator[Scenario]:
    """Lend a scenario in its place and, when its test is over, hold it against the invariants."""
    scenario.operator = operator
    with ExitStack() as stack:
        stack.callback(scenario.delete_namespace)
        stack.callback(operator.remove)
        operator.start()
        with place or nullcontext():
            yield scenario
            if scenario.load is not None:
                scenario.load.stop()
        violations = scenario.find_violations()
        assert not violations, "\n".join([*map(str, violations), scenario.tell()])
