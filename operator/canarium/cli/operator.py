"""`canarium operator run`: the operator, out of the cluster with a kubeconfig or inside a pod."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

from canarium import __version__
from canarium.cli.check import add_parser as add_check
from canarium.cli.logs import configure_logging

if TYPE_CHECKING:
    from canarium.runtime import Options

logger = logging.getLogger("canarium.operator")

LEVELS = ("debug", "info", "warning", "error")


def add_parser(subparsers: Any) -> None:
    """Add the command and its options."""
    parser = subparsers.add_parser("operator", help="run the operator, or ask whether it is ready")
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    run = verbs.add_parser("run", help="run it until it is told to stop")
    run.add_argument("--kubeconfig", metavar="FILE", help="instead of $KUBECONFIG or the pod's own")
    run.add_argument("--context", metavar="NAME", help="of the kubeconfig; the current one if none")
    run.add_argument(
        "--namespace",
        metavar="NAME",
        nargs="+",
        action="extend",
        default=[],
        help="serve only these namespaces (all of them if none is named)",
    )
    run.add_argument("--probe-address", metavar="HOST:PORT", default="127.0.0.1:8080")
    run.add_argument("--lease-namespace", metavar="NAME", default="", help="the context's if none")
    run.add_argument(
        "--no-leader-election",
        action="store_true",
        help="act at once: only where no other operator can be running",
    )
    run.add_argument(
        "--resync-seconds",
        metavar="N",
        type=float,
        default=300.0,
        help="how often our objects are listed, in case a watch has lost something (300)",
    )
    run.add_argument(
        "--prometheus-url",
        metavar="URL",
        default="",
        help="whom metrics ask that name no Prometheus of their own",
    )
    run.add_argument(
        "--open-network",
        metavar="CIDR",
        nargs="+",
        action="extend",
        default=[],
        help="addresses that metrics may be read from although they are this machine's own",
    )
    run.add_argument(
        "--profiles",
        metavar="DIRECTORY",
        default="",
        help="where a ConfigMap with profiles of your own is mounted",
    )
    run.add_argument(
        "--prices",
        metavar="FILE",
        default="",
        help="money for an hour of a CPU, a GiB of RAM and a GPU, as OpenCost's custom pricing",
    )
    run.add_argument(
        "--without",
        metavar="PART",
        nargs="+",
        action="extend",
        default=[],
        help="kinds that it neither reads nor writes, and so needs no rights for:"
        " GatewayAPI, Traefik, Istio, HPA, KEDA, Jobs, Use",
    )
    run.add_argument("--log-format", choices=("text", "json"), default="text")
    run.add_argument("--log-level", choices=LEVELS, default="info")
    run.set_defaults(run=run_operator)
    add_check(verbs)


def run_operator(arguments: argparse.Namespace) -> int:
    """Run until SIGINT or SIGTERM (exit code 0), or until it cannot go on (1)."""
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
        import_module("canarium.handlers")  # they register themselves with kopf
    from canarium.core.plan import plan  # noqa: PLC0415 - heavy imports only to run it
    from canarium.runtime import Runtime  # noqa: PLC0415

    options = _make_options(arguments)
    runtime = Runtime(options, plan)
    logger.info(
        "canarium %s with %s, %s",
        __version__,
        runtime.cluster.server,
        ", ".join(options.namespaces) or "all namespaces",
    )
    await runtime.run(with_kopf=True)


def _make_options(arguments: argparse.Namespace) -> Options:
    from canarium.measuring import Settings  # noqa: PLC0415 - see above
    from canarium.runtime import Options, parse_parts  # noqa: PLC0415

    return Options(
        kubeconfig=arguments.kubeconfig,
        context=arguments.context,
        namespaces=() if "all" in arguments.namespace else tuple(arguments.namespace),
        probe_address=arguments.probe_address,
        leader_election=not arguments.no_leader_election,
        lease_namespace=arguments.lease_namespace,
        resync_seconds=arguments.resync_seconds,
        without=parse_parts(arguments.without),
        measuring=Settings.parse(
            arguments.prometheus_url, arguments.open_network, arguments.profiles, arguments.prices
        ),
    )


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
