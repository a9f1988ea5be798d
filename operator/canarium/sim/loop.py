"""An event loop in virtual time: whoever sleeps is woken at once, and the clock says it was later.

Everything that keeps time by its loop (queues, backoffs, holds, watches) runs unchanged and as
fast as it can be computed. There are no sockets and no threads in it.
"""

from __future__ import annotations

import asyncio
import selectors


class StandstillError(RuntimeError):
    """Nothing is due any more, and somebody still waits: that would be for ever."""


class _Selector(selectors.SelectSelector):
    """Where a real loop would wait for sockets, time passes instead."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Let `timeout` seconds pass; there is never anything to read."""
        if timeout is None:
            raise StandstillError("everybody waits and nothing is due")
        self.now += max(0.0, timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop whose time starts at 0 and jumps from one timer to the next."""

    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)
        # Sums of floats may fall short of a timer by a hair, and would never get there.
        self._clock_resolution = 1e-6

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._virtual.now
