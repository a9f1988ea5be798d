"""The control plane with simulated nodes: starts, runs pods, tells users apart, and goes away."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from testbed.cluster import lifecycle
from testbed.cluster.cluster import Cluster, make_clusters_directory, make_list, make_manifest
from testbed.cluster.fixtures import own_cluster
from testbed.cluster.lifecycle import Wish
from testbed.programs.processes import ClusterError, find_strays, kill, read_record, wait_until
from testbed.programs.progress import Progress

pytestmark = [pytest.mark.timeout(1200), pytest.mark.xdist_group("control-plane")]


@pytest.fixture(scope="module")
def plane() -> Iterator[Cluster]:
    with own_cluster("control-plane") as cluster:
        yield cluster


def make_wish(name: str, nodes: int = 1) -> Wish:
    return Wish(name=f"{name}-{os.getpid()}", tier="control-plane", nodes=nodes, owned=True)


def list_writers(cluster: Cluster, resource: str) -> list[str]:
    """Who created objects of this resource, as the audit log tells it."""
    assert cluster.audit_log is not None
    events = [json.loads(line) for line in cluster.audit_log.read_text().splitlines()]
    return [
        event["user"]["username"]
        for event in events
        if event["verb"] == "create" and event["objectRef"].get("resource") == resource
    ]


def test_every_simulated_node_is_ready(plane: Cluster) -> None:
    said = plane.kubectl("get", "nodes", "--no-headers").splitlines()

    assert [line.split()[:2] for line in said] == [[f"fake-{n}", "Ready"] for n in range(3)]


def test_a_deployment_on_simulated_nodes_becomes_available(plane: Cluster) -> None:
    plane.kubectl("create", "deployment", "simulated", "--image=none", "--replicas=3")

    plane.kubectl("wait", "--for=condition=Available", "deployment/simulated", "--timeout=180s")

    template = "jsonpath={.items[*].status.phase}"
    assert plane.kubectl("get", "pods", "-l", "app=simulated", "-o", template) == (
        "Running Running Running"
    )


def test_the_gateway_is_programmed_and_answers_on_loopback(plane: Cluster) -> None:
    url = plane.install_gateway(Progress())

    assert url.startswith("http://127.0.0.1:")
    assert plane.install_gateway(Progress()) == url


def test_the_operators_user_may_do_nothing_until_it_is_given_rights(plane: Cluster) -> None:
    arguments = ("auth", "can-i", "create", "deployments", "--kubeconfig")

    assert plane.kubectl(*arguments, str(plane.kubeconfig_for("person"))) == "yes\n"
    with pytest.raises(ClusterError, match="can-i"):
        plane.kubectl(*arguments, str(plane.kubeconfig_for("canarium-operator")))


def test_a_user_that_the_cluster_does_not_know_is_refused(plane: Cluster) -> None:
    with pytest.raises(ClusterError, match="no user 'stranger'"):
        plane.kubeconfig_for("stranger")


def test_the_audit_log_tells_who_wrote(plane: Cluster) -> None:
    account = make_list([make_manifest("v1", "ConfigMap", "written", namespace="default")])
    person = str(plane.kubeconfig_for("person"))

    plane.kubectl("create", "-f", "-", "--kubeconfig", person, stdin=account)

    assert wait_until(lambda: "person" in list_writers(plane, "configmaps"), 60)


def test_another_process_finds_the_running_cluster(plane: Cluster) -> None:
    assert lifecycle.find(plane.name) == plane


def test_asking_again_for_a_running_cluster_gives_the_same_one(plane: Cluster) -> None:
    assert lifecycle.up(Wish(name=plane.name), Progress()) == plane


def test_asking_for_another_kind_under_a_taken_name_is_refused(plane: Cluster) -> None:
    with pytest.raises(ClusterError, match="of kind control-plane, not node"):
        lifecycle.up(Wish(name=plane.name, tier="node"), Progress())


def test_two_control_planes_run_side_by_side_and_know_nothing_of_each_other(
    plane: Cluster,
) -> None:
    wish = make_wish("beside", nodes=1)
    try:
        beside = lifecycle.up(wish, Progress())
        beside.kubectl("create", "namespace", "only-beside")

        assert plane.is_alive()
        assert beside.kubectl("get", "nodes", "--no-headers").split()[0] == "fake-0"
        with pytest.raises(ClusterError, match="not found"):
            plane.kubectl("get", "namespace", "only-beside")
    finally:
        lifecycle.down(wish.name, Progress())


def test_a_start_after_a_crash_gives_a_new_cluster() -> None:
    wish = make_wish("crashed")
    try:
        crashed = lifecycle.up(wish, Progress())
        crashed.kubectl("create", "namespace", "before-the-crash")
        kill(crashed.processes)
        assert not crashed.is_alive()

        started = lifecycle.up(wish, Progress())

        assert "before-the-crash" not in started.kubectl("get", "namespaces")
    finally:
        lifecycle.down(wish.name, Progress())


def test_a_start_that_was_killed_half_way_is_cleaned_up_by_the_next_one() -> None:
    killed, wish = make_wish("killed"), make_wish("next")
    command = [sys.executable, "-m", "testbed.cluster", "up", "--tier", "control-plane"]
    directory = make_clusters_directory() / killed.name
    with subprocess.Popen([*command, "--name", killed.name], stderr=subprocess.DEVNULL) as starting:
        assert wait_until(lambda: len(read_record(directory)) >= 2, 300)
        starting.kill()
    strays = find_strays(directory)
    assert strays != []

    try:
        lifecycle.up(wish, Progress())

        assert [process for process in strays if process.is_alive()] == []
        assert not directory.exists()
    finally:
        lifecycle.down(wish.name, Progress())


def test_nothing_is_left_when_it_is_taken_down() -> None:
    wish = make_wish("gone")
    cluster = lifecycle.up(wish, Progress())
    processes = cluster.processes
    assert [process.name for process in processes] == [
        "etcd",
        "kube-apiserver",
        "kube-controller-manager",
        "kube-scheduler",
        "kwok",
    ]

    lifecycle.down(wish.name, Progress())

    assert [process for process in processes if process.is_alive()] == []
    assert find_strays(cluster.directory) == []
    assert not cluster.directory.exists()
