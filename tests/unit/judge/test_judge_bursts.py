"""Errors that come in bursts: how they are noticed, and what is done about them."""

from dataclasses import replace
from math import exp
from random import Random

import pytest
from canarium.judge import (
    Counts,
    Margin,
    Rate,
    SequentialTest,
    next_step,
    observe,
    rows,
    start,
    verdict,
)
from canarium.judge.bursts import (
    UNSCATTERED,
    Scatter,
    add_block,
    compute_dispersion,
    compute_most,
)
from canarium.judge.sequential import FIRST_STAKE, bet_on_margin

from tests.unit.judge.judging import (
    answers,
    error_rate,
    evidence_of,
    observe_all,
    only_row,
    reading,
)

Block = tuple[Counts, Counts]


def scatter_of(blocks: list[Block]) -> Scatter:
    scatter = UNSCATTERED
    for stable, canary in blocks:
        scatter = add_block(scatter, stable, canary)
    return scatter


def disperse(blocks: list[Block]) -> float:
    return compute_dispersion(scatter_of(blocks))


def draw(random: Random, blocks: int, size: int, rate: float, burst: int) -> list[Counts]:
    return [
        Counts(sum(burst for _ in range(size // burst) if random.random() < rate), size)
        for _ in range(blocks)
    ]


def pair(stable: list[Counts], canary: list[Counts]) -> list[Block]:
    return [*zip(stable, canary, strict=True)]


@pytest.mark.parametrize("sizes", [(150, 150), (285, 15)])
@pytest.mark.parametrize("burst", [1, 3, 5])
def test_the_dispersion_is_about_the_number_of_errors_in_a_burst(
    burst: int, sizes: tuple[int, int]
) -> None:
    random = Random(burst)
    found = disperse(pair(*(draw(random, 2000, size, 0.01, burst) for size in sizes)))
    assert found == pytest.approx(burst, rel=0.3)


def test_a_burst_that_lasts_is_seen_over_several_blocks() -> None:
    random = Random(6)
    lasting = [
        Counts(4 if begun else 0, 100)
        for begun in (random.random() < 0.02 for _ in range(400))
        for _ in range(5)
    ]
    good = [Counts(1, 100)] * len(lasting)
    assert disperse(pair(lasting, good)) > 1.8
    assert disperse(pair(good, lasting)) > 1.8
    assert disperse(pair(lasting, good)[::5]) < 1.3


@pytest.mark.parametrize("worse", [1, 3])
def test_a_swing_that_both_share_is_no_burst(worse: int) -> None:
    random = Random(4)
    rates = [0.03 if block // 30 % 2 else 0.002 for block in range(600)]
    stable = [Counts(sum(random.random() < rate for _ in range(190)), 190) for rate in rates]
    canary = [Counts(sum(random.random() < worse * rate for _ in range(10)), 10) for rate in rates]
    assert disperse(pair(stable, canary)) < 1.2 * worse


def test_a_canary_that_is_worse_all_the_time_is_no_burst() -> None:
    random = Random(5)
    stable, canary = draw(random, 300, 90, 0.01, 1), draw(random, 300, 30, 0.2, 1)
    assert disperse(pair(stable, canary)) < 1.2


@pytest.mark.parametrize(
    "blocks",
    [
        [],
        [(Counts(0, 50), Counts(0, 50))] * 40,
        [(Counts(50, 50), Counts(50, 50))] * 40,
        [(Counts(3, 50), Counts(0, 50))],
        [(Counts(), Counts())] * 40,
        [(Counts(3, 50), Counts()), (Counts(), Counts(9, 50))] * 40,
    ],
    ids=["nothing", "no errors", "only errors", "one block", "no answers", "one side each"],
)
def test_what_says_nothing_about_bursts_tones_nothing_down(blocks: list[Block]) -> None:
    assert disperse(blocks) == 1.0


def test_evidence_is_raised_to_the_power_that_earlier_blocks_suggest() -> None:
    margin, bursts = Margin("Difference", 0.0), [Counts(0, 90), Counts(5, 90)] * 20
    test = SequentialTest(margin)
    for stable in bursts:
        test = test.update(stable=stable, canary=Counts(0, 10))
    power = 1.0 / compute_dispersion(scatter_of([(each, Counts(0, 10)) for each in bursts]))
    stable, canary = Counts(50, 90), Counts(5, 10)
    bets = bet_on_margin(stable, canary, margin, test.progress.learned)
    grown = test.update(stable=stable, canary=canary).progress.evidence
    assert power < 0.35
    assert [
        after - before
        for before, after in zip(test.progress.evidence.logs, grown.logs, strict=True)
    ] == pytest.approx([power * bet for bet in bets])


def test_what_was_learned_in_an_outage_of_both_is_soon_forgotten() -> None:
    test = SequentialTest(Margin("Difference", 0.0))
    for bad in [50] * 60 + [1] * 200:
        test = test.update(stable=Counts(bad, 100), canary=Counts(bad, 100))
    learned = test.progress.learned
    assert learned.bad / learned.total == pytest.approx(0.01, rel=0.02)


def test_a_low_rate_is_learned_from_two_thousand_answers_however_small_the_blocks() -> None:
    test = SequentialTest(Margin("Difference", 0.0))
    for block in range(4000):
        test = test.update(stable=Counts(block % 50 == 0, 10), canary=Counts(0, 2))
    learned = test.progress.learned
    assert learned.total == pytest.approx(2000, rel=0.01)
    assert learned.bad / learned.total == pytest.approx(0.002, rel=0.2)


BURST = reading(answers(95), answers(5, 5))
GOOD = reading(answers(95), answers(5))


@pytest.mark.parametrize("before", [0, 1, 2, 9, 500])
def test_no_handful_of_answers_takes_a_version_back_and_two_can(before: int) -> None:
    metrics = [error_rate(max=0.05, max_increase=0.01)]
    waiting = observe_all(start(metrics), [GOOD] * before)
    once = observe(waiting, BURST)
    assert verdict(once) in ("Pass", "Inconclusive")
    assert verdict(observe(once, BURST)) == "Fail"


def test_a_handful_of_answers_makes_so_much_of_nothing_and_no_more() -> None:
    row = only_row(rows(observe(start([error_rate(max_increase=0.0)]), BURST)))
    bets = bet_on_margin(Counts(0, 95), Counts(5, 5), Margin("Difference", 0.0), Counts())
    most = compute_most(5, row.fails_at or 0.0)
    kept = [exp(min(bet, most)) for bet in bets]
    assert max(bets) > most
    assert evidence_of(row) == pytest.approx(
        FIRST_STAKE * sum(kept) / len(kept) + 1.0 - FIRST_STAKE
    )


@pytest.mark.parametrize("checks", [1, 2, 4, 20])
@pytest.mark.parametrize("answered", [2, 9, 50, 99])
def test_no_small_reading_decides_alone_however_many_checks_share_alpha(
    checks: int, answered: int
) -> None:
    metrics = [replace(error_rate(max_increase=0.0), name=f"errors-{n}") for n in range(checks)]
    bad = reading(answers(95), answers(answered, answered))
    once = observe(start(metrics), bad)
    assert verdict(once) != "Fail"
    assert verdict(observe(once, bad)) == "Fail"


@pytest.mark.parametrize("seconds", [0.0, 30.0, 120.0])
def test_what_came_while_nobody_read_is_no_burst(seconds: float) -> None:
    missed = replace(reading(answers(190, 2), answers(48, 24)), seconds=seconds)
    assert verdict(observe(start([error_rate(max_increase=0.01)]), missed)) == "Fail"


def test_one_error_is_enough_where_none_is_allowed() -> None:
    assert verdict(observe(start([error_rate(max=0.0)]), reading(None, answers(4, 1)))) == "Fail"


@pytest.mark.parametrize("alpha", [0.2, 0.05, 1e-6])
def test_two_bad_blocks_are_enough_and_one_is_not_for_any_alpha_that_means_something(
    alpha: float,
) -> None:
    test = SequentialTest(Rate(0.05), fails_at=1.0 / alpha)
    once = test.update(canary=Counts(10, 10))
    assert once.e_value < 1.0 / alpha <= once.update(canary=Counts(10, 10)).e_value


def test_two_hundred_answers_may_decide_at_once() -> None:
    test = SequentialTest(Margin("Difference", 0.0))
    assert test.update(stable=Counts(1, 200), canary=Counts(60, 200)).e_value > 100


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


@pytest.mark.parametrize("burst", [3, 5, 20])
def test_equal_versions_whose_errors_come_together_are_seldom_told_apart(burst: int) -> None:
    random = Random(13)
    assert sum(_ends_in_rollback(random, burst=burst) for _ in range(200)) <= 14
