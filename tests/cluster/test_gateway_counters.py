"""A real Traefik counts what each revision's Service answered under the names that are read."""

import http.client
import socket
from collections import Counter as Tally
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import pytest
from canarium.judge import Sample
from canarium.metrics.sources.gateway import Backend, GatewayMeter, GatewaySource

from testbed.addons.gateway import apply
from testbed.cluster.cluster import Cluster, make_manifest
from testbed.cluster.fixtures import own_cluster
from testbed.programs.ports import find_free_ports
from testbed.programs.processes import wait_until
from testbed.programs.progress import Progress
from testbed.servers.backends import make_host, make_route
from tests.unit.outbound.serving import make_local_session

pytestmark = [pytest.mark.timeout(600), pytest.mark.xdist_group("control-plane")]
NAMESPACE, MODEL = "risk", "fraud"
STABLE, CANARY = "fraud-5d8f7c9b64", "fraud-7b9d6f5c88"
REQUESTS, SECONDS = 40, 120.0
Object = dict[str, Any]


class Stable(BaseHTTPRequestHandler):
    """Answers well."""

    protocol_version = "HTTP/1.1"
    status = 200

    def do_GET(self) -> None:  # the name that its parent calls
        self.send_response(self.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # its parent's name
        """Say nothing."""


class Failing(Stable):
    """Fails each time."""

    status = 500


def find_own_address() -> str:
    """An address of this machine that may be an endpoint, which loopback may not."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("203.0.113.9", 9))
        return str(probe.getsockname()[0])


def make_service(name: str, address: str, port: int) -> list[Object]:
    """A Service, and the one endpoint behind it."""
    service = {"ports": [{"name": "http", "port": 80, "targetPort": port}]}
    labels = {"kubernetes.io/service-name": name}
    endpoint = make_manifest("discovery.k8s.io/v1", "EndpointSlice", name, namespace=NAMESPACE)
    endpoint["metadata"]["labels"] = labels
    endpoint |= {
        "addressType": "IPv4",
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
        "ports": [{"name": "http", "port": port}],
    }
    return [make_manifest("v1", "Service", name, namespace=NAMESPACE, spec=service), endpoint]


def make_own_kinds(name: str) -> list[Object]:
    """The same split by Traefik's own kinds."""
    shares = [{"name": child, "port": 80, "weight": 50} for child in (STABLE, CANARY)]
    leading = {"kind": "TraefikService", "name": name}
    match = f"Host(`{make_host(name)}`)"
    version = "traefik.io/v1alpha1"
    weighted = {"weighted": {"services": shares}}
    rules = {"routes": [{"kind": "Rule", "match": match, "services": [leading]}]}
    return [
        make_manifest(version, "TraefikService", name, namespace=NAMESPACE, spec=weighted),
        make_manifest(version, "IngressRoute", name, namespace=NAMESPACE, spec=rules),
    ]


@pytest.fixture(scope="module")
def backends() -> Iterator[dict[str, int]]:
    """A stable that answers and a canary that fails, by the port of each."""
    servers = [ThreadingHTTPServer(("0.0.0.0", 0), kind) for kind in (Stable, Failing)]  # noqa: S104
    for server in servers:
        Thread(target=server.serve_forever, daemon=True).start()
    yield dict(zip((STABLE, CANARY), (s.server_address[1] for s in servers), strict=True))
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def plane(backends: dict[str, int]) -> Iterator[Cluster]:
    address = find_own_address()
    with own_cluster("control-plane") as cluster:
        cluster.install_gateway(Progress())
        cluster.kubectl("create", "namespace", NAMESPACE)
        services = [make_service(name, address, port) for name, port in backends.items()]
        shares = [{"name": child, "port": 80, "weight": 50} for child in backends]
        rule = {"backendRefs": shares}
        route = make_route(MODEL, NAMESPACE, "public", rule, kind="HTTPRoute")
        apply(cluster, [*services[0], *services[1], route, *make_own_kinds("own")])
        yield cluster


def ask(plane: Cluster, route: str) -> int:
    """The status of one answer through the gateway."""
    assert plane.gateway_url is not None
    host = urlsplit(plane.gateway_url)
    connection = http.client.HTTPConnection(host.hostname or "", host.port, timeout=30)
    try:
        connection.request("GET", "/", headers={"Host": make_host(route)})
        return connection.getresponse().status
    finally:
        connection.close()


def await_both(plane: Cluster, route: str, failing: int) -> None:
    """Wait until both revisions answer."""
    seen: set[int] = set()

    def answered() -> bool:
        seen.add(ask(plane, route))
        return {200, failing} <= seen

    assert wait_until(answered, SECONDS), seen


async def check(plane: Cluster, route: str, failing: int = 500) -> None:
    """Send requests, and compare what the client saw with what the gateway counted."""
    await_both(plane, route, failing)
    backends = (Backend(NAMESPACE, STABLE, MODEL), Backend(NAMESPACE, CANARY, MODEL))
    async with make_local_session() as session:
        later = count(0.0, 10.0).__next__  # or both readings would share one answer
        source = GatewaySource(session, plane.gateway_metrics_url or "", clock=later)
        meter = GatewayMeter(source, "Traefik")
        await meter.measure(*backends)
        seen = Tally(ask(plane, route) for _ in range(REQUESTS))
        reading = (await meter.measure(*backends)).reading
    assert summarise(reading.stable) == (seen[200], 0, seen[200])
    assert summarise(reading.canary) == (seen[failing], seen[failing], seen[failing])
    assert seen[200] + seen[failing] == REQUESTS


def summarise(sample: Sample | None) -> tuple[int | None, int | None, int] | None:
    """Requests, errors, and how many durations there are."""
    if sample is None:
        return None
    return sample.requests, sample.errors, (sample.latency or ((0.0, 0),))[-1][1]


async def test_a_routes_services_are_counted(plane: Cluster) -> None:
    await check(plane, MODEL)


async def test_the_services_of_traefiks_own_kinds_are_counted(plane: Cluster) -> None:
    await check(plane, "own")


async def test_answers_that_no_pod_gave_are_the_canarys_errors(plane: Cluster) -> None:
    closed = find_free_ports(1)[0]
    apply(plane, make_service(CANARY, find_own_address(), closed))
    await check(plane, MODEL, failing=502)
