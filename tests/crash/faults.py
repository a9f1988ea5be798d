"""What an apiserver, or the network before it, does wrong: a gate for each fault.

Each begins with `begin()`, so that an operator can be started and an object be well before. What
is refused is counted out, not drawn, so that a failure comes again.
"""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass

from tests.crash.proxy import Answer, Call, CutError, Gate, refuse, wait_for_ever

LATENCY_SECONDS = 5.0


def tell_same(call: Call) -> tuple[str, str, bool]:
    """What two requests have in common of which one repeats the other."""
    return call.method, call.path, call.watch


class Fault(Gate):
    """Harmless until begun; `struck` counts what it did."""

    def __init__(self) -> None:
        self.active = False
        self.struck = 0
        self._asked: Counter[tuple[str, str, bool]] = Counter()

    def begin(self) -> None:
        """From now on."""
        self.active = True

    def _strikes(self, call: Call) -> bool:
        """Every second time that the same is asked; a try and its repetition never both.

        Each request has its own count. With one for all, of two requests that take turns (a delete
        and the create that it makes room for) one would be struck for ever, and the other never.
        """
        if not self.active:
            return False
        same = tell_same(call)
        self._asked[same] += 1
        hit = self._asked[same] % 2 == 1
        self.struck += hit
        return hit


class Refusals(Fault):
    """Refuses every request (or write) once, and lets it through when it comes again."""

    def __init__(self, answer: Answer, *, writes_only: bool = False) -> None:
        super().__init__()
        self._answer = answer
        self._writes_only = writes_only
        self._refused: set[tuple[str, str, bool]] = set()

    async def admit(self, call: Call) -> Answer | None:
        """Refuse it or not."""
        same = tell_same(call)
        if not self.active or (self._writes_only and not call.counts):
            return None
        if same in self._refused:
            self._refused.remove(same)
            return None
        self._refused.add(same)
        self.struck += 1
        return self._answer


class Latency(Fault):
    """Answers come late, those of writes after they were done."""

    async def release(self, call: Call, answer: Answer) -> Answer | None:
        """Wait."""
        if self.active:
            self.struck += 1
            await asyncio.sleep(LATENCY_SECONDS)
        return answer


class LostAnswers(Fault):
    """Of each write that is done every second answer is lost with the connection.

    What was refused did nothing, and is told. If it counted, the create of something that is
    there already would be the one that is told, and the create that made it never.
    """

    async def release(self, call: Call, answer: Answer) -> Answer | None:
        """Lose it or not."""
        done = call.counts and answer.status < 400
        return None if done and self._strikes(call) else answer


class CutWatches(Fault):
    """The connection of every watch breaks after two events: the third is lost on the way."""

    async def relay(self, call: Call, lines: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Pass two events on."""
        passed = 0
        async for line in lines:
            if self.active and passed >= 2:
                self.struck += 1
                raise CutError
            passed += self.active
            yield line


class StalledWatches(Fault):
    """Watches that are open when it begins stay open, and say nothing any more."""

    async def relay(self, call: Call, lines: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Pass events on until it begins; a watch that was opened later is well."""
        sound = self.active
        async for line in lines:
            if self.active and not sound:
                self.struck += 1
                await wait_for_ever()
            yield line


class ExpiredWatches(Fault):
    """What a watch begins at is too old: said in the stream, after two events."""

    async def relay(self, call: Call, lines: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Pass two events on, then say it."""
        passed = 0
        async for line in lines:
            if self.active and passed >= 2:
                self.struck += 1
                status = json.loads(refuse(410, "Expired").body)
                yield json.dumps({"type": "ERROR", "object": status}).encode() + b"\n"
                return
            passed += self.active
            yield line


class RefusedWatches(CutWatches):
    """The same, said by the answer's code when a watch that was cut is taken up again."""

    async def admit(self, call: Call) -> Answer | None:
        """Refuse every second beginning."""
        return refuse(410, "Expired") if call.watch and self._strikes(call) else None


class LateKinds(Fault):
    """News of some kinds come later than of others: each in order, all of them out of order."""

    def __init__(self, delays: Mapping[str, float]) -> None:
        super().__init__()
        self._delays = delays

    async def relay(self, call: Call, lines: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Pass each event on as long after its coming as its kind says."""
        loop, queue = asyncio.get_running_loop(), asyncio.Queue[tuple[float, bytes]]()

        async def take() -> None:
            async for line in lines:
                queue.put_nowait((loop.time() + self._delay(call), line))
            queue.put_nowait((loop.time(), b""))

        taking = asyncio.create_task(take())
        try:
            while (found := await queue.get())[1]:
                await asyncio.sleep(found[0] - loop.time())
                yield found[1]
        finally:
            taking.cancel()

    def _delay(self, call: Call) -> float:
        delay = self._delays.get(call.resource, 0.0) if self.active else 0.0
        self.struck += delay > 0
        return delay


class LostDeletes(Fault):
    """No watch tells that anything is gone."""

    async def relay(self, call: Call, lines: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Pass on what is no end."""
        async for line in lines:
            if self.active and json.loads(line)["type"] == "DELETED":
                self.struck += 1
            else:
                yield line


@dataclass(frozen=True, slots=True)
class Case:
    """A fault by its name, and how long its end may take."""

    name: str
    make: Callable[[], Fault]
    seconds: float = 400.0
    recreates: bool = False
    "Whether the models are deleted and created anew before they are rolled."


CHILDREN_LATE = {"deployments": 1.5, "services": 3.0, "modelrevisions": 2.5, "httproutes": 2.0}
PODS_LATE = {"pods": 3.0, "endpointslices": 1.0, "modeldeployments": 2.0}
CASES = (
    Case("conflict", lambda: Refusals(refuse(409, "Conflict"), writes_only=True)),
    Case("too-many", lambda: Refusals(refuse(429, "TooManyRequests", Retry_After="2"))),
    Case("internal", lambda: Refusals(refuse(500, "InternalError"))),
    Case("unavailable", lambda: Refusals(refuse(503, "ServiceUnavailable"))),
    Case("slow", Latency, seconds=900.0),
    Case("lost-answers", LostAnswers),
    Case("cut", CutWatches),
    Case("stalled", StalledWatches, seconds=600.0),
    Case("expired", ExpiredWatches),
    Case("gone", RefusedWatches),
    Case("children-late", lambda: LateKinds(CHILDREN_LATE)),
    Case("pods-late", lambda: LateKinds(PODS_LATE)),
    Case("lost-deletes", LostDeletes, recreates=True),
)
