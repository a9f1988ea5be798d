"""What was understood of texts that come again and again, bounded by bytes: nobody's texts pile up.

Pure. A recollection has two generations. When the younger one is full it becomes the older one, and
what is asked for again moves over; what isn't is gone with the next change.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar
from weakref import WeakSet

MIB = 1024 * 1024
MOST_OF_ONE = 2 * MIB
"Bytes of one recollection, both generations together."
MOST_OF_ALL = 4 * MIB
"Bytes of all recollections of a process."
LONGEST = 2048
"Bytes of a text that is remembered; a longer one is understood each time."
OVERHEAD = 160
"Bytes that an entry takes beside its text, about: in the dictionary, and as an object."

V = TypeVar("V")


class RecollectionBudget:
    """What several recollections may keep together: beyond it, the largest one forgets all."""

    def __init__(self, most: int = MOST_OF_ALL) -> None:
        self._most = most
        self._spent = 0
        "At least what all have: what was forgotten is taken off when it is full."
        self._all: WeakSet[Recollection[Any]] = WeakSet()

    def join(self, one: Recollection[Any]) -> None:
        """Count one more from now on, as long as anybody has it."""
        self._all.add(one)

    def spend(self, cost: int) -> None:
        """Count what one of them keeps; beyond the budget, have the largest forget all."""
        self._spent += cost
        if self._spent > self._most:
            self._keep_within()

    def _keep_within(self) -> None:
        sizes = {one: one.size for one in self._all}
        while sum(sizes.values()) > self._most:
            largest = max(sizes, key=lambda one: sizes[one])
            largest.forget()
            sizes[largest] = 0
        self._spent = sum(sizes.values())

    @property
    def size(self) -> int:
        """Bytes of all together, about."""
        return sum(one.size for one in self._all)


SHARED = RecollectionBudget()
"Of all that this process remembers of metrics pages."


class Recollection(dict[bytes, V]):
    """Asked by `[text]`: what is not remembered is learnt."""

    __slots__ = ("__weakref__", "_budget", "_learn", "_most", "_old", "_old_size", "_young_size")

    def __init__(
        self,
        learn: Callable[[bytes], V],
        budget: RecollectionBudget = SHARED,
        most: int = MOST_OF_ONE,
    ) -> None:
        super().__init__()
        self._learn = learn
        self._budget = budget
        self._most = most
        self._old: dict[bytes, V] = {}
        self._old_size = self._young_size = 0
        budget.join(self)

    def __missing__(self, text: bytes) -> V:
        found = self._old.get(text)
        value = self._learn(text) if found is None else found
        if len(text) <= LONGEST:
            self._keep(text, value)
        return value

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:  # type: ignore[override]  # each is one of its own, unlike others
        return id(self)

    def _keep(self, text: bytes, value: V) -> None:
        cost = len(text) + OVERHEAD
        if self._young_size + cost > self._most // 2:
            self._old, self._old_size = dict(self), self._young_size
            self.clear()
            self._young_size = 0
        self._young_size += cost
        self[text] = value
        self._budget.spend(cost)

    @property
    def size(self) -> int:
        """Bytes of both generations, about."""
        return self._old_size + self._young_size

    def forget(self) -> None:
        """Forget everything."""
        self.clear()
        self._old = {}
        self._old_size = self._young_size = 0
