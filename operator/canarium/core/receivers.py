"""Who is told of what: the kinds of news, the kinds of receivers, and one receiver's wishes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Notice = Literal["Started", "Promoted", "RolledBack", "Waiting", "Canceled", "Failed"]
"What people can have themselves notified of."
NOTICES: tuple[Notice, ...] = get_args(Notice)
FIRST: frozenset[Notice] = frozenset({"RolledBack", "Failed"})
"What is told before everything else that waits to be told."
Channel = Literal["Webhook", "Slack", "Teams"]

PLACEHOLDERS = (
    *("namespace", "name", "model", "version", "revision"),
    *("event", "reason", "message", "step", "stable", "url"),
)
"What may stand between {{ and }} in a text."
DEFAULT_TEXT = "{{namespace}}/{{name}}: {{message}}"
MAX_TEXT = 1024


@dataclass(frozen=True, slots=True)
class Receiver:
    """One place that news is sent to.

    Its address is under `key` of the Secret `secret` in the object's own namespace; or, of a
    receiver of the whole cluster, in the file `address_file`.
    """

    name: str
    channel: Channel
    secret: str = ""
    key: str = "url"
    address_file: str = ""
    events: tuple[Notice, ...] = NOTICES
    text: str = DEFAULT_TEXT
