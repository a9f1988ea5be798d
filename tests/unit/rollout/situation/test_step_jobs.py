"""Metrics that are Jobs: when one is made, what it means for the step, when it goes."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import yaml
from canarium.core.names import job_name
from canarium.core.observed import JobRecord, Observed, WriteFailure
from canarium.core.plan import Create, Plan
from canarium.core.spec import (
    AnalysisSpec,
    ExperimentSpec,
    HeaderMatch,
    JobSpec,
    RolloutSpec,
    Step,
    Traffic,
)
from canarium.judge.metrics import Metric
from canarium.resources.job import Judged, make_job
from canarium.resources.pod_template import canonical_json
from canarium.rollout.plan import plan

from tests.properties.world import ERROR_RATE, NAME, World, make_rollout, make_spec
from tests.unit.rollout.test_golden import compare

SMOKE = JobSpec("smoke", '{"image":"smoke:1"}')
ALONE = AnalysisSpec(jobs=(SMOKE,))
BOTH = AnalysisSpec(metrics=(ERROR_RATE,), jobs=(SMOKE,))
WORDS = "BackoffLimitExceeded: Job has reached the specified backoff limit"


@dataclass
class JobWorld(World):
    """The small world with Jobs, which run until a test ends them."""

    jobs: dict[str, JobRecord] = field(default_factory=dict)
    bodies: list[Any] = field(default_factory=list)
    "Of all Jobs that were ever made."
    sees_jobs: bool = True

    def observe(self) -> Observed:
        jobs = tuple(self.jobs.values()) if self.sees_jobs else None
        return replace(super().observe(), jobs=jobs)

    def _store(self, kind: str) -> dict[str, Any]:
        return self.jobs if kind == "Job" else super()._store(kind)

    def _create(self, kind: str, name: str, body: Any) -> None:
        if kind != "Job":
            super()._create(kind, name, body)
            return
        self.bodies.append(body)
        self.jobs[name] = JobRecord(self._meta(body))

    def end(self, outcome: Any, message: str = "", *, has_run: bool = True) -> None:
        """The Jobs that run end."""
        for name, job in self.jobs.items():
            if not job.outcome:
                self.jobs[name] = replace(job, outcome=outcome, message=message, has_run=has_run)

    @property
    def rows(self) -> list[tuple[str, str, str]]:
        canary = self.status.canary
        found = canary.analysis if canary else ()
        return [(row["metric"], row["verdict"], row.get("reason", "")) for row in found]

    @property
    def step_number(self) -> int:
        return self.status.rollout.step if self.status.rollout else 0


def terms(*steps: int | Step, analysis: AnalysisSpec = ALONE, **options: Any) -> RolloutSpec:
    rollout = make_rollout(*(steps or (20, 50)), **options)
    raw = {**rollout.raw, "analysis": repr(analysis)}
    return replace(rollout, analysis=analysis, raw=raw)


def serving() -> JobWorld:
    world = JobWorld(make_spec("1"))
    world.run_until("Idle")
    world.settle()
    return world


def holding(analysis: AnalysisSpec = ALONE, *steps: int | Step, **options: Any) -> JobWorld:
    """A world in which version 2 holds in its first step, with its Job running."""
    world = serving()
    world.apply(make_spec("2", rollout=terms(*steps, analysis=analysis, **options)))
    world.run_until("Holding")
    world.run(2.0)
    return world


def made_kinds(made: Plan) -> list[str]:
    return [write.ref.kind for write in made.writes if isinstance(write, Create)]


def test_no_job_is_made_before_the_steps_traffic_flows() -> None:
    world = serving()
    world.apply(make_spec("2", rollout=terms()))
    while not world.jobs:
        before = world.status.rollout
        world.step()
        world.tick(0.5)
    assert before is not None
    assert before.state == "Holding"
    assert before.verified_at is not None
    assert before.verified_at <= world.now


def test_a_job_alone_needs_nobody_to_measure() -> None:
    world = holding()
    assert (world.last_plan.measure, world.rows) == (
        None,
        [("smoke", "Inconclusive", "JobRunning")],
    )
    world.end("Complete")
    world.run(60.0)
    assert (world.step_number, len(world.bodies)) == (2, 2)


def test_a_job_runs_once_a_step_under_a_name_of_its_own() -> None:
    world = holding()
    for _ in range(20):
        world.run(1.0)
        world.end("Complete")
    names = {body["metadata"]["name"] for body in world.bodies}
    assert (len(world.bodies), len(names)) == (2, 2)
    assert all(name.startswith("fraud-smoke-") for name in names)


def test_a_name_fits_however_long_its_parts_are() -> None:
    name = job_name("m" * 52, "x" * 63, "step")
    assert (len(name), name[:52]) == (63, "m" * 52)
    assert job_name("m" * 52, "y" * 63, "step") != name


@pytest.mark.parametrize("analysis", [ALONE, BOTH], ids=["alone", "beside counts"])
def test_a_job_that_fails_takes_the_canary_back_with_its_own_words(analysis: AnalysisSpec) -> None:
    world = holding(analysis)
    (name,) = world.jobs
    world.end("Failed", WORDS)
    world.run_until("Rejected")
    (rejected,) = world.status.rejected
    assert (rejected.reason, rejected.message) == ("JobFailed", f"smoke: Job {name}: {WORDS}")


def test_a_failed_job_is_heard_before_the_judge_has_said_a_word() -> None:
    world = holding(BOTH)
    world._judge = lambda: None  # type: ignore[method-assign]
    world.end("Failed", WORDS)
    world.step()
    assert world.state == "Reverting"


def test_the_evidence_of_the_judge_stays_beside_that_of_the_job() -> None:
    world = holding(BOTH)
    world.end("Failed", WORDS)
    world.step()
    world.step()
    assert world.rows == [("error-rate", "Pass", ""), ("smoke", "Fail", "JobFailed")]
    assert world.status.rollout is not None
    assert world.status.rollout.tests


def test_the_judges_fail_is_the_reason_while_a_job_still_runs() -> None:
    world = holding(BOTH)
    world.verdicts["2"] = "Fail"
    world.run_until("Rejected")
    assert world.status.rejected[0].reason == "ErrorRateTooHigh"


def test_what_the_judge_found_stands_beside_a_job_that_succeeded() -> None:
    world = holding(BOTH)
    world.end("Complete")
    world.run(2.0)
    world.verdicts["2"] = "Fail"
    world.run_until("Reverting")
    while world.state != "Rejected":
        world.step()
        assert world.condition("Judged") == ("True", "Fail")
        world.tick(0.5)
    world.run(5.0)
    assert world.condition("Judged") == ("True", "Fail")


def test_a_judge_without_data_is_not_outvoted_by_a_job_that_succeeded() -> None:
    world = holding(BOTH)
    world.verdicts["2"] = "NoData"
    world.end("Complete")
    world.run(60.0)
    assert (world.state, world.step_number, world.condition("Judged")) == (
        "Holding",
        1,
        ("False", "NoData"),
    )


def test_a_running_job_keeps_a_step_from_ending_early() -> None:
    world = holding(replace(ALONE, decide="Early"), hold=600.0)
    world.run(60.0)
    assert (world.state, world.step_number) == ("Holding", 1)
    world.end("Complete")
    world.run(20.0)
    assert world.step_number == 2


@pytest.mark.parametrize(
    ("reason", "verdict"),
    [("QuotaExceeded", "NoData"), ("Forbidden", "NoData"), ("Unavailable", "Inconclusive")],
)
def test_a_job_that_cannot_be_made_is_nobodys_fault(reason: str, verdict: str) -> None:
    world = holding()
    (name,) = world.jobs
    del world.jobs[name]
    world.failures = (WriteFailure("Job", name, reason, "said so"),)
    world.step()
    assert world.rows == [("smoke", verdict, reason)]
    assert world.state == "Holding"
    assert (world.status.reason, world.status.message) == (reason, f"Job {name}: said so")
    assert not world.status.rejected


def test_what_no_data_means_is_up_to_the_spec() -> None:
    world = holding(replace(ALONE, on_no_data="Rollback"))
    world.sees_jobs = False
    world.run_until("Rejected")
    assert world.status.rejected[0].reason == "NoData"


def test_a_job_that_never_had_a_pod_is_nobodys_fault_and_made_anew() -> None:
    world = holding()
    (name,) = world.jobs
    world.end("Failed", "DeadlineExceeded: too long", has_run=False)
    world.step()
    assert (world.state, world.rows) == ("Holding", [("smoke", "NoData", "JobNotRun")])
    judged = next(c for c in world.status.conditions if c.type == "Judged")
    assert (judged.status, judged.reason, judged.message) == (
        "False",
        "NoData",
        f"smoke: Job {name}: DeadlineExceeded: too long; it never had a pod",
    )
    world.run(10.0)
    assert [body["metadata"]["name"] for body in world.bodies] == [name, name]
    world.end("Complete")
    world.run(60.0)
    assert world.step_number == 2


def test_an_operator_that_may_not_see_jobs_makes_none() -> None:
    world = serving()
    world.sees_jobs = False
    world.apply(make_spec("2", rollout=terms()))
    world.run_until("Holding")
    world.run(60.0)
    assert (world.state, world.rows, world.bodies) == (
        "Holding",
        [("smoke", "NoData", "JobsNotVisible")],
        [],
    )


def test_somebody_elses_job_says_nothing() -> None:
    world = holding()
    (name,) = world.jobs
    theirs = JobRecord(replace(world.jobs[name].meta, owner=None), "Failed", WORDS, has_run=True)
    made = plan(replace(world.observe(), jobs=(theirs,)), world.now)
    assert (made_kinds(made), made.urgent) == (["Job"], False)


def test_while_paused_no_job_is_made_and_one_that_runs_goes_on() -> None:
    world = serving()
    world.apply(make_spec("2", rollout=terms()))
    world.run_until("Shifting")
    world.apply(make_spec("2", rollout=terms(paused=True)))
    world.run(20.0)
    assert (world.state, world.bodies) == ("Holding", [])
    world.apply(make_spec("2", rollout=terms()))
    world.run(3.0)
    world.apply(make_spec("2", rollout=terms(paused=True)))
    world.run(10.0)
    assert (len(world.bodies), len(world.jobs)) == (1, 1)


def test_another_job_in_its_place_is_run_and_the_old_one_goes() -> None:
    world = holding(hold=600.0)
    changed = replace(SMOKE, container='{"image":"smoke:2"}')
    world.apply(make_spec("2", rollout=terms(analysis=AnalysisSpec(jobs=(changed,)), hold=600.0)))
    world.run(5.0)
    (left,) = world.jobs
    assert (len(world.bodies), left) == (2, world.bodies[1]["metadata"]["name"])


def test_an_edit_elsewhere_doesnt_run_a_job_again() -> None:
    world = holding(hold=600.0)
    world.end("Complete")
    world.run(2.0)
    world.apply(make_spec("2", rollout=terms(analysis=BOTH, hold=500.0)))
    world.run(5.0)
    assert len(world.bodies) == 1


def test_a_step_that_is_tried_again_has_another_job() -> None:
    world = holding(hold=600.0)
    world.lose_pods("2")
    world.settle()
    world.run_until("Holding")
    world.run(3.0)
    assert (len(world.bodies), len(world.jobs)) == (2, 1)


def test_a_third_version_takes_a_running_job_with_it() -> None:
    world = holding(hold=600.0)
    world.apply(make_spec("3"))
    world.run_until("Scaling")
    world.run(5.0)
    assert world.jobs == {}


def test_a_failed_job_stays_while_its_version_is_refused() -> None:
    world = holding()
    world.end("Failed", WORDS)
    world.run_until("Rejected")
    world.run(60.0)
    assert len(world.jobs) == 1
    world.apply(make_spec("1"))
    world.run_until("Idle")
    world.run(5.0)
    assert world.jobs == {}


@pytest.mark.parametrize("holdback", [0, 10])
def test_in_the_guard_no_job_is_run_and_none_is_missed(holdback: int) -> None:
    world = holding(ALONE, 20, holdback=holdback, guard=600.0)
    world.end("Complete")
    world.run_until("Guarding")
    world.run(30.0)
    assert (len(world.bodies), world.jobs, world.last_plan.measure) == (1, {}, None)


def test_a_job_judges_where_only_testers_get_the_canary() -> None:
    testers = Step("testers", 0, hold_seconds=5.0, headers=(HeaderMatch("x-canary", "1"),))
    world = holding(ALONE, testers)
    world.end("Failed", WORDS)
    world.run_until("Rejected")
    assert world.status.rejected[0].reason == "JobFailed"


def test_where_testers_alone_get_it_a_job_suffices_though_comparisons_have_no_say() -> None:
    testers = Step("testers", 0, hold_seconds=5.0, headers=(HeaderMatch("x-canary", "1"),))
    compared = Metric(name="error-rate", kind="ErrorRate", max_increase=0.01)
    world = holding(AnalysisSpec(metrics=(compared,), jobs=(SMOKE,)), testers)
    world.end("Complete")
    world.run_until("Guarding")


def test_an_experiment_waits_for_the_job_and_is_lost_by_one_that_fails() -> None:
    experiment = ExperimentSpec("error-rate", min_seconds=5.0)
    world = serving()
    world.outcomes["2"] = "CanaryBetter"
    world.apply(make_spec("2", rollout=terms(Step("w", 0), analysis=BOTH, experiment=experiment)))
    while not (world.status.rollout and world.status.rollout.step_name == "experiment"):
        world.run(1.0)
        world.end("Complete")
    world.run_until("Holding")
    world.run(30.0)
    assert world.state == "Holding"
    world.end("Failed", WORDS)
    world.run_until("Rejected")
    assert world.status.rejected[0].reason == "JobFailed"


@pytest.mark.parametrize("router", ["gateway", "replicas"])
def test_a_job_is_told_whom_it_asks(router: str) -> None:
    options = {"traffic": Traffic()} if router == "replicas" else {}
    world = JobWorld(make_spec("1", **options))  # type: ignore[arg-type]
    world.run_until("Idle")
    world.apply(make_spec("2", rollout=terms(), **options))  # type: ignore[arg-type]
    world.run_until("Holding")
    world.run(5.0)
    pod = world.bodies[0]["spec"]["template"]["spec"]
    revision = world.revision("2")
    service = NAME if router == "replicas" else f"{NAME}-{revision}"
    assert {each["name"]: each["value"] for each in pod["containers"][0]["env"]} == {
        "CANARIUM_NAMESPACE": "risk",
        "CANARIUM_MODEL": "fraud",
        "CANARIUM_VERSION": "2",
        "CANARIUM_REVISION": revision,
        "CANARIUM_URL": f"http://{service}.risk.svc:80",
    }


def test_no_service_sends_requests_to_the_pods_of_a_job() -> None:
    world = holding()
    labels = world.bodies[0]["spec"]["template"]["metadata"]["labels"]
    selectors = [json.loads(service.spec)["selector"] for service in world.services.values()]
    assert selectors
    assert not [selector for selector in selectors if set(selector) & set(labels)]


def test_a_job_finds_its_pods_by_labels_that_the_charts_policy_guards() -> None:
    """It would adopt an orphan that bears them, and believe it."""
    body = holding().bodies[0]
    spec = body["spec"]
    selected = {
        "canarium.dev/judged-model": body["metadata"]["labels"]["canarium.dev/model"],
        "batch.kubernetes.io/job-name": body["metadata"]["name"],
    }
    assert spec.get("manualSelector")
    assert spec["selector"] == {"matchLabels": selected}
    assert selected.items() <= spec["template"]["metadata"]["labels"].items()


def test_a_job_is_rendered_as_written_down() -> None:
    container = {
        "image": "registry.example/smoke:1",
        "command": ["python", "smoke.py"],
        "env": [{"name": "ROUNDS", "value": "3"}],
        "resources": {"limits": {"memory": "256Mi"}},
        "volumeMounts": [{"name": "cases", "mountPath": "/cases", "readOnly": True}],
        "securityContext": {"runAsNonRoot": True, "privileged": True},
    }
    cases = {"name": "cases", "configMap": {"name": "cases"}}
    pod = {
        "imagePullSecrets": [{"name": "registry"}],
        "volumes": [cases, {"name": "scratch", "emptyDir": {}}],
    }
    spec = JobSpec("smoke", canonical_json(container), "smoke", timeout_seconds=90.5)
    url = "http://fraud-5d8f7c9b64.risk.svc:80"
    judged = Judged("5d8f7c9b64", "2", url, canonical_json({"spec": pod}))
    body = make_job(serving().observe().model, "fraud-smoke-0123456789", spec, judged)
    compare("job.yaml", yaml.safe_dump(body, sort_keys=True, width=100))
