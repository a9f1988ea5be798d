"""Who may be connected to the operator's own port, how many of them, and for how long.

Anybody in the cluster can reach it, and a connection says what it wants only later. So nobody is
turned away at the door: where there are too many, the one that has waited longest without a
request makes room. A probe asks as soon as it is connected, so it is answered whoever else waits.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import cast

from aiohttp import web

logger = logging.getLogger("canarium.probes")

CONNECTIONS = 128
CONNECTIONS_OF_ADDRESS = 32
HEADER_SECONDS = 5.0
"How long a connection may take for a request's headers, from when it is made or last answered."
SCRAPES = 8
SCRAPES_OF_ADDRESS = 2
SCRAPE_SECONDS = 20.0
"How long a page of metrics may take to be read by who asked for it."
LONGEST_LINE = 4096
MOST_HEADERS = 32
"So that all connections together hold at most 16 MiB of headers."

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class Connections:
    """The connections that there are, in the order in which they last had nothing to ask."""

    def __init__(self) -> None:
        self._inside: dict[Visit, str] = {}

    def enter(self, visit: Visit, address: str) -> bool:
        """Let a connection in, at the cost of another where there are too many.

        False where all the others are being answered.
        """
        crowd = self._find_crowd(address)
        if crowd:
            idle = next((other for other in crowd if not other.asking), None)
            if idle is None:
                return False
            self.leave(idle)
            idle.force_close()
        self._inside[visit] = address
        return True

    def leave(self, visit: Visit) -> None:
        """Forget a connection that is no more."""
        self._inside.pop(visit, None)

    def rest(self, visit: Visit) -> None:
        """Put a connection that was answered behind those that wait longer."""
        if (address := self._inside.pop(visit, None)) is not None:
            self._inside[visit] = address

    def _find_crowd(self, address: str) -> list[Visit]:
        """Of whom one has to go, those who wait longest first; nobody where there is room."""
        same = [visit for visit, of in self._inside.items() if of == address]
        if len(same) >= CONNECTIONS_OF_ADDRESS:
            return same
        return list(self._inside) if len(self._inside) >= CONNECTIONS else []


class Visit(web.RequestHandler):
    """One connection."""

    __slots__ = ("_door", "_entered", "asking")

    def __init__(self, server: DoorServer, door: Connections) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=HEADER_SECONDS,
            lingering_time=0,
            access_log=None,  # type: ignore[arg-type] # which aiohttp itself asks for
            logger=logger,
            max_line_size=LONGEST_LINE,
            max_field_size=LONGEST_LINE,
            max_headers=MOST_HEADERS,
        )
        self._door = door
        self._entered = False
        self.asking = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, or be closed at once where all others are being answered."""
        peer = transport.get_extra_info("peername")
        self._entered = self._door.enter(self, str(peer[0]) if peer else "")
        if self._entered:
            super().connection_made(transport)
        else:  # uvloop's transports are no instances of asyncio's
            cast("asyncio.Transport", transport).abort()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Make room."""
        self._door.leave(self)
        if self._entered:
            super().connection_lost(exc)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what is no request in a word, without a traceback in the log for each."""
        if status >= 500:
            return super().handle_error(request, status, exc, message)
        response = web.Response(status=status, text="not a request\n")
        response.force_close()
        return response

    @contextmanager
    def answering(self) -> Iterator[None]:
        """While a request of this connection is answered it isn't the one that has to go."""
        self.asking = True
        try:
            yield
        finally:
            self.asking = False
            self._door.rest(self)


class DoorServer(web.Server):
    """A server whose connections all come through one door."""

    def __init__(self, handler: Handler) -> None:
        async def answer(request: web.BaseRequest) -> web.StreamResponse:
            visit = request.protocol
            if not isinstance(visit, Visit):
                raise TypeError("a request without a visit")
            with visit.answering():
                return await handler(request)

        super().__init__(answer)
        self._door = Connections()

    def __call__(self) -> web.RequestHandler:
        """Make a connection."""
        return Visit(self, self._door)


class Scrapes:
    """How many pages of metrics are under way: they have a share, and what is left is probes'."""

    def __init__(self) -> None:
        self._of: Counter[str] = Counter()

    @contextmanager
    def one(self, address: str) -> Iterator[bool]:
        """Whether there is room for one more, which it takes until the end of the block."""
        if self._of.total() >= SCRAPES or self._of[address] >= SCRAPES_OF_ADDRESS:
            yield False
            return
        self._of[address] += 1
        try:
            yield True
        finally:
            self._of[address] -= 1
            self._of += Counter()  # forget addresses that have none
