"""What waits to be sent about objects: none of it waits for all that another namespace has to send.

There is room for so many things. While there is, one namespace may have all of it; once it is full
whoever has most gives way, so nobody loses anything by what others send.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Collection
from dataclasses import dataclass
from typing import Generic, TypeVar

from canarium.kube.informers.store import Key
from canarium.kube.queues.turns import Turns

URGENT_IN_A_ROW = 3
"Then something else has a turn, if anything waits: a namespace can go on with rollbacks for hours."

T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting(Generic[T]):
    """One thing, and the how manieth it is."""

    item: T
    urgent: bool
    number: int


class Backlog(Generic[T]):
    """Things in line. Objects with something urgent go first; in each class namespaces take turns.

    What is about one object stays in order: its urgent news takes along what came before.
    """

    def __init__(self) -> None:
        self._urgent: Turns[Key] = Turns()
        self._ordinary: Turns[Key] = Turns()
        self._of: dict[Key, deque[_Waiting[T]]] = {}
        self._stands: dict[Key, bool] = {}
        "Of each object whether it is in line among the urgent ones."
        self._count = self._in_a_row = 0
        self.sizes: Counter[str] = Counter()
        "How many things wait, by namespace."

    def __len__(self) -> int:
        return self.sizes.total()

    def put(self, key: Key, item: T, *, urgent: bool) -> None:
        """Put something at the end of its object's line."""
        self._count += 1
        waiting = _Waiting(item, urgent, self._count)
        self._of.setdefault(key, deque()).append(waiting)
        self._add(key)

    def put_back(self, key: Key, item: T, *, urgent: bool) -> None:
        """Put what was taken out before everything else about its object, for its next turn."""
        self._of.setdefault(key, deque()).appendleft(_Waiting(item, urgent, 0))
        self._add(key)

    def pop(self) -> T:
        """Take out what is next. Raises IndexError when nothing waits."""
        first = self._in_a_row < URGENT_IN_A_ROW
        key = self._pop_key(urgent=first) or self._pop_key(urgent=not first)
        if key is None:
            raise IndexError("nothing waits")
        self._in_a_row = self._in_a_row + 1 if self._stands.pop(key) else 0
        return self._take_out(key, self._of[key][0])

    def drop_last(self, namespace: str) -> T:
        """Take out what a namespace put in last, if possible something that isn't urgent."""
        lasts = (
            (not each.urgent, each.number, key, each)
            for key, waiting in self._of.items()
            if key[0] == namespace
            for each in waiting
        )
        _, _, key, last = max(lasts, key=lambda found: found[:2])
        return self._take_out(key, last)

    def _pop_key(self, *, urgent: bool) -> Key | None:
        line = self._urgent if urgent else self._ordinary
        return line.pop(lambda key: self._stands.get(key) is urgent, lambda _: True)

    def _add(self, key: Key) -> None:
        self.sizes[key[0]] += 1
        self._line_up(key)

    def _take_out(self, key: Key, waiting: _Waiting[T]) -> T:
        self._of[key].remove(waiting)
        self.sizes[key[0]] -= 1
        if not self.sizes[key[0]]:
            del self.sizes[key[0]]
        self._line_up(key)
        return waiting.item

    def _line_up(self, key: Key) -> None:
        """Have an object stand in the line that it belongs in; where it stood is void then."""
        if not self._of[key]:
            del self._of[key]
            self._stands.pop(key, None)
            return
        urgent = any(each.urgent for each in self._of[key])
        if self._stands.get(key) in (None, not urgent):
            self._stands[key] = urgent
            (self._urgent if urgent else self._ordinary).append(key)


def crowd_out(backlogs: Collection[Backlog[T]], most: int, newcomer: str) -> T | None:
    """Take one thing out of several backlogs that hold more than they may together, else None.

    It is the last of the namespace that has most of it; when that is two, of the one that has just
    put something in.
    """
    if sum(map(len, backlogs)) <= most:
        return None
    sizes: Counter[str] = Counter()
    for backlog in backlogs:
        sizes.update(backlog.sizes)
    largest = max(sizes, key=lambda namespace: (sizes[namespace], namespace == newcomer))
    return max(backlogs, key=lambda backlog: backlog.sizes[largest]).drop_last(largest)
