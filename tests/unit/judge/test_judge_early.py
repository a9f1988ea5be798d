"""Steps that end early: proof that the canary keeps its bounds."""

from random import Random

import pytest
from canarium.judge import (
    Analysis,
    dump,
    is_proven,
    load,
    next_step,
    observe,
    observe_counts,
    rows,
    start,
    verdict,
)
from canarium.judge.metrics import Metric
from canarium.judge.sequential import Counts

from tests.unit.judge.judging import (
    answers,
    error_rate,
    gauge,
    lasting,
    latency_p99,
    observe_all,
    ratio,
    reading,
)

ROOM = error_rate(max=0.1, max_increase=0.05)
GOOD = reading(answers(160), answers(40))
QUICK = reading(lasting((159, 0.02), (1, 0.04)), lasting((40, 0.02)))


def begin(*metrics: Metric, min_requests: int = 0, with_traffic_share: bool = False) -> Analysis:
    return start(
        metrics, min_requests=min_requests, decide="Early", traffic_share=with_traffic_share
    )


def test_enough_good_answers_prove_every_bound_that_leaves_room() -> None:
    proven = [is_proven(observe_all(begin(ROOM), [GOOD] * blocks)) for blocks in (1, 10)]
    assert proven == [False, True]
    assert is_proven(observe_all(begin(latency_p99(max=0.25, max_ratio=1.2)), [QUICK] * 200))


def test_a_ratio_can_be_proven_too() -> None:
    analysis = begin(ratio(max=0.05))
    assert is_proven(observe_counts(analysis, "accuracy", None, Counts(0, 400)))


@pytest.mark.parametrize(
    "metric",
    [
        error_rate(max=0.0),
        error_rate(max_increase=0.0),
        error_rate(max_ratio=1.0),
        latency_p99(max_ratio=1.0),
    ],
)
def test_a_bound_without_room_is_never_proven_and_its_row_says_so(metric: Metric) -> None:
    analysis = observe_all(begin(metric), [QUICK] * 2000)
    (row,) = rows(analysis)
    assert (verdict(analysis), is_proven(analysis), row.proof) == ("Pass", False, None)
    assert row.message.split("; ")[-1] == "no room to prove that it is no worse"


def test_a_row_says_how_far_the_proof_has_come() -> None:
    (row,) = rows(observe_all(begin(error_rate(max=0.05)), [GOOD] * 2))
    assert row.proof is not None
    assert 10.0 < row.proof < 100.0
    assert row.message.endswith(f"; for it {row.proof:.3g}, proven at 100")


def test_nothing_is_proven_where_the_hold_is_waited_for() -> None:
    analysis = observe_all(start([ROOM]), [GOOD] * 100)
    assert not is_proven(analysis)
    assert [row.proof for row in rows(analysis)] == [None, None]


def test_nothing_to_check_is_no_proof() -> None:
    assert not is_proven(begin())


def test_proof_of_some_checks_is_no_proof_of_all() -> None:
    mixed = observe_all(begin(ROOM, error_rate(max_increase=0.0)), [GOOD] * 100)
    with_gauge = observe_all(begin(ROOM, gauge(max=1.0)), [GOOD] * 100)
    assert not is_proven(mixed)
    assert not is_proven(with_gauge)


def test_too_few_requests_are_no_proof() -> None:
    proven = observe_all(begin(ROOM, min_requests=500), [GOOD] * 12)
    assert not is_proven(proven)
    assert is_proven(observe(proven, GOOD))


def test_answers_have_to_be_proven_where_a_share_is_expected() -> None:
    unsplit = observe_all(begin(ROOM, with_traffic_share=True), [GOOD] * 20)
    split = observe(unsplit, reading(answers(4), answers(1)), share=0.2)
    for _ in range(5):
        assert not is_proven(split)
        split = observe(split, reading(answers(4), answers(1)), share=0.2)
    for _ in range(20):
        split = observe(split, GOOD, share=0.2)
    assert is_proven(unsplit)
    assert is_proven(split)


def test_each_step_is_proven_by_its_own_answers() -> None:
    proven = observe_all(begin(ROOM), [GOOD] * 20)
    assert is_proven(proven)
    assert not is_proven(observe(next_step(proven), GOOD))


def test_proof_outlives_a_restart_rounded_down() -> None:
    running = observe_all(begin(ROOM), [GOOD] * 3)
    restarted = load(dump(running), [ROOM], decide="Early")
    for before, after in zip(rows(running), rows(restarted), strict=True):
        assert before.proof is not None
        assert after.proof == pytest.approx(before.proof, rel=2e-4)
        assert (after.proof or 0.0) <= before.proof


def test_what_is_wanted_now_decides_whether_there_is_proof() -> None:
    hold_end, early = start([ROOM]), begin(ROOM)
    loaded = load(dump(observe_all(early, [GOOD] * 9)), [ROOM])
    assert loaded.checks == observe_all(hold_end, [GOOD] * 9).checks or not is_proven(loaded)
    assert [row.proof for row in rows(loaded)] == [None, None]
    assert [row.proof for row in rows(load(dump(hold_end), [ROOM], decide="Early"))] == [1.0, 1.0]


def test_a_canary_at_its_margin_is_proven_no_more_often_than_alpha() -> None:
    random = Random(3)
    wrong = 0
    for _ in range(100):
        analysis = start([error_rate(max_increase=0.05)], alpha=0.2, decide="Early")
        for _ in range(60):
            stable = sum(random.random() < 0.02 for _ in range(30))
            canary = sum(random.random() < 0.07 for _ in range(10))
            analysis = observe(analysis, reading(answers(30, stable), answers(10, canary)))
            if is_proven(analysis):
                wrong += 1
                break
    assert wrong <= 20
