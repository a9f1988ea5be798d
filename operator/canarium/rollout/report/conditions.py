"""The conditions, and the headline: the one reason and message that matter now.

Ready: answering with the capacity it should have. UpToDate: the spec's revision is stable.
Reconciling and Stalled: as kstatus reads them. Routed, Judged, Scaled: by whom, or why not.
Unaltered: what others added to a Deployment.
"""

from __future__ import annotations

from dataclasses import dataclass

from canarium.core.observed import WriteFailure
from canarium.core.spec import Step
from canarium.core.status import Condition, Rejection, RevisionStatus, Status, format_time
from canarium.core.text import describe_duration, describe_traffic, describe_version, sanitize_text
from canarium.resources.diff import contains
from canarium.rollout.report.phases import (
    awaits_approval,
    awaits_traffic,
    is_due,
    is_paused,
    is_up_to_date,
)
from canarium.rollout.report.scaled_condition import Truth, say_scaled
from canarium.rollout.situation.clock import held_seconds
from canarium.rollout.situation.collisions import SHARED, TAKEN, find_collision
from canarium.rollout.situation.contest import describe_contest, is_contested
from canarium.rollout.situation.jobs import RUNNING
from canarium.rollout.situation.judging import current_result, last_result, unusable_metrics
from canarium.rollout.situation.pace import MOST_BEGUN, PACE_SECONDS, WAITING, waits_until
from canarium.rollout.situation.pods.faults import IMAGES_DIFFER, Fault
from canarium.rollout.situation.pods.unready import describe_unready
from canarium.rollout.situation.undecided import describe_cause, describe_wait
from canarium.rollout.situation.view import (
    ALL,
    AT_REST,
    ROLLING,
    View,
    parts_of,
    rollout_of,
    routed_replicas,
)
from canarium.routing import ROUTERS, Verification

_UNANSWERED = frozenset({"NameConflict"}).union(*(r.unanswered for r in ROUTERS.values()))
CONTESTED = "RouteContested"
ADDED = "AddedByOthers"
_FINAL_FAILURES = ("NameConflict",)
SCALED_TO_ZERO = "ScaledToZero"
"The reason for having no pods, asked for or for want of work."


@dataclass(frozen=True, slots=True)
class Headline:
    """One CamelCase reason, and one sentence."""

    reason: str
    message: str


def make_headline(view: View, status: Status, phase: str) -> Headline:
    """What a person should read first: what is in the way, or else what is going on."""
    found = _find_headline(view, status, phase)
    return Headline(found.reason, sanitize_text(found.message))


def _find_headline(view: View, status: Status, phase: str) -> Headline:
    if phase == "Invalid":
        return Headline("InvalidSpec", "; ".join(map(str, view.observed.model.problems)))
    obstacle = find_obstacle(view, status)
    if obstacle is not None:
        return obstacle
    if (emergency := _tell_emergency(view, status)) is not None:
        return emergency
    if is_paused(view, status):
        return Headline("Paused", "waits for spec.rollout.paused to become false")
    if (late := _tell_late(view, status)) is not None:
        return late
    return _STORIES.get(rollout_of(status).state, _tell_rest)(view, status)


def find_obstacle(view: View, status: Status) -> Headline | None:
    """What the environment puts in the way: a write refused, a router's no, pods without room."""
    state, verification = rollout_of(status).state, view.verify(status)
    for failure in view.failures:
        return Headline(failure.reason, _tell_failure(failure))
    if verification.refused:
        return Headline(verification.reason, verification.message)
    if is_contested(view, status):
        return Headline(CONTESTED, describe_contest(status))
    if state not in ("Starting", *ROLLING):
        return None
    tried = status.canary or status.stable
    fault = view.fault(tried.revision) if tried else None
    if fault is not None and _is_in_the_way(status, fault):
        return Headline(fault.reason, _tell_fault(fault))
    return None


def _tell_late(view: View, status: Status) -> Headline | None:
    """That the revision that is wanted waits, since too many were begun."""
    words = _tell_wait(view, status)
    if not words or rollout_of(status).state in ("Broken", "Reverting"):
        return None
    return Headline(WAITING, words)


def _tell_wait(view: View, status: Status) -> str:
    """Until when a new revision waits, why, and what to do; nothing where none does."""
    until, wanted = waits_until(view, status), view.wanted
    if until is None or wanted is None:
        return ""
    version = f"version {wanted.version}" if wanted.version else wanted.revision
    most = f"{MOST_BEGUN} new revisions were begun within {describe_duration(PACE_SECONDS)}"
    return (
        f"{version} waits until {format_time(until)}, since {most}, which is the most: a later edit"
        " takes its place, so put edits that belong together into one; going back to a version of"
        " the history doesn't wait"
    )


def _tell_failure(failure: WriteFailure) -> str:
    """What could not be written and why; a message that names the object needs no other name."""
    name = f"{failure.kind} {failure.name}"
    return failure.message if name in failure.message else f"{name}: {failure.message}"


def _tell_fault(fault: Fault) -> str:
    waits = "; it is waited for until progressDeadline" if fault.whose == "Unclear" else ""
    return f"{fault.message}{waits}"


def _is_in_the_way(status: Status, fault: Fault) -> bool:
    return fault.whose != "Revision" and rollout_of(status).state in ("Starting", "Scaling")


def _tell_starting(view: View, status: Status) -> Headline:
    why = describe_unready(view, status.stable)
    return Headline("Starting", f"waits for the first pods to become ready{why}")


def _tell_scaling(view: View, status: Status) -> Headline:
    if awaits_traffic(view, status):
        words = f"the model is idle and the canary warm; waits for requests, or {_promote(status)}"
        return Headline("AwaitingTraffic", f"{_where(view, status)}: {words}")
    replicas = status.canary.replicas if status.canary else 0
    words = f"waits for {replicas} ready canary pods{describe_unready(view, status.canary)}"
    return Headline("Scaling", f"{_where(view, status)}: {words}")


def _tell_shifting(view: View, status: Status) -> Headline:
    where = _where(view, status) if status.canary else describe_version(status.stable)
    answer = view.verify(status)
    why = f": {answer.message}" if answer.message and not answer.accepted else ""
    return Headline("Shifting", f"{where}: waits for the router to take it{why}")


def _tell_holding(view: View, status: Status) -> Headline:
    step, where = view.step(status), _where(view, status)
    if awaits_approval(view, status):
        asked = f"{where}: {_promote(status)} to go on"
        return Headline("AwaitingApproval", asked + _tell_unjudged(view, status))
    canary = status.canary
    if canary is not None and canary.ready_replicas < _needed(view, status, canary):
        words = f"canary: {_tell_lack(view, canary, _needed(view, status, canary))}"
        return Headline("TooFewReplicas", f"{where}: {words}")
    result = current_result(view, status)
    over = held_seconds(rollout_of(status), view.now) >= step.hold_seconds
    if over and result is not None and result.reason == RUNNING:
        return Headline(RUNNING, f"{where}: {result.message}")
    if over and (wait := describe_wait(view, status)) is not None:
        return Headline(wait[0], f"{where} stays: {wait[1]}")
    if (experiment := view.experiment(status)) is not None:
        # Without figures, which would be written every few seconds: they are in the analysis.
        words = f"until one version is better by {experiment.metric}"
        most = describe_duration(experiment.max_seconds)
        return Headline("Experimenting", f"{where} {words}, at most {most}")
    return Headline("Holding", f"{where} for {describe_duration(step.hold_seconds)}")


def _tell_unjudged(view: View, status: Status) -> str:
    """What a person should know before approving: that nothing, or too little, was judged."""
    over = held_seconds(rollout_of(status), view.now) >= view.step(status).hold_seconds
    wait = describe_wait(view, status) if over else None
    return f"; it has not been judged: {wait[1]}" if wait else ""


def _tell_emergency(view: View, status: Status) -> Headline | None:
    """That stable has no ready pod while another version could serve, and who does."""
    rollout, canary, stable = rollout_of(status), status.canary, status.stable
    if rollout.emergency_at is not None and canary is not None and stable is not None:
        return Headline("EmergencyTraffic", _tell_rescued(view, status, canary, stable))
    if rollout.ending == "Rejected" or rollout.state not in (*ROLLING, "Guarding", "Reverting"):
        return None
    other = canary or status.previous
    if stable is None or other is None or stable.unavailable_since is None:
        return None
    since = format_time(stable.unavailable_since)
    said = f"{describe_version(stable)} has had no ready pod since {since}"
    return Headline("StableUnavailable", f"{said}; {_tell_rescue(view, status, other)}")


def _tell_rescued(
    view: View, status: Status, canary: RevisionStatus, stable: RevisionStatus
) -> str:
    """Who serves in an emergency, if anybody does: the canary's pods may be gone as well."""
    if not canary.ready_replicas:
        who = f"{describe_version(canary)} has the traffic as an emergency and answers nobody"
        others = f"{describe_version(stable)}: {_tell_lack(view, stable)}"
        return f"{who}: {_tell_lack(view, canary)}; {others}"
    who = f"{describe_version(canary)} serves {canary.weight} % as an emergency"
    why = f"and is not promoted: {describe_version(stable)} had no ready pod"
    return f"{who} {why}; {_tell_way_out(view, status)}"


def _tell_way_out(view: View, status: Status) -> str:
    if awaits_approval(view, status):
        last = rollout_of(status).step >= len(view.steps) - 1
        return f"{'to make it stable' if last else 'to go on'} {_promote(status)}"
    if view.stable_is_away(status):
        return f"it goes on with {_where(view, status)}, and gives the traffic back when it may"
    return "traffic goes back"


def _tell_rescue(view: View, status: Status, other: RevisionStatus) -> str:
    lasts = describe_duration(view.rollout.emergency_seconds)
    if other.weight == ALL:
        return f"{describe_version(other)} has all traffic meanwhile"
    if view.paused and status.canary is not None:
        return f"{describe_version(other)} does not take its traffic, since the rollout is paused"
    if view.stable_has_no_ready_pods(status):
        return f"{describe_version(other)} gets its traffic as soon as one of its own pods is ready"
    pods = "" if other.ready_replicas else ", once one of its own pods is ready"
    gets = f"{describe_version(other)} gets its traffic as an emergency{pods}"
    return f"if that lasts {lasts}, {gets}"


def _promote(status: Status) -> str:
    revision = status.canary.revision if status.canary else ""
    step = rollout_of(status).step
    return f"annotate with canarium.dev/promote={revision}:{step}@<unique id>"


def _refusal(view: View, status: Status) -> Rejection | None:
    """Why the wanted revision is refused, if it is."""
    wanted = view.wanted.revision if view.wanted else ""
    return next((r for r in status.rejected if r.revision == wanted), None)


def _tell_guarding(view: View, status: Status) -> Headline:
    refusal = _refusal(view, status)
    if refusal is not None and not is_up_to_date(view, status):
        return Headline(refusal.reason, refusal.message)
    stable = status.stable
    if stable is not None and stable.ready_replicas < _needed(view, status, stable):
        words = f"{describe_version(stable)}: {_tell_lack(view, stable)}"
        return Headline("TooFewReplicas", f"{words}; {_tell_previous(view, status)}")
    return Headline("Guarding", f"{_tell_shares(status)}; {_tell_previous(view, status)}")


def _tell_previous(view: View, status: Status) -> str:
    """Whether one could still go back: only to pods that are ready."""
    previous, guard = status.previous, describe_duration(view.rollout.guard_seconds)
    if previous is None or previous.ready_replicas >= previous.replicas:
        return f"the previous revision stays warm for {guard}"
    warm = "stays warm" if previous.ready_replicas else "could not take over again"
    return f"{describe_version(previous)} {warm} for {guard}: {_tell_lack(view, previous)}"


def _tell_lack(view: View, part: RevisionStatus, needed: int | None = None) -> str:
    """How many pods are ready, and what is wrong with the others, if that is known."""
    fault = view.fault(part.revision)
    ready = f"{part.ready_replicas} of {part.replicas if needed is None else needed} pods ready"
    if view.deployment(part.revision) is None and view.record(part) is None:
        return f"{ready}; its Deployment and its ModelRevision are gone: apply that version again"
    return f"{ready}; {fault.message}" if fault else ready + describe_unready(view, part)


def _tell_shares(status: Status) -> str:
    stable, previous = status.stable, status.previous
    if stable is None or previous is None or not previous.weight:
        return f"{describe_version(stable)} serves all"
    held_back = f"{describe_version(previous)} {previous.weight} % to compare with"
    return f"{describe_version(stable)} serves {stable.weight} % and {held_back}"


def _tell_reverting(view: View, status: Status) -> Headline:
    rollout, stable, canary = rollout_of(status), status.stable, status.canary
    words = f"going back: {rollout.message}"
    if stable and canary and canary.weight and stable.ready_replicas < stable.replicas:
        wait = f"waits for pods of {describe_version(stable)} that could take over"
        words = f"{words}; {wait}: {_tell_lack(view, stable)}"
    return Headline(rollout.reason or "Reverting", words)


def _tell_refusal(view: View, status: Status) -> Headline:
    rollout, wait = rollout_of(status), _tell_wait(view, status)
    return Headline(rollout.reason, f"{rollout.message}; {wait}" if wait else rollout.message)


def _tell_rest(view: View, status: Status) -> Headline:
    stable = status.stable
    if stable is not None and stable.ready_replicas < _needed(view, status, stable):
        words = f"{describe_version(stable)}: {_tell_lack(view, stable)}"
        return Headline("TooFewReplicas", words)
    return _tell_serving(view, status)


def _tell_serving(view: View, status: Status) -> Headline:
    """Stable has the pods that it should have: which, and instead of what."""
    stable = status.stable
    if status.override is not None and not is_up_to_date(view, status):
        words = "serves because a person went back to it; what the spec names waits for a change"
        return Headline("Overridden", f"{describe_version(stable)} {words} of the spec, or a retry")
    if (empty := _tell_empty(view, status)) is not None:
        return empty
    if (collision := find_collision(view, status)) is not None:
        reason, serves = (TAKEN, "is ready") if collision.whole else (SHARED, "serves")
        return Headline(reason, f"{describe_version(stable)} {serves}; {collision.message}")
    fault = view.fault(stable.revision) if stable is not None else None
    if fault is not None and fault.reason == IMAGES_DIFFER:
        return Headline(fault.reason, f"{describe_version(stable)} serves all; {fault.message}")
    return Headline("Serving", f"{describe_version(status.stable)} serves all")


def _tell_empty(view: View, status: Status) -> Headline | None:
    """Why there are no pods, where there should be none."""
    if _is_asleep(view, status):
        words = f"{describe_version(status.stable)} has no pods until it is wanted"
        return Headline(SCALED_TO_ZERO, words)
    if view.is_switched_off(status):
        return Headline(SCALED_TO_ZERO, _tell_switched_off(status.stable))
    return None


def _tell_switched_off(stable: RevisionStatus | None) -> str:
    cause = "spec.scaling.replicas is 0; set it to 1 or more to serve again"
    return f"{describe_version(stable)} answers nobody, since it has no pods: {cause}"


def _is_asleep(view: View, status: Status) -> bool:
    stable = status.stable
    return view.may_idle and stable is not None and stable.replicas == 0


_STORIES = {
    "Starting": _tell_starting,
    "Scaling": _tell_scaling,
    "Shifting": _tell_shifting,
    "Holding": _tell_holding,
    "Guarding": _tell_guarding,
    "Reverting": _tell_reverting,
    "Rejected": _tell_refusal,
    "Broken": _tell_refusal,
}


def _where(view: View, status: Status) -> str:
    step = view.step(status)
    name = f" ({step.name})" if step.name else ""
    where = f"step {rollout_of(status).step} of {len(view.steps)}{name} {describe_traffic(step)}"
    return where + _tell_kept(status, step)


def _tell_kept(status: Status, step: Step) -> str:
    """What the canary has beyond its step, since the steps were edited to less than that."""
    has, ordinary = status.canary.weight if status.canary else 0, not rollout_of(status).emergency
    shows = rollout_of(status).state in ("Shifting", "Holding") and ordinary
    return f", and keeps its {has} %" if shows and has > step.weight else ""


def make_conditions(
    view: View, status: Status, phase: str, headline: Headline
) -> tuple[Condition, ...]:
    """All conditions, in the order in which people read them.

    The time of a condition's last transition stays unless its status changes.
    """
    return (
        _ready(view, status),
        _up_to_date(view, status, headline),
        _reconciling(view, status, phase, headline),
        _stalled(view, status, phase, headline),
        _routed(view, status),
        _judged(view, status),
        *_scaled(view, status),
        *_unaltered(view, status),
    )


def _unaltered(view: View, status: Status) -> tuple[Condition, ...]:
    """What others added to the pods of what serves, or is tried; it isn't taken away.

    What they wrote over is written again, and until that is done there is nothing to tell.
    """
    told = [words for part in parts_of(status) if (words := _tell_additions(view, part))]
    if not told:
        return ()
    words = f"{'; '.join(told)}: Canarium leaves it, and blames no version for it"
    return (_condition(view, "Unaltered", "False", ADDED, words),)


def _tell_additions(view: View, part: RevisionStatus) -> str:
    deployment, record = view.deployment(part.revision), view.record(part)
    if deployment is None or record is None or not deployment.additions:
        return ""
    if not contains(deployment.template, record.template):
        return ""
    each = ", ".join(f"{found.path} (by {found.manager})" for found in deployment.additions)
    return f"Deployment {deployment.meta.name} has more than was written: {each}"


def _scaled(view: View, status: Status) -> tuple[Condition, ...]:
    said = say_scaled(view, status)
    return (_condition(view, "Scaled", *said),) if said else ()


def _before(view: View, kind: str) -> Condition | None:
    return next((c for c in view.observed.model.status.conditions if c.type == kind), None)


def _condition(view: View, kind: str, truth: Truth, reason: str, message: str = "") -> Condition:
    before = _before(view, kind)
    same = before is not None and before.status == truth
    since = before.last_transition_time if before is not None and same else None
    at = view.now if since is None else since
    generation = view.observed.model.meta.generation
    return Condition(kind, truth, reason, sanitize_text(message), generation, at)


def _ready(view: View, status: Status) -> Condition:
    parts = [part for part in parts_of(status) if part.serves]
    verification = view.verify(status)
    if not parts:
        return _condition(view, "Ready", "False", "NotRouted", "no revision gets traffic yet")
    if (unreached := _tell_unreached(view, status, verification)) is not None:
        return _condition(view, "Ready", "False", *unreached)
    for part in parts:
        ready, needed = part.ready_replicas, _needed(view, status, part)
        if ready < needed and not _is_growing(view, status, part):
            words = f"{describe_version(part)}: {_tell_lack(view, part, needed)}"
            return _condition(view, "Ready", "False", "TooFewReplicas", words)
    if view.is_switched_off(status):
        words = _tell_switched_off(status.stable)
        return _condition(view, "Ready", "False", SCALED_TO_ZERO, words)
    if all(part.replicas == 0 for part in parts):
        words = "has no pods until it is wanted: then its autoscaler gives it some"
        return _condition(view, "Ready", "True", SCALED_TO_ZERO, words)
    return _condition(view, "Ready", "True", "Serving", "answers with the capacity it should have")


def _tell_unreached(
    view: View, status: Status, verification: Verification
) -> tuple[str, str] | None:
    """Why no request arrives, as far as the router and other models say."""
    first = status.canary is None and rollout_of(status).state == "Shifting"
    if verification.reason in _UNANSWERED or (first and not verification.accepted):
        return verification.reason, verification.message
    if is_contested(view, status):
        return CONTESTED, describe_contest(status)
    collision = find_collision(view, status)
    return (TAKEN, collision.message) if collision is not None and collision.whole else None


def _is_growing(view: View, status: Status, part: RevisionStatus) -> bool:
    """Whether a rollout asks a revision that had enough ready pods for more than it has yet.

    It answers as before as long as it loses none, and nothing is wrong with the new ones.
    """
    before, was = _before(view, "Ready"), view.observed.model.status
    had = next((p.ready_replicas for p in parts_of(was) if p.revision == part.revision), 0)
    rolls = rollout_of(status).state in ROLLING and not view.is_overdue(status)
    ready = before is not None and before.status == "True"
    sound = 0 < had <= part.ready_replicas and view.fault(part.revision) is None
    return rolls and ready and sound


def _needed(view: View, status: Status, part: RevisionStatus) -> int:
    """Pods that a revision must have ready; what an autoscaler has just added may still come."""
    size = rollout_of(status).peak_replicas
    if rollout_of(status).state in (*AT_REST, "Guarding"):
        scaling = view.spec.scaling if view.spec else None
        size = scaling.min_replicas if scaling and scaling.is_automatic else part.replicas
    return min(part.replicas, routed_replicas(part, size))


def _up_to_date(view: View, status: Status, headline: Headline) -> Condition:
    if _is_promoted(view, status):
        words = f"{describe_version(status.stable)} is what the spec asks for"
        return _condition(view, "UpToDate", "True", "Promoted", words)
    return _condition(view, "UpToDate", "False", headline.reason, headline.message)


def _is_promoted(view: View, status: Status) -> bool:
    """Whether the spec's revision has passed all its steps and serves."""
    settled = rollout_of(status).state in ("Idle", "Guarding") and not is_due(view, status)
    return settled and is_up_to_date(view, status)


def _reconciling(view: View, status: Status, phase: str, headline: Headline) -> Condition:
    """Whether what the spec asks for is still to come, though nobody may be working on it now.

    A paused rollout counts as in progress (ADR 10). kstatus knows neither pauses nor UpToDate, so
    whoever waits by it would otherwise take a version for rolled out that has half of the traffic.
    """
    waits = phase == "Paused" and not _is_promoted(view, status)
    moves = phase in ("Pending", "Progressing") or waits
    if moves and headline.reason not in _FINAL_FAILURES:
        return _condition(view, "Reconciling", "True", headline.reason, headline.message)
    return _condition(view, "Reconciling", "False", headline.reason, headline.message)


def _stalled(view: View, status: Status, phase: str, headline: Headline) -> Condition:
    refused = phase == "Guarding" and _refusal(view, status) is not None
    final = refused or headline.reason in _FINAL_FAILURES
    if phase in ("RolledBack", "Failed", "Invalid") or final:
        return _condition(view, "Stalled", "True", headline.reason, headline.message)
    return _condition(view, "Stalled", "False", "NotStalled", "nothing has failed for good")


def _routed(view: View, status: Status) -> Condition:
    verification: Verification = view.verify(status)
    if verification.accepted:
        choice = view.router_choice(status)
        words = f"{choice.name}: {choice.why}"
        told = f"{words}; {verification.message}" if verification.message else words
        if (collision := find_collision(view, status)) is not None:
            reason = TAKEN if collision.whole else SHARED
            return _condition(view, "Routed", "True", reason, f"{told}; {collision.message}")
        return _condition(view, "Routed", "True", "Accepted", told)
    truth: Truth = "False" if verification.refused or view.split(status) is None else "Unknown"
    return _condition(view, "Routed", truth, verification.reason, verification.message)


def _judged(view: View, status: Status) -> Condition:
    if view.rollout.analysis is None:
        words = "no analysis is asked for: judged on the pods' health alone"
        unfit = next((each for each in view.rollout.unfit if each.startswith("analysis ")), None)
        words += f"; the cluster's default doesn't fit: {unfit}" if unfit else ""
        return _condition(view, "Judged", "False", "NoAnalysis", words)
    unusable = unusable_metrics(view, status)
    if unusable:
        words = "; ".join(f"{each.metric}: {each.message}" for each in unusable)
        return _condition(view, "Judged", "False", unusable[0].reason, words)
    result = last_result(view, status)
    if result is None:
        return _kept_judgement(view)
    if result.verdict == "NoData":
        problems = "; ".join(result.problems) or describe_cause(view, status, result)
        return _condition(view, "Judged", "False", "NoData", problems)
    before = _before(view, "Judged")
    saved = rollout_of(status).tests == result.state
    if not saved and before is not None and before.reason == result.verdict:
        return _kept_judgement(view)
    return _condition(view, "Judged", "True", result.verdict, result.message)


def _kept_judgement(view: View) -> Condition:
    """While nothing is judged, what was said last stands."""
    before = _before(view, "Judged")
    if before is not None and before.reason not in ("NoAnalysis", ""):
        return _condition(view, "Judged", before.status, before.reason, before.message)
    return _condition(view, "Judged", "Unknown", "NothingToJudge", "no canary gets traffic")
