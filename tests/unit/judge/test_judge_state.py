"""A running analysis survives the operator, as JSON in a status."""

import json
from dataclasses import astuple, replace
from typing import Any

import pytest
from canarium.judge import Analysis, dump, load, next_step, rows, start, verdict
from canarium.judge.analysis import Check
from canarium.judge.sequential import begin
from canarium.judge.state import VERSION
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.judge.judging import (
    error_rate,
    evidence_of,
    lasting,
    latency_p99,
    observe_all,
    reading,
)

METRICS = [error_rate(max=0.05, max_increase=0.0), latency_p99(max=0.25, max_ratio=1.2)]
READING = reading(lasting((15, 0.021), (1, 0.03)), lasting((4, 0.03)))


def restart(analysis: Analysis) -> Analysis:
    return load(json.loads(json.dumps(dump(analysis))), METRICS)


def test_a_restart_changes_nothing_but_rounds_the_evidence_down() -> None:
    running = observe_all(next_step(observe_all(start(METRICS), [READING] * 50)), [READING] * 5)
    restarted = restart(running)
    for before, after in zip(rows(running), rows(restarted), strict=True):
        assert evidence_of(after) == pytest.approx(evidence_of(before), rel=2e-4)
        assert evidence_of(after) <= evidence_of(before)
    kept = [_without_evidence(check) for check in restarted.checks]
    assert kept == [_without_evidence(check) for check in running.checks]


def _without_evidence(check: Check) -> tuple[object, ...]:
    nothing = replace(check.progress.evidence, logs=())
    return astuple(replace(check, progress=replace(check.progress, evidence=nothing)))


def test_a_failed_check_stays_failed_over_a_restart() -> None:
    slow = reading(lasting((16, 0.021)), lasting((4, 0.5)))
    assert verdict(restart(observe_all(start(METRICS), [slow] * 9))) == "Fail"


def test_what_is_kept_is_small() -> None:
    analysis = observe_all(start(METRICS), [READING] * 1000)
    assert len(json.dumps(dump(analysis), separators=(",", ":"))) < 2400


def test_an_edited_metric_starts_anew_and_the_others_go_on() -> None:
    running = observe_all(start(METRICS), [READING] * 9)
    edited = [METRICS[0], latency_p99(max=0.5, max_ratio=1.2)]
    loaded = load(dump(running), edited)
    first, second, *latency = loaded.checks
    assert (first.canary.total, second.canary.total) == (36, 36)
    assert [(check.evidence, check.canary.total) for check in latency] == [(begin(), 0)] * 2


def damage_spans(span: list[Any]) -> dict[str, Any]:
    evidence = {"logs": [0.0] * 7, "starts": 1, "blocks": 0}
    return {"progress": {"evidence": evidence, "scatter": [[1, 9, 1, 9], [span] * 3]}}


def test_a_check_that_is_not_damaged_like_that_is_taken_up() -> None:
    metrics = [error_rate(max=0.05)]
    dumped = dump(observe_all(start(metrics), [READING] * 9))
    dumped["checks"][0].update(damage_spans([[0, 0, 0, 0], 0, [0, 5, 0, 5], 1, 0.5, 0.5]))
    assert load(dumped, metrics) != start(metrics)


@pytest.mark.parametrize(
    "damage",
    [
        {"progress": {"evidence": {"logs": [0.0], "starts": 1, "blocks": 0}}},
        {"progress": {"evidence": {"logs": [float("nan")] * 5, "starts": 1, "blocks": 0}}},
        {"progress": {"evidence": {"logs": [700.0] * 5, "starts": 1, "blocks": 0}}},
        {"progress": "none"},
        {"progress": {"evidence": {"logs": [0.0] * 5, "starts": 0, "blocks": 0}}},
        {"progress": {"evidence": {"logs": [0.0] * 5, "starts": 1.5, "blocks": 0}}},
        {"progress": {"evidence": {"logs": [0.0] * 5, "starts": 1, "blocks": -1}}},
        {"counts": [0, 1, 2]},
        {"counts": [0, -1, 0, 0]},
        {"thresholds": [0.0, 1.0]},
        {"bounds": [1.0]},
        {"metric": {"name": "error-rate", "kind": "ErrorRate", "max": 7}},
        {"surprise": 1},
        {"progress": {"evidence": {"logs": [0.0] * 7, "starts": 2**53, "blocks": 19}}},
        damage_spans([[0, 0, 0, 0], 0, [0, 5, 0, 5], 0, 0.0, 1.0]),
        damage_spans([[0, 0, 0, 0], 0, [0, 5, 0, 5], 0, 0.5, 0.0]),
        damage_spans([[0, 0, 0, 0], 0, [0, 5, 0, 0], 1, 0.5, 0.5]),
    ],
)
def test_a_damaged_check_starts_anew(damage: dict[str, Any]) -> None:
    metrics = [error_rate(max=0.05)]
    dumped = dump(observe_all(start(metrics), [READING] * 9))
    dumped["checks"][0].update(damage)
    assert load(dumped, metrics) == start(metrics)


def test_another_version_of_the_state_is_not_read() -> None:
    dumped = dump(observe_all(start(METRICS), [READING] * 9))
    assert load({**dumped, "version": 99}, METRICS) == start(METRICS)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=6,
)


@given(
    dumped=JSON
    | st.fixed_dictionaries({"version": st.just(VERSION), "checks": JSON | st.lists(JSON)})
)
def test_whatever_status_holds_loading_never_breaks(dumped: object) -> None:
    assert load(dumped, METRICS) == start(METRICS)
