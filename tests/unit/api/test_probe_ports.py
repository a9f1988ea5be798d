"""A probe may name only ports that its container has: the kubelet would fail it for ever."""

from __future__ import annotations

from typing import Any

import pytest
from canarium.api import parse_deployment
from canarium.errors import Problem, SpecError


def make_body(server: dict[str, Any], *sidecars: dict[str, Any]) -> dict[str, Any]:
    image = {"image": "registry.example/fraud:7"}
    pod = {"pod": {"sidecars": [{"name": "log", **image, **s} for s in sidecars]}}
    spec = {"server": image | server, **(pod if sidecars else {})}
    return {"metadata": {"name": "fraud", "namespace": "risk"}, "spec": spec}


def ask(port: int | str) -> dict[str, Any]:
    return {"httpGet": {"port": port}}


@pytest.mark.parametrize(
    "server",
    [
        {"readinessProbe": ask("http")},
        {"readinessProbe": ask(9999)},
        {"livenessProbe": {"tcpSocket": {"port": "grpc"}}, "grpcPort": 9000},
        {"startupProbe": ask("metrics"), "metrics": {"port": 8082}},
        {"readinessProbe": {"exec": {"command": ["true"]}}},
    ],
)
def test_a_port_that_is_there_is_fine(server: dict[str, Any]) -> None:
    parse_deployment(make_body(server))


@pytest.mark.parametrize("port", ["9999", "http--1", "0-1", "-http", "HTTP", "sixteen-letters-"])
def test_what_kubernetes_takes_for_no_port_is_refused_before_it_refuses_the_pods(port: str) -> None:
    with pytest.raises(SpecError, match="without quotes"):
        parse_deployment(make_body({"readinessProbe": ask(port)}))


@pytest.mark.parametrize(
    ("server", "field", "says"),
    [
        (
            {"readinessProbe": ask("htpp")},
            "spec.server.readinessProbe.httpGet.port",
            "the container has no port named htpp: write http or a number",
        ),
        (
            {"livenessProbe": {"tcpSocket": {"port": "grpc"}}},
            "spec.server.livenessProbe.tcpSocket.port",
            "the container has no port named grpc: write http or a number",
        ),
        (
            {"startupProbe": ask("metrics"), "metrics": {"port": 8080}, "grpcPort": 9000},
            "spec.server.startupProbe.httpGet.port",
            "the container has no port named metrics: write http or grpc or a number",
        ),
    ],
)
def test_a_port_that_is_not_there_is_named_with_those_that_are(
    server: dict[str, Any], field: str, says: str
) -> None:
    with pytest.raises(SpecError) as refused:
        parse_deployment(make_body(server))
    assert refused.value.problems == (Problem(field, says),)


def test_a_sidecar_has_its_own_ports_only() -> None:
    port = {"name": "web", "containerPort": 9000}
    parse_deployment(make_body({}, {"ports": [port], "readinessProbe": ask("web")}))
    with pytest.raises(SpecError) as refused:
        parse_deployment(make_body({}, {"readinessProbe": ask("http")}))
    field = "spec.pod.sidecars[0].readinessProbe.httpGet.port"
    words = "the container has no port named http: write a number"
    assert refused.value.problems == (Problem(field, words),)
