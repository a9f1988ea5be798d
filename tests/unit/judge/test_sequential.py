"""The tests on counts, against figures that are computed another way."""

from collections.abc import Iterator
from itertools import pairwise, product
from math import comb, exp, isfinite, log, prod

import pytest
from canarium.judge import rows, start
from canarium.judge.sequential import (
    EFFECTS,
    FIRST_STAKE,
    Counts,
    Evidence,
    Margin,
    begin,
    bet_on_margin,
    bet_on_rate,
    compute_e_value,
    compute_unstarted,
    multiply,
    project,
    start_another,
)
from scipy.optimize import minimize_scalar

from tests.unit.judge.judging import answers, error_rate, evidence_of, observe_all, reading

NO_WORSE = Margin("Difference", 0.0)
MARGINS = [
    NO_WORSE,
    Margin("Difference", 0.005),
    Margin("Difference", 0.2),
    Margin("Ratio", 1.0),
    Margin("Ratio", 1.5),
    Margin("Ratio", 20.0),
]


def probability(counts: Counts, rate: float) -> float:
    good = counts.total - counts.bad
    return comb(counts.total, counts.bad) * rate**counts.bad * (1 - rate) ** good


def by_hand(stable: Counts, canary: Counts, rates: tuple[float, float]) -> float:
    return probability(stable, rates[0]) * probability(canary, rates[1])


def divergence(rate: float, other: float) -> float:
    return rate * log(rate / other) + (1 - rate) * log((1 - rate) / (1 - other))


@pytest.mark.parametrize("margin", MARGINS)
@pytest.mark.parametrize("split", [0.1, 1.0, 4.0, 19.0])
@pytest.mark.parametrize("stable_rate", [0.0001, 0.01, 0.04])
@pytest.mark.parametrize("effect", [1.1, 3.0, 150.0])
def test_the_projection_is_the_nearest_point_that_a_minimiser_finds(
    margin: Margin, split: float, stable_rate: float, effect: float
) -> None:
    allowed = margin.allows(stable_rate)
    odds = effect * allowed / (1 - allowed)
    canary_rate = odds / (1 + odds)

    def distance(rate: float) -> float:
        return split * divergence(stable_rate, rate) + divergence(canary_rate, margin.allows(rate))

    highest = 1 - margin.value if margin.kind == "Difference" else 1 / margin.value
    found = minimize_scalar(
        distance, bounds=(1e-12, highest - 1e-12), method="bounded", options={"xatol": 1e-13}
    )
    nearest = project(stable_rate, canary_rate, split, margin)
    assert distance(nearest) == pytest.approx(found.fun, abs=1e-12)
    assert nearest == pytest.approx(found.x, rel=1e-4)


@pytest.mark.parametrize("margin", MARGINS)
def test_the_bets_on_a_block_are_likelihood_ratios_against_that_point(margin: Margin) -> None:
    stable, canary, learned = Counts(1, 16), Counts(2, 4), Counts(3, 250)
    stable_rate = (3 + 0.5) / (250 + 50)
    allowed = margin.allows(stable_rate)
    expected = []
    for effect in EFFECTS:
        odds = effect * allowed / (1 - allowed)
        canary_rate = odds / (1 + odds)
        null = project(stable_rate, canary_rate, 16 / 4, margin)
        against = by_hand(stable, canary, (stable_rate, canary_rate))
        expected.append(log(against / by_hand(stable, canary, (null, margin.allows(null)))))
    assert bet_on_margin(stable, canary, margin, learned) == pytest.approx(expected, rel=1e-9)


def list_outcomes(block: tuple[int, int]) -> Iterator[tuple[Counts, Counts]]:
    for bad, worse in product(range(block[0] + 1), range(block[1] + 1)):
        yield Counts(bad, block[0]), Counts(worse, block[1])


def rates_within(margin: Margin) -> Iterator[tuple[float, float]]:
    for stable_rate in (0.0, 0.001, 0.03, 0.2, 0.6, 1.0):
        allowed = min(margin.allows(stable_rate), 1.0)
        yield from ((stable_rate, share * allowed) for share in (1.0, 0.9, 0.3, 0.0))


@pytest.mark.parametrize(
    ("learned", "stable", "canary", "difference", "e_values"),
    [
        (
            (12, 1000), (1, 80), (3, 20), 0.0,
            (3.878047435130, 8.677352766723, 17.023119037405, 16.675561185399, 0.129446315868),
        ),
        (
            (12, 1000), (1, 80), (3, 20), 0.005,
            (3.951641410169, 8.550167097123, 14.338134848733, 9.215166879355, 0.007617324918),
        ),
        (
            (0, 0), (0, 16), (1, 4), 0.02,
            (1.720722654622, 2.430387172665, 3.307058496227, 3.421839057325, 0.605435926636),
        ),
        (
            (100, 1000), (12, 100), (15, 100), 0.0,
            (0.708254208086, 0.074296940524, 4.27595411e-05, 1.785343769e-16, 6.106634210e-59),
        ),
    ],
)  # fmt: skip
def test_the_e_values_of_a_block_are_those_of_safestats(
    learned: tuple[int, int],
    stable: tuple[int, int],
    canary: tuple[int, int],
    difference: float,
    e_values: tuple[float, ...],
) -> None:
    """safestats 0.8.7, by the authors of the method: likelihoodTwoProportions at the alternative,
    over that at the root of calculateDerivativeKLTwoProportionsLinear.
    """
    margin = Margin("Difference", difference)
    effects = (2.0, 3.5, 8.0, 25.0, 150.0)
    bets = bet_on_margin(Counts(*stable), Counts(*canary), margin, Counts(*learned), effects)
    assert [exp(bet) for bet in bets] == pytest.approx(e_values, rel=1e-8)


@pytest.mark.parametrize("margin", MARGINS)
@pytest.mark.parametrize("block", [(1, 1), (3, 4), (16, 4), (2, 9)])
@pytest.mark.parametrize("learned", [Counts(0, 0), Counts(0, 1000), Counts(9, 10)])
def test_no_bet_is_expected_to_gain_while_the_canary_is_within_its_margin(
    margin: Margin, block: tuple[int, int], learned: Counts
) -> None:
    gains = [
        (outcome, [exp(bet) for bet in bet_on_margin(*outcome, margin, learned)])
        for outcome in list_outcomes(block)
    ]
    for rates in rates_within(margin):
        for effect in range(len(EFFECTS)):
            expected = sum(by_hand(*outcome, rates) * gain[effect] for outcome, gain in gains)
            assert expected <= 1 + 1e-9


@pytest.mark.parametrize("allowed", [0.0, 0.0001, 0.01, 0.05, 0.5, 0.99, 1.0])
@pytest.mark.parametrize("total", [1, 5, 40])
def test_no_bet_on_a_rate_is_expected_to_gain_while_the_rate_is_allowed(
    allowed: float, total: int
) -> None:
    outcomes = [Counts(bad, total) for bad in range(total + 1)]
    for rate, effect in product((allowed, 0.7 * allowed, 0.0), range(len(EFFECTS))):
        expected = sum(
            probability(outcome, rate) * exp(bet_on_rate(outcome, allowed)[effect])
            for outcome in outcomes
            if probability(outcome, rate)
        )
        assert expected <= 1 + 1e-9


def test_the_whole_process_is_not_expected_to_gain_over_blocks_that_learn() -> None:
    blocks = ((4, 3), (2, 2), (5, 1))

    def play(evidence: Evidence, learned: Counts, rest: tuple[tuple[int, int], ...]) -> float:
        if not rest:
            return compute_e_value(evidence)

        expected = 0.0
        for stable, canary in list_outcomes(rest[0]):
            later = multiply(evidence, bet_on_margin(stable, canary, NO_WORSE, learned))
            value = play(start_another(later), learned + stable, rest[1:])
            expected += by_hand(stable, canary, (0.1, 0.1)) * value
        return expected

    assert play(begin(), Counts(), blocks) <= 1 + 1e-9


@pytest.mark.parametrize("margin", [{"max_increase": 0.0}, {"max_ratio": 1.5}])
@pytest.mark.parametrize("rate", [0.02, 0.3, 0.6])
def test_an_analysis_is_not_expected_to_gain_while_the_canary_is_within_its_margin(
    margin: dict[str, float], rate: float
) -> None:
    analysis = start([error_rate(**margin)])
    rates = rate, rate * margin.get("max_ratio", 1.0)
    expected = 0.0
    for outcomes in product(*map(list_outcomes, ((6, 2), (2, 2), (2, 3)))):
        readings = [
            reading(answers(stable.total, stable.bad), answers(canary.total, canary.bad))
            for stable, canary in outcomes
        ]
        (row,) = rows(observe_all(analysis, readings))
        chance = prod(by_hand(stable, canary, rates) for stable, canary in outcomes)
        expected += chance * evidence_of(row)
    assert expected <= 1 + 1e-9


def test_evidence_is_the_weighted_sum_of_processes_that_started_one_after_another() -> None:
    bets = [
        tuple(0.1 * ((block * 7 + effect) % 5 - 1.8) for effect in range(5)) for block in range(50)
    ]
    evidence = begin(range(5))
    for bet in bets:
        evidence = multiply(evidence, bet)
    starts = [0, 20, 40]
    weights = [compute_unstarted(j) - compute_unstarted(j + 1) for j in range(3)]
    processes = [
        sum(exp(sum(bet[effect] for bet in bets[start:])) for effect in range(5)) / 5
        for start in starts
    ]
    explicit = sum(w * process for w, process in zip(weights, processes, strict=True))
    assert evidence.starts == len(starts)
    assert compute_e_value(evidence) == pytest.approx(explicit + compute_unstarted(3), rel=1e-12)


def test_the_weights_are_positive_and_never_sum_to_more_than_one() -> None:
    unstarted = [compute_unstarted(starts) for starts in range(5000)]
    assert unstarted[:2] == [1.0, pytest.approx(1.0 - FIRST_STAKE)]
    assert all(later < earlier for earlier, later in pairwise(unstarted))
    assert unstarted[-1] > 0.0


def test_evidence_begins_at_one() -> None:
    assert compute_e_value(begin()) == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("block", [(0, 5), (5, 0), (0, 0)])
def test_a_block_that_lacks_a_side_says_nothing(block: tuple[int, int]) -> None:
    stable, canary = Counts(0, block[0]), Counts(block[1], block[1])
    assert bet_on_margin(stable, canary, NO_WORSE, Counts()) == (0.0,) * len(EFFECTS)


def test_a_margin_that_allows_everything_is_not_bet_against() -> None:
    everything = Margin("Difference", 1.0)
    bets = bet_on_margin(Counts(0, 100), Counts(100, 100), everything, Counts())
    assert bets == (0.0,) * len(EFFECTS)
    assert bet_on_rate(Counts(100, 100), 1.0) == (0.0,) * len(EFFECTS)


def test_a_million_errors_are_still_a_number() -> None:
    evidence = begin()
    for _ in range(30):
        evidence = multiply(evidence, bet_on_rate(Counts(10**6, 10**6), 0.01))
    assert isfinite(compute_e_value(evidence))
    assert compute_e_value(evidence) > 1e100


def test_one_error_is_enough_where_none_is_allowed() -> None:
    assert compute_e_value(multiply(begin(), bet_on_rate(Counts(1, 4), 0.0))) > 400
