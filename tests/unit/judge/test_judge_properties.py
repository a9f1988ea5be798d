"""What has to hold for all readings, and how often the judge is wrong."""

import json
from dataclasses import replace
from random import Random

import pytest
from canarium.judge import Analysis, Reading, Row, Sample, dump, load, observe, rows, start, verdict
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.judge.judging import answers, error_rate, evidence_of, observe_all, reading

METRICS = [error_rate(max=0.1, max_increase=0.02)]
WORST_FIRST = ["Fail", "NoData", "Inconclusive", "Pass"]


@st.composite
def samples(draw: st.DrawFn) -> Sample | None:
    requests = draw(st.integers(0, 60))
    errors = draw(st.integers(0, requests))
    return draw(st.sampled_from([None, Sample(requests, errors), Sample(requests, errors // 10)]))


READINGS = st.lists(st.builds(Reading, st.just(1.0), samples(), samples()), max_size=40)


@given(readings=READINGS, more=st.integers(1, 60))
def test_more_errors_in_a_reading_never_make_its_verdict_better(
    readings: list[Reading], more: int
) -> None:
    """Of later ones this isn't promised: errors that come at once tone down what follows."""
    before = observe_all(start(METRICS), readings)
    after = observe_all(start(METRICS), _add_errors(readings, len(readings) - 1, more))
    assert WORST_FIRST.index(verdict(after)) <= WORST_FIRST.index(verdict(before))
    if verdict(after) != "Fail":
        gains = [(evidence_of(row), evidence_of(other)) for row, other in _pair(before, after)]
        assert all(second >= first * (1 - 1e-9) for first, second in gains)


def _pair(before: Analysis, after: Analysis) -> list[tuple[Row, Row]]:
    return list(zip(rows(before), rows(after), strict=True))


def _add_errors(readings: list[Reading], index: int, more: int) -> list[Reading]:
    def spoil(sample: Sample | None) -> Sample | None:
        if sample is None or sample.errors is None or sample.requests is None:
            return sample
        return Sample(sample.requests, min(sample.errors + more, sample.requests))

    return [
        replace(each, canary=spoil(each.canary)) if number == index else each
        for number, each in enumerate(readings)
    ]


@given(readings=READINGS, at=st.integers(0, 40))
def test_a_restart_never_makes_evidence(readings: list[Reading], at: int) -> None:
    halted = observe_all(start(METRICS), readings[:at])
    restarted = load(json.loads(json.dumps(dump(halted))), METRICS)
    whole = observe_all(halted, readings[at:])
    resumed = observe_all(restarted, readings[at:])
    for before, after in zip(rows(whole), rows(resumed), strict=True):
        if before.verdict == after.verdict:
            assert evidence_of(after) <= evidence_of(before) * (1 + 1e-9)
        assert (after.verdict, before.verdict) != ("Fail", "Pass")


@given(readings=READINGS)
def test_judging_is_a_function_of_what_was_read(readings: list[Reading]) -> None:
    first = observe_all(start(METRICS), readings)
    assert observe_all(start(METRICS), readings) == first
    assert observe(first, reading(None, None)).checks == first.checks


def _roll_out(random: Random, rates: tuple[float, float], blocks: int, alpha: float) -> bool:
    analysis = start([error_rate(max=rates[0], max_increase=0.0)], alpha=alpha)
    for _ in range(blocks):
        analysis = observe(
            analysis, reading(_answer(random, 30, rates[0]), _answer(random, 10, rates[1]))
        )
        if verdict(analysis) == "Fail":
            return True
    return False


def _answer(random: Random, requests: int, rate: float) -> Sample:
    return answers(requests, sum(random.random() < rate for _ in range(requests)))


@pytest.mark.parametrize("rate", [0.02, 0.2])
def test_equal_versions_are_rolled_back_no_more_often_than_alpha(rate: float) -> None:
    random = Random(11)
    wrong = sum(_roll_out(random, (rate, rate), 60, alpha=0.2) for _ in range(150))
    assert wrong <= 0.2 * 150


def test_a_version_that_fails_five_times_as_often_is_always_found() -> None:
    random = Random(12)
    assert all(_roll_out(random, (0.05, 0.25), 60, alpha=0.01) for _ in range(60))
