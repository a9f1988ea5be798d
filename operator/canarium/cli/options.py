"""Options that several commands have, and what the shell completes for them."""

from __future__ import annotations

import argparse
from typing import Any


def add_cluster(parser: argparse.ArgumentParser) -> None:
    """Add what kubectl has too: --namespace, --context, --kubeconfig."""
    where = parser.add_argument_group("cluster")
    namespace = where.add_argument(
        "-n", "--namespace", metavar="NAME", help="the context's namespace when left out"
    )
    context = where.add_argument(
        "--context", metavar="NAME", help="of the kubeconfig; the current one when left out"
    )
    where.add_argument(
        "--kubeconfig", metavar="FILE", help="instead of $KUBECONFIG or ~/.kube/config"
    )
    _complete(namespace, "namespaces")
    _complete(context, "contexts")


def add_name(parser: argparse.ArgumentParser) -> None:
    """Add the ModelDeployment's name."""
    complete_models(parser.add_argument("name", metavar="NAME", help="name of the ModelDeployment"))


def add_output(parser: argparse.ArgumentParser) -> None:
    """Add -o: for programs instead of for eyes."""
    parser.add_argument(
        "-o", "--output", choices=("json", "yaml"), help="print it for programs instead"
    )


def add_timeout(parser: argparse.ArgumentParser, default: str, what: str) -> None:
    """Add --timeout: a duration, in seconds once it is parsed."""
    parser.add_argument(
        "--timeout",
        type=seconds,
        metavar="DURATION",
        default=default,
        help=f"{what}, such as 90s or 1h30m; {default} when left out",
    )


def complete_models(action: argparse.Action) -> None:
    """Have the names of ModelDeployments completed for an argument."""
    _complete(action, "models")


def complete_revisions(action: argparse.Action) -> None:
    """Have the revisions in history completed for an argument."""
    _complete(action, "revisions")


def seconds(text: str) -> float:
    """Seconds of a duration on the command line, in the words that argparse shows."""
    from canarium.api.durations import parse_duration  # noqa: PLC0415 - brings pydantic

    try:
        return parse_duration(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"write a duration such as 90s or 1h30m, not {text!r}"
        ) from None


def _complete(action: argparse.Action, what: str) -> None:
    """Have names from the cluster (or the kubeconfig) completed; looked up only when asked for."""

    def completer(prefix: str, parsed_args: argparse.Namespace, **_context: Any) -> list[str]:
        from canarium.cli.suggestions import suggest  # noqa: PLC0415 - heavy, and for TAB alone

        return suggest(what, prefix, parsed_args)

    action.completer = completer  # type: ignore[attr-defined]
