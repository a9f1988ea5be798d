"""Pictures made of characters."""

from __future__ import annotations

import pytest
from canarium.cli.drawing.plots import (
    draw_curve,
    draw_evidence,
    draw_interval,
    find_axis,
    find_decades,
)
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("interval", "value", "bound", "want"),
    [
        ((2.0, 8.0), 5.0, None, "  ├──●──┤  "),
        ((2.0, 8.0), 5.0, 3.0, "  ├┃─●──┤  "),
        ((2.0, 8.0), 5.0, 10.0, "  ├──●──┤ ┃"),
        ((-5.0, 8.0), 5.0, 0.0, "┃────●──┤  "),
        ((2.0, 80.0), 40.0, None, "  ├───────●"),
        ((5.0, 5.0), 5.0, None, "     ●     "),
    ],
)
def test_an_interval_lies_where_it_is_on_the_axis(
    interval: tuple[float, float], value: float, bound: float | None, want: str
) -> None:
    assert draw_interval(interval, value, (0.0, 10.0), 11, bound=bound).plain == want


@pytest.mark.parametrize(
    ("e_value", "want"),
    [
        (0.2, "░░░░"),
        (1.0, "░░░░"),
        (10.0, "██░░"),
        (99.9, "███░"),
        (100.0, "████"),
        (1e300, "████"),
    ],
)
def test_a_bar_of_evidence_is_full_when_the_check_fails_and_not_before(
    e_value: float, want: str
) -> None:
    assert draw_evidence(e_value, 100.0, 4).plain == want


def test_a_curve_passes_through_its_values_and_the_limit_is_a_line() -> None:
    lines = draw_curve([1.0, 10.0, 100.0], 10.0, 12, 3, ends=("a", "c"), ascii_only=True)
    assert [line.plain.rstrip() for line in lines] == [
        "100 |     **",
        " 10 |--****-",
        "  1 |***",
        "    +-------",
        "     a     c",
    ]


def test_a_curve_of_one_reading_and_of_a_tiny_width_is_drawn_all_the_same() -> None:
    lines = draw_curve([3.0], 100.0, 1, 4)
    assert len(lines) == 6


@given(
    st.lists(st.floats(1e-6, 1e200), min_size=1, max_size=50),
    st.floats(1.5, 1e6),
    st.integers(1, 120),
    st.integers(2, 20),
    st.booleans(),
)
def test_any_curve_fits_its_width(
    values: list[float], limit: float, width: int, height: int, ascii_only: bool
) -> None:
    lines = draw_curve(values, limit, width, height, ascii_only=ascii_only)
    assert len(lines) == height + 2
    assert max(line.cell_len for line in lines) <= max(width, 20)


def test_decades_hold_the_values_and_no_more_than_three_beyond_the_limit() -> None:
    assert find_decades([0.4, 30.0], 100.0) == (-1, 3)
    assert find_decades([2.0, 1e200], 100.0) == (0, 6)


def test_an_axis_has_round_ends() -> None:
    assert find_axis([(0.003, 0.0487)], 0.0) == (0.0, 0.05)
    assert find_axis([], 0.0) == (0.0, 0.0)
