"""The local node: real pods, a real gateway, and nothing left on the machine afterwards."""

import http.client
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from testbed.addons.gateway import METRICS_NODE_PORT, WEB_NODE_PORT, install_as_pod
from testbed.cluster import lifecycle, machine
from testbed.cluster.cluster import Cluster, make_list, make_manifest
from testbed.cluster.fixtures import own_cluster
from testbed.cluster.lifecycle import Wish
from testbed.cluster.node_config import BRIDGE, RUN
from testbed.programs.processes import ClusterError, find_strays, kill, wait_until
from testbed.programs.program_image import PAUSE_IMAGE
from testbed.programs.progress import Progress

pytestmark = [pytest.mark.timeout(1200), pytest.mark.xdist_group("node")]
HOST = "answers.example.com"
ANSWER = "from a real pod"
LEFTOVER_PLACES = [machine.CONTAINER_LOGS, machine.ADDRESS_CACHE, Path("/run/containerd/s")]


def make_answering_objects(replicas: int) -> list[dict[str, Any]]:
    """A Deployment of tiny web servers, its Service, and a route to it."""
    labels = {"app": "answers"}
    container = {
        "name": "answers",
        "image": PAUSE_IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "env": [
            {"name": "PAUSE_LISTEN", "value": ":8080"},
            {"name": "PAUSE_ANSWER", "value": ANSWER},
        ],
        "readinessProbe": {"httpGet": {"port": 8080}, "periodSeconds": 1},
    }
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    selector = {"matchLabels": labels}
    deployment = {"replicas": replicas, "selector": selector, "template": template}
    service = {"selector": labels, "ports": [{"port": 80, "targetPort": 8080}]}
    route = {
        "parentRefs": [{"name": "public", "namespace": "gateways", "sectionName": "http"}],
        "hostnames": [HOST],
        "rules": [{"backendRefs": [{"name": "answers", "port": 80}]}],
    }
    gateway = "gateway.networking.k8s.io/v1"
    return [
        make_manifest("apps/v1", "Deployment", "answers", spec=deployment),
        make_manifest("v1", "Service", "answers", spec=service),
        make_manifest(gateway, "HTTPRoute", "answers", spec=route),
    ]


def deploy_answers(cluster: Cluster) -> None:
    objects = make_list(make_answering_objects(2))
    cluster.kubectl("apply", "--server-side", "-f", "-", stdin=objects)
    cluster.kubectl("wait", "--for=condition=Available", "deployment/answers", "--timeout=180s")


def fetch(url: str | None, host: str) -> tuple[int, str]:
    """Status and body of a GET with this Host header."""
    connection = http.client.HTTPConnection(urlsplit(url or "").netloc, timeout=20)
    try:
        connection.request("GET", urlsplit(url or "").path or "/", headers={"Host": host})
        response = connection.getresponse()
        return response.status, response.read().decode()
    except (OSError, http.client.HTTPException):
        return 0, ""
    finally:
        connection.close()


def observe_machine() -> set[str]:
    """Everything on this machine that a node cluster makes and could leave behind."""
    saved = machine.run("iptables-save") + machine.run("ip6tables-save")
    rules = [line for line in saved.splitlines() if re.search(r"\b(KUBE|CANARIUM)-", line)]
    links = [path.name for path in Path("/sys/class/net").iterdir()]
    groups = [str(path) for path in machine.CGROUPS.glob("**/kubepods")]
    files = [str(p) for place in LEFTOVER_PLACES if place.exists() for p in place.iterdir()]
    mounts = [f"mount {point}" for point in machine.list_mounts_below(RUN)]
    return {*rules, *links, *groups, *files, *mounts, *(str(path) for path in RUN.glob("*"))}


@pytest.fixture(scope="module")
def machine_before() -> set[str]:
    with own_cluster("node"):
        pass  # installs the packages and cleans up after others, so that "before" is clean
    return observe_machine()


@pytest.fixture(scope="module")
def node(machine_before: set[str]) -> Iterator[Cluster]:
    with own_cluster("node") as cluster:
        cluster.install_gateway(Progress())
        deploy_answers(cluster)
        yield cluster


def test_a_deployment_of_two_replicas_is_available(node: Cluster) -> None:
    said = node.kubectl("get", "deployment/answers", "-o", "jsonpath={.status.readyReplicas}")

    assert said == "2"


def test_a_route_is_answered_by_the_pods_through_the_gateway_on_loopback(node: Cluster) -> None:
    assert urlsplit(node.gateway_url or "").hostname == "127.0.0.1"
    assert wait_until(lambda: fetch(node.gateway_url, HOST) == (200, ANSWER), 120)


def test_the_gateways_counters_name_the_service(node: Cluster) -> None:
    assert wait_until(lambda: fetch(node.gateway_url, HOST)[0] == 200, 120)

    lines = fetch(node.gateway_metrics_url, "localhost")[1].splitlines()

    counted = [line for line in lines if line.startswith("traefik_service_requests_total")]
    assert any("answers" in line and 'code="200"' in line for line in counted)


def test_the_apiserver_reaches_the_pods_logs(node: Cluster) -> None:
    assert node.kubectl("logs", "deployment/answers") == ""


def test_the_nodes_link_address_stays_while_pods_come_and_go(node: Cluster) -> None:
    address = Path(f"/sys/class/net/{BRIDGE}/address")
    before = address.read_text()

    pair = ("type", "veth", "peer", "name", "passing-peer")
    machine.run("ip", "link", "add", "passing", "address", "02:00:00:00:00:01", *pair)
    machine.run("ip", "link", "set", "passing", "master", BRIDGE)
    meanwhile = address.read_text()
    machine.run("ip", "link", "delete", "passing")

    assert (before, meanwhile, address.read_text()) == (f"{machine.LINK_ADDRESS}\n",) * 3


def test_pods_weigh_as_much_as_several_processes_of_the_host(node: Cluster) -> None:
    assert node.is_alive()
    found = {p.read_text().strip() for p in machine.CGROUPS.glob("cpu*/kubepods/cpu.shares")}
    found |= {p.read_text().strip() for p in machine.CGROUPS.glob("kubepods/cpu.weight")}

    assert found in ({"4096"}, {"400"})


def test_an_image_is_usable_once_its_archive_is_loaded(node: Cluster, tmp_path: Path) -> None:
    web, metrics = WEB_NODE_PORT, METRICS_NODE_PORT
    before = node.gateway_url, node.gateway_metrics_url
    node.kubectl("delete", "gateway/public", "-n", "gateways")

    install_as_pod(node, web, metrics, Progress())

    assert wait_until(lambda: fetch(f"http://127.0.0.1:{web}", HOST) == (200, ANSWER), 120)
    node.kubectl("delete", "namespace", "gateways")
    node.gateway_url, node.gateway_metrics_url = before
    node.save()


def test_a_second_node_cluster_is_refused_while_one_runs(node: Cluster) -> None:
    with pytest.raises(ClusterError, match=f"{node.name!r} is this machine's node cluster"):
        lifecycle.up(Wish(name="second-node", tier="node", owned=True), Progress())

    assert node.is_alive()


def test_a_start_trips_over_nothing_that_a_crash_left(node: Cluster) -> None:
    kill([*node.processes, *find_strays(node.directory)])

    restarted = lifecycle.up(Wish(name=node.name, tier="node", owned=True), Progress())
    restarted.install_gateway(Progress())
    deploy_answers(restarted)

    assert wait_until(lambda: fetch(restarted.gateway_url, HOST) == (200, ANSWER), 120)


def test_a_crashed_cluster_of_another_name_is_cleaned_up_by_the_next_start(node: Cluster) -> None:
    kill([*node.processes, *find_strays(node.directory)])
    heir = Wish(name=f"heir-{os.getpid()}", tier="node", owned=True)

    try:
        deploy = make_list(make_answering_objects(1)[:1])
        cluster = lifecycle.up(heir, Progress())
        cluster.kubectl("apply", "--server-side", "-f", "-", stdin=deploy)
        cluster.kubectl("wait", "--for=condition=Available", "deployment/answers", "--timeout=180s")
    finally:
        lifecycle.down(heir.name, Progress())


def test_nothing_is_left_on_the_machine_when_it_is_taken_down(
    node: Cluster, machine_before: set[str]
) -> None:
    again = lifecycle.up(Wish(name=node.name, tier="node", owned=True), Progress())
    again.install_gateway(Progress())
    deploy_answers(again)
    assert {BRIDGE, str(RUN / "containerd.sock")} < observe_machine() - machine_before

    lifecycle.down(node.name, Progress())

    assert find_strays(node.directory) == []
    assert not node.directory.exists()
    assert observe_machine() - machine_before == set()
