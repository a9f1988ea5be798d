"""Errors that come in bursts: how they are noticed, and what is done about them."""

from math import exp
from random import Random

import pytest
from canarium.judge import Counts, Margin, SequentialTest, next_step, observe, rows, start, verdict
from canarium.judge.bursts import (
    UNSCATTERED,
    Overdispersion,
    add_block,
    compute_dispersion,
    compute_most,
)
from canarium.judge.sequential import bet_on_margin

from tests.unit.judge.judging import (
    answers,
    error_rate,
    evidence_of,
    observe_all,
    only_row,
    reading,
)


def scatter_of(blocks: list[Counts]) -> tuple[Overdispersion, Counts]:
    scatter, learned = UNSCATTERED, Counts()
    for block in blocks:
        scatter, learned = add_block(scatter, block), learned + block
    return scatter, learned


def disperse(blocks: list[Counts]) -> float:
    return compute_dispersion(*scatter_of(blocks))


def draw(random: Random, blocks: int, size: int, rate: float, burst: int) -> list[Counts]:
    return [
        Counts(sum(burst for _ in range(size // burst) if random.random() < rate), size)
        for _ in range(blocks)
    ]


@pytest.mark.parametrize("burst", [1, 3, 5])
def test_the_dispersion_is_about_the_number_of_errors_in_a_burst(burst: int) -> None:
    found = disperse(draw(Random(burst), 2000, 150, 0.01, burst))
    assert found == pytest.approx(burst, rel=0.1)


def test_a_rate_that_drifts_is_not_a_burst() -> None:
    random = Random(4)
    drifting = [
        Counts(sum(random.random() < 0.002 + 0.0001 * block for _ in range(200)), 200)
        for block in range(400)
    ]
    assert disperse(drifting) < 1.15


@pytest.mark.parametrize(
    "blocks",
    [[], [Counts(0, 50)] * 9, [Counts(50, 50)] * 9, [Counts(3, 50)], [Counts()] * 9],
    ids=["nothing", "no errors", "only errors", "one block", "no answers"],
)
def test_what_says_nothing_about_bursts_tones_nothing_down(blocks: list[Counts]) -> None:
    assert disperse(blocks) == 1.0


def test_evidence_is_raised_to_the_power_that_earlier_blocks_suggest() -> None:
    margin, bursts = Margin("Difference", 0.0), [Counts(0, 90), Counts(5, 90)] * 20
    test = SequentialTest(margin)
    for stable in bursts:
        test = test.update(stable=stable, canary=Counts(0, 10))
    scatter, learned = scatter_of(bursts)
    stable, canary = Counts(50, 90), Counts(5, 10)
    bets = bet_on_margin(stable, canary, margin, learned)
    grown = test.update(stable=stable, canary=canary).progress.evidence
    power = 1.0 / compute_dispersion(scatter, learned)
    assert power < 0.35
    assert [
        after - before
        for before, after in zip(test.progress.evidence.logs, grown.logs, strict=True)
    ] == pytest.approx([power * bet for bet in bets])


BURST = reading(answers(95), answers(5, 5))
GOOD = reading(answers(95), answers(5))


@pytest.mark.parametrize("before", [0, 1, 500])
def test_no_handful_of_answers_takes_a_version_back_and_two_can(before: int) -> None:
    metrics = [error_rate(max=0.05, max_increase=0.01)]
    waiting = observe_all(start(metrics), [GOOD] * before)
    once = observe(waiting, BURST)
    assert (verdict(once), verdict(observe(once, BURST))) == ("Pass", "Fail")


def test_a_handful_of_answers_makes_so_much_of_nothing_and_no_more() -> None:
    row = only_row(rows(observe(start([error_rate(max_increase=0.0)]), BURST)))
    bets = bet_on_margin(Counts(0, 95), Counts(5, 5), Margin("Difference", 0.0), Counts())
    kept = [exp(min(bet, compute_most(5))) for bet in bets]
    assert max(bets) > compute_most(5)
    assert evidence_of(row) == pytest.approx(0.5 + 0.5 * sum(kept) / len(kept))


def test_one_error_is_enough_where_none_is_allowed() -> None:
    assert verdict(observe(start([error_rate(max=0.0)]), reading(None, answers(4, 1)))) == "Fail"


def test_a_hundred_answers_may_decide_at_once() -> None:
    test = SequentialTest(Margin("Difference", 0.0))
    assert test.update(stable=Counts(1, 100), canary=Counts(30, 100)).e_value > 100


def test_bursts_are_remembered_from_step_to_step() -> None:
    bursty = [reading(answers(90, errors), answers(10)) for errors in (0, 5)] * 9
    running = observe_all(start([error_rate(max=0.05, max_increase=0.0)]), bursty)
    for before, after in zip(running.checks, next_step(running).checks, strict=True):
        assert after.progress.scatter == before.progress.scatter != UNSCATTERED


def _ends_in_rollback(random: Random, *, burst: int) -> bool:
    analysis = start([error_rate(max_increase=0.0)])
    stable = draw(random, 60, 90, 0.01, burst)
    canary = draw(random, 60, 30, 0.01, burst)
    for old, new in zip(stable, canary, strict=True):
        analysis = observe(
            analysis, reading(answers(old.total, old.bad), answers(new.total, new.bad))
        )
    return verdict(analysis) == "Fail"


def test_equal_versions_whose_errors_come_in_threes_are_seldom_told_apart() -> None:
    random = Random(13)
    assert sum(_ends_in_rollback(random, burst=3) for _ in range(200)) <= 12
