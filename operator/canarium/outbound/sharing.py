"""How the operator shares itself among those whose servers it reads: its loop, and its memory.

What is read comes from servers that anybody may run. So reading never holds the loop for more than
a slice, slices go round by namespace, and the bytes of all answers that are on their way are
counted, by namespace and in all.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TypeVar

SLICE_SECONDS = 0.002
"How long reading goes on until everybody else has a turn."
MIB = 1024 * 1024
MOST_IN_FLIGHT = 8 * MIB
"Of answers of all namespaces together, from their first byte until they are understood."
MOST_OF_A_NAMESPACE = 4 * MIB
MOST_FOLLOWED = 40_000
"Series that all queries of an operator follow: about 250 bytes each."

T = TypeVar("T")


class LoopTurns:
    """One at a time, and between two of them the loop goes round once.

    Of several owners that wait, the one goes first that has had the least time, so whoever has much
    to be read waits for itself and not others for it. Who comes back after a while starts level
    with who had the least, and has saved nothing up.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}
        self._had: dict[str, float] = {}
        self._level = 0.0
        self._taken = False
        self._since = 0.0

    @asynccontextmanager
    async def take(self, owner: str) -> AsyncIterator[None]:
        """Have a turn; it ends with the block."""
        await self._wait(owner)
        self._since = self._clock()
        try:
            yield
        finally:
            spent = self._clock() - self._since
            self._had[owner] = max(self._had.get(owner, 0.0), self._level) + spent
            asyncio.get_running_loop().call_soon(self._pass_on)

    async def run(self, owner: str, work: Callable[[], T]) -> T:
        """Do something short in a turn."""
        async with self.take(owner):
            return work()

    async def run_slices(self, owner: str, steps: Iterator[None]) -> None:
        """Go through all steps, a slice of them in each turn."""
        goes_on = True
        while goes_on:
            async with self.take(owner):
                goes_on = self._run_slice(steps)

    def _run_slice(self, steps: Iterator[None]) -> bool:
        """Whether there is more to do."""
        until = self._clock() + SLICE_SECONDS
        return any(self._clock() >= until for _ in steps)

    async def _wait(self, owner: str) -> None:
        if not self._taken:
            self._taken = True
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(owner, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            self._give_back(owner, turn)
            raise

    def _give_back(self, owner: str, turn: asyncio.Future[None]) -> None:
        """Who was cancelled has no turn any more, or passes on the one that was just given."""
        if turn.done() and not turn.cancelled():
            self._pass_on()
        elif owner in self._waiting and turn in self._waiting[owner]:
            self._waiting[owner].remove(turn)
            if not self._waiting[owner]:
                del self._waiting[owner]

    def _pass_on(self) -> None:
        """Give the turn to the owner that has had the least; nobody keeps it when nobody waits."""
        while self._waiting:
            owner = min(self._waiting, key=self._count)
            turns = self._waiting[owner]
            turn = turns.popleft()
            if not turns:
                del self._waiting[owner]
            self._level = max(self._level, self._count(owner))
            self._forget()
            if not turn.done():
                turn.set_result(None)
                return
        self._taken = False
        self._had, self._level = {}, 0.0

    def _count(self, owner: str) -> float:
        return max(self._had.get(owner, 0.0), self._level)

    def _forget(self) -> None:
        """Those that had no more than everybody who waits are counted from there anyway."""
        gone = [owner for owner, had in self._had.items() if had <= self._level]
        for owner in gone:
            del self._had[owner]


@dataclass(frozen=True, slots=True, eq=False)
class _Request:
    """So much is wanted of a room; `granted` is done once it was taken."""

    amount: int
    granted: asyncio.Future[None]


class Room:
    """So much for all together, and so much for each owner; what is taken is given back.

    Once all is taken, an owner that has less than its share gets some nevertheless, so that nobody
    can take it from the others. All together hold at most twice as much by that.
    """

    def __init__(self, most: int, most_of_one: int) -> None:
        self._most = most
        self._most_of_one = most_of_one
        self._taken: dict[str, int] = {}
        self._total = 0
        self._waiting: dict[str, deque[_Request]] = {}
        "By owner, in the order of their turns; none is empty."
        self._left: deque[tuple[str, int]] = deque()
        "What was given back from a place where nothing else of this may be touched."
        self._loop: asyncio.AbstractEventLoop | None = None
        "Where somebody has waited."

    @property
    def total(self) -> int:
        """How much is taken."""
        self._settle()
        return self._total

    def take(self, owner: str, amount: int) -> bool:
        """Take so much; whether there was room for it."""
        self._settle()
        return self._take(owner, amount)

    def _take(self, owner: str, amount: int) -> bool:
        taken = self._taken.get(owner, 0) + amount
        if taken > self._most_of_one:
            return False
        if self._total + amount > self._most:
            owners = len(self._taken) + (owner not in self._taken)
            if taken > self._most // owners or self._total + amount > 2 * self._most:
                return False
        self._taken[owner] = taken
        self._total += amount
        return True

    def give(self, owner: str, amount: int) -> None:
        """Give back what was taken."""
        self._settle()
        self._put_back(owner, amount)
        self._hand_out()

    def leave(self, owner: str, amount: int) -> None:
        """Give back from a finalizer, which runs in the middle of anything, and in any thread.

        So it is only noted here; the loop, or whoever takes or gives next, does the rest.
        """
        self._left.append((owner, amount))
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._collect)

    def _collect(self) -> None:
        self._settle()
        self._hand_out()

    def _settle(self) -> None:
        """Put back what finalizers have left; whoever waits for it hears of it by the loop."""
        while self._left:
            self._put_back(*self._left.popleft())

    def _put_back(self, owner: str, amount: int) -> None:
        left = self._taken.get(owner, 0) - amount
        self._total -= amount
        if left > 0:
            self._taken[owner] = left
        else:
            self._taken.pop(owner, None)

    @asynccontextmanager
    async def hold(self, owner: str, amount: int) -> AsyncIterator[None]:
        """Hold so much during a block, as soon as there is room."""
        await self.acquire(owner, amount)
        try:
            yield
        finally:
            self.give(owner, amount)

    async def acquire(self, owner: str, amount: int) -> None:
        """Take so much as soon as there is room; one owner's requests are granted in order."""
        if owner not in self._waiting and self.take(owner, amount):
            return
        self._loop = asyncio.get_running_loop()
        request = _Request(amount, self._loop.create_future())
        self._waiting.setdefault(owner, deque()).append(request)
        try:
            await request.granted
        except asyncio.CancelledError:
            self._withdraw(owner, request)
            raise

    def _withdraw(self, owner: str, request: _Request) -> None:
        """Who was cancelled wants nothing any more, or gives back what was just granted."""
        if not request.granted.cancelled():
            self.give(owner, request.amount)
            return
        with suppress(KeyError, ValueError):  # it may have been passed over since
            self._waiting[owner].remove(request)
        self._hand_out()  # what stands first now may want less

    def _hand_out(self) -> None:
        """Grant what there is room for, one request of each owner after the other.

        Only those that get something are woken: a thousand may wait.
        """
        owners = deque(self._waiting)
        while owners:
            owner = owners.popleft()
            requests = self._waiting[owner]
            while requests and requests[0].granted.cancelled():
                requests.popleft()
            if requests:
                if not self._take(owner, requests[0].amount):
                    continue
                requests.popleft().granted.set_result(None)
            del self._waiting[owner]
            if requests:
                self._waiting[owner] = requests
                owners.append(owner)


class Held:
    """What somebody holds of a room, until it is closed or gone."""

    def __init__(self, room: Room, owner: str) -> None:
        self._room = room
        self._owner = owner
        self._amount = 0

    @property
    def amount(self) -> int:
        """How much is held."""
        return self._amount

    async def take(self, amount: int) -> None:
        """Take so much more, as soon as there is room."""
        await self._room.acquire(self._owner, amount)
        self._amount += amount

    def take_now(self, amount: int) -> bool:
        """Take so much more; whether there was room for it."""
        if not self._room.take(self._owner, amount):
            return False
        self._amount += amount
        return True

    def give(self, amount: int) -> None:
        """Give so much of it back."""
        self._room.give(self._owner, amount)
        self._amount -= amount

    def close(self) -> None:
        """Give everything back."""
        self.give(self._amount)

    def __del__(self) -> None:
        """Whoever held it ended without closing it, as what counts does with its session."""
        if self._amount:
            self._room.leave(self._owner, self._amount)


@dataclass(frozen=True, slots=True)
class Shares:
    """What all readings of an operator share.

    `turns` are those on the loop; in `threads` one job at a time runs beside it. `answers` are
    bytes that were read and not yet understood; `requests` and `pods` are connections to servers
    that a spec names, and to pods; `lookups` are names that are looked up, each in a thread of its
    own; `series` are those that are followed.
    """

    turns: LoopTurns = field(default_factory=LoopTurns)
    threads: LoopTurns = field(default_factory=LoopTurns)
    answers: Room = field(default_factory=lambda: Room(MOST_IN_FLIGHT, MOST_OF_A_NAMESPACE))
    requests: Room = field(default_factory=lambda: Room(48, 16))
    pods: Room = field(default_factory=lambda: Room(160, 64))
    lookups: Room = field(default_factory=lambda: Room(16, 8))
    series: Room = field(default_factory=lambda: Room(MOST_FOLLOWED, MOST_FOLLOWED))
