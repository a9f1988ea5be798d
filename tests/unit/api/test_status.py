import dataclasses
import re
import typing
from pathlib import Path
from typing import Any

import canarium
import pytest
from canarium import judge
from canarium.api.modeldeployment.containers import PROFILES as WRITTEN
from canarium.api.modeldeployment.status import (
    AnalysisRow,
    AnsweredPath,
    Condition,
    DeploymentStatus,
    Override,
    Parent,
    Rejection,
    RevisionStatus,
    RolloutStatus,
    RoutesStatus,
    TrafficInForce,
    TrustedRevision,
)
from canarium.api.modelrevision import RevisionStatus as RevisionOutcome
from canarium.api.rules import Model
from canarium.core import status as core
from canarium.core.spec import HeaderMatch, ParentRef, PathMatch, Sticky, Traffic
from canarium.metrics.sessions.results import dump_row
from canarium.queries.profiles import PROFILES

PAIRS = [
    (DeploymentStatus, core.Status),
    (Condition, core.Condition),
    (RevisionStatus, core.RevisionStatus),
    (RolloutStatus, core.Rollout),
    (Rejection, core.Rejection),
    (Override, core.Override),
    (TrustedRevision, core.TrustedRevision),
    (RoutesStatus, core.RoutesStatus),
    (TrafficInForce, Traffic),
    (Parent, ParentRef),
    (AnsweredPath, PathMatch),
]

REVISION = core.RevisionStatus(
    revision="7b9d6f5c88",
    version="7",
    image="registry.example/fraud:7",
    digest="ab" * 32,
    replicas=4,
    ready_replicas=3,
    weight=5,
    share=7,
    mirror=20,
    headers=(HeaderMatch("x-canary", "1"),),
    sticky=Sticky("canarium-variant", 3600),
    restarted_at=1_700_000_000.5,
    unavailable_since=1_700_000_000.0,
    analysis=(
        {
            "metric": "error-rate",
            "check": "max",
            "verdict": "Pass",
            "reason": "WithinBounds",
            "message": "1 of 200 failed",
            "canaryBad": 1,
            "canaryTotal": 200,
            "stableBad": 0,
            "stableTotal": 3800,
            "bound": "5%",
            "threshold": "250ms",
            "testedRatio": "1.25",
            "intervalLow": "0.1%",
            "intervalHigh": "2%",
            "eValue": "0.3",
            "failsAt": "300",
        },
    ),
)
PARENT = ParentRef("public", "gateways", "https", 443, "ListenerSet")
TRAFFIC = Traffic(
    router="GatewayAPI",
    protocol="GRPC",
    parent_refs=(PARENT,),
    hostnames=("fraud.example.com",),
    paths=(PathMatch("Exact", "/v2"),),
    request_timeout="30s",
)
FULL = core.Status(
    observed_generation=4,
    phase="Progressing",
    reason="Holding",
    message="step five holds",
    conditions=(
        core.Condition(
            type="Ready",
            status="True",
            reason="Serving",
            message="4 of 4 answer",
            observed_generation=4,
            last_transition_time=1_700_000_000.25,
        ),
    ),
    url="http://fraud.example.com",
    router="GatewayAPI",
    traffic=TRAFFIC,
    routes=core.RoutesStatus("0123456789", 4, 1_700_000_000.5, ("kubectl-patch",)),
    rollout=core.Rollout(
        state="Holding",
        step=2,
        step_name="five",
        step_started_at=1_700_000_000.0,
        verified_at=1_700_000_001.0,
        held_seconds=41,
        retreats=1,
        returns=2,
        returned="7b9d6f5c88",
        most_ready=3,
        peak_replicas=4,
        progress_at=1_700_000_001.0,
        emergency="Canary",
        emergency_at=1_700_000_000.5,
        emergencies=2,
        earned_weight=5,
        ending="Rejected",
        reason="ErrorRateTooHigh",
        message="9 of 30 failed",
        tests_key="7b9d6f5c88/step-2",
        tests='{"e":1.5}',
        taken_names=("fraud-smoke-0123456789",),
        tests_saved_at=1_700_000_002.0,
    ),
    stable=REVISION,
    canary=REVISION,
    previous=REVISION,
    rejected=(
        core.Rejection(
            revision="5d8f7c9b64",
            version="6",
            reason="ErrorRateTooHigh",
            message="9 of 30 failed",
            at=1_700_000_000.0,
        ),
    ),
    trusted_revisions=(core.TrustedRevision("5d8f7c9b64", "ab" * 32),),
    made={"Deployment/fraud-5d8f7c9b64": "0f6c8b2e-1b1f-4c1e-9a55-2f9f3c0f7a10"},
    begun_at=(1_700_000_000.0, 1_700_000_005.5),
    override=core.Override("5d8f7c9b64", "7b9d6f5c88", 1_700_000_000.0),
    last_handled_commands={"promote": "7b9d6f5c88:five@1"},
    ignored_commands={"promote": "nothing is being rolled out"},
    replicas=4,
    selector="canarium.dev/model=fraud,canarium.dev/revision=5d8f7c9b64",
)


MAKERS_OF_CONDITIONS = ("rollout/report/conditions.py", "templates/status.py")
FULL_OF: dict[Any, Any] = {
    core.Status: FULL,
    core.Condition: FULL.conditions[0],
    core.RevisionStatus: REVISION,
    core.Rollout: FULL.rollout,
    core.Rejection: FULL.rejected[0],
    core.Override: FULL.override,
    core.TrustedRevision: FULL.trusted_revisions[0],
    core.RoutesStatus: FULL.routes,
    Traffic: TRAFFIC,
    ParentRef: PARENT,
    PathMatch: TRAFFIC.paths[0],
}


@pytest.mark.parametrize(("shown", "decided"), PAIRS, ids=lambda kind: kind.__name__)
def test_the_schema_has_the_fields_that_the_core_writes(shown: type[Model], decided: Any) -> None:
    full = FULL_OF[decided]
    empty = [field.name for field in dataclasses.fields(full) if not getattr(full, field.name)]
    assert empty == [], "the example leaves these out"
    assert set(core.dump(full)) == {info.alias for info in shown.model_fields.values()}


def test_a_full_status_is_right_by_the_schema_and_reads_back() -> None:
    dumped = core.dump(FULL)
    DeploymentStatus.model_validate(dumped)
    assert core.parse(core.Status, dumped) == FULL


def test_a_condition_always_says_why_and_since_when() -> None:
    schema = Condition.model_json_schema(by_alias=True)
    said = core.dump(core.Condition("Ready", "True", "Serving", last_transition_time=0.0))

    assert schema["required"] == ["type", "status", "reason", "message", "lastTransitionTime"]
    assert said["message"] == ""
    Condition.model_validate(said)


def test_a_condition_that_an_earlier_version_wrote_without_a_message_can_be_read() -> None:
    stored = {"type": "Stalled", "status": "False", "reason": "NotStalled"}
    assert core.parse(core.Condition, stored) == core.Condition("Stalled", "False", "NotStalled")


def test_the_schema_names_every_type_of_condition() -> None:
    """Of what is made anywhere: each is in the words that people read with the field."""
    root = Path(canarium.__file__).parent
    code = "\n".join((root / name).read_text() for name in MAKERS_OF_CONDITIONS)
    made = set(re.findall(r'_condition\((?:situation|record), "(\w+)"', code))
    described = Condition.model_json_schema(by_alias=True)["properties"]["type"]["description"]

    assert {"Ready", "UpToDate", "Stalled", "Scaled", "Working"} <= made
    assert {kind for kind in made if kind not in described} == set()


def test_an_empty_status_is_right_by_the_schema() -> None:
    DeploymentStatus.model_validate(core.dump(core.Status(rollout=core.Rollout())))


@pytest.mark.parametrize(
    ("shown", "decided"),
    [(DeploymentStatus, core.Phase), (RolloutStatus, core.State), (RolloutStatus, core.Ending)],
    ids=["phase", "state", "ending"],
)
def test_the_schema_knows_the_words_that_the_core_uses(
    shown: type[Model], decided: Any, request: pytest.FixtureRequest
) -> None:
    info = shown.model_fields[request.node.callspec.id]
    words = {
        word
        for part in (info.annotation, *typing.get_args(info.annotation))
        for word in typing.get_args(part)
        if isinstance(word, str)
    }
    assert words == set(typing.get_args(decided)) - {""}


def test_the_rows_that_are_measured_are_right_by_the_schema() -> None:
    metrics = (
        judge.Metric("error-rate", "ErrorRate", max=0.05, max_increase=0.01),
        judge.Metric("latency-p99", "Latency", quantile=0.99, max=0.25, max_ratio=1.2),
        judge.Metric("memory", "Gauge", max=9.0, judge="RankSum", source="metric:memory"),
    )
    sample = judge.Sample(100, 1, latency=((0.1, 90), (0.25, 99), (float("inf"), 100)))
    analysis = judge.start(metrics, decide="Early", traffic_share=True)
    for number in range(8):
        analysis = judge.observe(analysis, judge.Reading(1.0, sample, sample), share=0.5)
        analysis = judge.observe_gauge(analysis, "memory", 1.0 + number, 2.0 + number)
    rows = [dump_row(row, "Pods") for row in judge.rows(analysis, hold_over=True)]
    shown = set().union(*(AnalysisRow.model_validate(row).model_fields_set for row in rows))
    assert shown == set(AnalysisRow.model_fields)


def test_the_profiles_that_can_be_written_are_those_that_can_be_read() -> None:
    assert set(WRITTEN) == set(PROFILES)


def test_what_a_profile_cannot_tell_is_refused_by_a_rule() -> None:
    assert {name for name, profile in PROFILES.items() if not profile.counts_errors} == {"KServe"}
    assert {name for name, profile in PROFILES.items() if not profile.duration} == {"TorchServe"}


def test_a_rows_evidence_is_the_same_in_both_kinds() -> None:
    row = REVISION.analysis[0]
    AnalysisRow.model_validate(row)
    RevisionOutcome.model_validate({"outcome": "RolledBack", "evidence": [row]})
