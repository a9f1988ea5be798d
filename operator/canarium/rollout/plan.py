"""What to do now: from everything that was observed, at a moment, to a plan.

A pass either moves the intent (weights, sizes, states: a status write and nothing else) or brings
the cluster to the intent that is stored. So a restart between any two writes finds what was meant.
Nothing else of this folder is imported from outside (a layer contract): `plan` is asked what to do,
`report_bug` what to say where asking failed, and `canary_fails` whether to ask at once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from canarium.core.made import record_made
from canarium.core.names import child_name
from canarium.core.observed import DeploymentRecord, Observed, PodRecord
from canarium.core.plan import Plan, Ref
from canarium.core.status import RevisionStatus, Rollout, Status, dump
from canarium.rollout.decide.emergency import follow_stable
from canarium.rollout.decide.in_place import taken_from
from canarium.rollout.decide.intent import decide
from canarium.rollout.report.events import make_events, tell_services
from canarium.rollout.report.status import report, report_bug
from canarium.rollout.situation.clock import ends_at, resumes_at, returns_at
from canarium.rollout.situation.contest import list_moments, record_routes
from canarium.rollout.situation.judging import make_measure
from canarium.rollout.situation.pace import record_begun, waits_until
from canarium.rollout.situation.pods.faults import find_fault
from canarium.rollout.situation.pods.unready import find_inspected, inspected_at
from canarium.rollout.situation.revision import record_trusted
from canarium.rollout.situation.situation import Situation, look_again, make_situation
from canarium.rollout.situation.stages import ROLLING
from canarium.rollout.situation.undecided import rewords_at
from canarium.rollout.writes.children import (
    Writes,
    drained_at,
    left_until,
    list_route_writes,
    make_writes,
    turned_at,
)

__all__ = ["canary_fails", "plan", "report_bug"]


def plan(observed: Observed, now: float) -> Plan:
    """Compute what to do for one object at `now` (seconds since the epoch).

    Deterministic; applied, and planned again, it is empty. Nothing is planned for an object that
    is being deleted: garbage collection takes its children.
    """
    if observed.model.meta.deleting:
        return Plan()
    stored = make_situation(observed, now)
    before = stored.status
    decided = decide(stored)
    decided = record_begun(decided.with_status(record_trusted(observed, decided.status)))
    decided = look_again(decided.with_status(record_made(decided.seen.made, decided.status)))
    moved = _intent(decided.status) != _intent(_as_kept(before, decided.status))
    decided = record_routes(decided, writes=not moved and bool(list_route_writes(decided)))
    after = report(decided)
    writes = Writes(confirm=_before_decision(stored)) if moved else make_writes(after)
    return Plan(
        status=dump(after.status) if after.status != before else None,
        writes=writes.writes,
        confirm=writes.confirm,
        events=(
            *make_events(after.with_status(before), after),
            *tell_services(after, writes.writes),
        ),
        measure=make_measure(after),
        inspect=find_inspected(after),
        wake_at=now if moved else _wake_at(after),
        urgent=after.rollout.state == "Reverting",
    )


def canary_fails(
    status: Status, deployments: Sequence[DeploymentRecord], pods: Sequence[PodRecord]
) -> bool:
    """Whether the canary's pods show a fault of its own: such an object is planned for first."""
    if status.canary is None:
        return False
    revision = status.canary.revision
    deployment = next((each for each in deployments if each.revision == revision), None)
    fault = find_fault(revision, pods, deployment)
    return fault is not None and fault.whose == "Revision"


def _as_kept(before: Status, decided: Status) -> Status:
    """What was stored, where an operator stored it that kept no account of traffic in force.

    To note that is no intent of its own: nothing waits for it, nor for CRDs that don't have it yet.
    """
    if before.traffic is not None:
        return before
    return replace(before, traffic=decided.traffic, router=decided.router)


def _intent(status: Status) -> tuple[object, ...]:
    """The part of status that writes are made from: without what is only seen or saved."""
    return (
        *map(_intend, (status.stable, status.canary, status.previous)),
        status.traffic,
        status.router,
        status.rejected,
        status.override,
        status.last_handled_commands,
        _decisions(status.rollout),
    )


def _intend(part: RevisionStatus | None) -> tuple[object, ...] | None:
    if part is None:
        return None
    traffic = (part.weight, part.mirror, part.headers, part.sticky)
    return (part.revision, part.digest, part.replicas, traffic, part.restarted_at)


def _decisions(rollout: Rollout | None) -> tuple[object, ...] | None:
    if rollout is None:
        return None
    return (
        rollout.state,
        rollout.step,
        rollout.step_name,
        rollout.step_started_at,
        rollout.verified_at,
        rollout.held_seconds,
        rollout.peak_replicas,
        rollout.emergency,
        rollout.emergency_at,
        rollout.earned_weight,
        rollout.ending,
        rollout.reason,
        rollout.message,
    )


def _before_decision(stored: Situation) -> tuple[Ref, ...]:
    """What is read live before anything is decided while stable counts as dead."""
    followed = follow_stable(stored)
    if not followed.health.stable_has_no_ready_pods:
        return ()
    return tuple(Ref("Deployment", child_name(stored.model, p.revision)) for p in followed.parts)


def _wake_at(situation: Situation) -> float | None:
    """The next moment at which time alone changes something."""
    moments = [moment for moment in _moments(situation) if moment is not None]
    return min((moment for moment in moments if situation.now < moment < math.inf), default=None)


def _moments(situation: Situation) -> list[float | None]:
    rollout, terms, stable = situation.rollout, situation.terms, situation.stable
    state = rollout.state
    holds = {
        "Holding": situation.steps.current.hold_seconds,
        "Guarding": terms.guard_seconds,
        "Reverting": 0.0,
        "Shifting": 0.0,
    }
    moments = [ends_at(rollout, holds[state]), rollout.verified_at] if state in holds else []
    if state == "Holding" and (experiment := situation.steps.experiment):
        moments.append(ends_at(rollout, experiment.max_seconds))
    if rollout.progress_at is not None and state in ("Starting", *ROLLING):
        moments.append(rollout.progress_at + terms.progress_deadline_seconds)
        tried = situation.canary or stable
        since = situation.seen.oldest_stuck_at(tried.revision) if tried else None
        moments.append(None if since is None else since + terms.progress_deadline_seconds)
    moments += [left_until(situation), turned_at(situation), rewords_at(situation)]
    moments += [resumes_at(rollout), returns_at(rollout)]
    moments += list_moments(situation)
    if stable is not None and stable.unavailable_since is not None:
        moments.append(stable.unavailable_since + terms.emergency_seconds)
    if terms.capacity == "InPlace":
        moments.append(taken_from(situation))
    moments += [drained_at(situation), inspected_at(situation), waits_until(situation)]
    return moments
