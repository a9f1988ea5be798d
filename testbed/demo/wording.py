"""How figures are written, the same in every view: short, with units, a dash for no data."""

import textwrap

NONE = "-"


def show_clock(seconds: float) -> str:
    """Minutes and seconds: 01:23."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes:02d}:{rest:02d}"


def show_rate(rate: float | None) -> str:
    """Answers a second with one decimal."""
    return NONE if rate is None else f"{rate:.1f}"


def show_share(share: float | None) -> str:
    """A share of 0 to 1 in percent with one decimal."""
    return NONE if share is None else f"{100 * share:.1f} %"


def show_latency(seconds: float | None) -> str:
    """Whole milliseconds."""
    return NONE if seconds is None else f"{1000 * seconds:.0f} ms"


def show_seconds(seconds: float | None) -> str:
    """Seconds with one decimal."""
    return NONE if seconds is None else f"{seconds:.1f} s"


def cut(text: str, width: int) -> str:
    """The text on one line, in at most so many characters."""
    line = " ".join(text.split())
    return line if len(line) <= width else line[: width - 1].rstrip() + "…"


def wrap(text: str, width: int, lines: int) -> list[str]:
    """The text on just so many lines; what doesn't fit is left out, what is missing is empty."""
    found = textwrap.wrap(text, width, max_lines=lines, placeholder=" …")
    return found + [""] * (lines - len(found))
