"""How long a step, or the guard, has been held: a clock that stands while it must not run."""

from __future__ import annotations

from dataclasses import replace

from canarium.core.status import Rollout


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


def ends_at(rollout: Rollout, seconds: float) -> float | None:
    """When `seconds` will have been held; None while the clock stands."""
    if rollout.verified_at is None:
        return None
    return rollout.verified_at + seconds - rollout.held_seconds
