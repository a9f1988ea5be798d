"""Names that the shell completes: of objects in the cluster, of contexts in the kubeconfig.

Whatever fails gives no suggestion: somebody who presses TAB wants no lecture.
"""

from __future__ import annotations

import argparse
import asyncio

from canarium.cli.connection import MODELS, NAMESPACES, Connection, Json, connect
from canarium.cli.kubeconfig import find_kubeconfigs, read_kubeconfig
from canarium.cli.objects.status_report import read_revision
from canarium.cli.output import flatten
from canarium.cli.scene import fetch_records
from canarium.errors import CanariumError

PATIENCE_SECONDS = 2.0


def suggest(what: str, prefix: str, arguments: argparse.Namespace) -> list[str]:
    """Names that begin so: `what` is models, revisions, namespaces or contexts.

    One that no terminal should see is none: the shell would put it into the line that is typed.
    """
    for option in ("kubeconfig", "context", "namespace"):
        arguments.__dict__.setdefault(option, None)
    try:
        found = _contexts(arguments) if what == "contexts" else asyncio.run(_ask(what, arguments))
    except (CanariumError, TimeoutError):
        return []
    return sorted(name for name in found if name.startswith(prefix) and flatten(name) == name)


def _contexts(arguments: argparse.Namespace) -> list[str]:
    files = map(read_kubeconfig, find_kubeconfigs(arguments.kubeconfig))
    return [str(one.get("name")) for file in files for one in file.get("contexts") or ()]


async def _ask(what: str, arguments: argparse.Namespace) -> list[str]:
    async with asyncio.timeout(PATIENCE_SECONDS), connect(arguments) as connection:
        if what == "revisions":
            return await _revisions(connection, getattr(arguments, "name", None))
        if what == "namespaces":
            return _names(await connection.list(NAMESPACES, everywhere=True))
        return _names(await connection.list(MODELS))


async def _revisions(connection: Connection, name: str | None) -> list[str]:
    if name is None:
        return []
    return [read_revision(record) for record in await fetch_records(connection, name)]


def _names(listed: Json) -> list[str]:
    return [item["metadata"]["name"] for item in listed["items"]]
