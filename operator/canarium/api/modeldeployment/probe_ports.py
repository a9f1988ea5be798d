"""Probes that name a port which their container doesn't have, and so would never pass."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from canarium.api.modeldeployment.containers import Container, Probe, Server
from canarium.api.modeldeployment.pods import Pod
from canarium.core.names import GRPC_PORT_NAME, PORT_NAME
from canarium.core.normalise import DEFAULT_PORT
from canarium.errors import Problem

METRICS_PORT_NAME = "metrics"


def check_ports(server: Server, pod: Pod | None) -> Iterator[Problem]:
    """List the probes of all containers whose port is a name that isn't there."""
    yield from _check(server, _list_names(server), "spec.server")
    for index, sidecar in enumerate((pod and pod.sidecars) or ()):
        names = tuple(port.name for port in sidecar.ports or ())
        yield from _check(sidecar, names, f"spec.pod.sidecars[{index}]")


def _list_names(server: Server) -> tuple[str, ...]:
    """What the server's ports are called in the pod (`pod_template`)."""
    metrics = server.metrics and server.metrics.port
    own = server.port or DEFAULT_PORT
    return (
        PORT_NAME,
        *((GRPC_PORT_NAME,) if server.grpc_port is not None else ()),
        *((METRICS_PORT_NAME,) if metrics not in (None, own) else ()),
    )


def _check(container: Container, names: tuple[str, ...], path: str) -> Iterator[Problem]:
    for name, probe in (
        ("readinessProbe", container.readiness_probe),
        ("livenessProbe", container.liveness_probe),
        ("startupProbe", container.startup_probe),
    ):
        for way, port in _list_ports(probe):
            if isinstance(port, str) and port not in names:
                ports = " or ".join((*names, "a number"))
                yield Problem(
                    f"{path}.{name}.{way}.port",
                    f"the container has no port named {port}: write {ports}",
                )


def _list_ports(probe: Probe | None) -> Iterable[tuple[str, int | str]]:
    if probe is None:
        return
    if probe.http_get is not None:
        yield "httpGet", probe.http_get.port
    if probe.tcp_socket is not None:
        yield "tcpSocket", probe.tcp_socket.port
