import pytest
from canarium.core.quantities import (
    QUANTITY_PATTERN,
    canonical_quantity,
    is_quantity,
    parse_quantity,
)
from hypothesis import given
from hypothesis import strategies as st

SPELLINGS = [
    "0", "0m", "0Ki", "0e3", "00", "0.000", "1", "01", "+1", "1.", "1.0", "1.5", ".5", "0.5",
    "1000", "1000m", "1500m", "999m", "100m", "1u", "1n", "0.1n", "0.000000001", "0.123456789",
    "1k", "1.5k", "1000k", "1024", "1M", "0.001M", "1G", "1T", "1P", "1E", "1000P",
    "1Ki", "0.5Ki", "1.5Ki", "1023Ki", "1024Ki", "1025Ki", "1.0001Ki", "0.5Mi", "1.5Mi", "1Mi",
    "1.5Gi", "512Mi", "2048Mi", "1Gi", "1Ti", "1Pi", "1Ei", "0.1Gi", "123456Ki", "3Gi",
    "999999999999999E", "1000E", "8Ei", "7.999999999Ei", "1023.999999999Ei", "1e19", "1e99",
    "123456789012345.123456789", "123456789012345.123456789Ei", "123456789012.123456789e90",
    "1e3", "1E3", "1e0", "12e6", "1e-3", "15e-1", "1e2", "1e+3", "1.5e3", "100e-3", "1e10",
]  # fmt: skip
"Every kind of spelling; a test on a real apiserver compares what it makes of them."


@pytest.mark.parametrize(
    ("written", "spelled"),
    [
        (1, "1"),
        (0, "0"),
        ("1000m", "1"),
        ("0.5", "500m"),
        ("1500m", "1500m"),
        ("1000", "1k"),
        ("1024Mi", "1Gi"),
        ("0.5Gi", "512Mi"),
        ("0.5Ki", "512"),
        ("1.0001Ki", "1024103m"),
        ("1e3", "1e3"),
        ("0.1n", "1m"),
        ("1.5e3", "1500"),
        ("1.0e3", "1e3"),
        ("20Ei", "9223372036854775807"),
        ("1023.999999999Ei", "9223372036854775807"),
        ("1e99", "1e99"),
        ("1000E", "1"),  # so the apiserver: there is no suffix for it
        (10**15, "1P"),
        (10**16 + 1, "10000000000000001"),
        (2**63 - 1, "9223372036854775807"),
    ],
)
def test_a_quantity_has_one_spelling(written: int | str, spelled: str) -> None:
    assert canonical_quantity(written) == spelled


@pytest.mark.parametrize("text", SPELLINGS)
def test_spelling_twice_changes_nothing(text: str) -> None:
    once = canonical_quantity(text)
    assert canonical_quantity(once) == once


@given(st.one_of(st.integers(-(2**64), 2**64), st.floats(), st.booleans(), st.text(max_size=32)))
def test_what_is_a_quantity_is_what_can_be_parsed_and_spelled(value: object) -> None:
    known = is_quantity(value)  # type: ignore[arg-type]
    for read in (parse_quantity, canonical_quantity):
        if known:
            read(value)  # type: ignore[arg-type]
        else:
            with pytest.raises(ValueError, match="not a quantity"):
                read(value)  # type: ignore[arg-type]


@given(st.from_regex(QUANTITY_PATTERN, fullmatch=True).filter(str.isascii))
def test_every_text_that_people_may_write_is_a_quantity(text: str) -> None:
    assert is_quantity(text)
    assert is_quantity(canonical_quantity(text))


@given(
    st.integers(0, 10**9),
    st.sampled_from(["", "m", "k", "M", "G", "Ki", "Mi", "Gi", "e3"]),
)
def test_another_spelling_means_the_same(number: int, suffix: str) -> None:
    text = f"{number}{suffix}"
    assert parse_quantity(canonical_quantity(text)) == parse_quantity(text)


@pytest.mark.parametrize(
    "text", ["", "x", "1 Gi", "1gi", "-1", "1Kib", "1e", "e3", ".", "1,5", "\u0661"]
)
def test_what_is_no_quantity_is_refused(text: str) -> None:
    assert not is_quantity(text)
    with pytest.raises(ValueError, match="not a quantity"):
        canonical_quantity(text)
