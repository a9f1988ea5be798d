"""The states of a rollout: one small function each, from what is seen to what comes next.

The table in docs/contributing/states.md is the documentation; a test compares it with `STATES`. A
function returns the status unchanged when it stays where it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from canarium.core.commands import Verb
from canarium.core.spec import CLOSING_NAME, ExperimentSpec
from canarium.core.status import RevisionStatus, State
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
from canarium.rollout.situation.situation import Situation
from canarium.rollout.situation.stages import ALL, began_unsettled
from canarium.rollout.situation.undecided import describe_wait

UNREADY = "UnreadyUnderTraffic"


def starting(situation: Situation) -> Situation:
    """The first revision gets ready."""
    situation = _note_taken(situation)
    if (interrupted := _interrupt_first(situation)) is not None:
        return interrupted
    stable = _stable(situation)
    if not situation.paused and _may_serve(situation, stable):
        return _route_first(situation)
    if situation.health.is_overdue and situation.seen.is_unready(stable.revision):
        return _break(situation, "ProgressDeadlineExceeded", _not_ready(situation, stable))
    return situation


def _interrupt_first(situation: Situation) -> Situation | None:
    """What ends the start of a first revision: another one is wanted, or it cannot serve."""
    stable = _stable(situation)
    if (other := _other_first(situation)) is not None:
        return begin_first(situation, other)
    whole = situation.capacity.ready(stable.revision) >= stable.replicas
    fault = None if whole else situation.seen.own_fault(stable.revision)
    return _break(situation, fault.reason, fault.message) if fault else None


def _other_first(situation: Situation) -> Wanted | None:
    """Another revision that is wanted instead of a first one, and may be begun."""
    wanted = situation.wanted
    if wanted is None or wanted.revision == _stable(situation).revision:
        return None
    return None if must_wait(situation, wanted) else wanted


def _may_serve(situation: Situation, first: RevisionStatus) -> bool:
    """One ready pod serves better than none, unless others could still be asked."""
    if situation.seen.deployment(first.revision) is None:
        return False
    ready = situation.capacity.ready(first.revision)
    others = any(pod.ready for pod in situation.observed.pods if pod.revision != first.revision)
    return ready >= (first.replicas if others else min(1, first.replicas))


def _route_first(situation: Situation) -> Situation:
    stable = replace(_stable(situation), weight=100)
    return enter(situation.replace(stable=stable), "Shifting", verified_at=None)


def broken(situation: Situation) -> Situation:
    """Nothing to fall back on: another revision, a recovery or a retry helps."""
    situation = _note_taken(situation)
    stable = _stable(situation)
    if (other := _other_first(situation)) is not None:
        return begin_first(situation, other)
    retried, situation = _take(situation, "retry", stable.revision)
    ready = situation.capacity.ready(stable.revision)
    well = ready >= stable.replicas or not situation.seen.own_fault(stable.revision)
    if retried or (well and (ready > 0 or stable.replicas == 0)):
        return enter(situation, "Starting", reason="", message="")
    return situation


def idle(situation: Situation) -> Situation:
    """Stable serves all."""
    wanted = situation.wanted
    if wanted is None or wanted.revision == _stable(situation).revision:
        return situation
    if _rejection(situation, wanted.revision):
        return _recall_rejection(situation, wanted.revision)
    return _try(situation, wanted)


def _try(situation: Situation, wanted: Wanted) -> Situation:
    """Begin to roll a revision out, unless something has to come first."""
    if situation.paused or _is_rerouting(situation) or must_wait(situation, wanted):
        return situation
    if _stable(situation).replicas == 0 and not situation.seen.may_idle:
        return begin_first(situation, wanted)
    return begin(situation, wanted)


def _is_rerouting(situation: Situation) -> bool:
    """Whether another router or gateway is taking over; a rollout waits for that.

    A fix for a dead stable doesn't: there is nothing that could be routed meanwhile.
    """
    routed = _stable(situation).weight > 0 and not situation.health.stable_has_no_ready_pods
    return routed and not situation.traffic.is_written


def rejected(situation: Situation) -> Situation:
    """Stable serves all, and the revision that the spec names was refused."""
    wanted = situation.wanted
    if wanted is None:
        return situation
    if wanted.revision == _stable(situation).revision:
        return rest(situation)
    leaving = bool(situation.seen.pods(wanted.revision))
    retried, situation = (
        (False, situation) if leaving else _take(situation, "retry", wanted.revision)
    )
    if retried:
        situation = clear_rejection(situation, wanted.revision)
    elif _rejection(situation, wanted.revision):
        return _recall_rejection(situation, wanted.revision)
    return _try(situation, wanted)


def scaling(situation: Situation) -> Situation:
    """The canary gets the capacity that the step needs."""
    situation = _note_taken(situation)
    if (interrupted := _interrupt(situation) or rescue(situation)) is not None:
        return interrupted
    situation = share_places(grow_canary(situation, situation.capacity.needed_by_step))
    canary = _canary(situation)
    ready = situation.capacity.ready(canary.revision)
    if situation.capacity.suffices:
        return _use_capacity(situation)
    if canary.is_routed and not ready and not situation.health.stable_is_away:
        return _retreat(situation)
    if (
        situation.health.is_overdue
        and situation.seen.is_unready(canary.revision)
        and not situation.paused
    ):
        words = _not_ready(situation, canary)
        return revert(situation, "Rejected", "ProgressDeadlineExceeded", words)
    waits = _must_wait(situation) or situation.capacity.has_leftover_pods
    return situation if waits else make_room(situation)


def _use_capacity(situation: Situation) -> Situation:
    """There are pods for the step's traffic; where nobody sends any, a person may promote."""
    if is_idle(situation):
        promoted, situation = _take(situation, "promote", _canary(situation).revision)
        return jump_to_closing(situation) if promoted else situation
    return situation if _must_wait(situation) else shift(situation)


def _must_wait(situation: Situation) -> bool:
    """Whether a shift for which there is capacity has to wait all the same."""
    mixed = situation.capacity.has_leftover_pods and not situation.steps.is_closing
    return situation.paused or mixed or situation.now < resumes_at(situation.rollout)


def shifting(situation: Situation) -> Situation:
    """The route is written; the router has to take it."""
    if situation.canary is None:
        return _shifting_first(situation)
    if (interrupted := _interrupt_traffic(situation)) is not None:
        return interrupted
    situation = _run_clock(share_places(situation), paused=False)
    if not _is_settled(situation):
        return situation
    if _is_incomplete(situation):
        return enter(situation, "Scaling")
    if situation.steps.is_closing:
        return promote(situation)
    return enter(situation, "Holding", verified_at=situation.rollout.verified_at)


def _is_incomplete(situation: Situation) -> bool:
    """Whether more has to come: in place traffic goes as far as pods are ready.

    In an emergency the canary got its traffic before it had the pods to be promoted.
    """
    if _canary(situation).weight < situation.steps.current.weight:
        return True
    early = situation.rollout.emergency != "" and situation.steps.is_closing
    return early and not situation.capacity.suffices


def _shifting_first(situation: Situation) -> Situation:
    if (interrupted := _interrupt_first(situation)) is not None:
        return interrupted
    stable = _stable(situation)
    situation = _run_clock(situation, paused=False)
    whole = situation.capacity.ready(stable.revision) >= stable.replicas
    return rest(situation) if whole and _is_settled(situation) else situation


def holding(situation: Situation) -> Situation:
    """The step's traffic flows and is judged."""
    if (interrupted := _interrupt_traffic(situation)) is not None:
        return interrupted
    promoted, situation = _take(situation, "promote", _canary(situation).revision)
    if promoted:
        return advance(situation)
    situation = _run_clock(share_places(situation), paused=_stands(situation))
    if situation.paused or situation.rollout.verified_at is None or not _is_held(situation):
        return situation
    return _end_hold(situation)


def _stands(situation: Situation) -> bool:
    """Whether the clock of a hold stands: an experiment has nothing to compare in an emergency.

    In place pods come one by one, and the clock tells when the next may.
    """
    emergency = situation.rollout.emergency != ""
    alone = emergency and situation.steps.experiment is not None
    cramped = emergency and situation.terms.capacity == "InPlace"
    return situation.paused or alone or (_is_short(situation) and not cramped)


def _is_held(situation: Situation) -> bool:
    """Whether the hold is over; of a fix for a dead stable nothing is held."""
    rollout = situation.rollout
    held = held_seconds(rollout, situation.now)
    if rollout.emergency:
        return rollout.emergency == "Fix" or held >= situation.steps.current.hold_seconds
    return held >= situation.steps.current.hold_seconds or (held > 0 and is_proven(situation))


def _end_hold(situation: Situation) -> Situation:
    """What follows when the hold is over: of an experiment, that it may be decided.

    In an emergency no experiment is, and nothing else while stable is there again.
    """
    analysis = situation.terms.analysis
    rolls_back = analysis is not None and analysis.on_no_data == "Rollback"
    if rolls_back and has_no_data(situation) and not is_withheld(situation):
        wait = describe_wait(situation)
        cause = f": {wait[1]}" if wait else ""
        words = f"there was nothing to judge the canary by at the end of the hold{cause}"
        return revert(situation, "Rejected", "NoData", words)
    if _is_unfit_to_decide(situation):
        return situation
    if (experiment := situation.steps.experiment) is not None:
        return _end_experiment(situation, experiment)
    if situation.steps.current.approval or not may_pass(situation):
        return situation
    return advance(situation)


def _is_unfit_to_decide(situation: Situation) -> bool:
    emergency = situation.rollout.emergency != ""
    return emergency and (
        not situation.health.stable_is_away or situation.steps.experiment is not None
    )


def _end_experiment(situation: Situation, experiment: ExperimentSpec) -> Situation:
    """The winner goes on, and what nobody can tell apart goes back when time is up."""
    outcome = find_outcome(situation)
    if outcome.verdict == "CanaryWorse":
        return revert(situation, "Rejected", "ExperimentLost", outcome.message)
    if outcome.verdict == "CanaryBetter" and may_pass(situation):
        return advance(situation)
    if held_seconds(situation.rollout, situation.now) < experiment.max_seconds:
        return situation
    if is_withheld(situation):
        return situation
    words = f"nothing was decided in {describe_duration(experiment.max_seconds)}; {outcome.message}"
    return revert(situation, "Rejected", "ExperimentUndecided", words)


def guarding(situation: Situation) -> Situation:
    """The new stable has everything but what is held back; the previous one stays warm."""
    if (back := _go_back(situation)) is not None:
        return back
    wanted = _newly_wanted(situation)
    if wanted is not None and not situation.paused and not must_wait(situation, wanted):
        start = begin_unsettled if _may_reach_previous(situation) else begin
        return start(situation, wanted)
    if (percent := _compute_holdback(situation)) != _held_back(situation):
        return lower_holdback(situation, percent)
    situation = _run_clock(situation, paused=situation.paused)
    shrinks = not situation.paused and _wanted_holdback(situation) < _held_back(situation)
    return _end_guard(release_previous(situation, shrinks=shrinks))


def _held_back(situation: Situation) -> int:
    return situation.previous.weight if situation.previous else 0


def _may_reach_previous(situation: Situation) -> bool:
    """Whether requests may still reach the previous revision, by what was held back on it.

    Where revisions share a Service nothing is held back.
    """
    unsettled = _held_back(situation) > 0 or not _is_settled(situation)
    return unsettled and not situation.traffic.router.mixes_pods


def _compute_holdback(situation: Situation) -> int:
    """What the previous revision is to have of the traffic: it never gets more again.

    Nothing once the guard is over, or when it has no ready pod and the new stable has one. A
    pause keeps it, but for the latter. In place it keeps what the new stable can't carry yet.
    """
    previous, held = situation.previous, _held_back(situation)
    if previous is None or not situation.capacity.ready(_stable(situation).revision):
        return held
    if not situation.capacity.ready(previous.revision):
        return 0
    if situation.paused:
        return held
    wanted = _wanted_holdback(situation)
    return wanted if wanted == held else min(held, max(wanted, beyond_stable(situation)))


def _wanted_holdback(situation: Situation) -> int:
    """The same by the guard and the spec alone."""
    return 0 if _is_guarded(situation) else min(_held_back(situation), situation.terms.holdback)


def _go_back(situation: Situation) -> Situation | None:
    """What takes the new stable back in the guard."""
    stable, wanted = _stable(situation), _newly_wanted(situation)
    aborted, after = _take(situation, "abort", stable.revision)
    if aborted:
        return revert_guard(after, "Rejected", "Aborted", "aborted by a person")
    trouble = situation.seen.own_fault(stable.revision) or has_failed(situation)
    if trouble is not None:
        return revert_guard(situation, "Rejected", trouble.reason, trouble.message)
    if wanted and situation.previous and wanted.revision == situation.previous.revision:
        return revert_guard(situation, "Canceled", "WentBack", "the spec went back")
    return _lose_guarded(situation) if _has_lost_guarded(situation) else None


def _lose_guarded(situation: Situation) -> Situation:
    """Go back, for good if the new stable's pods have given way too often under traffic."""
    returns = _count_returns(situation, _stable(situation))
    if returns >= MOST_RETURNS:
        return revert_guard(situation, "Rejected", UNREADY, _too_often(returns))
    words = "none of its pods is ready, those of the previous revision are"
    return lose_guard(situation, returns, words)


def _has_lost_guarded(situation: Situation) -> bool:
    """Whether the new stable has no ready pod while the one before has; nobody's known fault."""
    previous = situation.previous
    if previous is None or not situation.health.stable_has_no_ready_pods:
        return False
    return situation.capacity.ready(previous.revision) > 0


def _end_guard(situation: Situation) -> Situation:
    serving = situation.capacity.ready(_stable(situation).revision) > 0
    over = _is_guarded(situation) and not _held_back(situation)
    return rest(situation) if over and serving and _is_settled(situation) else situation


def _is_guarded(situation: Situation) -> bool:
    """Whether the guard has lasted as long as it should."""
    return held_seconds(situation.rollout, situation.now) >= situation.terms.guard_seconds


def reverting(situation: Situation) -> Situation:
    """Weight goes back to stable as fast as its pods carry it; then the canary goes."""
    stable, canary = _stable(situation), situation.canary
    if (fix := _find_fix(situation)) is not None:
        return begin_unsettled(situation, fix)
    weight = _weight_left(situation, stable, canary) if canary else 0
    if canary and (weight != canary.weight or canary.has_extras):
        return _move_back(situation, weight)
    situation = _run_clock(situation, paused=False)
    if weight > 0:
        return give_back(situation) if _is_settled(situation) else situation
    return _end_revert(situation) if _is_settled(situation) else situation


def _move_back(situation: Situation, weight: int) -> Situation:
    """Leave the canary so much; all only in an emergency, which lasts while it has all."""
    rollout, saves = situation.rollout, _may_save(situation)
    stopped = replace(
        rollout,
        verified_at=None,
        progress_at=situation.now,
        emergency="Canary" if saves else "",
        emergency_at=situation.now if saves else None,
    )
    moved = set_weights(situation.replace(rollout=stopped), weight)
    return grow_canary(moved, rollout.peak_replicas) if saves else moved


def _may_save(situation: Situation) -> bool:
    """Whether a canary that is taken back through no fault of its own gets a dead stable's traffic.

    One that was rejected keeps what it has while nobody else has a ready pod, and gets no more.
    """
    canary = situation.canary
    if canary is None or situation.paused or situation.rollout.ending == "Rejected":
        return False
    if (
        not situation.health.stable_has_no_ready_pods
        or situation.seen.own_fault(canary.revision) is not None
    ):
        return False
    return situation.capacity.ready(canary.revision) > 0


def _find_fix(situation: Situation) -> Wanted | None:
    """Another revision that is wanted, where stable has no pod to go back to."""
    wanted, canary = _newly_wanted(situation), situation.canary
    if wanted is None or situation.paused or (canary and wanted.revision == canary.revision):
        return None
    late = must_wait(situation, wanted)
    return wanted if situation.health.stable_has_no_ready_pods and not late else None


def _weight_left(situation: Situation, stable: RevisionStatus, canary: RevisionStatus) -> int:
    """What the canary must keep for now: of what was meant, as much as had been written.

    Never more than was meant: what is live beyond that, or rules that send nobody anywhere, are
    somebody's edit, to be put right.
    """
    if _may_save(situation):
        return ALL
    carried, live = situation.capacity.carried(stable), situation.traffic.written_share(canary)
    if situation.capacity.ready(canary.revision) == 0:
        return 0 if carried else live
    return min(live, 100 - carried)


def _end_revert(situation: Situation) -> Situation:
    refused = situation.rollout.ending == "Rejected"
    return refuse(situation) if refused else rest(situation)


STATES: dict[State, Callable[[Situation], Situation]] = {
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


def _interrupt_traffic(situation: Situation) -> Situation | None:
    """The same of one that has traffic, and what becomes of that when pods are gone."""
    return _interrupt(situation) or _lose(situation) or rescue(situation)


def _interrupt(situation: Situation) -> Situation | None:
    """What takes a canary back in Scaling, Shifting and Holding alike, or hastens it."""
    return _take_back(situation) or _hasten(situation) or _leave(situation)


def _take_back(situation: Situation) -> Situation | None:
    """A person's abort, the canary's own fault, a failed verdict."""
    canary = _canary(situation)
    aborted, after = _take(situation, "abort", canary.revision)
    if aborted:
        return revert(after, "Rejected", "Aborted", "aborted by a person")
    if (fault := situation.seen.own_fault(canary.revision)) is not None:
        return revert(situation, "Rejected", fault.reason, fault.message)
    if (failed := has_failed(situation)) is not None:
        return revert(situation, "Rejected", failed.reason, failed.message)
    return None


def _leave(situation: Situation) -> Situation | None:
    """Another revision than the canary is wanted now."""
    canary, wanted = _canary(situation), situation.wanted
    if wanted is None or wanted.revision == canary.revision:
        return None
    if wanted.revision == _stable(situation).revision:
        who = "a person" if situation.status.override else "the spec"
        return revert(situation, "Canceled", "WentBack", f"{who} went back to stable")
    words = f"version {wanted.version or wanted.revision} is wanted now"
    return revert(situation, "Superseded", "Superseded", words)


def _hasten(situation: Situation) -> Situation | None:
    """A person promotes all the way: to the closing step, whatever step it is in."""
    command = situation.command("promote")
    if command is None or command.step != CLOSING_NAME or situation.steps.is_closing:
        return None
    if command.revision != _canary(situation).revision:
        return None
    return jump_to_closing(record_command(situation, command))


def _take(situation: Situation, verb: Verb, revision: str) -> tuple[bool, Situation]:
    """Whether a person asked for this of this revision (and step); if so it is handled now."""
    command = situation.command(verb)
    if command is None or command.revision != revision:
        return False, situation
    rollout = situation.rollout
    if verb == "promote" and not command.names_step(rollout.step, rollout.step_name):
        return False, situation
    return True, record_command(situation, command)


def _run_clock(situation: Situation, *, paused: bool) -> Situation:
    """Let the clock run while the split is programmed and nobody pauses."""
    if paused or not situation.traffic.verification.accepted:
        return situation.replace(rollout=stop_clock(situation.rollout, situation.now))
    return _note_settled(situation)


def _note_taken(situation: Situation) -> Situation:
    """Note from when the router works by what is written, where pods have to wait for that."""
    in_place = situation.rollout.state == "Scaling" and situation.terms.capacity == "InPlace"
    if not (in_place or began_unsettled(situation.status)):
        return situation
    if not situation.traffic.is_taken:
        return situation.with_rollout(verified_at=None)
    return _note_settled(situation)


def _note_settled(situation: Situation) -> Situation:
    settled_at = situation.now + situation.traffic.router.settle_seconds
    return situation.replace(rollout=start_clock(situation.rollout, settled_at))


def _is_settled(situation: Situation) -> bool:
    verified_at = situation.rollout.verified_at
    return verified_at is not None and situation.now >= verified_at


def _lose(situation: Situation) -> Situation | None:
    """What happens when the canary's pods go away, which is nobody's fault that is known."""
    canary = _canary(situation)
    lost = canary.is_routed and situation.capacity.ready(canary.revision) == 0
    if lost and not situation.health.stable_is_away:
        return _retreat(situation)
    emergency = situation.rollout.emergency_at is not None  # then any ready pod will do
    if not emergency and _is_short(situation) and not situation.traffic.is_written:
        return cancel_unwritten(situation)
    return None


def _retreat(situation: Situation) -> Situation:
    """Take the canary's traffic back, and try again; but not for ever, where its pods gave way."""
    returns = _count_returns(situation, _canary(situation))
    if returns < MOST_RETURNS:
        return back_off(situation, returns)
    return revert(situation, "Rejected", UNREADY, _too_often(returns))


def _count_returns(situation: Situation, part: RevisionStatus) -> int:
    return situation.rollout.returns + situation.health.has_given_way(part.revision)


def _too_often(returns: int) -> str:
    return f"none of its pods stayed ready under traffic, {returns} times in this rollout"


def _is_short(situation: Situation) -> bool:
    canary = _canary(situation)
    needed = min(canary.replicas, situation.capacity.needed(canary))
    return situation.capacity.ready(canary.revision) < needed


def _newly_wanted(situation: Situation) -> Wanted | None:
    wanted = situation.wanted
    if wanted is None or wanted.revision == _stable(situation).revision:
        return None
    return None if _rejection(situation, wanted.revision) else wanted


def _recall_rejection(situation: Situation, revision: str) -> Situation:
    rejection = next(r for r in situation.status.rejected if r.revision == revision)
    rollout = situation.rollout
    if (rollout.state, rollout.reason, rollout.message) == (
        "Rejected", rejection.reason, rejection.message,
    ):  # fmt: skip
        return situation
    return enter(situation, "Rejected", reason=rejection.reason, message=rejection.message)


def _rejection(situation: Situation, revision: str) -> bool:
    return any(rejection.revision == revision for rejection in situation.status.rejected)


def _break(situation: Situation, reason: str, message: str) -> Situation:
    return enter(situation, "Broken", reason=reason, message=sanitize_text(message))


def _not_ready(situation: Situation, revision: RevisionStatus) -> str:
    ready = situation.capacity.ready(revision.revision)
    seconds, fault = (
        situation.terms.progress_deadline_seconds,
        situation.seen.fault(revision.revision),
    )
    waited = describe_duration(seconds)
    words = f"{ready} of {revision.replicas} pods ready and no progress for {waited}"
    return words + (f"; {fault.message}" if fault else describe_unready(situation, revision))


def _stable(situation: Situation) -> RevisionStatus:
    if situation.stable is None:
        raise AssertionError("every state but the very first has a stable revision")
    return situation.stable


def _canary(situation: Situation) -> RevisionStatus:
    if situation.canary is None:
        raise AssertionError("Scaling, Shifting and Holding have a canary")
    return situation.canary
