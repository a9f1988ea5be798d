"""Names are looked up in threads of our own, of which each namespace has its share.

A name server that never answers holds a thread for ten seconds and more, whatever our deadline is,
and anybody may name a host under a server of their own. A loop's own threads are two or six for
everybody: whoever came after would wait for all of them.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from errno import EAGAIN
from functools import partial

from aiohttp.abc import AbstractResolver, ResolveResult

from canarium.outbound.sharing import Room

_owner: ContextVar[str] = ContextVar("owner", default="")


@contextmanager
def looking_up_for(owner: str) -> Iterator[None]:
    """Whose names are looked up within this block: a namespace."""
    token = _owner.set(owner)
    try:
        yield
    finally:
        _owner.reset(token)


class Lookups(AbstractResolver):
    """What looks names up for a session."""

    def __init__(self, room: Room) -> None:
        self._room = room

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Find the addresses of a name. Raises OSError."""
        return await look_up(host, port, self._room, family=family, flags=socket.AI_ADDRCONFIG)

    async def close(self) -> None:
        """There is nothing to close: threads end by themselves, and no exit waits for them."""


async def look_up(
    host: str,
    port: int,
    room: Room,
    *,
    family: socket.AddressFamily = socket.AF_UNSPEC,
    flags: int = 0,
) -> list[ResolveResult]:
    """Look a name up as the machine does; it takes its owner's room until the thread ends.

    Raises OSError, as socket.getaddrinfo does.
    """
    owner = _owner.get()
    await room.acquire(owner, 1)
    try:
        looked_up = _run_in_thread(partial(_look_up, host, port, family, flags))
    except RuntimeError as error:  # no thread may be begun: there are too many
        room.give(owner, 1)
        raise OSError(EAGAIN, "no thread is left to look the name up") from error
    looked_up.add_done_callback(lambda _: room.give(owner, 1))
    # Whoever waits may give up, and the thread goes on.
    return await asyncio.shield(looked_up)


def _run_in_thread(
    find: Callable[[], list[ResolveResult]],
) -> asyncio.Future[list[ResolveResult]]:
    """Do it beside the loop; what it raises is taken for read, should nobody wait any more."""
    loop = asyncio.get_running_loop()
    found: asyncio.Future[list[ResolveResult]] = loop.create_future()
    found.add_done_callback(lambda done: done.cancelled() or done.exception())

    def run() -> None:
        try:
            tell = partial(found.set_result, find())
        except Exception as error:  # noqa: BLE001 - whoever waits is told
            tell = partial(found.set_exception, error)
        with suppress(RuntimeError):  # the loop is closed: nobody waits
            loop.call_soon_threadsafe(tell)

    threading.Thread(target=run, name="lookup", daemon=True).start()
    return found


def _look_up(host: str, port: int, family: socket.AddressFamily, flags: int) -> list[ResolveResult]:
    infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, family=family, flags=flags)
    return [
        ResolveResult(
            hostname=host,
            host=str(address[0]),
            port=port,
            family=kind,
            proto=protocol,
            flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
        )
        for kind, _, protocol, _, address in infos
    ]
