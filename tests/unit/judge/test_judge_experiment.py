"""Experiments: the better of two versions, or neither."""

import json
from random import Random
from typing import Any

import pytest
from canarium.judge import (
    Counts,
    Experiment,
    Outcome,
    dump_experiment,
    load_experiment,
    make_experiment_row,
    observe_experiment,
    start_experiment,
    verdict_experiment,
)

MORE, SAME, LESS = Counts(180, 1000), Counts(100, 1000), Counts(50, 1000)


def run(stable: Counts, canary: Counts, *, times: int = 9, **settings: Any) -> Experiment:
    experiment = start_experiment(**settings)
    for _ in range(times):
        experiment = observe_experiment(experiment, stable, canary)
    return experiment


@pytest.mark.parametrize(
    ("canary", "higher_is_better", "expected"),
    [
        (MORE, True, "CanaryBetter"),
        (LESS, True, "CanaryWorse"),
        (MORE, False, "CanaryWorse"),
        (LESS, False, "CanaryBetter"),
        (SAME, True, "Undecided"),
    ],
)
def test_the_version_with_more_of_what_is_wanted_is_better(
    canary: Counts, higher_is_better: bool, expected: Outcome
) -> None:
    assert verdict_experiment(run(SAME, canary, higher_is_better=higher_is_better)) == expected


def test_the_sides_are_treated_alike() -> None:
    forth = make_experiment_row(run(SAME, Counts(110, 1000)), "conversion")
    back = make_experiment_row(run(Counts(110, 1000), SAME), "conversion")
    assert (forth.e_value, forth.proof) == (back.proof, back.e_value)


def test_what_is_decided_stays_decided() -> None:
    decided = run(SAME, MORE)
    assert observe_experiment(decided, MORE, SAME) == decided


def test_a_row_says_the_counts_the_difference_and_the_evidence_for_either() -> None:
    row = make_experiment_row(run(SAME, MORE, times=1), "conversion")
    assert (row.metric, row.check, row.verdict, row.reason) == (
        "conversion",
        "experiment",
        "Pass",
        "CanaryBetter",
    )
    assert row.message.startswith(
        "canary: 180 of 1000 (18%); stable: 100 of 1000 (10%); difference -0.369 points to 16.2"
        " points; evidence that it is better "
    )
    assert row.message.endswith(", decided at 40")
    empty = make_experiment_row(start_experiment(), "conversion")
    assert (empty.verdict, empty.interval) == ("Inconclusive", None)
    assert empty.message == "nothing has been counted yet of one version or of both"


@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_alpha_has_to_be_a_probability(alpha: float) -> None:
    with pytest.raises(ValueError, match="alpha"):
        start_experiment(alpha)


def test_a_restart_changes_nothing_but_rounds_the_evidence_down() -> None:
    running = run(SAME, Counts(110, 1000))
    restarted = load_experiment(json.loads(json.dumps(dump_experiment(running))))
    before = make_experiment_row(running, "conversion")
    after = make_experiment_row(restarted, "conversion")
    assert (after.canary_bad, after.stable_total) == (before.canary_bad, before.stable_total)
    assert 0.999 * (before.proof or 0) <= (after.proof or 0) <= (before.proof or 0)
    assert verdict_experiment(load_experiment(dump_experiment(run(SAME, MORE)))) == "CanaryBetter"


def test_what_makes_no_sense_starts_anew() -> None:
    dumped = dump_experiment(run(SAME, MORE))
    negative = {**dumped, "counts": [0, -1, 0, 0]}
    damaged: list[object] = [None, [], {}, {**dumped, "version": 9}, negative]
    assert [load_experiment(each) for each in damaged] == [start_experiment()] * 5
    assert load_experiment(dumped, higher_is_better=False).outcome == "Undecided"


def simulate(random: Random, rates: tuple[float, float], alpha: float) -> Outcome:
    experiment = start_experiment(alpha)
    for _ in range(40):
        stable, canary = (
            Counts(sum(random.random() < rate for _ in range(50)), 50) for rate in rates
        )
        experiment = observe_experiment(experiment, stable, canary)
    return verdict_experiment(experiment)


def test_equal_versions_are_told_apart_no_more_often_than_alpha() -> None:
    random = Random(21)
    found = [simulate(random, (0.2, 0.2), 0.2) for _ in range(100)]
    assert sum(outcome != "Undecided" for outcome in found) <= 20


def test_a_version_that_converts_half_as_much_again_is_found() -> None:
    random = Random(22)
    found = [simulate(random, (0.2, 0.3), 0.05) for _ in range(30)]
    assert found.count("CanaryBetter") >= 27
    assert "CanaryWorse" not in found
