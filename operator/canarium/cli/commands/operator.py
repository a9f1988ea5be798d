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
from typing import TYPE_CHECKING, Any

from canarium import __version__
from canarium.cli.commands.check import add_parser as add_check
from canarium.core.lending import TENANT_QUERIES
from canarium.telemetry.logs import configure_logging

if TYPE_CHECKING:
    from canarium.shell.runtime import Options

logger = logging.getLogger("canarium.operator")

LEVELS = ("debug", "info", "warning", "error")


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
    _add_scope(run.add_argument_group("what it serves"))
    _add_process(run.add_argument_group("the process"))
    _add_measuring(run.add_argument_group("where it measures"))
    _add_files(run.add_argument_group("what holds for all models"))
    run.set_defaults(run=run_operator)


def _add_scope(group: Any) -> None:
    group.add_argument(
        "--kubeconfig", metavar="FILE", help="instead of $KUBECONFIG or the pod's own"
    )
    group.add_argument(
        "--context", metavar="NAME", help="of the kubeconfig; the current one if none"
    )
    _add_list(
        group, "--namespace", "NAME", "serve only these namespaces (all of them if none is named)"
    )
    _add_list(
        group,
        "--disable",
        "FEATURE",
        "kinds that it neither reads nor writes, and so needs no rights for:"
        " GatewayAPI, Traefik, Istio, HPA, KEDA, Jobs, Usage",
    )


def _add_process(group: Any) -> None:
    group.add_argument(
        "--probe-address",
        metavar="HOST:PORT",
        default="127.0.0.1:8080",
        help="where /livez, /readyz and /metrics are answered (127.0.0.1:8080)",
    )
    group.add_argument(
        "--protect-metrics",
        action="store_true",
        help="answer /metrics only to accounts that the apiserver lets get /metrics",
    )
    group.add_argument(
        "--lease-namespace",
        metavar="NAME",
        default="",
        help="where it keeps its Lease; the context's if none",
    )
    group.add_argument(
        "--no-leader-election",
        action="store_true",
        help="act at once: only where no other operator can be running",
    )
    group.add_argument(
        "--resync-seconds",
        metavar="N",
        type=float,
        default=300.0,
        help="how often our objects are listed, in case a watch has lost something (300)",
    )
    group.add_argument("--log-format", choices=("text", "json"), default="text", help="(text)")
    group.add_argument("--log-level", choices=LEVELS, default="info", help="(info)")


def _add_measuring(group: Any) -> None:
    group.add_argument(
        "--prometheus-url",
        metavar="URL",
        default="",
        help="whom metrics ask that name no Prometheus of their own",
    )
    group.add_argument(
        "--tenant-queries",
        choices=TENANT_QUERIES,
        default=TENANT_QUERIES[0],
        help="which series queries of a ModelDeployment or MetricTemplate may read there"
        " (OwnNamespace)",
    )
    _add_list(
        group,
        "--allow-address",
        "RULE",
        "what namespaces may have asked beside Services of their own: host[:port], *.suffix, a"
        " network such as 10.0.0.0/8, or * for all",
    )
    group.add_argument(
        "--no-public-addresses",
        action="store_true",
        help="ask no public names by https, either, that are not allowed",
    )
    _add_list(
        group,
        "--allow-network",
        "CIDR",
        "the same as --allow-address with a network",
    )


def _add_files(group: Any) -> None:
    for name, kind, words in (
        ("--profiles", "DIRECTORY", "where a ConfigMap with profiles of your own is mounted"),
        (
            "--prices",
            "FILE",
            "money for an hour of a CPU, a GiB of RAM and a GPU, as OpenCost's custom pricing",
        ),
        (
            "--defaults",
            "FILE",
            "what ModelDeployments get for the fields that they leave out of spec.rollout",
        ),
        (
            "--notifications",
            "FILE",
            "who is told of all rollouts: a name, type and file with the address of each",
        ),
    ):
        group.add_argument(name, metavar=kind, default="", help=words)


def _add_list(group: Any, name: str, kind: str, words: str) -> None:
    """An option with several values, which may also be given several times."""
    group.add_argument(name, metavar=kind, nargs="+", action="extend", default=[], help=words)


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
    from canarium.shell.runtime import Runtime  # noqa: PLC0415

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
    from canarium.metrics.sessions import Settings  # noqa: PLC0415 - see above
    from canarium.shell.runtime import Options, parse_features  # noqa: PLC0415
    from canarium.shell.startup_files import (  # noqa: PLC0415
        read_defaults,
        read_price_list,
        read_receivers,
    )

    return Options(
        kubeconfig=arguments.kubeconfig,
        context=arguments.context,
        namespaces=() if "all" in arguments.namespace else tuple(arguments.namespace),
        probe_address=arguments.probe_address,
        protect_metrics=arguments.protect_metrics,
        leader_election=not arguments.no_leader_election,
        lease_namespace=arguments.lease_namespace,
        resync_seconds=arguments.resync_seconds,
        disabled=parse_features(arguments.disable),
        measuring=Settings.parse(
            arguments.prometheus_url,
            arguments.allow_network,
            arguments.profiles,
            tenant_queries=arguments.tenant_queries,
            addresses=arguments.allow_address,
            public=not arguments.no_public_addresses,
        ),
        prices=read_price_list(arguments.prices),
        defaults=read_defaults(arguments.defaults),
        receivers=read_receivers(arguments.notifications),
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
