"""`canarium promote`, `abort`, `retry`, `restart`, `rollback`: a person's commands.

Each is one annotation, bound to the revision that was just read, and written only over the object
as it was read. Then the operator's answer is waited for, and told.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Callable
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from canarium.cli.exits import Exit
from canarium.cli.options import add_cluster, add_name, add_timeout, complete_revisions
from canarium.errors import CommandError, ConflictError

if TYPE_CHECKING:
    from canarium.cli.connection import Connection
    from canarium.cli.objects.binding import Order

Json = dict[str, Any]

ATTEMPTS = 5
"Somebody else may write the object at the same moment; a status is written every few seconds."
SEQUEL_SECONDS = 1.0
"How long the first sign of what a command sets going is waited for."


def add_parser(subparsers: Any) -> None:
    """Add the commands."""
    promote = _add(subparsers, "promote", "end the hold of a step, or go all the way")
    which = promote.add_mutually_exclusive_group()
    which.add_argument("--all", action="store_true", help="go to 100 %% now, over all other steps")
    which.add_argument("--step", metavar="STEP", help="name or number; the present one if left out")
    _add(subparsers, "abort", "take the canary back and reject it (in the guard: the new version)")
    retry = _add(subparsers, "retry", "try a rejected revision again")
    complete_revisions(
        retry.add_argument(
            "--revision", help="id or version; the one that the spec names if left out"
        )
    )
    _add(subparsers, "restart", "replace the pods of the stable version one by one")
    rollback = _add(
        subparsers, "rollback", "go back to a revision in history, whatever the spec says"
    )
    complete_revisions(
        rollback.add_argument("--to", metavar="REVISION", required=True, help="its id or version")
    )


def _add(subparsers: Any, verb: str, what: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = subparsers.add_parser(
        verb, help=what, description=f"{what[0].upper()}{what[1:]}."
    )
    add_name(parser)
    add_timeout(parser, "30s", "how long to wait for the operator")
    add_cluster(parser)
    parser.set_defaults(run=run, verb=verb)
    return parser


def run(arguments: argparse.Namespace) -> int:
    """Give the command, and return the exit code by what came of it."""
    return asyncio.run(_run(arguments))


async def _run(arguments: argparse.Namespace) -> int:
    from canarium.cli.connection import connect  # noqa: PLC0415 - needs the extra packages

    async with connect(arguments) as connection:
        before, order = await _give(connection, arguments)
        if not arguments.timeout:
            _say(f"{order.verb} {order.text} is written")
            return Exit.DONE
        return await _tell_outcome(connection, arguments, before, order)


async def _give(connection: Connection, arguments: argparse.Namespace) -> tuple[Json, Order]:
    """Bind the command to what is read, and write it over just that; the object and the order."""
    from canarium.cli.connection import MODELS  # noqa: PLC0415
    from canarium.cli.scene import fetch_records  # noqa: PLC0415

    for _attempt in range(ATTEMPTS):
        model = await connection.get(MODELS, arguments.name)
        order = _bind(arguments, model, list(await fetch_records(connection, arguments.name)))
        version = model["metadata"]["resourceVersion"]
        metadata = {"resourceVersion": version, "annotations": {order.annotation: order.text}}
        try:
            await connection.merge(MODELS, arguments.name, {"metadata": metadata})
        except ConflictError:
            continue
        return model, order
    raise CommandError(f"{arguments.name} is being written all the time: try again")


def _bind(arguments: argparse.Namespace, model: Json, records: list[Json]) -> Order:
    from canarium.cli.objects import binding  # noqa: PLC0415 - brings pydantic

    binders: dict[str, Callable[[], Order]] = {
        "promote": lambda: binding.bind_promote(
            model, records, step=arguments.step, everything=arguments.all
        ),
        "abort": lambda: binding.bind_abort(model),
        "retry": lambda: binding.bind_retry(model, records, revision=arguments.revision),
        "restart": lambda: binding.bind_restart(model),
        "rollback": lambda: binding.bind_rollback(records, to=arguments.to),
    }
    return binders[arguments.verb]()


async def _tell_outcome(
    connection: Connection, arguments: argparse.Namespace, before: Json, order: Order
) -> int:
    from canarium.cli.objects import effects  # noqa: PLC0415

    seen = [before]
    try:
        async with asyncio.timeout(arguments.timeout) as limit:
            await _wait_until_handled(connection, arguments.name, order, seen)
            limit.reschedule(asyncio.get_running_loop().time() + SEQUEL_SECONDS)
            await _wait_for_sequel(connection, arguments.name, order, seen)
    except TimeoutError:
        if not effects.is_handled(order, seen[-1]):
            _complain(effects.tell_silence(order, seen[-1], arguments.timeout))
            return Exit.TIMEOUT
    if reason := effects.find_reason(order, seen[-1]):
        _complain(f"no effect: {reason}")
        return Exit.REFUSED
    _say(effects.tell_effect(order, seen[-1]))
    return Exit.DONE


async def _wait_until_handled(
    connection: Connection, name: str, order: Order, seen: list[Json]
) -> None:
    """Return once the operator has acted on the command; `seen` gets the object as it changes."""
    from canarium.cli.following import follow_model  # noqa: PLC0415
    from canarium.cli.objects.effects import is_handled, is_replaced  # noqa: PLC0415

    async with aclosing(follow_model(connection, name)) as models:
        async for model in models:
            seen.append(model)
            if is_handled(order, model):
                return
            if is_replaced(order, model):
                words = f"another {order.verb} was given, or a sync took the annotation away"
                raise CommandError(words, Exit.REFUSED)


async def _wait_for_sequel(
    connection: Connection, name: str, order: Order, seen: list[Json]
) -> None:
    """Return once what these commands set going has begun: they are recorded one write before."""
    from canarium.cli.following import follow_model  # noqa: PLC0415
    from canarium.cli.objects.effects import find_reason  # noqa: PLC0415

    handled = seen[-1]
    if order.verb not in ("retry", "rollback") or find_reason(order, handled):
        return
    async with aclosing(follow_model(connection, name)) as models:
        async for model in models:
            seen.append(model)
            if _message(model) != _message(handled):
                return


def _message(model: Json) -> str:
    return str((model.get("status") or {}).get("message"))


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def _complain(text: str) -> None:
    sys.stderr.write(f"canarium: {text}\n")
