"""The transitions of a rollout: each makes the next situation out of the present one.

What one says about weights and replicas is an intent; it is stored first and written to the
cluster in the pass after.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from canarium.core.capacity import step_replicas
from canarium.core.commands import Command
from canarium.core.observed import DeploymentRecord
from canarium.core.spec import Step
from canarium.core.status import (
    Emergency,
    Ending,
    Override,
    Rejection,
    RevisionStatus,
    Rollout,
    State,
)
from canarium.core.text import sanitize_text
from canarium.rollout.situation.clock import held_seconds, stop_clock
from canarium.rollout.situation.revision import Wanted
from canarium.rollout.situation.situation import Situation

REJECTIONS_KEPT = 20
FRESH_SECONDS = 10.0
"A hold of at most so long has just begun."


def enter(situation: Situation, state: State, **changes: Any) -> Situation:
    """Go to another state, which is progress."""
    return situation.with_rollout(state=state, progress_at=situation.now, **changes)


def describe(situation: Situation, deployment: DeploymentRecord) -> RevisionStatus:
    """The place in status of a revision that has none, by its Deployment and ModelRevision."""
    records = {record.revision: record for record in situation.observed.revisions}
    record = records.get(deployment.revision)
    return RevisionStatus(
        revision=deployment.revision,
        version=record.version if record else "",
        image=record.image if record else "",
        digest=record.digest if record else "",
        replicas=deployment.replicas,
    )


def begin_first(situation: Situation, wanted: Wanted) -> Situation:
    """Serve the first revision ever, or the one that replaces a broken first one."""
    size = situation.spec.replicas if situation.spec else 1
    first = situation.replace(stable=wanted.status(replicas=size), canary=None, previous=None)
    rollout = Rollout(
        state="Starting",
        progress_at=situation.now,
        step_started_at=situation.now,
        peak_replicas=size,
    )
    return first.replace(rollout=rollout)


def begin(situation: Situation, wanted: Wanted) -> Situation:
    """Start to roll a revision out.

    One that was stable before goes straight to the closing step. One that is begun while stable has
    no ready pod is a fix, unless stable comes back: it gets all as soon as stable counts as dead.
    """
    size = max(1, situation.stable.replicas if situation.stable else 1)
    known = wanted.record is not None and wanted.record.stable_at is not None
    number = len(situation.steps.all) if known else 1
    fix = situation.health.stable_is_away
    needed = step_replicas(situation.steps.all[number - 1], size)
    canary = wanted.status(replicas=size if situation.health.stable_has_no_ready_pods else needed)
    before = situation.rollout
    returns = before.returns if before.returned == wanted.revision else 0
    emergency: Emergency = "Fix" if fix else ""
    fresh = Rollout(peak_replicas=size, returns=returns, emergency=emergency)
    tried = situation.replace(canary=canary, previous=None, rollout=fresh)
    return _enter_step(set_weights(tried, 0), number)


def begin_unsettled(situation: Situation, wanted: Wanted) -> Situation:
    """The same while traffic has not gone back yet; `ending` says so.

    Whoever has it keeps its pods until the new canary's own traffic has settled.
    """
    return begin(situation, wanted).with_rollout(ending="Superseded")


def advance(situation: Situation) -> Situation:
    """Go to the next step; a fix for a dead stable to the next that asks for approval."""
    rollout = situation.rollout
    number = rollout.step + 1
    if rollout.emergency == "Fix":
        later = enumerate(situation.steps.all[number - 1 :], number)
        number = next((n for n, step in later if step.approval), len(situation.steps.all))
    return _enter_step(situation.with_rollout(retreats=0), number)


def jump_to_closing(situation: Situation) -> Situation:
    """Go to 100, since a person says so."""
    return _enter_step(situation, len(situation.steps.all))


def reenter(situation: Situation) -> Situation:
    """Begin the step anew that the rollout is in."""
    return _enter_step(situation, situation.rollout.step)


def reenter_step(situation: Situation, number: int) -> Situation:
    """Be in this step of edited steps: go on holding where its traffic is the same.

    The closing step is never held. With a holdback its traffic may be what a step had, and what
    follows a hold is the next step, which there is none of.
    """
    rollout, step = situation.rollout, situation.steps.at(number)
    held_at_the_end = rollout.state == "Holding" and number == len(situation.steps.all)
    if rollout.state != "Scaling" and _has_traffic(situation.canary, step) and not held_at_the_end:
        return situation.with_rollout(step=number, step_name=step.name)
    if rollout.state in ("Shifting", "Holding") and _has_more(situation, step):
        return _hold_anew(situation, number, step)
    if (rollout.state, rollout.step, rollout.step_name) == ("Scaling", number, step.name):
        return situation
    return _enter_step(situation, number)


def _has_more(situation: Situation, step: Step) -> bool:
    """Whether the canary has more weight than its edited step, and nothing else."""
    canary = situation.canary
    if canary is None or canary.weight <= step.weight:
        return False
    return _has_traffic(canary, replace(step, weight=canary.weight))


def _hold_anew(situation: Situation, number: int, step: Step) -> Situation:
    """Hold an edited step from its beginning, with the share that the canary has.

    Once: until the edit is copied it is seen in each pass, and a hold that has just begun is anew.
    """
    rollout = situation.rollout
    named = replace(rollout, step=number, step_name=step.name)
    if rollout.emergency_at is not None:
        named = replace(named, earned_weight=max(step.weight, earned_weight(situation)))
    begun = named == rollout and held_seconds(rollout, situation.now) < FRESH_SECONDS
    if rollout.state == "Shifting" or begun:
        return situation.replace(rollout=named)
    verified_at = None if rollout.verified_at is None else situation.now
    fresh = replace(named, held_seconds=0, verified_at=verified_at, step_started_at=situation.now)
    return situation.replace(rollout=fresh)


def _has_traffic(canary: RevisionStatus | None, step: Step) -> bool:
    if canary is None:
        return False
    has = (canary.weight, canary.mirror or 0, canary.headers, canary.sticky)
    return has == (step.weight, step.mirror, step.headers, step.sticky)


def _enter_step(situation: Situation, number: int) -> Situation:
    """Have the canary get its pods; in place those come from stable, once traffic is settled."""
    step, stable, rollout = situation.steps.all[number - 1], situation.stable, situation.rollout
    size = max(rollout.peak_replicas, stable.replicas if stable else 1)
    moved = enter(
        situation,
        "Scaling",
        step=number,
        step_name=step.name,
        step_started_at=situation.now,
        verified_at=rollout.verified_at if situation.terms.capacity == "InPlace" else None,
        held_seconds=0,
        peak_replicas=size,
        most_ready=rollout.most_ready if rollout.step == number else _count_ready(situation),
        tests="",
        tests_key="",
    )
    return grow_canary(moved, moved.capacity.needed_by_step)


def _count_ready(situation: Situation) -> int:
    return situation.capacity.ready(situation.canary.revision) if situation.canary else 0


def grow_canary(situation: Situation, replicas: int) -> Situation:
    """Give the canary at least so many pods; it never shrinks while it is tried."""
    canary = situation.canary
    return situation.replace(
        canary=canary and replace(canary, replicas=max(canary.replicas, replicas))
    )


def shift(situation: Situation) -> Situation:
    """Intend the traffic of the step; the canary keeps what it has got in an emergency.

    It does so too where edited steps are all below that: an edit takes no weight from it.
    """
    step = situation.steps.current
    moved = enter(situation, "Shifting", verified_at=None, step_started_at=situation.now)
    moved = _keep_progress(moved, situation.rollout)
    had = situation.canary.weight if situation.canary else 0
    if situation.rollout.emergency_at is not None:
        earned_now = max(step.weight, earned_weight(situation))
        return set_weights(moved.with_rollout(earned_weight=earned_now), max(step.weight, had))
    shared = set_weights(moved, max(step.weight, had))
    canary = shared.canary
    extras: dict[str, Any] = {"headers": step.headers, "sticky": step.sticky}
    beside = canary and replace(canary, mirror=step.mirror or None, **extras)
    return shared.replace(canary=beside)


def _keep_progress(situation: Situation, before: Rollout) -> Situation:
    """What is only meant, or is taken back, is no progress."""
    return situation.with_rollout(progress_at=before.progress_at)


def set_weights(situation: Situation, canary_weight: int) -> Situation:
    """Share 100 percent between stable and canary, which gets nothing else."""
    stable, canary = situation.stable, situation.canary
    bare: dict[str, Any] = {"mirror": None, "headers": (), "sticky": None}
    return situation.replace(
        stable=stable and replace(stable, weight=100 - canary_weight),
        canary=canary and replace(canary, weight=canary_weight, **bare),
    )


def back_off(situation: Situation, returns: int) -> Situation:
    """Take the canary's traffic back because it has no pod left; it may try the step again."""
    back = reenter(set_weights(end_emergency(situation), 0))
    retreats = situation.rollout.retreats + 1
    return back.with_rollout(verified_at=None, retreats=retreats, returns=returns)


def cancel_unwritten(situation: Situation) -> Situation:
    """Take back an intent that was not written yet: its pods went away meanwhile."""
    canary = situation.canary
    live = situation.traffic.written_share(canary) if canary else 0
    back = _keep_progress(reenter(set_weights(situation, live)), situation.rollout)
    return back.with_rollout(verified_at=None)


def promote(situation: Situation) -> Situation:
    """The canary is stable now; the one before stays warm, with what is held back on it."""
    stable = situation.stable
    moved = enter(
        end_emergency(situation), "Guarding", step=0, step_name="", step_started_at=situation.now
    )
    previous = stable and replace(stable, analysis=())
    return moved.replace(stable=situation.canary, canary=None, previous=previous)


def end_emergency(situation: Situation) -> Situation:
    """Stable is back, or there is a new one."""
    return situation.with_rollout(emergency="", emergency_at=None, earned_weight=None)


def earned_weight(situation: Situation) -> int:
    """What the canary has by its step: in an emergency it has more, and has not earned that."""
    earned = situation.rollout.earned_weight
    if earned is not None:
        return earned
    return situation.canary.weight if situation.canary else 0


def lower_holdback(situation: Situation, percent: int) -> Situation:
    """Leave the previous revision less of the traffic; the guard's clock waits for the router."""
    stable, previous = situation.stable, situation.previous
    stopped = stop_clock(situation.rollout, situation.now)
    return situation.replace(
        stable=stable and replace(stable, weight=100 - percent),
        previous=previous and replace(previous, weight=percent),
        rollout=replace(stopped, progress_at=situation.now),
    )


def rest(situation: Situation) -> Situation:
    """Nothing is under way any more; stable serves all."""
    was = situation.rollout
    settled = Rollout(state="Idle", progress_at=situation.now, peak_replicas=was.peak_replicas)
    if was.returned:  # it is wanted still, and begins anew
        settled = replace(settled, returns=was.returns, returned=was.returned)
    return situation.replace(canary=None, previous=None, rollout=settled)


def refuse(situation: Situation) -> Situation:
    """Stable serves all, and why the other was taken back is remembered."""
    was = situation.rollout
    return rest(situation).with_rollout(state="Rejected", reason=was.reason, message=was.message)


def revert(situation: Situation, ending: Ending, reason: str, message: str) -> Situation:
    """Go back to stable; a rejected revision is remembered at once."""
    over, words = end_emergency(situation), sanitize_text(message)
    moved = enter(
        over, "Reverting", ending=ending, reason=reason, message=words,
        verified_at=None, held_seconds=0,
    )  # fmt: skip
    if ending != "Rejected" or situation.canary is None:
        return moved
    return moved.replace(rejected=_reject(situation, situation.canary, reason, message))


def lose_guard(situation: Situation, returns: int, message: str) -> Situation:
    """Go back because the new stable has no ready pod; it begins anew, and what it lost counts."""
    revision = situation.stable.revision if situation.stable else ""
    counted = situation.with_rollout(returns=returns, returned=revision)
    return revert_guard(counted, "Canceled", "NoReadyPods", message)


def revert_guard(situation: Situation, ending: Ending, reason: str, message: str) -> Situation:
    """Go back to the previous revision, which is still warm."""
    swapped = situation.replace(stable=situation.previous, canary=situation.stable, previous=None)
    return revert(swapped, ending, reason, message)


def _reject(
    situation: Situation, canary: RevisionStatus, reason: str, message: str
) -> tuple[Rejection, ...]:
    others = tuple(r for r in situation.status.rejected if r.revision != canary.revision)
    words = sanitize_text(message)
    rejection = Rejection(canary.revision, canary.version, reason, words, situation.now)
    return (*others, rejection)[-REJECTIONS_KEPT:]


def clear_rejection(situation: Situation, revision: str) -> Situation:
    """Let a rejected revision be tried again."""
    left = tuple(r for r in situation.status.rejected if r.revision != revision)
    return situation.replace(rejected=left)


def record_command(situation: Situation, command: Command, ignored: str = "") -> Situation:
    """Remember that a command was handled; goes with its effect in one write.

    `ignored` says why it had none.
    """
    handled = {**situation.status.last_handled_commands, command.verb: command.text}
    others = {
        verb: why for verb, why in situation.status.ignored_commands.items() if verb != command.verb
    }
    reasons = {**others, command.verb: sanitize_text(ignored)} if ignored else others
    return situation.replace(last_handled_commands=handled, ignored_commands=reasons)


def go_back(situation: Situation, revision: str) -> Situation:
    """Have a revision of the history instead of the one that the spec names, until that changes."""
    named = situation.named.revision if situation.named else ""
    override = Override(revision, named, situation.now) if revision != named else None
    return clear_rejection(situation, revision).replace(override=override)


def lift_override(situation: Situation) -> Situation:
    """Have again what the spec names."""
    return situation.replace(override=None)


def restart(situation: Situation) -> Situation:
    """Have stable's pods replaced, one by one."""
    stable = situation.stable
    return situation.replace(stable=stable and replace(stable, restarted_at=situation.now))
