"""From the status that was, and what is seen, to the status that should be.

The pieces run in a fixed order: what was lost is found again, sizes and clocks follow the spec,
edits are adopted, and then the states are asked until none has anything to say.
"""

from __future__ import annotations

from dataclasses import replace

from canarium.core.observed import DeploymentRecord
from canarium.core.spec import CLOSING_NAME
from canarium.core.status import Rejection, Rollout, Status
from canarium.rollout.decide.commands import dismiss_commands, take_orders
from canarium.rollout.decide.emergency import follow_stable
from canarium.rollout.decide.states import STATES
from canarium.rollout.decide.traffic import follow_traffic
from canarium.rollout.decide.transitions import (
    begin_first,
    describe,
    earned_weight,
    lift_override,
    reenter_step,
    set_weights,
)
from canarium.rollout.situation.clock import bring_back
from canarium.rollout.situation.jobs import count_past
from canarium.rollout.situation.judging import step_jobs
from canarium.rollout.situation.scaling import stable_size
from canarium.rollout.situation.view import ROLLING, View, copied_rollout, is_at_rest, rollout_of

MOST_TRANSITIONS = 8
"States that one pass may go through; there is no longer chain without something new to see."


def decide(view: View) -> Status:
    """Compute the status that should be, as far as decisions go; what is seen is added later."""
    status = view.observed.model.status
    if status.rollout is None or status.stable is None:
        found = _recover(view, status)
        if found is None:
            return status
        status = found
    status = follow_traffic(view, _bring_back_clock(view, status))
    status = count_past(view, status, step_jobs(view, status))
    status = _follow_override(view, status)
    ordered = take_orders(view, status)
    if ordered.override != status.override:
        return ordered  # what is wanted changes with it, so the next pass goes on
    status = follow_stable(view, _follow_clock(view, _follow_spec(view, ordered)))
    if _is_edited(view, status):
        return _adopt_edits(view, status)
    return dismiss_commands(view, _settle(view, status))


def _bring_back_clock(view: View, status: Status) -> Status:
    """Leave no time in status that a jump of a clock, or an outage, has made senseless."""
    since, settle = view.observed.watched_since, view.router(status).settle_seconds
    rollout = bring_back(rollout_of(status), view.now, since, settle)
    return replace(status, rollout=rollout) if rollout != status.rollout else status


def _follow_override(view: View, status: Status) -> Status:
    """A person's rollback ends when the spec names another revision than it did then."""
    override, named = status.override, view.named
    if override is None or named is None or named.revision == override.instead:
        return status
    return lift_override(status)


def _settle(view: View, status: Status) -> Status:
    for _ in range(MOST_TRANSITIONS):
        after = STATES[rollout_of(status).state](view, status)
        if after == status:
            break
        status = after
    return status


def _recover(view: View, status: Status) -> Status | None:
    """A status that says nothing: what is routed is stable; where nothing ever was, begin.

    What was stable before comes first; another one that is routed too is taken back. Nothing ends
    before the router has settled on that: nobody knows since when it works by what is written.
    Commands that are there may have been handled long ago, so none of them counts.
    """
    routed = _find_routed(view, status)
    handled = dict(view.observed.model.commands)
    found = replace(status, rejected=_find_rejections(view), last_handled_commands=handled)
    if not routed:
        return begin_first(view, found, view.wanted) if view.wanted else None
    stable, *others = (describe(view, deployment) for deployment in routed)
    back = Rollout(
        state="Reverting",
        ending="Canceled",
        reason="StatusLost",
        message="the status was lost; what was stable before is stable again",
        progress_at=view.now,
        peak_replicas=stable.replicas,
    )
    if not others:
        return replace(found, stable=replace(stable, weight=100), rollout=back)
    found = replace(found, stable=stable, canary=others[0], rollout=back)
    return set_weights(found, view.live_share(others[0].revision, found))


def _find_routed(view: View, status: Status) -> list[DeploymentRecord]:
    """The Deployments that a live rule names: proven ones first, then by weight.

    Where the rules send nobody anywhere (they were deleted too, or edited), what was stable last.
    That comes first, too, where they name only what was never stable: in an emergency, say.
    """
    weights = view.live_weights(status)
    proven = {r.revision: r.stable_at for r in view.observed.revisions if r.stable_at is not None}
    routed = [d for d in view.observed.deployments if weights.get(d.revision)]
    known = [d for d in view.observed.deployments if d.revision in proven]
    last = sorted(known, key=lambda d: -proven[d.revision])[:1]
    if any(d.revision in proven for d in routed):
        return sorted(routed, key=lambda d: (d.revision not in proven, -weights[d.revision]))
    kept = [d for d in last if d.replicas > 0 or not routed]
    return [*kept, *sorted(routed, key=lambda d: -weights[d.revision])]


def _find_rejections(view: View) -> tuple[Rejection, ...]:
    """The rejections that the ModelRevisions still know of."""
    refused = [r for r in view.observed.revisions if r.outcome == "RolledBack"]
    words = "it was rolled back before the status was lost"
    return tuple(Rejection(r.revision, r.version, "RolledBack", words, view.now) for r in refused)


def _follow_spec(view: View, status: Status) -> Status:
    """Stable follows the spec's size, or its load, at rest; and only grows in a rollout.

    What the rollout reckons with (its peak) changes only when a step is entered, and in the
    guard, where the previous revision grows along, so that one can still go back to it.
    """
    if view.spec is None or status.stable is None:
        return status
    rollout, rests, previous = rollout_of(status), is_at_rest(status), status.previous
    size = stable_size(view, status, status.stable, rests=rests)
    if rests:
        rollout = replace(rollout, peak_replicas=size)
    if rollout.state == "Guarding" and previous is not None:
        rollout = replace(rollout, peak_replicas=size)
        if view.rollout.capacity == "Surge":
            previous = replace(previous, replicas=max(size, previous.replicas))
    stable = replace(status.stable, replicas=size)
    return replace(status, stable=stable, previous=previous, rollout=rollout)


def _follow_clock(view: View, status: Status) -> Status:
    """Progress is more ready pods than this step ever had; no time is counted while it cannot be.

    That is while somebody pauses, and while the environment keeps the pods from coming. Pods that
    come and go make no progress, or they would renew the deadline for ever.
    """
    rollout, tried = rollout_of(status), status.canary or status.stable
    fault = view.fault(tried.revision) if tried else None
    hindered = view.paused or (fault is not None and fault.whose == "Environment")
    if hindered and rollout.state in ("Starting", *ROLLING):
        return replace(status, rollout=replace(rollout, progress_at=None))
    ready = view.ready(tried.revision, status) if tried else 0
    if ready > rollout.most_ready and rollout.state in ("Starting", *ROLLING):
        return replace(status, rollout=replace(rollout, progress_at=view.now, most_ready=ready))
    if rollout.progress_at is None:
        return replace(status, rollout=replace(rollout, progress_at=view.now))
    return status


def _is_edited(view: View, status: Status) -> bool:
    """Whether the steps differ from those that the rollout goes by.

    Those were copied when it started; without a copy (it is still to be written, or the revision
    is tried again), the step that status names tells.
    """
    if rollout_of(status).state not in ROLLING or status.canary is None:
        return False
    copied = copied_rollout(view, status)
    terms, given = view.rollout, copied or view.rollout
    edited = (given.steps, given.experiment) != (terms.steps, terms.experiment)
    return edited or not _is_in_a_step(view, status)


def _is_in_a_step(view: View, status: Status) -> bool:
    rollout = rollout_of(status)
    named = (rollout.step, rollout.step_name)
    return named in ((number, step.name) for number, step in enumerate(view.steps, 1))


def _adopt_edits(view: View, status: Status) -> Status:
    """Go on at the first step not below the present weight; nothing moves on before it is copied.

    Of several with that weight, at the one with the present step's name. Where all are below it, at
    the last: whoever asks for less doesn't ask for a promotion. A rollback does not wait.
    """
    status = reenter_step(view, status, _find_step(view, status))
    after = _settle(view, status)
    return after if rollout_of(after).state == "Reverting" else status


def _find_step(view: View, status: Status) -> int:
    weight = earned_weight(status)
    listed, name = view.steps[:-1], rollout_of(status).step_name
    first = next((step.weight for step in listed if step.weight >= weight), None)
    if first is None:
        return len(view.steps) if name == CLOSING_NAME or not listed else len(listed)
    numbers = [number for number, step in enumerate(listed, 1) if step.weight == first]
    return next((n for n in numbers if view.steps[n - 1].name == name), numbers[0])
