"""The exit codes of the commands for people, so that a CI job can tell one end from another."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """How a command ended."""

    DONE = 0
    "What was asked for is so: promoted, up to date, acted on."
    REFUSED = 1
    "It is not, and will not be by itself: rolled back, failed, no effect, problems found."
    UNUSABLE = 2
    "Nothing could be asked: wrong usage, no such object, no cluster, no right to."
    TIMEOUT = 3
    "Not yet, and the time is over."
    WAITS = 4
    "Not until a person does something: an approval, a pause."
