"""The moves of a rollout: each makes the next status out of the present one.

What a move says about weights and replicas is an intent; it is stored first and written to the
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
    Status,
)
from canarium.core.text import sanitize_text
from canarium.rollout.situation.clock import held_seconds, stop_clock
from canarium.rollout.situation.revision import Wanted
from canarium.rollout.situation.view import View, rollout_of

REJECTIONS_KEPT = 20
FRESH_SECONDS = 10.0
"A hold of at most so long has just begun."


def enter(view: View, status: Status, state: State, **changes: Any) -> Status:
    """Go to another state, which is progress."""
    rollout = replace(rollout_of(status), state=state, progress_at=view.now, **changes)
    return replace(status, rollout=rollout)


def describe(view: View, deployment: DeploymentRecord) -> RevisionStatus:
    """The place in status of a revision that has none, by its Deployment and ModelRevision."""
    records = {record.revision: record for record in view.observed.revisions}
    record = records.get(deployment.revision)
    return RevisionStatus(
        revision=deployment.revision,
        version=record.version if record else "",
        image=record.image if record else "",
        digest=record.digest if record else "",
        replicas=deployment.replicas,
    )


def begin_first(view: View, status: Status, wanted: Wanted) -> Status:
    """Serve the first revision ever, or the one that replaces a broken first one."""
    size = view.spec.replicas if view.spec else 1
    first = replace(status, stable=wanted.status(replicas=size), canary=None, previous=None)
    rollout = Rollout(
        state="Starting", progress_at=view.now, step_started_at=view.now, peak_replicas=size
    )
    return replace(first, rollout=rollout)


def begin(view: View, status: Status, wanted: Wanted) -> Status:
    """Start to roll a revision out.

    One that was stable before goes straight to the closing step. One that is begun while stable has
    no ready pod is a fix, unless stable comes back: it gets all as soon as stable counts as dead.
    """
    size = max(1, status.stable.replicas if status.stable else 1)
    known = wanted.record is not None and wanted.record.stable_at is not None
    number = len(view.steps) if known else 1
    fix = view.stable_is_away(status)
    needed = step_replicas(view.steps[number - 1], size)
    canary = wanted.status(replicas=size if view.stable_has_no_ready_pods(status) else needed)
    before = rollout_of(status)
    returns = before.returns if before.returned == wanted.revision else 0
    emergency: Emergency = "Fix" if fix else ""
    fresh = Rollout(peak_replicas=size, returns=returns, emergency=emergency)
    tried = replace(status, canary=canary, previous=None, rollout=fresh)
    return _enter_step(view, set_weights(tried, 0), number)


def begin_unsettled(view: View, status: Status, wanted: Wanted) -> Status:
    """The same while traffic has not gone back yet; `ending` says so.

    Whoever has it keeps its pods until the new canary's own traffic has settled.
    """
    begun = begin(view, status, wanted)
    return replace(begun, rollout=replace(rollout_of(begun), ending="Superseded"))


def advance(view: View, status: Status) -> Status:
    """Go to the next step; a fix for a dead stable to the next that asks for approval."""
    rollout = rollout_of(status)
    fresh = replace(status, rollout=replace(rollout, retreats=0))
    number = rollout.step + 1
    if rollout.emergency == "Fix":
        later = enumerate(view.steps[number - 1 :], number)
        number = next((n for n, step in later if step.approval), len(view.steps))
    return _enter_step(view, fresh, number)


def jump_to_closing(view: View, status: Status) -> Status:
    """Go to 100, since a person says so."""
    return _enter_step(view, status, len(view.steps))


def reenter(view: View, status: Status) -> Status:
    """Begin the step anew that the rollout is in."""
    return _enter_step(view, status, rollout_of(status).step)


def reenter_step(view: View, status: Status, number: int) -> Status:
    """Be in this step of edited steps: go on holding where its traffic is the same.

    The closing step is never held. With a holdback its traffic may be what a step had, and what
    follows a hold is the next step, which there is none of.
    """
    rollout, step = rollout_of(status), view.step_at(number, status)
    held_at_the_end = rollout.state == "Holding" and number == len(view.steps)
    if rollout.state != "Scaling" and _has_traffic(status.canary, step) and not held_at_the_end:
        return replace(status, rollout=replace(rollout, step=number, step_name=step.name))
    if rollout.state in ("Shifting", "Holding") and _has_more(status, step):
        return _hold_anew(view, status, number, step)
    if (rollout.state, rollout.step, rollout.step_name) == ("Scaling", number, step.name):
        return status
    return _enter_step(view, status, number)


def _has_more(status: Status, step: Step) -> bool:
    """Whether the canary has more weight than its edited step, and nothing else."""
    canary = status.canary
    if canary is None or canary.weight <= step.weight:
        return False
    return _has_traffic(canary, replace(step, weight=canary.weight))


def _hold_anew(view: View, status: Status, number: int, step: Step) -> Status:
    """Hold an edited step from its beginning, with the share that the canary has.

    Once: until the edit is copied it is seen in each pass, and a hold that has just begun is anew.
    """
    rollout = rollout_of(status)
    named = replace(rollout, step=number, step_name=step.name)
    if rollout.emergency_at is not None:
        named = replace(named, earned_weight=max(step.weight, earned_weight(status)))
    begun = named == rollout and held_seconds(rollout, view.now) < FRESH_SECONDS
    if rollout.state == "Shifting" or begun:
        return replace(status, rollout=named)
    verified_at = None if rollout.verified_at is None else view.now
    fresh = replace(named, held_seconds=0, verified_at=verified_at, step_started_at=view.now)
    return replace(status, rollout=fresh)


def _has_traffic(canary: RevisionStatus | None, step: Step) -> bool:
    if canary is None:
        return False
    has = (canary.weight, canary.mirror or 0, canary.headers, canary.sticky)
    return has == (step.weight, step.mirror, step.headers, step.sticky)


def _enter_step(view: View, status: Status, number: int) -> Status:
    """Have the canary get its pods; in place those come from stable, once traffic is settled."""
    step, stable, rollout = view.steps[number - 1], status.stable, rollout_of(status)
    size = max(rollout.peak_replicas, stable.replicas if stable else 1)
    moved = enter(
        view,
        status,
        "Scaling",
        step=number,
        step_name=step.name,
        step_started_at=view.now,
        verified_at=rollout.verified_at if view.rollout.capacity == "InPlace" else None,
        held_seconds=0,
        peak_replicas=size,
        most_ready=rollout.most_ready if rollout.step == number else _count_ready(view, status),
        tests="",
        tests_key="",
    )
    return grow_canary(moved, view.needed_by_step(moved))


def _count_ready(view: View, status: Status) -> int:
    return view.ready(status.canary.revision, status) if status.canary else 0


def grow_canary(status: Status, replicas: int) -> Status:
    """Give the canary at least so many pods; it never shrinks while it is tried."""
    canary = status.canary
    return replace(
        status, canary=canary and replace(canary, replicas=max(canary.replicas, replicas))
    )


def shift(view: View, status: Status) -> Status:
    """Intend the traffic of the step; the canary keeps what it has got in an emergency.

    It does so too where edited steps are all below that: an edit takes no weight from it.
    """
    step = view.step(status)
    moved = enter(view, status, "Shifting", verified_at=None, step_started_at=view.now)
    moved = _keep_progress(moved, rollout_of(status))
    had = status.canary.weight if status.canary else 0
    if rollout_of(status).emergency_at is not None:
        earned_now = max(step.weight, earned_weight(status))
        earned = replace(rollout_of(moved), earned_weight=earned_now)
        return set_weights(replace(moved, rollout=earned), max(step.weight, had))
    shared = set_weights(moved, max(step.weight, had))
    canary = shared.canary
    extras: dict[str, Any] = {"headers": step.headers, "sticky": step.sticky}
    beside = canary and replace(canary, mirror=step.mirror or None, **extras)
    return replace(shared, canary=beside)


def _keep_progress(status: Status, before: Rollout) -> Status:
    """What is only meant, or is taken back, is no progress."""
    return replace(status, rollout=replace(rollout_of(status), progress_at=before.progress_at))


def set_weights(status: Status, canary_weight: int) -> Status:
    """Share 100 percent between stable and canary, which gets nothing else."""
    stable, canary = status.stable, status.canary
    bare: dict[str, Any] = {"mirror": None, "headers": (), "sticky": None}
    return replace(
        status,
        stable=stable and replace(stable, weight=100 - canary_weight),
        canary=canary and replace(canary, weight=canary_weight, **bare),
    )


def back_off(view: View, status: Status, returns: int) -> Status:
    """Take the canary's traffic back because it has no pod left; it may try the step again."""
    rollout = rollout_of(status)
    back = reenter(view, set_weights(end_emergency(status), 0))
    retreats = rollout.retreats + 1
    counted = replace(rollout_of(back), verified_at=None, retreats=retreats, returns=returns)
    return replace(back, rollout=counted)


def cancel_unwritten(view: View, status: Status) -> Status:
    """Take back an intent that was not written yet: its pods went away meanwhile."""
    canary = status.canary
    live = view.written_share(canary, status) if canary else 0
    back = reenter(view, set_weights(status, live))
    back = _keep_progress(back, rollout_of(status))
    return replace(back, rollout=replace(rollout_of(back), verified_at=None))


def promote(view: View, status: Status) -> Status:
    """The canary is stable now; the one before stays warm, with what is held back on it."""
    stable = status.stable
    moved = enter(
        view, end_emergency(status), "Guarding", step=0, step_name="", step_started_at=view.now
    )
    previous = stable and replace(stable, analysis=())
    return replace(moved, stable=status.canary, canary=None, previous=previous)


def end_emergency(status: Status) -> Status:
    """Stable is back, or there is a new one."""
    rollout = rollout_of(status)
    over = replace(rollout, emergency="", emergency_at=None, earned_weight=None)
    return replace(status, rollout=over)


def earned_weight(status: Status) -> int:
    """What the canary has by its step: in an emergency it has more, and has not earned that."""
    earned = rollout_of(status).earned_weight
    if earned is not None:
        return earned
    return status.canary.weight if status.canary else 0


def lower_holdback(view: View, status: Status, percent: int) -> Status:
    """Leave the previous revision less of the traffic; the guard's clock waits for the router."""
    stable, previous = status.stable, status.previous
    stopped = stop_clock(rollout_of(status), view.now)
    return replace(
        status,
        stable=stable and replace(stable, weight=100 - percent),
        previous=previous and replace(previous, weight=percent),
        rollout=replace(stopped, progress_at=view.now),
    )


def rest(view: View, status: Status) -> Status:
    """Nothing is under way any more; stable serves all."""
    was = rollout_of(status)
    settled = Rollout(state="Idle", progress_at=view.now, peak_replicas=was.peak_replicas)
    if was.returned:  # it is wanted still, and begins anew
        settled = replace(settled, returns=was.returns, returned=was.returned)
    return replace(status, canary=None, previous=None, rollout=settled)


def refuse(view: View, status: Status) -> Status:
    """Stable serves all, and why the other was taken back is remembered."""
    was, idle = rollout_of(status), rest(view, status)
    settled = replace(rollout_of(idle), state="Rejected", reason=was.reason, message=was.message)
    return replace(idle, rollout=settled)


def revert(view: View, status: Status, ending: Ending, reason: str, message: str) -> Status:
    """Go back to stable; a rejected revision is remembered at once."""
    over, words = end_emergency(status), sanitize_text(message)
    moved = enter(
        view, over, "Reverting", ending=ending, reason=reason, message=words,
        verified_at=None, held_seconds=0,
    )  # fmt: skip
    if ending != "Rejected" or status.canary is None:
        return moved
    return replace(moved, rejected=_reject(view, status, status.canary, reason, message))


def lose_guard(view: View, status: Status, returns: int, message: str) -> Status:
    """Go back because the new stable has no ready pod; it begins anew, and what it lost counts."""
    revision = status.stable.revision if status.stable else ""
    rollout = replace(rollout_of(status), returns=returns, returned=revision)
    counted = replace(status, rollout=rollout)
    return revert_guard(view, counted, "Canceled", "NoReadyPods", message)


def revert_guard(view: View, status: Status, ending: Ending, reason: str, message: str) -> Status:
    """Go back to the previous revision, which is still warm."""
    swapped = replace(
        status,
        stable=status.previous,
        canary=status.stable,
        previous=None,
    )
    return revert(view, swapped, ending, reason, message)


def _reject(
    view: View, status: Status, canary: RevisionStatus, reason: str, message: str
) -> tuple[Rejection, ...]:
    others = tuple(r for r in status.rejected if r.revision != canary.revision)
    words = sanitize_text(message)
    rejection = Rejection(canary.revision, canary.version, reason, words, view.now)
    return (*others, rejection)[-REJECTIONS_KEPT:]


def clear_rejection(status: Status, revision: str) -> Status:
    """Let a rejected revision be tried again."""
    left = tuple(r for r in status.rejected if r.revision != revision)
    return replace(status, rejected=left)


def record_command(status: Status, command: Command, ignored: str = "") -> Status:
    """Remember that a command was handled; goes with its effect in one write.

    `ignored` says why it had none.
    """
    handled = {**status.last_handled_commands, command.verb: command.text}
    others = {verb: why for verb, why in status.ignored_commands.items() if verb != command.verb}
    reasons = {**others, command.verb: sanitize_text(ignored)} if ignored else others
    return replace(status, last_handled_commands=handled, ignored_commands=reasons)


def go_back(view: View, status: Status, revision: str) -> Status:
    """Have a revision of the history instead of the one that the spec names, until that changes."""
    named = view.named.revision if view.named else ""
    override = Override(revision, named, view.now) if revision != named else None
    return replace(clear_rejection(status, revision), override=override)


def lift_override(status: Status) -> Status:
    """Have again what the spec names."""
    return replace(status, override=None)


def restart(view: View, status: Status) -> Status:
    """Have stable's pods replaced, one by one."""
    stable = status.stable
    return replace(status, stable=stable and replace(stable, restarted_at=view.now))
