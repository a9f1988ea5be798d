"""Keys in line, of which no namespace keeps another waiting for long."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

K = TypeVar("K", bound=tuple[str, ...])
"Keys of any sort that begin with a namespace."


class Turns(Generic[K]):
    """The namespaces take turns; within one it is first come, first served.

    A namespace that comes anew is last in this round, so however many keys another has in line,
    it waits for one of each namespace at most.
    """

    def __init__(self) -> None:
        self._lines: dict[str, deque[K]] = {}
        "By namespace, in the order of their turns; none is empty."

    def __bool__(self) -> bool:
        return bool(self._lines)

    def append(self, key: K) -> None:
        """Put a key at the end of its namespace's line."""
        self._lines.setdefault(key[0], deque()).append(key)

    def pop(self, is_wanted: Callable[[K], bool], has_room: Callable[[str], bool]) -> K | None:
        """Take the next key of the first namespace that there is room for, and end its turn.

        Keys that are not wanted any more are dropped on the way.
        """
        for namespace in tuple(self._lines):
            if has_room(namespace) and (key := self._pop_from(namespace, is_wanted)) is not None:
                return key
        return None

    def _pop_from(self, namespace: str, is_wanted: Callable[[K], bool]) -> K | None:
        line = self._lines.pop(namespace)
        while line:
            key = line.popleft()
            if is_wanted(key):
                if line:
                    self._lines[namespace] = line
                return key
        return None
