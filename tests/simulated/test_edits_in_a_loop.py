"""A tool that writes another spec every few seconds: what that makes, and where it ends."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from canarium.rollout.situation.pace import MOST_BEGUN, PACE_SECONDS, WAITING
from canarium.sim.network import RecordedRequest, Trouble

from tests.simulated.play import KEY, Play, log_changes, serving

DAY = 86400.0
PASS_SECONDS = 1.0
"A ModelRevision is created a pass later than its revision is begun."
Happens = Callable[[Play, int], None]


def leave(_play: Play, _number: int) -> None:
    """Nothing else happens."""


def lag(play: Play, _number: int) -> None:
    """Every watch is late."""
    play.network.lag_seconds = 1.5


def restart(play: Play, number: int) -> None:
    """Each fifth edit finds another operator."""
    if number % 5 == 0:
        play.restart_operator()


def conflict(play: Play, _number: int) -> None:
    """Each third write is refused."""

    def trouble(request: RecordedRequest) -> Trouble | None:
        return "Conflict" if request.number % 3 == 0 else None

    play.network.trouble = trouble


@pytest.mark.parametrize("happens", [leave, lag, restart, conflict], ids=lambda h: h.__name__)
def test_no_minute_sees_more_new_revisions_and_the_last_spec_is_served(happens: Happens) -> None:
    with serving(steps=((20, "1s"),), guard="0s", revisionHistoryLimit=0) as play:
        changes = log_changes(play)
        for number in range(60):
            happens(play, number)
            play.want(str(2 + number % 15))  # which no history keeps, so each is new each time
            play.run(1.5)
        play.want("last")
        play.until("Idle", "last", most_seconds=PACE_SECONDS + 60.0)
    made = [c.time for c in changes if c.kind == "ModelRevision" and c.was is None]
    assert len(made) > MOST_BEGUN
    gaps = [late - early for early, late in zip(made, made[MOST_BEGUN:], strict=False)]
    assert min(gaps) >= PACE_SECONDS - PASS_SECONDS
    assert play.traffic.lost(KEY) == 0


@pytest.mark.parametrize("ahead", [-DAY, 90.0, DAY])
def test_a_clock_that_jumps_keeps_the_last_spec_waiting_for_no_more_than_a_minute(
    ahead: float,
) -> None:
    with serving(steps=((20, "1s"),), guard="0s") as play:
        for number in range(30):
            play.want(str(2 + number))
            play.run(1.5)
        assert play.reason == WAITING
        play.server.ahead_seconds = ahead
        play.machine_ahead_seconds = ahead
        play.restart_operator()
        play.want("last")
        play.until("Idle", "last", most_seconds=PACE_SECONDS + 60.0)
