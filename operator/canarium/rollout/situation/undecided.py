"""Why a step that was held long enough is not decided, in words that name the cause.

Status is written anew whenever these words change, so figures come from what status has saved, and
the time that was waited is told in coarse spans.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from canarium.core.observed import AnalysisResult
from canarium.core.text import describe_duration, describe_version
from canarium.rollout.situation.clock import ends_at, held_seconds
from canarium.rollout.situation.judging import (
    analysis_in_force,
    current_result,
    judged_revision,
    unusable_metrics,
)
from canarium.rollout.situation.situation import Situation

UNDECIDED = ("NoData", "Inconclusive")
SPANS = (5, 10, 15, 20, 30, 45, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 43200, 86400)
"Seconds of waiting that are told apart."
COUNTED_FOR_EACH_REQUEST = ("Pods", "Gateway")
"Sources that see every request; others answer a query."
_COUNTS = ("NoCanaryData", "TooFewRequests")
_UNREADABLE = ("MetricError", "", "NoCanaryData", "NoStableData")
"Reasons of the judge's for which readings that fail are the cause, if they do."

Row = Mapping[str, Any]


def describe_wait(situation: Situation) -> tuple[str, str] | None:
    """Why the step stays though its hold is over: a reason and words; None when nothing keeps it.

    The words complete "step 1 of 3 at 20 % stays: ".
    """
    if unusable := unusable_metrics(situation):
        text = "; ".join(f"{each.metric}: {each.message}" for each in unusable)
        return unusable[0].reason, text
    result = current_result(situation)
    if result is None:
        waits = analysis_in_force(situation) is not None
        return ("Holding", "nothing has been measured yet") if waits else None
    if result.verdict not in UNDECIDED:
        return None
    return result.verdict, describe_cause(situation, result, since=_describe_span(situation))


def describe_cause(situation: Situation, result: AnalysisResult, since: str = "") -> str:
    """What keeps the judge from a verdict: readings that fail, too few requests, or its own words.

    `since` says how long it has been waited for, as " in more than 20 s".
    """
    row = _find_decisive(situation, result)
    reason = str(row.get("reason", ""))
    judged = judged_revision(situation)
    version = describe_version(judged)
    source = str(row.get("source") or "Pods")
    if result.problems and row.get("check") != "job" and reason in _UNREADABLE:
        return _describe_unreadable(situation, result.problems[0], source)
    if reason in _COUNTS and source in COUNTED_FOR_EACH_REQUEST:
        return _describe_requests(situation, row, version, since)
    if reason == "NoCanaryData":
        return f"{row.get('metric')}: {source} has no figure for {version}"
    told = row.get("message")
    return f"{row.get('metric')}: {told}" if told else result.message or "nothing was measured"


def rewords_at(situation: Situation) -> float | None:
    """When the time that was waited is told as a longer one (epoch seconds)."""
    rollout = situation.rollout
    held = held_seconds(rollout, situation.now)
    longer = next((span for span in SPANS if span > held), None)
    if rollout.state != "Holding" or longer is None or held < situation.steps.current.hold_seconds:
        return None
    return ends_at(rollout, longer) if describe_wait(situation) is not None else None


def told_at(situation: Situation) -> float | None:
    """When the present words about a wait came to be true (epoch seconds); None when nothing waits.

    What was counted by then goes with them.
    """
    rollout = situation.rollout
    held, hold = held_seconds(rollout, situation.now), situation.steps.current.hold_seconds
    if rollout.state != "Holding" or held < hold:
        return None
    return ends_at(rollout, max(hold, *(span for span in (0, *SPANS) if span <= held)))


def is_blind(situation: Situation) -> bool:
    """Whether a step stays because nothing is seen: no data, or readings that fail."""
    result = current_result(situation)
    if result is None or result.verdict not in UNDECIDED:
        return False
    row = _find_decisive(situation, result)
    fails = bool(result.problems) and str(row.get("reason", "")) in _UNREADABLE
    return row.get("check") != "job" and (result.verdict == "NoData" or fails)


def _find_decisive(situation: Situation, result: AnalysisResult) -> Row:
    """The row that makes the verdict what it is, as status has saved it."""
    judged = judged_revision(situation)
    saved = situation.rollout.tests_key == result.key and judged is not None
    rows = judged.analysis if judged is not None and saved else result.rows
    return next((row for row in rows if row.get("verdict") == result.verdict), {})


def _describe_requests(situation: Situation, row: Row, version: str, since: str) -> str:
    analysis = analysis_in_force(situation)
    needed = max(analysis.min_requests if analysis else 0, 1)
    seen = int(row.get("canaryTotal") or 0) if row.get("reason") == "TooFewRequests" else 0
    count = "no request" if not seen else "1 request" if seen == 1 else f"{seen} requests"
    be = "is" if needed == 1 else "are"
    return f"{count} reached {version}{since}; {needed} {be} needed"


def _describe_span(situation: Situation) -> str:
    held = held_seconds(situation.rollout, situation.now)
    spans = [span for span in SPANS if span <= held]
    return f" in more than {describe_duration(spans[-1])}" if spans else ""


def _describe_unreadable(situation: Situation, problem: str, source: str) -> str:
    """Whose metrics cannot be read: a pod's problem begins with the pod's name.

    Another source is named with its address, since that may be what is wrong.
    """
    name, _, why = problem.partition(": ")
    pod = next((pod for pod in situation.observed.pods if pod.meta.name == name), None)
    parts = (situation.canary, situation.stable, situation.previous)
    part = next((each for each in parts if pod and each and each.revision == pod.revision), None)
    if part is None:
        return problem if source == "Pods" else f"{problem} ({source})"
    return f"the metrics of {describe_version(part)} cannot be read: {why} (pod {name})"
