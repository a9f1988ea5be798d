"""The tree of `canarium status`, whole, for every phase that people meet."""

from __future__ import annotations

import copy
import re

import pytest
import yaml
from canarium.cli.drawing.status_tree import make_tree
from canarium.cli.objects.status_report import make_report
from canarium.core.status import dump

from tests.unit.cli import objects
from tests.unit.cli.golden import compare, printed
from tests.unit.cli.objects import NOW, PODS, RECORDS, V6, V7, Json, make_pod, make_record

TROUBLED = [
    *PODS[:2],
    make_pod(V7, "bbbb1", seconds_ago=65, waiting="CrashLoopBackOff", restarts=2),
    make_pod(V7, "bbbb2", seconds_ago=5, unschedulable=True),
    make_pod(V6, "aaaa9", seconds_ago=900, deletionTimestamp="2026-11-21T11:59:59Z"),
]
REFUSED = make_record(
    V7, "v7", outcome="RolledBack", reason="ErrorRateTooHigh", evidence=[objects.FAILED]
)
CASES: dict[str, tuple[Json, list[Json], list[Json]]] = {
    "holding": (objects.HOLDING, RECORDS, PODS),
    "scaling": (objects.SCALING, RECORDS, TROUBLED),
    "awaiting": (objects.AWAITING, RECORDS, PODS),
    "guarding": (objects.GUARDING, RECORDS, PODS),
    "healthy": (objects.HEALTHY, RECORDS, []),
    "reverting": (objects.REVERTING, RECORDS, PODS),
    "rolled-back": (objects.ROLLED_BACK, [RECORDS[0], REFUSED], PODS[:2]),
    "overridden": (objects.OVERRIDDEN, RECORDS, PODS[:2]),
    "broken": (objects.BROKEN, RECORDS, []),
    "unseen": (objects.UNSEEN, [], []),
}


def draw(
    model: Json,
    records: list[Json],
    pods: list[Json] | None,
    *,
    ascii_only: bool = False,
    width: int = 96,
) -> str:
    tree = make_tree(make_report(model, records, pods, NOW), NOW, ascii_only=ascii_only)
    return printed([tree], width=width)


@pytest.mark.parametrize("case", CASES)
def test_the_tree_of_each_phase_is_as_written_down(case: str) -> None:
    compare(f"status-{case}.txt", draw(*CASES[case]))


@pytest.mark.parametrize("case", ["holding", "rolled-back"])
def test_on_80_columns_a_picture_is_two_lines_and_no_figure_is_torn_apart(case: str) -> None:
    told = draw(*CASES[case], width=80)
    compare(f"status-{case}-80.txt", told)
    assert max(len(line) for line in told.splitlines()) <= 80
    figures = [line for line in told.splitlines() if "evidence " in line and " of " in line]
    assert figures
    assert all(re.search(r"evidence \S+ of \d+$", line) for line in figures)


def make_untrue(**why: tuple[str, str]) -> Json:
    """A model that holds, with conditions that are False for a reason and in words."""
    model = copy.deepcopy(objects.HOLDING)
    kept = [one for one in model["status"]["conditions"] if one["type"] not in why]
    told = [
        {"type": kind, "status": "False", "reason": reason, "message": message}
        for kind, (reason, message) in why.items()
    ]
    model["status"]["conditions"] = [*kept, *told]
    return model


def test_the_condition_that_knows_what_is_wrong_is_shown() -> None:
    refused = "fraud-7b9d6f5c88-6d4f9-bbbb1: connection refused on port 9999"
    lines = draw(make_untrue(Judged=("NoData", refused)), RECORDS, []).splitlines()
    assert lines[1:3] == ["step 1 of 3 (five) at 5 % for 5 min", f"not judged: {refused}"]


def test_what_the_headline_says_already_is_not_said_twice() -> None:
    why = "no request reached version v7; 50 are needed"
    model = make_untrue(Judged=("NoData", why))
    model["status"]["message"] = f"step 1 of 3 (five) at 5 % stays: {why}"
    assert "not judged" not in draw(model, RECORDS, [])


def test_why_it_is_not_ready_is_not_said_twice_either() -> None:
    why = "version v7 answers nobody, since it has no pods: spec.scaling.replicas is 0"
    model = make_untrue(Ready=("ScaledToZero", why))
    lines = draw(model, RECORDS, []).splitlines()
    assert lines[1:3] == ["step 1 of 3 (five) at 5 % for 5 min", f"not Ready: {why}"]
    model["status"]["message"] = why
    assert draw(model, RECORDS, []).splitlines()[1:3] == [why, "not Ready"]


def test_that_nothing_is_to_be_judged_is_no_matter() -> None:
    model = make_untrue(Judged=("NoAnalysis", "no analysis is asked for"))
    assert "not judged" not in draw(model, RECORDS, [])


def test_what_goes_to_a_canary_beside_its_weight_is_shown() -> None:
    steps = [
        {"name": "shadow", "mirror": {"percent": 20}, "hold": "1m"},
        {"name": "testers", "headers": [{"name": "x-canary", "value": "1"}], "replicas": "50%"},
    ]
    record = {**RECORDS[1], "spec": {**RECORDS[1]["spec"], "rollout": {"steps": steps}}}
    model = objects.make_model(
        "Progressing",
        "Holding",
        "step 2 of 3 (testers) by header x-canary",
        rollout={"step": 2, "verifiedAt": objects.ago(5)},
        stable={**objects.STABLE, "weight": 100},
        canary={
            **objects.make_part(V7, "v7", 3, 0),
            "headers": [{"name": "x-canary", "value": "^[12]$", "type": "RegularExpression"}],
        },
    )
    compare("status-beside.txt", draw(model, [RECORDS[0], record], []))


def test_pods_that_may_not_be_listed_are_said_to_be_hidden() -> None:
    assert "pods are not shown: you may not list them" in draw(objects.HEALTHY, RECORDS, None)


def test_a_terminal_without_unicode_gets_marks_that_it_can_show() -> None:
    text = draw(objects.HOLDING, RECORDS, PODS, ascii_only=True)
    assert not {"✔", "▶", "○", "✘", "…"} & set(text)


def test_everything_is_there_for_programs_too() -> None:
    report = dump(make_report(objects.HOLDING, RECORDS, PODS[-2:], NOW))
    compare("status-holding.yaml", yaml.safe_dump(report, sort_keys=False, allow_unicode=True))


def test_steps_that_nobody_can_read_leave_the_closing_one() -> None:
    odd = {**RECORDS[1], "spec": {**RECORDS[1]["spec"], "rollout": {"steps": [{"new": 1}]}}}
    report = make_report(objects.HOLDING, [odd], [], NOW)
    assert [step.name for step in report.steps] == ["full"]


def test_a_step_that_is_not_held_yet_counts_no_seconds() -> None:
    report = make_report(objects.SCALING, RECORDS, [], NOW)
    assert [(step.mark, step.held_seconds) for step in report.steps] == [
        ("Now", None),
        ("ToCome", None),
        ("ToCome", None),
    ]


def test_a_paused_clock_shows_what_was_held() -> None:
    rollout = {"step": 1, "heldSeconds": 77}
    paused = objects.make_model(
        "Paused", "Holding", "", rollout=rollout, stable=objects.STABLE, canary=objects.CANARY
    )
    assert make_report(paused, RECORDS, [], NOW).steps[0].held_seconds == 77
