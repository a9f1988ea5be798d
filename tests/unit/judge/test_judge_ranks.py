"""Ranks, against values that others have published and against scipy's own two-sided test."""

from random import Random

import pytest
from canarium.judge import ranks
from canarium.judge.ranks import Comparison, compare, compute_shift_interval, estimate_shift
from scipy.stats import mannwhitneyu

TENS, ONES = (10.0, 20.0, 30.0, 40.0), (1.0, 2.0, 3.0, 4.0)


def test_the_example_of_kayentas_tests_and_of_r() -> None:
    assert compute_shift_interval(stable=ONES, canary=TENS, confidence=0.95) == (6.0, 39.0)
    assert estimate_shift(stable=ONES, canary=TENS) == 22.5


def draw(random: Random, readings: int, shift: float, digits: int) -> list[float]:
    return [round(random.gauss(20.0 + shift, 3.0), digits) for _ in range(readings)]


def is_rejected(stable: list[float], canary: list[float], shift: float) -> bool:
    moved = [value - shift for value in canary]
    return bool(mannwhitneyu(moved, stable, method="asymptotic").pvalue < 0.02)


@pytest.mark.parametrize("digits", [0, 1, 9], ids=["many ties", "some ties", "no ties"])
@pytest.mark.parametrize("sizes", [(5, 5), (8, 30), (40, 25)])
def test_the_interval_holds_just_the_shifts_that_scipy_does_not_reject(
    sizes: tuple[int, int], digits: int
) -> None:
    random = Random(sizes[0] + digits)
    stable, canary = draw(random, sizes[0], 0.0, digits), draw(random, sizes[1], 2.0, digits)
    low, high = compute_shift_interval(stable, canary)
    hair = 1e-9
    assert not is_rejected(stable, canary, low + hair)
    assert not is_rejected(stable, canary, high - hair)
    assert is_rejected(stable, canary, low - hair)
    assert is_rejected(stable, canary, high + hair)
    assert low <= estimate_shift(stable, canary) <= high


def test_swapping_the_sides_turns_the_interval_round() -> None:
    random = Random(5)
    stable, canary = draw(random, 20, 0.0, 1), draw(random, 12, 1.0, 1)
    low, high = compute_shift_interval(stable, canary)
    assert compute_shift_interval(canary, stable) == (-high, -low)


HIGH, LOW = (20.0, 22.0, 21.0, 25.0, 30.0), (1.0, 2.2, 1.1, 2.5, 3.0)


@pytest.mark.parametrize(
    ("stable", "canary", "allowed", "label"),
    [
        (LOW, HIGH, (1.0, 1.0), "High"),
        (HIGH, LOW, (1.0, 1.0), "Low"),
        (LOW, HIGH, (20.0, 1.0), "Same"),
        (HIGH, LOW, (1.0, 0.05), "Same"),
        (HIGH, HIGH, (1.0, 1.0), "Same"),
        ((3.0,) * 9, (3.0,) * 9, (1.0, 1.0), "Same"),
        ((3.0,) * 9, (5.0,) * 9, (1.0, 1.0), "High"),
        ((0.0,) * 9, (5.0,) * 9, (1.0, 1.0), "High"),
        ((-30.0, -29.0, -28.0, -27.0, -26.0), (-4.0, -3.0, -2.0, -1.5, -1.0), (1.0, 1.0), "High"),
    ],
)
def test_high_and_low_mean_what_they_mean_in_kayenta(
    stable: tuple[float, ...], canary: tuple[float, ...], allowed: tuple[float, float], label: str
) -> None:
    assert compare(stable, canary, *allowed).label == label


def test_a_comparison_says_interval_estimate_and_ratio_of_the_means() -> None:
    assert compare((3.0,) * 9, (5.0,) * 9) == Comparison("High", (2.0, 2.0), 2.0, 5.0 / 3.0)
    assert compare((0.0,) * 9, (5.0,) * 9).effect is None


def test_five_readings_a_side_are_the_fewest_that_can_show_anything() -> None:
    def p_value(readings: int) -> float:
        sides = [float(each) for each in range(2 * readings)]
        found = mannwhitneyu(sides[:readings], sides[readings:], method="asymptotic")
        return float(found.pvalue)

    limit = 1.0 - ranks.CONFIDENCE
    assert p_value(ranks.LEAST_READINGS) < limit <= p_value(ranks.LEAST_READINGS - 1)


def test_numbers_at_the_end_of_what_can_be_written_are_compared_too() -> None:
    huge = tuple(each * 1e299 for each in range(1, 8))
    assert compare(tuple(-each for each in huge), huge).label == "High"
