"""Which object is worked on next: each at most once in the queue and never twice at once.

Keys that become due later sit in a heap with one timer of the loop; failures are retried with a
backoff of each key's own. Time is the loop's, so that tests run in virtual time.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, Protocol

from canarium.kube.queues.backoff import Backoff
from canarium.kube.queues.turns import K, Turns

BACKOFF = Backoff(first_seconds=0.1, longest_seconds=60.0)
EPSILON_SECONDS = 0.001
BURST_SECONDS = 0.05
"How long news of children are gathered: a pod that starts makes half a dozen within this time."
ORDINARY_AT_ONCE = 6
"""More of them get no more done where the apiserver is the bottleneck, and what is urgent would
wait behind all their requests. Nor can ordinary keys whose requests hang take every worker."""
ORDINARY_BESIDE_URGENT = 2
"How many of them are begun while an urgent key is worked on."
MOST_OF_ONE_NAMESPACE = 9
"""Keys of any class that are worked on at once. The other workers are for the others, however long
requests about this namespace's objects hang."""


class Clock(Protocol):
    """What is needed of an event loop."""

    def time(self) -> float:
        """Seconds on a clock that never goes back."""

    def call_at(self, when: float, callback: Callable[[], None]) -> Any:
        """Call back then; what is returned has `cancel()`."""


class WorkQueue(Generic[K]):
    """A queue of keys. Urgent ones go first; within each class the namespaces take turns.

    Ordinary keys are handed out a few at a time, so that there is always a worker for urgent ones,
    and one namespace's keys leave some for the others'.
    `on_begin` hears of each key that is begun how many seconds it waited since it was asked for.
    """

    def __init__(
        self,
        clock: Clock | None = None,
        backoff: Backoff = BACKOFF,
        *,
        on_begin: Callable[[float], None] = lambda _waited_seconds: None,
    ) -> None:
        self._clock = clock or asyncio.get_running_loop()
        self._on_begin = on_begin
        self._since: dict[K, float] = {}
        self._backoff = backoff
        self._urgent: Turns[K] = Turns()
        self._ordinary: Turns[K] = Turns()
        self._dirty: dict[K, bool] = {}
        self._processing: dict[K, bool] = {}
        self._preferred: set[K] = set()
        self._failures: dict[K, int] = {}
        self._wakes: dict[K, float] = {}
        self._heap: list[tuple[float, K]] = []
        self._timer: Any = None
        self._due: float | None = None
        self._waiters: deque[asyncio.Future[None]] = deque()

    @property
    def depth(self) -> int:
        """How many keys wait to be worked on now."""
        return len(self._dirty)

    def time(self) -> float:
        """Seconds on the clock that keys become due by, which never goes back."""
        return self._clock.time()

    def add(self, key: K, *, urgent: bool = False) -> None:
        """Ask for the key to be worked on; if it is being worked on, once more afterwards."""
        queued = self._dirty.get(key)
        urgent = urgent or key in self._preferred
        self._dirty[key] = bool(queued) or urgent
        self._since.setdefault(key, self._clock.time())
        if key in self._processing:
            return
        if queued is None or (urgent and not queued):
            (self._urgent if urgent else self._ordinary).append(key)
            self._notify()

    def add_first(self, key: K) -> None:
        """The same, before everybody's ordinary work."""
        self.add(key, urgent=True)

    def add_soon(self, key: K) -> None:
        """The same, after a moment in which more news can come: pods change in bursts."""
        if key in self._processing or key in self._preferred:
            self.add(key)
        elif key not in self._dirty:
            self.add_at(key, self._clock.time() + BURST_SECONDS)

    def add_at(self, key: K, when: float) -> None:
        """Ask for the key at a time of the loop's clock; the earliest time asked for counts."""
        if when >= self._wakes.get(key, float("inf")):
            return
        self._wakes[key] = when
        heapq.heappush(self._heap, (when, key))
        self._arm()

    def add_in(self, key: K, seconds: float) -> None:
        """The same, so many seconds from now; a hair later, so that it isn't too early."""
        self.add_at(key, self._clock.time() + max(0.0, seconds) + EPSILON_SECONDS)

    def prefer(self, key: K, urgent: bool) -> None:
        """Whether from now on whatever asks for this key is urgent: it is being rolled back."""
        if urgent:
            self._preferred.add(key)
        else:
            self._preferred.discard(key)

    def retry(self, key: K, at_least: float = 0.0) -> float:
        """Ask for the key again after its backoff, or later when that is too soon; the seconds."""
        self._failures[key] = self._failures.get(key, 0) + 1
        delay = max(at_least, self._backoff.compute(self._failures[key]))
        self.add_at(key, self._clock.time() + delay)
        return delay

    def forget(self, key: K) -> None:
        """The key is well: its next failure starts the backoff anew."""
        self._failures.pop(key, None)

    async def get(self) -> K:
        """The next key, to be given back with `done`; what it was to wake for is void."""
        while (key := self._pop()) is None:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            await self._wait(waiter)
        self._processing[key] = self._dirty.pop(key)
        self._wakes.pop(key, None)
        self._on_begin(self._clock.time() - self._since.pop(key))
        self._notify()
        return key

    def done(self, key: K) -> None:
        """The key has been worked on; what was asked for meanwhile is queued now."""
        self._processing.pop(key, None)
        urgent = self._dirty.pop(key, None)
        if urgent is not None:
            self.add(key, urgent=urgent)
        self._notify()

    def _pop(self) -> K | None:
        urgent = self._urgent.pop(self._is_waiting, self._has_workers)
        return self._pop_ordinary() if urgent is None else urgent

    def _pop_ordinary(self) -> K | None:
        """The next ordinary key, if there is room for it.

        There is room for one more when all places are one namespace's, and this is another's.
        """
        begun = [key for key, urgent in self._processing.items() if not urgent]
        alone = len(begun) == len(self._processing)
        if len(begun) < (ORDINARY_AT_ONCE if alone else ORDINARY_BESIDE_URGENT):
            return self._ordinary.pop(self._is_waiting, self._has_workers)
        holders = {key[0] for key in begun}
        if len(holders) > 1:
            return None
        return self._ordinary.pop(self._is_waiting, lambda namespace: namespace not in holders)

    def _is_waiting(self, key: K) -> bool:
        return key in self._dirty and key not in self._processing

    def _has_workers(self, namespace: str) -> bool:
        """Whether another key of this namespace may be begun at all."""
        return sum(key[0] == namespace for key in self._processing) < MOST_OF_ONE_NAMESPACE

    async def _wait(self, waiter: asyncio.Future[None]) -> None:
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self._notify()
            raise

    def _notify(self) -> None:
        """Have one worker look again, where there is something to look for."""
        while self._waiters and (self._urgent or self._ordinary):
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

    def _arm(self) -> None:
        """Keep one timer for the earliest wake; voided entries of the heap are dropped here."""
        while self._heap and self._wakes.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        due = self._heap[0][0] if self._heap else None
        if due == self._due:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._due = due
        self._timer = self._clock.call_at(due, self._wake) if due is not None else None

    def _wake(self) -> None:
        now, self._due = self._clock.time(), None
        while self._heap and self._heap[0][0] <= now:
            when, key = heapq.heappop(self._heap)
            if self._wakes.get(key) == when:
                del self._wakes[key]
                self.add(key)
        self._arm()
