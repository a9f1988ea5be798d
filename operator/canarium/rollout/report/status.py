"""What people and tools read in status: phase, conditions, one reason, one message, the figures.

Everything here is computed anew from decisions and observations; nothing is decided here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from canarium.core.names import MODEL_LABEL, REVISION_LABEL
from canarium.core.observed import AnalysisResult, ModelObject
from canarium.core.status import Condition, RevisionStatus, Rollout, dump
from canarium.core.text import sanitize_text
from canarium.rollout.report.conditions import make_conditions, make_headline
from canarium.rollout.report.phases import compute_phase
from canarium.rollout.report.scaled_condition import Truth
from canarium.rollout.situation.jobs import CHECK as JOB
from canarium.rollout.situation.judging import (
    SAVE_SECONDS,
    judged_revision,
    last_result,
)
from canarium.rollout.situation.situation import Situation
from canarium.rollout.situation.stages import rollout_of
from canarium.rollout.situation.undecided import told_at

BUG = "InternalError"
"The reason where the operator itself failed."


def report(situation: Situation) -> Situation:
    """Add to a decided status what is seen."""
    counted = _count(_save_analysis(situation))
    phase = compute_phase(counted)
    headline = make_headline(counted, phase)
    return counted.replace(
        observed_generation=situation.observed.model.meta.generation,
        phase=phase,
        reason=headline.reason,
        message=headline.message,
        conditions=make_conditions(counted, phase, headline),
        router=counted.traffic.choice.name,
        url=_make_url(counted),
    )


def report_bug(model: ModelObject, name: str, now: float) -> Mapping[str, Any] | None:
    """The status of an object whose pass came to nothing by a fault of the operator's own.

    What was decided stays, and so does what is said of what serves: nothing was changed. `name` is
    the fault's. None when status says it already.
    """
    before = model.status
    message = sanitize_text(
        f"the operator failed on this object ({name}); what serves goes on, nothing is changed, and"
        " it is tried again: its log has the details, please report them"
    )
    said = {
        "Reconciling": _say(model, "Reconciling", "False", message, now),
        "Stalled": _say(model, "Stalled", "True", message, now),
    }
    if before.observed_generation != model.meta.generation:
        said["UpToDate"] = _say(model, "UpToDate", "False", message, now)
    kept = tuple(said.pop(each.type, each) for each in before.conditions)
    after = replace(
        before,
        observed_generation=model.meta.generation,
        reason=BUG,
        message=message,
        conditions=(*kept, *said.values()),
    )
    return dump(after) if after != before else None


def _say(model: ModelObject, kind: str, truth: Truth, message: str, now: float) -> Condition:
    before = next((each for each in model.status.conditions if each.type == kind), None)
    same = before is not None and before.status == truth
    at = before.last_transition_time if before is not None and same else now
    return Condition(kind, truth, BUG, message, model.meta.generation, at)


def _count(situation: Situation) -> Situation:
    split = situation.traffic.split
    flowing = split is not None and situation.rollout.state != "Shifting"
    shares = (
        situation.traffic.router.shares(split, situation.observed) if split and flowing else None
    )
    stable = situation.stable
    deployment = situation.seen.deployment(stable.revision) if stable else None

    def count(part: RevisionStatus | None) -> RevisionStatus | None:
        if part is None:
            return None
        share = shares.get(part.revision) if shares and len(shares) > 1 else None
        ready = situation.capacity.ready(part.revision)
        if (part.ready_replicas, part.share) == (ready, share):
            return part
        return replace(part, ready_replicas=ready, share=share)

    return situation.replace(
        stable=count(stable),
        canary=count(situation.canary),
        previous=count(situation.previous),
        replicas=deployment.current_replicas if deployment else 0,
        selector=_make_selector(situation.model, stable),
    )


def _make_selector(model: str, stable: RevisionStatus | None) -> str:
    if stable is None:
        return ""
    return f"{MODEL_LABEL}={model},{REVISION_LABEL}={stable.revision}"


def _save_analysis(situation: Situation) -> Situation:
    """Save the running tests at transitions, at a new verdict, and every so often."""
    judged, result = _on_trial(situation), last_result(situation)
    if judged is None or result is None:
        return situation
    if not _is_worth_saving(situation, judged, result):
        return situation
    before = situation.rollout
    same = before if before.tests_key == result.key else replace(before, tests="")
    rollout = replace(
        same,
        tests=result.state or same.tests,
        tests_key=result.key,
        tests_saved_at=situation.now,
    )
    shown = replace(judged, analysis=_make_rows(before, judged, result))
    if situation.canary is judged:
        return situation.replace(canary=shown, rollout=rollout)
    return situation.replace(stable=shown, rollout=rollout)


def _make_rows(
    before: Rollout, judged: RevisionStatus, result: AnalysisResult
) -> tuple[Mapping[str, Any], ...]:
    """What is shown; what the judge said last stays where only a Job has news."""
    if result.state or before.tests_key != result.key:
        return result.rows
    told = tuple(row for row in judged.analysis if row.get("check") != JOB)
    return (*told, *_of_jobs(result.rows))


def _of_jobs(rows: tuple[Mapping[str, Any], ...]) -> list[Mapping[str, Any]]:
    return [row for row in rows if row.get("check") == JOB]


def _is_worth_saving(situation: Situation, judged: RevisionStatus, result: AnalysisResult) -> bool:
    rollout = situation.rollout
    if _of_jobs(judged.analysis) != _of_jobs(result.rows):
        return True
    if not result.state or rollout.tests == result.state:
        return False
    if rollout.state != _state_before(situation) or rollout.tests_key != result.key:
        return True
    if _verdicts(judged.analysis) != _verdicts(result.rows):
        return True
    saved_at, told = rollout.tests_saved_at, told_at(situation)
    if saved_at is not None and told is not None and saved_at < told:
        return True
    return saved_at is None or situation.now - saved_at >= SAVE_SECONDS


def _state_before(situation: Situation) -> str:
    return rollout_of(situation.observed.model.status).state


def _verdicts(rows: tuple[Mapping[str, Any], ...]) -> list[Any]:
    return [row.get("verdict") for row in rows]


def _on_trial(situation: Situation) -> RevisionStatus | None:
    return judged_revision(situation) or situation.canary


def _make_url(situation: Situation) -> str:
    meta, traffic = situation.observed.model.meta, situation.traffic.in_force
    outside = situation.traffic.router.make_url(traffic) if traffic else ""
    return outside or f"http://{meta.name}.{meta.namespace}.svc"
