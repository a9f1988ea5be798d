"""Stable dies, or blinks, in the simulated cluster; and a planner that never makes up its mind."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest
from canarium.core.observed import Observed
from canarium.core.plan import Plan
from canarium.core.status import dump
from canarium.rollout.plan import plan
from canarium.sim.controllers.pods import Behaviour
from canarium.sim.traffic import AnswerPattern

from tests.simulated.play import KEY, Play, serving

CRASHING = Behaviour(failing="Crash")
ONE_STEP: dict[str, Any] = {"steps": ((20, "1h"),), "replicas": 2}


def count_status_writes(play: Play, seconds: float) -> int:
    """How often status is written in so long a time."""
    before = sum(1 for write in play.writes if "status" in str(write))
    play.run(seconds)
    return sum(1 for write in play.writes if "status" in str(write)) - before


def kill(play: Play, version: str) -> None:
    """Its pods crash from now on."""
    play.pods.behave(version, CRASHING)
    play.pods.evict_all(version)


def test_when_stable_crashes_under_a_canary_of_one_pod_that_gets_everything() -> None:
    """Two pods of stable, one of the canary at 20 %; then stable recovers."""
    with serving(**ONE_STEP) as play:
        play.want("2")
        play.until("Holding")
        play.run(5.0)
        kill(play, "1")
        play.run(5.0)
        assert (play.weights, play.reason) == ({"1": 80, "2": 20}, "StableUnavailable")
        assert count_status_writes(play, 55.0) < 15
        assert (play.shares, play.replicas("2")) == ({"2": 1.0}, 2)
        assert (play.stable, play.reason) == ("1", "EmergencyTraffic")
        assert "EmergencyTraffic" in play.story()
        play.pods.behave("1")
        play.pods.evict_all("1")
        play.run(30.0)
        assert (play.stable, play.weights) == ("1", {"1": 80, "2": 20})


def test_an_abort_gets_in_while_stable_crashes() -> None:
    with serving(**ONE_STEP) as play:
        play.want("2")
        play.until("Holding")
        kill(play, "1")
        play.run(30.0)
        play.ask("abort", "2")
        play.run(2.0)
        assert [each["reason"] for each in play.status(KEY)["rejected"]] == ["Aborted"]
        play.pods.behave("1")
        play.pods.evict_all("1")
        play.until("Rejected")
        assert play.shares == {"1": 1.0}


def test_pods_of_stable_that_are_deleted_promote_nobody() -> None:
    """It waits for approval, and the canary gives an error for every other request."""
    with serving(replicas=2, strategy="BlueGreen") as play:
        play.traffic.answer("2", AnswerPattern(error_rate=0.5))
        play.want("2")
        play.until_waiting()
        before = (play.weights, play.shares)
        play.pods.evict_all("1")
        play.run(120.0)
        assert (play.stable, play.canary, play.phase) == ("1", "2", "Paused")
        assert (play.weights, play.shares) == before
        assert "EmergencyTraffic" not in play.story()


@pytest.mark.parametrize("asked", [False, True])
def test_a_fix_for_a_crashing_stable_serves_and_becomes_stable_as_its_steps_say(
    asked: bool,
) -> None:
    with serving(replicas=2, guard="0s") as play:
        kill(play, "1")
        play.run(30.0)
        play.want("2", **({"strategy": "BlueGreen"} if asked else {}))
        play.run(60.0)
        assert play.shares == {"2": 1.0}
        if asked:
            assert (play.stable, play.phase, play.reason) == ("1", "Paused", "EmergencyTraffic")
            play.ask("promote", "2")
        play.until("Idle", "2")


class Undecided:
    """A planner that changes its mind in every pass of a hold, until a person says something."""

    def __init__(self) -> None:
        self._minds = itertools.count()

    def __call__(self, observed: Observed, now: float) -> Plan:
        made, status = plan(observed, now), observed.model.status
        asked = observed.model.commands != dict(status.last_handled_commands)
        if status.rollout is None or status.rollout.state != "Holding" or asked:
            return made
        written = dict(made.status or dump(status))
        written["message"] = f"mind {next(self._minds)}"
        return replace(made, status=written, writes=(), wake_at=now)


def test_a_persons_abort_gets_in_though_the_planner_changes_its_mind_in_every_pass() -> None:
    with serving(planner=Undecided(), **ONE_STEP) as play:
        play.observer.passed_over.add("11 decisions")
        play.want("2")
        play.until("Holding")
        play.run(30.0)
        assert 100 <= count_status_writes(play, 60.0) <= 60 * 3 + 5
        assert play.story().count("StatusChangesTooOften") == 1
        play.ask("abort", "2")
        play.run(1.0)
        assert [each["reason"] for each in play.status(KEY)["rejected"]] == ["Aborted"]
        play.until("Rejected", most_seconds=30.0)
        assert play.shares == {"1": 1.0}


# What was reported of others


def test_a_stable_whose_image_is_gone_keeps_no_fix_from_being_rolled_out() -> None:
    """AR#1774, AR#3110 and Flagger#639: the fix waits for ever for a stable that cannot come."""
    with serving(replicas=3, guard="0s") as play:
        play.pods.behave("1", Behaviour(failing="ImagePull"))
        play.pods.evict_all("1")
        play.run(30.0)
        play.want("2")
        play.until("Idle", "2", most_seconds=120.0)
        play.rest()


def test_a_fix_that_fails_too_is_refused_once_and_nothing_goes_round() -> None:
    """AR#1416: between a bad stable and a bad canary there is no way out, and no loop either."""
    with serving(replicas=2) as play:
        kill(play, "1")
        play.run(30.0)
        play.pods.behave("2", CRASHING)
        play.want("2")
        play.run(300.0)
        assert [each["version"] for each in play.status(KEY)["rejected"]] == ["2"]
        assert count_status_writes(play, 120.0) < 10
        play.want("3")
        play.until_weight(100)
        play.run(30.0)
        assert play.shares == {"3": 1.0}


def test_a_third_version_while_stable_is_down_takes_no_pods_from_whom_the_route_names() -> None:
    """AR#4390: the old canary was scaled down while the route still led to it."""
    with serving(replicas=4, steps=((50, "1h"),), guard="0s") as play:
        play.want("2")
        play.until("Holding")
        kill(play, "1")
        play.run(30.0)
        assert play.shares == {"2": 1.0}
        lost = play.traffic.lost(KEY)
        play.want("3")
        play.until("Idle", "3", most_seconds=300.0)
        assert play.traffic.lost(KEY) == lost
        play.rest()


def test_a_promoted_version_that_loses_its_pods_for_good_goes_back_to_what_is_warm() -> None:
    """Flagger#1898: all traffic stayed with a new primary that never came up."""
    with serving(replicas=2, guard="10m") as play:
        play.want("2")
        play.until("Guarding", "2")
        play.run(5.0)
        play.pods.behave("2", Behaviour(failing="Unready"))
        play.pods.evict_all("2")
        play.run(30.0)
        assert play.shares == {"1": 1.0}
