"""How often one object's status, and each of its children, is written: a brake on fights.

A plan that changes its mind in each pass would keep the apiserver, and everybody who watches, busy
for ever. So each object has a budget: a burst, and so many a second from then on. What is over it
waits and is planned anew, so nothing is dropped. What protects people has a budget of its own, and
so has what a person asked for: no livelock uses those up that it isn't part of.

Each child has a budget, too: somebody else who writes it in a loop is answered once a second.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from canarium.core.plan import Plan
from canarium.core.status import Status

TOLD_SECONDS = 600.0
"How long a braked object is not told of again."
PACE_SECONDS = 5.0
"How often something is written that changes all the time."


@dataclass(frozen=True, slots=True)
class WriteRate:
    """So many writes at once, and so many a second after those."""

    burst: float
    per_second: float


class Cause(Enum):
    """What a write of status is about."""

    ORDINARY = WriteRate(30.0, 3.0)
    PROTECTION = WriteRate(10.0, 1.0)
    "A rollback, and traffic that goes to stable."
    PERSON = WriteRate(20.0, 2.0)
    "A command: each is handled once, so only people can use this up."
    CHILD = WriteRate(20.0, 1.0)
    "A child that is there already; each has its own."
    PACED = WriteRate(1.0, 1.0 / PACE_SECONDS)
    "What is seen of others, which changes all the time: told every few seconds, and that is meant."


def find_cause(before: Status, plan: Plan) -> Cause:
    """What a plan's status is about."""
    after: Mapping[str, Any] = plan.status or {}
    if after.get("lastHandledCommands", {}) != dict(before.last_handled_commands):
        return Cause.PERSON
    had = before.stable.weight if before.stable else 0
    gets = (after.get("stable") or {}).get("weight", 0)
    return Cause.PROTECTION if plan.urgent or gets > had else Cause.ORDINARY


@dataclass(slots=True)
class _Bucket:
    budget: WriteRate
    tokens: float
    at: float

    def is_full(self, now: float) -> bool:
        """Whether it is as good as none."""
        return self._count(now) >= self.budget.burst

    def spend(self, now: float) -> float:
        """Take one; or how many seconds it has to wait for that."""
        self.tokens, self.at = self._count(now), now
        if self.tokens < 1.0:
            return (1.0 - self.tokens) / self.budget.per_second
        self.tokens -= 1.0
        return 0.0

    def _count(self, now: float) -> float:
        earned = (now - self.at) * self.budget.per_second
        return min(self.budget.burst, self.tokens + earned)


Key = tuple[str, ...]
"Whatever objects are told apart by."
Purse = tuple[Cause, str]
"What is written, and which child where it is one."


class Brake:
    """Remembers what each object has spent, on a clock that never goes back."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._buckets: dict[Key, dict[Purse, _Bucket]] = {}
        self._told: dict[Key, dict[str, float]] = {}

    def spend(self, key: Key, cause: Cause, child: str = "") -> float:
        """Take one write from a budget; or how many seconds it has to wait for that."""
        now = self._clock()
        known = self._buckets.get(key, {}).items()
        used = {purse: bucket for purse, bucket in known if not bucket.is_full(now)}
        bucket = used.setdefault((cause, child), _Bucket(cause.value, cause.value.burst, now))
        self._buckets[key] = used
        return bucket.spend(now)

    def is_news(self, key: Key, child: str = "") -> bool:
        """Whether nobody was told lately that this is braked; from now on somebody was."""
        known, now = self._told.setdefault(key, {}), self._clock()
        told = known.get(child)
        if told is not None and now - told < TOLD_SECONDS:
            return False
        known[child] = now
        return True

    def forget(self, key: Key) -> None:
        """The object is gone."""
        self._buckets.pop(key, None)
        self._told.pop(key, None)
