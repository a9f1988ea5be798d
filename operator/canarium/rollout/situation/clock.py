"""How long a step, or the guard, has been held: a clock that stands while it must not run."""

from __future__ import annotations

import math
from dataclasses import replace

from canarium.core.status import Rollout

RETREAT_SECONDS = 5.0
RETREAT_MOST_SECONDS = 300.0
MOST_RETURNS = 3
"""So often may a canary's pods all give way under traffic in one rollout, and the last time it is
rejected; pods that others took (a lost node, an eviction) don't count."""
AHEAD_SECONDS = 10.0
"Stored instants that lie further in the future were written by a clock that was set back since."
WATCHED = ("Starting", "Scaling", "Shifting", "Holding", "Guarding")
"States in which something waits for a time to pass."


def bring_back(rollout: Rollout, now: float, watched_since: float, settle: float) -> Rollout:
    """Have times that make no sense be now: nothing ends, and nothing stands still, by a jump.

    What was stored for the future was written by a clock that was set back since; a router that
    settles (`settle`, seconds) is a future that is meant. What nobody watched, for an outage or
    because a clock was set forward, is no time that a canary was held or had for its pods.
    Status has whole milliseconds: compared with a finer `watched_since`, what was brought back
    would be too early for ever.
    """
    latest, earliest = now + AHEAD_SECONDS, 0.0
    if rollout.state in WATCHED:
        earliest = math.floor(watched_since * 1000.0) / 1000.0
    return replace(
        rollout,
        step_started_at=_within(rollout.step_started_at, 0.0, latest, now),
        progress_at=_within(rollout.progress_at, earliest, latest, now),
        tests_saved_at=_within(rollout.tests_saved_at, 0.0, latest, now),
        verified_at=_within(rollout.verified_at, earliest, latest + settle, now),
    )


def _within(at: float | None, earliest: float, latest: float, now: float) -> float | None:
    """A time that makes sense: no earlier than one, and now where it is later than the other."""
    if at is None or earliest <= at <= latest:
        return at
    return now if at > latest else earliest


def held_seconds(rollout: Rollout, now: float) -> float:
    """Seconds held so far, counted from when the step's traffic was programmed."""
    if rollout.verified_at is None:
        return rollout.held_seconds
    return rollout.held_seconds + max(0.0, now - rollout.verified_at)


def stop_clock(rollout: Rollout, now: float) -> Rollout:
    """Keep what was held, in whole seconds, and count no further."""
    if rollout.verified_at is None:
        return rollout
    return replace(rollout, held_seconds=int(held_seconds(rollout, now)), verified_at=None)


def start_clock(rollout: Rollout, at: float) -> Rollout:
    """Count on from `at` (epoch seconds; the future while the router settles)."""
    return rollout if rollout.verified_at is not None else replace(rollout, verified_at=at)


def resumes_at(rollout: Rollout) -> float:
    """When a step may be tried again whose canary lost its pods: at longer and longer intervals.

    5 s after the first retreat, then twice as long each time, up to 5 minutes.
    """
    if not rollout.retreats or rollout.step_started_at is None:
        return 0.0
    wait = min(RETREAT_MOST_SECONDS, RETREAT_SECONDS * 2.0 ** (rollout.retreats - 1))
    return rollout.step_started_at + wait


def returns_at(rollout: Rollout) -> float:
    """When a stable that is ready again gets its traffic back after an emergency.

    At once the first time; after the second one 10 s from when it began, then twice as long each
    time, up to 5 minutes: pods that crash under traffic are ready in between.
    """
    if rollout.emergency_at is None or (rollout.emergencies or 0) < 2:
        return 0.0
    wait = RETREAT_SECONDS * 2.0 ** ((rollout.emergencies or 0) - 1)
    return rollout.emergency_at + min(RETREAT_MOST_SECONDS, wait)


def ends_at(rollout: Rollout, seconds: float) -> float | None:
    """When `seconds` will have been held; None while the clock stands."""
    if rollout.verified_at is None:
        return None
    return rollout.verified_at + seconds - rollout.held_seconds
