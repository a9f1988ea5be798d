"""Results that are remembered by value, bounded by bytes instead of by a number.

What is compared and rendered in each pass is text that people wrote, of any length: an entry has
no size of ours. So long texts are known by a digest, results are weighed, and all memos of a kind
share one budget; what was not asked for the longest goes first. Nothing is lost but time.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from dataclasses import fields, is_dataclass
from functools import update_wrapper
from hashlib import sha256
from typing import Any, Generic, ParamSpec, TypeVar

MIB = 1024 * 1024
LONG = 128
"From so many characters on a text is known by its digest."
OVERHEAD = 200
"Bytes that an entry takes beside its key and its result, about."

P = ParamSpec("P")
R = TypeVar("R")


class MemoBudget:
    """What several memos keep together: so many bytes, and no entry of more than a quarter."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._entries: dict[tuple[Any, ...], tuple[Any, int]] = {}
        self._size = 0

    @property
    def size(self) -> int:
        """Bytes that are kept, about."""
        return self._size

    def find(self, key: tuple[Any, ...]) -> tuple[Any, int] | None:
        """An entry, which becomes the last to go."""
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._entries[key] = entry
        return entry

    def keep(self, key: tuple[Any, ...], result: object) -> None:
        """Keep a result, and forget what it takes the room of."""
        size = OVERHEAD + weigh((key, result))
        if size > self.most // 4:
            return
        self._entries[key] = result, size
        self._size += size
        while self._size > self.most:
            _, gone = self._entries.pop(next(iter(self._entries)))
            self._size -= gone


VALUES = MemoBudget(12 * MIB)
"Of routes and Services as they are rendered, read and compared."
TEMPLATES = MemoBudget(6 * MIB)
"Of pod templates that were rendered."


class Memo(Generic[P, R]):
    """A function whose results are remembered. Its arguments can be hashed, and don't change."""

    def __init__(self, compute: Callable[P, R], budget: MemoBudget) -> None:
        self._compute = compute
        self.budget = budget
        update_wrapper(self, compute)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """What the function makes of these arguments."""
        named = [(name, _shorten(kwargs[name])) for name in sorted(kwargs)] if kwargs else ()
        key = (self, *[_shorten(each) for each in args], *named)
        entry = self.budget.find(key)
        if entry is not None:
            return entry[0]  # type: ignore[no-any-return]  # what was computed
        result = self._compute(*args, **kwargs)
        self.budget.keep(key, result)
        return result


def remember(budget: MemoBudget = VALUES) -> Callable[[Callable[P, R]], Memo[P, R]]:
    """Remember a function's results within a budget."""
    return lambda compute: Memo(compute, budget)


def weigh(value: object) -> int:
    """How many bytes a value takes with all that is in it, about; what is there twice counts so."""
    total, rest = 0, [value]
    while rest:
        each = rest.pop()
        total += sys.getsizeof(each)
        rest += _list_parts(each)
    return total


def _list_parts(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return (*value.keys(), *value.values())
    if isinstance(value, list | tuple | set | frozenset):
        return value
    if is_dataclass(value) and not isinstance(value, type):
        return [getattr(value, field.name) for field in fields(value)]
    return ()


def _shorten(argument: object) -> object:
    """A short argument itself, or the digest of a long text, which no short text can be."""
    if isinstance(argument, str) and len(argument) >= LONG:
        return str, sha256(argument.encode(errors="surrogatepass")).digest()
    if isinstance(argument, bytes | bytearray) and len(argument) >= LONG:
        return bytes, sha256(argument).digest()
    return argument
