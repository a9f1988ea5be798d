from math import exp, log
from random import Random

import pytest
from canarium.judge.intervals import compute_difference_interval, compute_rate_interval
from canarium.judge.sequential import Counts
from scipy.integrate import quad
from scipy.stats import beta


@pytest.mark.parametrize(("bad", "total"), [(0, 50), (3, 200), (40, 100), (7, 7)])
def test_an_edge_is_where_the_mixture_is_twenty_times_as_likely(bad: int, total: int) -> None:
    mixture, _ = quad(
        lambda rate: beta.pdf(rate, 0.5, 0.5) * rate**bad * (1 - rate) ** (total - bad), 0, 1
    )
    for edge in compute_rate_interval(Counts(bad, total)):
        if edge not in (0.0, 1.0):
            likelihood = bad * log(edge) + (total - bad) * log(1 - edge)
            assert log(mixture) - likelihood == pytest.approx(log(20), abs=1e-4)


@pytest.mark.parametrize(
    ("bad", "total", "log_mixture"),
    [(30, 40, 3.154614025), (0, 20, 11.786463182), (560, 1000, 3.537458880)],
)
def test_the_mixture_is_that_of_confseq(bad: int, total: int, log_mixture: float) -> None:
    """confseq 0.0.11, by the authors of "Time-uniform, nonparametric, nonasymptotic confidence
    sequences": beta_binomial_log_mixture(bad - total/2, total/4, 3.968077300868839, 0.5, 0.5, 0.05,
    False), whose mixing distribution at a rate of 1/2 is ours, Beta(1/2, 1/2).
    """
    edges = compute_rate_interval(Counts(bad, total), 1.0 - exp(-log_mixture))
    assert min(abs(edge - 0.5) for edge in edges) < 1e-6


def test_nothing_counted_leaves_everything_possible() -> None:
    assert compute_rate_interval(Counts()) == (0.0, 1.0)
    assert compute_difference_interval(Counts(), Counts()) == (-1.0, 1.0)


def test_a_difference_is_as_far_off_as_both_rates_edges_allow() -> None:
    stable, canary = Counts(12, 4000), Counts(40, 400)
    lowest, highest = compute_rate_interval(stable, 0.975)
    low, high = compute_rate_interval(canary, 0.975)
    found = compute_difference_interval(stable, canary, 0.95)
    assert found == pytest.approx((low - highest, high - lowest))
    assert 0.0 < found[0] < 0.1 - 0.003 < found[1] < 0.2


def test_the_truth_stays_inside_at_every_moment_as_often_as_promised() -> None:
    random = Random(7)
    missed = sum(_ever_misses(random, 0.03) for _ in range(200))
    assert missed <= 10


def _ever_misses(random: Random, rate: float) -> bool:
    counts = Counts()
    for _ in range(40):
        counts += Counts(sum(random.random() < rate for _ in range(25)), 25)
        low, high = compute_rate_interval(counts)
        if not low <= rate <= high:
            return True
    return False
