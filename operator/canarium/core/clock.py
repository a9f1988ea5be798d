"""How long a step, or the guard, has been held: a clock that stands while it must not run."""

from __future__ import annotations

from dataclasses import replace

from canarium.core.status import Rollout

RETREAT_SECONDS = 5.0
RETREAT_MOST_SECONDS = 300.0


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


def ends_at(rollout: Rollout, seconds: float) -> float | None:
    """When `seconds` will have been held; None while the clock stands."""
    if rollout.verified_at is None:
        return None
    return rollout.verified_at + seconds - rollout.held_seconds
