"""What should be measured now, and what the judge's answer means for the step."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

from canarium.core.metrics import Unusable
from canarium.core.observed import AnalysisResult, ExperimentVerdict
from canarium.core.plan import Measure
from canarium.core.spec import AnalysisSpec, MetricsEndpoint
from canarium.core.status import RevisionStatus
from canarium.judge import metrics as judge_metrics
from canarium.rollout.situation.clock import held_seconds
from canarium.rollout.situation.jobs import StepJob, find_jobs, join
from canarium.rollout.situation.metric_sources import find_feeds, find_gateway, find_unusable
from canarium.rollout.situation.situation import Situation
from canarium.rollout.situation.stages import ROLLING

SAVE_SECONDS = 30.0
"How often a running test's numbers are saved; more often would be noise in everybody's watches."


def make_measure(situation: Situation) -> Measure | None:
    """What to measure: from the write of a weight on, and through the guard."""
    judged, analysis = judged_revision(situation), analysis_in_force(situation)
    if judged is None or analysis is None or not judged.is_routed:
        return None
    metric_queries = find_feeds(situation, analysis)
    if not analysis.metrics and not metric_queries:
        return None
    rollout, key = situation.rollout, analysis_key(situation)
    started = rollout.step_started_at or situation.now
    beside = compared_revision(situation)
    return Measure(
        key=key,
        metrics=analysis.metrics,
        metric_queries=metric_queries,
        gateway=find_gateway(situation, analysis),
        pods_secret=analysis.pods_secret,
        min_requests=analysis.min_requests,
        decide=analysis.decide,
        traffic_share=analysis.traffic_share == "Check" and not situation.traffic.router.mixes_pods,
        interval_seconds=analysis.interval_seconds,
        not_before=started + analysis.initial_delay_seconds,
        canary=judged.revision,
        stable=beside.revision if beside else None,
        canary_version=judged.version,
        stable_version=beside.version if beside else "",
        endpoint=_endpoint(situation, judged),
        stable_endpoint=_endpoint(situation, beside),
        hold_over=_is_over(situation),
        resume=rollout.tests if rollout.tests_key == key else "",
        experiment=_experiment_metric(situation),
        share=_expected_share(situation, judged),
        protocol=situation.traffic.protocol,
    )


def _experiment_metric(situation: Situation) -> str:
    experiment = situation.steps.experiment
    return experiment.metric if experiment else ""


def _expected_share(situation: Situation, judged: RevisionStatus) -> float | None:
    """The share of single requests that should be answered by the revision on trial, 0 to 1.

    None before the router works by it, and where it doesn't deal out single requests of all.
    """
    verified_at = situation.rollout.verified_at
    settled = verified_at is not None and situation.now >= verified_at
    if not settled or situation.traffic.router.mixes_pods or judged.has_extras or not judged.weight:
        return None
    if compared_revision(situation) is None or judged.weight == 100:
        return None
    return judged.weight / 100


def _is_over(situation: Situation) -> bool:
    rollout = situation.rollout
    if rollout.state != "Holding" or rollout.verified_at is None:
        return False
    return held_seconds(rollout, situation.now) >= situation.steps.current.hold_seconds


def unusable_metrics(situation: Situation) -> tuple[Unusable, ...]:
    """The metrics of this step that nothing can be asked for."""
    analysis = analysis_in_force(situation)
    return find_unusable(situation, analysis) if analysis else ()


def _endpoint(situation: Situation, part: RevisionStatus | None) -> MetricsEndpoint | None:
    record = situation.seen.record(part) if part else None
    return record.metrics if record else None


def judged_revision(situation: Situation) -> RevisionStatus | None:
    """The revision on trial: the canary while it gets traffic, the new stable in the guard."""
    state = situation.rollout.state
    if state in ROLLING:
        return situation.canary if situation.canary and situation.canary.is_routed else None
    return situation.stable if state == "Guarding" else None


def compared_revision(situation: Situation) -> RevisionStatus | None:
    """What serves beside the revision on trial: stable, or in the guard what is held back.

    Nothing in an emergency: a dead stable is nothing to compare with.
    """
    if situation.canary is not None:
        return None if situation.rollout.emergency else situation.stable
    previous = situation.previous
    return previous if previous is not None and previous.weight > 0 else None


def analysis_in_force(situation: Situation) -> AnalysisSpec | None:
    """The analysis of this step.

    None where the canary gets nothing to be judged by. Absolute bounds only in a guard where
    nothing serves beside, and where requests come by header: who sends it is no fair sample, but
    for an experiment, in which the front end deals people out.
    """
    analysis, canary = situation.terms.analysis, situation.canary
    if analysis is None or (canary is not None and not canary.is_routed):
        return None
    jobs = analysis.jobs if canary is not None else ()  # in the guard none is run
    by_header = canary is not None and canary.headers and not situation.steps.experiment
    if compared_revision(situation) is not None and not by_header:
        return _limit(replace(analysis, jobs=jobs))
    metrics = judge_metrics.absolute(analysis.metrics)
    custom = tuple(
        replace(metric, max_increase=None, max_ratio=None, min_ratio=None, rank_sum=False)
        for metric in analysis.custom
        if (metric.max, metric.min) != (None, None)
    )
    return _limit(replace(analysis, metrics=metrics, custom=custom, jobs=jobs))


def _limit(analysis: AnalysisSpec) -> AnalysisSpec | None:
    """None for an analysis of nothing."""
    return analysis if analysis.metrics or analysis.custom or analysis.jobs else None


def analysis_key(situation: Situation) -> str:
    """Name the step's analysis: another revision, step, start or analysis makes it another."""
    judged, rollout = judged_revision(situation), situation.rollout
    wanted = analysis_in_force(situation)
    asked = find_feeds(situation, wanted) if wanted else ()
    terms = repr((wanted, asked, _experiment_metric(situation)))
    analysis = hashlib.sha256(terms.encode()).hexdigest()[:8]
    revision = judged.revision if judged else ""
    phase = "guard" if rollout.state == "Guarding" else f"step-{rollout.step}"
    return f"{revision}/{phase}/{rollout.step_started_at or 0:.3f}/{analysis}"


def current_result(situation: Situation) -> AnalysisResult | None:
    """What the judge and Jobs say of this step; None when the judge has said nothing about it.

    A Job that failed is heard even so.
    """
    if judged_revision(situation) is None:
        return None
    key = analysis_key(situation)
    return _join_jobs(situation, key, situation.seen.verdict(key))


def _join_jobs(
    situation: Situation, key: str, judged: AnalysisResult | None
) -> AnalysisResult | None:
    jobs, analysis = step_jobs(situation), _analysis_with_jobs(situation)
    if not jobs or analysis is None:
        return judged
    if judged is None and (analysis.metrics or analysis.custom):
        failed = any(job.verdict == "Fail" for job in jobs)
        return join(key, AnalysisResult(key, "Inconclusive"), jobs) if failed else None
    return join(key, judged, jobs, early=analysis.decide == "Early")


def step_jobs(situation: Situation) -> tuple[StepJob, ...]:
    """The Jobs of a step that holds; while going back those that there were."""
    analysis = _analysis_with_jobs(situation)
    return find_jobs(situation, analysis.jobs) if analysis else ()


def _analysis_with_jobs(situation: Situation) -> AnalysisSpec | None:
    """The analysis where Jobs have a say: while a step holds, and of what is taken back."""
    state = situation.rollout.state
    if state == "Reverting":
        return situation.terms.analysis
    return analysis_in_force(situation) if state == "Holding" else None


def last_result(situation: Situation) -> AnalysisResult | None:
    """The same, and while going back what was said of the canary last: the evidence."""
    result, canary, rollout = situation.observed.analysis, situation.canary, situation.rollout
    if rollout.state != "Reverting" or canary is None:
        return current_result(situation)
    if result is not None and not result.key.startswith(f"{canary.revision}/"):
        result = None
    return _join_jobs(situation, rollout.tests_key, result)


def has_failed(situation: Situation) -> AnalysisResult | None:
    """The result, if it is a failed verdict."""
    result = current_result(situation)
    return result if result is not None and result.verdict == "Fail" else None


def may_pass(situation: Situation) -> bool:
    """Whether the judge has nothing against the next step; without an analysis nobody asks."""
    if analysis_in_force(situation) is None:
        return not _waits_for_stable(situation)
    if unusable_metrics(situation):
        return False
    result = current_result(situation)
    return result is not None and result.verdict == "Pass"


def _waits_for_stable(situation: Situation) -> bool:
    """Whether all that was asked for is a comparison, and stable died; a fix is not compared."""
    return situation.rollout.emergency == "Canary" and situation.terms.analysis is not None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an experiment says so far, and the evidence in words."""

    verdict: ExperimentVerdict
    message: str


def find_outcome(situation: Situation) -> Outcome:
    """What the judge says of the experiment that is under way."""
    result = current_result(situation)
    if result is None or not result.experiment:
        return Outcome("", "there was nothing to judge by")
    row = next((row for row in result.rows if row.get("check") == "experiment"), {})
    words = f"{_experiment_metric(situation)}: {row.get('message') or result.message}"
    return Outcome(result.experiment, words)


def has_no_data(situation: Situation) -> bool:
    """Whether the judge says that there is nothing to judge by; a judge yet silent doesn't."""
    if analysis_in_force(situation) is None:
        return False
    if unusable_metrics(situation):
        return True
    result = current_result(situation)
    return result is not None and result.verdict == "NoData"


def is_withheld(situation: Situation) -> bool:
    """Whether something was not asked, which is no fault of the canary's."""
    result = current_result(situation)
    return result is not None and result.withheld


def is_proven(situation: Situation) -> bool:
    """Whether the step may end before its hold is over: no bound is left that could be broken."""
    result = current_result(situation)
    if result is None or situation.steps.experiment is not None:
        return False
    return result.proven and may_pass(situation)
