"""The command line: subcommands, each in a module that is imported only when it is used.

As `canarium`, and as `kubectl canarium` by way of an executable `kubectl-canarium` in the PATH.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Sequence
from importlib import import_module

from canarium import __version__
from canarium.cli.output import flatten, open_door
from canarium.errors import CanariumError, CommandError

COMMANDS = {
    "get": "get",
    "status": "status",
    "watch": "watch",
    "history": "history",
    "wait": "wait",
    "explain": "explain",
    "hostnames": "hostnames",
    "judge": "judge",
    "promote": "orders",
    "abort": "orders",
    "retry": "orders",
    "restart": "orders",
    "rollback": "orders",
    "pause": "pausing",
    "resume": "pausing",
    "completion": "completion",
    "templates": "templates",
    "crds": "crds",
    "operator": "operator",
}
"Of each command: the module that has it. Help lists them in this order."

EXTRA_PACKAGES = ("argcomplete", "kubernetes", "rich")
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None, prog: str = "canarium") -> int:
    """Run one command; the exit code. What a person can mend is one sentence on stderr."""
    with open_door():
        return _main(arguments, prog)


def _main(arguments: Sequence[str] | None, prog: str) -> int:
    if "_ARGCOMPLETE" in os.environ:
        _complete(prog)
    given = list(sys.argv[1:] if arguments is None else arguments)
    parser = make_parser(_needed(given), prog)
    chosen = parser.parse_args(given)
    if chosen.run is None:
        parser.print_help()
        return 2
    try:
        return _run(chosen)
    except CanariumError as error:
        sys.stderr.write(f"{prog}: {flatten(str(error))}\n")
        return error.code if isinstance(error, CommandError) else 2


def main_of_plugin() -> int:
    """Run as `kubectl canarium`."""
    return main(prog="kubectl canarium")


def make_parser(modules: Iterable[str], prog: str = "canarium") -> argparse.ArgumentParser:
    """A parser that knows the commands of some modules."""
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Rolls machine-learning models out on Kubernetes and takes bad versions back.",
    )
    parser.set_defaults(run=None)
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND")
    for module in modules:
        import_module(f"canarium.cli.commands.{module}").add_parser(subparsers)
    version = subparsers.add_parser("version", help="print the version")
    version.set_defaults(run=_print_version)
    return parser


def _needed(given: Sequence[str]) -> Sequence[str]:
    """Only the command that is asked for costs its imports; help wants all of them."""
    if not given or given[0].startswith("-"):
        return all_modules()
    return [COMMANDS[given[0]]] if given[0] in COMMANDS else _unless_version(given[0])


def _unless_version(word: str) -> Sequence[str]:
    """A misspelt command is answered with all that there are."""
    return [] if word == "version" else all_modules()


def all_modules() -> list[str]:
    """The modules with commands, each once."""
    return list(dict.fromkeys(COMMANDS.values()))


def _run(chosen: argparse.Namespace) -> int:
    try:
        return int(chosen.run(chosen) or 0)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has had enough; Python would complain of it at its end again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in EXTRA_PACKAGES:
            raise
        cure = "from a clone of Canarium, install them with: pip install '.[cli]'"
        raise CommandError(f"this command needs packages that are missing; {cure}") from error


def _complete(prog: str) -> None:
    """Answer the shell's question what could come next, and end."""
    import argcomplete  # noqa: PLC0415 - only for TAB

    argcomplete.autocomplete(make_parser(all_modules(), prog), always_complete_options=False)


def _print_version(_arguments: argparse.Namespace) -> int:
    sys.stdout.write(f"canarium {__version__}\n")
    return 0
