"""Envoy Gateway beside Traefik: the gateway of the tests that really mirrors.

Controller and data plane are pods. They serve the Gateway ``envoy`` in the namespace ``gateways``,
listener ``http``, which is reached on loopback through a node port.
"""

import http.client
from typing import Any

from testbed.addons.envoy_chart import DEFINITIONS, MANIFESTS, SYSTEM, fetch_rendered_chart
from testbed.addons.gateway import (
    API_VERSION,
    LOOPBACK,
    NAMESPACE,
    apply,
    await_programmed,
    await_status,
    make_gateway,
)
from testbed.cluster.cluster import Cluster, make_manifest
from testbed.images.envoy import build_envoy
from testbed.programs.definitions import GATEWAY_API, apply_definitions, fetch_definitions
from testbed.programs.program_image import make_envoy_gateway_image
from testbed.programs.progress import Progress

CONTROLLER = "gateway.envoyproxy.io/gatewayclass-controller"
GATEWAY = "envoy"
LISTENER_PORT = 80
NODE_PORT = 30082


def install(cluster: Cluster, port: int, progress: Progress) -> str:
    """Run it, unless it runs; ``port`` is what its node port appears as. Returns the URL."""
    if cluster.envoy_url is None:
        start(cluster, port, progress)
        cluster.envoy_url = f"http://127.0.0.1:{port}"
        cluster.save()
    return cluster.envoy_url


def start(cluster: Cluster, port: int, progress: Progress) -> None:
    """Apply its definitions, its chart and a Gateway; returns when the Gateway answers."""
    chart = fetch_rendered_chart(NODE_PORT, progress)
    images = [make_envoy_gateway_image(progress), build_envoy(progress)]
    with progress.step("starting Envoy Gateway"):
        apply_definitions(cluster, fetch_definitions(GATEWAY_API, progress))
        apply_definitions(cluster, chart / DEFINITIONS)
        for image in images:
            cluster.load_image(image)
        apply(cluster, make_objects())
        cluster.kubectl("apply", "--server-side", "-n", SYSTEM, "-f", str(chart / MANIFESTS))
        await_programmed(cluster, GATEWAY)
        where = f"the logs of the pods in {SYSTEM}"
        await_status(LOOPBACK, port, "/", http.client.NOT_FOUND, where)


def make_objects() -> list[dict[str, Any]]:
    """Its namespaces, its class and the Gateway."""
    return [
        make_manifest("v1", "Namespace", SYSTEM),
        make_manifest("v1", "Namespace", NAMESPACE),
        make_manifest(API_VERSION, "GatewayClass", "envoy", spec={"controllerName": CONTROLLER}),
        make_gateway(GATEWAY, "envoy", LISTENER_PORT),
    ]


def prepare(progress: Progress) -> None:
    """Fill the cache with all that it is made of."""
    fetch_rendered_chart(NODE_PORT, progress)
    make_envoy_gateway_image(progress)
    build_envoy(progress)
