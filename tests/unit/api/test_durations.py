import pytest
from canarium.api.durations import format_duration, parse_duration, parse_factor, parse_ratio
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0s", 0.0),
        ("1s", 1.0),
        ("250ms", 0.25),
        ("90s", 90.0),
        ("1h30m", 5400.0),
        ("1h0m0s1ms", 3600.001),
        ("99999h", 359_996_400.0),
        ("1s1s", 2.0),
    ],
)
def test_a_duration_is_read_as_seconds(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    ["", "5", "s", "1.5s", "-1s", "1d", "100000s", "1h1m1s1ms1s", " 1s", "1s\n", "1S", "\u0661s"],
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (0.25, "250ms"), (5400, "1h30m"), (90, "1m30s"), (86400, "24h")],
)
def test_seconds_are_written_as_a_duration(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@given(st.integers(min_value=0, max_value=99999 * 3_600_000))
def test_every_duration_that_is_written_reads_back(milliseconds: int) -> None:
    assert parse_duration(format_duration(milliseconds / 1000)) == milliseconds / 1000


def test_there_is_no_negative_duration() -> None:
    with pytest.raises(ValueError, match="not negative"):
        format_duration(-1)


@pytest.mark.parametrize(
    ("text", "ratio"),
    [("5%", 0.05), ("0.5%", 0.005), ("0", 0.0), ("0.05", 0.05), ("1", 1.0), ("100%", 1.0)],
)
def test_a_ratio_is_read_as_a_share_of_one(text: str, ratio: float) -> None:
    assert parse_ratio(text) == pytest.approx(ratio, rel=1e-15)


@pytest.mark.parametrize("text", ["", "%", "5", "1.5", "101%", "-5%", ".5", "5 %", "nan", "1e-2"])
def test_what_is_no_ratio_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a ratio"):
        parse_ratio(text)


def test_a_factor_is_at_least_one() -> None:
    assert parse_factor("1.2") == 1.2
    with pytest.raises(ValueError, match="not a factor"):
        parse_factor("0.9")
