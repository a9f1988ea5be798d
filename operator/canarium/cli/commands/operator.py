"""`canarium operator run`: the operator, out of the cluster with a kubeconfig or inside a pod.

`canarium operator metrics` prints the reference of its metrics.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from canarium import __version__
from canarium.cli.commands.check import add_parser as add_check
from canarium.shell.options import add_arguments
from canarium.telemetry.logs import configure_logging

logger = logging.getLogger("canarium.operator")


def add_parser(subparsers: Any) -> None:
    """Add the command and its options."""
    parser = subparsers.add_parser("operator", help="run the operator, or ask whether it is ready")
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    _add_run(verbs)
    add_check(verbs)
    metrics = verbs.add_parser("metrics", help="print the reference of its metrics as Markdown")
    metrics.add_argument(
        "--check", type=Path, metavar="FILE", help="fail when FILE holds anything else"
    )
    metrics.set_defaults(run=print_metrics)


def _add_run(verbs: Any) -> None:
    run = verbs.add_parser("run", help="run it until it is told to stop")
    add_arguments(run)
    run.set_defaults(run=run_operator)


def print_metrics(arguments: argparse.Namespace) -> int:
    """Print the page, or compare it with a file byte for byte: 1 when that differs."""
    from canarium.shell.metrics_reference import render_reference  # noqa: PLC0415 - see below

    text, path = render_reference(), arguments.check
    if path is None:
        sys.stdout.write(text)
        return 0
    if path.read_text(encoding="utf-8") == text:
        return 0
    sys.stderr.write(f"{path} is not what the metrics are; write it anew with:\n")
    sys.stderr.write(f"canarium operator metrics > {path}\n")
    return 1


def run_operator(arguments: argparse.Namespace) -> int:
    """Run until SIGINT or SIGTERM (exit code 0), or until it cannot go on (1)."""
    # From the first moment on: the kernel drops a SIGTERM that the first process of a container
    # doesn't handle, and the kubelet sends one only. The runtime takes it over once it is up.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    configure_logging(arguments.log_format, arguments.log_level)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        try:
            runner.run(_run(arguments))
        except (asyncio.CancelledError, KeyboardInterrupt):
            logger.info("stopped")
        except ExceptionGroup as errors:
            for error in _leaves(errors):
                logger.critical("cannot go on: %s", error, exc_info=_bug(error))
            return 1
    return 0


@contextmanager
def _hidden(module: str) -> Iterator[None]:
    """Make imports of a module fail for a while, as if it were not installed."""
    sys.modules[module] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[module]


async def _run(arguments: argparse.Namespace) -> None:
    with _hidden("kubernetes"):  # kopf would load it, for 10 MiB, though nothing here uses it
        import_module("canarium.shell.handlers")  # they register themselves with kopf
    from canarium.rollout.plan import plan  # noqa: PLC0415 - heavy imports only to run it
    from canarium.shell.runtime import Options, Runtime  # noqa: PLC0415

    options = Options.parse(vars(arguments))
    runtime = Runtime(options, plan)
    logger.info(
        "canarium %s with %s, %s",
        __version__,
        runtime.cluster.server,
        ", ".join(options.namespaces) or "all namespaces",
    )
    await runtime.run(with_kopf=True)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    if sys.platform == "win32":
        return None
    import uvloop  # noqa: PLC0415 - not there on every platform

    return uvloop.new_event_loop


def _leaves(errors: BaseExceptionGroup[Any]) -> list[BaseException]:
    """The errors at the ends of a group of groups."""
    found: list[BaseException] = []
    for error in errors.exceptions:
        found += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found


def _bug(error: BaseException) -> BaseException | None:
    """A traceback is for what nobody has foreseen."""
    from canarium.errors import CanariumError  # noqa: PLC0415

    return None if isinstance(error, CanariumError) else error
