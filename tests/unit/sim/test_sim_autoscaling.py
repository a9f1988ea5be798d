from collections.abc import Iterator
from typing import Any

import pytest
from canarium.sim.apiserver import Change
from canarium.sim.controllers.autoscaling import AUTOSCALER
from canarium.sim.controllers.pods import Behaviour
from canarium.sim.simulation import Simulation

from tests.simulated.play import Play, serving
from tests.unit.sim.scaled import (
    KEY,
    LABELS,
    MODEL,
    autoscale,
    condition,
    deploy,
    make_percent,
    make_quantity,
    make_trigger,
    replicas,
    scale_by_load,
)

HPA, SCALED_OBJECT = "HorizontalPodAutoscaler", "ScaledObject"
ACTIVE = ("ScalingActive", "True", "ValidMetricFound")


@pytest.fixture
def sim() -> Iterator[Simulation]:
    with Simulation() as found:
        yield found


def writers_of_replicas(sim: Simulation) -> list[tuple[str, int]]:
    """Who wrote which number of replicas from now on; the list grows as time passes."""
    found: list[tuple[str, int]] = []

    def look(change: Change) -> None:
        if change.kind == "Deployment" and change.was and change.was["spec"] != change.body["spec"]:
            found.append((change.by, change.body["spec"]["replicas"]))

    sim.observe(look)
    return found


@pytest.mark.parametrize(
    ("metric", "rate", "want"),
    [
        (make_percent(50), 20.0, 2),  # 100 % in all
        (make_percent(50), 70.0, 7),
        (make_percent(50), 61.0, 6),  # four more at first, and then near enough
        (make_percent(50), 5.0, 1),
        (make_quantity("500m"), 40.0, 4),  # 2 cores in all
        (make_quantity("100Mi", "memory"), 20.0, 10),  # 1 GB in all
    ],
)
def test_pods_follow_the_load_by_what_each_may_use(
    sim: Simulation, metric: Any, rate: float, want: int
) -> None:
    deploy(sim, 2, rate)
    autoscale(sim, metric)
    sim.run(180.0)
    assert (replicas(sim), condition(sim, HPA)) == (want, ACTIVE)


def test_the_replicas_are_written_as_another_manager_every_fifteen_seconds(sim: Simulation) -> None:
    deploy(sim, 1, 100.0)
    autoscale(sim, make_percent(50))
    written = writers_of_replicas(sim)
    sim.run(14.9)
    assert written == []
    sim.run(0.2)
    assert written == [(AUTOSCALER, 5)]  # as many again as there are, or four
    sim.run(15.0)
    assert written == [(AUTOSCALER, 5), (AUTOSCALER, 10)]


def test_within_a_tenth_of_the_target_nothing_moves(sim: Simulation) -> None:
    deploy(sim, 2, 21.9)
    autoscale(sim, make_percent(50))
    sim.run(120.0)
    assert replicas(sim) == 2
    sim.load.offer(MODEL, 22.1)
    sim.run(30.0)
    assert replicas(sim) == 3


def test_it_waits_before_it_takes_pods_away(sim: Simulation) -> None:
    deploy(sim, 4, 40.0)
    autoscale(sim, make_percent(50), behavior={"scaleDown": {"stabilizationWindowSeconds": 60}})
    sim.run(45.1)
    sim.load.offer(MODEL, 10.0)
    sim.run(59.0)
    assert replicas(sim) == 4
    sim.run(16.0)
    assert replicas(sim) == 1


def test_what_may_not_be_scaled_down_stays(sim: Simulation) -> None:
    deploy(sim, 4, 10.0)
    autoscale(sim, make_percent(50), behavior={"scaleDown": {"selectPolicy": "Disabled"}})
    sim.run(300.0)
    assert replicas(sim) == 4


def test_bounds_are_brought_about_whatever_the_load(sim: Simulation) -> None:
    deploy(sim, 1, 0.0)
    autoscale(sim, make_percent(50), minReplicas=3)
    sim.run(16.0)
    assert replicas(sim) == 3
    autoscale(sim, make_percent(50), minReplicas=1, maxReplicas=2)
    sim.run(16.0)
    assert replicas(sim) == 2


def test_a_target_that_was_taken_to_nothing_is_left_alone(sim: Simulation) -> None:
    deploy(sim, 0, 100.0)
    autoscale(sim, make_percent(50))
    sim.run(120.0)
    assert replicas(sim) == 0
    assert condition(sim, HPA) == ("ScalingActive", "False", "ScalingDisabled")


def test_pods_that_are_not_ready_count_as_idle_before_more_are_made(sim: Simulation) -> None:
    deploy(sim, 1, 20.0)
    sim.run(5.0)
    sim.pods.default = Behaviour(start_seconds=1000.0)
    autoscale(sim, make_percent(50))
    sim.run(300.0)
    assert replicas(sim) == 2  # not ever more while the second one starts


def test_nothing_is_known_while_no_pod_is_ready(sim: Simulation) -> None:
    sim.pods.default = Behaviour(failing="Unready")
    deploy(sim, 3, 100.0)
    autoscale(sim, make_percent(50))
    sim.run(60.0)
    assert replicas(sim) == 3
    assert condition(sim, HPA) == ("ScalingActive", "False", "FailedGetResourceMetric")


def test_two_autoscalers_of_one_target_stop_each_other(sim: Simulation) -> None:
    deploy(sim, 1, 100.0)
    autoscale(sim, make_percent(50))
    autoscale(sim, make_percent(50), name="somebodys")
    sim.run(60.0)
    assert replicas(sim) == 1
    assert condition(sim, HPA) == ("ScalingActive", "False", "AmbiguousSelector")


def test_an_autoscaler_without_a_target_says_so(sim: Simulation) -> None:
    autoscale(sim, make_percent(50))
    sim.run(16.0)
    assert condition(sim, HPA) == ("AbleToScale", "False", "FailedGetScale")


def test_one_that_was_deleted_does_nothing_more(sim: Simulation) -> None:
    deploy(sim, 1, 100.0)
    autoscale(sim, make_percent(50))
    sim.server.delete(HPA, KEY, "kubectl")
    sim.run(120.0)
    assert replicas(sim) == 1


def test_a_walk_keeps_to_its_bounds_and_moves(sim: Simulation) -> None:
    deploy(sim, 1)
    sim.load.walk(MODEL, 10.0, 30.0)
    rates = []
    for _ in range(100):
        sim.run(5.0)
        rates.append(sim.traffic.rate_of(MODEL))
    assert min(rates) >= 10.0
    assert max(rates) <= 30.0
    assert len(set(rates)) > 50
    sim.load.offer(MODEL, 1.0)
    sim.run(60.0)
    assert sim.traffic.rate_of(MODEL) == 1.0


def test_each_revision_has_the_load_of_its_share_by_the_rule_in_force() -> None:
    with serving(steps=((25, "60s"),)) as play:
        play.load.offer(MODEL, 40.0)
        play.want("2")
        play.until_weight(25)
        before = loads(play)
        play.run(5.0)
        assert (before, loads(play)) == ({"1": 40.0, "2": 0.0}, {"1": 30.0, "2": 10.0})


def test_copies_of_requests_are_load_too() -> None:
    with serving(steps=()) as play:
        play.load.offer(MODEL, 40.0)
        play.want("2", strategy="Shadow")
        play.until("Holding")
        copied = loads(play)
        assert copied["1"] == 40.0
        assert copied["2"] > 0.0


def loads(play: Play) -> dict[str, float]:
    """What is meant for each version, in requests a second."""
    return {v: round(play.load.of(MODEL, play.revision(v)), 6) for v in play.versions()}


# KEDA


def test_a_trigger_is_counted_in_all_and_shared_by_the_pods(sim: Simulation) -> None:
    deploy(sim, 1, 70.0)
    scale_by_load(sim, make_trigger(10))
    sim.run(60.0)
    assert replicas(sim) == 7
    made = sim.server.get(HPA, ("risk", f"keda-hpa-{KEY[1]}")).body["metadata"]
    assert (made["labels"], made["ownerReferences"][0]["kind"]) == (LABELS, SCALED_OBJECT)


def test_without_load_the_last_pod_goes_after_the_cool_down_and_comes_back_with_it(
    sim: Simulation,
) -> None:
    deploy(sim, 1, 5.0)
    scale_by_load(sim, make_trigger(10), cooldownPeriod=60)
    sim.run(30.0)
    sim.load.offer(MODEL, 0.0)
    sim.run(54.0)
    assert replicas(sim) == 1
    sim.run(11.0)
    assert (replicas(sim), condition(sim, SCALED_OBJECT)) == (
        0,
        ("Ready", "True", "ScalerNotActive"),
    )
    sim.run(120.0)
    assert replicas(sim) == 0  # its autoscaler leaves it alone
    sim.load.offer(MODEL, 5.0)
    sim.run(6.0)
    assert replicas(sim) == 1


def test_what_never_had_load_is_taken_to_nothing_at_once_unless_it_is_told_to_wait(
    sim: Simulation,
) -> None:
    deploy(sim, 2)
    scale_by_load(sim, make_trigger(10), initialCooldownPeriod=60)
    sim.run(55.0)
    assert replicas(sim) > 0
    sim.run(10.0)
    assert replicas(sim) == 0


def test_below_its_least_number_a_target_is_brought_there_without_load_too(sim: Simulation) -> None:
    deploy(sim, 0)
    scale_by_load(sim, make_trigger(10), minReplicaCount=3)
    sim.run(6.0)
    assert replicas(sim) == 3


def test_other_bounds_reach_the_autoscaler(sim: Simulation) -> None:
    deploy(sim, 1, 5.0)
    scale_by_load(sim, make_trigger(10))
    sim.run(20.0)
    scale_by_load(sim, make_trigger(10), minReplicaCount=4)
    sim.run(20.0)
    assert replicas(sim) == 4


def test_one_that_is_deleted_goes_when_keda_lets_go_and_its_autoscaler_after_it(
    sim: Simulation,
) -> None:
    deploy(sim, 1, 5.0)
    scale_by_load(sim, make_trigger(10))
    sim.run(20.0)
    sim.keda.working = False
    sim.server.delete(SCALED_OBJECT, KEY, "kubectl")
    sim.run(60.0)
    assert "deletionTimestamp" in sim.server.get(SCALED_OBJECT, KEY).body["metadata"]
    sim.keda.working = True
    sim.run(60.0)
    assert (list(sim.server.all_of(SCALED_OBJECT)), list(sim.server.all_of(HPA))) == ([], [])
    assert replicas(sim) == 1
