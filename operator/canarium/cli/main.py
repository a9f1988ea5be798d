"""The command line: subcommands, each in a module that is imported only when it is used."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

from canarium import __version__
from canarium.errors import ConfigError

COMMANDS = ("crds", "operator")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code. What a person can mend is one sentence on stderr."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    parser = _make_parser(given)
    chosen = parser.parse_args(given)
    if chosen.run is None:
        parser.print_help()
        return 2
    try:
        return int(chosen.run(chosen) or 0)
    except ConfigError as error:
        sys.stderr.write(f"canarium: {error}\n")
        return 2


def _make_parser(given: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="canarium",
        description="Rolls machine-learning models out on Kubernetes and takes bad versions back.",
    )
    parser.set_defaults(run=None)
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND")
    version = subparsers.add_parser("version", help="print the version")
    version.set_defaults(run=_print_version)
    for command in _needed(given):
        import_module(f"canarium.cli.{command}").add_parser(subparsers)
    return parser


def _needed(given: Sequence[str]) -> Sequence[str]:
    """Only the command that is asked for costs its imports; help wants all of them."""
    if not given or given[0].startswith("-"):
        return COMMANDS
    return [given[0]] if given[0] in COMMANDS else []


def _print_version(_arguments: argparse.Namespace) -> int:
    sys.stdout.write(f"canarium {__version__}\n")
    return 0
