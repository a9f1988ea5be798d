"""Which objects are drawn: every place of spec in turn, each object by its own number.

Hypothesis makes one value at a time here. Many in one example were tried first: they use up what an
example may draw, and most objects of the later examples were repetitions of the earlier ones.
"""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from tests.fuzz.schemas import Path, find_excluded, make_values

Json = dict[str, Any]
Schema = Mapping[str, Any]
Place = tuple[Path, Schema]


def draw(strategy: SearchStrategy[Any], number: int) -> Any:
    """What a strategy gives for a number: always the same.

    Of one strategy alone the first example would be the simplest one there is, and the second
    never that, whatever was drawn; so something else is drawn before it.
    """
    found: list[Any] = []

    @seed(number)
    @settings(
        max_examples=2,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.integers(0, 2**30), strategy)
    def take(_before: int, value: Any) -> None:
        found.append(value)

    take()
    return found[-1]


@dataclass(frozen=True, slots=True)
class Change:
    """What is put where."""

    path: Path
    value: Any
    number: int
    "By which it was drawn."


class Places:
    """The places of a spec, each in its turn.

    By half it is the turn of a kind of place: those with the same schema, of which there are many
    (each container has probes, each probe has headers), so that none of them waits for the others.
    """

    def __init__(self, places: list[Place]) -> None:
        self._places = places
        self._kinds: dict[str, list[Place]] = {}
        for path, schema in places:
            kind = json.dumps([path[-1], schema], sort_keys=True)
            self._kinds.setdefault(kind, []).append((path, schema))

    def take_turns(self, chance: random.Random) -> Iterator[Place]:
        """Places without end."""
        while True:
            kinds, order = list(self._kinds.values()), list(self._places)
            chance.shuffle(kinds)
            chance.shuffle(order)
            for number, place in enumerate(order):
                yield place
                yield chance.choice(kinds[number % len(kinds)])

    def choose(self, chance: random.Random) -> Place:
        """Any place, of each kind as often."""
        return chance.choice(chance.choice(list(self._kinds.values())))


def make_change(place: Place, number: int) -> Change:
    """A value for a place; a map's key names nothing, so there it is the map's name."""
    path, schema = place
    names = [step for step in path if isinstance(step, str)]
    return Change(path, draw(make_values(schema, names[-1]), number), number)


def has(body: Any, path: Path) -> bool:
    """Whether an object has a place, whatever is there."""
    return _reach(body, path) == len(path)


def put(body: Any, schema: Schema, change: Change, whole: Any) -> None:
    """Put a value at a place of an object, and what has to be there to hold it, out of a whole one.

    Of a list it is the item that leads furthest, another one of the whole's if that leads further.
    What the value excludes goes.
    """
    path = change.path
    for number, step in enumerate(path[:-1]):
        rest = path[number + 1 :]
        inner = schema["items"] if isinstance(step, int) else schema["properties"][step]
        whole = _find(whole, step, rest)
        body = _enter(body, schema, step, rest, _Filling(whole, inner, change.number))
        schema = inner
    _set(body, schema, path[-1], change.value)


@dataclass(frozen=True, slots=True)
class _Filling:
    """What is put where nothing leads on: a part of the whole, or one that is drawn."""

    whole: Any
    schema: Schema
    number: int

    def make(self, empty: Any) -> Any:
        if isinstance(self.whole, type(empty)):
            return copy.deepcopy(self.whole)
        if isinstance(empty, dict) and "properties" in self.schema:
            return draw(make_values(self.schema), self.number)
        return empty


def _find(body: Any, step: str | int, rest: Path) -> Any:
    """What is at a step, None when there is nothing."""
    if isinstance(step, int):
        found = body if isinstance(body, list) else []
        return max(found, key=lambda item: _reach(item, rest), default=None)
    return body.get(step) if isinstance(body, dict) else None


def _reach(body: Any, path: Path) -> int:
    """How far a way leads into an object."""
    if not path or (found := _find(body, path[0], path[1:])) is None:
        return 0
    return 1 + _reach(found, path[1:])


def _enter(body: Any, schema: Schema, step: str | int, rest: Path, filling: _Filling) -> Any:
    empty: Any = [] if isinstance(rest[0], int) else {}
    found = _find(body, step, rest)
    if not isinstance(found, type(empty)):
        found = filling.make(empty)
        _set(body, schema, step, found)
    elif isinstance(step, int) and _reach(filling.whole, rest) > _reach(found, rest):
        found = copy.deepcopy(filling.whole)
        names = [item for item in body if item.get("name") == found.get("name")]
        body[:] = [*(item for item in body if item not in names), found]
    _exclude(body, schema, step)
    return found


def _set(body: Any, schema: Schema, step: str | int, value: Any) -> None:
    if not isinstance(step, int):
        _exclude(body, schema, step)
        body[step] = value
    elif body:
        body[0] = value
    else:
        body.append(value)


def _exclude(body: Any, schema: Schema, step: str | int) -> None:
    if isinstance(step, str):
        for other in find_excluded(schema, step):
            body.pop(other, None)


def make_marks(names: tuple[str, ...], texts: tuple[str, ...]) -> SearchStrategy[dict[str, str]]:
    """Annotations, hardly ever more than two, by half with texts that are known."""
    free = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
    values = st.booleans().flatmap(lambda known: st.sampled_from(texts) if known else free)
    return st.dictionaries(st.sampled_from(names), values, max_size=2)
