"""One ModelDeployment with everything around it, as it is and as it changes, on a terminal."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any

from rich.console import Console
from rich.tree import Tree

from canarium.cli.connection import MODELS, REVISIONS, Connection
from canarium.cli.drawing.status_tree import make_tree
from canarium.cli.drawing.terminal import make_console, print_value
from canarium.cli.following import Found, follow, follow_model
from canarium.cli.objects.status_report import Report, make_report
from canarium.cli.objects.usage import UsageSources, fetch_readings
from canarium.core.names import MODEL_LABEL
from canarium.core.status import dump
from canarium.cost.usage import Readings
from canarium.errors import NotAllowedError
from canarium.kube.kinds import PODS, Resource

Json = dict[str, Any]

CLOCK_SECONDS = 1.0
"How often what counts seconds is drawn anew."
DRAW_SECONDS = 0.1
"Changes that come together are drawn together."


@dataclass(frozen=True, slots=True)
class Scene:
    """The objects as the apiserver has them; `pods` is None when they may not be listed."""

    model: Json
    records: Sequence[Json]
    pods: Sequence[Json] | None
    readings: Readings | None = None

    def report(self, now: float) -> Report:
        """What there is to tell of it at a time, in seconds since the epoch."""
        return make_report(self.model, self.records, self.pods, now, self.readings)


async def fetch_scene(connection: Connection, name: str) -> Scene:
    """Read a ModelDeployment, its ModelRevisions and its pods."""
    model = await connection.get(MODELS, name)
    records, pods = await asyncio.gather(
        fetch_records(connection, name), _fetch_pods(connection, name)
    )
    return Scene(model, records, pods)


async def measure_scene(connection: Connection, scene: Scene, sources: UsageSources) -> Scene:
    """The same with what its pods use; without pods there is nothing to measure."""
    if not scene.pods:
        return scene
    name = scene.model["metadata"]["name"]
    traffic = scene.model.get("spec", {}).get("traffic") or {}
    found = await fetch_readings(
        connection,
        name,
        sources,
        pods=scene.pods,
        records=scene.records,
        protocol="GRPC" if traffic.get("protocol") == "GRPC" else "HTTP",
        now=time.time(),
    )
    return replace(scene, readings=found)


async def fetch_records(connection: Connection, name: str) -> Sequence[Json]:
    """The ModelRevisions of a ModelDeployment."""
    return await _fetch_items(connection, REVISIONS, name)


async def _fetch_pods(connection: Connection, name: str) -> Sequence[Json] | None:
    """The pods, or None where a person may see our objects and no pods."""
    try:
        return await _fetch_items(connection, PODS, name)
    except NotAllowedError:
        return None


async def _fetch_items(connection: Connection, kind: Resource, name: str) -> Sequence[Json]:
    found = await connection.list(kind, query=_selector(name))
    items: list[Json] = found["items"]
    return items


def _selector(name: str) -> dict[str, str]:
    return {"labelSelector": f"{MODEL_LABEL}={name}"}


@dataclass(slots=True)
class _Stage:
    """What was seen last, and whether it changed since."""

    scene: Scene
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def set(self, **parts: Any) -> None:
        self.scene = replace(self.scene, **parts)
        self.changed.set()


async def follow_scene(connection: Connection, name: str) -> AsyncGenerator[Scene]:
    """Yield the scene at once, at each change, and every second.

    CommandError when the ModelDeployment is deleted.
    """
    stage = _Stage(await fetch_scene(connection, name))
    tasks = [
        asyncio.create_task(following)
        for following in (
            _follow_model(connection, name, stage),
            _follow(connection, name, REVISIONS, "records", stage),
            *([_follow(connection, name, PODS, "pods", stage)] * (stage.scene.pods is not None)),
        )
    ]
    try:
        while True:
            yield stage.scene
            await _wait_for_change(stage)
            for task in tasks:
                if task.done():
                    await task  # they never end but by an error
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _wait_for_change(stage: _Stage) -> None:
    try:
        async with asyncio.timeout(CLOCK_SECONDS):
            await stage.changed.wait()
        await asyncio.sleep(DRAW_SECONDS)
    except TimeoutError:
        return
    stage.changed.clear()


async def _follow_model(connection: Connection, name: str, stage: _Stage) -> None:
    async with aclosing(follow_model(connection, name)) as models:
        async for model in models:
            stage.set(model=model)


async def _follow(
    connection: Connection, name: str, kind: Resource, part: str, stage: _Stage
) -> None:
    changes: AsyncGenerator[Found] = follow(connection, kind, _selector(name))
    async for found in changes:
        stage.set(**{part: list(found.values())})


def draw(scene: Scene, console: Console, now: float) -> Tree:
    """The tree, as this terminal can show it."""
    return make_tree(scene.report(now), now, ascii_only=console.options.ascii_only)


def show_scene(scene: Scene, form: str | None) -> None:
    """Print it as a tree, or for programs."""
    now = time.time()
    if form is not None:
        print_value(dump(scene.report(now)), form)
        return
    console = make_console()
    console.print(draw(scene, console, now))
