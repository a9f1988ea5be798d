"""`canarium wait`: until the verdict, with an exit code that a CI job can go by."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from canarium.cli.exits import Exit
from canarium.cli.options import add_cluster, add_name, add_timeout

if TYPE_CHECKING:
    from canarium.cli.connection import Connection
    from canarium.cli.objects.ends import End

EXITS = """exit codes:
  0  promoted, or up to date already
  1  rolled back, failed or refused
  2  could not be asked: wrong usage, no such object, no cluster, no right to
  3  not over within --timeout
  4  waits for a person: an approval or a pause (--through-pauses waits on)
"""


def add_parser(subparsers: Any) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "wait",
        help="wait until the verdict, for CI jobs",
        description="Wait until what the spec asks for is promoted or refused.",
        epilog=EXITS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_name(parser)
    add_timeout(parser, "1h", "how long to wait at most")
    parser.add_argument("--through-guard", action="store_true", help="wait until the guard is over")
    parser.add_argument(
        "--through-pauses", action="store_true", help="wait on while it waits for a person"
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="print only how it ended")
    add_cluster(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Wait, and return the exit code."""
    return asyncio.run(_run(arguments))


async def _run(arguments: argparse.Namespace) -> int:
    from canarium.cli.connection import connect  # noqa: PLC0415 - needs the extra packages

    async with connect(arguments) as connection:
        try:
            async with asyncio.timeout(arguments.timeout or None):
                end = await _wait(connection, arguments)
        except TimeoutError:
            end = None
    if end is None:
        when = f"within {arguments.timeout:g} s" if arguments.timeout else "yet"
        sys.stderr.write(f"canarium: {arguments.name} is not over {when}\n")
        return Exit.TIMEOUT
    (sys.stdout if end.code is Exit.DONE else sys.stderr).write(f"{end.message}\n")
    return end.code


async def _wait(connection: Connection, arguments: argparse.Namespace) -> End | None:
    """How it ended; None when it had not and a timeout of 0 asks for one look only."""
    from canarium.cli.drawing.status_line import Narrator  # noqa: PLC0415
    from canarium.cli.following import follow_model  # noqa: PLC0415
    from canarium.cli.objects.ends import find_end  # noqa: PLC0415

    narrator = Narrator()
    async with aclosing(follow_model(connection, arguments.name)) as models:
        async for model in models:
            end = find_end(
                model,
                through_guard=arguments.through_guard,
                through_pauses=arguments.through_pauses,
            )
            if end is not None or not arguments.timeout:
                return end
            line = narrator.tell(model, time.time())
            if line and not arguments.quiet:
                sys.stdout.write(f"{line}\n")
                sys.stdout.flush()
    return None
