"""Words of others (runtimes, webhooks, gateways) as they may stand in status and events."""

from __future__ import annotations

import re
from collections.abc import Sequence

from canarium.core.spec import Step
from canarium.core.status import RevisionStatus

MOST_CHARACTERS = 1024
MOST_QUOTED = 256
_COLOURS = re.compile("\x1b\\[[0-9;]*[A-Za-z]")


def sanitize_text(text: str) -> str:
    """One line of at most 1,024 characters, without control characters."""
    if text.isprintable() and len(text) <= MOST_CHARACTERS and "  " not in text:
        return text.strip()
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= MOST_CHARACTERS else line[: MOST_CHARACTERS - 1] + "…"


def last_words(text: str) -> str:
    """The last line of a log that says something, as it may be quoted; "" when none does."""
    lines = (quote(line) for line in reversed(text[-4096:].splitlines()))
    return next((line for line in lines if line), "")


def quote(text: str) -> str:
    """Words of others within a sentence of ours: one line of at most 256 characters."""
    line = sanitize_text(_COLOURS.sub("", text))
    return line if len(line) <= MOST_QUOTED else line[: MOST_QUOTED - 1] + "…"


def describe_version(part: RevisionStatus | None) -> str:
    """A revision as people call it: by its version, or by its id where it has none."""
    if part is None:
        return "nothing"
    return f"version {part.version}" if part.version else f"revision {part.revision}"


def join_sentence(parts: Sequence[str]) -> str:
    """Things one after the other: "a", "a and b", "a, b and c"."""
    return " and ".join(part for part in (", ".join(parts[:-1]), *parts[-1:]) if part)


def describe_traffic(step: Step) -> str:
    """What the canary gets in a step: "at 20 %", "with copies of 10 %"."""
    parts = [f"at {step.weight} %"] if step.weight or not (step.mirror or step.headers) else []
    parts += [f"with copies of {step.mirror} %"] if step.mirror else []
    parts += [f"by header {header.name}" for header in step.headers]
    parts += [f"kept by cookie {step.sticky.cookie}"] if step.sticky else []
    return " and ".join(parts)


def describe_duration(seconds: float) -> str:
    """A time to wait, in the largest unit that fits it whole: 336 h, 90 min, 45 s."""
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} s"
