"""Words of others (runtimes, webhooks, gateways) as they may stand in status and events."""

from __future__ import annotations

from canarium.core.spec import Step

MOST_CHARACTERS = 1024


def tidy(text: str) -> str:
    """One line of at most 1,024 characters, without control characters."""
    if text.isprintable() and len(text) <= MOST_CHARACTERS and "  " not in text:
        return text.strip()
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= MOST_CHARACTERS else line[: MOST_CHARACTERS - 1] + "…"


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
