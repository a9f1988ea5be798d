"""The judge's benchmark: its streams, the usual judge, its figures, its place in a document."""

from __future__ import annotations

from itertools import islice
from math import inf
from pathlib import Path

import numpy as np
import pytest
from canarium.judge import Reading, Sample

from benchmarks.judge.figures import Share, compute_information_bound, compute_quantile
from benchmarks.judge.judges import Outcome, Threshold
from benchmarks.judge.report import BEGIN, END, draw, render_table, write_section
from benchmarks.judge.rollouts import Case, Simulator, simulating
from benchmarks.judge.streams import (
    BadNode,
    Bursts,
    Constant,
    Drift,
    First,
    Steady,
    Steps,
    Swing,
)
from benchmarks.judge.tables import Row, Table

CASE = Case("small", First(30, Steady(0.5, Constant(0.01), Constant(0.2))), Threshold(0.02))


def reading(errors: int, requests: int = 10, slow: int = 0) -> Reading:
    latency = ((0.5, requests - slow), (inf, requests))
    return Reading(10, None, Sample(requests, errors, latency))


@pytest.mark.parametrize(
    ("threshold", "readings", "want"),
    [
        (Threshold(0.2), [reading(2)] * 9, Outcome(False, 9, 90)),
        (Threshold(0.2), [reading(3)] * 9, Outcome(True, 3, 30)),
        (Threshold(0.2), [reading(9), *[reading(0)] * 9], Outcome(True, 3, 30)),
        (Threshold(0.2, window=1), [reading(9), *[reading(0)] * 9], Outcome(False, 10, 100)),
        (Threshold(0.2, every=2), [reading(3)] * 9, Outcome(True, 6, 60)),
        (Threshold(0.2), [reading(0, slow=9)] * 9, Outcome(False, 9, 90)),
        (Threshold(0.2, quantile=0.9, slow_seconds=0.5), [reading(0, slow=1)] * 9,
         Outcome(False, 9, 90)),
        (Threshold(0.2, quantile=0.9, slow_seconds=0.5), [reading(0, slow=2)] * 9,
         Outcome(True, 3, 30)),
    ],
)  # fmt: skip
def test_the_usual_judge_fails_when_the_last_minute_is_too_bad_three_times(
    threshold: Threshold, readings: list[Reading], want: Outcome
) -> None:
    assert threshold.judge(iter(readings)) == want


def test_rates_change_when_they_should() -> None:
    numbers = np.arange(4)
    assert np.allclose(Drift(0.0, 0.4, 4).at(numbers), [0.0, 0.1, 0.2, 0.3])
    assert np.allclose(Steps(((0, 0.1), (1, 0.2), (3, 0.4))).at(numbers), [0.1, 0.2, 0.2, 0.4])
    assert np.allclose(Swing(0.1, 0.3, 2).at(numbers), [0.1, 0.3, 0.1, 0.3])
    assert np.allclose(BadNode(0.5, 1, 3).at(numbers), [0.5, 0.0, 0.0, 0.5])


def test_a_stream_splits_its_requests_and_has_the_rates_that_it_was_given() -> None:
    stream = Steady(0.05, Constant(0.1), Constant(0.3))
    readings = list(islice(stream.answer(np.random.default_rng(3)), 2000))
    stable = sum(each.stable.errors or 0 for each in readings if each.stable) / (95 * 2000)
    canary = sum(each.canary.errors or 0 for each in readings if each.canary) / (5 * 2000)
    assert stable == pytest.approx(0.1, abs=0.004)
    assert canary == pytest.approx(0.3, abs=0.02)


def test_bursts_come_several_at_a_time() -> None:
    stream = Bursts(0.5, 0.06, 3)
    readings = islice(stream.answer(np.random.default_rng(3)), 200)
    errors = {each.canary.errors for each in readings if each.canary}
    assert {0, 3} < errors <= {0, 3, 6, 9, 12, 15, 18}


def test_a_burst_may_last_for_several_readings() -> None:
    stream = Bursts(0.5, 0.004, 20, 5)
    readings = list(islice(stream.answer(np.random.default_rng(3)), 4000))
    errors = [each.canary.errors or 0 for each in readings if each.canary]
    assert set(errors) >= {0, 4, 8}
    assert all(error % 4 == 0 for error in errors)
    assert sum(errors) / (50 * len(errors)) == pytest.approx(0.004, rel=0.3)
    begun = errors.index(4)
    assert errors[begun : begun + 5] >= [4] * 5


def test_the_same_seed_gives_the_same_outcomes_on_any_number_of_processes() -> None:
    alone = Simulator(1).run(CASE, 20)
    with simulating(1, workers=2) as simulator:
        assert simulator.run(CASE, 20) == alone
    assert Simulator(2).run(CASE, 20) != alone


def test_a_share_has_an_upper_bound() -> None:
    # Without a failure it is 1 - 0.01 ** (1 / n).
    assert Share(0, 459).upper_bound == pytest.approx(1 - 0.01 ** (1 / 459))
    assert Share(5, 5).upper_bound == 1.0


def test_the_information_bound_is_that_of_the_closed_form() -> None:
    # With as many answers on each side the nearest pair of equal rates is their mean.
    middle = 0.03
    distance = sum(
        rate * np.log(rate / middle) + (1 - rate) * np.log((1 - rate) / (1 - middle))
        for rate in (0.01, 0.05)
    )
    assert compute_information_bound(0.01, 0.05, 0.5) == pytest.approx(np.log(100) / distance)


def test_a_quantile_is_a_number_that_was_seen() -> None:
    assert [compute_quantile([5, 1, 4, 2], quantile) for quantile in (0.25, 0.5, 1.0)] == [1, 2, 5]


TABLE = Table(
    "Two of them",
    ("name", "share"),
    (
        Row(("a", "1%"), figures={"ours": 0.0, "upper": 0.004, "usual": 0.4}),
        Row(("b", "2%"), kept=False, figures={"ours": 0.02, "upper": 0.03, "usual": 0.5}),
    ),
    "Words.",
)


def test_a_row_that_misses_its_limit_says_so() -> None:
    assert TABLE.missed == 1
    assert render_table(TABLE) == (
        "**Two of them.**\n\n| name | share |\n| --- | --- |\n| a | 1% |\n"
        "| b, **limit missed** | 2% |\n\nWords.\n"
    )


def test_a_section_of_a_document_is_replaced_and_nothing_else(tmp_path: Path) -> None:
    document = tmp_path / "a.md"
    document.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    for text in ("new", "newer"):
        write_section(document, text)
    assert document.read_text() == f"before\n{BEGIN}\nnewer\n{END}\nafter\n"


def test_a_document_without_the_marks_is_left_alone(tmp_path: Path) -> None:
    document = tmp_path / "a.md"
    document.write_text("words\n")
    with pytest.raises(ValueError, match="has no lines"):
        write_section(document, "new")
    assert document.read_text() == "words\n"


def test_the_plot_has_a_mark_for_each_row() -> None:
    rows = (Row(("2 %", ""), figures={"bound": 300.0, "median": 400.0, "usual": 150.0}),)
    picture = draw({"equal": TABLE, "regressions": Table("", (), rows)})
    legend = 2
    assert picture.count("<circle") == len(TABLE.rows) + len(rows) + legend
    assert picture.count("<path") == len(TABLE.rows) + len(rows) + legend
