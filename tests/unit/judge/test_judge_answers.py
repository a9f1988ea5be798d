"""Ratios fed by counts of their own, and canaries that hang."""

from itertools import pairwise
from random import Random
from typing import Any

import pytest
from canarium.judge import (
    Analysis,
    Counts,
    Reading,
    Row,
    Sample,
    dump,
    load,
    next_step,
    observe,
    observe_counts,
    observe_error,
    rows,
    start,
    verdict,
)

from tests.unit.judge.judging import (
    answers,
    error_rate,
    histogram,
    lasting,
    latency_p99,
    observe_all,
    only_row,
    ratio,
    reading,
)

GOOD = reading(answers(16), answers(4))
EXAMPLE = [error_rate(max=0.05, max_increase=0.005), latency_p99(max=0.5, max_ratio=9.0)]


def count(analysis: Analysis, stable: Counts | None, canary: Counts | None) -> Analysis:
    return observe_counts(analysis, "accuracy", stable, canary)


# Ratios


def test_a_ratio_is_judged_by_its_own_counts_as_errors_are_by_answers() -> None:
    bounds: dict[str, Any] = {"max": 0.05, "max_increase": 0.005}
    block = reading(answers(160, 1), answers(40, 12))
    by_answers = observe_all(start([error_rate(**bounds)]), [block] * 2)
    by_counts = count(start([ratio(**bounds)]), Counts(1, 160), Counts(12, 40))
    by_counts = count(by_counts, Counts(1, 160), Counts(12, 40))
    found = [(row.verdict, row.e_value, row.interval) for row in rows(by_counts)]
    assert found == [(row.verdict, row.e_value, row.interval) for row in rows(by_answers)]
    assert {row.reason for row in rows(by_counts)} == {"RatioTooHigh"}


def test_a_ratio_of_good_ones_is_described_by_the_good_ones() -> None:
    metric = ratio(max=0.1, max_increase=0.02, higher_is_better=True)
    absolute, compared = rows(
        count(count(start([metric]), Counts(4, 80), Counts(10, 20)), Counts(4, 80), Counts(10, 20))
    )
    assert (absolute.reason, compared.reason) == ("RatioTooLow", "RatioTooLow")
    assert absolute.message.startswith(
        "canary: 20 of 40 good (50%); allowed: at least 90%; its rate is 26.3% to 73.7%; evidence"
    )
    assert compared.message.startswith(
        "canary: 20 of 40 good (50%); stable: 152 of 160 good (95%); allowed: 2 points less;"
        " difference -74 points to -11.3 points; evidence"
    )


def test_answers_of_pods_are_not_counted_for_a_ratio_nor_its_counts_for_others() -> None:
    analysis = start([error_rate(max=0.05), ratio(max=0.05)])
    fed = count(observe(analysis, GOOD), None, Counts(0, 7))
    assert [check.canary for check in fed.checks] == [Counts(0, 4), Counts(0, 7)]


def test_a_metric_takes_the_readings_of_its_own_source_alone() -> None:
    analysis = start([error_rate(max=0.05), error_rate(max=0.05, source="Gateway")])
    fed = observe(observe(analysis, GOOD), reading(answers(90), answers(10)), "Gateway")
    assert [check.canary.total for check in fed.checks] == [4, 10]


@pytest.mark.parametrize("canary", [None, Counts(0, 0)])
def test_a_ratio_without_counts_of_the_canary_never_passes(canary: Counts | None) -> None:
    row = only_row(rows(count(start([ratio(max=0.05)]), Counts(0, 9), canary)))
    assert (row.verdict, row.reason) == ("NoData", "NoCanaryData")


def test_failed_readings_of_pods_hold_up_what_is_fed_by_pods() -> None:
    analysis = count(observe(start([error_rate(max=0.05), ratio(max=0.05)]), GOOD), None, GOOD_ONES)
    for _ in range(4):
        analysis = observe_error(analysis, "Pods", "timeout")
    assert [row.reason for row in rows(analysis)] == ["MetricError", "WithinBounds"]
    assert {row.verdict for row in rows(observe(analysis, reading(None, None)))} == {"Pass"}


GOOD_ONES = Counts(0, 9)


# Answers


class Service:
    """Requests at random moments, and what each of them takes; `reading(s)` is of one second."""

    def __init__(self, seed: int, weight: float = 0.2, seconds: float = 0.02) -> None:
        random = Random(seed)
        self.random, self.weight = random, weight
        self.arrivals: list[tuple[float, bool]] = []
        self.done: list[float] = []
        moment = 0.0
        while (moment := moment + random.expovariate(20.0)) < 60.0:
            self.arrivals.append((moment, random.random() < weight))
            self.done.append(moment + seconds * random.lognormvariate(0.0, 0.2))

    def canary_takes(self, times: float) -> "Service":
        for index, (moment, is_canary) in enumerate(self.arrivals):
            if is_canary:
                self.done[index] = moment + times * (self.done[index] - moment)
        return self

    def canary_queues(self, share: float, since: float, until: float) -> "Service":
        for index, (moment, is_canary) in enumerate(self.arrivals):
            if is_canary and since < moment < until and self.random.random() < share:
                self.done[index] = 1e9
        return self

    def reading(self, second: int) -> Reading:
        def sample(of_canary: bool) -> Sample:
            took = [
                (1, done - moment)
                for (moment, is_canary), done in zip(self.arrivals, self.done, strict=True)
                if is_canary == of_canary and second < done <= second + 1
            ]
            return Sample(len(took), 0, histogram(*took))

        return Reading(1.0, sample(False), sample(True))

    def judge(self, expecting: float | None = None) -> int | None:
        """Seconds until it is found that the canary doesn't answer; None when it isn't."""
        analysis, share = start(EXAMPLE, traffic_share=True), expecting or self.weight
        for second in range(60):
            analysis = observe(analysis, self.reading(second), share=share)
            if row_of_traffic_share(analysis).verdict == "Fail":
                return second + 1
        return None


def row_of_traffic_share(analysis: Analysis) -> Row:
    return next(row for row in rows(analysis) if row.metric == "traffic-share")


def test_a_canary_that_hangs_is_found_within_seconds() -> None:
    found = [Service(seed).canary_takes(1e6).judge() for seed in range(10)]
    assert all(second is not None and second <= 12 for second in found)


@pytest.mark.parametrize("seconds", [0.02, 1.0])
@pytest.mark.parametrize("weight", [0.05, 0.5])
def test_a_canary_that_is_three_times_slower_does_answer(weight: float, seconds: float) -> None:
    found = [Service(seed, weight, seconds).canary_takes(3.0).judge() for seed in range(8)]
    assert found == [None] * 8


def test_a_canary_that_lost_some_requests_to_a_queue_for_a_while_does_answer() -> None:
    found = [Service(seed).canary_queues(0.3, 10.0, 15.0).judge() for seed in range(10)]
    assert found == [None] * 10


def test_callers_who_go_past_the_gateway_to_stable_do_not_make_a_canary_look_silent() -> None:
    """Two in the cluster for each who comes by the gateway, which gives the canary its share."""
    found = [
        Service(seed, weight / 3).judge(expecting=weight)
        for weight in (0.2, 0.5)
        for seed in range(8)
    ]
    assert found == [None] * 16


def test_the_row_of_the_traffic_share_says_what_the_weight_should_bring() -> None:
    analysis = start([error_rate(max=0.05)], traffic_share=True)
    for _ in range(9):
        analysis = observe(analysis, reading(answers(16), answers(0)), share=0.2)
    row = row_of_traffic_share(analysis)
    assert (row.check, row.verdict, row.reason) == ("share", "Fail", "NotAnswering")
    assert row.message.startswith(
        "canary gave 0 of 144 answers in this step (0%); its weight should bring 20%, expected: at"
        " least 5%;"
        " evidence against it "
    )
    assert (row.canary_bad, row.canary_total, row.bound) == (144, 144, 0.95)
    assert verdict(analysis) == "Fail"


def test_a_canary_that_falls_silent_late_is_told_so_beside_the_steps_counts() -> None:
    analysis = start([error_rate(max=0.05)], traffic_share=True)
    for _ in range(300):
        analysis = observe(analysis, reading(answers(16), answers(4)), share=0.2)
    silent = 0
    while verdict(analysis) != "Fail":
        analysis = observe(analysis, reading(answers(16), answers(0)), share=0.2)
        silent += 1
    assert silent < 60
    assert row_of_traffic_share(analysis).message.startswith(
        f"canary gave 1200 of {6000 + 16 * silent} answers in this step"
    )
    assert ", but far fewer in the last readings;" in row_of_traffic_share(analysis).message


def test_the_traffic_share_is_one_more_of_the_tests_that_share_alpha() -> None:
    assert start(EXAMPLE, traffic_share=True).fails_at == 500.0


@pytest.mark.parametrize(
    ("share", "found"),
    [
        (None, reading(answers(16), answers(0))),
        (0.0, reading(answers(16), answers(0))),
        (1.0, reading(answers(16), answers(0))),
        (0.2, reading(answers(16), None)),
        (0.2, reading(None, answers(0))),
    ],
)
def test_nothing_is_made_of_answers_where_no_share_is_expected_or_a_side_is_unread(
    share: float | None, found: Reading
) -> None:
    analysis = start([error_rate(max=0.05)], traffic_share=True)
    for _ in range(99):
        analysis = observe(analysis, found, share=share)
    row = row_of_traffic_share(analysis)
    assert (row.verdict, row.reason, row.canary_total) == ("Pass", "NotSplit", 0)


def test_a_step_is_too_young_to_tell_for_three_of_stables_slowest_answers() -> None:
    slow = reading(lasting((16, 0.9)), lasting((0, 0.9)))
    analysis = start([error_rate(max=0.05)], traffic_share=True)
    totals = []
    for _ in range(5):
        analysis = observe(analysis, slow, share=0.2)
        totals.append(row_of_traffic_share(analysis).canary_total)
    assert totals == [0, 0, 0, 16, 32]
    entered = observe(next_step(analysis), slow, share=0.2)
    assert row_of_traffic_share(entered).canary_total == 0


def test_the_traffic_share_goes_on_after_a_restart_where_it_stood() -> None:
    slow = reading(lasting((16, 0.9)), lasting((0, 0.9)))
    running = start([error_rate(max=0.05)], traffic_share=True)
    for _ in range(5):
        running = observe(running, slow, share=0.2)
    restarted = load(dump(running), [error_rate(max=0.05)], traffic_share=True)
    before, after = row_of_traffic_share(running), row_of_traffic_share(restarted)
    assert (after.canary_total, after.bound) == (before.canary_total, before.bound) == (32, 0.95)
    assert load(dump(running), [error_rate(max=0.05)]).checks[0] == restarted.checks[0]


def test_evidence_grows_with_each_answer_that_only_stable_gives() -> None:
    analysis = start([], traffic_share=True)
    found = []
    for _ in range(4):
        analysis = observe(analysis, reading(answers(16), answers(0)), share=0.2)
        found.append(row_of_traffic_share(analysis).e_value or 0.0)
    assert all(first < second for first, second in pairwise(found))


UNCOUNTED = Sample(None, None, histogram((16, 0.01)))


def test_a_side_that_counts_no_answers_is_no_hang() -> None:
    """Clients got good answers all along; the page only had no counter of them."""
    analysis = start([error_rate(max=0.05)], traffic_share=True)
    for _ in range(300):
        analysis = observe(analysis, Reading(1.0, answers(16), UNCOUNTED), share=0.2)
    assert (verdict(analysis), [row.reason for row in rows(analysis)]) == (
        "NoData",
        ["NoCanaryData", "NotSplit"],
    )


def test_errors_that_stable_does_not_count_are_not_zero() -> None:
    analysis = start([error_rate(max_increase=0.005)])
    for _ in range(100):
        analysis = observe(analysis, Reading(1.0, UNCOUNTED, answers(20, 1)))
    row = only_row(rows(analysis))
    assert (row.verdict, row.reason) == (
        "Inconclusive",
        "NoStableData",
    )


@pytest.mark.parametrize(("requests", "errors"), [(None, 0), (1, None), (1, 2), (1, -1)])
def test_counts_that_cannot_be_are_refused(requests: int | None, errors: int | None) -> None:
    with pytest.raises(ValueError, match="cannot be"):
        Sample(requests, errors)
