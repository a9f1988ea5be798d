"""`canarium watch`: the tree, live, until nothing goes on any more; line by line into a log."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Any

from canarium.cli.options import add_cluster, add_name

if TYPE_CHECKING:
    from rich.console import Console

    from canarium.cli.connection import Connection


def add_parser(subparsers: Any) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "watch",
        help="show one as a tree, live, until it comes to rest",
        description="Show a ModelDeployment as a tree, live, until it comes to rest or Ctrl-C.",
    )
    add_name(parser)
    parser.add_argument("--forever", action="store_true", help="do not end when it comes to rest")
    add_cluster(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Show it until it rests; Ctrl-C is an ordinary end."""
    with suppress(KeyboardInterrupt):
        asyncio.run(_run(arguments))
    return 0


async def _run(arguments: argparse.Namespace) -> None:
    from canarium.cli.connection import connect  # noqa: PLC0415 - needs the extra packages
    from canarium.cli.drawing.terminal import make_console  # noqa: PLC0415

    console = make_console()
    async with connect(arguments) as connection:
        if console.is_terminal:
            await _show(connection, arguments, console)
        else:
            await _narrate(connection, arguments)


async def _narrate(connection: Connection, arguments: argparse.Namespace) -> None:
    """A line for each change."""
    from canarium.cli.drawing.status_line import Narrator  # noqa: PLC0415
    from canarium.cli.following import follow_model  # noqa: PLC0415
    from canarium.cli.objects.ends import is_at_rest  # noqa: PLC0415

    narrator = Narrator()
    async with aclosing(follow_model(connection, arguments.name)) as models:
        async for model in models:
            if line := narrator.tell(model, time.time()):
                sys.stdout.write(f"{line}\n")
                sys.stdout.flush()
            if is_at_rest(model) and not arguments.forever:
                return


async def _show(connection: Connection, arguments: argparse.Namespace, console: Console) -> None:
    """The tree, drawn anew at each change and, for the clock, every second."""
    from rich.live import Live  # noqa: PLC0415

    from canarium.cli.objects.ends import is_at_rest  # noqa: PLC0415
    from canarium.cli.scene import draw, follow_scene  # noqa: PLC0415

    with Live(console=console, auto_refresh=False) as live:
        async with aclosing(follow_scene(connection, arguments.name)) as scenes:
            async for scene in scenes:
                live.update(draw(scene, console, time.time()), refresh=True)
                if is_at_rest(scene.model) and not arguments.forever:
                    return
