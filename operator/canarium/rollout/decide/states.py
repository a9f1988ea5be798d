"""The states of a rollout: one small function each, from what is seen to what comes next.

The table in docs/contributing/states.md is the documentation; a test compares it with `STATES`. A
function returns the status unchanged when it stays where it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from canarium.core.commands import Verb
from canarium.core.spec import CLOSING_NAME, ExperimentSpec
from canarium.core.status import RevisionStatus, State, Status
from canarium.core.text import describe_duration, sanitize_text
from canarium.rollout.decide.emergency import rescue, share_places
from canarium.rollout.decide.in_place import beyond_stable, give_back, make_room, release_previous
from canarium.rollout.decide.transitions import (
    advance,
    back_off,
    begin,
    begin_first,
    begin_unsettled,
    cancel_unwritten,
    clear_rejection,
    enter,
    grow_canary,
    jump_to_closing,
    lose_guard,
    lower_holdback,
    promote,
    record_command,
    refuse,
    rest,
    revert,
    revert_guard,
    set_weights,
    shift,
)
from canarium.rollout.situation.clock import (
    MOST_RETURNS,
    held_seconds,
    resumes_at,
    start_clock,
    stop_clock,
)
from canarium.rollout.situation.judging import (
    find_outcome,
    has_failed,
    has_no_data,
    is_proven,
    is_withheld,
    may_pass,
)
from canarium.rollout.situation.pace import must_wait
from canarium.rollout.situation.pods.unready import describe_unready
from canarium.rollout.situation.revision import Wanted
from canarium.rollout.situation.scaling import is_idle
from canarium.rollout.situation.undecided import describe_wait
from canarium.rollout.situation.view import ALL, View, began_unsettled, rollout_of

UNREADY = "UnreadyUnderTraffic"


def starting(view: View, status: Status) -> Status:
    """The first revision gets ready."""
    status = _note_taken(view, status)
    if (interrupted := _interrupt_first(view, status)) is not None:
        return interrupted
    stable = _stable(status)
    if not view.paused and _may_serve(view, status, stable):
        return _route_first(view, status)
    if view.is_overdue(status) and view.is_unready(stable.revision):
        return _break(view, status, "ProgressDeadlineExceeded", _not_ready(view, status, stable))
    return status


def _interrupt_first(view: View, status: Status) -> Status | None:
    """What ends the start of a first revision: another one is wanted, or it cannot serve."""
    stable = _stable(status)
    if (other := _other_first(view, status)) is not None:
        return begin_first(view, status, other)
    whole = view.ready(stable.revision, status) >= stable.replicas
    fault = None if whole else view.own_fault(stable.revision)
    return _break(view, status, fault.reason, fault.message) if fault else None


def _other_first(view: View, status: Status) -> Wanted | None:
    """Another revision that is wanted instead of a first one, and may be begun."""
    wanted = view.wanted
    if wanted is None or wanted.revision == _stable(status).revision:
        return None
    return None if must_wait(view, status, wanted) else wanted


def _may_serve(view: View, status: Status, first: RevisionStatus) -> bool:
    """One ready pod serves better than none, unless others could still be asked."""
    if view.deployment(first.revision) is None:
        return False
    ready = view.ready(first.revision, status)
    others = any(pod.ready for pod in view.observed.pods if pod.revision != first.revision)
    return ready >= (first.replicas if others else min(1, first.replicas))


def _route_first(view: View, status: Status) -> Status:
    stable = replace(_stable(status), weight=100)
    return enter(view, replace(status, stable=stable), "Shifting", verified_at=None)


def broken(view: View, status: Status) -> Status:
    """Nothing to fall back on: another revision, a recovery or a retry helps."""
    status = _note_taken(view, status)
    stable = _stable(status)
    if (other := _other_first(view, status)) is not None:
        return begin_first(view, status, other)
    retried, status = _take(view, status, "retry", stable.revision)
    ready = view.ready(stable.revision, status)
    well = ready >= stable.replicas or not view.own_fault(stable.revision)
    if retried or (well and (ready > 0 or stable.replicas == 0)):
        return enter(view, status, "Starting", reason="", message="")
    return status


def idle(view: View, status: Status) -> Status:
    """Stable serves all."""
    wanted = view.wanted
    if wanted is None or wanted.revision == _stable(status).revision:
        return status
    if _rejection(status, wanted.revision):
        return _recall_rejection(view, status, wanted.revision)
    return _try(view, status, wanted)


def _try(view: View, status: Status, wanted: Wanted) -> Status:
    """Begin to roll a revision out, unless something has to come first."""
    if view.paused or _is_rerouting(view, status) or must_wait(view, status, wanted):
        return status
    if _stable(status).replicas == 0 and not view.may_idle:
        return begin_first(view, status, wanted)
    return begin(view, status, wanted)


def _is_rerouting(view: View, status: Status) -> bool:
    """Whether another router or gateway is taking over; a rollout waits for that.

    A fix for a dead stable doesn't: there is nothing that could be routed meanwhile.
    """
    routed = _stable(status).weight > 0 and not view.stable_has_no_ready_pods(status)
    return routed and not view.is_written(status)


def rejected(view: View, status: Status) -> Status:
    """Stable serves all, and the revision that the spec names was refused."""
    wanted = view.wanted
    if wanted is None:
        return status
    if wanted.revision == _stable(status).revision:
        return rest(view, status)
    leaving = bool(view.pods(wanted.revision))
    retried, status = (False, status) if leaving else _take(view, status, "retry", wanted.revision)
    if retried:
        status = clear_rejection(status, wanted.revision)
    elif _rejection(status, wanted.revision):
        return _recall_rejection(view, status, wanted.revision)
    return _try(view, status, wanted)


def scaling(view: View, status: Status) -> Status:
    """The canary gets the capacity that the step needs."""
    status = _note_taken(view, status)
    if (interrupted := _interrupt(view, status) or rescue(view, status)) is not None:
        return interrupted
    status = share_places(view, grow_canary(status, view.needed_by_step(status)))
    canary = _canary(status)
    ready = view.ready(canary.revision, status)
    if view.has_capacity(status):
        return _use_capacity(view, status)
    if canary.is_routed and not ready and not view.stable_is_away(status):
        return _retreat(view, status)
    if view.is_overdue(status) and view.is_unready(canary.revision) and not view.paused:
        words = _not_ready(view, status, canary)
        return revert(view, status, "Rejected", "ProgressDeadlineExceeded", words)
    waits = _must_wait(view, status) or view.has_leftover_pods(status)
    return status if waits else make_room(view, status)


def _use_capacity(view: View, status: Status) -> Status:
    """There are pods for the step's traffic; where nobody sends any, a person may promote."""
    if is_idle(view, status):
        promoted, status = _take(view, status, "promote", _canary(status).revision)
        return jump_to_closing(view, status) if promoted else status
    return status if _must_wait(view, status) else shift(view, status)


def _must_wait(view: View, status: Status) -> bool:
    """Whether a shift for which there is capacity has to wait all the same."""
    mixed = view.has_leftover_pods(status) and not view.is_closing(status)
    return view.paused or mixed or view.now < resumes_at(rollout_of(status))


def shifting(view: View, status: Status) -> Status:
    """The route is written; the router has to take it."""
    if status.canary is None:
        return _shifting_first(view, status)
    if (interrupted := _interrupt_traffic(view, status)) is not None:
        return interrupted
    status = _run_clock(view, share_places(view, status), paused=False)
    if not _is_settled(view, status):
        return status
    if _is_incomplete(view, status):
        return enter(view, status, "Scaling")
    if view.is_closing(status):
        return promote(view, status)
    return enter(view, status, "Holding", verified_at=rollout_of(status).verified_at)


def _is_incomplete(view: View, status: Status) -> bool:
    """Whether more has to come: in place traffic goes as far as pods are ready.

    In an emergency the canary got its traffic before it had the pods to be promoted.
    """
    if _canary(status).weight < view.step(status).weight:
        return True
    early = rollout_of(status).emergency != "" and view.is_closing(status)
    return early and not view.has_capacity(status)


def _shifting_first(view: View, status: Status) -> Status:
    if (interrupted := _interrupt_first(view, status)) is not None:
        return interrupted
    stable = _stable(status)
    status = _run_clock(view, status, paused=False)
    whole = view.ready(stable.revision, status) >= stable.replicas
    return rest(view, status) if whole and _is_settled(view, status) else status


def holding(view: View, status: Status) -> Status:
    """The step's traffic flows and is judged."""
    if (interrupted := _interrupt_traffic(view, status)) is not None:
        return interrupted
    promoted, status = _take(view, status, "promote", _canary(status).revision)
    if promoted:
        return advance(view, status)
    status = _run_clock(view, share_places(view, status), paused=_stands(view, status))
    if view.paused or rollout_of(status).verified_at is None or not _is_held(view, status):
        return status
    return _end_hold(view, status)


def _stands(view: View, status: Status) -> bool:
    """Whether the clock of a hold stands: an experiment has nothing to compare in an emergency.

    In place pods come one by one, and the clock tells when the next may.
    """
    emergency = rollout_of(status).emergency != ""
    alone = emergency and view.experiment(status) is not None
    cramped = emergency and view.rollout.capacity == "InPlace"
    return view.paused or alone or (_is_short(view, status) and not cramped)


def _is_held(view: View, status: Status) -> bool:
    """Whether the hold is over; of a fix for a dead stable nothing is held."""
    rollout = rollout_of(status)
    held = held_seconds(rollout, view.now)
    if rollout.emergency:
        return rollout.emergency == "Fix" or held >= view.step(status).hold_seconds
    return held >= view.step(status).hold_seconds or (held > 0 and is_proven(view, status))


def _end_hold(view: View, status: Status) -> Status:
    """What follows when the hold is over: of an experiment, that it may be decided.

    In an emergency no experiment is, and nothing else while stable is there again.
    """
    analysis = view.rollout.analysis
    rolls_back = analysis is not None and analysis.on_no_data == "Rollback"
    if rolls_back and has_no_data(view, status) and not is_withheld(view, status):
        wait = describe_wait(view, status)
        cause = f": {wait[1]}" if wait else ""
        words = f"there was nothing to judge the canary by at the end of the hold{cause}"
        return revert(view, status, "Rejected", "NoData", words)
    if _is_unfit_to_decide(view, status):
        return status
    if (experiment := view.experiment(status)) is not None:
        return _end_experiment(view, status, experiment)
    if view.step(status).approval or not may_pass(view, status):
        return status
    return advance(view, status)


def _is_unfit_to_decide(view: View, status: Status) -> bool:
    emergency = rollout_of(status).emergency != ""
    return emergency and (not view.stable_is_away(status) or view.experiment(status) is not None)


def _end_experiment(view: View, status: Status, experiment: ExperimentSpec) -> Status:
    """The winner goes on, and what nobody can tell apart goes back when time is up."""
    outcome = find_outcome(view, status)
    if outcome.verdict == "CanaryWorse":
        return revert(view, status, "Rejected", "ExperimentLost", outcome.message)
    if outcome.verdict == "CanaryBetter" and may_pass(view, status):
        return advance(view, status)
    if held_seconds(rollout_of(status), view.now) < experiment.max_seconds:
        return status
    if is_withheld(view, status):
        return status
    words = f"nothing was decided in {describe_duration(experiment.max_seconds)}; {outcome.message}"
    return revert(view, status, "Rejected", "ExperimentUndecided", words)


def guarding(view: View, status: Status) -> Status:
    """The new stable has everything but what is held back; the previous one stays warm."""
    if (back := _go_back(view, status)) is not None:
        return back
    wanted = _newly_wanted(view, status)
    if wanted is not None and not view.paused and not must_wait(view, status, wanted):
        start = begin_unsettled if _may_reach_previous(view, status) else begin
        return start(view, status, wanted)
    if (percent := _compute_holdback(view, status)) != _held_back(status):
        return lower_holdback(view, status, percent)
    status = _run_clock(view, status, paused=view.paused)
    shrinks = not view.paused and _wanted_holdback(view, status) < _held_back(status)
    return _end_guard(view, release_previous(view, status, shrinks=shrinks))


def _held_back(status: Status) -> int:
    return status.previous.weight if status.previous else 0


def _may_reach_previous(view: View, status: Status) -> bool:
    """Whether requests may still reach the previous revision, by what was held back on it.

    Where revisions share a Service nothing is held back.
    """
    unsettled = _held_back(status) > 0 or not _is_settled(view, status)
    return unsettled and not view.router(status).mixes_pods


def _compute_holdback(view: View, status: Status) -> int:
    """What the previous revision is to have of the traffic: it never gets more again.

    Nothing once the guard is over, or when it has no ready pod and the new stable has one. A
    pause keeps it, but for the latter. In place it keeps what the new stable can't carry yet.
    """
    previous, held = status.previous, _held_back(status)
    if previous is None or not view.ready(_stable(status).revision, status):
        return held
    if not view.ready(previous.revision, status):
        return 0
    if view.paused:
        return held
    wanted = _wanted_holdback(view, status)
    return wanted if wanted == held else min(held, max(wanted, beyond_stable(view, status)))


def _wanted_holdback(view: View, status: Status) -> int:
    """The same by the guard and the spec alone."""
    return 0 if _is_guarded(view, status) else min(_held_back(status), view.rollout.holdback)


def _go_back(view: View, status: Status) -> Status | None:
    """What takes the new stable back in the guard."""
    stable, wanted = _stable(status), _newly_wanted(view, status)
    aborted, after = _take(view, status, "abort", stable.revision)
    if aborted:
        return revert_guard(view, after, "Rejected", "Aborted", "aborted by a person")
    trouble = view.own_fault(stable.revision) or has_failed(view, status)
    if trouble is not None:
        return revert_guard(view, status, "Rejected", trouble.reason, trouble.message)
    if wanted and status.previous and wanted.revision == status.previous.revision:
        return revert_guard(view, status, "Canceled", "WentBack", "the spec went back")
    return _lose_guarded(view, status) if _has_lost_guarded(view, status) else None


def _lose_guarded(view: View, status: Status) -> Status:
    """Go back, for good if the new stable's pods have given way too often under traffic."""
    returns = _count_returns(view, status, _stable(status))
    if returns >= MOST_RETURNS:
        return revert_guard(view, status, "Rejected", UNREADY, _too_often(returns))
    words = "none of its pods is ready, those of the previous revision are"
    return lose_guard(view, status, returns, words)


def _has_lost_guarded(view: View, status: Status) -> bool:
    """Whether the new stable has no ready pod while the one before has; nobody's known fault."""
    previous = status.previous
    if previous is None or not view.stable_has_no_ready_pods(status):
        return False
    return view.ready(previous.revision, status) > 0


def _end_guard(view: View, status: Status) -> Status:
    serving = view.ready(_stable(status).revision, status) > 0
    over = _is_guarded(view, status) and not _held_back(status)
    return rest(view, status) if over and serving and _is_settled(view, status) else status


def _is_guarded(view: View, status: Status) -> bool:
    """Whether the guard has lasted as long as it should."""
    return held_seconds(rollout_of(status), view.now) >= view.rollout.guard_seconds


def reverting(view: View, status: Status) -> Status:
    """Weight goes back to stable as fast as its pods carry it; then the canary goes."""
    stable, canary = _stable(status), status.canary
    if (fix := _find_fix(view, status)) is not None:
        return begin_unsettled(view, status, fix)
    weight = _weight_left(view, status, stable, canary) if canary else 0
    if canary and (weight != canary.weight or canary.has_extras):
        return _move_back(view, status, weight)
    status = _run_clock(view, status, paused=False)
    if weight > 0:
        return give_back(view, status) if _is_settled(view, status) else status
    return _end_revert(view, status) if _is_settled(view, status) else status


def _move_back(view: View, status: Status, weight: int) -> Status:
    """Leave the canary so much; all only in an emergency, which lasts while it has all."""
    rollout, saves = rollout_of(status), _may_save(view, status)
    stopped = replace(
        rollout,
        verified_at=None,
        progress_at=view.now,
        emergency="Canary" if saves else "",
        emergency_at=view.now if saves else None,
    )
    moved = set_weights(replace(status, rollout=stopped), weight)
    return grow_canary(moved, rollout.peak_replicas) if saves else moved


def _may_save(view: View, status: Status) -> bool:
    """Whether a canary that is taken back through no fault of its own gets a dead stable's traffic.

    One that was rejected keeps what it has while nobody else has a ready pod, and gets no more.
    """
    canary = status.canary
    if canary is None or view.paused or rollout_of(status).ending == "Rejected":
        return False
    if not view.stable_has_no_ready_pods(status) or view.own_fault(canary.revision) is not None:
        return False
    return view.ready(canary.revision, status) > 0


def _find_fix(view: View, status: Status) -> Wanted | None:
    """Another revision that is wanted, where stable has no pod to go back to."""
    wanted, canary = _newly_wanted(view, status), status.canary
    if wanted is None or view.paused or (canary and wanted.revision == canary.revision):
        return None
    late = must_wait(view, status, wanted)
    return wanted if view.stable_has_no_ready_pods(status) and not late else None


def _weight_left(view: View, status: Status, stable: RevisionStatus, canary: RevisionStatus) -> int:
    """What the canary must keep for now: of what was meant, as much as had been written.

    Never more than was meant: what is live beyond that, or rules that send nobody anywhere, are
    somebody's edit, to be put right.
    """
    if _may_save(view, status):
        return ALL
    carried, live = view.carried(stable, status), view.written_share(canary, status)
    if view.ready(canary.revision, status) == 0:
        return 0 if carried else live
    return min(live, 100 - carried)


def _end_revert(view: View, status: Status) -> Status:
    refused = rollout_of(status).ending == "Rejected"
    return refuse(view, status) if refused else rest(view, status)


STATES: dict[State, Callable[[View, Status], Status]] = {
    "Starting": starting,
    "Idle": idle,
    "Scaling": scaling,
    "Shifting": shifting,
    "Holding": holding,
    "Guarding": guarding,
    "Reverting": reverting,
    "Rejected": rejected,
    "Broken": broken,
}


def _interrupt_traffic(view: View, status: Status) -> Status | None:
    """The same of one that has traffic, and what becomes of that when pods are gone."""
    return _interrupt(view, status) or _lose(view, status) or rescue(view, status)


def _interrupt(view: View, status: Status) -> Status | None:
    """What takes a canary back in Scaling, Shifting and Holding alike, or hastens it."""
    return _take_back(view, status) or _hasten(view, status) or _leave(view, status)


def _take_back(view: View, status: Status) -> Status | None:
    """A person's abort, the canary's own fault, a failed verdict."""
    canary = _canary(status)
    aborted, after = _take(view, status, "abort", canary.revision)
    if aborted:
        return revert(view, after, "Rejected", "Aborted", "aborted by a person")
    if (fault := view.own_fault(canary.revision)) is not None:
        return revert(view, status, "Rejected", fault.reason, fault.message)
    if (failed := has_failed(view, status)) is not None:
        return revert(view, status, "Rejected", failed.reason, failed.message)
    return None


def _leave(view: View, status: Status) -> Status | None:
    """Another revision than the canary is wanted now."""
    canary, wanted = _canary(status), view.wanted
    if wanted is None or wanted.revision == canary.revision:
        return None
    if wanted.revision == _stable(status).revision:
        who = "a person" if status.override else "the spec"
        return revert(view, status, "Canceled", "WentBack", f"{who} went back to stable")
    words = f"version {wanted.version or wanted.revision} is wanted now"
    return revert(view, status, "Superseded", "Superseded", words)


def _hasten(view: View, status: Status) -> Status | None:
    """A person promotes all the way: to the closing step, whatever step it is in."""
    command = view.command("promote", status)
    if command is None or command.step != CLOSING_NAME or view.is_closing(status):
        return None
    if command.revision != _canary(status).revision:
        return None
    return jump_to_closing(view, record_command(status, command))


def _take(view: View, status: Status, verb: Verb, revision: str) -> tuple[bool, Status]:
    """Whether a person asked for this of this revision (and step); if so it is handled now."""
    command = view.command(verb, status)
    if command is None or command.revision != revision:
        return False, status
    rollout = rollout_of(status)
    if verb == "promote" and not command.names_step(rollout.step, rollout.step_name):
        return False, status
    return True, record_command(status, command)


def _run_clock(view: View, status: Status, *, paused: bool) -> Status:
    """Let the clock run while the split is programmed and nobody pauses."""
    if paused or not view.verify(status).accepted:
        return replace(status, rollout=stop_clock(rollout_of(status), view.now))
    return _note_settled(view, status)


def _note_taken(view: View, status: Status) -> Status:
    """Note from when the router works by what is written, where pods have to wait for that."""
    in_place = rollout_of(status).state == "Scaling" and view.rollout.capacity == "InPlace"
    if not (in_place or began_unsettled(status)):
        return status
    if not view.is_taken(status):
        return replace(status, rollout=replace(rollout_of(status), verified_at=None))
    return _note_settled(view, status)


def _note_settled(view: View, status: Status) -> Status:
    settled_at = view.now + view.router(status).settle_seconds
    return replace(status, rollout=start_clock(rollout_of(status), settled_at))


def _is_settled(view: View, status: Status) -> bool:
    verified_at = rollout_of(status).verified_at
    return verified_at is not None and view.now >= verified_at


def _lose(view: View, status: Status) -> Status | None:
    """What happens when the canary's pods go away, which is nobody's fault that is known."""
    canary = _canary(status)
    lost = canary.is_routed and view.ready(canary.revision, status) == 0
    if lost and not view.stable_is_away(status):
        return _retreat(view, status)
    emergency = rollout_of(status).emergency_at is not None  # then any ready pod will do
    if not emergency and _is_short(view, status) and not view.is_written(status):
        return cancel_unwritten(view, status)
    return None


def _retreat(view: View, status: Status) -> Status:
    """Take the canary's traffic back, and try again; but not for ever, where its pods gave way."""
    returns = _count_returns(view, status, _canary(status))
    if returns < MOST_RETURNS:
        return back_off(view, status, returns)
    return revert(view, status, "Rejected", UNREADY, _too_often(returns))


def _count_returns(view: View, status: Status, part: RevisionStatus) -> int:
    return rollout_of(status).returns + view.has_given_way(part.revision, status)


def _too_often(returns: int) -> str:
    return f"none of its pods stayed ready under traffic, {returns} times in this rollout"


def _is_short(view: View, status: Status) -> bool:
    canary = _canary(status)
    needed = min(canary.replicas, view.needed(canary, status))
    return view.ready(canary.revision, status) < needed


def _newly_wanted(view: View, status: Status) -> Wanted | None:
    wanted = view.wanted
    if wanted is None or wanted.revision == _stable(status).revision:
        return None
    return None if _rejection(status, wanted.revision) else wanted


def _recall_rejection(view: View, status: Status, revision: str) -> Status:
    rejection = next(r for r in status.rejected if r.revision == revision)
    rollout = rollout_of(status)
    if (rollout.state, rollout.reason, rollout.message) == (
        "Rejected", rejection.reason, rejection.message,
    ):  # fmt: skip
        return status
    return enter(view, status, "Rejected", reason=rejection.reason, message=rejection.message)


def _rejection(status: Status, revision: str) -> bool:
    return any(rejection.revision == revision for rejection in status.rejected)


def _break(view: View, status: Status, reason: str, message: str) -> Status:
    return enter(view, status, "Broken", reason=reason, message=sanitize_text(message))


def _not_ready(view: View, status: Status, revision: RevisionStatus) -> str:
    ready = view.ready(revision.revision, status)
    seconds, fault = view.rollout.progress_deadline_seconds, view.fault(revision.revision)
    waited = describe_duration(seconds)
    words = f"{ready} of {revision.replicas} pods ready and no progress for {waited}"
    return words + (f"; {fault.message}" if fault else describe_unready(view, revision))


def _stable(status: Status) -> RevisionStatus:
    if status.stable is None:
        raise AssertionError("every state but the very first has a stable revision")
    return status.stable


def _canary(status: Status) -> RevisionStatus:
    if status.canary is None:
        raise AssertionError("Scaling, Shifting and Holding have a canary")
    return status.canary
