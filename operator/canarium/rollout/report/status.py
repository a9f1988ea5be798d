"""What people and tools read in status: phase, conditions, one reason, one message, the figures.

Everything here is computed anew from decisions and observations; nothing is decided here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from canarium.core.names import MODEL_LABEL, REVISION_LABEL
from canarium.core.observed import AnalysisResult, ModelObject
from canarium.core.status import Condition, RevisionStatus, Rollout, Status, dump
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
from canarium.rollout.situation.undecided import told_at
from canarium.rollout.situation.view import View, rollout_of

BUG = "InternalError"
"The reason where the operator itself failed."


def report(view: View, decided: Status) -> Status:
    """Add to a decided status what is seen."""
    counted = _count(view, _save_analysis(view, decided))
    phase = compute_phase(view, counted)
    headline = make_headline(view, counted, phase)
    return replace(
        counted,
        observed_generation=view.observed.model.meta.generation,
        phase=phase,
        reason=headline.reason,
        message=headline.message,
        conditions=make_conditions(view, counted, phase, headline),
        router=view.router_name(counted),
        url=_make_url(view, counted),
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


def _count(view: View, status: Status) -> Status:
    split = view.split(status)
    flowing = split is not None and rollout_of(status).state != "Shifting"
    shares = view.router(status).shares(split, view.observed) if split and flowing else None
    stable = status.stable
    deployment = view.deployment(stable.revision) if stable else None

    def count(part: RevisionStatus | None) -> RevisionStatus | None:
        if part is None:
            return None
        share = shares.get(part.revision) if shares and len(shares) > 1 else None
        ready = view.ready(part.revision, status)
        if (part.ready_replicas, part.share) == (ready, share):
            return part
        return replace(part, ready_replicas=ready, share=share)

    return replace(
        status,
        stable=count(stable),
        canary=count(status.canary),
        previous=count(status.previous),
        replicas=deployment.current_replicas if deployment else 0,
        selector=_make_selector(view.model, stable),
    )


def _make_selector(model: str, stable: RevisionStatus | None) -> str:
    if stable is None:
        return ""
    return f"{MODEL_LABEL}={model},{REVISION_LABEL}={stable.revision}"


def _save_analysis(view: View, status: Status) -> Status:
    """Save the running tests at transitions, at a new verdict, and every so often."""
    judged, result = _on_trial(status), last_result(view, status)
    if judged is None or result is None:
        return status
    if not _is_worth_saving(view, status, judged, result):
        return status
    before = rollout_of(status)
    same = before if before.tests_key == result.key else replace(before, tests="")
    rollout = replace(
        same,
        tests=result.state or same.tests,
        tests_key=result.key,
        tests_saved_at=view.now,
    )
    shown = replace(judged, analysis=_make_rows(before, judged, result))
    if status.canary is judged:
        return replace(status, canary=shown, rollout=rollout)
    return replace(status, stable=shown, rollout=rollout)


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


def _is_worth_saving(
    view: View, status: Status, judged: RevisionStatus, result: AnalysisResult
) -> bool:
    rollout = rollout_of(status)
    if _of_jobs(judged.analysis) != _of_jobs(result.rows):
        return True
    if not result.state or rollout.tests == result.state:
        return False
    if rollout.state != _state_before(view) or rollout.tests_key != result.key:
        return True
    if _verdicts(judged.analysis) != _verdicts(result.rows):
        return True
    saved_at, told = rollout.tests_saved_at, told_at(view, status)
    if saved_at is not None and told is not None and saved_at < told:
        return True
    return saved_at is None or view.now - saved_at >= SAVE_SECONDS


def _state_before(view: View) -> str:
    return rollout_of(view.observed.model.status).state


def _verdicts(rows: tuple[Mapping[str, Any], ...]) -> list[Any]:
    return [row.get("verdict") for row in rows]


def _on_trial(status: Status) -> RevisionStatus | None:
    return judged_revision(status) or status.canary


def _make_url(view: View, status: Status) -> str:
    meta, traffic = view.observed.model.meta, view.traffic(status)
    outside = view.router(status).make_url(traffic) if traffic else ""
    return outside or f"http://{meta.name}.{meta.namespace}.svc"
