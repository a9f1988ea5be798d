"""Holds what the witness saw of one model against the design's invariants, and tells its story."""

import asyncio
import time
from collections.abc import Collection
from pathlib import Path

from tests.crash.mirror import Mirror
from tests.e2e.changes import Change, read_changes
from tests.e2e.invariants import Expectation, find_violations
from tests.e2e.scenario import find_revision
from tests.e2e.timeline import tell

CAUGHT_UP_SECONDS = 30.0
BAD_IMAGE = "registry.example.com/iris:v2"


async def read_story(
    witness: Path, mirror: Mirror, namespaces: Collection[str]
) -> dict[str, list[Change]]:
    """All changes by namespace, once the witness has seen what the tests' own view has."""
    deadline = time.monotonic() + CAUGHT_UP_SECONDS
    wanted = max(_versions(mirror, namespaces), default=0)
    while True:
        found = await asyncio.to_thread(read_changes, witness)
        if max((change.version for change in found), default=0) >= wanted:
            return {name: [c for c in found if c.namespace == name] for name in namespaces}
        assert time.monotonic() < deadline, "the witness is behind"
        await asyncio.sleep(0.5)


def _versions(mirror: Mirror, namespaces: Collection[str]) -> list[int]:
    return [
        int(found["metadata"]["resourceVersion"])
        for (_, namespace, _), found in mirror.objects.items()
        if namespace in namespaces
    ]


async def find_broken(changes: list[Change], model: str, *, blamed: bool) -> list[str]:
    """The invariants that were broken for one model, and its story if there are any.

    In a thread, since operators go on talking to the apiserver by proxies in this loop.
    """
    return await asyncio.to_thread(_find_broken, changes, model, blamed=blamed)


def _find_broken(changes: list[Change], model: str, *, blamed: bool) -> list[str]:
    mine = [change for change in changes if _concerns(change, model)]
    fault = frozenset({find_revision(mine, BAD_IMAGE)} - {""}) if blamed else frozenset()
    broken = [f"{model}: {found}" for found in find_violations(mine, Expectation(model, fault))]
    return [*broken, tell(mine, model)] if broken else []


def _concerns(change: Change, model: str) -> bool:
    """Whether a change is about the model or its children, whose names begin with its own."""
    return change.name == model or change.name.startswith(f"{model}-")
