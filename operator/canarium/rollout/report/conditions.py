"""The conditions, and the headline: the one reason and message that matter now.

Ready: answering with the capacity it should have. UpToDate: the spec's revision is stable.
Reconciling and Stalled: as kstatus reads them. Routed, Judged, Scaled: by whom, or why not.
Unaltered: what others added to a Deployment.
"""

from __future__ import annotations

from dataclasses import dataclass

from canarium.core.observed import WriteFailure
from canarium.core.spec import Step
from canarium.core.status import Condition, Rejection, RevisionStatus, format_time
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
from canarium.rollout.situation.capacity import routed_replicas
from canarium.rollout.situation.clock import held_seconds
from canarium.rollout.situation.collisions import SHARED, TAKEN, find_collision
from canarium.rollout.situation.contest import describe_contest, is_contested
from canarium.rollout.situation.jobs import RUNNING
from canarium.rollout.situation.judging import current_result, last_result, unusable_metrics
from canarium.rollout.situation.pace import MOST_BEGUN, PACE_SECONDS, WAITING, waits_until
from canarium.rollout.situation.pods.faults import IMAGES_DIFFER, Fault
from canarium.rollout.situation.pods.unready import describe_unready
from canarium.rollout.situation.situation import Situation
from canarium.rollout.situation.stages import ALL, AT_REST, ROLLING, parts_of
from canarium.rollout.situation.undecided import describe_cause, describe_wait
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


def make_headline(situation: Situation, phase: str) -> Headline:
    """What a person should read first: what is in the way, or else what is going on."""
    found = _find_headline(situation, phase)
    return Headline(found.reason, sanitize_text(found.message))


def _find_headline(situation: Situation, phase: str) -> Headline:
    if phase == "Invalid":
        return Headline("InvalidSpec", "; ".join(map(str, situation.observed.model.problems)))
    obstacle = find_obstacle(situation)
    if obstacle is not None:
        return obstacle
    if (emergency := _tell_emergency(situation)) is not None:
        return emergency
    if is_paused(situation):
        return Headline("Paused", "waits for spec.rollout.paused to become false")
    if (late := _tell_late(situation)) is not None:
        return late
    return _STORIES.get(situation.rollout.state, _tell_rest)(situation)


def find_obstacle(situation: Situation) -> Headline | None:
    """What the environment puts in the way: a write refused, a router's no, pods without room."""
    state, verification = situation.rollout.state, situation.traffic.verification
    for failure in situation.seen.failures:
        return Headline(failure.reason, _tell_failure(failure))
    if verification.refused:
        return Headline(verification.reason, verification.message)
    if is_contested(situation):
        return Headline(CONTESTED, describe_contest(situation))
    if state not in ("Starting", *ROLLING):
        return None
    tried = situation.canary or situation.stable
    fault = situation.seen.fault(tried.revision) if tried else None
    if fault is not None and _is_in_the_way(situation, fault):
        return Headline(fault.reason, _tell_fault(fault))
    return None


def _tell_late(situation: Situation) -> Headline | None:
    """That the revision that is wanted waits, since too many were begun."""
    words = _tell_wait(situation)
    if not words or situation.rollout.state in ("Broken", "Reverting"):
        return None
    return Headline(WAITING, words)


def _tell_wait(situation: Situation) -> str:
    """Until when a new revision waits, why, and what to do; nothing where none does."""
    until, wanted = waits_until(situation), situation.wanted
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


def _is_in_the_way(situation: Situation, fault: Fault) -> bool:
    return fault.whose != "Revision" and situation.rollout.state in ("Starting", "Scaling")


def _tell_starting(situation: Situation) -> Headline:
    why = describe_unready(situation, situation.stable)
    return Headline("Starting", f"waits for the first pods to become ready{why}")


def _tell_scaling(situation: Situation) -> Headline:
    if awaits_traffic(situation):
        words = (
            f"the model is idle and the canary warm; waits for requests, or {_promote(situation)}"
        )
        return Headline("AwaitingTraffic", f"{_where(situation)}: {words}")
    replicas = situation.canary.replicas if situation.canary else 0
    words = f"waits for {replicas} ready canary pods{describe_unready(situation, situation.canary)}"
    return Headline("Scaling", f"{_where(situation)}: {words}")


def _tell_shifting(situation: Situation) -> Headline:
    where = _where(situation) if situation.canary else describe_version(situation.stable)
    answer = situation.traffic.verification
    why = f": {answer.message}" if answer.message and not answer.accepted else ""
    return Headline("Shifting", f"{where}: waits for the router to take it{why}")


def _tell_holding(situation: Situation) -> Headline:
    step, where = situation.steps.current, _where(situation)
    if awaits_approval(situation):
        asked = f"{where}: {_promote(situation)} to go on"
        return Headline("AwaitingApproval", asked + _tell_unjudged(situation))
    canary = situation.canary
    if canary is not None and canary.ready_replicas < _needed(situation, canary):
        words = f"canary: {_tell_lack(situation, canary, _needed(situation, canary))}"
        return Headline("TooFewReplicas", f"{where}: {words}")
    result = current_result(situation)
    over = held_seconds(situation.rollout, situation.now) >= step.hold_seconds
    if over and result is not None and result.reason == RUNNING:
        return Headline(RUNNING, f"{where}: {result.message}")
    if over and (wait := describe_wait(situation)) is not None:
        return Headline(wait[0], f"{where} stays: {wait[1]}")
    if (experiment := situation.steps.experiment) is not None:
        # Without figures, which would be written every few seconds: they are in the analysis.
        words = f"until one version is better by {experiment.metric}"
        most = describe_duration(experiment.max_seconds)
        return Headline("Experimenting", f"{where} {words}, at most {most}")
    return Headline("Holding", f"{where} for {describe_duration(step.hold_seconds)}")


def _tell_unjudged(situation: Situation) -> str:
    """What a person should know before approving: that nothing, or too little, was judged."""
    over = held_seconds(situation.rollout, situation.now) >= situation.steps.current.hold_seconds
    wait = describe_wait(situation) if over else None
    return f"; it has not been judged: {wait[1]}" if wait else ""


def _tell_emergency(situation: Situation) -> Headline | None:
    """That stable has no ready pod while another version could serve, and who does."""
    rollout, canary, stable = situation.rollout, situation.canary, situation.stable
    if rollout.emergency_at is not None and canary is not None and stable is not None:
        return Headline("EmergencyTraffic", _tell_rescued(situation, canary, stable))
    if rollout.ending == "Rejected" or rollout.state not in (*ROLLING, "Guarding", "Reverting"):
        return None
    other = canary or situation.previous
    if stable is None or other is None or stable.unavailable_since is None:
        return None
    since = format_time(stable.unavailable_since)
    said = f"{describe_version(stable)} has had no ready pod since {since}"
    return Headline("StableUnavailable", f"{said}; {_tell_rescue(situation, other)}")


def _tell_rescued(situation: Situation, canary: RevisionStatus, stable: RevisionStatus) -> str:
    """Who serves in an emergency, if anybody does: the canary's pods may be gone as well."""
    if not canary.ready_replicas:
        who = f"{describe_version(canary)} has the traffic as an emergency and answers nobody"
        others = f"{describe_version(stable)}: {_tell_lack(situation, stable)}"
        return f"{who}: {_tell_lack(situation, canary)}; {others}"
    who = f"{describe_version(canary)} serves {canary.weight} % as an emergency"
    why = f"and is not promoted: {describe_version(stable)} had no ready pod"
    return f"{who} {why}; {_tell_way_out(situation)}"


def _tell_way_out(situation: Situation) -> str:
    if awaits_approval(situation):
        last = situation.rollout.step >= len(situation.steps.all) - 1
        return f"{'to make it stable' if last else 'to go on'} {_promote(situation)}"
    if situation.health.stable_is_away:
        return f"it goes on with {_where(situation)}, and gives the traffic back when it may"
    return "traffic goes back"


def _tell_rescue(situation: Situation, other: RevisionStatus) -> str:
    lasts = describe_duration(situation.terms.emergency_seconds)
    if other.weight == ALL:
        return f"{describe_version(other)} has all traffic meanwhile"
    if situation.paused and situation.canary is not None:
        return f"{describe_version(other)} does not take its traffic, since the rollout is paused"
    if situation.health.stable_has_no_ready_pods:
        return f"{describe_version(other)} gets its traffic as soon as one of its own pods is ready"
    pods = "" if other.ready_replicas else ", once one of its own pods is ready"
    gets = f"{describe_version(other)} gets its traffic as an emergency{pods}"
    return f"if that lasts {lasts}, {gets}"


def _promote(situation: Situation) -> str:
    revision = situation.canary.revision if situation.canary else ""
    step = situation.rollout.step
    return f"annotate with canarium.dev/promote={revision}:{step}@<unique id>"


def _refusal(situation: Situation) -> Rejection | None:
    """Why the wanted revision is refused, if it is."""
    wanted = situation.wanted.revision if situation.wanted else ""
    return next((r for r in situation.status.rejected if r.revision == wanted), None)


def _tell_guarding(situation: Situation) -> Headline:
    refusal = _refusal(situation)
    if refusal is not None and not is_up_to_date(situation):
        return Headline(refusal.reason, refusal.message)
    stable = situation.stable
    if stable is not None and stable.ready_replicas < _needed(situation, stable):
        words = f"{describe_version(stable)}: {_tell_lack(situation, stable)}"
        return Headline("TooFewReplicas", f"{words}; {_tell_previous(situation)}")
    return Headline("Guarding", f"{_tell_shares(situation)}; {_tell_previous(situation)}")


def _tell_previous(situation: Situation) -> str:
    """Whether one could still go back: only to pods that are ready."""
    previous, guard = situation.previous, describe_duration(situation.terms.guard_seconds)
    if previous is None or previous.ready_replicas >= previous.replicas:
        return f"the previous revision stays warm for {guard}"
    warm = "stays warm" if previous.ready_replicas else "could not take over again"
    return f"{describe_version(previous)} {warm} for {guard}: {_tell_lack(situation, previous)}"


def _tell_lack(situation: Situation, part: RevisionStatus, needed: int | None = None) -> str:
    """How many pods are ready, and what is wrong with the others, if that is known."""
    fault = situation.seen.fault(part.revision)
    ready = f"{part.ready_replicas} of {part.replicas if needed is None else needed} pods ready"
    if situation.seen.deployment(part.revision) is None and situation.seen.record(part) is None:
        return f"{ready}; its Deployment and its ModelRevision are gone: apply that version again"
    return f"{ready}; {fault.message}" if fault else ready + describe_unready(situation, part)


def _tell_shares(situation: Situation) -> str:
    stable, previous = situation.stable, situation.previous
    if stable is None or previous is None or not previous.weight:
        return f"{describe_version(stable)} serves all"
    held_back = f"{describe_version(previous)} {previous.weight} % to compare with"
    return f"{describe_version(stable)} serves {stable.weight} % and {held_back}"


def _tell_reverting(situation: Situation) -> Headline:
    rollout, stable, canary = situation.rollout, situation.stable, situation.canary
    words = f"going back: {rollout.message}"
    if stable and canary and canary.weight and stable.ready_replicas < stable.replicas:
        wait = f"waits for pods of {describe_version(stable)} that could take over"
        words = f"{words}; {wait}: {_tell_lack(situation, stable)}"
    return Headline(rollout.reason or "Reverting", words)


def _tell_refusal(situation: Situation) -> Headline:
    rollout, wait = situation.rollout, _tell_wait(situation)
    return Headline(rollout.reason, f"{rollout.message}; {wait}" if wait else rollout.message)


def _tell_rest(situation: Situation) -> Headline:
    stable = situation.stable
    if stable is not None and stable.ready_replicas < _needed(situation, stable):
        words = f"{describe_version(stable)}: {_tell_lack(situation, stable)}"
        return Headline("TooFewReplicas", words)
    return _tell_serving(situation)


def _tell_serving(situation: Situation) -> Headline:
    """Stable has the pods that it should have: which, and instead of what."""
    stable = situation.stable
    if situation.status.override is not None and not is_up_to_date(situation):
        words = "serves because a person went back to it; what the spec names waits for a change"
        return Headline("Overridden", f"{describe_version(stable)} {words} of the spec, or a retry")
    if (empty := _tell_empty(situation)) is not None:
        return empty
    if (collision := find_collision(situation)) is not None:
        reason, serves = (TAKEN, "is ready") if collision.whole else (SHARED, "serves")
        return Headline(reason, f"{describe_version(stable)} {serves}; {collision.message}")
    fault = situation.seen.fault(stable.revision) if stable is not None else None
    if fault is not None and fault.reason == IMAGES_DIFFER:
        return Headline(fault.reason, f"{describe_version(stable)} serves all; {fault.message}")
    return Headline("Serving", f"{describe_version(situation.stable)} serves all")


def _tell_empty(situation: Situation) -> Headline | None:
    """Why there are no pods, where there should be none."""
    if _is_asleep(situation):
        words = f"{describe_version(situation.stable)} has no pods until it is wanted"
        return Headline(SCALED_TO_ZERO, words)
    if situation.health.is_switched_off:
        return Headline(SCALED_TO_ZERO, _tell_switched_off(situation.stable))
    return None


def _tell_switched_off(stable: RevisionStatus | None) -> str:
    cause = "spec.scaling.replicas is 0; set it to 1 or more to serve again"
    return f"{describe_version(stable)} answers nobody, since it has no pods: {cause}"


def _is_asleep(situation: Situation) -> bool:
    stable = situation.stable
    return situation.seen.may_idle and stable is not None and stable.replicas == 0


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


def _where(situation: Situation) -> str:
    step = situation.steps.current
    name = f" ({step.name})" if step.name else ""
    number = f"step {situation.rollout.step} of {len(situation.steps.all)}"
    return f"{number}{name} {describe_traffic(step)}{_tell_kept(situation, step)}"


def _tell_kept(situation: Situation, step: Step) -> str:
    """What the canary has beyond its step, since the steps were edited to less than that."""
    has, ordinary = (
        situation.canary.weight if situation.canary else 0,
        not situation.rollout.emergency,
    )
    shows = situation.rollout.state in ("Shifting", "Holding") and ordinary
    return f", and keeps its {has} %" if shows and has > step.weight else ""


def make_conditions(situation: Situation, phase: str, headline: Headline) -> tuple[Condition, ...]:
    """All conditions, in the order in which people read them.

    The time of a condition's last transition stays unless its status changes.
    """
    return (
        _ready(situation),
        _up_to_date(situation, headline),
        _reconciling(situation, phase, headline),
        _stalled(situation, phase, headline),
        _routed(situation),
        _judged(situation),
        *_scaled(situation),
        *_unaltered(situation),
    )


def _unaltered(situation: Situation) -> tuple[Condition, ...]:
    """What others added to the pods of what serves, or is tried; it isn't taken away.

    What they wrote over is written again, and until that is done there is nothing to tell.
    """
    told = [words for part in situation.parts if (words := _tell_additions(situation, part))]
    if not told:
        return ()
    words = f"{'; '.join(told)}: Canarium leaves it, and blames no version for it"
    return (_condition(situation, "Unaltered", "False", ADDED, words),)


def _tell_additions(situation: Situation, part: RevisionStatus) -> str:
    deployment, record = situation.seen.deployment(part.revision), situation.seen.record(part)
    if deployment is None or record is None or not deployment.additions:
        return ""
    if not contains(deployment.template, record.template):
        return ""
    each = ", ".join(f"{found.path} (by {found.manager})" for found in deployment.additions)
    return f"Deployment {deployment.meta.name} has more than was written: {each}"


def _scaled(situation: Situation) -> tuple[Condition, ...]:
    said = say_scaled(situation)
    return (_condition(situation, "Scaled", *said),) if said else ()


def _before(situation: Situation, kind: str) -> Condition | None:
    return next((c for c in situation.observed.model.status.conditions if c.type == kind), None)


def _condition(
    situation: Situation, kind: str, truth: Truth, reason: str, message: str = ""
) -> Condition:
    before = _before(situation, kind)
    same = before is not None and before.status == truth
    since = before.last_transition_time if before is not None and same else None
    at = situation.now if since is None else since
    generation = situation.observed.model.meta.generation
    return Condition(kind, truth, reason, sanitize_text(message), generation, at)


def _ready(situation: Situation) -> Condition:
    parts = [part for part in situation.parts if part.serves]
    verification = situation.traffic.verification
    if not parts:
        return _condition(situation, "Ready", "False", "NotRouted", "no revision gets traffic yet")
    if (unreached := _tell_unreached(situation, verification)) is not None:
        return _condition(situation, "Ready", "False", *unreached)
    for part in parts:
        ready, needed = part.ready_replicas, _needed(situation, part)
        if ready < needed and not _is_growing(situation, part):
            words = f"{describe_version(part)}: {_tell_lack(situation, part, needed)}"
            return _condition(situation, "Ready", "False", "TooFewReplicas", words)
    if situation.health.is_switched_off:
        words = _tell_switched_off(situation.stable)
        return _condition(situation, "Ready", "False", SCALED_TO_ZERO, words)
    if all(part.replicas == 0 for part in parts):
        words = "has no pods until it is wanted: then its autoscaler gives it some"
        return _condition(situation, "Ready", "True", SCALED_TO_ZERO, words)
    return _condition(
        situation, "Ready", "True", "Serving", "answers with the capacity it should have"
    )


def _tell_unreached(situation: Situation, verification: Verification) -> tuple[str, str] | None:
    """Why no request arrives, as far as the router and other models say."""
    first = situation.canary is None and situation.rollout.state == "Shifting"
    if verification.reason in _UNANSWERED or (first and not verification.accepted):
        return verification.reason, verification.message
    if is_contested(situation):
        return CONTESTED, describe_contest(situation)
    collision = find_collision(situation)
    return (TAKEN, collision.message) if collision is not None and collision.whole else None


def _is_growing(situation: Situation, part: RevisionStatus) -> bool:
    """Whether a rollout asks a revision that had enough ready pods for more than it has yet.

    It answers as before as long as it loses none, and nothing is wrong with the new ones.
    """
    before, was = _before(situation, "Ready"), situation.observed.model.status
    had = next((p.ready_replicas for p in parts_of(was) if p.revision == part.revision), 0)
    rolls = situation.rollout.state in ROLLING and not situation.health.is_overdue
    ready = before is not None and before.status == "True"
    sound = 0 < had <= part.ready_replicas and situation.seen.fault(part.revision) is None
    return rolls and ready and sound


def _needed(situation: Situation, part: RevisionStatus) -> int:
    """Pods that a revision must have ready; what an autoscaler has just added may still come."""
    size = situation.rollout.peak_replicas
    if situation.rollout.state in (*AT_REST, "Guarding"):
        scaling = situation.spec.scaling if situation.spec else None
        size = scaling.min_replicas if scaling and scaling.is_automatic else part.replicas
    return min(part.replicas, routed_replicas(part, size))


def _up_to_date(situation: Situation, headline: Headline) -> Condition:
    if _is_promoted(situation):
        words = f"{describe_version(situation.stable)} is what the spec asks for"
        return _condition(situation, "UpToDate", "True", "Promoted", words)
    return _condition(situation, "UpToDate", "False", headline.reason, headline.message)


def _is_promoted(situation: Situation) -> bool:
    """Whether the spec's revision has passed all its steps and serves."""
    settled = situation.rollout.state in ("Idle", "Guarding") and not is_due(situation)
    return settled and is_up_to_date(situation)


def _reconciling(situation: Situation, phase: str, headline: Headline) -> Condition:
    """Whether what the spec asks for is still to come, though nobody may be working on it now.

    A paused rollout counts as in progress (ADR 10). kstatus knows neither pauses nor UpToDate, so
    whoever waits by it would otherwise take a version for rolled out that has half of the traffic.
    """
    waits = phase == "Paused" and not _is_promoted(situation)
    moves = phase in ("Pending", "Progressing") or waits
    if moves and headline.reason not in _FINAL_FAILURES:
        return _condition(situation, "Reconciling", "True", headline.reason, headline.message)
    return _condition(situation, "Reconciling", "False", headline.reason, headline.message)


def _stalled(situation: Situation, phase: str, headline: Headline) -> Condition:
    refused = phase == "Guarding" and _refusal(situation) is not None
    final = refused or headline.reason in _FINAL_FAILURES
    if phase in ("RolledBack", "Failed", "Invalid") or final:
        return _condition(situation, "Stalled", "True", headline.reason, headline.message)
    return _condition(situation, "Stalled", "False", "NotStalled", "nothing has failed for good")


def _routed(situation: Situation) -> Condition:
    verification: Verification = situation.traffic.verification
    if verification.accepted:
        choice = situation.traffic.choice
        words = f"{choice.name}: {choice.why}"
        told = f"{words}; {verification.message}" if verification.message else words
        if (collision := find_collision(situation)) is not None:
            reason = TAKEN if collision.whole else SHARED
            return _condition(situation, "Routed", "True", reason, f"{told}; {collision.message}")
        return _condition(situation, "Routed", "True", "Accepted", told)
    truth: Truth = "False" if verification.refused or situation.traffic.split is None else "Unknown"
    return _condition(situation, "Routed", truth, verification.reason, verification.message)


def _judged(situation: Situation) -> Condition:
    if situation.terms.analysis is None:
        words = "no analysis is asked for: judged on the pods' health alone"
        unfit = next((each for each in situation.terms.unfit if each.startswith("analysis ")), None)
        words += f"; the cluster's default doesn't fit: {unfit}" if unfit else ""
        return _condition(situation, "Judged", "False", "NoAnalysis", words)
    unusable = unusable_metrics(situation)
    if unusable:
        words = "; ".join(f"{each.metric}: {each.message}" for each in unusable)
        return _condition(situation, "Judged", "False", unusable[0].reason, words)
    result = last_result(situation)
    if result is None:
        return _kept_judgement(situation)
    if result.verdict == "NoData":
        problems = "; ".join(result.problems) or describe_cause(situation, result)
        return _condition(situation, "Judged", "False", "NoData", problems)
    before = _before(situation, "Judged")
    saved = situation.rollout.tests == result.state
    if not saved and before is not None and before.reason == result.verdict:
        return _kept_judgement(situation)
    return _condition(situation, "Judged", "True", result.verdict, result.message)


def _kept_judgement(situation: Situation) -> Condition:
    """While nothing is judged, what was said last stands."""
    before = _before(situation, "Judged")
    if before is not None and before.reason not in ("NoAnalysis", ""):
        return _condition(situation, "Judged", before.status, before.reason, before.message)
    return _condition(situation, "Judged", "Unknown", "NothingToJudge", "no canary gets traffic")
