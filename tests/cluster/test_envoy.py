"""Envoy Gateway on the local node: weights, mirrors and headers with real requests and counters."""

import http.client
import json
import socket
import struct
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.cluster.cluster import Cluster, make_list, make_manifest
from tests.cluster.fixtures import lend_cluster
from tests.cluster.node_config import DNS_ADDRESS
from tests.cluster.processes import wait_until
from tests.cluster.program_image import PAUSE_IMAGE
from tests.cluster.progress import Progress

pytestmark = [pytest.mark.timeout(1200), pytest.mark.xdist_group("node")]
NAMESPACE = "envoy-test"
GATEWAY_API = "gateway.networking.k8s.io/v1"
STABLE, CANARY = "stable", "canary"
SECONDS = 30
Rule = dict[str, Any]


def make_backend(name: str) -> list[dict[str, Any]]:
    """One tiny web server that answers with its name, and its Service."""
    labels = {"app": name}
    container = {
        "name": name,
        "image": PAUSE_IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "env": [
            {"name": "PAUSE_LISTEN", "value": ":8080"},
            {"name": "PAUSE_ANSWER", "value": name},
        ],
        "readinessProbe": {"httpGet": {"port": 8080, "path": "/answered"}, "periodSeconds": 1},
    }
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    deployment = {"selector": {"matchLabels": labels}, "template": template}
    service = {"selector": labels, "ports": [{"name": "web", "port": 80, "targetPort": 8080}]}
    return [
        make_manifest("apps/v1", "Deployment", name, namespace=NAMESPACE, spec=deployment),
        make_manifest("v1", "Service", name, namespace=NAMESPACE, spec=service),
    ]


def make_route(name: str, *rules: Rule, kind: str = "HTTPRoute", gateway: str = "envoy") -> Any:
    """A route of one host, named after it, attached to one of the gateways."""
    parent = {"name": gateway, "namespace": "gateways", "sectionName": "http"}
    spec = {"parentRefs": [parent], "hostnames": [make_host(name)], "rules": list(rules)}
    return make_manifest(GATEWAY_API, kind, name, namespace=NAMESPACE, spec=spec)


def make_host(route: str) -> str:
    return f"{route}.example.com"


def make_rule(weights: Mapping[str, int], **fields: Any) -> Rule:
    """A rule that shares requests by weight; ``fields`` are its matches and filters."""
    backends = [{"name": name, "port": 80, "weight": weight} for name, weight in weights.items()]
    return {**fields, "backendRefs": backends}


def apply(cluster: Cluster, *objects: dict[str, Any]) -> None:
    cluster.kubectl("apply", "--server-side", "-f", "-", stdin=make_list(list(objects)))


def apply_route(cluster: Cluster, route: dict[str, Any]) -> None:
    """Apply a route and wait until it is answered: a host without a route is a 404."""
    apply(cluster, route)
    host = make_host(route["metadata"]["name"])
    assert wait_until(lambda: ask(cluster.envoy_url, host, 1) != Counter({"404": 1}), SECONDS)


def ask(url: str | None, host: str, times: int, **headers: str) -> Counter[str]:
    """How often each answer came to that many requests on one connection; a failure's status."""
    connection = http.client.HTTPConnection(urlsplit(url or "").netloc, timeout=10)
    answers: Counter[str] = Counter()
    try:
        for _ in range(times):
            connection.request("GET", "/", headers={"Host": host, **headers})
            response = connection.getresponse()
            body = response.read().decode()
            answers[body if response.status == http.client.OK else str(response.status)] += 1
    finally:
        connection.close()
    return answers


def count_answered(cluster: Cluster, name: str) -> int:
    """How many requests a backend has answered, by its own count."""
    path = f"/api/v1/namespaces/{NAMESPACE}/services/{name}:web/proxy/answered"
    return int(cluster.kubectl("get", "--raw", path))


def read_conditions(cluster: Cluster, resource: str) -> dict[str, str]:
    """The conditions that the first gateway of a route reports."""
    parents = cluster.kubectl("get", resource, "-n", NAMESPACE, "-o", "jsonpath={.status.parents}")
    found = json.loads(parents or "[]")
    return {c["type"]: c["status"] for c in found[0]["conditions"]} if found else {}


def resolve(name: str) -> tuple[int, str]:
    """The code of cluster DNS's reply and the first address in it: (0, ...) is a name it knows."""
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
    question = struct.pack(">6H", 1, 0x100, 1, 0, 0, 0) + labels + struct.pack(">B2H", 0, 1, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(5)
        client.connect((DNS_ADDRESS, 53))
        client.send(question)
        reply = client.recv(512)
    known = struct.unpack(">H", reply[6:8])[0] > 0
    return reply[3] & 15, socket.inet_ntoa(reply[-4:]) if known else ""


@pytest.fixture(scope="module")
def node() -> Iterator[Cluster]:
    """A node with both gateways and two backends, each of them one pod."""
    with lend_cluster("auto") as cluster:
        cluster.install_gateway(Progress())
        cluster.install_envoy_gateway(Progress())
        apply(cluster, make_manifest("v1", "Namespace", NAMESPACE))
        apply(cluster, *make_backend(STABLE), *make_backend(CANARY))
        for name in (STABLE, CANARY):
            available = ("wait", "--for=condition=Available", f"deployment/{name}")
            cluster.kubectl(*available, "-n", NAMESPACE, f"--timeout={SECONDS}s")
        yield cluster
        cluster.kubectl("delete", "namespace", NAMESPACE)


def test_requests_are_split_as_the_weights_say(node: Cluster) -> None:
    apply_route(node, make_route("weights", make_rule({STABLE: 90, CANARY: 10})))

    answers = ask(node.envoy_url, "weights.example.com", 200)

    assert set(answers) == {STABLE, CANARY}
    assert abs(answers[CANARY] - 20) <= 2


def test_a_share_of_the_requests_is_mirrored_and_its_answers_are_thrown_away(node: Cluster) -> None:
    mirror = {"backendRef": {"name": CANARY, "port": 80}, "percent": 20}
    filters = [{"type": "RequestMirror", "requestMirror": mirror}]
    apply_route(node, make_route("mirror", make_rule({STABLE: 1}, filters=filters)))
    before = count_answered(node, CANARY)

    answers = ask(node.envoy_url, "mirror.example.com", 500)

    # Envoy draws lots for each request: 100 are expected, and 55 or 145 are five deviations off.
    assert answers == Counter({STABLE: 500})
    assert wait_until(lambda: count_answered(node, CANARY) - before >= 55, SECONDS)
    assert count_answered(node, CANARY) - before <= 145


def test_a_header_leads_to_the_backend_of_its_rule(node: Cluster) -> None:
    matches = [{"headers": [{"name": "x-canary", "value": "1"}]}]
    rules = make_rule({CANARY: 1}, matches=matches), make_rule({STABLE: 1})
    apply_route(node, make_route("headers", *rules))
    host = "headers.example.com"

    assert ask(node.envoy_url, host, 50, **{"x-canary": "1"}) == Counter({CANARY: 50})
    assert ask(node.envoy_url, host, 50, **{"x-canary": "0"}) == Counter({STABLE: 50})
    assert ask(node.envoy_url, host, 50) == Counter({STABLE: 50})


def test_a_grpc_route_is_accepted(node: Cluster) -> None:
    apply(node, make_route("grpc", make_rule({STABLE: 90, CANARY: 10}), kind="GRPCRoute"))
    taken = {"Accepted": "True", "ResolvedRefs": "True"}

    assert wait_until(lambda: read_conditions(node, "grpcroute/grpc") == taken, SECONDS)


def test_both_gateways_serve_side_by_side(node: Cluster) -> None:
    apply(node, make_route("beside", make_rule({STABLE: 1}), gateway="public"))
    both = make_route("both", make_rule({CANARY: 1}))
    both["spec"]["parentRefs"] += [{"name": "public", "namespace": "gateways"}]
    apply_route(node, both)

    urls = [node.gateway_url, node.envoy_url]

    def answers(host: str) -> list[Counter[str]]:
        return [ask(url, host, 1) for url in urls]

    canary, stable, nobody = Counter({CANARY: 1}), Counter({STABLE: 1}), Counter({"404": 1})
    assert wait_until(lambda: answers("both.example.com") == [canary, canary], SECONDS)
    assert wait_until(lambda: answers("beside.example.com") == [stable, nobody], SECONDS)


def test_its_class_lists_no_features_so_they_have_to_be_known(node: Cluster) -> None:
    status = json.loads(node.kubectl("get", "gatewayclass/envoy", "-o", "jsonpath={.status}"))

    accepted = [row["status"] for row in status["conditions"] if row["type"] == "Accepted"]
    assert accepted == ["True"]
    assert "supportedFeatures" not in status


def test_it_is_installed_once(node: Cluster) -> None:
    started = node.kubectl("get", "pods", "-n", "envoy-gateway-system", "-o", "name")

    assert node.install_envoy_gateway(Progress()) == node.envoy_url
    assert node.kubectl("get", "pods", "-n", "envoy-gateway-system", "-o", "name") == started


def test_pods_resolve_the_names_of_services_and_no_others(node: Cluster) -> None:
    if node.kind != "node":
        pytest.skip("a kind cluster's DNS is not ours, and cannot be reached from here")
    address = ("get", "service/stable", "-n", NAMESPACE, "-o", "jsonpath={.spec.clusterIP}")

    assert resolve(f"stable.{NAMESPACE}.svc.cluster.local") == (0, node.kubectl(*address))
    assert resolve(f"absent.{NAMESPACE}.svc.cluster.local") == (3, "")
    assert resolve("example.com") == (5, "")
