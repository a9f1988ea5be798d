"""`canarium explain`: what a manifest means: its steps, pods and problems.

It needs no cluster, which is asked by `--dry-run` alone: policies there say more than the schema,
such as which host names a namespace was given.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from canarium.cli.exits import Exit
from canarium.cli.options import add_cluster, add_output
from canarium.cli.output import flatten
from canarium.errors import CommandError, SpecError

if TYPE_CHECKING:
    from canarium.cli.drawing.expansion import Expansion

Json = Mapping[str, Any]


def add_parser(subparsers: Any) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "explain",
        help="print the steps of a manifest with their pods, and what is wrong with it",
        description="Print what a ModelDeployment's rollout means: its steps (a strategy is"
        " expanded), how many pods each takes, and what is wrong with it. Needs no cluster but for"
        " --dry-run.",
    )
    parser.add_argument("file", metavar="FILE", help="a manifest; - for standard input")
    parser.add_argument(
        "--replicas", type=_count, metavar="N", help="stable's size; spec.scaling's if left out"
    )
    parser.add_argument(
        "--defaults", metavar="FILE", default="", help="the defaults that the operator runs with"
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="have the cluster say, too, whether it would take it from you; nothing is written",
    )
    add_output(parser)
    add_cluster(parser)
    parser.set_defaults(run=run)


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"write a number of pods, 1 or more, not {text!r}")
    return int(text)


def run(arguments: argparse.Namespace) -> int:
    """Explain each ModelDeployment of the file, and return the exit code: 1 with problems."""
    from canarium.cli.drawing.expansion import make_expansion  # noqa: PLC0415 - brings pydantic
    from canarium.shell.startup_files import read_defaults  # noqa: PLC0415

    defaults = read_defaults(arguments.defaults)
    explained: list[Expansion] = []
    sound: list[Json] = []
    code = Exit.DONE
    for manifest in _read_manifests(arguments.file):
        try:
            explained.append(make_expansion(manifest, arguments.replicas, defaults))
            sound.append(manifest)
        except SpecError as error:
            code = Exit.REFUSED
            for problem in error.problems:
                _complain(arguments, manifest, str(problem))
    _print(explained, arguments.output)
    if arguments.dry_run and not asyncio.run(_try_out(sound, arguments)):
        return Exit.REFUSED
    return code


def _complain(arguments: argparse.Namespace, manifest: Json, words: str) -> None:
    sys.stderr.write(f"{flatten(f'{arguments.file}: {_name(manifest)}: {words}')}\n")


async def _try_out(manifests: list[Json], arguments: argparse.Namespace) -> bool:
    """Whether the cluster would take all of them, as a person applies them; what it says else."""
    from canarium.cli.connection import MODELS, connect  # noqa: PLC0415 - needs extra packages
    from canarium.errors import DeniedError  # noqa: PLC0415

    taken = True
    async with connect(arguments) as connection:
        for manifest in manifests:
            about = {**manifest["metadata"]}
            about.pop("managedFields", None)  # as kubectl prints them, and nobody applies them
            place = dataclasses.replace(
                connection, namespace=about.get("namespace") or connection.namespace
            )
            try:
                await place.try_out(MODELS, about["name"], {**manifest, "metadata": about})
            except DeniedError as error:
                taken = False
                _complain(arguments, manifest, str(error))
    return taken


def _name(manifest: Json) -> str:
    metadata = manifest.get("metadata")
    name = metadata.get("name") if isinstance(metadata, Mapping) else None
    return str(name or "ModelDeployment without a name")


def _read_manifests(file: str) -> list[Json]:
    """The ModelDeployments in a file. CommandError when there is none, or it cannot be read."""
    import yaml  # noqa: PLC0415 - only here

    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
        documents = list(_flatten(yaml.safe_load_all(text)))
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise CommandError(f"{file} is no text") from error
    except yaml.YAMLError as error:
        raise CommandError(f"{file} is no YAML: {' '.join(str(error).split())}") from error
    found = [item for item in documents if item.get("kind") == "ModelDeployment"]
    if not found:
        raise CommandError(f"{file} holds no ModelDeployment")
    return found


def _flatten(documents: Iterator[Any]) -> Iterator[Json]:
    """The objects of a stream, those inside Lists too."""
    for document in documents:
        if isinstance(document, dict):
            items = document.get("items")
            yield from _flatten(iter(items)) if isinstance(items, list) else [document]


def _print(explained: list[Expansion], form: str | None) -> None:
    if not explained:
        return
    from canarium.cli.drawing.expansion import tell_expansion  # noqa: PLC0415 - needs the extra packages
    from canarium.cli.drawing.terminal import make_console, print_value  # noqa: PLC0415

    if form is not None:
        values = [expansion.value() for expansion in explained]
        print_value(values[0] if len(values) == 1 else values, form)
        return
    console = make_console()
    for index, expansion in enumerate(explained):
        if index:
            console.print()
        for line in tell_expansion(expansion):
            console.print(line)
