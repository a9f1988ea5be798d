"""`canarium crds`: the CustomResourceDefinitions, generated from the models that parse specs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def add_parser(subparsers: argparse._SubParsersAction[Any]) -> None:
    """Add the command; its `run` takes the parsed arguments and returns the exit code."""
    parser = subparsers.add_parser(
        "crds",
        help="print or write the CustomResourceDefinitions",
        description="Print the CustomResourceDefinitions, for kubectl apply -f -.",
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--output", type=Path, metavar="DIR", help="write a file for each kind")
    where.add_argument(
        "--check", type=Path, metavar="DIR", help="fail when DIR holds anything else"
    )
    where.add_argument(
        "--reference", action="store_true", help="print the reference of all fields as Markdown"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print, write or check, and return the exit code."""
    # Imported here: the models take memory that no other command needs.
    from canarium.api.reference import render_reference  # noqa: PLC0415
    from canarium.api.schema import render_crds  # noqa: PLC0415

    if arguments.reference:
        sys.stdout.write(render_reference())
        return 0
    files = render_crds()
    if arguments.check is not None:
        return _check(files, arguments.check)
    if arguments.output is not None:
        _write(files, arguments.output)
    else:
        sys.stdout.write("---\n".join(files.values()))
    return 0


def _write(files: Mapping[str, str], directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (directory / name).write_text(text, encoding="utf-8")


def _check(files: Mapping[str, str], directory: Path) -> int:
    """Compare byte for byte; say on stderr what differs and how to mend it."""
    found = {
        path.name: path.read_text(encoding="utf-8") for path in sorted(directory.glob("*.yaml"))
    }
    wrong = [name for name in sorted({*files, *found}) if files.get(name) != found.get(name)]
    for name in wrong:
        sys.stderr.write(f"{directory / name} is not what the models generate\n")
    if wrong:
        sys.stderr.write(f"write it anew with: canarium crds --output {directory}\n")
    return 1 if wrong else 0
