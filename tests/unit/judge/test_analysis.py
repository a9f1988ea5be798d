"""Analyses from the first reading to the verdict, as the controller runs them."""

from math import inf

import pytest
from canarium.judge import (
    Counts,
    Margin,
    Reading,
    Row,
    SequentialTest,
    Verdict,
    next_step,
    observe,
    rows,
    start,
    verdict,
)
from canarium.judge.sequential import UNLEARNED, start_another

from tests.unit.judge.judging import (
    answers,
    error_rate,
    evidence_of,
    lasting,
    latency_p99,
    observe_all,
    reading,
)

GOOD = reading(answers(16), answers(4))
BAD = reading(answers(16), answers(4, 2))


def only_row(metric_rows: tuple[Row, ...]) -> Row:
    assert len(metric_rows) == 1
    return metric_rows[0]


def test_nothing_to_check_passes() -> None:
    assert (verdict(start([])), rows(start([]))) == ("Pass", ())


def test_a_metric_has_a_row_for_each_of_its_bounds() -> None:
    analysis = start([error_rate(max=0.05, max_increase=0.01), latency_p99(max_ratio=1.2)])
    found = [(row.metric, row.check, row.fails_at) for row in rows(analysis)]
    assert found == [
        ("error-rate", "max", 300.0),
        ("error-rate", "vsStable", 300.0),
        ("latency-p99", "vsStable", 300.0),
    ]


@pytest.mark.parametrize("alpha", [0.0, 1.0, -0.5])
def test_alpha_has_to_be_a_probability(alpha: float) -> None:
    with pytest.raises(ValueError, match="alpha"):
        start([], alpha=alpha)


def test_a_canary_that_fails_every_other_answer_fails_within_seconds() -> None:
    analysis = observe_all(start([error_rate(max_increase=0.005)]), [BAD] * 4)
    row = only_row(rows(analysis))
    assert (verdict(analysis), row.verdict, row.reason) == ("Fail", "Fail", "ErrorRateTooHigh")
    assert evidence_of(row) > 100
    assert row.fails_at == pytest.approx(100)


def test_few_requests_gate_a_pass_but_never_a_fail() -> None:
    metrics = [error_rate(max=0.05)]
    good = observe_all(start(metrics, min_requests=100), [GOOD] * 24)
    bad = observe_all(start(metrics, min_requests=100), [BAD] * 6)
    assert (verdict(good), verdict(observe(good, GOOD)), verdict(bad)) == (
        "Inconclusive",
        "Pass",
        "Fail",
    )


def test_a_failed_check_keeps_the_evidence_it_failed_with() -> None:
    failed = observe_all(start([error_rate(max=0.05)]), [BAD] * 6)
    assert verdict(failed) == "Fail"
    assert observe_all(failed, [GOOD] * 1000) == failed
    assert next_step(failed) == failed


@pytest.mark.parametrize(
    ("readings", "expected", "reason"),
    [
        ([], "NoData", "NoCanaryData"),
        ([reading(None, None)] * 9, "NoData", "NoCanaryData"),
        ([reading(answers(16), None)] * 9, "NoData", "NoCanaryData"),
        ([reading(answers(16), answers(0))] * 9, "NoData", "NoCanaryData"),
        ([reading(None, answers(4))] * 9, "Inconclusive", "NoStableData"),
        ([GOOD], "Inconclusive", "TooFewRequests"),
        ([GOOD] * 9, "Pass", "WithinBounds"),
    ],
)
def test_only_counted_answers_of_both_sides_pass_a_comparison(
    readings: list[Reading], expected: Verdict, reason: str
) -> None:
    analysis = observe_all(start([error_rate(max_increase=0.01)], min_requests=20), readings)
    row = only_row(rows(analysis))
    assert (verdict(analysis), row.verdict, row.reason) == (expected, expected, reason)


def test_an_absolute_bound_needs_no_stable() -> None:
    analysis = observe_all(start([error_rate(max=0.05)]), [reading(None, answers(4))] * 9)
    assert verdict(analysis) == "Pass"


def test_answers_of_one_side_wait_for_the_others_to_make_a_block() -> None:
    analysis = start([error_rate(max_increase=0.0)])
    apart = [reading(answers(16), None), reading(None, answers(4, 2))] * 2
    together = [reading(answers(16), answers(4, 2))] * 2
    assert observe_all(analysis, apart).checks == observe_all(analysis, together).checks


def test_a_canary_as_bad_as_stable_passes_the_comparison_and_fails_the_bound() -> None:
    both_bad = [reading(answers(16, 5), answers(4, 1))] * 100
    compared = observe_all(start([error_rate(max_increase=0.0)]), both_bad)
    bounded = observe_all(start([error_rate(max=0.05)]), both_bad)
    assert (verdict(compared), verdict(bounded)) == ("Pass", "Fail")


def test_the_margin_is_what_the_canary_may_be_worse() -> None:
    twice_as_bad = [reading(answers(160, 8), answers(40, 4))] * 60
    verdicts = [
        verdict(observe_all(start([metric]), twice_as_bad))
        for metric in (
            error_rate(max_increase=0.0),
            error_rate(max_increase=0.05),
            error_rate(max_ratio=1.0),
            error_rate(max_ratio=2.0),
        )
    ]
    assert verdicts == ["Fail", "Pass", "Fail", "Pass"]


def test_a_new_step_counts_from_zero_and_keeps_its_evidence_against_the_canary() -> None:
    half_way = observe_all(start([error_rate(max=0.05)]), [GOOD, BAD])
    entered = next_step(half_way)
    row = only_row(rows(entered))
    assert (row.verdict, row.canary_total) == ("NoData", 0)
    assert row.e_value == pytest.approx(only_row(rows(half_way)).e_value)
    assert verdict(observe_all(entered, [BAD] * 2)) == "Fail"


def test_each_step_begins_a_process_of_its_own() -> None:
    half_way = observe_all(start([error_rate(max_increase=0.0)]), [GOOD] * 5)
    (before,), (after,) = half_way.checks, next_step(half_way).checks
    assert after.evidence == start_another(before.evidence)


def test_what_was_learned_of_stable_outlives_a_step_unless_thresholds_change() -> None:
    metrics = [error_rate(max_increase=0.0), latency_p99(max_ratio=1.2)]
    entered = next_step(observe_all(start(metrics), [FAST] * 9))
    kept, dropped = (check.progress.learned for check in entered.checks)
    assert kept.total == pytest.approx(9 * 16, rel=0.05)
    assert dropped == UNLEARNED
    assert [check.thresholds for check in entered.checks] == [None, None]


def test_a_regression_in_a_new_step_is_found_as_fast_as_in_the_first() -> None:
    metrics = [error_rate(max_increase=0.005)]
    later = next_step(observe_all(start(metrics), [GOOD] * 2000))
    assert verdict(observe_all(later, [BAD] * 5)) == "Fail"


# Latency


FAST = reading(lasting((16, 0.021)), lasting((4, 0.021)))
SLOW = reading(lasting((16, 0.021)), lasting((4, 0.102)))


def test_a_canary_that_takes_100_ms_beside_20_ms_fails_within_seconds() -> None:
    analysis = observe_all(start([latency_p99(max_ratio=1.2)]), [SLOW] * 5)
    row = only_row(rows(analysis))
    assert (row.verdict, row.reason) == ("Fail", "LatencyTooHigh")
    assert (row.threshold_seconds, row.tested_ratio) == (0.05, 2.0)


def test_a_canary_as_fast_as_stable_passes() -> None:
    analysis = observe_all(start([latency_p99(max=0.25, max_ratio=1.2)]), [FAST] * 300)
    assert verdict(analysis) == "Pass"


def test_a_canary_exactly_as_slow_as_allowed_passes() -> None:
    allowed = reading(lasting((16, 0.021)), lasting((4, 0.024)))
    analysis = observe_all(start([latency_p99(max_ratio=1.2)]), [allowed] * 300)
    assert verdict(analysis) == "Pass"


def test_thresholds_are_chosen_from_earlier_readings_and_kept() -> None:
    analysis = observe_all(start([latency_p99(max_ratio=1.2)]), [FAST])
    row = only_row(rows(analysis))
    assert (row.verdict, row.reason) == ("Inconclusive", "LearningStable")
    assert row.message == "14 more answers of stable are needed to know how slow it is"
    learned = observe(analysis, FAST).checks[0]
    assert (learned.thresholds, learned.canary.total) == ((0.025, 0.05), 0)
    judged = observe_all(analysis, [FAST, *[reading(lasting((16, 0.3)), lasting((4, 0.3)))] * 9])
    assert (judged.checks[0].thresholds, judged.checks[0].canary.total) == ((0.025, 0.05), 36)


def test_thresholds_follow_stable_from_step_to_step() -> None:
    slower = reading(lasting((1600, 0.06)), lasting((400, 0.06)))
    analysis = observe_all(start([latency_p99(max_ratio=1.2)]), [FAST] * 9)
    analysis = next_step(observe(analysis, slower))
    assert observe(analysis, slower).checks[0].thresholds == (0.075, 0.1)


def test_an_absolute_latency_bound_is_the_bucket_above_it() -> None:
    analysis = observe_all(start([latency_p99(max=0.09)]), [SLOW] * 5)
    row = only_row(rows(analysis))
    assert (row.verdict, row.threshold_seconds, row.canary_bad) == ("Fail", 0.1, row.canary_total)


def test_a_bound_beyond_the_histogram_is_never_passed() -> None:
    analysis = observe_all(start([latency_p99(max=30.0)]), [FAST] * 50)
    row = only_row(rows(analysis))
    assert (verdict(analysis), row.reason) == ("Inconclusive", "NoSuitableBucket")


def test_a_server_without_histogram_gives_latency_no_data() -> None:
    metrics = [error_rate(max=0.05), latency_p99(max=0.25)]
    analysis = observe_all(start(metrics), [GOOD] * 50)
    assert (verdict(analysis), [row.verdict for row in rows(analysis)]) == (
        "NoData",
        ["Pass", "NoData"],
    )


def test_buckets_that_vanish_are_no_data_and_nothing_worse() -> None:
    other = reading(lasting((16, 0.02), bounds=(0.3, inf)), None)
    before = observe_all(start([latency_p99(max_ratio=1.2)]), [FAST] * 9)
    after = observe(before, other)
    (row,), (unchanged,) = rows(after), rows(before)
    assert evidence_of(row) == pytest.approx(evidence_of(unchanged))
    assert (unchanged.verdict, row.verdict) == ("Pass", "NoData")


COARSE = (0.005, 0.01, 0.05, 0.1, 0.5, inf)


def test_a_histogram_that_changes_its_bounds_is_counted_by_others_and_never_passed_unseen() -> None:
    metrics = [latency_p99(max_ratio=1.2)]
    before = observe_all(start(metrics, min_requests=40), [FAST] * 20)
    assert before.checks[0].thresholds == (0.025, 0.05)
    assert verdict(before) == "Pass"
    coarse = reading(*(lasting((n, 0.021), bounds=COARSE) for n in (16, 4)))
    after = observe(before, coarse)
    assert only_row(rows(after)).reason == "TooFewRequests"
    assert after.checks[0].thresholds == (0.05, 0.1)
    slow = reading(lasting((16, 0.021), bounds=COARSE), lasting((4, 0.2), bounds=COARSE))
    assert verdict(observe_all(after, [coarse] * 10)) == "Pass"
    assert verdict(observe_all(after, [slow] * 10)) == "Fail"


def test_against_max_it_is_of_no_account_what_bounds_stables_histogram_has() -> None:
    """A version that brings other buckets is judged by its own."""
    stable = lasting((16, 0.021), bounds=(0.1, 0.6, inf))
    both = reading(stable, lasting((4, 0.021), bounds=(0.25, 0.5, 1.0, inf)))
    analysis = observe_all(start([latency_p99(max=0.5)], min_requests=100), [both] * 50)
    row = only_row(rows(analysis))
    assert (row.verdict, row.canary_total) == ("Pass", 200)
    assert analysis.checks[0].evidence.starts == 3


def test_a_canary_that_is_beyond_its_bound_is_not_passed_while_the_evidence_grows() -> None:
    """The pass and the interval that people are shown beside it never contradict each other."""
    metrics, steady = [error_rate(max=0.05)], [reading(None, answers(100, 5))]
    analysis = observe_all(start(metrics, 1e-9), steady * 20)
    assert verdict(analysis) == "Pass"
    seen = set[str]()
    while verdict(analysis) != "Fail":
        analysis = observe(analysis, reading(None, answers(100, 8)))
        row = only_row(rows(analysis))
        beyond = row.interval is not None and row.interval[0] > 0.05
        assert row.verdict == "Fail" or (row.reason == "BeyondBound") == beyond
        seen.add(row.reason)
    assert seen == {"WithinBounds", "BeyondBound", "ErrorRateTooHigh"}


@pytest.mark.parametrize("bound", [{"max_increase": 0.01}, {"max_ratio": 1.5}])
def test_nor_beside_a_stable_that_is_better(bound: dict[str, float]) -> None:
    metrics = [error_rate(**bound)]
    analysis = observe_all(start(metrics, 1e-60), [reading(answers(900, 9), answers(100, 4))] * 40)
    assert only_row(rows(analysis)).reason == "BeyondBound"


def test_seven_in_a_hundred_where_five_are_allowed_are_taken_back() -> None:
    analysis = observe_all(start([error_rate(max=0.05)]), [reading(None, answers(100, 7))] * 40)
    assert verdict(analysis) == "Fail"


@pytest.mark.parametrize("alpha", [0.0, 1.0, -1.0, 1e-270])
def test_an_alpha_that_is_never_reached_is_refused(alpha: float) -> None:
    with pytest.raises(ValueError, match="alpha has to be"):
        start([error_rate(max=0.05)], alpha)


def test_so_many_answers_that_a_rate_is_one_by_rounding_are_still_judged() -> None:
    nearly_all = Counts(2**54 - 1, 2**54)
    test = SequentialTest(Margin("Difference", 0.0))
    for _ in range(3):
        test = test.update(stable=nearly_all, canary=nearly_all)
    assert test.e_value <= 1.0


@pytest.mark.parametrize("counts", [(5, 3), (-1, 10), (0, -1)])
def test_counts_that_cannot_be_are_refused(counts: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="cannot be"):
        Counts(*counts)
