"""Tasks that others have begun in our loop: they are found and ended."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any


async def cancel(tasks: Collection[asyncio.Task[Any]]) -> None:
    """End tasks, and wait for them; not for ever, since one may not listen."""
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=10.0)


def find_tasks_of(package: str) -> list[asyncio.Task[Any]]:
    """The tasks that still run a coroutine of a package's.

    Kopf's root tasks leave behind what they had begun (its look at what the cluster serves, say),
    and that goes on to ask, and to open connections, beside the kopf that is started next.
    """
    return [task for task in asyncio.all_tasks() if _module_of(task).split(".")[0] == package]


def _module_of(task: asyncio.Task[Any]) -> str:
    frame = getattr(task.get_coro(), "cr_frame", None)
    return str(frame.f_globals["__name__"]) if frame is not None else ""
