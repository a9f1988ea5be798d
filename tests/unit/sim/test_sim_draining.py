from collections.abc import Iterator

import pytest
from canarium.sim.apiserver import Change, is_deleting, is_ready
from canarium.sim.controllers.pods import NODES, UNSCHEDULABLE, Behaviour
from canarium.sim.simulation import Simulation

from tests.unit.sim.scaled import LABELS, Json, deploy

NODE = NODES[0]


@pytest.fixture
def sim() -> Iterator[Simulation]:
    with Simulation() as found:
        yield found


def protect(sim: Simulation, most_unavailable: int | str) -> Json:
    """Have a budget for the model's pods."""
    spec = {
        "maxUnavailable": most_unavailable,
        "selector": {"matchLabels": {"canarium.dev/model": "fraud"}},
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
    }
    body = {"metadata": {"name": "fraud", "labels": LABELS}, "spec": spec}
    return sim.server.create("PodDisruptionBudget", "risk", body, "kubectl").body


def count_ready(sim: Simulation) -> int:
    return sum(is_ready(p) and not is_deleting(p) for p in sim.server.all_of("Pod"))


def lowest_ready(sim: Simulation) -> list[int]:
    """How many pods were ready after each change from now on."""
    found: list[int] = []

    def look(change: Change) -> None:
        if change.kind == "Pod":
            found.append(count_ready(sim))

    sim.observe(look)
    return found


def test_a_drained_node_is_emptied_and_gets_no_pods_until_it_may_have_some(sim: Simulation) -> None:
    deploy(sim, 6)
    sim.run(5.0)
    sim.drain.begin(NODE)
    sim.run(30.0)
    assert (sim.drain.is_empty(NODE), count_ready(sim)) == (True, 6)
    sim.drain.end(NODE)
    deploy_more(sim, 9)
    sim.run(10.0)
    assert not sim.drain.is_empty(NODE)


def deploy_more(sim: Simulation, replicas: int) -> None:
    sim.server.scale("Deployment", ("risk", "fraud-5d8f7c9b64"), replicas, "kubectl")


def test_a_budget_holds_while_a_node_is_drained(sim: Simulation) -> None:
    deploy(sim, 6)
    protect(sim, 1)
    sim.run(5.0)
    ready = lowest_ready(sim)
    sim.drain.begin(NODE)
    sim.run(60.0)
    assert (sim.drain.is_empty(NODE), min(ready), count_ready(sim)) == (True, 5, 6)
    assert sim.drain.refused > 0


def test_a_pod_that_is_not_ready_may_always_go(sim: Simulation) -> None:
    deploy(sim, 3)
    protect(sim, 0)
    sim.run(5.0)
    sim.drain.begin(NODE)
    sim.run(60.0)
    assert not sim.drain.is_empty(NODE)
    sim.pods.behave("1", Behaviour(failing="Unready", works_seconds=0.1))
    sim.run(10.0)
    assert sim.drain.is_empty(NODE)


@pytest.mark.parametrize(("most", "want"), [(0, 0), (2, 2), ("10%", 1), ("50%", 3), ("0%", 0)])
def test_percent_of_a_budget_are_rounded_up(sim: Simulation, most: int | str, want: int) -> None:
    deploy(sim, 5)
    budget = protect(sim, most)
    sim.run(5.0)
    assert sim.drain.count_allowed(budget) == want


def test_a_pod_without_room_says_what_is_missing_and_is_placed_when_there_is_some(
    sim: Simulation,
) -> None:
    sim.pods.set_room(2)
    deploy(sim, 3)
    sim.run(10.0)
    conditions = [p["status"]["conditions"][0] for p in sim.server.all_of("Pod")]
    assert sorted(c.get("message", "") for c in conditions) == ["", "", UNSCHEDULABLE]
    sim.pods.set_room(3)
    sim.run(10.0)
    assert count_ready(sim) == 3


def test_a_pod_that_goes_makes_room_for_one_that_waits(sim: Simulation) -> None:
    sim.pods.set_room(2)
    deploy(sim, 3)
    sim.run(10.0)
    deploy_more(sim, 1)
    sim.run(10.0)
    assert count_ready(sim) == 1
    deploy_more(sim, 2)
    sim.run(10.0)
    assert count_ready(sim) == 2
