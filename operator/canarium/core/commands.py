"""What people ask for by annotation: `canarium.dev/<verb>: <revision>[:<step>]@<unique id>`.

A command is acted on when its text differs from the one in `status.lastHandledCommands`, and
recorded there in the same write as its effect.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Verb = Literal["promote", "abort", "retry", "restart", "rollback"]
VERBS: tuple[Verb, ...] = ("abort", "rollback", "retry", "promote", "restart")

_FORM = re.compile(
    r"^(?P<revision>[a-z0-9]{1,63})(:(?P<step>[A-Za-z0-9-]{1,63}))?@(?P<id>\S{1,64})$"
)


@dataclass(frozen=True, slots=True)
class Command:
    """One command not handled yet. `revision` is "" when the text has not the right form."""

    verb: Verb
    text: str
    revision: str = ""
    step: str | None = None

    def names_step(self, number: int, name: str) -> bool:
        """Whether it is about this step: by number, by name, or about any step."""
        return self.step is None or self.step in (str(number), name)


def pending_commands(
    commands: Mapping[str, str], handled: Mapping[str, str]
) -> dict[Verb, Command]:
    """The commands that were not handled yet, by verb."""
    return {
        verb: _parse(verb, commands[verb])
        for verb in VERBS
        if verb in commands and commands[verb] != handled.get(verb)
    }


def _parse(verb: Verb, text: str) -> Command:
    match = _FORM.match(text)
    if match is None:
        return Command(verb=verb, text=text)
    return Command(verb=verb, text=text, revision=match["revision"], step=match["step"])
