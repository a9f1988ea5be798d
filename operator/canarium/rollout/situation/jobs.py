"""Metrics that are Jobs: which ones a step wants, what they say, and which may go.

A step's Job has a name that follows from the step, so that a restart never makes a second one; but
one that the operator made and was killed before it could note is made anew. Its verdict, once it
was saved in status, outlives it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from canarium.core.names import SERVICE_PORT, child_name, job_name
from canarium.core.observed import AnalysisResult, JobRecord
from canarium.core.plan import Create, Delete, Ref, Write
from canarium.core.spec import JobSpec
from canarium.core.status import RevisionStatus
from canarium.judge.rows import WORST_FIRST, Verdict
from canarium.resources.job import Judged, make_job
from canarium.rollout.situation.situation import Situation

CHECK = "job"
"What the rows of Jobs say that was checked."
RUNNING = "JobRunning"
NOT_RUN = "JobNotRun"
PASSING = "Unavailable"
"A refusal that is none: the apiserver cannot be reached, and it is tried again."
CONFLICT = "NameConflict"
"The refusal of a name that somebody else has taken."
MOST_TAKEN = 3
"How many names of one Job are counted past."
_FINAL = ("Pass", "Fail")
_RANKS: Mapping[str, int] = {verdict: rank for rank, verdict in enumerate(WORST_FIRST)}


@dataclass(frozen=True, slots=True)
class StepJob:
    """A Job that a step wants, and what it says; `record` is None while there is none."""

    spec: JobSpec
    name: str
    record: JobRecord | None
    verdict: Verdict
    reason: str = ""
    message: str = ""

    @property
    def row(self) -> Mapping[str, Any]:
        """What status shows of it."""
        return {
            "metric": self.spec.name,
            "source": _source(self.name),
            "check": CHECK,
            "verdict": self.verdict,
            "reason": self.reason,
            "message": self.message,
        }


def find_jobs(situation: Situation, wanted: tuple[JobSpec, ...]) -> tuple[StepJob, ...]:
    """The Jobs of the present step, each with its verdict.

    While the canary goes back, only those that were made: they are part of the evidence.
    """
    found = tuple(_find_job(situation, spec) for spec in wanted)
    if situation.rollout.state != "Reverting":
        return found
    return tuple(job for job in found if job.record is not None or job.verdict in _FINAL)


def _find_job(situation: Situation, spec: JobSpec) -> StepJob:
    name = _name(situation, spec)
    record = next((job for job in situation.observed.jobs or () if job.meta.name == name), None)
    if record is not None and record.outcome:
        return _judge(spec, name, record)
    if (saved := _find_saved(situation, name)) is not None:
        words = str(saved.get("reason", "")), str(saved.get("message", ""))
        return StepJob(spec, name, record, saved["verdict"], *words)
    if record is None and (refused := _find_refusal(situation, name)) is not None:
        verdict: Verdict = "Inconclusive" if refused[0] == PASSING else "NoData"
        return StepJob(spec, name, None, verdict, *refused)
    return StepJob(spec, name, record, "Inconclusive", RUNNING, f"Job {name} has not finished")


def count_past(situation: Situation, jobs: tuple[StepJob, ...]) -> Situation:
    """Go on to the next name of each Job whose name somebody else has taken.

    It stands in status before anything is written under it. Somebody who takes those, too, is
    quicker than we are on purpose: the last name is waited for.
    """
    names = {job.name: _list_names(situation, job.spec) for job in jobs}
    taken = [job.name for job in jobs if job.reason == CONFLICT and job.name != names[job.name][-1]]
    if not taken:
        return situation
    rollout, known = situation.rollout, {name for each in names.values() for name in each}
    kept = (name for name in rollout.taken_names if name in known)
    return situation.replace(rollout=replace(rollout, taken_names=(*kept, *taken)))


def _name(situation: Situation, spec: JobSpec) -> str:
    names, taken = _list_names(situation, spec), situation.rollout.taken_names
    return next((name for name in names if name not in taken), names[-1])


def _list_names(situation: Situation, spec: JobSpec) -> tuple[str, ...]:
    """One for each step as it began: one that is tried anew, or another Job, has another name.

    And some more, for where somebody else has taken it.
    """
    canary, rollout = situation.canary, situation.rollout
    revision = canary.revision if canary else ""
    terms = f"{spec.container}/{spec.service_account}/{spec.timeout_seconds:g}"
    step = f"{revision}/{rollout.step_name}/{rollout.step_started_at or 0:.3f}"
    salts = ("", *(f"#{count}" for count in range(1, 1 + MOST_TAKEN)))
    return tuple(job_name(situation.model, spec.name, f"{step}/{terms}{salt}") for salt in salts)


def _judge(spec: JobSpec, name: str, record: JobRecord) -> StepJob:
    if record.outcome == "Complete":
        return StepJob(spec, name, record, "Pass", "", f"Job {name} has succeeded")
    words = f"Job {name}: {record.message}"
    if not record.has_run:  # a quota, say: nothing that the canary could be blamed for
        return StepJob(spec, name, record, "NoData", NOT_RUN, f"{words}; it never had a pod")
    return StepJob(spec, name, record, "Fail", "JobFailed", words)


def _find_saved(situation: Situation, name: str) -> Mapping[str, Any] | None:
    """What status says of a Job that has finished; it may have been tidied away since."""
    rows = situation.canary.analysis if situation.canary else ()
    ours = (row for row in rows if row.get("source") == _source(name))
    return next((row for row in ours if row.get("verdict") in _FINAL), None)


def _find_refusal(situation: Situation, name: str) -> tuple[str, str] | None:
    """Why there is no Job, and cannot be for now: reason and words."""
    if situation.observed.jobs is None:
        return (
            "JobsNotVisible",
            "the operator may not list and watch Jobs (batch/v1): grant it",
        )
    failures = (f for f in situation.observed.failures if (f.kind, f.name) == ("Job", name))
    failure = next(failures, None)
    return (failure.reason, f"Job {name}: {failure.message}") if failure else None


def _source(name: str) -> str:
    return f"Job {name}"


def join(
    key: str, judged: AnalysisResult | None, jobs: tuple[StepJob, ...], *, early: bool = False
) -> AnalysisResult:
    """What Jobs say, beside what the judge says (None: nothing else is judged).

    The worst counts. `early`: a step may end as soon as all of it has passed.
    """
    said = judged or AnalysisResult(key, "Pass", proven=early)
    worst = min(jobs, key=lambda job: _RANKS[job.verdict])
    rows = (*said.rows, *(job.row for job in jobs))
    problems = tuple(f"{j.spec.name}: {j.message}" for j in jobs if j.verdict == "NoData")
    joined = replace(said, rows=rows, problems=(*said.problems, *problems))
    if judged is not None and _RANKS[judged.verdict] <= _RANKS[worst.verdict]:
        return joined
    words = f"{worst.spec.name}: {worst.message}"
    return replace(joined, verdict=worst.verdict, reason=worst.reason, message=words)


def make_job_writes(situation: Situation, jobs: tuple[StepJob, ...]) -> Iterator[Write]:
    """Make the step's Jobs once its traffic flows; take those that nobody goes by any more.

    One that never had a pod goes, too, and is made anew: there may be room by now.
    """
    kept = {job.name for job in jobs if job.reason != NOT_RUN}
    if _flows(situation):
        for job in jobs:
            yield from _make(situation, job)
    wanted = {job.name for job in jobs}
    for record in situation.observed.jobs or ():
        if not _stays(situation, record, kept):
            yield from _dismiss(record)
    for stray in situation.seen.strays:  # under a name that is wanted it is replaced (`Create.uid`)
        if isinstance(stray, JobRecord) and stray.meta.name not in wanted:
            yield from _dismiss(stray)


def _dismiss(record: JobRecord) -> Iterator[Delete]:
    if not record.meta.deleting:
        ref = Ref("Job", record.meta.name)
        yield Delete(ref, record.meta.uid, record.meta.resource_version)


def _stays(situation: Situation, record: JobRecord, kept: set[str]) -> bool:
    """A failed one stays while what it judged is refused: people read its logs."""
    refused = situation.rollout.state == "Rejected" and record.outcome == "Failed"
    return record.meta.name in kept or refused


def _flows(situation: Situation) -> bool:
    """Whether the step holds, and its traffic is what it should be."""
    rollout = situation.rollout
    settled = rollout.verified_at is not None and situation.now >= rollout.verified_at
    return rollout.state == "Holding" and settled


def _make(situation: Situation, job: StepJob) -> Iterator[Create]:
    canary = situation.canary
    record = situation.seen.record(canary) if canary else None
    if job.record is not None or job.verdict in _FINAL or situation.observed.jobs is None:
        return
    if canary is None or record is None:
        return
    url = _make_url(situation, canary)
    judged = Judged(canary.revision, canary.version, url, record.template)
    body = make_job(situation.observed.model, job.name, job.spec, judged)
    ref = Ref("Job", job.name)
    yield Create(ref, body, situation.seen.uid(ref))


def _make_url(situation: Situation, canary: RevisionStatus) -> str:
    """The canary's own Service, or where revisions have none the model's, which leads to all."""
    own = situation.traffic.router.revision_services
    service = child_name(situation.model, canary.revision) if own else situation.model
    return f"http://{service}.{situation.observed.model.meta.namespace}.svc:{SERVICE_PORT}"
