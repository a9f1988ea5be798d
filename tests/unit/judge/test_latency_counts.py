from math import inf

import pytest
from canarium.judge.latency import add, choose_thresholds, count_slower, round_up
from canarium.judge.sequential import Counts

from tests.unit.judge.judging import histogram

FAST = histogram((990, 0.02), (10, 0.03))


@pytest.mark.parametrize(
    ("seconds", "slower"),
    [(0.025, Counts(10, 1000)), (0.05, Counts(0, 1000)), (0.01, Counts(1000, 1000))],
)
def test_answers_above_a_bound_are_counted(seconds: float, slower: Counts) -> None:
    assert count_slower(FAST, seconds) == slower


def test_what_no_bucket_tells_is_not_counted() -> None:
    assert count_slower(FAST, 0.03) is None


@pytest.mark.parametrize(
    ("seconds", "bound"), [(0.25, 0.25), (0.2500000000001, 0.25), (0.26, 0.5), (10.1, None)]
)
def test_a_bound_is_rounded_up_to_a_bucket(seconds: float, bound: float | None) -> None:
    assert round_up(FAST, seconds) == bound


@pytest.mark.parametrize(
    ("stable", "ratio", "thresholds"),
    [
        (histogram((1000, 0.02)), 1.2, (0.025, 0.05)),
        (histogram((990, 0.02), (10, 0.03)), 1.2, (0.025, 0.05)),
        (histogram((989, 0.02), (11, 0.03)), 1.2, (0.05, 0.075)),
        (histogram((1000, 0.02)), 1.0, (0.025, 0.025)),
        (histogram((1000, 6.0)), 1.2, (7.5, 10.0)),
        (histogram((1000, 60.0)), 1.2, (7.5, 10.0)),
        (histogram((1000, 0.02)), 1000.0, (0.01, 10.0)),
    ],
)
def test_thresholds_lie_at_stables_quantile_and_at_the_ratio_rounded_up(
    stable: tuple[tuple[float, int], ...], ratio: float, thresholds: tuple[float, float]
) -> None:
    assert choose_thresholds(stable, FAST, 0.99, ratio) == thresholds


def test_the_canarys_threshold_is_one_of_its_own_buckets() -> None:
    other = histogram((1, 0.02), bounds=(0.02, 0.04, 0.08, inf))
    assert choose_thresholds(FAST, other, 0.99, 1.2) == (0.025, 0.04)


def test_a_histogram_without_bounds_gives_no_thresholds() -> None:
    assert choose_thresholds(FAST, ((inf, 5),), 0.99, 1.2) is None


def test_histograms_add_up_by_the_bounds_that_both_have() -> None:
    first, second = ((0.1, 1), (0.2, 3), (inf, 4)), ((0.2, 10), (0.3, 10), (inf, 10))
    assert add(first, second) == ((0.2, 13), (inf, 14))
    assert add(None, second) == second
    assert add(first, None) == first
