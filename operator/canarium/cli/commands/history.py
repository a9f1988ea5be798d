"""`canarium history`: the revisions of a ModelDeployment and how each of them went."""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from canarium.cli.options import add_cluster, add_name, add_output, complete_revisions

if TYPE_CHECKING:
    from rich.text import Text

    from canarium.cli.objects.past import Past

Json = Mapping[str, Any]


def add_parser(subparsers: Any) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "history",
        help="list the revisions of one, and how each went",
        description="List the revisions of a ModelDeployment, the latest first, and how each went.",
    )
    add_name(parser)
    complete_revisions(
        parser.add_argument(
            "--revision", help="show only this one, with its evidence: id or version"
        )
    )
    add_output(parser)
    add_cluster(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the table, and return the exit code."""
    return asyncio.run(_run(arguments))


async def _run(arguments: argparse.Namespace) -> int:
    from canarium.cli.connection import MODELS, connect  # noqa: PLC0415 - needs extra packages
    from canarium.cli.objects.past import choose, tell_past  # noqa: PLC0415
    from canarium.cli.scene import fetch_records  # noqa: PLC0415

    async with connect(arguments) as connection:
        model = await connection.get(MODELS, arguments.name)
        records = await fetch_records(connection, arguments.name)
    told = tell_past(model, records)
    if arguments.revision:
        told = choose(told, arguments.revision)
    _print(told, arguments)
    return 0


def _print(told: Sequence[Past], arguments: argparse.Namespace) -> None:
    from canarium.cli.drawing.terminal import align, make_console, print_value  # noqa: PLC0415
    from canarium.core.status import dump  # noqa: PLC0415

    if arguments.output:
        print_value(dump(told), arguments.output)
        return
    console = make_console()
    if not told:
        console.print(f"{arguments.name} has no revision yet")
        return
    for line in align(make_rows(told, time.time()), gap=3):
        console.print(line, soft_wrap=True)
    if arguments.revision:
        _print_evidence(told)


def _print_evidence(told: Sequence[Past]) -> None:
    from canarium.cli.drawing.terminal import make_console  # noqa: PLC0415
    from canarium.cli.drawing.verdicts import tell_verdicts  # noqa: PLC0415

    console = make_console()
    for one in told:
        if one.message:
            console.print(one.message)
        for line in tell_verdicts(one.verdicts, ascii_only=console.options.ascii_only):
            console.print(line)


def make_rows(told: Sequence[Past], now: float) -> list[list[str | Text]]:
    """The table's rows, header first; `now` in seconds since the epoch."""
    from canarium.cli.drawing.terminal import format_age, phase  # noqa: PLC0415

    header = ["REVISION", "VERSION", "OUTCOME", "REASON", "STARTED", "TOOK", "SAID FROM"]
    rows: list[list[str | Text]] = [[*header]]
    for one in told:
        started = one.started_at
        rows.append(
            [
                one.revision,
                one.version,
                phase(one.outcome),
                one.reason,
                f"{format_age(now - started)} ago" if started is not None else "",
                format_age(one.took_seconds),
                one.origin,
            ]
        )
    return rows
