"""Stable dies under a canary: an emergency, which is no promotion; and what is none."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from canarium.core.spec import HeaderMatch, Step, Traffic
from canarium.judge.metrics import Metric

from tests.properties.world import GATEWAY_TRAFFIC, World, make_rollout, make_spec, serving

PASS_SECONDS = 0.02
"Passes follow each other at once; time goes on all the same."


def weights(world: World) -> dict[str, int]:
    """Weight by version, as the live route says."""
    return {world.version_of(revision): weight for revision, weight in world.routed().items()}


def holding(
    *steps: int | Step, replicas: int = 2, traffic: Traffic = GATEWAY_TRAFFIC, **rollout: Any
) -> World:
    """Version 2 holds in its first step beside a version 1 of so many pods."""
    world = serving(replicas=replicas, traffic=traffic)
    terms = make_rollout(*(steps or (20, 50)), **({"hold": 3600.0} | rollout))
    world.apply(make_spec("2", replicas=replicas, traffic=traffic, rollout=terms))
    world.run_until("Holding")
    world.run(5.0)
    return world


def kill(world: World, *versions: str) -> None:
    world.crashing |= {*versions}
    world.make_pods()


def heal(world: World, *versions: str) -> None:
    world.crashing -= {*versions}
    world.make_pods()


def blink(world: World, version: str, seconds: float) -> None:
    """All pods of a version are gone for so long."""
    world.unready.add(version)
    world.make_pods()
    world.run(seconds, tick=0.5)
    world.unready.discard(version)
    world.make_pods()


def run_apart(world: World, seconds: float, most_passes: int = 12) -> None:
    """Run with time between passes, as a real operator has; it has to come to rest each second."""
    end = world.now + seconds
    while world.now < end:
        for _ in range(most_passes):
            made = world.step()
            if made.status is None and not made.writes:
                break
            world.now += PASS_SECONDS
        else:
            raise AssertionError(f"passes without end: {world.status.rollout}")
        world.tick(1.0)


def test_a_stable_that_dies_under_a_canary_of_one_pod_is_no_livelock() -> None:
    """Two pods of stable, one of the canary at 20 %, stable crashes."""
    world = holding(20)
    assert (world.replicas("1"), world.replicas("2")) == (2, 1)
    kill(world, "1")
    run_apart(world, 30.0)
    assert (weights(world), world.replicas("2")) == ({"2": 100}, 2)
    assert (world.stable, world.canary, world.status.reason) == ("1", "2", "EmergencyTraffic")


def test_nothing_moves_before_stable_was_gone_for_its_time() -> None:
    world = holding(20)
    kill(world, "1")
    world.run(9.0)
    assert (weights(world), world.status.reason) == ({"1": 80, "2": 20}, "StableUnavailable")
    world.run(3.0)
    assert weights(world) == {"2": 100}


def test_the_time_is_what_the_spec_says() -> None:
    world = holding(20)
    assert world.spec is not None
    terms = replace(world.spec.rollout, emergency_seconds=60.0)
    world.apply(replace(world.spec, rollout=terms))
    kill(world, "1")
    world.run(55.0)
    assert weights(world) == {"1": 80, "2": 20}
    world.run(7.0)
    assert weights(world) == {"2": 100}


def test_a_restart_of_the_operator_does_not_begin_the_time_anew() -> None:
    """What is known is in status: nothing else is carried from pass to pass here."""
    world = holding(20)
    kill(world, "1")
    world.step()
    world.now += 9.0
    world.step()
    assert weights(world) == {"1": 80, "2": 20}
    world.now += 2.0
    world.settle()
    assert weights(world) == {"2": 100}


def test_a_clock_that_goes_back_is_no_reason_to_wait_longer_than_the_time() -> None:
    world = holding(20)
    kill(world, "1")
    world.step()
    world.now -= 86400.0
    world.run(12.0)
    assert weights(world) == {"2": 100}


@pytest.mark.parametrize("seconds", [2.0, 9.0])
def test_a_blink_of_stable_promotes_nobody_past_an_approval(seconds: float) -> None:
    world = holding(20, 50, approval=(20,))
    blink(world, "1", seconds)
    world.run(120.0)
    assert (world.stable, world.canary, weights(world)) == ("1", "2", {"1": 80, "2": 20})
    assert world.status.reason == "AwaitingApproval"


def test_an_emergency_promotes_nobody_past_an_approval_either() -> None:
    world = holding(20, 50, approval=(20,))
    kill(world, "1")
    world.run(7200.0, tick=60.0)
    assert (world.stable, world.canary, weights(world)) == ("1", "2", {"2": 100})
    assert (world.status.phase, world.status.reason) == ("Paused", "EmergencyTraffic")
    assert "version 2" in world.status.message
    assert "version 1" in world.status.message
    assert "promote" in world.status.message
    world.command("promote", "2")
    world.run(7300.0, tick=60.0)
    assert world.stable == "2"


def test_when_stable_is_back_the_step_goes_on_where_it_was() -> None:
    world = holding(20, 50, hold=60.0)
    kill(world, "1")
    world.run(30.0)
    assert weights(world) == {"2": 100}
    heal(world, "1")
    world.run(5.0)
    assert (weights(world), world.state) == ({"1": 80, "2": 20}, "Holding")
    assert world.status.rollout is not None
    assert (world.status.rollout.step, world.status.rollout.emergency) == (1, "")
    world.run(40.0)
    assert weights(world) == {"1": 80, "2": 20}
    world.run_until("Guarding")
    assert world.stable == "2"


def test_stable_gets_back_what_its_pods_carry_as_they_come() -> None:
    world = holding(20, replicas=4)
    kill(world, "1")
    world.run(20.0)
    heal(world, "1")
    first, *others = (n for n, p in world.pods.items() if world.version_of(p.revision) == "1")
    for name in others:
        world.pods[name] = replace(world.pods[name], ready=False)
    world._count_pods()
    world.settle()
    assert (weights(world), first in world.pods) == ({"1": 25, "2": 75}, True)
    world.run(5.0)
    assert weights(world) == {"1": 80, "2": 20}


def test_a_canary_whose_verdict_has_failed_never_gets_a_dead_stables_traffic() -> None:
    world = holding(20, analysis=True)
    kill(world, "1")
    world.verdicts["2"] = "Fail"
    world.run(60.0)
    assert (world.state, weights(world)) == ("Reverting", {"1": 80, "2": 20})
    assert "waits for pods of version 1" in world.status.message


def test_nor_does_one_with_a_fault_of_its_own() -> None:
    world = holding(50, replicas=4)
    kill(world, "1")
    name = next(n for n, p in world.pods.items() if world.version_of(p.revision) == "2")
    world.pods[name] = replace(
        world.pods[name],
        ready=False,
        containers=(replace(world.pods[name].containers[0], restarts=2),)
        if world.pods[name].containers
        else (),
    )
    world.crashing.add("2")
    world.make_pods()
    world.run(60.0)
    assert (world.state, weights(world)) == ("Reverting", {"1": 50, "2": 50})


def test_in_an_emergency_a_failed_verdict_still_takes_the_canary_back() -> None:
    world = holding(20, analysis=True)
    kill(world, "1")
    world.run(20.0)
    world.verdicts["2"] = "Fail"
    world.run(5.0)
    assert (world.state, weights(world)) == ("Reverting", {"2": 100})
    heal(world, "1")
    world.run(10.0)
    assert (world.state, weights(world)) == ("Rejected", {"1": 100})


def test_holds_are_held_in_an_emergency_as_ever_and_then_it_is_promoted() -> None:
    world = holding(20, 50, hold=60.0, analysis=True)
    kill(world, "1")
    world.run(50.0)
    assert (world.stable, weights(world)) == ("1", {"2": 100})
    world.run_until("Guarding")
    assert world.stable == "2"


def test_a_canary_that_stable_dies_under_right_after_its_begin_is_held_as_ever() -> None:
    world = serving()
    world.apply(make_spec("2", rollout=make_rollout(20, 50, hold=600.0)))
    world.settle()
    kill(world, "1")
    world.run(60.0)
    assert (world.stable, world.canary, weights(world)) == ("1", "2", {"2": 100})


def test_where_all_that_is_asked_is_a_comparison_nothing_is_promoted_beside_a_dead_stable() -> None:
    world = holding(20, hold=20.0, analysis=True)
    assert world.spec is not None
    analysis = world.spec.rollout.analysis
    assert analysis is not None
    compared = replace(
        analysis, metrics=(Metric(name="error-rate", kind="ErrorRate", max_increase=0.01),)
    )
    world.apply(replace(world.spec, rollout=replace(world.spec.rollout, analysis=compared)))
    kill(world, "1")
    world.run(600.0, tick=5.0)
    assert (world.stable, world.canary, weights(world)) == ("1", "2", {"2": 100})


def test_a_stable_that_comes_and_goes_is_believed_ever_later() -> None:
    world = holding(20)
    for _ in range(60):
        kill(world, "1")
        world.run(15.0)
        heal(world, "1")
        world.run(5.0)
    assert 3 <= world.events.count("EmergencyTraffic") <= 10
    world.run(300.0)
    assert weights(world) == {"1": 80, "2": 20}


def test_both_versions_dead_move_nothing_and_rest() -> None:
    world = holding(20)
    world.unready |= {"1", "2"}
    world.make_pods()
    run_apart(world, 60.0)
    assert weights(world) == {"1": 80, "2": 20}


def test_a_pause_stops_an_emergency_too_and_traffic_still_goes_back() -> None:
    world = holding(20)
    assert world.spec is not None
    paused = replace(world.spec, rollout=replace(world.spec.rollout, paused=True))
    running = world.spec
    world.apply(paused)
    kill(world, "1")
    world.run(30.0)
    assert (weights(world), world.status.reason) == ({"1": 80, "2": 20}, "StableUnavailable")
    assert "paused" in world.status.message
    world.apply(running)
    world.run(5.0)
    assert weights(world) == {"2": 100}
    world.apply(paused)
    heal(world, "1")
    world.run(5.0)
    assert weights(world) == {"1": 80, "2": 20}


@pytest.mark.parametrize(
    "step",
    [Step("copies", 0, mirror=20), Step("testers", 0, headers=(HeaderMatch("x-canary", "1"),))],
)
def test_copies_and_headers_come_back_with_the_step(step: Step) -> None:
    world = holding(replace(step, hold_seconds=3600.0))
    beside = (world.mirrored(), world.led_by_header())
    kill(world, "1")
    world.run(20.0)
    assert (weights(world), world.mirrored(), world.led_by_header()) == ({"2": 100}, {}, set())
    heal(world, "1")
    world.run(10.0)
    assert (weights(world), world.mirrored(), world.led_by_header()) == ({"1": 100}, *beside)


def test_where_pods_share_a_service_it_turns_to_the_canary_and_back() -> None:
    world = holding(20, replicas=4, traffic=Traffic())
    kill(world, "1")
    world.run(20.0)
    assert weights(world) == {"2": 100}
    heal(world, "1")
    world.run(10.0)
    assert weights(world) == {"1": 80, "2": 20}


def test_an_edit_of_the_steps_in_an_emergency_skips_none() -> None:
    world = holding(20, 50, approval=(50,))
    kill(world, "1")
    world.run(20.0)
    world.apply(make_spec("2", rollout=make_rollout(10, 20, 60, hold=3600.0, approval=(60,))))
    world.run(20.0)
    assert world.status.rollout is not None
    assert (world.status.rollout.step, world.stable, weights(world)) == (2, "1", {"2": 100})


@pytest.mark.parametrize("gateway", [True, False])
def test_an_edit_of_the_steps_in_an_emergency_makes_no_round_through_their_pods(
    gateway: bool,
) -> None:
    """The canary has all its pods and all traffic: there is nothing to bring up or to shift."""
    world = holding(20, 50)
    if not gateway:
        world.delete_gateway()
    kill(world, "1")
    world.run(20.0)
    assert weights(world) == {"2": 100}
    world.apply(make_spec("2", rollout=make_rollout(20, 60, hold=3600.0)))
    states = set[str]()
    for _ in range(40):
        world.step()
        states.add(world.state)
        world.tick(0.25)
    assert states == {"Holding" if gateway else "Shifting"}
    assert weights(world) == {"2": 100}


def test_a_person_aborts_in_an_emergency() -> None:
    """It is refused at once; its traffic goes as soon as somebody else has a ready pod."""
    world = holding(20)
    kill(world, "1")
    world.run(20.0)
    world.command("abort", "2")
    world.run(5.0)
    assert (world.state, weights(world)) == ("Reverting", {"2": 100})
    assert [r.reason for r in world.status.rejected] == ["Aborted"]
    heal(world, "1")
    world.run(10.0)
    assert (world.state, weights(world)) == ("Rejected", {"1": 100})


def test_a_fix_for_a_dead_stable_serves_at_once_and_becomes_stable_by_itself() -> None:
    world = serving()
    kill(world, "1")
    world.run(30.0)
    world.apply(make_spec("2", rollout=make_rollout(20, 50, hold=3600.0, analysis=True)))
    world.run(5.0)
    assert weights(world) == {"2": 100}
    world.run_until("Guarding")
    assert (world.stable, "EmergencyTraffic" in world.events) == ("2", True)


def test_a_fix_serves_as_an_emergency_until_a_person_approves() -> None:
    world = serving()
    kill(world, "1")
    world.run(30.0)
    world.apply(make_spec("2", rollout=make_rollout(20, 50, hold=3600.0, approval=(50,))))
    world.run(600.0, tick=5.0)
    assert (world.stable, world.canary, weights(world)) == ("1", "2", {"2": 100})
    assert (world.status.phase, world.status.reason) == ("Paused", "EmergencyTraffic")
    world.command("promote", "2")
    world.run_until("Guarding")
    assert world.stable == "2"


def test_a_fix_that_fails_by_an_absolute_bound_is_not_promoted() -> None:
    world = serving()
    kill(world, "1")
    world.run(30.0)
    world.verdicts["2"] = "Fail"
    world.apply(make_spec("2", rollout=make_rollout(20, hold=3600.0, analysis=True)))
    world.run(30.0)
    assert (world.stable, [r.version for r in world.status.rejected]) == ("1", ["2"])


def test_a_blink_at_the_moment_of_an_apply_makes_no_fix_of_it() -> None:
    world = serving()
    world.unready.add("1")
    world.make_pods()
    world.apply(make_spec("2", rollout=make_rollout(20, 50, hold=3600.0)))
    world.settle()
    world.tick(1.0)
    world.unready.clear()
    world.run(60.0)
    assert (world.stable, weights(world)) == ("1", {"1": 80, "2": 20})


def test_a_blink_in_the_guard_takes_no_good_version_back() -> None:
    world = serving()
    world.apply(make_spec("2", rollout=make_rollout(20, guard=600.0)))
    world.run_until("Guarding")
    world.run(5.0)
    blink(world, "2", 2.0)
    world.run(30.0)
    assert (world.state, world.stable, weights(world)) == ("Guarding", "2", {"2": 100})
    world.unready.add("2")
    world.make_pods()
    world.run(15.0)
    assert (world.stable, weights(world)) == ("1", {"1": 100})


def test_a_cancelled_canary_saves_a_stable_that_dies_while_it_goes_back() -> None:
    world = holding(50, replicas=4)
    world.unready.add("1")
    world.make_pods()
    world.apply(make_spec("1", replicas=4))
    world.run(30.0)
    assert (world.state, weights(world), world.status.reason) == (
        "Reverting",
        {"2": 100},
        "EmergencyTraffic",
    )
    world.unready.clear()
    world.run(30.0)
    assert (world.state, weights(world)) == ("Idle", {"1": 100})


def test_a_lost_status_in_an_emergency_promotes_nobody() -> None:
    world = holding(20, approval=(20,))
    kill(world, "1")
    world.run(30.0)
    assert weights(world) == {"2": 100}
    world.status_raw = {}
    world.run(30.0)
    assert (world.stable, world.canary, weights(world)) == ("1", "2", {"2": 100})
    heal(world, "1")
    world.run(60.0)
    assert (world.stable, weights(world)) == ("1", {"1": 80, "2": 20})


def test_in_place_dead_pods_make_room_and_get_it_back() -> None:
    world = World(make_spec("1", replicas=4), room=4)
    world.run_until("Idle")
    terms = make_rollout(25, hold=3600.0, capacity="InPlace")
    world.apply(make_spec("2", replicas=4, rollout=terms))
    world.run_until("Holding")
    world.run(10.0)
    kill(world, "1")
    world.run(120.0)
    assert weights(world) == {"2": 100}
    assert world._ready({"canarium.dev/revision": world.revision("2")}) == 3
    heal(world, "1")
    world.run(180.0)
    assert (weights(world), world.stable) == ({"1": 75, "2": 25}, "1")
    assert world._ready({"canarium.dev/revision": world.revision("1")}) == 3


def test_an_operator_reads_stable_live_before_it_believes_that_it_is_dead() -> None:
    world = holding(20)
    kill(world, "1")
    world.run(9.0)
    world.now += 2.0
    made = world.step()
    stable = f"fraud-{world.revision('1')}"
    assert (world.state, stable in {ref.name for ref in made.confirm}) == ("Shifting", True)
    made = world.step()
    assert stable in {ref.name for ref in made.confirm}


def test_an_emergency_whose_canary_has_no_ready_pod_either_says_that_nobody_answers() -> None:
    world = holding(20)
    kill(world, "1")
    world.run(30.0)
    assert "version 2 serves 100 % as an emergency" in world.status.message
    world.unready.add("2")
    world.make_pods()
    world.settle()
    told = "version 2 has the traffic as an emergency and answers nobody: 0 of 2 pods ready"
    assert (world.status.reason, told in world.status.message) == ("EmergencyTraffic", True)


def test_nothing_is_promised_of_a_version_that_has_no_ready_pod_itself() -> None:
    world = holding(20)
    world.unready |= {"1", "2"}
    world.make_pods()
    world.settle()
    promised = "version 2 gets its traffic as an emergency, once one of its own pods is ready"
    assert (world.status.reason, promised in world.status.message) == ("StableUnavailable", True)


def test_who_has_all_traffic_already_is_said_to_have_it() -> None:
    """A third version is wanted, and stable counts as dead only later now."""
    world = holding(20)
    kill(world, "1")
    world.run(30.0)
    patient = make_spec("3", rollout=replace(make_rollout(20), emergency_seconds=600.0))
    world.apply(patient)
    world.run_until("Reverting")
    world.settle()
    assert (weights(world), world.status.reason) == ({"2": 100}, "StableUnavailable")
    assert world.status.message.endswith("; version 2 has all traffic meanwhile")


def test_an_approval_after_which_more_steps_come_is_not_said_to_make_it_stable() -> None:
    world = holding(20, 50, approval=(20, 50), hold=1.0)
    kill(world, "1")
    world.run(30.0)
    assert "; to go on annotate with canarium.dev/promote=" in world.status.message
    world.command("promote", "2", "1")
    world.run(30.0)
    assert "; to make it stable annotate with canarium.dev/promote=" in world.status.message
