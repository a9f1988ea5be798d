"""Emergencies: stable is dead, so whoever is being rolled out and has a ready pod gets its traffic.

That is no promotion. The step stays what it was, and all that it asks for (its hold, the analysis
as far as one can judge beside a dead stable, a person's approval) still has to be passed. When
stable is back, the step's traffic is what counts again. A blink of stable is none: it has to have
been without a ready pod for `emergencyAfter`.
"""

from __future__ import annotations

from dataclasses import replace

from canarium.core.status import RevisionStatus, Status
from canarium.rollout.decide.in_place import ask_for_less, give_back_in_step, use_dead_places
from canarium.rollout.decide.transitions import (
    describe,
    earned_weight,
    end_emergency,
    enter,
    grow_canary,
    reenter,
    revert,
    set_weights,
)
from canarium.rollout.situation.clock import returns_at
from canarium.rollout.situation.view import ALL, View, began_unsettled, parts_of, rollout_of


def follow_stable(view: View, status: Status) -> Status:
    """Note since when stable has no ready pod; a first revision that gets ready is no stable yet.

    A clock that went back starts it anew, so that it is never too long.
    """
    stable = status.stable
    if stable is None:
        return status
    since, noted = stable.unavailable_since, None
    if view.stable_is_away(status) and not _is_first(status):
        noted = view.now if since is None else min(since, view.now)
    return replace(
        status,
        stable=replace(stable, unavailable_since=noted) if noted != since else stable,
        canary=_forget(status.canary),
        previous=_forget(status.previous),
    )


def _is_first(status: Status) -> bool:
    state = rollout_of(status).state
    return state in ("Starting", "Broken") or (state == "Shifting" and status.canary is None)


def _forget(part: RevisionStatus | None) -> RevisionStatus | None:
    """What was noted of a revision while it was stable."""
    if part is None or part.unavailable_since is None:
        return part
    return replace(part, unavailable_since=None)


def rescue(view: View, status: Status) -> Status | None:
    """What an emergency changes of the traffic in a step; None when nothing.

    Asked after everything that takes a canary back: one that is at fault never gets here.
    """
    canary = status.canary
    if canary is None:
        return None
    if rollout_of(status).emergency and not view.stable_is_away(status):
        return _give_back(view, status, canary)
    if (
        not view.stable_has_no_ready_pods(status)
        or view.paused
        or not view.ready(canary.revision, status)
    ):
        return None
    return None if _has_all(status, canary) else _take_over(view, status)


def _has_all(status: Status, canary: RevisionStatus) -> bool:
    return rollout_of(status).emergency_at is not None and canary.weight == ALL


def _take_over(view: View, status: Status) -> Status:
    """All traffic to the canary, which gets the pods for that as they come."""
    rollout = rollout_of(status)
    grown = grow_canary(set_weights(status, ALL), rollout.peak_replicas)
    return enter(
        view,
        grown,
        "Shifting",
        verified_at=None,
        emergency=rollout.emergency or "Canary",
        emergency_at=view.now,
        emergencies=(rollout.emergencies or 0) + 1,
        earned_weight=earned_weight(status),
    )


def _give_back(view: View, status: Status, canary: RevisionStatus) -> Status | None:
    """Stable is back: it gets what its pods carry, until the step's traffic counts again.

    One that comes and goes is believed ever later.
    """
    if rollout_of(status).emergency_at is None:
        return _resume_going_back(view, status) or end_emergency(status)
    if view.now < returns_at(rollout_of(status)):
        return None
    due = min(earned_weight(status), view.carried(canary, status))
    weight = max(due, ALL - view.carried_by_stable(status))
    if weight <= due:
        return _end(view, status, canary, due)
    if weight >= canary.weight:
        return None
    return enter(view, set_weights(status, weight), "Shifting", verified_at=None)


def _resume_going_back(view: View, status: Status) -> Status | None:
    """In place: go on with what a fix had interrupted, as stable is back before it had anything.

    Whoever has traffic still holds the places that stable needs to take it back.
    """
    if view.rollout.capacity != "InPlace" or not began_unsettled(status):
        return None
    ours, live = {part.revision for part in parts_of(status)}, view.live_weights(status)
    left = (d for d in view.observed.deployments if live.get(d.revision))
    other = next((d for d in left if d.revision not in ours), None)
    if other is None:
        return None
    found = replace(status, canary=describe(view, other))
    back = set_weights(found, view.live_share(other.revision, found))
    return revert(view, back, "Superseded", "Superseded", "another version is wanted now")


def _end(view: View, status: Status, canary: RevisionStatus, due: int) -> Status:
    """The step goes on; where the canary has more than is due, its traffic comes first."""
    over = end_emergency(status)
    if canary.weight <= due:
        return over
    return reenter(view, set_weights(over, due))


def share_places(view: View, status: Status) -> Status:
    """In an emergency in place: dead pods make room for those that serve, and get it back."""
    if view.rollout.capacity != "InPlace":
        return status
    if not rollout_of(status).emergency:
        return ask_for_less(view, status)
    if view.stable_is_away(status):
        return use_dead_places(view, status)
    return give_back_in_step(view, status)
