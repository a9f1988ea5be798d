"""Holds what the witness saw of one model against the design's invariants, and tells its story."""

import asyncio
import time
from collections.abc import Collection
from pathlib import Path

from testbed.scenario.scenario import find_revision, find_unseen
from testbed.witness.changes import Change, read_changes
from testbed.witness.expectation import Expectation
from testbed.witness.invariants import find_violations
from testbed.witness.timeline import tell
from tests.crash.mirror import Json, Mirror

CAUGHT_UP_SECONDS = 120.0
BAD_IMAGE = "registry.example.com/iris:v2"


async def read_story(
    witness: Path, mirror: Mirror, namespaces: Collection[str]
) -> dict[str, list[Change]]:
    """All changes by namespace, once the witness has seen what the tests' own view has."""
    deadline = time.monotonic() + CAUGHT_UP_SECONDS
    there = _find_all(mirror, namespaces)
    while True:
        found = await asyncio.to_thread(read_changes, witness)
        missing = find_unseen(there, found)
        if not missing:
            return {name: [c for c in found if c.namespace == name] for name in namespaces}
        assert time.monotonic() < deadline, f"the witness has not seen {', '.join(missing)}"
        await asyncio.sleep(0.5)


def _find_all(mirror: Mirror, namespaces: Collection[str]) -> dict[tuple[str, str], Json]:
    """The metadata of all that is there, by kind and uid: each kind has a watch of its own."""
    return {
        (kind, found["metadata"]["uid"]): found["metadata"]
        for (kind, namespace, _), found in mirror.objects.items()
        if namespace in namespaces
    }


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
