"""Words of others (runtimes, webhooks, gateways) as they may stand in status and events."""

from __future__ import annotations

MOST_CHARACTERS = 1024


def tidy(text: str) -> str:
    """One line of at most 1,024 characters, without control characters."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= MOST_CHARACTERS else line[: MOST_CHARACTERS - 1] + "…"
