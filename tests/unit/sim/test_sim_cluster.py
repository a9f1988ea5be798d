"""What the simulated cluster does by itself; no ModelDeployment in it, so the operator is idle."""

from collections.abc import Iterator
from typing import Any

import pytest
from canarium.sim.apiserver import is_ready
from canarium.sim.controllers.gateway import main_rule
from canarium.sim.controllers.pods import NODES, Behaviour, Failing
from canarium.sim.simulation import Simulation

Json = dict[str, Any]
KEY = ("risk", "app")
LABELS = {"canarium.dev/model": "app", "canarium.dev/revision": "0f336a1ab5"}


@pytest.fixture
def sim() -> Iterator[Simulation]:
    with Simulation() as found:
        yield found


def deploy(sim: Simulation, replicas: int = 2, tag: str = "1") -> None:
    container = {"name": "server", "image": f"registry.example/app:{tag}"}
    template = {"metadata": {"labels": LABELS}, "spec": {"containers": [container]}}
    body = {
        "kind": "Deployment",
        "metadata": {"name": "app"},
        "spec": {"replicas": replicas, "selector": LABELS, "template": template},
    }
    sim.server.apply("Deployment", KEY, body, "kubectl", force=True)


def expose(sim: Simulation) -> None:
    body = {"metadata": {"name": "app", "labels": LABELS}, "spec": {"selector": LABELS}}
    sim.server.create("Service", "risk", body, "kubectl")


def route(sim: Simulation, weight: int = 100, **rule: Any) -> None:
    backend = {"name": "app", "weight": weight}
    body = {
        "metadata": {"name": "app"},
        "spec": {
            "parentRefs": [{"name": "public", "namespace": "gateways"}],
            "rules": [{"backendRefs": [backend], **rule}],
        },
    }
    sim.server.apply("HTTPRoute", KEY, body, "kubectl", force=True)


def pods(sim: Simulation) -> list[Json]:
    return list(sim.server.all_of("Pod"))


def waiting(sim: Simulation) -> list[tuple[str, int]]:
    statuses = [pod["status"]["containerStatuses"][0] for pod in pods(sim)]
    return [
        (s.get("state", {}).get("waiting", {}).get("reason", ""), s["restartCount"])
        for s in statuses
    ]


def status(sim: Simulation) -> Json:
    found: Json = sim.server.get("Deployment", KEY).body["status"]
    return found


def test_a_deployment_gets_its_pods_after_their_time(sim: Simulation) -> None:
    deploy(sim)
    sim.run(1.0)
    assert (len(pods(sim)), status(sim)["readyReplicas"]) == (2, 0)
    sim.run(2.0)
    assert status(sim) == {"observedGeneration": 1, "replicas": 2, "readyReplicas": 2}


def test_a_smaller_deployment_ends_pods_in_peace(sim: Simulation) -> None:
    deploy(sim, 3)
    sim.run(5.0)
    deploy(sim, 1)
    sim.run(0.5)
    assert (len(pods(sim)), status(sim)["replicas"]) == (3, 1)
    sim.run(2.0)
    assert len(pods(sim)) == 1


def test_a_new_template_replaces_pods_without_a_gap(sim: Simulation) -> None:
    deploy(sim, 3)
    sim.run(5.0)
    old = {pod["metadata"]["name"] for pod in pods(sim)}
    deploy(sim, 3, tag="2")
    for _ in range(60):
        sim.run(0.5)
        assert sum(map(is_ready, pods(sim))) >= 3
    assert len(pods(sim)) == 3
    assert not old & {pod["metadata"]["name"] for pod in pods(sim)}


@pytest.mark.parametrize(
    ("failing", "seen"),
    [
        ("Crash", ("CrashLoopBackOff", 3)),
        ("ImagePull", ("ImagePullBackOff", 0)),
        ("Config", ("CreateContainerConfigError", 0)),
        ("Unready", ("", 0)),
    ],
)
def test_pods_fail_as_they_are_told_and_recover(
    sim: Simulation, failing: Failing, seen: tuple[str, int]
) -> None:
    sim.pods.behave("1", Behaviour(failing=failing))
    deploy(sim, 1)
    sim.run(45.0)
    assert (waiting(sim), is_ready(pods(sim)[0])) == ([seen], False)
    sim.pods.behave("1")
    sim.run(5.0)
    assert is_ready(pods(sim)[0])


def test_pods_may_fail_after_they_worked(sim: Simulation) -> None:
    sim.pods.behave("1", Behaviour(failing="Crash", works_seconds=10.0))
    deploy(sim, 1)
    sim.run(5.0)
    assert is_ready(pods(sim)[0])
    sim.run(10.0)
    assert not is_ready(pods(sim)[0])


def test_pods_that_find_no_node_say_so_and_start_when_there_is_one(sim: Simulation) -> None:
    sim.pods.behave("1", Behaviour(failing="Unschedulable"))
    deploy(sim, 1)
    sim.run(10.0)
    (condition,) = pods(sim)[0]["status"]["conditions"]
    assert (condition["type"], condition["status"]) == ("PodScheduled", "False")
    sim.pods.behave("1")
    sim.run(5.0)
    assert is_ready(pods(sim)[0])


def test_a_lost_node_takes_its_pods_and_others_get_them(sim: Simulation) -> None:
    deploy(sim, 3)
    sim.run(5.0)
    sim.pods.lose_node(NODES[0])
    sim.run(1.0)
    assert status(sim)["readyReplicas"] == 2
    sim.run(30.0)
    assert status(sim)["readyReplicas"] == 3
    assert NODES[0] not in {pod["spec"]["nodeName"] for pod in pods(sim)}


def test_a_quota_refuses_pods_and_the_deployment_says_so(sim: Simulation) -> None:
    sim.pods.set_quota(1)
    deploy(sim)
    sim.run(5.0)
    assert "exceeded quota" in status(sim)["conditions"][0]["message"]
    sim.pods.set_quota(None)
    sim.run(5.0)
    assert status(sim) == {"observedGeneration": 1, "replicas": 2, "readyReplicas": 2}


def test_endpoints_follow_pods_and_selectors(sim: Simulation) -> None:
    expose(sim)
    deploy(sim)
    sim.run(5.0)
    slices = sim.server.get("EndpointSlice", ("risk", "app-x")).body
    assert [e["conditions"]["ready"] for e in slices["endpoints"]] == [True, True]
    selector = {**LABELS, "canarium.dev/revision": "7b9d6f5c88"}
    body = {"spec": {"selector": selector}}
    sim.server.apply("Service", KEY, body, "kubectl", force=True)
    sim.run(1.0)
    assert sim.server.get("EndpointSlice", ("risk", "app-x")).body["endpoints"] == []


def test_a_gateway_gives_its_word_before_its_deed(sim: Simulation) -> None:
    route(sim)
    sim.run(0.6)
    (parent,) = sim.server.get("HTTPRoute", KEY).body["status"]["parents"]
    assert [(c["status"], c["observedGeneration"]) for c in parent["conditions"]] == [
        ("True", 1)
    ] * 2
    assert (sim.gateway.rules(KEY), len(sim.gateway.rules_to_come(KEY))) == ((), 1)
    sim.run(2.0)
    assert dict(main_rule(sim.gateway.rules(KEY)).weights) == {"app": 100}


def test_a_gateway_that_refuses_or_is_silent_goes_on_as_before(sim: Simulation) -> None:
    route(sim, weight=1)
    sim.run(5.0)
    sim.gateway.manners.answer = "Refuse"
    route(sim, weight=2)
    sim.run(5.0)
    (parent,) = sim.server.get("HTTPRoute", KEY).body["status"]["parents"]
    assert parent["conditions"][0]["status"] == "False"
    sim.gateway.manners.answer = "Never"
    route(sim, weight=3)
    sim.run(5.0)
    assert dict(main_rule(sim.gateway.rules(KEY)).weights) == {"app": 1}


def test_mirrors_and_headers_are_rules_of_their_own(sim: Simulation) -> None:
    mirror = {"backendRef": {"name": "copy"}, "percent": 20}
    route(sim, filters=[{"type": "RequestMirror", "requestMirror": mirror}])
    sim.run(5.0)
    assert dict(main_rule(sim.gateway.rules(KEY)).copies) == {"copy": 20}
    route(sim, matches=[{"headers": [{"name": "x", "value": "1"}]}])
    sim.run(5.0)
    assert [rule.by_header for rule in sim.gateway.rules(KEY)] == [True]


def test_what_is_owned_goes_after_its_owner(sim: Simulation) -> None:
    deploy(sim)
    sim.run(5.0)
    sim.server.delete("Deployment", KEY, "kubectl")
    sim.run(3.0)
    assert pods(sim) == []


def test_what_is_made_for_an_owner_that_is_gone_goes_too(sim: Simulation) -> None:
    owner = {"kind": "ModelDeployment", "name": "app", "uid": "long gone"}
    body = {"metadata": {"name": "app", "ownerReferences": [owner]}, "spec": {}}
    sim.server.create("Service", "risk", body, "canarium")
    sim.run(1.0)
    assert sim.server.find("Service", KEY) is None


def test_a_bug_in_the_cluster_itself_ends_the_run(sim: Simulation) -> None:
    sim.loop.call_later(1.0, lambda: int("nothing"))
    with pytest.raises(ValueError, match="nothing"):
        sim.run(2.0)
