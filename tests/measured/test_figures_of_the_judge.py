"""The benchmark of the judge in small: every promise of docs/analysis.md that has a limit keeps it.

`make bench-judge` has ten times as many rollouts, and the rows that only inform.
"""

from __future__ import annotations

import pytest

from benchmarks.judge.report import render_table
from benchmarks.judge.rollouts import Simulator
from benchmarks.judge.tables import (
    Compute,
    compute_equal,
    compute_example,
    compute_late,
    compute_regressions,
    compute_shared,
    compute_small,
)

SEED = 20261121


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("compute", "rollouts"),
    [
        pytest.param(compute_equal, 2000, id="equal versions"),
        pytest.param(compute_regressions, 2000, id="regressions"),
        pytest.param(compute_small, 300, id="small differences"),
        pytest.param(compute_late, 200, id="late regressions"),  # 4,400 readings each
        pytest.param(compute_shared, 100, id="what befalls both sides"),
        pytest.param(compute_example, 500, id="the example"),
    ],
)
def test_no_row_misses_its_limit(compute: Compute, rollouts: int) -> None:
    table = compute(Simulator(SEED), rollouts)
    assert table.missed == 0, render_table(table)
