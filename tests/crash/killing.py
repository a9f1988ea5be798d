"""Kills an operator exactly at its k-th write: held before it goes on, or its answer swallowed."""

import asyncio
from collections.abc import Callable
from typing import Literal

from tests.crash.proxy import Answer, Call, Gate, wait_for_ever

Moment = Literal["before", "after"]


class KillingGate(Gate):
    """Counts the writes about one model; at the wanted one it kills, and lets nothing more pass.

    Without a `number` it only writes them down. `fired` is set once the operator was killed.
    """

    def __init__(
        self, model: str, kill: Callable[[], None], number: int = 0, moment: Moment = "before"
    ) -> None:
        self.writes: list[str] = []
        self.fired = asyncio.Event()
        self._model = model
        self._kill = kill
        self._number = number
        self._moment = moment
        self._last: Call | None = None

    async def admit(self, call: Call) -> Answer | None:
        if self.fired.is_set():
            await wait_for_ever()
        if call.counts and (call.name == self._model or call.name.startswith(f"{self._model}-")):
            self.writes.append(f"{call.method} {call}".replace(self._model, "<model>"))
            if len(self.writes) == self._number:
                self._last = call
                if self._moment == "before":
                    await self._end()
        return None

    async def release(self, call: Call, answer: Answer) -> Answer | None:
        if call is self._last:
            await self._end()
        return answer

    async def _end(self) -> None:
        self.fired.set()
        self._kill()
        await wait_for_ever()
