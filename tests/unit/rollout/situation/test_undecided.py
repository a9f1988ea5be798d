"""What is said of a step that stays: the cause, and not the same words for different causes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from canarium.core.spec import AnalysisSpec

from tests.properties.world import World, make_rollout, make_spec, serving

STEP = "step 1 of 2 (step-20) at 20 % stays: "
Row = dict[str, Any]


def make_row(verdict: str, reason: str, **rest: Any) -> Row:
    words = {"message": f"said of {reason}", "source": "Pods", "check": "max"}
    return {"metric": "error-rate", "verdict": verdict, "reason": reason, **words, **rest}


def holding(row: Row, *problems: str, run: float = 55.0, approval: bool = False) -> World:
    """A world whose canary is past its hold, of which the judge says what the row does."""
    rollout = make_rollout(20, analysis=True, approval=(20,) if approval else ())
    assert rollout.analysis is not None
    asked = replace(rollout, analysis=replace(rollout.analysis, min_requests=50))
    world = serving()
    world.verdicts["2"] = row["verdict"]
    found = {"reason": row["reason"], "rows": (row,), "problems": problems}
    world.findings["2"] = found
    world.apply(make_spec("2", rollout=asked))
    world.run_until("Holding")
    world.run(run)
    return world


def name_pod(world: World, version: str) -> str:
    return next(
        name for name, pod in world.pods.items() if world.version_of(pod.revision) == version
    )


def say_judged(world: World) -> str:
    return next(each.message for each in world.status.conditions if each.type == "Judged")


NO_REQUESTS = make_row("NoData", "NoCanaryData", canaryTotal=0)


def test_no_traffic_at_all_is_said_with_what_is_needed_and_how_long_nothing_came() -> None:
    world = holding(NO_REQUESTS)
    assert (world.status.reason, world.status.message) == (
        "NoData",
        f"{STEP}no request reached version 2 in more than 45 s; 50 are needed",
    )
    assert say_judged(world) == "no request reached version 2; 50 are needed"


def test_a_wrong_port_is_said_with_whose_it_is_and_what_was_refused() -> None:
    world = holding(NO_REQUESTS)
    pod = name_pod(world, "2")
    world.findings["2"] = {
        **world.findings["2"],
        "problems": (f"{pod}: connection refused on port 9999",),
    }
    world.run(5.0)
    assert world.status.message == (
        f"{STEP}the metrics of version 2 cannot be read: connection refused on port 9999"
        f" (pod {pod})"
    )
    assert say_judged(world) == f"{pod}: connection refused on port 9999"


def test_stables_metrics_that_cannot_be_read_are_not_said_of_the_canary() -> None:
    world = holding(make_row("Inconclusive", "NoStableData"))
    pod = name_pod(world, "1")
    world.findings["2"] = {**world.findings["2"], "problems": (f"{pod}: HTTP status 503",)}
    world.run(5.0)
    assert world.status.message == (
        f"{STEP}the metrics of version 1 cannot be read: HTTP status 503 (pod {pod})"
    )


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (
            make_row("Inconclusive", "TooFewRequests", canaryTotal=12),
            "12 requests reached version 2 in more than 45 s; 50 are needed",
        ),
        (
            make_row("Inconclusive", "TooFewRequests", canaryTotal=1),
            "1 request reached version 2 in more than 45 s; 50 are needed",
        ),
        (make_row("Inconclusive", "LearningStable"), "error-rate: said of LearningStable"),
        (
            make_row("NoData", "NoCanaryData", source="Prometheus"),
            "error-rate: Prometheus has no figure for version 2",
        ),
    ],
    ids=lambda value: value["reason"] if isinstance(value, dict) else "",
)
def test_each_cause_has_words_of_its_own(row: Row, words: str) -> None:
    assert holding(row).status.message == STEP + words


def test_readings_that_are_refused_are_not_too_few_requests() -> None:
    refused, source = "score: HTTP status 403", "Prometheus http://prometheus.monitoring:9090"
    world = holding(make_row("Inconclusive", "MetricError", source=source), refused)
    assert world.status.message == f"{STEP}{refused} ({source})"


def test_a_counter_that_is_missing_is_named_without_a_source() -> None:
    missing = "v3's metrics have no http_requests_total (profile Prometheus)"
    assert holding(NO_REQUESTS, missing).status.message == STEP + missing


def test_a_step_that_stays_without_data_is_told_by_an_event_once() -> None:
    world = holding(NO_REQUESTS, run=200.0)
    told = [each for each in world.told if each.reason == "NoData"]
    assert [(each.type, each.action) for each in told] == [("Warning", "Wait")]
    assert "no request reached version 2" in told[0].message


def test_a_step_that_only_needs_more_requests_is_no_warning() -> None:
    world = holding(make_row("Inconclusive", "TooFewRequests", canaryTotal=40), run=200.0)
    assert not [each for each in world.told if each.action == "Wait"]


def test_a_step_that_stays_tells_what_was_counted_when_the_words_are_written() -> None:
    """Figures are saved every half a minute, and words about 45 s don't go with those of 30 s."""
    few = make_row("Inconclusive", "TooFewRequests", canaryTotal=1)
    world = holding(few, run=35.0)
    world.findings["2"] = {**world.findings["2"], "rows": ({**few, "canaryTotal": 48},)}
    world.run(15.0)
    told = "48 requests reached version 2 in more than 45 s; 50 are needed"
    assert world.status.message == STEP + told


def test_what_is_counted_in_between_is_no_reason_to_write() -> None:
    few = make_row("Inconclusive", "TooFewRequests", canaryTotal=1)
    world = holding(few, run=46.0)
    world.findings["2"] = {**world.findings["2"], "rows": ({**few, "canaryTotal": 48},)}
    before = world.status.message
    world.run(5.0)
    assert world.status.message == before


def test_who_is_to_approve_reads_that_nothing_was_judged() -> None:
    world = holding(NO_REQUESTS, approval=True)
    assert world.status.reason == "AwaitingApproval"
    assert world.status.message.endswith(
        "it has not been judged: no request reached version 2 in more than 45 s; 50 are needed"
    )


def test_words_that_wait_are_written_anew_ever_more_rarely() -> None:
    """Once the hold is over: nothing but the time that was waited changes."""
    world = holding(NO_REQUESTS, run=0.0)
    written = []
    for _ in range(290):
        world.run(1.0)
        if world.status.message not in written:
            written.append(world.status.message)
    assert len(written) <= 8, written
    assert "in more than 2 min" in written[-1]


def test_what_was_not_asked_takes_nothing_back_and_is_told() -> None:
    """An address that a newer operator refuses is no fault of the canary's."""
    rollout = make_rollout(20, analysis=True)
    assert isinstance(rollout.analysis, AnalysisSpec)
    world, why = serving(), "score: addresses.allow lacks prometheus.monitoring:9090"
    world.verdicts["2"] = "NoData"
    row = {"metric": "score", "verdict": "NoData", "reason": "NoCanaryData", "source": "Web"}
    world.findings["2"] = {"rows": (row,), "problems": (why,), "withheld": True}
    analysis = replace(rollout.analysis, on_no_data="Rollback")
    world.apply(make_spec("2", rollout=replace(rollout, analysis=analysis)))
    world.run(600.0)
    assert (world.state, world.status.rejected) == ("Holding", ())
    assert why in next(c.message for c in world.status.conditions if c.type == "Judged")
    world.findings["2"] = {**world.findings["2"], "withheld": False}
    world.run_until("Rejected")


def test_a_rollback_for_want_of_data_says_what_was_missing() -> None:
    rollout = make_rollout(20, analysis=True)
    assert isinstance(rollout.analysis, AnalysisSpec)
    world = serving()
    world.verdicts["2"] = "NoData"
    world.findings["2"] = {"reason": "NoCanaryData", "rows": (NO_REQUESTS,)}
    analysis = replace(rollout.analysis, on_no_data="Rollback", min_requests=50)
    world.apply(make_spec("2", rollout=replace(rollout, analysis=analysis)))
    world.run_until("Rejected")
    assert world.status.message == (
        "there was nothing to judge the canary by at the end of the hold: no request reached"
        " version 2 in more than 10 s; 50 are needed"
    )
