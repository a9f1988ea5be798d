"""What is shown of every ModelDeployment to Prometheus: families of samples, out of its status.

Only what exists has series: they are made anew at each look, so a deleted model leaves none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

from canarium.core.observed import ModelObject, RevisionRecord, WriteFailure
from canarium.core.status import Phase, RevisionStatus, Rollout
from canarium.telemetry.dora import Deployment, find_deployment

Labels: TypeAlias = tuple[str, ...]
Sample: TypeAlias = tuple[Labels, float]
Role = Literal["stable", "canary", "previous"]

MODEL = ("namespace", "model")
REVISION = (*MODEL, "revision", "version")
PART = (*REVISION, "role")
CHECK = (*REVISION, "metric", "check")
ANSWERS = (*PART, "metric", "check")


@dataclass(frozen=True, slots=True)
class ModelSnapshot:
    """What is known of one model: itself, its ModelRevisions, and what is being measured.

    `rows` are those of the running analysis where there is one; status has them a little later.
    `refused` are the writes that the cluster refused when they were last tried.
    """

    model: ModelObject
    revisions: tuple[RevisionRecord, ...] = ()
    rows: tuple[Mapping[str, Any], ...] = ()
    refused: tuple[WriteFailure, ...] = ()

    @property
    def labels(self) -> Labels:
        """Its namespace and name."""
        return self.model.meta.namespace, self.model.meta.name

    def name(self, part: RevisionStatus) -> Labels:
        """The labels of a revision of it."""
        return (*self.labels, part.revision, part.version)


@dataclass(frozen=True, slots=True)
class Family:
    """One metric: its name, what it tells, its labels, and where its samples come from.

    `find` gets all models and the time (Unix, seconds).
    """

    name: str
    text: str
    labels: Labels
    find: Callable[[Sequence[ModelSnapshot], float], Iterable[Sample]]


def of_each(find: Callable[[ModelSnapshot], Iterable[Sample]]) -> Any:
    """Samples of all models, out of what finds those of one."""

    def find_all(views: Sequence[ModelSnapshot], _now: float) -> Iterator[Sample]:
        for view in views:
            yield from find(view)

    return find_all


def count_phases(views: Sequence[ModelSnapshot], _now: float) -> Iterator[Sample]:
    """How many models are in each phase; one that has none yet is Pending."""
    counted = Counter(view.model.status.phase or "Pending" for view in views)
    for phase in get_args(Phase):
        yield (phase,), counted[phase]


def tell_phase(view: ModelSnapshot) -> Iterator[Sample]:
    """The phase that a model is in, with the reason that status gives."""
    status = view.model.status
    yield (*view.labels, status.phase or "Pending", status.reason), 1


def tell_ready(view: ModelSnapshot) -> Iterator[Sample]:
    """Whether the condition Ready is True."""
    conditions = view.model.status.conditions
    found = next((each for each in conditions if each.type == "Ready"), None)
    yield view.labels, float(found is not None and found.status == "True")


def tell_refused(view: ModelSnapshot) -> Iterator[Sample]:
    """The kinds of children whose writes are refused now, each reason once."""
    for kind, reason in dict.fromkeys((each.kind, each.reason) for each in view.refused):
        yield (*view.labels, kind, reason), 1


def list_parts(view: ModelSnapshot) -> Iterator[tuple[Role, RevisionStatus]]:
    """The revisions that have a place in status."""
    status = view.model.status
    roles: tuple[tuple[Role, RevisionStatus | None], ...] = (
        ("stable", status.stable),
        ("canary", status.canary),
        ("previous", status.previous),
    )
    return ((role, part) for role, part in roles if part is not None)


def of_parts(read: Callable[[RevisionStatus], float | None]) -> Any:
    """A figure of each revision that has a place in status."""

    def find(view: ModelSnapshot) -> Iterator[Sample]:
        for role, part in list_parts(view):
            value = read(part)
            if value is not None:
                yield (*view.name(part), role), value

    return of_each(find)


def find_trial(view: ModelSnapshot) -> RevisionStatus | None:
    """The revision that is being rolled out: the canary, or the new stable one in its guard."""
    status = view.model.status
    guarded = status.rollout is not None and status.rollout.state == "Guarding"
    return status.canary or (status.stable if guarded else None)


def of_trial(read: Callable[[ModelSnapshot, Rollout, RevisionStatus], float | None]) -> Any:
    """A figure of each rollout under way; one that is taken back is under way until it is back."""

    def find(view: ModelSnapshot) -> Iterator[Sample]:
        rollout, part = view.model.status.rollout, find_trial(view)
        if rollout is None or part is None:
            return
        value = read(view, rollout, part)
        if value is not None:
            yield view.name(part), value

    return of_each(find)


def read_beginning(view: ModelSnapshot, _rollout: Rollout, part: RevisionStatus) -> float | None:
    """When the rollout of a revision began."""
    return next((r.started_at for r in view.revisions if r.revision == part.revision), None)


def read_hold(view: ModelSnapshot, rollout: Rollout, part: RevisionStatus) -> float | None:
    """How long the present step is to last, or the guard."""
    record = next((r for r in view.revisions if r.revision == part.revision), None)
    if record is None or record.rollout is None:
        return None
    if rollout.state == "Guarding":
        return record.rollout.guard_seconds
    steps = record.rollout.all_steps
    return steps[min(max(rollout.step, 1), len(steps)) - 1].hold_seconds


def list_sides(view: ModelSnapshot) -> tuple[tuple[str, RevisionStatus], ...]:
    """Whom the running analysis judges, as canary, and whom it is compared with, as stable.

    In the guard these are the new stable revision and the one before it.
    """
    status, trial = view.model.status, find_trial(view)
    if trial is None:
        return ()
    other = status.stable if status.canary is not None else status.previous
    sides = (("canary", trial), ("stable", other))
    return tuple((role, part) for role, part in sides if part is not None)


def list_checks(view: ModelSnapshot) -> Iterator[tuple[Labels, Mapping[str, Any]]]:
    """Each check of the running analysis: its metric and kind, and its row."""
    for _, part in list_sides(view)[:1]:
        for row in view.rows or part.analysis:
            yield (str(row.get("metric", "")), str(row.get("check", ""))), row


def tell_verdicts(view: ModelSnapshot) -> Iterator[Sample]:
    """What each check says."""
    for role, part in list_sides(view):
        if role == "canary":
            for check, row in list_checks(view):
                yield (*view.name(part), *check, str(row.get("verdict", ""))), 1


def of_checks(field: str) -> Any:
    """A figure of each check's row, where it has it; it is told of whom is judged."""

    def find(view: ModelSnapshot) -> Iterator[Sample]:
        for role, part in list_sides(view):
            for check, row in list_checks(view) if role == "canary" else ():
                if (value := row.get(field)) is not None:
                    yield (*view.name(part), *check), float(value)

    return of_each(find)


def of_sides(canary: str, stable: str) -> Any:
    """A figure of both sides of each check, by the names of its fields in a row."""

    def find(view: ModelSnapshot) -> Iterator[Sample]:
        for role, part in list_sides(view):
            field = canary if role == "canary" else stable
            for check, row in list_checks(view):
                if (value := row.get(field)) is not None:
                    yield (*view.name(part), role, *check), float(value)

    return of_each(find)


def of_deployments(read: Callable[[Deployment], tuple[Labels, float] | None]) -> Any:
    """A figure of each deployment of the last thirty days."""

    def find(views: Sequence[ModelSnapshot], now: float) -> Iterator[Sample]:
        for view in views:
            for record in view.revisions:
                found = find_deployment(record, now)
                sample = read(found) if found is not None else None
                if sample is not None:
                    yield (*view.labels, record.revision, record.version, *sample[0]), sample[1]

    return find


def _tell_lead(found: Deployment) -> Sample | None:
    return None if found.lead_seconds is None else ((found.since,), found.lead_seconds)


def _tell_restore(found: Deployment) -> Sample | None:
    return None if found.restore_seconds is None else ((), found.restore_seconds)


FAMILIES: tuple[Family, ...] = (
    Family("canarium_models", "ModelDeployments in a phase.", ("phase",), count_phases),
    Family(
        "canarium_model_phase",
        "1 for the phase that a model is in, with the reason that its status gives.",
        (*MODEL, "phase", "reason"),
        of_each(tell_phase),
    ),
    Family(
        "canarium_model_ready",
        "1 where the condition Ready is True: it answers with the capacity that it should have.",
        MODEL,
        of_each(tell_ready),
    ),
    Family(
        "canarium_model_write_refused",
        "1 while the cluster refuses a write of a child of a model, by kind and reason.",
        (*MODEL, "kind", "reason"),
        of_each(tell_refused),
    ),
    Family(
        "canarium_revision_weight_ratio",
        "Share of the traffic that a revision is to have, 0 to 1.",
        PART,
        of_parts(lambda part: part.weight / 100),
    ),
    Family(
        "canarium_revision_mirror_ratio",
        "Share of the requests that a revision gets copies of, 0 to 1; no series without a mirror.",
        PART,
        of_parts(lambda part: part.mirror / 100 if part.mirror else None),
    ),
    Family(
        "canarium_revision_replicas",
        "Pods that a revision should have.",
        PART,
        of_parts(lambda part: part.replicas),
    ),
    Family(
        "canarium_revision_ready_replicas",
        "Pods of a revision that answer.",
        PART,
        of_parts(lambda part: part.ready_replicas),
    ),
    Family(
        "canarium_rollout_started_timestamp_seconds",
        "When the rollout under way began, guard included (Unix time).",
        REVISION,
        of_trial(read_beginning),
    ),
    Family(
        "canarium_rollout_step",
        "Number of the step that a rollout is in, from 1; the closing one to 100 % comes last.",
        REVISION,
        of_trial(lambda _view, rollout, _part: rollout.step),
    ),
    Family(
        "canarium_rollout_step_started_timestamp_seconds",
        "When the present step of a rollout, or its guard, began (Unix time).",
        REVISION,
        of_trial(lambda _view, rollout, _part: rollout.step_started_at),
    ),
    Family(
        "canarium_rollout_step_hold_seconds",
        "How long the present step, or the guard, is to last once its traffic is verified.",
        REVISION,
        of_trial(read_hold),
    ),
    Family(
        "canarium_analysis_verdict",
        "1 for what a check of the running analysis says: Pass, Fail, Inconclusive or NoData.",
        (*CHECK, "verdict"),
        of_each(tell_verdicts),
    ),
    Family(
        "canarium_analysis_answers",
        "Answers that a check has counted in this step; readings, where the metric is a gauge.",
        ANSWERS,
        of_sides("canaryTotal", "stableTotal"),
    ),
    Family(
        "canarium_analysis_bad_answers",
        "Those that failed, were too slow, or were beyond the bound.",
        ANSWERS,
        of_sides("canaryBad", "stableBad"),
    ),
    Family(
        "canarium_analysis_value",
        "Last reading of a gauge, in the metric's own unit.",
        ANSWERS,
        of_sides("value", "stableValue"),
    ),
    Family(
        "canarium_analysis_evidence",
        "Evidence (e-value) against the canary; it fails when this reaches the limit.",
        CHECK,
        of_checks("eValue"),
    ),
    Family(
        "canarium_analysis_evidence_limit",
        "The evidence at which the canary fails.",
        CHECK,
        of_checks("failsAt"),
    ),
    Family(
        "canarium_deployment_timestamp_seconds",
        "When a rollout of the last 30 days ended (Unix time): Stable, or RolledBack and why.",
        (*REVISION, "outcome", "reason"),
        of_deployments(lambda found: ((found.outcome, found.reason), found.at)),
    ),
    Family(
        "canarium_deployment_lead_time_seconds",
        "From the change (the commit, or the revision's first sight) to the revision being stable.",
        (*REVISION, "since"),
        of_deployments(_tell_lead),
    ),
    Family(
        "canarium_deployment_restore_seconds",
        "From the beginning of a rollout that was rolled back until it was undone.",
        REVISION,
        of_deployments(_tell_restore),
    ),
)
"All of them, in the order in which they are shown."
