"""The command ``python -m testbed.cluster``: brings clusters up, uses them, takes them down."""

import argparse
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from typing import get_args

from testbed.addons import envoy_gateway, flux, keda, metrics_server
from testbed.addons.gateway import fetch_kinds
from testbed.addons.grafana_model import find_sdk
from testbed.cluster import lifecycle
from testbed.cluster.lifecycle import Wish
from testbed.programs.binaries import (
    COREDNS,
    GITOPS,
    HELM,
    KUBEBIN,
    KWOK_PROGRAM,
    PAUSE,
    build,
    fetch_kwok_stages,
    find_traefik,
)
from testbed.programs.processes import ClusterError
from testbed.programs.progress import Progress


def main() -> int:
    """Run one command; a cluster that cannot be had is one sentence and exit code 1."""
    arguments = make_parser().parse_args()
    try:
        return COMMANDS[arguments.command](arguments) or 0
    except ClusterError as error:
        print(error, file=sys.stderr)
        return 1


def make_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m testbed.cluster", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    starting = commands.add_parser("up", help="start a cluster, or find that it runs")
    starting.add_argument("--tier", choices=get_args(lifecycle.Tier), default="auto")
    starting.add_argument("--nodes", type=int, default=lifecycle.DEFAULT_NODES)
    starting.add_argument("--context", help="an existing cluster, by the name of its context")
    starting.add_argument("--gateway", action="store_true", help="install the gateway too")
    starting.add_argument("--envoy", action="store_true", help="install Envoy Gateway too")
    starting.add_argument("--metrics-server", action="store_true", help="serve pods' usage too")
    starting.add_argument("--keda", action="store_true", help="run KEDA too")
    for name, text in TEXTS.items():
        commands.add_parser(name, help=text)
    for name, command in commands.choices.items():
        if name not in ("build", "status"):
            command.add_argument("--name", default=lifecycle.DEFAULT_NAME)
    commands.choices["kubectl"].add_argument("words", nargs=argparse.REMAINDER)
    return parser


TEXTS = {
    "down": "take a cluster down",
    "status": "list the clusters",
    "env": "print what a shell needs to use a cluster",
    "kubectl": "run kubectl as admin",
    "build": "compile and fetch everything that clusters are made of",
}


def run_up(arguments: argparse.Namespace) -> None:
    """Start, and say how to use it."""
    progress = Progress()
    wish = Wish(arguments.name, arguments.tier, arguments.nodes, arguments.context)
    cluster = lifecycle.up(wish, progress)
    if arguments.gateway:
        cluster.install_gateway(progress)
    if arguments.envoy:
        cluster.install_envoy_gateway(progress)
    if arguments.metrics_server:
        cluster.install_metrics_server(progress)
    if arguments.keda:
        cluster.install_keda(progress)
    progress.say(f"cluster {cluster.name!r} ({cluster.kind}) is ready")
    for name, value in cluster.environment().items():
        print(f"export {name}={shlex.quote(value)}")


def run_down(arguments: argparse.Namespace) -> None:
    """Stop and remove."""
    lifecycle.down(arguments.name, Progress())


def run_status(arguments: argparse.Namespace) -> None:
    """One line a cluster."""
    for cluster in lifecycle.list_clusters():
        state = "running" if cluster.is_alive() else "dead"
        print(f"{cluster.name}\t{cluster.kind}\t{state}\t{cluster.gateway_url or '-'}")


def run_env(arguments: argparse.Namespace) -> None:
    """Lines for ``eval``."""
    for name, value in lifecycle.find(arguments.name).environment().items():
        print(f"export {name}={shlex.quote(value)}")


def run_kubectl(arguments: argparse.Namespace) -> int:
    """Run kubectl with this terminal; its exit code is ours."""
    cluster = lifecycle.find(arguments.name)
    environment = {**os.environ, "KUBECONFIG": str(cluster.kubeconfig)}
    words = [str(cluster.kubectl_path), *arguments.words]
    return subprocess.run(words, env=environment, check=False).returncode


def run_build(arguments: argparse.Namespace) -> None:
    """Fill the cache."""
    progress = Progress()
    for program in (KUBEBIN, KWOK_PROGRAM, PAUSE, COREDNS, HELM):
        build(program, progress)
    fetch_kwok_stages(progress)
    fetch_kinds(progress)
    find_traefik(progress)
    find_sdk(progress)
    flux.prepare(progress)
    build(GITOPS, progress)
    envoy_gateway.prepare(progress)
    metrics_server.prepare(progress)
    keda.prepare(progress)


COMMANDS: dict[str, Callable[[argparse.Namespace], int | None]] = {
    "up": run_up,
    "down": run_down,
    "status": run_status,
    "env": run_env,
    "kubectl": run_kubectl,
    "build": run_build,
}

if __name__ == "__main__":
    sys.exit(main())
