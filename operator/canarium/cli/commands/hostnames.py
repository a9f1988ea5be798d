"""`canarium hostnames`: which stored ModelDeployments would be refused today, by host names."""

from __future__ import annotations

import argparse
import asyncio
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from canarium.cli.exits import Exit
from canarium.cli.options import add_cluster, add_output

if TYPE_CHECKING:
    from rich.text import Text

    from canarium.cli.connection import Connection
    from canarium.cli.objects.given import Policy

Json = dict[str, Any]


def add_parser(subparsers: Any) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "hostnames",
        help="list ModelDeployments whose host names their namespace wasn't given",
        description="List the stored ModelDeployments that the chart's policy would refuse today,"
        " written by somebody who may not create such a route: of a namespace, or of all. For"
        " administrators: it reads Namespaces and the policy.",
    )
    parser.add_argument(
        "-A", "--all-namespaces", action="store_true", help="those of all namespaces"
    )
    add_output(parser)
    add_cluster(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the list, and return the exit code: 1 with something in it."""
    refused = asyncio.run(_find_refused(arguments))
    _print(refused, arguments)
    return Exit.REFUSED if refused else Exit.DONE


async def _find_refused(arguments: argparse.Namespace) -> list[Json]:
    from canarium.cli.connection import (  # noqa: PLC0415 - needs extra packages
        MODELS,
        NAMESPACES,
        connect,
    )

    everywhere = arguments.all_namespaces
    async with connect(arguments) as connection:
        policies = await _read_policies(connection)
        models = (await connection.list(MODELS, everywhere=everywhere))["items"]
        if everywhere:
            namespaces = (await connection.list(NAMESPACES, everywhere=True))["items"]
        else:
            cluster = replace(connection, namespace="")
            namespaces = [await cluster.get(NAMESPACES, connection.namespace)]
    by_name = {item["metadata"]["name"]: item for item in namespaces}
    if not policies:
        sys.stderr.write(
            "no policy asks about routes: admissionPolicies.routes of the chart is Off\n"
        )
    found = (_judge(model, by_name, policies) for model in models)
    return [each for each in found if each["notGiven"] or each["services"]]


async def _read_policies(connection: Connection) -> list[Policy]:
    from canarium.cli.connection import POLICIES  # noqa: PLC0415 - needs extra packages
    from canarium.cli.objects.given import read_policy  # noqa: PLC0415

    query = {"labelSelector": "app.kubernetes.io/part-of=canarium"}
    listed = await connection.list(POLICIES, everywhere=True, query=query)
    return [policy for item in listed["items"] if (policy := read_policy(item)) is not None]


def _judge(model: Json, namespaces: dict[str, Json], policies: list[Policy]) -> Json:
    """What a model asks for beside what its namespace has; a namespace may be gone by now."""
    from canarium.cli.objects.given import list_given, list_missing, list_services  # noqa: PLC0415

    metadata = model["metadata"]
    namespace = namespaces.get(metadata["namespace"])
    asked = [policy for policy in policies if namespace and policy.is_about(metadata["namespace"])]
    missing = (list_missing(model, one, list_given(one, namespace or {})) for one in asked)
    services = (list_services(model, policy) for policy in asked)
    return {
        "namespace": metadata["namespace"],
        "name": metadata["name"],
        "notGiven": list(dict.fromkeys(name for names in missing for name in names)),
        "services": list(dict.fromkeys(name for names in services for name in names)),
    }


def _print(refused: list[Json], arguments: argparse.Namespace) -> None:
    from canarium.cli.drawing.terminal import align, make_console, print_value  # noqa: PLC0415

    if arguments.output:
        print_value(refused, arguments.output)
        return
    console = make_console()
    if not refused:
        console.print("no ModelDeployment would be refused for its host names")
        return
    width = 4 if any(each["services"] for each in refused) else 3
    header: list[str | Text] = ["NAMESPACE", "NAME", "NOT GIVEN", "NEEDS UPDATE ON SERVICES"]
    rows = [header, *map(_row, refused)]
    for line in align([row[:width] for row in rows], gap=3):
        console.print(line, soft_wrap=True)


def _row(one: Json) -> list[str | Text]:
    joined = (", ".join(one[key]) for key in ("notGiven", "services"))
    return [one["namespace"], one["name"], *joined]
