"""One moment of the demo as a value: what the views show, and nothing they have to look up."""

from dataclasses import dataclass
from typing import Literal

Role = Literal["stable", "canary", "previous"]


@dataclass(frozen=True, slots=True)
class Pulse:
    """The traffic of the last few seconds; None where too little was seen to say.

    `rate` is answers a second, `error_share` 0 to 1, `p50` and `p99` are seconds.
    """

    rate: float | None = None
    error_share: float | None = None
    p50: float | None = None
    p99: float | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One revision: its share in the live route in percent, its pods, its traffic."""

    role: Role
    version: str
    weight: int
    ready: int
    replicas: int
    pulse: Pulse = Pulse()


@dataclass(frozen=True, slots=True)
class Notice:
    """One event about the model; `elapsed` is seconds since the demo began."""

    elapsed: float
    warning: bool
    reason: str
    note: str


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything that is shown at one moment. `elapsed` is seconds since the demo began."""

    elapsed: float
    chapter: str
    name: str
    phase: str = ""
    reason: str = ""
    message: str = ""
    step: str = ""
    conditions: tuple[tuple[str, str], ...] = ()
    rows: tuple[Row, ...] = ()
    client: Pulse = Pulse()
    sent: int = 0
    failed: int = 0
    notices: tuple[Notice, ...] = ()
