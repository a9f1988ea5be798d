"""What `canarium judge` takes for counts, and with which words it refuses the rest."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from canarium.cli.judging.input import (
    COLUMNS,
    MOST_COUNTED,
    Block,
    parse_blocks,
    parse_counts,
    read_blocks,
)
from canarium.errors import CommandError
from canarium.judge.sequential import Counts
from hypothesis import given
from hypothesis import strategies as st

NAMED, WHOLE = "the first line names the columns", "write a whole number from 0, not"
HEADER = "time,stable_bad,stable_total,canary_bad,canary_total\n"


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("12/4000", Counts(12, 4000)),
        ("0/0", Counts(0, 0)),
        (" 9 / 400 ", Counts(9, 400)),
        ("3.0/30.0", Counts(3, 30)),
        (f"0/{MOST_COUNTED}", Counts(0, MOST_COUNTED)),
    ],
)
def test_counts_are_bad_ones_of_all(text: str, want: Counts) -> None:
    assert parse_counts(text) == want


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("12", "write bad ones of all answers, such as 12/4000, not '12'"),
        ("", "write bad ones of all answers, such as 12/4000, not ''"),
        ("5/3", "5 bad ones of 3 cannot be"),
        ("-1/3", "write a whole number from 0, not '-1'"),
        ("1/nan", "write a whole number from 0, not 'nan'"),
        ("1/inf", "write a whole number from 0, not 'inf'"),
        ("1.5/3", "write a whole number from 0, not '1.5'"),
        ("٣/9", "write a whole number from 0, not '٣'"),
        ("1/2/3", "write a whole number from 0, not '2/3'"),
        (f"0/{MOST_COUNTED + 1}", f"{MOST_COUNTED + 1} is more than can be counted"),
        ("0/" + "9" * 9999, "9" * 40 + " is more than can be counted"),
    ],
)
def test_what_cannot_be_counted_is_refused_in_words(text: str, want: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole message is compared
        parse_counts(text)
    assert str(caught.value) == want


def test_columns_are_found_by_name_in_any_order_beside_others() -> None:
    text = (
        "\ufeffcanary_total, Stable_Bad ,note,block,stable_total,canary_bad\r\n"
        "20,1,so,7,80,2\r\n"
        "\r\n"
        '21,0,"a, b",,81,0\r\n'
    )
    assert list(parse_blocks(text)) == [
        Block("7", Counts(1, 80), Counts(2, 20)),
        Block("2", Counts(0, 81), Counts(0, 21)),
    ]


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("", "it is empty"),
        ("\n\n", "it is empty"),
        (HEADER, "no readings in it"),
        ("a,b\n", f"line 1: no column time or block, {', '.join(COLUMNS)}; {NAMED}"),
        (HEADER.replace("canary_bad,", ""), f"line 1: no column canary_bad; {NAMED}"),
        (HEADER.replace("time", "time,time"), "line 1: two columns are named time"),
        (HEADER + "a,0,9,0,9\nb,0,9,nan,9\n", f"line 3: canary_bad: {WHOLE} 'nan'"),
        (HEADER + "a,0,9,-1,9\n", f"line 2: canary_bad: {WHOLE} '-1'"),
        (HEADER + "a,0,inf,0,9\n", f"line 2: stable_total: {WHOLE} 'inf'"),
        (HEADER + "a,0,9,5,4\n", "line 2: canary 5 bad ones of 4 cannot be"),
        (HEADER + "a,9,4,0,4\n", "line 2: stable 9 bad ones of 4 cannot be"),
        (HEADER + "a,0,9,1\n", "line 2: canary_total is missing"),
        (HEADER + "a,0,,1,9\n", "line 2: stable_total is missing"),
        (HEADER + 'a,0,"9\n', "line 2: unexpected end of data"),
    ],
)
def test_a_file_that_makes_no_sense_is_refused_with_the_line(text: str, want: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole message is compared
        list(parse_blocks(text))
    assert str(caught.value) == want


@given(st.text(max_size=200))
def test_whatever_stands_in_a_file_becomes_readings_or_a_sentence(text: str) -> None:
    try:
        blocks = list(parse_blocks(HEADER + text))
    except ValueError:
        return  # of its own; anything else would be a crash
    assert blocks
    assert all(block.canary.bad <= block.canary.total for block in blocks)


def test_a_file_is_read_and_so_is_standard_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, want = HEADER + "a,1,9,2,8\n", [Block("a", Counts(1, 9), Counts(2, 8))]
    (tmp_path / "a.csv").write_text(text)
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    assert (read_blocks(str(tmp_path / "a.csv")), read_blocks("-")) == (want, want)


@pytest.mark.parametrize(
    ("content", "want"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"\xff\xfe\x00", "is no text"),
        (b"", "it is empty"),
    ],
)
def test_a_file_of_no_use_is_said_to_be_so(
    content: bytes | None, want: str, tmp_path: Path
) -> None:
    file = tmp_path / "a.csv"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(CommandError, match=want):
        read_blocks(str(file))
