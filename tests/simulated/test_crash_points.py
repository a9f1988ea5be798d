"""Scenario 15: the operator is killed before or after any single write, and started again.

The writes of an undisturbed run are counted; then the operator is killed at each of them in turn.
The end is the same as the undisturbed one, and the observer finds nothing on the way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from canarium.sim.controllers.pods import Behaviour

from tests.simulated.play import Play, serving

CRASHING = Behaviour(failing="Crash")


def roll_out(play: Play) -> None:
    play.want("2")
    play.until("Idle", "2")


def roll_back(play: Play) -> None:
    play.script.say("2", "Fail")
    play.want("2")
    play.until("Rejected")


def crash_pods(play: Play) -> None:
    play.pods.behave("2", CRASHING)
    play.want("2")
    play.until("Rejected")


def want_a_third(play: Play) -> None:
    play.want("2")
    play.until_weight(50)
    play.want("3")
    play.until("Idle", "3")


def go_back(play: Play) -> None:
    play.want("2")
    play.until_weight(50)
    play.want("1")
    play.until("Idle", "1")


def go_back_in_the_guard(play: Play) -> None:
    play.want("2")
    play.until("Guarding", "2")
    play.want("1")
    play.until("Idle", "1")


def go_blue_green(play: Play) -> None:
    play.want("2", strategy="BlueGreen")
    play.until_waiting()
    play.ask("promote", "2")
    play.until("Idle", "2")


def go_by_shadow(play: Play) -> None:
    play.want("2", strategy="Shadow")
    play.until("Idle", "2", most_seconds=1800.0)


STORIES: dict[str, Callable[[Play], None]] = {
    "a rollout": roll_out,
    "a rollback": roll_back,
    "crashing pods": crash_pods,
    "a third version": want_a_third,
    "a cancel": go_back,
    "a cancel in the guard": go_back_in_the_guard,
}
BY_GATEWAY_ALONE = {"blue/green": go_blue_green, "a shadow": go_by_shadow}


PLAYS = [
    *((story, router) for story in STORIES for router in ("gateway", "replicas")),
    *((story, "gateway") for story in BY_GATEWAY_ALONE),
]


@pytest.mark.timeout(900)
@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize(("story", "router"), PLAYS)
def test_killed_at_any_write_the_end_is_the_same(story: str, router: str, moment: str) -> None:
    tell = (STORIES | BY_GATEWAY_ALONE)[story]
    options = {"gateway": router == "gateway"}
    writes, end = play_through(tell, options)
    for number in range(1, writes + 1):
        _, found = play_through(tell, options, (number, moment))
        assert found == end, f"killed {moment} write {number} of {writes}"


def play_through(
    story: Callable[[Play], None], options: dict[str, Any], crash: tuple[int, str] | None = None
) -> tuple[int, dict[str, Any]]:
    """How many writes the story took, and what was there at its end."""
    with serving(**options) as play:
        before = play.network.writes
        if crash:
            play.crash_at(*crash)
        story(play)
        play.run(90.0)
        assert play.network.crash is None, "it was never killed"
        writes, end = play.network.writes - before, play.end()
        play.rest()
        return writes, end
