"""A share that is held back on the previous revision in the guard, to go on comparing with."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from canarium.core.names import REVISION_LABEL
from canarium.core.spec import RolloutSpec, Traffic
from canarium.judge.metrics import Metric

from tests.properties.world import NAME, World, make_rollout, make_spec, serving

COMPARED = Metric(name="error-rate", kind="ErrorRate", max_increase=0.005)


def terms(holdback: int = 5, **options: object) -> RolloutSpec:
    made = make_rollout(20, 50, holdback=holdback, analysis=True, **options)  # type: ignore[arg-type]
    assert made.analysis is not None
    return replace(made, analysis=replace(made.analysis, metrics=(COMPARED,)))


def guarding(holdback: int = 5, *, replicas: int = 2, **options: object) -> World:
    """A world in which version 2 is stable and version 1 has what is held back."""
    world = serving(replicas=replicas)
    world.apply(make_spec("2", replicas=replicas, rollout=terms(holdback, **options)))
    world.run_until("Guarding")
    world.settle()
    return world


def read_led(world: World) -> str:
    """The revision that callers in the cluster reach."""
    return str(json.loads(world.services[NAME].spec)["selector"][REVISION_LABEL])


def shares(world: World) -> dict[str, int]:
    return {world.version_of(revision): weight for revision, weight in world.routed().items()}


def test_the_new_stable_gets_what_is_not_held_back_and_the_previous_one_the_rest() -> None:
    world = guarding(5)
    status = world.status
    assert shares(world) == {"2": 95, "1": 5}
    assert status.stable is not None
    assert status.previous is not None
    assert (status.stable.version, status.stable.weight) == ("2", 95)
    assert (status.previous.version, status.previous.weight) == ("1", 5)
    assert status.message.startswith("version 2 serves 95 % and version 1 5 % to compare with")
    assert (world.condition("UpToDate"), world.condition("Ready")[0]) == (
        ("True", "Promoted"), "True",
    )  # fmt: skip


@pytest.mark.parametrize("judged", [False, True])
def test_an_edit_in_a_hold_at_what_the_closing_step_would_give_goes_on_to_the_end(
    judged: bool,
) -> None:
    """The closing step with a holdback of 50 has the canary's very share, and is never held."""
    world = serving()
    edited = make_rollout(20, holdback=50, analysis=judged)
    world.apply(make_spec("2", rollout=make_rollout(50, hold=3600.0, analysis=judged)))
    world.run_until("Holding")
    world.apply(make_spec("2", rollout=edited))
    world.run_until("Guarding")
    assert (world.stable, shares(world)) == ("2", {"2": 50, "1": 50})


def test_the_guard_compares_the_new_stable_with_what_is_held_back() -> None:
    world = guarding(5)
    measure = world.last_plan.measure
    assert measure is not None
    assert (world.version_of(measure.canary), world.version_of(measure.stable or "")) == ("2", "1")
    assert measure.metrics == (COMPARED,)
    assert measure.stable_endpoint == measure.endpoint


def test_without_a_holdback_a_comparison_alone_is_nothing_to_guard_by() -> None:
    world = guarding(0)
    assert (shares(world), world.last_plan.measure) == ({"2": 100}, None)


def test_at_the_end_of_the_guard_nothing_is_left_on_the_previous_revision() -> None:
    world = guarding(5)
    world.run(29.0)
    assert (world.state, shares(world)) == ("Guarding", {"2": 95, "1": 5})
    while shares(world) != {"2": 100}:
        world.tick(0.5)
        world.settle()
    assert (world.state, world.replicas("1")) == ("Guarding", 2)
    world.run(10.0)
    assert (world.state, world.replicas("1"), world.replicas("2")) == ("Idle", 0, 2)
    assert world.events[-2:] == ["WeightShifted", "Healthy"]


def test_no_guard_ends_while_something_is_held_back() -> None:
    world = guarding(5)
    while world.state == "Guarding":
        assert world.status.previous is not None
        held_back = world.status.previous.weight
        world.tick(0.5)
        world.step()
    assert held_back == 0


def test_the_previous_revision_keeps_its_pods_until_the_gateway_has_taken_the_end() -> None:
    world = guarding(5)
    world.run(29.0)
    for _ in range(60):
        world.settle()
        world.now += 1.0
        world.make_pods()
    assert (world.state, shares(world), world.replicas("1")) == ("Guarding", {"2": 100}, 2)
    world.run(10.0)
    assert (world.state, world.replicas("1")) == ("Idle", 0)


@pytest.mark.parametrize("replicas", [1, 4])
def test_a_failed_comparison_in_the_guard_takes_the_new_stable_back(replicas: int) -> None:
    world = guarding(5, replicas=replicas)
    world.run(5.0)
    world.verdicts["2"] = "Fail"
    world.run(10.0)
    assert (world.state, world.stable, shares(world)) == ("Rejected", "1", {"1": 100})
    assert (world.replicas("1"), world.replicas("2")) == (replicas, 0)
    assert [r.reason for r in world.status.rejected] == ["ErrorRateTooHigh"]


def test_a_failure_while_the_guard_ends_still_goes_back() -> None:
    world = guarding(5)
    world.run(29.0)
    while shares(world) != {"2": 100}:
        world.tick(0.5)
        world.settle()
    world.crashing.add("2")
    world.make_pods()
    world.run(10.0)
    assert (world.state, shares(world)) == ("Rejected", {"1": 100})


def test_a_half_that_is_held_back_needs_the_new_revision_at_full_size_all_the_same() -> None:
    world = serving(replicas=4)
    world.apply(make_spec("2", replicas=4, rollout=terms(50)))
    world.run_until("Holding")
    while (world.state, world.status.rollout and world.status.rollout.step_name) != (
        "Scaling", "full",
    ):  # fmt: skip
        world.tick(0.5)
        world.step()
    assert world.status.canary is not None
    assert world.status.canary.replicas == 4
    world.run_until("Guarding")
    world.settle()
    assert (world.replicas("2"), shares(world)) == (4, {"2": 50, "1": 50})


def test_callers_in_the_cluster_reach_the_new_revision_from_the_closing_step_on() -> None:
    world = serving()
    world.apply(make_spec("2", rollout=terms(5)))
    led = {}
    while world.state != "Idle" or world.stable != "2":
        world.settle()
        led[shares(world).get("2", 0)] = world.version_of(read_led(world))
        world.tick(0.5)
    assert led == {0: "1", 20: "1", 50: "1", 95: "2", 100: "2"}


def test_what_is_held_back_on_a_revision_without_pods_goes_to_the_new_stable() -> None:
    world = guarding(5)
    world.unready.add("1")
    world.lose_pods("1")
    world.run(3.0)
    assert (world.state, shares(world)) == ("Guarding", {"2": 100})
    world.unready.clear()
    world.run(10.0)
    assert (world.state, shares(world)) == ("Guarding", {"2": 100})


def test_a_pause_keeps_what_is_held_back() -> None:
    world = guarding(5)
    world.apply(make_spec("2", rollout=terms(5, paused=True)))
    world.run(120.0)
    assert (world.state, world.status.phase, shares(world)) == (
        "Guarding", "Paused", {"2": 95, "1": 5},
    )  # fmt: skip


@pytest.mark.parametrize(("edited", "held"), [(2, 2), (0, 0), (20, 5)])
def test_an_edit_in_the_guard_may_only_hold_less_back(edited: int, held: int) -> None:
    world = guarding(5)
    world.apply(make_spec("2", rollout=terms(edited)))
    world.run(5.0)
    assert world.state == "Guarding"
    assert shares(world) == {"2": 100 - held} | ({"1": held} if held else {})


def test_an_edit_never_lowers_what_the_canary_has_already() -> None:
    world = serving()
    world.apply(make_spec("2", rollout=terms(5)))
    world.run_until("Holding")
    while world.canary_weight != 95:
        world.tick(0.5)
        world.settle()
    world.apply(make_spec("2", rollout=terms(20)))
    world.run_until("Guarding")
    world.settle()
    assert shares(world) == {"2": 95, "1": 5}


def test_a_third_version_in_the_guard_ends_the_holdback_before_it_begins() -> None:
    world = guarding(5, replicas=4)
    world.apply(make_spec("3", replicas=4, rollout=terms(5)))
    world.settle()
    assert (world.state, world.canary, shares(world)) == ("Scaling", "3", {"2": 100})
    assert world.replicas("1") == 4
    world.run_until("Idle")
    world.run(5.0)
    assert (world.stable, world.replicas("1"), world.replicas("2")) == ("3", 0, 0)


def test_nothing_is_held_back_on_what_one_goes_back_from() -> None:
    world = guarding(5)
    world.run_until("Idle")
    world.apply(make_spec("1", rollout=terms(5)))
    world.run_until("Guarding")
    world.settle()
    assert (world.stable, shares(world)) == ("1", {"1": 100})


def test_nothing_is_held_back_on_a_dead_stable() -> None:
    world = serving()
    world.crashing.add("1")
    world.make_pods()
    world.apply(make_spec("2", rollout=terms(5)))
    world.run_until("Guarding")
    world.settle()
    assert shares(world) == {"2": 100}


def test_a_lost_status_goes_back_to_what_was_stable_before() -> None:
    world = guarding(5)
    world.status_raw = {}
    world.settle()
    assert (world.state, world.stable, world.canary) == ("Reverting", "1", "2")
    world.run_until("Guarding")
    world.settle()
    assert (world.stable, shares(world)) == ("2", {"2": 95, "1": 5})


def test_whole_pods_hold_nothing_back_and_that_is_said_before_anything_moves() -> None:
    world = serving(traffic=Traffic())
    world.apply(make_spec("2", traffic=Traffic(), rollout=terms(5)))
    world.settle()
    assert (world.status.phase, world.stable, world.canary) == ("Invalid", "1", "")
    assert world.status.message == (
        "spec.rollout.guard.holdback: router Replicas shares whole pods, and in the guard both "
        "revisions have all of theirs, so half of the traffic would be held back: leave holdback "
        "out, or name a Gateway in spec.traffic.parentRefs"
    )
