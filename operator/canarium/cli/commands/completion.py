"""What the shell completes: `canarium completion SHELL`, and the hook by which kubectl asks.

kubectl (1.26 and newer) runs `kubectl_complete-canarium` from the PATH with the words that were
typed so far, and reads one suggestion a line and a directive in the last line.
"""

from __future__ import annotations

import argparse
import io
import os
import shlex
import sys
from collections.abc import Sequence
from typing import Any

from canarium.cli.output import open_door

SHELLS = ("bash", "zsh", "fish")
NAMES = ("canarium", "kubectl-canarium")
_NO_FILES = ":4"
"kubectl's directive: suggest nothing else, files least of all (cobra's ShellCompDirective)."
_FILES = ":0"
_SEPARATOR = "\v"
HELP = """for this shell:        source <(canarium completion bash)
for every new one:     add that line to ~/.bashrc
zsh:                   canarium completion zsh > "${fpath[1]}/_canarium"
fish:                  canarium completion fish > ~/.config/fish/completions/canarium.fish
kubectl canarium:      kubectl finds kubectl_complete-canarium in the PATH by itself (1.26 or newer)
"""


def add_parser(subparsers: Any) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "completion",
        help="print a script by which the shell completes commands and names",
        description="Print a script by which the shell completes commands, options and names.",
        epilog=HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("shell", metavar="SHELL", choices=SHELLS, help=", ".join(SHELLS))
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the script, and return the exit code."""
    from argcomplete.shell_integration import shellcode  # noqa: PLC0415 - needs extra packages

    sys.stdout.write(shellcode(list(NAMES), shell=arguments.shell))
    return 0


def complete_for_kubectl(words: Sequence[str] | None = None) -> int:
    """Answer kubectl: `words` are those after `kubectl canarium`, the last one unfinished."""
    given = list(sys.argv[1:] if words is None else words) or [""]
    files = given[0] == "explain" and len(given) > 1 and not given[-1].startswith("-")
    with open_door():
        sys.stdout.write("".join(f"{word}\n" for word in suggest_words(given)))
        sys.stdout.write(f"{_FILES if files else _NO_FILES}\n")
    return 0


def suggest_words(words: Sequence[str]) -> list[str]:
    """What may stand in the place of the last word, which may be empty."""
    from argcomplete.completers import SuppressCompleter  # noqa: PLC0415 - needs extra packages
    from argcomplete.finders import CompletionFinder  # noqa: PLC0415

    from canarium.cli.main import all_modules, make_parser  # noqa: PLC0415

    class Finder(CompletionFinder):
        """Leaves alone the file descriptors of whoever asks."""

        def _init_debug_stream(self) -> None:
            """Debug nothing: the default takes descriptor 9, whatever that is."""

    *before, last = words
    line = " ".join(["canarium", *(shlex.quote(word) for word in before), last])
    asked = {"_ARGCOMPLETE": "1", "_ARGCOMPLETE_IFS": _SEPARATOR, "COMP_LINE": line}
    asked |= {"COMP_POINT": str(len(line.encode())), "_ARGCOMPLETE_SUPPRESS_SPACE": "1"}
    answer = io.StringIO()
    kept = {name: os.environ.get(name) for name in asked}
    os.environ.update(asked)
    try:
        Finder()(
            make_parser(all_modules()),
            always_complete_options=False,
            exit_method=_leave,
            output_stream=answer,
            default_completer=SuppressCompleter(),
        )
    except _AnsweredError:
        return [word.strip() for word in answer.getvalue().split(_SEPARATOR) if word.strip()]
    finally:
        for name, value in kept.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
    return []


class _AnsweredError(Exception):
    """argcomplete wants to end the process: it has written its answer."""


def _leave(_code: int = 0) -> None:
    raise _AnsweredError
