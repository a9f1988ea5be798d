"""A breadth-first walk through every abstract state of a rollout, from the empty object on.

An abstract state is what the operator itself has made (state, step, weights, sizes, rules, records)
with weights as classes and versions without names. From each, one pass is made in all the
circumstances of `circumstances.offer`; what that leads to is a place of the walk in its turn.
After something rare (`circumstances.are_rare`) only the ordinary follows, up to a place that is
known.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from unittest.mock import patch

from canarium.core.plan import Plan
from canarium.core.status import Status
from canarium.rollout.decide.states import STATES
from canarium.rollout.plan import plan
from canarium.rollout.situation.situation import Situation

from tests.walk.circumstances import (
    Circumstances,
    WalkedWorld,
    are_rare,
    copy,
    describe,
    imagine,
    make_wish,
    offer,
)
from tests.walk.consistency import find_contradictions

NOTHING = "nothing"
"The state of an object whose status says nothing."
MOST_PASSES = 12
"Passes after which everything that can be done at one moment is done."
PASS_SECONDS = 0.02
"How long a pass takes; with time standing still two that undo each other would seem at rest."
Edge = tuple[str, str]
Decide = Callable[[Situation], Situation]


@dataclass(frozen=True, slots=True)
class Way:
    """How something was reached: the circumstances of each pass, from the empty object on."""

    before: Way | None
    circumstances: Circumstances
    rare: bool = False
    "Whether something rare happened on it."

    def __str__(self) -> str:
        """One pass a line."""
        words = ", ".join(" ".join(one) for one in self.circumstances) or "ordinary"
        return f"{self.before}\n  {words}" if self.before else f"  {words}"


@dataclass
class Walk:
    """What was found."""

    places: dict[Hashable, Way | None] = field(default_factory=dict)
    edges: dict[Edge, Way] = field(default_factory=dict)
    violations: dict[str, Way] = field(default_factory=dict)
    "Each kind of violation, with the first way to one."
    passes: int = 0
    noted: list[Edge] = field(default_factory=list)
    "Where each state's function was called in the present pass, and where it went."

    def __str__(self) -> str:
        """The numbers in one line."""
        found = f"{len(self.places)} abstract states, {len(self.edges)} edges"
        return f"{found}, in {self.passes} passes"


def walk(*, holdback: int = 0, most: int = 100_000) -> Walk:
    """Visit every place of rollouts that hold so many percent back; `most` is a fuse.

    Those that hold anything back have an experiment too.
    """
    found = Walk()
    start = WalkedWorld(make_wish("1", holdback=holdback), holdback=holdback)
    with _noting(found.noted):
        _visit_all(found, start, most)
    return found


def _visit_all(found: Walk, start: WalkedWorld, most: int) -> None:
    """First what is reached without anything rare, then the rest."""
    found.places[describe(start)] = None
    left: deque[tuple[WalkedWorld, Way | None]] = deque([(start, None)])
    later: list[tuple[WalkedWorld, Way]] = []
    while left and found.passes < most:
        place, way = left.popleft()
        for after, here in _leave(found, place, way):
            if here.rare and not (way and way.rare):
                later.append((after, here))
            elif _is_new(found, after, here):
                left.append((after, here))
        if not left:
            left.extend(later_one for later_one in later if _is_new(found, *later_one))
            later = []


def _leave(found: Walk, place: WalkedWorld, way: Way | None) -> Iterator[tuple[WalkedWorld, Way]]:
    before = way is not None and way.rare
    for circumstances in [()] if before else offer(place):
        here = Way(way, circumstances, before or are_rare(circumstances))
        yield _make_pass(found, imagine(place, circumstances), here), here


def _is_new(found: Walk, place: WalkedWorld, way: Way) -> bool:
    key = describe(place)
    if key in found.places:
        return False
    found.places[key] = way
    _check_rest(found, place, way)
    return True


def _make_pass(found: Walk, world: WalkedWorld, way: Way) -> WalkedWorld:
    """One pass; the edges that it takes and what it violates are noted."""
    before = state_of(world.status)
    found.noted.clear()
    found.passes += 1
    try:
        world.make_pass()
    except Exception as error:  # noqa: BLE001 - whatever a pass raises is what the walk looks for
        _violate(found, f"{type(error).__name__}: {error}", way)
    begun = found.noted[0][0] if found.noted else state_of(world.status)
    for edge in ((before, begun), *found.noted):
        if edge[0] != edge[1]:
            found.edges.setdefault(edge, way)
    for contradiction in find_contradictions(world.status):
        _violate(found, contradiction, way)
    return world


def _violate(found: Walk, what: str, way: Way) -> None:
    found.violations.setdefault(what, way)


def _check_rest(found: Walk, world: WalkedWorld, way: Way) -> None:
    """Plans are functions; made again and again, as time goes by, they come to an end.

    And nothing that was decided is taken back: there is nothing new to see.
    """
    resting = copy(world)
    resting.commands = dict(world.commands)
    resting.verdicts, resting.silent = dict(world.verdicts), world.silent
    resting.outcomes = dict(world.outcomes)
    expected: Plan | None = plan(resting.observe(), resting.now)
    for _ in range(MOST_PASSES):
        made = _rest_once(found, resting, way)
        if expected not in (None, made):
            _violate(found, "the same was observed, and something else was planned", way)
        if made.status is None and not made.writes:
            return
        expected = None
        resting.now += PASS_SECONDS
    _violate(found, "it does not come to rest", way)


def _rest_once(found: Walk, world: WalkedWorld, way: Way) -> Plan:
    try:
        return world.make_pass()
    except Exception as error:  # noqa: BLE001 - whatever a pass raises is what the walk looks for
        _violate(found, f"{type(error).__name__}: {error}", way)
        return Plan()


def state_of(status: Status) -> str:
    """The state's name, also of a status that says nothing."""
    return status.rollout.state if status.rollout else NOTHING


@contextmanager
def _noting(noted: list[Edge]) -> Iterator[None]:
    """Have every state's function tell where it is called and where it goes."""
    with patch.dict(STATES, {name: _note(decide, noted) for name, decide in STATES.items()}):
        yield


def _note(decide: Decide, noted: list[Edge]) -> Decide:
    def decide_noted(situation: Situation) -> Situation:
        after = decide(situation)
        noted.append((situation.rollout.state, after.rollout.state))
        return after

    return decide_noted
