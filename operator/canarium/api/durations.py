"""Durations and ratios as people write them, turned into numbers once.

Durations are those of GEP-2257, which Gateway API uses too: up to four of `<digits><unit>` with
the units h, m, s and ms. Ratios are strings, for Kubernetes' API conventions forbid floats.
"""

from __future__ import annotations

import re

DURATION_PATTERN = "([0-9]{1,5}(h|m|s|ms)){1,4}"
RATIO_PATTERN = r"([0-9]{1,2}(\.[0-9]{1,6})?|100)%|0(\.[0-9]{1,8})?|1(\.0{1,8})?"
FACTOR_PATTERN = r"[1-9][0-9]{0,2}(\.[0-9]{1,6})?"

FIGURE_PATTERN = rf"-?[0-9]{{1,15}}(\.[0-9]{{1,9}})?%?|{DURATION_PATTERN}"

_DURATION = re.compile(DURATION_PATTERN)
_PART = re.compile("([0-9]+)(ms|h|m|s)")
_MILLISECONDS = {"h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}


def parse_duration(text: str) -> float:
    """Seconds of a GEP-2257 duration such as `1h30m`; ValueError when it isn't one."""
    if _DURATION.fullmatch(text) is None:
        raise ValueError(f"not a duration: {text!r}")
    parts = _PART.findall(text)
    return sum(int(digits) * _MILLISECONDS[unit] for digits, unit in parts) / 1000


def format_duration(seconds: float) -> str:
    """The shortest GEP-2257 text of this many seconds, to the millisecond: 5400 is `1h30m`."""
    rest = round(seconds * 1000)
    if rest < 0:
        raise ValueError(f"a duration is not negative: {seconds}")
    parts = []
    for unit, size in _MILLISECONDS.items():
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def parse_ratio(text: str) -> float:
    """The share from 0 to 1 that `5%` or `0.05` means; ValueError when it is neither."""
    if re.fullmatch(RATIO_PATTERN, text) is None:
        raise ValueError(f"not a ratio: {text!r}")
    return float(text[:-1]) / 100 if text.endswith("%") else float(text)


def parse_factor(text: str) -> float:
    """A factor of at least 1, such as `1.2`; ValueError when it isn't one."""
    if re.fullmatch(FACTOR_PATTERN, text) is None:
        raise ValueError(f"not a factor of at least 1: {text!r}")
    return float(text)


def parse_figure(text: str) -> float:
    """A number such as `0.9`, a percentage or a duration (in seconds); ValueError when neither."""
    if re.fullmatch(FIGURE_PATTERN, text) is None:
        raise ValueError(f"not a figure: {text!r}")
    if text.endswith("%"):
        return float(text[:-1]) / 100
    return parse_duration(text) if text[-1].isalpha() else float(text)
