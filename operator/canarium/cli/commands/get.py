"""`canarium get`: ModelDeployments in a table, a line each."""

from __future__ import annotations

import argparse
import asyncio
import time
from typing import TYPE_CHECKING, Any

from canarium.cli.options import add_cluster, add_output, complete_models

if TYPE_CHECKING:
    from rich.text import Text

Json = dict[str, Any]


def add_parser(subparsers: Any) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "get",
        help="list ModelDeployments",
        description="List ModelDeployments: all of a namespace, of all namespaces, or by name.",
    )
    complete_models(parser.add_argument("names", metavar="NAME", nargs="*", help="only these"))
    parser.add_argument(
        "-A", "--all-namespaces", action="store_true", help="those of all namespaces"
    )
    add_output(parser)
    add_cluster(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the list, and return the exit code."""
    return asyncio.run(_run(arguments))


async def _run(arguments: argparse.Namespace) -> int:
    from canarium.cli.connection import MODELS, connect  # noqa: PLC0415 - needs extra packages
    from canarium.errors import CommandError  # noqa: PLC0415

    if arguments.names and arguments.all_namespaces:
        raise CommandError("a name belongs to one namespace: leave out the names, or -A")
    async with connect(arguments) as connection:
        if arguments.names:
            names = dict.fromkeys(arguments.names)
            found = await asyncio.gather(*(connection.get(MODELS, name) for name in names))
        else:
            listed = await connection.list(MODELS, everywhere=arguments.all_namespaces)
            found = listed["items"]
        namespace = connection.namespace
    _print(found, namespace, arguments)
    return 0


def _print(found: list[Json], namespace: str, arguments: argparse.Namespace) -> None:
    from canarium.cli.drawing.terminal import align, make_console, print_value  # noqa: PLC0415

    if arguments.output:
        print_value(_as_list(found), arguments.output)
        return
    console = make_console()
    if not found:
        where = "any namespace" if arguments.all_namespaces else f"namespace {namespace}"
        console.print(f"no ModelDeployment in {where}")
        return
    for line in align(make_rows(found, time.time(), everywhere=arguments.all_namespaces), gap=3):
        console.print(line, soft_wrap=True)


def _as_list(found: list[Json]) -> Json:
    """What kubectl makes of several objects."""
    return {"apiVersion": "v1", "kind": "List", "items": found}


def make_rows(found: list[Json], now: float, *, everywhere: bool) -> list[list[str | Text]]:
    """The table's rows, header first; `now` in seconds since the epoch."""
    from canarium.cli.drawing.terminal import format_age, phase  # noqa: PLC0415
    from canarium.cli.objects.status_report import read_condition, read_time  # noqa: PLC0415

    header = ["NAME", "READY", "PHASE", "STABLE", "CANARY", "WEIGHT", "REASON", "AGE"]
    rows: list[list[str | Text]] = [["NAMESPACE", *header] if everywhere else [*header]]
    for item in found:
        metadata, status = item["metadata"], item.get("status") or {}
        canary, created = status.get("canary") or {}, read_time(metadata.get("creationTimestamp"))
        row = [
            metadata["name"],
            read_condition(item, "Ready").get("status", "Unknown"),
            phase(status.get("phase", "Unknown")),
            _version(status.get("stable") or {}),
            _version(canary),
            str(canary.get("weight", "")),
            status.get("reason", ""),
            format_age(None if created is None else now - created),
        ]
        rows.append([metadata["namespace"], *row] if everywhere else row)
    return rows


def _version(part: Json) -> str:
    return str(part.get("version") or part.get("revision") or "")
