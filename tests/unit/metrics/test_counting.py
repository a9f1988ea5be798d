"""Counters of Prometheus, series by series, become counts since the last reading."""

from math import inf, nan

import pytest
from canarium.judge.sequential import Counts
from canarium.metrics.counting import MAX_REMEMBERED, CountsTracker, Labels, SeriesTracker, flip
from canarium.outbound.errors import SourceError
from hypothesis import given
from hypothesis import strategies as st


def series(**values: float) -> dict[Labels, float]:
    """Series by their pod."""
    return {(("pod", pod),): value for pod, value in values.items()}


def read(tracker: CountsTracker, bad: dict[Labels, float], total: dict[Labels, float]) -> Counts:
    counts = tracker.compute_counts(bad, total)
    assert counts is not None
    return counts


def test_the_first_reading_is_where_counting_starts() -> None:
    tracker = CountsTracker()
    assert tracker.compute_counts(series(a=5), series(a=100)) is None
    assert tracker.compute_counts(series(a=6), series(a=110)) == Counts(1, 10)


def test_empty_results_and_numbers_that_are_none_are_no_data() -> None:
    tracker = CountsTracker()
    assert tracker.compute_counts({}, {}) is None
    assert tracker.compute_counts(series(a=1), series(a=nan)) is None
    assert tracker.compute_counts(series(a=5), series(a=100)) is None  # where counting starts
    assert tracker.compute_counts(series(a=nan), series(a=104)) == Counts(0, 4)
    assert tracker.compute_counts(series(a=5), series(a=inf)) is None
    assert tracker.compute_counts(series(a=7), series(a=108)) == Counts(2, 4)


def test_no_series_of_bad_ones_means_that_none_was_bad() -> None:
    tracker = CountsTracker()
    tracker.compute_counts({}, series(a=100))
    assert tracker.compute_counts({}, series(a=110)) == Counts(0, 10)
    assert tracker.compute_counts(series(a=3), series(a=120)) == Counts(3, 10)


def test_a_pod_that_goes_takes_nothing_away_and_one_that_comes_counts_from_zero() -> None:
    tracker = CountsTracker()
    tracker.compute_counts({}, series(a=1000, b=1000))
    assert tracker.compute_counts({}, series(a=1010)) == Counts(0, 10)
    assert tracker.compute_counts({}, series(a=1010, c=7)) == Counts(0, 7)


def test_a_series_that_was_away_goes_on_where_it_was() -> None:
    tracker = CountsTracker()
    tracker.compute_counts({}, series(a=1000, b=1000))
    tracker.compute_counts({}, series(a=1000))
    assert tracker.compute_counts({}, series(a=1000, b=1003)) == Counts(0, 3)


def test_a_counter_that_has_fallen_began_anew() -> None:
    tracker = CountsTracker()
    tracker.compute_counts(series(a=50), series(a=1000, b=500))
    assert tracker.compute_counts(series(a=2), series(a=10, b=505)) == Counts(2, 15)


def test_fractions_are_rounded_down_and_carried() -> None:
    tracker = CountsTracker()
    tracker.compute_counts(series(a=0.0), series(a=0.0))
    told = [read(tracker, series(a=n * 0.4), series(a=n * 0.7)) for n in range(1, 11)]
    assert told[0] == Counts(0, 0)
    assert sum(told, Counts()) == Counts(4, 7)


def test_bad_ones_that_are_seen_a_moment_early_count_with_the_next_reading() -> None:
    tracker = CountsTracker()
    tracker.compute_counts({}, series(a=100))
    assert tracker.compute_counts(series(a=5), series(a=103)) == Counts(3, 3)
    assert tracker.compute_counts(series(a=5), series(a=110)) == Counts(2, 7)


def test_more_bad_ones_than_all_are_a_mistake_and_not_a_verdict() -> None:
    tracker = CountsTracker()
    tracker.compute_counts(series(a=0), series(a=0))
    tracker.compute_counts(series(a=20), series(a=10))
    with pytest.raises(SourceError, match="30 bad among 10 cannot be: check the two queries"):
        tracker.compute_counts(series(a=40), series(a=20))


@pytest.mark.parametrize("value", [-1.0, -0.001, 1e17])
def test_a_counter_that_cannot_be_is_an_error_and_loses_nothing(value: float) -> None:
    tracker = CountsTracker()
    tracker.compute_counts({}, series(a=100))
    with pytest.raises(SourceError, match="negative or beyond counting"):
        tracker.compute_counts({}, series(a=value))
    assert tracker.compute_counts({}, series(a=105)) == Counts(0, 5)


def test_a_rate_is_no_counter() -> None:
    tracker = CountsTracker()
    for rate in [2.5, 1.5, 2.5, 1.5, 2.5]:
        tracker.compute_counts({}, series(a=rate))
    with pytest.raises(SourceError, match="falls again and again is no counter"):
        tracker.compute_counts({}, series(a=1.5))


def test_a_pod_that_restarts_now_and_then_is_a_counter() -> None:
    tracker = SeriesTracker()
    for _ in range(10):
        for value in range(5):
            tracker.compute_increase(series(a=value))


def test_series_that_come_and_go_without_end_are_forgotten() -> None:
    tracker = SeriesTracker()
    for number in range(MAX_REMEMBERED + 10):
        tracker.compute_increase(series(stays=1, **{f"p{number}": 1}))
    assert len(tracker._followed) == MAX_REMEMBERED
    assert tracker.compute_increase(series(stays=3, p0=1)) == 3


def test_good_ones_are_turned_into_bad_ones() -> None:
    assert flip(Counts(bad=90, total=100)) == Counts(bad=10, total=100)


steps = st.lists(
    st.tuples(st.integers(0, 50), st.integers(0, 50), st.booleans()), min_size=1, max_size=20
)


@given(steps)
def test_what_is_told_adds_up_however_a_pod_restarts(
    history: list[tuple[int, int, bool]],
) -> None:
    tracker = CountsTracker()
    tracker.compute_counts(series(a=0), series(a=0, b=0))
    bad = total = 0
    told = []
    for more_bad, more_good, restarts in history:
        lasting = more_bad + more_good >= total or not restarts
        bad, total = (bad, total) if lasting else (0, 0)
        bad, total = bad + more_bad, total + more_bad + more_good
        try:
            told.append(read(tracker, series(a=bad), series(a=total, b=0)))
        except SourceError:
            return
    assert all(0 <= counts.bad <= counts.total for counts in told)
    assert sum(counts.total for counts in told) == sum(b + g for b, g, _ in history)
