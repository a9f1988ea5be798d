"""The judge used by itself: the examples that people read, and tests without a rollout."""

import doctest
import re
from collections.abc import Callable
from itertools import product
from math import comb, exp, inf
from pathlib import Path

import pytest
from canarium.judge import (
    Counts,
    Margin,
    Rate,
    SequentialTest,
    compute_rate_interval,
    compute_ratio_interval,
    single,
)
from canarium.judge.bursts import compute_most
from canarium.judge.sequential import FIRST_STAKE, LESSER_EFFECTS, bet_on_margin, bet_on_rate

DOCS = Path(__file__).parents[3] / "docs" / "analysis.md"


def test_the_examples_of_the_docs_say_what_they_print() -> None:
    blocks = re.findall(r"```python\n(.*?)```", DOCS.read_text(), re.DOTALL)
    example = doctest.DocTestParser().get_doctest("\n".join(blocks), {}, "docs", "docs", 0)
    assert doctest.DocTestRunner().run(example) == doctest.TestResults(0, len(example.examples))
    assert example.examples


def test_the_example_of_the_class_says_what_it_prints() -> None:
    failed, tried = doctest.testmod(single)
    assert (failed, tried) == (0, 4)


def test_a_test_alone_says_what_the_product_of_its_bets_is() -> None:
    margin, stable, canary = Margin("Difference", 0.005), Counts(3, 400), Counts(9, 100)
    test = SequentialTest(margin).update(stable=stable, canary=canary)
    bets, most = bet_on_margin(stable, canary, margin, Counts()), exp(compute_most(100, 100.0))
    assert test.e_value == pytest.approx(
        1.0 - FIRST_STAKE + FIRST_STAKE * sum(min(exp(bet), most) for bet in bets) / len(bets)
    )
    assert SequentialTest(margin).e_value == SequentialTest(margin).proof_value == 1.0


def test_answers_of_one_side_wait_for_the_other() -> None:
    test, bad = SequentialTest(Margin("Ratio", 1.5)), Counts(50, 50)
    waiting = test.update(canary=bad)
    assert waiting.e_value == 1.0
    assert waiting.update(stable=Counts(0, 50)) == test.update(stable=Counts(0, 50), canary=bad)


def test_many_good_answers_prove_that_a_bound_is_kept_and_bad_ones_that_it_is_not() -> None:
    test = SequentialTest(Rate(0.05))
    good, bad = test.update(canary=Counts(0, 400)), test.update(canary=Counts(80, 900))
    assert good.proof_value > 1e4 > 1e4 * good.e_value
    assert bad.e_value > 1e4 > 1e4 * bad.proof_value


def test_nothing_proves_that_a_canary_keeps_a_bound_of_zero() -> None:
    test = SequentialTest(Rate(0.0))
    assert test.update(canary=Counts(0, 10**6)).proof_value <= 1.0


MARGINS = [Margin("Difference", 0.005), Margin("Difference", 0.2), Margin("Ratio", 1.5)]


@pytest.mark.parametrize("margin", MARGINS)
@pytest.mark.parametrize("block", [(3, 4), (16, 4), (2, 9)])
@pytest.mark.parametrize("learned", [Counts(0, 0), Counts(0, 1000), Counts(9, 10)])
def test_no_proof_is_expected_to_gain_while_the_canary_is_at_its_margin_or_beyond(
    margin: Margin, block: tuple[int, int], learned: Counts
) -> None:
    outcomes = [
        (Counts(bad, block[0]), Counts(worse, block[1]))
        for bad, worse in product(range(block[0] + 1), range(block[1] + 1))
    ]
    gains = [
        [exp(bet) for bet in bet_on_margin(*outcome, margin, learned, LESSER_EFFECTS)]
        for outcome in outcomes
    ]
    for stable_rate, beyond in product((0.0, 0.001, 0.03, 0.2, 0.6), (0.0, 0.1, 0.7, 1.0)):
        edge = min(margin.allows(stable_rate), 1.0)
        rates = stable_rate, edge + beyond * (1.0 - edge)
        chances = [
            _chance(stable, rates[0]) * _chance(canary, rates[1]) for stable, canary in outcomes
        ]
        for effect in range(len(LESSER_EFFECTS)):
            expected = sum(
                chance * gain[effect] for chance, gain in zip(chances, gains, strict=True)
            )
            assert expected <= 1 + 1e-9


@pytest.mark.parametrize("allowed", [0.0, 0.0001, 0.01, 0.5, 0.99, 1.0])
def test_no_proof_of_a_rate_is_expected_to_gain_while_the_rate_is_at_its_bound(
    allowed: float,
) -> None:
    outcomes = [Counts(bad, 20) for bad in range(21)]
    for rate, effect in product((allowed, (1 + allowed) / 2, 1.0), range(len(LESSER_EFFECTS))):
        expected = sum(
            _chance(outcome, rate) * exp(bet_on_rate(outcome, allowed, LESSER_EFFECTS)[effect])
            for outcome in outcomes
        )
        assert expected <= 1 + 1e-6


def _chance(counts: Counts, rate: float) -> float:
    good = counts.total - counts.bad
    return comb(counts.total, counts.bad) * rate**counts.bad * (1 - rate) ** good


def test_a_ratio_is_as_far_off_as_both_rates_edges_allow() -> None:
    stable, canary = Counts(40, 4000), Counts(40, 400)
    lowest, highest = compute_rate_interval(stable, 0.975)
    low, high = compute_rate_interval(canary, 0.975)
    found = compute_ratio_interval(stable, canary)
    assert found == pytest.approx((low / highest, high / lowest))
    assert 1.0 < found[0] < 10.0 < found[1]


def test_a_ratio_to_a_rate_that_may_be_zero_has_no_upper_end() -> None:
    assert compute_ratio_interval(Counts(0, 100), Counts(5, 100))[1] == inf
    assert compute_ratio_interval(Counts(), Counts()) == (0.0, inf)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Rate(1.5), "a rate has to be between 0 and 1"),
        (lambda: Margin("Difference", -0.1), "a difference of rates has to be between 0 and 1"),
        (lambda: Margin("Ratio", 0.9), "a ratio of rates has to be a number of at least 1"),
        (lambda: Margin("Ratio", float("nan")), "a ratio of rates has to be a number"),
    ],
)
def test_a_bound_that_means_nothing_is_refused(make: Callable[[], object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        make()
