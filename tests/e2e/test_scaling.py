"""Models that scale on a real apiserver with simulated nodes: who wins, what is missing, drains.

There is neither metrics-server nor KEDA in this cluster; router Replicas.
"""

from datetime import UTC, datetime, timedelta

import pytest

from testbed.programs.processes import ClusterError, wait_until
from testbed.scenario.manifests import Json, rollout, simulated
from testbed.scenario.scaling import of_size, stable_of
from testbed.scenario.scenario import (
    Holds,
    Scenario,
    condition,
    get_condition,
    in_state,
    named,
    phase,
    serves,
)
from testbed.witness.capacity import find_fewest_ready

pytestmark = [pytest.mark.timeout(600, func_only=True)]
SECONDS = 120.0
CPU: Json = {"name": "cpu", "type": "CPU", "target": "500m"}
RPS: Json = {"name": "rps", "type": "RequestsPerSecond", "target": "20"}
SLOW = rollout((50, "1h"), guard={"duration": "0s"})
"A node is drained while the step holds, and then a person promotes."


def automatic(*metrics: Json, least: int = 2) -> Json:
    """Between some pods and ten."""
    return {"minReplicas": least, "maxReplicas": 10, "metrics": list(metrics)}


def assert_serves(found: Json) -> None:
    """What served goes on serving."""
    assert get_condition(found, "Ready")["status"] == "True"
    assert found["status"]["phase"] == "Healthy"


def test_metrics_that_nobody_serves_are_told_and_the_smallest_size_serves(
    rehearsal: Scenario,
) -> None:
    rehearsal.apply(simulated("v1", scaling=automatic(CPU)))

    reason = "FailedGetContainerResourceMetric"
    found = rehearsal.wait(condition("Scaled", "False", reason), SECONDS)

    assert "metrics-server" in get_condition(found, "Scaled")["message"]
    rehearsal.wait_for("Deployment", f"iris-{stable_of(rehearsal)}", of_size(2), SECONDS)
    assert_serves(rehearsal.wait(phase("Healthy"), SECONDS))


def test_what_needs_keda_where_there_is_none_is_told_and_the_smallest_size_serves(
    rehearsal: Scenario,
) -> None:
    prometheus = {"address": "http://127.0.0.1:9090"}
    metrics = {"port": 8082, "path": "/metrics", "profile": "MLServer"}
    manifest = simulated("v1", scaling={**automatic(RPS), "prometheus": prometheus})
    manifest["spec"]["server"]["metrics"] = metrics
    rehearsal.apply(manifest)

    found = rehearsal.wait(condition("Scaled", "False", "KEDANotInstalled"), SECONDS)

    assert "install" in get_condition(found, "Scaled")["message"]
    rehearsal.wait_for("Deployment", f"iris-{stable_of(rehearsal)}", of_size(2), SECONDS)
    assert_serves(rehearsal.wait(phase("Healthy"), SECONDS))


def test_somebody_elses_autoscaler_of_a_revisions_deployment_is_named(rehearsal: Scenario) -> None:
    rehearsal.apply(simulated("v1"))
    rehearsal.wait(phase("Healthy"), SECONDS)
    name = f"iris-{stable_of(rehearsal)}"

    rehearsal.kubectl("autoscale", f"deployment/{name}", "--max=5", "--name=mine")
    found = rehearsal.wait(condition("Scaled", "False", "ScalerConflict"), SECONDS)

    assert "HorizontalPodAutoscaler mine" in get_condition(found, "Scaled")["message"]
    assert_serves(found)
    rehearsal.kubectl("delete", "hpa/mine")
    rehearsal.wait(has_no_word_of_scaling, SECONDS)


def has_no_word_of_scaling(found: Json) -> bool:
    """no condition Scaled that is False"""
    return get_condition(found, "Scaled").get("status") != "False"


def test_an_autoscaler_of_ones_own_on_the_model_sets_replicas_and_is_named(
    rehearsal: Scenario,
) -> None:
    rehearsal.apply(simulated("v1"))
    rehearsal.wait(phase("Healthy"), SECONDS)

    rehearsal.kubectl("autoscale", "mdep/iris", "--min=4", "--max=5", "--name=mine")

    rehearsal.wait(condition("Scaled", "True", "ScaleSubresource"), SECONDS)
    rehearsal.wait_for("Deployment", f"iris-{stable_of(rehearsal)}", of_size(4), SECONDS)
    found = rehearsal.get("ModelDeployment", "iris")
    assert found is not None
    assert found["spec"]["scaling"] == {"replicas": 4}


@pytest.mark.parametrize(
    ("scaling", "words"),
    [
        ({**automatic(CPU), "minReplicas": 11}, "above maxReplicas"),
        ({"maxReplicas": 5}, "add metrics"),
        ({"maxReplicas": 5, "replicas": 2, "metrics": [CPU]}, "exactly one of replicas"),
    ],
)
def test_bounds_that_make_no_sense_are_refused_by_the_apiserver(
    rehearsal: Scenario, scaling: Json, words: str
) -> None:
    with pytest.raises(ClusterError, match=words):
        rehearsal.apply(simulated("v1", scaling=scaling))


def test_a_drained_node_leaves_the_budget_whole_and_the_rollout_finishes(
    rehearsal: Scenario,
) -> None:
    mine = {"labels": {"scenario": rehearsal.namespace}}
    budget = {"disruptionBudget": {"maxUnavailable": 1}}
    terms = {"scaling": {"replicas": 6, **budget}, "pod": mine, "rollout": SLOW}
    rehearsal.apply(simulated("v1", **terms))
    rehearsal.wait(phase("Healthy"), SECONDS)
    rehearsal.wait_for("PodDisruptionBudget", "iris", allows_one, SECONDS)
    rehearsal.apply(simulated("v2", **terms))
    held = rehearsal.wait(in_state("Holding"), SECONDS)
    pods, drained = len(rehearsal.all_of("Pod")), busiest_node(rehearsal)

    begin = int(rehearsal.mark())
    try:
        rehearsal.kubectl("drain", drained, *selected(rehearsal))
        end, left = int(rehearsal.mark()), rehearsal.all_of("Pod")
        rehearsal.command("promote", held["status"]["canary"]["revision"])
        finished = rehearsal.wait(phase("Healthy"), SECONDS)
    finally:
        rehearsal.kubectl("uncordon", drained)

    assert not [pod for pod in left if pod["spec"].get("nodeName") == drained]
    assert find_fewest_ready(rehearsal.changes(), "iris", begin, end) >= pods - 1
    assert finished["status"]["stable"]["version"] == "v2"


def test_the_budget_follows_the_spec_and_goes_with_the_second_pod(rehearsal: Scenario) -> None:
    budget = {"disruptionBudget": {"maxUnavailable": 1}}
    rehearsal.apply(simulated("v1", scaling={"replicas": 2, **budget}))
    rehearsal.wait_for("PodDisruptionBudget", "iris", gives_up(1), SECONDS)

    more = {"disruptionBudget": {"maxUnavailable": 2}}
    rehearsal.apply(simulated("v1", scaling={"replicas": 2, **more}))
    rehearsal.wait_for("PodDisruptionBudget", "iris", gives_up(2), SECONDS)
    rehearsal.apply(simulated("v1", scaling={"replicas": 1, **more}))

    rehearsal.wait_gone("PodDisruptionBudget", "iris", SECONDS)


def gives_up(pods: int) -> Holds:
    """Holds of a budget by which so many pods may be taken at a time."""
    return named(lambda found: bool(found["spec"]["maxUnavailable"] == pods), f"{pods} at a time")


def test_an_autoscaler_goes_when_the_size_is_fixed_and_follows_its_bounds_before(
    rehearsal: Scenario,
) -> None:
    rehearsal.apply(simulated("v1", scaling=automatic(CPU)))
    rehearsal.wait(phase("Healthy"), SECONDS)
    name = f"iris-{stable_of(rehearsal)}"
    rehearsal.wait_for("HorizontalPodAutoscaler", name, has_at_most(10), SECONDS)

    rehearsal.apply(simulated("v1", scaling={**automatic(CPU), "maxReplicas": 7}))
    rehearsal.wait_for("HorizontalPodAutoscaler", name, has_at_most(7), SECONDS)
    rehearsal.apply(simulated("v1", scaling={"replicas": 3}))

    rehearsal.wait_gone("HorizontalPodAutoscaler", name, SECONDS)
    rehearsal.wait_for("Deployment", name, of_size(3), SECONDS)


def has_at_most(pods: int) -> Holds:
    """Holds of an autoscaler that adds no more pods than that."""
    return named(lambda found: bool(found["spec"]["maxReplicas"] == pods), f"at most {pods}")


def test_history_forgets_the_oldest_revision_with_all_that_it_had(rehearsal: Scenario) -> None:
    terms = {"guard": {"duration": "0s"}, "revisionHistoryLimit": 1}
    names = []
    for version in ("v1", "v2", "v3"):
        rehearsal.apply(simulated(version, rollout=terms))
        rehearsal.wait(serves(version), SECONDS)
        names.append(f"iris-{stable_of(rehearsal)}")
        assert wait_until(lambda: has_begun_before(rehearsal, names[-1]), SECONDS)

    for kind in ("ModelRevision", "Deployment", "Service"):
        rehearsal.wait_gone(kind, names[0], SECONDS)
    kept = {found["metadata"]["name"] for found in rehearsal.all_of("ModelRevision")}
    assert kept == set(names[1:])


def has_begun_before(rehearsal: Scenario, name: str) -> bool:
    """Whether a revision is older than any that comes now: Kubernetes' times are whole seconds."""
    found = rehearsal.get("ModelRevision", name)
    assert found is not None
    begun = found.get("status", {}).get("startedAt") or found["metadata"]["creationTimestamp"]
    return datetime.fromisoformat(begun) + timedelta(seconds=1) <= datetime.now(UTC)


def selected(rehearsal: Scenario) -> tuple[str, ...]:
    """What of a node is drained: other scenarios' pods are none of ours."""
    return f"--pod-selector=scenario={rehearsal.namespace}", "--timeout=240s"


def allows_one(found: Json) -> bool:
    """a budget that knows its pods and lets one of them go"""
    return bool(found.get("status", {}).get("disruptionsAllowed") == 1)


def busiest_node(rehearsal: Scenario) -> str:
    """The node with most of the scenario's pods."""
    nodes = [str(pod["spec"].get("nodeName", "")) for pod in rehearsal.all_of("Pod")]
    return max(sorted(set(nodes)), key=nodes.count)
