"""A ramp sends as many requests as its area says, each when its line has it."""

import pytest

from testbed.load.ramp import format_ramp, make_ramp, parse_ramp, steady

UP_AND_DOWN = [(0.0, 1.0), (60.0, 61.0), (90.0, 61.0), (150.0, 1.0)]


def test_a_steady_rate_is_a_level_line() -> None:
    ramp = steady(20.0, 0.5)

    assert ramp.planned == 10
    assert [ramp.due(number) for number in (0, 1, 9)] == pytest.approx([0.0, 0.05, 0.45])


def test_as_many_requests_are_planned_as_the_area_under_the_line() -> None:
    assert make_ramp(UP_AND_DOWN).planned == 31 * 60 + 61 * 30 + 31 * 60


@pytest.mark.parametrize(("begin", "end"), [(0, 10), (50, 60), (70, 80), (140, 150)])
def test_what_leaves_within_a_time_is_the_area_over_it(begin: int, end: int) -> None:
    ramp = make_ramp(UP_AND_DOWN)
    due = [ramp.due(number) for number in range(ramp.planned)]

    left = sum(begin <= seconds < end for seconds in due)

    assert due == sorted(due)
    assert left == pytest.approx((ramp.rate(begin) + ramp.rate(end - 1e-9)) / 2 * 10, abs=1)


def test_the_last_request_leaves_before_the_end() -> None:
    ramp = make_ramp(UP_AND_DOWN)

    assert ramp.due(ramp.planned - 1) < ramp.seconds == 150.0


def test_a_ramp_is_read_as_it_is_written() -> None:
    assert parse_ramp(format_ramp(UP_AND_DOWN)) == make_ramp(UP_AND_DOWN)


@pytest.mark.parametrize("text", ["", "5", "0:1", "0:1,0:2", "0:1,5:0", "0:1,5:-3", "a:b,c:d"])
def test_what_is_no_ramp_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"ramp|float"):
        parse_ramp(text)
