"""Envoy Gateway on the local node: weights, mirrors and headers with real requests and counters."""

import json
import socket
import struct
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from canarium.core.names import child_name

from testbed.addons.gateway import apply
from testbed.cluster.cluster import Cluster
from testbed.cluster.fixtures import lend_cluster
from testbed.cluster.node_config import DNS_ADDRESS
from testbed.programs.definitions import EXPERIMENTAL_ROUTES, apply_definitions, fetch_definitions
from testbed.programs.processes import wait_until
from testbed.programs.progress import Progress
from testbed.servers.backends import (
    CANARY,
    SECONDS,
    STABLE,
    ask,
    count_answered,
    deploy_backends,
    make_host,
    make_route,
    make_rule,
)
from testbed.servers.visits import MODEL, REVISIONS, deploy_revisions, lead, visit

pytestmark = [pytest.mark.timeout(1200), pytest.mark.xdist_group("node")]
NAMESPACE = "envoy-test"
Object = dict[str, Any]


def make_http_route(name: str, *rules: Object, gateway: str = "envoy") -> Object:
    return make_route(name, NAMESPACE, gateway, *rules, kind="HTTPRoute")


def apply_route(cluster: Cluster, route: Object) -> None:
    """Apply a route and wait until a backend answers.

    A host without a route is a 404; Envoy may have the route before its endpoints, which is a 503.
    """
    apply(cluster, [route])
    host = make_host(route["metadata"]["name"])
    assert wait_until(lambda: not {"404", "503"} & set(ask(cluster.envoy_url, host, 1)), SECONDS)


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
        client.settimeout(30)
        client.connect((DNS_ADDRESS, 53))
        client.send(question)
        reply = client.recv(512)
    known = struct.unpack(">H", reply[6:8])[0] > 0
    return reply[3] & 15, socket.inet_ntoa(reply[-4:]) if known else ""


@pytest.fixture(scope="module")
def node() -> Iterator[Cluster]:
    """A node with both gateways, two backends and two revisions, each of them one pod.

    Routes may have the fields of the experimental channel, which cookies need.
    """
    with lend_cluster("auto") as cluster:
        cluster.install_gateway(Progress())
        cluster.install_envoy_gateway(Progress())
        apply_definitions(cluster, fetch_definitions(EXPERIMENTAL_ROUTES, Progress()))
        deploy_backends(cluster, NAMESPACE)
        deploy_revisions(cluster, NAMESPACE)
        yield cluster
        if cluster.owner is None:  # it stays, and the next run begins anew
            cluster.kubectl("delete", "namespace", NAMESPACE)


def test_requests_are_split_as_the_weights_say(node: Cluster) -> None:
    apply_route(node, make_http_route("weights", make_rule({STABLE: 90, CANARY: 10})))

    answers = ask(node.envoy_url, "weights.example.com", 200)

    assert set(answers) == {STABLE, CANARY}
    assert abs(answers[CANARY] - 20) <= 2


def test_a_share_of_the_requests_is_mirrored_and_its_answers_are_thrown_away(node: Cluster) -> None:
    mirror = {"backendRef": {"name": CANARY, "port": 80}, "percent": 20}
    filters = [{"type": "RequestMirror", "requestMirror": mirror}]
    apply_route(node, make_http_route("mirror", make_rule({STABLE: 1}, filters=filters)))
    before = count_answered(node, CANARY, NAMESPACE)

    answers = ask(node.envoy_url, "mirror.example.com", 500)

    # Envoy draws lots for each request: 100 are expected, and 55 or 145 are five deviations off.
    assert answers == Counter({STABLE: 500})
    assert wait_until(lambda: count_answered(node, CANARY, NAMESPACE) - before >= 55, SECONDS)
    assert count_answered(node, CANARY, NAMESPACE) - before <= 145


def test_a_header_leads_to_the_backend_of_its_rule(node: Cluster) -> None:
    matches = [{"headers": [{"name": "x-canary", "value": "1"}]}]
    rules = make_rule({CANARY: 1}, matches=matches), make_rule({STABLE: 1})
    apply_route(node, make_http_route("headers", *rules))
    host = "headers.example.com"

    assert ask(node.envoy_url, host, 50, **{"x-canary": "1"}) == Counter({CANARY: 50})
    assert ask(node.envoy_url, host, 50, **{"x-canary": "0"}) == Counter({STABLE: 50})
    assert ask(node.envoy_url, host, 50) == Counter({STABLE: 50})


def test_a_header_may_be_matched_by_a_regular_expression(node: Cluster) -> None:
    matches = [{"headers": [{"type": "RegularExpression", "name": "x-team", "value": "ml-.+"}]}]
    rules = make_rule({CANARY: 1}, matches=matches), make_rule({STABLE: 1})
    apply_route(node, make_http_route("patterns", *rules))
    host = "patterns.example.com"

    assert ask(node.envoy_url, host, 20, **{"x-team": "ml-fraud"}) == Counter({CANARY: 20})
    assert ask(node.envoy_url, host, 20, **{"x-team": "web"}) == Counter({STABLE: 20})


BOTH = pytest.mark.parametrize(
    ("router", "gateway"), [("Traefik", "gateway"), ("GatewayAPI", "envoy")]
)


@BOTH
def test_who_came_to_a_version_once_comes_to_it_again(
    node: Cluster, router: str, gateway: str
) -> None:
    url, host = getattr(node, f"{gateway}_url"), f"{gateway}.cookies.example.com"
    versions = {child_name(MODEL, revision) for revision in REVISIONS}
    lead(node, NAMESPACE, router, host, **dict.fromkeys(REVISIONS, 50))

    def is_served() -> bool:
        answer, cookie = visit(url, host)
        return answer in versions and cookie != ""

    assert wait_until(is_served, SECONDS)
    first = [visit(url, host) for _ in range(40)]
    again = [{visit(url, host, cookie)[0] for _ in range(10)} for _, cookie in first]

    assert {answer for answer, _ in first} == versions
    assert again == [{answer} for answer, _ in first]


@BOTH
def test_a_cookie_of_a_canary_that_was_taken_back_leads_to_stable(
    node: Cluster, router: str, gateway: str
) -> None:
    url, host = getattr(node, f"{gateway}_url"), f"{gateway}.back.example.com"
    stable, canary = (child_name(MODEL, revision) for revision in REVISIONS)
    lead(node, NAMESPACE, router, host, **dict.fromkeys(REVISIONS, 50))
    cookies: list[str] = []

    def meet() -> bool:
        answer, cookie = visit(url, host)
        cookies.extend([cookie] * (answer == canary and cookie != ""))
        return bool(cookies)

    assert wait_until(meet, SECONDS)
    lead(node, NAMESPACE, router, host, **{REVISIONS[0]: 100})
    assert wait_until(lambda: visit(url, host, cookies[0])[0] == stable, SECONDS)
    assert {visit(url, host, cookies[0])[0] for _ in range(10)} == {stable}


def test_a_grpc_route_is_accepted_with_a_mirror(node: Cluster) -> None:
    mirror = {"backendRef": {"name": CANARY, "port": 80}, "percent": 20}
    filters = [{"type": "RequestMirror", "requestMirror": mirror}]
    rule = make_rule({STABLE: 90, CANARY: 10}, filters=filters)
    apply(node, [make_route("grpc", NAMESPACE, "envoy", rule, kind="GRPCRoute")])
    taken = {"Accepted": "True", "ResolvedRefs": "True"}

    assert wait_until(lambda: read_conditions(node, "grpcroute/grpc") == taken, SECONDS)


def test_both_gateways_serve_side_by_side(node: Cluster) -> None:
    apply(node, [make_http_route("beside", make_rule({STABLE: 1}), gateway="public")])
    both = make_http_route("both", make_rule({CANARY: 1}))
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
    # Without the pod of the Job that made its certificates, which goes half a minute later.
    running = ("get", "pods", "-n", "envoy-gateway-system", "--field-selector=status.phase=Running")
    started = node.kubectl(*running, "-o", "name")

    assert node.install_envoy_gateway(Progress()) == node.envoy_url
    assert node.kubectl(*running, "-o", "name") == started


def test_pods_resolve_the_names_of_services_and_no_others(node: Cluster) -> None:
    if node.kind != "node":
        pytest.skip("a kind cluster's DNS is not ours, and cannot be reached from here")
    address = ("get", "service/stable", "-n", NAMESPACE, "-o", "jsonpath={.spec.clusterIP}")

    assert resolve(f"stable.{NAMESPACE}.svc.cluster.local") == (0, node.kubectl(*address))
    assert resolve(f"absent.{NAMESPACE}.svc.cluster.local") == (3, "")
    assert resolve("example.com") == (5, "")
