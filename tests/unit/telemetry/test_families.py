"""The series of a model, at rest, in a rollout, in its guard, and after it was taken back."""

from typing import Any

from canarium.core.observed import Meta, ModelObject, RevisionRecord, WriteFailure
from canarium.core.spec import RolloutSpec, Step
from canarium.core.status import Condition, RevisionStatus, Rollout, Status
from canarium.telemetry.families import FAMILIES, ModelSnapshot, Sample

NOW = 1_700_000_000.0
V6, V7 = "5d8f7c9b64", "7b9d6f5c88"
FRAUD = ("risk", "fraud")
SIX, SEVEN = (*FRAUD, V6, "6"), (*FRAUD, V7, "7")
ROW = {
    "metric": "error-rate",
    "check": "vsStable",
    "verdict": "Inconclusive",
    "canaryBad": 2,
    "canaryTotal": 40,
    "stableBad": 1,
    "stableTotal": 160,
    "eValue": "1.5",
    "failsAt": "20",
}
GAUGE = {"metric": "drift", "check": "max", "verdict": "Pass", "value": "0.25"}


def view(status: Status, *revisions: RevisionRecord, rows: Any = ()) -> ModelSnapshot:
    return ModelSnapshot(
        ModelObject(Meta(*FRAUD, "uid", "1"), None, status=status), revisions, rows
    )


def part(revision: str, version: str, **fields: Any) -> RevisionStatus:
    given = {"replicas": 4, "ready_replicas": 4, "weight": 100, **fields}
    return RevisionStatus(revision, version, **given)


def record(revision: str, version: str, **fields: Any) -> RevisionRecord:
    meta = Meta("risk", f"fraud-{revision}", "uid", "1", created_at=NOW - 600)
    terms = RolloutSpec(steps=(Step("five", 5, 60.0), Step("half", 50, 120.0)), guard_seconds=900.0)
    return RevisionRecord(
        meta, revision, "", "", "", version, rollout=terms, started_at=NOW - 600, **fields
    )


def ready(status: str = "True") -> tuple[Condition, ...]:
    return (Condition("Ready", status, "x"),)  # type: ignore[arg-type]


def find(*views: ModelSnapshot) -> dict[str, list[Sample]]:
    """Every sample that there is, by the family's name behind canarium_."""
    found = {f.name.removeprefix("canarium_"): list(f.find(views, NOW)) for f in FAMILIES}
    return {name: samples for name, samples in found.items() if samples}


AT_REST = Status(
    phase="Healthy",
    reason="Serving",
    conditions=ready(),
    rollout=Rollout("Idle"),
    stable=part(V6, "6"),
)
HOLDING = Status(
    phase="Progressing",
    reason="Holding",
    conditions=ready(),
    rollout=Rollout("Holding", step=2, step_started_at=NOW - 30),
    stable=part(V6, "6", weight=95),
    canary=part(V7, "7", weight=5, replicas=1, ready_replicas=0, mirror=20, analysis=(ROW,)),
)
GUARDING = Status(
    phase="Guarding",
    reason="Guarding",
    conditions=ready("False"),
    rollout=Rollout("Guarding", step=3, step_started_at=NOW - 30),
    stable=part(V7, "7"),
    previous=part(V6, "6", weight=0),
)


def test_a_model_at_rest_has_eight_series_and_its_last_deployment() -> None:
    served = record(V6, "6", outcome="Stable", stable_at=NOW - 300)

    found = find(view(AT_REST, served))

    phases = dict(found.pop("models"))
    assert (sum(phases.values()), phases["Healthy",], len(phases)) == (1, 1, 8)
    assert found == {
        "model_phase": [((*FRAUD, "Healthy", "Serving"), 1)],
        "model_ready": [(FRAUD, 1.0)],
        "revision_weight_ratio": [((*SIX, "stable"), 1.0)],
        "revision_replicas": [((*SIX, "stable"), 4)],
        "revision_ready_replicas": [((*SIX, "stable"), 4)],
        "deployment_timestamp_seconds": [((*SIX, "Stable", ""), NOW - 300)],
        "deployment_lead_time_seconds": [((*SIX, "revision"), 300.0)],
    }


def test_a_rollout_tells_both_revisions_its_step_and_what_its_checks_have_found() -> None:
    found = find(view(HOLDING, record(V6, "6"), record(V7, "7")))

    check = ("error-rate", "vsStable")
    del found["models"], found["model_phase"]
    assert found == {
        "model_ready": [(FRAUD, 1.0)],
        "revision_weight_ratio": [((*SIX, "stable"), 0.95), ((*SEVEN, "canary"), 0.05)],
        "revision_mirror_ratio": [((*SEVEN, "canary"), 0.2)],
        "revision_replicas": [((*SIX, "stable"), 4), ((*SEVEN, "canary"), 1)],
        "revision_ready_replicas": [((*SIX, "stable"), 4), ((*SEVEN, "canary"), 0)],
        "rollout_started_timestamp_seconds": [(SEVEN, NOW - 600)],
        "rollout_step": [(SEVEN, 2)],
        "rollout_step_started_timestamp_seconds": [(SEVEN, NOW - 30)],
        "rollout_step_hold_seconds": [(SEVEN, 120.0)],
        "analysis_verdict": [((*SEVEN, *check, "Inconclusive"), 1)],
        "analysis_answers": [((*SEVEN, "canary", *check), 40), ((*SIX, "stable", *check), 160)],
        "analysis_bad_answers": [((*SEVEN, "canary", *check), 2), ((*SIX, "stable", *check), 1)],
        "analysis_evidence": [((*SEVEN, *check), 1.5)],
        "analysis_evidence_limit": [((*SEVEN, *check), 20)],
    }


def test_what_is_measured_now_comes_before_what_status_says() -> None:
    found = find(view(HOLDING, record(V7, "7"), rows=(GAUGE,)))

    assert found["analysis_verdict"] == [((*SEVEN, "drift", "max", "Pass"), 1)]
    assert found["analysis_value"] == [((*SEVEN, "canary", "drift", "max"), 0.25)]


def test_in_the_guard_the_new_stable_is_judged_and_compared_with_the_one_before() -> None:
    found = find(view(GUARDING, record(V6, "6"), record(V7, "7"), rows=(ROW,)))

    check = ("error-rate", "vsStable")
    expected = {
        "model_ready": [(FRAUD, 0.0)],
        "revision_weight_ratio": [((*SEVEN, "stable"), 1.0), ((*SIX, "previous"), 0.0)],
        "rollout_step_hold_seconds": [(SEVEN, 900.0)],
        "analysis_answers": [((*SEVEN, "canary", *check), 40), ((*SIX, "stable", *check), 160)],
    }
    assert {name: found.get(name) for name in expected} == expected


def test_what_was_taken_back_is_a_failed_deployment_with_its_reason() -> None:
    refused = record(V7, "7", outcome="RolledBack", reason="ErrorRateTooHigh", ended_at=NOW - 500.0)

    found = find(view(AT_REST, refused))

    assert found["deployment_timestamp_seconds"] == [
        ((*SEVEN, "RolledBack", "ErrorRateTooHigh"), NOW - 500)
    ]
    assert found["deployment_restore_seconds"] == [(SEVEN, 100.0)]
    assert "deployment_lead_time_seconds" not in found


def test_writes_that_are_refused_are_told_by_kind_and_reason_each_once() -> None:
    quota = [WriteFailure("Deployment", name, "QuotaExceeded", "no") for name in ("a", "b")]
    foreign = WriteFailure("Service", "a", "NameConflict", "no")
    model = ModelObject(Meta(*FRAUD, "uid", "1"), None, status=AT_REST)

    found = find(ModelSnapshot(model, refused=(*quota, foreign)))

    assert found["model_write_refused"] == [
        ((*FRAUD, "Deployment", "QuotaExceeded"), 1),
        ((*FRAUD, "Service", "NameConflict"), 1),
    ]


def test_an_object_that_nobody_has_looked_at_yet_is_pending() -> None:
    found = find(view(Status()))

    assert dict(found["models"])["Pending",] == 1
    assert found["model_phase"] == [((*FRAUD, "Pending", ""), 1)]
    assert found["model_ready"] == [(FRAUD, 0.0)]


def test_without_any_model_every_phase_is_told_as_empty_and_nothing_else() -> None:
    found = find()

    assert list(found) == ["models"]
    assert {value for _, value in found["models"]} == {0}


def test_every_sample_has_a_value_for_each_label() -> None:
    models = (view(HOLDING, record(V7, "7")), view(GUARDING, record(V7, "7"), rows=(GAUGE, ROW)))

    for family in FAMILIES:
        lengths = {len(labels) for labels, _ in family.find(models, NOW)}
        assert lengths <= {len(family.labels)}, family.name
