"""Rollouts without room for a second copy: pods make place for others one by one.

Weight follows what is ready, and only then the next pod goes, so that never more than one is
missing of what serves. The last pod is never taken, unless it isn't ready.
"""

from __future__ import annotations

import math
from dataclasses import replace

from canarium.core.capacity import needed_replicas
from canarium.core.status import RevisionStatus, Status
from canarium.rollout.decide.transitions import enter, set_weights
from canarium.rollout.situation.view import ALL, View, rollout_of


def make_room(view: View, status: Status) -> Status:
    """In Scaling: let traffic follow the canary's ready pods, or take one of stable's.

    Nothing while there is room for the canary's pods, or the one that was made room for starts.
    """
    stable, canary = status.stable, status.canary
    if stable is None or canary is None or not view.lacks_room(canary):
        return status
    ready = view.ready(canary.revision, status)
    carried = min(view.carried(canary, status), view.step(status).weight)
    if carried > canary.weight:
        return enter(view, set_weights(status, carried), "Shifting", verified_at=None)
    left = rollout_of(status).peak_replicas - ready - 1
    return replace(status, stable=_take(view, status, stable, left))


def use_dead_places(view: View, status: Status) -> Status:
    """In an emergency: pods of a dead stable go for the canary's; by one it is seen to be back."""
    stable, canary = status.stable, status.canary
    if stable is None or canary is None or not view.lacks_room(canary):
        return status
    left = rollout_of(status).peak_replicas - view.ready(canary.revision, status) - 1
    return replace(status, stable=_take(view, status, stable, max(1, left)))


def give_back_in_step(view: View, status: Status) -> Status:
    """The same in a step, where the canary keeps what the step needs."""
    after, needed = give_back(view, status), view.needed_by_step(status)
    canary = after.canary
    return replace(after, canary=canary and replace(canary, replicas=max(needed, canary.replicas)))


def give_back(view: View, status: Status) -> Status:
    """Going back: stable gets its size again, and takes the canary's pods one by one for it."""
    stable, canary, size = status.stable, status.canary, rollout_of(status).peak_replicas
    if stable is None or canary is None or view.rollout.capacity != "InPlace":
        return status
    status = replace(status, stable=replace(stable, replicas=max(size, stable.replicas)))
    if not view.lacks_room(stable):
        return status
    left = size - view.ready(stable.revision, status) - 1
    return replace(status, canary=_take(view, status, canary, left))


def ask_for_less(view: View, status: Status) -> Status:
    """After an emergency the canary asks for no more places than its step needs."""
    canary = status.canary
    if canary is None or not view.lacks_room(canary) or not _may_take(view, status):
        return status
    needed = max(view.needed_by_step(status), view.needed(canary, status))
    return replace(status, canary=replace(canary, replicas=min(needed, canary.replicas)))


def _take(view: View, status: Status, part: RevisionStatus, left: int) -> RevisionStatus:
    """A revision with `left` pods: at most one fewer than its traffic needs, and one at least.

    Weights are whole percents of what `size` pods carry, so one more percent is theirs as well.
    """
    size = rollout_of(status).peak_replicas
    too_few = left < 1 or part.weight * size > ALL * (left + 1) + size
    protects = view.ready(part.revision, status) > 0
    if (protects and too_few) or left < 0 or left >= part.replicas or not _may_take(view, status):
        return part
    return replace(part, replicas=left)


def taken_from(view: View, status: Status) -> float:
    """When requests that were under way at the last change of weights are over (epoch seconds).

    Infinity until the router has taken them: a step may begin before, as when a person promotes.
    """
    verified_at = rollout_of(status).verified_at
    return math.inf if verified_at is None else verified_at + view.router(status).drain_seconds


def _may_take(view: View, status: Status) -> bool:
    return view.verify(status).accepted and view.now >= taken_from(view, status)


def beyond_stable(view: View, status: Status) -> int:
    """In Guarding: the percentage that the new stable's pods can't carry, for want of places."""
    stable = status.stable
    if stable is None or not view.lacks_room(stable):
        return 0
    return ALL - view.carried(stable, status)


def release_previous(view: View, status: Status, *, shrinks: bool) -> Status:
    """In Guarding: where the new stable lacks room, the previous one keeps what it serves.

    One fewer, if less is to be held back (`shrinks`): the new stable has to get ready for that.
    """
    stable, previous = status.stable, status.previous
    if stable is None or previous is None or not view.lacks_room(stable):
        return status
    if not _may_take(view, status):
        return status
    size = rollout_of(status).peak_replicas
    kept = needed_replicas(previous.weight, size)
    fewer = replace(previous, replicas=min(kept, previous.replicas))
    if shrinks:
        left = size - view.ready(stable.revision, status) - 1
        fewer = _take(view, status, fewer, left)
    return replace(status, previous=fewer)
