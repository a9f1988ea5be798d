"""Emergencies: stable is dead, so whoever is being rolled out and has a ready pod gets its traffic.

That is no promotion. The step stays what it was, and all that it asks for (its hold, the analysis
as far as one can judge beside a dead stable, a person's approval) still has to be passed. When
stable is back, the step's traffic is what counts again. A blink of stable is none: it has to have
been without a ready pod for `emergencyAfter`.
"""

from __future__ import annotations

from dataclasses import replace

from canarium.core.status import RevisionStatus
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
from canarium.rollout.situation.situation import Situation
from canarium.rollout.situation.stages import ALL, began_unsettled


def follow_stable(situation: Situation) -> Situation:
    """Note since when stable has no ready pod; a first revision that gets ready is no stable yet.

    A clock that went back starts it anew, so that it is never too long.
    """
    stable = situation.stable
    if stable is None:
        return situation
    since, noted = stable.unavailable_since, None
    if situation.health.stable_is_away and not _is_first(situation):
        noted = situation.now if since is None else min(since, situation.now)
    return situation.replace(
        stable=replace(stable, unavailable_since=noted) if noted != since else stable,
        canary=_forget(situation.canary),
        previous=_forget(situation.previous),
    )


def _is_first(situation: Situation) -> bool:
    state = situation.rollout.state
    return state in ("Starting", "Broken") or (state == "Shifting" and situation.canary is None)


def _forget(part: RevisionStatus | None) -> RevisionStatus | None:
    """What was noted of a revision while it was stable."""
    if part is None or part.unavailable_since is None:
        return part
    return replace(part, unavailable_since=None)


def rescue(situation: Situation) -> Situation | None:
    """What an emergency changes of the traffic in a step; None when nothing.

    Asked after everything that takes a canary back: one that is at fault never gets here.
    """
    canary = situation.canary
    if canary is None:
        return None
    if situation.rollout.emergency and not situation.health.stable_is_away:
        return _give_back(situation, canary)
    if (
        not situation.health.stable_has_no_ready_pods
        or situation.paused
        or not situation.capacity.ready(canary.revision)
    ):
        return None
    return None if _has_all(situation, canary) else _take_over(situation)


def _has_all(situation: Situation, canary: RevisionStatus) -> bool:
    return situation.rollout.emergency_at is not None and canary.weight == ALL


def _take_over(situation: Situation) -> Situation:
    """All traffic to the canary, which gets the pods for that as they come."""
    rollout = situation.rollout
    grown = grow_canary(set_weights(situation, ALL), rollout.peak_replicas)
    return enter(
        grown,
        "Shifting",
        verified_at=None,
        emergency=rollout.emergency or "Canary",
        emergency_at=situation.now,
        emergencies=(rollout.emergencies or 0) + 1,
        earned_weight=earned_weight(situation),
    )


def _give_back(situation: Situation, canary: RevisionStatus) -> Situation | None:
    """Stable is back: it gets what its pods carry, until the step's traffic counts again.

    One that comes and goes is believed ever later.
    """
    if situation.rollout.emergency_at is None:
        return _resume_going_back(situation) or end_emergency(situation)
    if situation.now < returns_at(situation.rollout):
        return None
    due = min(earned_weight(situation), situation.capacity.carried(canary))
    carried = situation.capacity.carried(situation.stable) if situation.stable else 0
    weight = max(due, ALL - carried)
    if weight <= due:
        return _end(situation, canary, due)
    if weight >= canary.weight:
        return None
    return enter(set_weights(situation, weight), "Shifting", verified_at=None)


def _resume_going_back(situation: Situation) -> Situation | None:
    """In place: go on with what a fix had interrupted, as stable is back before it had anything.

    Whoever has traffic still holds the places that stable needs to take it back.
    """
    if situation.terms.capacity != "InPlace" or not began_unsettled(situation.status):
        return None
    ours, live = {part.revision for part in situation.parts}, situation.traffic.live_weights
    left = (d for d in situation.observed.deployments if live.get(d.revision))
    other = next((d for d in left if d.revision not in ours), None)
    if other is None:
        return None
    found = situation.replace(canary=describe(situation, other))
    back = set_weights(found, found.traffic.live_share(other.revision))
    return revert(back, "Superseded", "Superseded", "another version is wanted now")


def _end(situation: Situation, canary: RevisionStatus, due: int) -> Situation:
    """The step goes on; where the canary has more than is due, its traffic comes first."""
    over = end_emergency(situation)
    if canary.weight <= due:
        return over
    return reenter(set_weights(over, due))


def share_places(situation: Situation) -> Situation:
    """In an emergency in place: dead pods make room for those that serve, and get it back."""
    if situation.terms.capacity != "InPlace":
        return situation
    if not situation.rollout.emergency:
        return ask_for_less(situation)
    if situation.health.stable_is_away:
        return use_dead_places(situation)
    return give_back_in_step(situation)
