"""What `canarium judge` is given: `bad/total` on the command line, or a file of readings.

Pure but for reading the file. What cannot be counted is refused with its line, never guessed at.
"""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from canarium.cli.output import flatten
from canarium.errors import CommandError
from canarium.judge.sequential import Counts

COLUMNS = ("stable_bad", "stable_total", "canary_bad", "canary_total")
LABELS = ("time", "block")
MOST_COUNTED = 10**15
"Beyond this a float has no room for a count and the one after it."
_SHOWN = 40


@dataclass(frozen=True, slots=True)
class Block:
    """What both revisions answered in one reading; `label` is its time or number, as written."""

    label: str
    stable: Counts
    canary: Counts


def parse_counts(text: str) -> Counts:
    """Counts of `12/4000`: bad ones of all. ValueError, with a sentence, for anything else."""
    bad, slash, total = text.partition("/")
    if not slash:
        raise ValueError(f"write bad ones of all answers, such as 12/4000, not {text[:_SHOWN]!r}")
    return Counts(_parse_count(bad), _parse_count(total))


def read_blocks(file: str) -> list[Block]:
    """Read a CSV file (`-`: standard input). CommandError, with the line, for what is wrong."""
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8-sig")
        return list(parse_blocks(text))
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise CommandError(f"{file} is no text") from error
    except ValueError as error:
        raise CommandError(f"{file}: {error}") from error


def parse_blocks(text: str) -> Iterator[Block]:
    """Yield the readings of a CSV text. ValueError, with the line, for what is wrong.

    The first line names the columns: `time` or `block`, `stable_bad`, `stable_total`, `canary_bad`,
    `canary_total`, in any order; others are left alone. Each line counts what was answered since
    the line before, never all that was answered so far.
    """
    lines = csv.reader(io.StringIO(text.removeprefix("\ufeff")), strict=True)
    places: dict[str, int] | None = None
    found = 0
    try:
        for cells in lines:
            if not any(cell.strip() for cell in cells):
                continue
            if places is None:
                places = _find_columns(cells)
                continue
            found += 1
            yield _parse_line(cells, places, found)
    except (ValueError, csv.Error) as error:
        raise ValueError(f"line {lines.line_num}: {error}") from error
    if not found:
        raise ValueError("no readings in it" if places else "it is empty")


def _find_columns(header: Sequence[str]) -> dict[str, int]:
    """Where each column stands."""
    names = [name.strip().lower() for name in header]
    missing = [name for name in COLUMNS if name not in names]
    if not set(LABELS) & set(names):
        missing.insert(0, " or ".join(LABELS))
    if missing:
        raise ValueError(f"no column {', '.join(missing)}; the first line names the columns")
    double = next((name for name in (*LABELS, *COLUMNS) if names.count(name) > 1), None)
    if double:
        raise ValueError(f"two columns are named {double}")
    return {name: place for place, name in enumerate(names) if name in (*LABELS, *COLUMNS)}


def _parse_line(cells: Sequence[str], places: Mapping[str, int], number: int) -> Block:
    counted = {name: _parse_cell(cells, places[name], name) for name in COLUMNS}
    label = next(places[name] for name in LABELS if name in places)
    return Block(
        (flatten(cells[label].strip()) if label < len(cells) else "") or str(number),
        _count(counted, "stable"),
        _count(counted, "canary"),
    )


def _parse_cell(cells: Sequence[str], place: int, name: str) -> int:
    if place >= len(cells) or not cells[place].strip():
        raise ValueError(f"{name} is missing")
    try:
        return _parse_count(cells[place])
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def _parse_count(text: str) -> int:
    """Parse a whole number from 0; `12.0` is one too, for tables with gaps are written so."""
    written = text.strip()
    whole, _, fraction = written.partition(".")
    # isdecimal alone takes the digits of every script.
    if not whole.isascii() or not whole.isdecimal() or fraction.strip("0"):
        raise ValueError(f"write a whole number from 0, not {written[:_SHOWN]!r}")
    if len(whole.lstrip("0")) > len(str(MOST_COUNTED)) or int(whole) > MOST_COUNTED:
        raise ValueError(f"{written[:_SHOWN]} is more than can be counted")
    return int(whole)


def _count(counted: Mapping[str, int], side: str) -> Counts:
    try:
        return Counts(counted[f"{side}_bad"], counted[f"{side}_total"])
    except ValueError as error:
        raise ValueError(f"{side} {error}") from error
