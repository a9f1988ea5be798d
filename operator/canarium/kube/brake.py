"""How often one object's status is written: a brake on decisions that undo each other.

A plan that changes its mind in each pass would keep the apiserver, and everybody who watches, busy
for ever. So each object has a budget: a burst, and so many a second from then on. What is over it
waits and is planned anew, so nothing is dropped. What protects people has a budget of its own, and
so has what a person asked for: no livelock uses those up that it isn't part of.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from canarium.core.actions import Plan
from canarium.core.status import Status
from canarium.kube.store import Key

TOLD_SECONDS = 600.0
"How long a braked object is not told of again."


@dataclass(frozen=True, slots=True)
class Budget:
    """So many writes at once, and so many a second after those."""

    burst: float
    per_second: float


class Cause(Enum):
    """What a write of status is about."""

    ORDINARY = Budget(30.0, 3.0)
    PROTECTION = Budget(10.0, 1.0)
    "A rollback, and traffic that goes to stable."
    PERSON = Budget(20.0, 2.0)
    "A command: each is handled once, so only people can use this up."


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
    tokens: float
    at: float


class Brake:
    """Remembers what each object has spent, on a clock that never goes back."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._buckets: dict[tuple[Key, Cause], _Bucket] = {}
        self._told: dict[Key, float] = {}

    def spend(self, key: Key, cause: Cause) -> float:
        """Take one write from an object's budget; or how many seconds it has to wait for that."""
        budget, now = cause.value, self._clock()
        bucket = self._buckets.setdefault((key, cause), _Bucket(budget.burst, now))
        earned = (now - bucket.at) * budget.per_second
        bucket.tokens, bucket.at = min(budget.burst, bucket.tokens + earned), now
        if bucket.tokens < 1.0:
            return (1.0 - bucket.tokens) / budget.per_second
        bucket.tokens -= 1.0
        return 0.0

    def is_news(self, key: Key) -> bool:
        """Whether nobody was told lately that this object is braked; from now on somebody was."""
        now, told = self._clock(), self._told.get(key)
        if told is not None and now - told < TOLD_SECONDS:
            return False
        self._told[key] = now
        return True

    def forget(self, key: Key) -> None:
        """The object is gone."""
        for cause in Cause:
            self._buckets.pop((key, cause), None)
        self._told.pop(key, None)
