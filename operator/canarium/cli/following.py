"""Objects as they change: a list, then a watch that is taken up again whenever it ends.

An apiserver that is away for a while is waited for, once the first list has succeeded.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing

from canarium.cli.connection import MODELS, Connection, Json, WatchEndedError
from canarium.errors import CommandError, UnavailableError
from canarium.kube.kinds import Resource

AGAIN_SECONDS = 1.0
"Between an end of a watch (or no answer) and the next attempt."

Found = dict[str, Json]
"Objects by name."


async def follow(
    connection: Connection, kind: Resource, query: Mapping[str, str]
) -> AsyncGenerator[Found]:
    """Yield all objects that the selectors in `query` choose: at once, and at each change."""
    found: Found | None = None
    since = ""
    while True:
        try:
            if not since:
                listed = await connection.list(kind, query=query)
                since = listed["metadata"]["resourceVersion"]
                found = {item["metadata"]["name"]: item for item in listed["items"]}
                yield found
            async with aclosing(connection.watch(kind, since, query)) as changes:
                async for change, item in changes:
                    since = item["metadata"]["resourceVersion"]
                    if change != "BOOKMARK":
                        found = _apply(found or {}, change, item)
                        yield found
        except WatchEndedError:
            since = ""
        except UnavailableError:
            if found is None:
                raise
        await asyncio.sleep(AGAIN_SECONDS)


def _apply(found: Found, change: str, item: Json) -> Found:
    name = item["metadata"]["name"]
    others = {key: value for key, value in found.items() if key != name}
    return others if change == "DELETED" else {**others, name: item}


async def follow_model(connection: Connection, name: str) -> AsyncGenerator[Json]:
    """Yield a ModelDeployment: as it is, and as it becomes. CommandError when it is deleted."""
    yield await connection.get(MODELS, name)  # which says what there is instead when it is missing
    query = {"fieldSelector": f"metadata.name={name}"}
    async with aclosing(follow(connection, MODELS, query)) as changes:
        async for found in changes:
            if name not in found:
                raise CommandError(f"{name} was deleted", 1)
            yield found[name]
