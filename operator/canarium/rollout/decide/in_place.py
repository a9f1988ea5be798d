"""Rollouts without room for a second copy: pods make place for others one by one.

Weight follows what is ready, and only then the next pod goes, so that never more than one is
missing of what serves. The last pod is never taken, unless it isn't ready.
"""

from __future__ import annotations

import math
from dataclasses import replace

from canarium.core.capacity import needed_replicas
from canarium.core.status import RevisionStatus
from canarium.rollout.decide.transitions import enter, set_weights
from canarium.rollout.situation.situation import Situation
from canarium.rollout.situation.stages import ALL


def make_room(situation: Situation) -> Situation:
    """In Scaling: let traffic follow the canary's ready pods, or take one of stable's.

    Nothing while there is room for the canary's pods, or the one that was made room for starts.
    """
    stable, canary = situation.stable, situation.canary
    if stable is None or canary is None or not situation.seen.lacks_room(canary):
        return situation
    ready = situation.capacity.ready(canary.revision)
    carried = min(situation.capacity.carried(canary), situation.steps.current.weight)
    if carried > canary.weight:
        return enter(set_weights(situation, carried), "Shifting", verified_at=None)
    left = situation.rollout.peak_replicas - ready - 1
    return situation.replace(stable=_take(situation, stable, left))


def use_dead_places(situation: Situation) -> Situation:
    """In an emergency: pods of a dead stable go for the canary's; by one it is seen to be back."""
    stable, canary = situation.stable, situation.canary
    if stable is None or canary is None or not situation.seen.lacks_room(canary):
        return situation
    left = situation.rollout.peak_replicas - situation.capacity.ready(canary.revision) - 1
    return situation.replace(stable=_take(situation, stable, max(1, left)))


def give_back_in_step(situation: Situation) -> Situation:
    """The same in a step, where the canary keeps what the step needs."""
    after, needed = give_back(situation), situation.capacity.needed_by_step
    canary = after.canary
    return after.replace(canary=canary and replace(canary, replicas=max(needed, canary.replicas)))


def give_back(situation: Situation) -> Situation:
    """Going back: stable gets its size again, and takes the canary's pods one by one for it."""
    stable, canary, size = situation.stable, situation.canary, situation.rollout.peak_replicas
    if stable is None or canary is None or situation.terms.capacity != "InPlace":
        return situation
    situation = situation.replace(stable=replace(stable, replicas=max(size, stable.replicas)))
    if not situation.seen.lacks_room(stable):
        return situation
    left = size - situation.capacity.ready(stable.revision) - 1
    return situation.replace(canary=_take(situation, canary, left))


def ask_for_less(situation: Situation) -> Situation:
    """After an emergency the canary asks for no more places than its step needs."""
    canary = situation.canary
    if canary is None or not situation.seen.lacks_room(canary) or not _may_take(situation):
        return situation
    needed = max(situation.capacity.needed_by_step, situation.capacity.needed(canary))
    return situation.replace(canary=replace(canary, replicas=min(needed, canary.replicas)))


def _take(situation: Situation, part: RevisionStatus, left: int) -> RevisionStatus:
    """A revision with `left` pods: at most one fewer than its traffic needs, and one at least.

    Weights are whole percents of what `size` pods carry, so one more percent is theirs as well.
    """
    size = situation.rollout.peak_replicas
    too_few = left < 1 or part.weight * size > ALL * (left + 1) + size
    protects = situation.capacity.ready(part.revision) > 0
    if (protects and too_few) or left < 0 or left >= part.replicas or not _may_take(situation):
        return part
    return replace(part, replicas=left)


def taken_from(situation: Situation) -> float:
    """When requests that were under way at the last change of weights are over (epoch seconds).

    Infinity until the router has taken them: a step may begin before, as when a person promotes.
    """
    verified_at = situation.rollout.verified_at
    return math.inf if verified_at is None else verified_at + situation.traffic.router.drain_seconds


def _may_take(situation: Situation) -> bool:
    return situation.traffic.verification.accepted and situation.now >= taken_from(situation)


def beyond_stable(situation: Situation) -> int:
    """In Guarding: the percentage that the new stable's pods can't carry, for want of places."""
    stable = situation.stable
    if stable is None or not situation.seen.lacks_room(stable):
        return 0
    return ALL - situation.capacity.carried(stable)


def release_previous(situation: Situation, *, shrinks: bool) -> Situation:
    """In Guarding: where the new stable lacks room, the previous one keeps what it serves.

    One fewer, if less is to be held back (`shrinks`): the new stable has to get ready for that.
    """
    stable, previous = situation.stable, situation.previous
    if stable is None or previous is None or not situation.seen.lacks_room(stable):
        return situation
    if not _may_take(situation):
        return situation
    size = situation.rollout.peak_replicas
    kept = needed_replicas(previous.weight, size)
    fewer = replace(previous, replicas=min(kept, previous.replicas))
    if shrinks:
        left = size - situation.capacity.ready(stable.revision) - 1
        fewer = _take(situation, fewer, left)
    return situation.replace(previous=fewer)
