"""`canarium status`: one ModelDeployment as a tree."""

from __future__ import annotations

import argparse
import asyncio
from typing import Any

from canarium.cli.options import add_cluster, add_name, add_output


def add_parser(subparsers: Any) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "status",
        help="show one as a tree: revisions, pods, verdicts, steps",
        description="Show a ModelDeployment as a tree: revisions, pods, use, verdicts and steps.",
    )
    add_name(parser)
    add_output(parser)
    about = parser.add_argument_group("cost and use")
    about.add_argument(
        "--prices",
        metavar="FILE",
        help="money for an hour of a CPU, a GiB of RAM and a GPU, as OpenCost's custom pricing",
    )
    about.add_argument(
        "--prometheus-url",
        metavar="URL",
        default="",
        help="a Prometheus that knows GPUs, predictions and, from OpenCost, prices",
    )
    add_cluster(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Show it once, and return the exit code."""
    return asyncio.run(_run(arguments))


async def _run(arguments: argparse.Namespace) -> int:
    from canarium.cli.connection import connect  # noqa: PLC0415 - needs the extra packages
    from canarium.cli.objects.usage import read_sources  # noqa: PLC0415
    from canarium.cli.scene import fetch_scene, measure_scene, show_scene  # noqa: PLC0415

    sources = read_sources(arguments)
    async with connect(arguments) as connection:
        scene = await fetch_scene(connection, arguments.name)
        scene = await measure_scene(connection, scene, sources)
    show_scene(scene, arguments.output)
    return 0
