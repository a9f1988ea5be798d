"""From the status that was, and what is seen, to the status that should be.

The pieces run in a fixed order: what was lost is found again, sizes and clocks follow the spec,
edits are adopted, and then the states are asked until none has anything to say.
"""

from __future__ import annotations

from dataclasses import replace

from canarium.core.observed import DeploymentRecord
from canarium.core.spec import CLOSING_NAME
from canarium.core.status import Rejection, Rollout
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
from canarium.rollout.situation.situation import Situation
from canarium.rollout.situation.stages import ROLLING, is_at_rest

MOST_TRANSITIONS = 8
"States that one pass may go through; there is no longer chain without something new to see."


def decide(situation: Situation) -> Situation:
    """Compute the status that should be, as far as decisions go; what is seen is added later."""
    if situation.status.rollout is None or situation.stable is None:
        found = _recover(situation)
        if found is None:
            return situation
        situation = found
    situation = follow_traffic(_bring_back_clock(situation))
    situation = count_past(situation, step_jobs(situation))
    situation = _follow_override(situation)
    ordered = take_orders(situation)
    if ordered.status.override != situation.status.override:
        return ordered  # what is wanted changes with it, so the next pass goes on
    situation = follow_stable(_follow_clock(_follow_spec(ordered)))
    if _is_edited(situation):
        return _adopt_edits(situation)
    return dismiss_commands(_settle(situation))


def _bring_back_clock(situation: Situation) -> Situation:
    """Leave no time in status that a jump of a clock, or an outage, has made senseless."""
    since, settle = situation.observed.watched_since, situation.traffic.router.settle_seconds
    rollout = bring_back(situation.rollout, situation.now, since, settle)
    return situation.replace(rollout=rollout) if rollout != situation.status.rollout else situation


def _follow_override(situation: Situation) -> Situation:
    """A person's rollback ends when the spec names another revision than it did then."""
    override, named = situation.status.override, situation.named
    if override is None or named is None or named.revision == override.instead:
        return situation
    return lift_override(situation)


def _settle(situation: Situation) -> Situation:
    for _ in range(MOST_TRANSITIONS):
        after = STATES[situation.rollout.state](situation)
        if after == situation:
            break
        situation = after
    return situation


def _recover(situation: Situation) -> Situation | None:
    """A status that says nothing: what is routed is stable; where nothing ever was, begin.

    What was stable before comes first; another one that is routed too is taken back. Nothing ends
    before the router has settled on that: nobody knows since when it works by what is written.
    Commands that are there may have been handled long ago, so none of them counts.
    """
    routed = _find_routed(situation)
    handled = dict(situation.observed.model.commands)
    found = situation.replace(rejected=_find_rejections(situation), last_handled_commands=handled)
    if not routed:
        return begin_first(found, situation.wanted) if situation.wanted else None
    stable, *others = (describe(situation, deployment) for deployment in routed)
    back = Rollout(
        state="Reverting",
        ending="Canceled",
        reason="StatusLost",
        message="the status was lost; what was stable before is stable again",
        progress_at=situation.now,
        peak_replicas=stable.replicas,
    )
    if not others:
        return found.replace(stable=replace(stable, weight=100), rollout=back)
    found = found.replace(stable=stable, canary=others[0], rollout=back)
    return set_weights(found, found.traffic.live_share(others[0].revision))


def _find_routed(situation: Situation) -> list[DeploymentRecord]:
    """The Deployments that a live rule names: proven ones first, then by weight.

    Where the rules send nobody anywhere (they were deleted too, or edited), what was stable last.
    That comes first, too, where they name only what was never stable: in an emergency, say.
    """
    weights = situation.traffic.live_weights
    proven = {
        r.revision: r.stable_at for r in situation.observed.revisions if r.stable_at is not None
    }
    routed = [d for d in situation.observed.deployments if weights.get(d.revision)]
    known = [d for d in situation.observed.deployments if d.revision in proven]
    last = sorted(known, key=lambda d: -proven[d.revision])[:1]
    if any(d.revision in proven for d in routed):
        return sorted(routed, key=lambda d: (d.revision not in proven, -weights[d.revision]))
    kept = [d for d in last if d.replicas > 0 or not routed]
    return [*kept, *sorted(routed, key=lambda d: -weights[d.revision])]


def _find_rejections(situation: Situation) -> tuple[Rejection, ...]:
    """The rejections that the ModelRevisions still know of."""
    refused = [r for r in situation.observed.revisions if r.outcome == "RolledBack"]
    words = "it was rolled back before the status was lost"
    return tuple(
        Rejection(r.revision, r.version, "RolledBack", words, situation.now) for r in refused
    )


def _follow_spec(situation: Situation) -> Situation:
    """Stable follows the spec's size, or its load, at rest; and only grows in a rollout.

    What the rollout reckons with (its peak) changes only when a step is entered, and in the
    guard, where the previous revision grows along, so that one can still go back to it.
    """
    if situation.spec is None or situation.stable is None:
        return situation
    rollout, rests, previous = situation.rollout, is_at_rest(situation.status), situation.previous
    size = stable_size(situation, situation.stable, rests=rests)
    if rests:
        rollout = replace(rollout, peak_replicas=size)
    if rollout.state == "Guarding" and previous is not None:
        rollout = replace(rollout, peak_replicas=size)
        if situation.terms.capacity == "Surge":
            previous = replace(previous, replicas=max(size, previous.replicas))
    stable = replace(situation.stable, replicas=size)
    return situation.replace(stable=stable, previous=previous, rollout=rollout)


def _follow_clock(situation: Situation) -> Situation:
    """Progress is more ready pods than this step ever had; no time is counted while it cannot be.

    That is while somebody pauses, and while the environment keeps the pods from coming. Pods that
    come and go make no progress, or they would renew the deadline for ever.
    """
    rollout, tried = situation.rollout, situation.canary or situation.stable
    fault = situation.seen.fault(tried.revision) if tried else None
    hindered = situation.paused or (fault is not None and fault.whose == "Environment")
    if hindered and rollout.state in ("Starting", *ROLLING):
        return situation.replace(rollout=replace(rollout, progress_at=None))
    ready = situation.capacity.ready(tried.revision) if tried else 0
    if ready > rollout.most_ready and rollout.state in ("Starting", *ROLLING):
        return situation.replace(
            rollout=replace(rollout, progress_at=situation.now, most_ready=ready)
        )
    if rollout.progress_at is None:
        return situation.replace(rollout=replace(rollout, progress_at=situation.now))
    return situation


def _is_edited(situation: Situation) -> bool:
    """Whether the steps differ from those that the rollout goes by.

    Those were copied when it started; without a copy (it is still to be written, or the revision
    is tried again), the step that status names tells.
    """
    if situation.rollout.state not in ROLLING or situation.canary is None:
        return False
    copied = situation.steps.copied
    terms, given = situation.terms, copied or situation.terms
    edited = (given.steps, given.experiment) != (terms.steps, terms.experiment)
    return edited or not _is_in_a_step(situation)


def _is_in_a_step(situation: Situation) -> bool:
    rollout = situation.rollout
    named = (rollout.step, rollout.step_name)
    return named in ((number, step.name) for number, step in enumerate(situation.steps.all, 1))


def _adopt_edits(situation: Situation) -> Situation:
    """Go on at the first step not below the present weight; nothing moves on before it is copied.

    Of several with that weight, at the one with the present step's name. Where all are below it, at
    the last: whoever asks for less doesn't ask for a promotion. A rollback does not wait.
    """
    situation = reenter_step(situation, _find_step(situation))
    after = _settle(situation)
    return after if after.rollout.state == "Reverting" else situation


def _find_step(situation: Situation) -> int:
    weight = earned_weight(situation)
    listed, name = situation.steps.all[:-1], situation.rollout.step_name
    first = next((step.weight for step in listed if step.weight >= weight), None)
    if first is None:
        return len(situation.steps.all) if name == CLOSING_NAME or not listed else len(listed)
    numbers = [number for number, step in enumerate(listed, 1) if step.weight == first]
    return next((n for n in numbers if situation.steps.all[n - 1].name == name), numbers[0])
