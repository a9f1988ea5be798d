"""Clocks that are wrong, or jump: nothing ends by it, and nothing stands still."""

from __future__ import annotations

import pytest
from canarium.sim.controllers.pods import Behaviour

from tests.simulated.play import KEY, Play, serving

HOUR, DAY = 3600.0, 86400.0
SLOW = Behaviour(start_seconds=40.0)


def rejected(play: Play) -> int:
    return len(play.status(KEY).get("rejected", []))


def told(play: Play) -> set[str]:
    return {event.reason for _, event in play.events}


@pytest.mark.parametrize("ahead", [90.0, HOUR, -DAY])
def test_a_new_leader_whose_clock_is_wrong_goes_by_the_apiservers(ahead: float) -> None:
    with serving() as play:
        play.pods.behave("2", SLOW)
        play.want("2")
        play.run(10.0)
        play.machine_ahead_seconds = ahead
        play.restart_operator()
        play.until("Idle", "2", most_seconds=180.0)
        assert (rejected(play), play.traffic.lost(KEY)) == (0, 0)


@pytest.mark.parametrize("ahead", [90.0, HOUR, -DAY])
def test_a_leaders_clock_that_jumps_ends_nothing_and_holds_nothing_up(ahead: float) -> None:
    with serving(steps=((20, "30s"),), guard="1m") as play:
        play.pods.behave("2", SLOW)
        play.want("2")
        play.run(10.0)
        play.machine_ahead_seconds = ahead
        seconds = play.run_until(lambda: play.is_in("Holding"), 60.0)
        assert seconds == pytest.approx(35.0, abs=8.0)
        play.machine_ahead_seconds = -ahead
        assert play.run_until(lambda: play.is_in("Guarding"), 120.0) >= 28.0
        play.machine_ahead_seconds = ahead
        assert play.run_until(lambda: play.is_in("Idle"), 90.0) >= 55.0
        assert rejected(play) == 0


@pytest.mark.parametrize("ahead", [HOUR, -DAY])
def test_the_apiservers_own_clock_that_jumps_is_followed_slowly(ahead: float) -> None:
    with serving(guard="1m") as play:
        play.pods.behave("2", SLOW)
        play.want("2")
        play.run(10.0)
        play.server.ahead_seconds = ahead
        play.want("2", replicas=4)
        play.until("Idle", "2", most_seconds=240.0)
        assert rejected(play) == 0


@pytest.mark.parametrize("state", ["Scaling", "Holding", "Guarding"])
def test_a_clock_set_back_a_day_before_a_takeover_is_said_and_forgiven(state: str) -> None:
    with serving(guard="1m") as play:
        play.pods.behave("2", Behaviour(start_seconds=10.0))
        play.want("2")
        play.until(state)
        play.run(3.0)
        play.server.ahead_seconds = -DAY
        play.machine_ahead_seconds = -DAY
        play.restart_operator()
        play.until("Idle", "2", most_seconds=240.0)
        assert (rejected(play), play.traffic.lost(KEY)) == (0, 0)
        assert "ClockSetBack" in told(play)


def test_what_nobody_watched_is_no_time_that_a_canary_had_or_was_held() -> None:
    """An outage of an hour, or a clock that was set forward: nobody can tell them apart."""
    with serving(steps=((20, "30s"),)) as play:
        play.pods.behave("2", SLOW)
        play.want("2")
        play.run(5.0)
        play.kill_operator()
        play.server.ahead_seconds = play.machine_ahead_seconds = HOUR
        play.unwatched = True
        play.start_operator()
        play.until("Holding", most_seconds=90.0)
        assert (rejected(play), "Unwatched" in told(play)) == (0, True)
        play.run(5.0)
        play.kill_operator()
        play.server.ahead_seconds = play.machine_ahead_seconds = 2 * HOUR
        play.start_operator()
        assert play.run_until(lambda: play.is_in("Guarding"), 90.0) >= 28.0


def test_that_nobody_watched_is_told_once_and_not_in_each_pass() -> None:
    """Status has whole milliseconds, and the moment of a takeover is no whole one."""
    with serving(steps=((20, "30s"),)) as play:
        play.want("2")
        play.until("Holding")
        play.kill_operator()
        play.server.ahead_seconds = play.machine_ahead_seconds = HOUR + 0.0007
        play.unwatched = True
        play.start_operator()
        play.until("Idle", "2", most_seconds=240.0)
        reasons = [event.reason for _, event in play.events]
        assert reasons.count("Unwatched") == 1
