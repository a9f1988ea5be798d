"""One ModelDeployment with everything around it, as it is now, and its report on a terminal."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from canarium.cli.connection import MODELS, PODS, REVISIONS, Connection, Kind
from canarium.cli.report import Report, make_report
from canarium.cli.terminal import make_console, print_value
from canarium.cli.tree import make_tree
from canarium.core.names import MODEL_LABEL
from canarium.core.status import dump
from canarium.errors import NotAllowedError

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Scene:
    """The objects as the apiserver has them; `pods` is None when they may not be listed."""

    model: Json
    records: Sequence[Json]
    pods: Sequence[Json] | None

    def report(self, now: float) -> Report:
        """What there is to tell of it."""
        return make_report(self.model, self.records, self.pods, now)


async def fetch_scene(connection: Connection, name: str) -> Scene:
    """Read a ModelDeployment, its ModelRevisions and its pods."""
    model, records, pods = await asyncio.gather(
        connection.get(MODELS, name),
        _fetch_items(connection, REVISIONS, name),
        _fetch_pods(connection, name),
    )
    return Scene(model, records, pods)


async def fetch_records(connection: Connection, name: str) -> Sequence[Json]:
    """The ModelRevisions of a ModelDeployment."""
    return await _fetch_items(connection, REVISIONS, name)


async def _fetch_pods(connection: Connection, name: str) -> Sequence[Json] | None:
    """The pods, or None where a person may see our objects and no pods."""
    try:
        return await _fetch_items(connection, PODS, name)
    except NotAllowedError:
        return None


async def _fetch_items(connection: Connection, kind: Kind, name: str) -> Sequence[Json]:
    found = await connection.list(kind, query={"labelSelector": f"{MODEL_LABEL}={name}"})
    items: list[Json] = found["items"]
    return items


def show_scene(scene: Scene, form: str | None) -> None:
    """Print it as a tree, or for programs."""
    now = time.time()
    report = scene.report(now)
    if form is not None:
        print_value(dump(report), form)
        return
    console = make_console()
    console.print(make_tree(report, now, ascii_only=console.options.ascii_only))
