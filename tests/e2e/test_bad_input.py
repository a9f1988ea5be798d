"""What happens when the cluster refuses: named in status, nobody's revision blamed, and healed.

On a real control plane with simulated nodes, without a gateway; router Replicas.
"""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from testbed.cluster.cluster import Cluster
from testbed.programs.processes import wait_until
from testbed.rights.ledger import expect_farewell
from testbed.scenario.manifests import PUBLIC, Json, rollout, simulated
from testbed.scenario.scenario import (
    Holds,
    Scenario,
    condition,
    counts,
    get_condition,
    in_state,
    is_current,
    named,
    phase,
)
from testbed.servers.metric_web import answering

pytestmark = [pytest.mark.timeout(600, func_only=True)]
SECONDS = 120.0
"The first time, the garbage collector needs up to 30 s to learn of our kinds."
SLOW = rollout((50, "60s"), guard={"duration": "0s"})
MOST_ASKED = 12.0
"Times a second by which two metrics of two revisions, read once a second each, are no storm."


def reason(wanted: str) -> Holds:
    """Holds of a ModelDeployment whose short reason is this one."""

    def holds(found: Json) -> bool:
        return is_current(found) and found.get("status", {}).get("reason") == wanted

    return named(holds, f"reason {wanted}")


def assert_nobody_blamed(found: Json) -> None:
    """No revision was rejected, and what serves still does."""
    assert "rejected" not in found["status"]
    assert get_condition(found, "Ready")["status"] == "True"


# --- Gateway API


def test_gateway_api_that_is_not_installed_is_named_without_a_storm(rehearsal: Scenario) -> None:
    rehearsal.apply(simulated("v1", traffic={"parentRefs": [PUBLIC]}))

    found = rehearsal.wait(condition("Routed", "False", "GatewayAPINotInstalled"), SECONDS)

    assert "install" in get_condition(found, "Routed")["message"]
    assert wait_until(lambda: is_calm(rehearsal), SECONDS)
    assert rehearsal.operator is not None
    assert rehearsal.operator.alive


def is_calm(rehearsal: Scenario) -> bool:
    """Whether a time in which a storm would show is without one.

    What is under way may be written late, so any such time counts; a storm has none.
    """
    before = count_requests(rehearsal)
    time.sleep(5)
    return count_requests(rehearsal) - before <= 2


def count_requests(rehearsal: Scenario) -> int:
    """The operator's requests in this namespace so far, watches left out, by the audit log."""
    assert rehearsal.cluster.audit_log is not None
    entries = map(json.loads, read_lines(rehearsal.cluster.audit_log))
    return sum(
        entry["user"]["username"] == rehearsal.account
        and entry.get("objectRef", {}).get("namespace") == rehearsal.namespace
        and entry["verb"] != "watch"
        for entry in entries
        if entry["stage"] == "ResponseComplete"
    )


def read_lines(path: Path) -> list[str]:
    return [line for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]


# --- names that somebody else has


def foreign_service(name: str) -> Json:
    spec = {"ports": [{"port": 80}], "selector": {"app": "somebody-elses"}}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


def foreign_deployment(name: str) -> Json:
    labels = {"app": "somebody-elses"}
    container = {"name": "theirs", "image": "registry.example.com/theirs:1"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    spec = {"replicas": 0, "selector": {"matchLabels": labels}, "template": template}
    about = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}}
    return {**about, "spec": spec}


def find_first_name(rehearsal: Scenario) -> str:
    """What the operator calls the first revision's objects; everything of it is gone again."""
    rehearsal.apply(simulated("v1"))
    found = rehearsal.wait(phase("Healthy"), SECONDS)
    rehearsal.kubectl("delete", "modeldeployment/iris")
    name = f"iris-{found['status']['stable']['revision']}"
    for kind in ("ModelRevision", "Deployment", "Service"):
        rehearsal.wait_gone(kind, name, SECONDS)
    rehearsal.wait_gone("Service", "iris", SECONDS)
    return name


def foreign_budget(name: str) -> Json:
    about = {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": name}}
    return {**about, "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "theirs"}}}}


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("Service", ("Stalled", "True", "NameConflict")),
        ("Deployment", ("Stalled", "True", "NameConflict")),
        ("PodDisruptionBudget", ("Scaled", "False", "NameConflict")),
    ],
)
def test_a_foreign_object_under_our_name_is_never_touched(
    rehearsal: Scenario, kind: str, told: tuple[str, str, str]
) -> None:
    name = find_first_name(rehearsal) if kind == "Deployment" else "iris"
    make = {
        "Service": foreign_service,
        "Deployment": foreign_deployment,
        "PodDisruptionBudget": foreign_budget,
    }[kind]
    rehearsal.apply(make(name))
    theirs = rehearsal.get(kind, name)

    rehearsal.apply(simulated("v1"))
    found = rehearsal.wait(condition(*told), SECONDS)

    assert f"{kind} {name}" in get_condition(found, told[0])["message"]
    time.sleep(2)  # no event says that nothing will happen
    assert spec_of(rehearsal.get(kind, name)) == spec_of(theirs)
    rehearsal.kubectl("delete", f"{kind.lower()}/{name}", "--wait=false")
    rehearsal.wait_for(kind, name, is_ours, 2 * SECONDS)
    rehearsal.wait(phase("Healthy"), 2 * SECONDS)


def is_ours(found: Json) -> bool:
    """an object of the model"""
    owners = found["metadata"].get("ownerReferences", ())
    return [owner["kind"] for owner in owners] == ["ModelDeployment"]


def spec_of(found: Json | None) -> Any:
    """What a person would see changed: identity, labels, owners and spec."""
    assert found is not None
    about = found["metadata"]
    return about["uid"], about.get("labels"), about.get("ownerReferences"), found["spec"]


# --- deletion


def test_a_model_deleted_in_mid_rollout_takes_all_of_ours_and_nothing_else(
    rehearsal: Scenario,
) -> None:
    rehearsal.apply(foreign_service("others"), simulated("v1", rollout=SLOW))
    rehearsal.wait(phase("Healthy"), SECONDS)
    rehearsal.apply(simulated("v2", rollout=SLOW))
    rehearsal.wait(in_state("Holding"), SECONDS)

    rehearsal.kubectl("delete", "modeldeployment/iris")

    wait_until_nothing_of_ours(rehearsal)
    time.sleep(2)  # no event says that nothing will come back
    assert list_ours(rehearsal) == []
    assert rehearsal.get("Service", "others") is not None


def test_a_model_created_again_at_once_waits_for_the_old_one_to_go(rehearsal: Scenario) -> None:
    rehearsal.apply(simulated("v1", rollout=SLOW))
    first = rehearsal.wait(phase("Healthy"), SECONDS)
    rehearsal.apply(simulated("v2", rollout=SLOW))
    rehearsal.wait(in_state("Holding"), SECONDS)

    rehearsal.kubectl("delete", "modeldeployment/iris", "--wait=false")
    rehearsal.apply(simulated("v1", rollout=SLOW))

    again = rehearsal.wait(
        named(lambda m: is_another(m, first) and phase("Healthy")(m), "a new one, Healthy"), SECONDS
    )
    assert again["metadata"]["uid"] in find_owners(rehearsal)
    mine = first["metadata"]["uid"]
    assert wait_until(lambda: mine not in find_owners(rehearsal), SECONDS)


def find_owners(rehearsal: Scenario) -> set[str]:
    """The uids of those to whom what is there belongs."""
    return {
        owner["uid"]
        for kind in ("Deployment", "Service", "ModelRevision")
        for item in rehearsal.all_of(kind)
        for owner in item["metadata"].get("ownerReferences", [])
    }


def is_another(found: Json, first: Json) -> bool:
    return bool(found["metadata"]["uid"] != first["metadata"]["uid"])


def list_ours(rehearsal: Scenario) -> list[str]:
    """What carries our label in this namespace."""
    kinds = ("ModelRevision", "Deployment", "Service", "Pod")
    found = [(kind, item["metadata"]) for kind in kinds for item in rehearsal.all_of(kind)]
    return [f"{k} {m['name']}" for k, m in found if "canarium.dev/model" in m.get("labels", {})]


def wait_until_nothing_of_ours(rehearsal: Scenario) -> None:
    deadline = time.monotonic() + SECONDS
    while (left := list_ours(rehearsal)) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert left == [], rehearsal.tell()


def test_a_namespace_that_is_deleted_goes_whole(rehearsal: Scenario) -> None:
    rehearsal.apply(simulated("v1", rollout=SLOW))
    rehearsal.wait(phase("Healthy"), SECONDS)
    nowhere: Json = {"nodeSelector": {"example.com/no-such-node": "true"}}
    rehearsal.apply(simulated("v2", rollout=SLOW, pod=nowhere))  # so that it stays in this state
    rehearsal.wait(in_state("Scaling"), SECONDS)

    expect_farewell(rehearsal.cluster, rehearsal.account)  # its Role goes with the rest

    rehearsal.cluster.kubectl("delete", "namespace", rehearsal.namespace, "--timeout=180s")

    assert rehearsal.operator is not None
    assert rehearsal.operator.alive
    rehearsal.cluster.kubectl("create", "namespace", rehearsal.namespace)  # the teardown's


# --- pods that are refused


def test_a_quota_that_refuses_pods_is_the_environments_fault(rehearsal: Scenario) -> None:
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "two"}}
    rehearsal.apply({**quota, "spec": {"hard": {"pods": "2"}}})
    rehearsal.wait_for("ResourceQuota", "two", counts({"pods": "0"}), SECONDS)
    rehearsal.apply(simulated("v1"))
    rehearsal.wait(phase("Healthy"), SECONDS)
    rehearsal.wait_for("ResourceQuota", "two", counts({"pods": "2"}), SECONDS)

    rehearsal.apply(simulated("v2"))
    refused = rehearsal.wait(reason("QuotaExceeded"), SECONDS)

    assert_nobody_blamed(refused)
    assert "exceeded quota: two" in refused["status"]["message"]
    rehearsal.kubectl("delete", "resourcequota/two")
    assert_healed(rehearsal)


def test_an_admission_policy_that_refuses_pods_is_the_environments_fault(
    rehearsal: Scenario,
) -> None:
    rehearsal.apply(simulated("v1"))
    rehearsal.wait(phase("Healthy"), SECONDS)
    refuse_pods(rehearsal.cluster, rehearsal.namespace)

    rehearsal.apply(simulated("v2"))
    refused = rehearsal.wait(reason("AdmissionDenied"), SECONDS)

    assert_nobody_blamed(refused)
    assert "no pods on Fridays" in refused["status"]["message"]
    rehearsal.cluster.kubectl("delete", f"validatingadmissionpolicybinding/{rehearsal.namespace}")
    assert_healed(rehearsal)


def assert_healed(rehearsal: Scenario) -> None:
    """The rollout goes on by itself once it can (the ReplicaSet's own retries take a while)."""
    healthy = rehearsal.wait(phase("Healthy"), 2 * SECONDS)
    assert healthy["status"]["stable"]["version"] == "v2"


def refuse_pods(cluster: Cluster, namespace: str) -> None:
    """An admission policy against new pods in one namespace, in force when this returns."""
    group = "admissionregistration.k8s.io/v1"
    rules = [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"]}]
    here = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
    about = {"apiVersion": group, "metadata": {"name": namespace}}
    policy = {
        "matchConstraints": {"resourceRules": [{**rules[0], "resources": ["pods"]}]},
        "validations": [{"expression": "false", "message": "no pods on Fridays"}],
    }
    binding = {
        "policyName": namespace,
        "validationActions": ["Deny"],
        "matchResources": {"namespaceSelector": here},
    }
    for kind, spec in (("", policy), ("Binding", binding)):
        body = {**about, "kind": f"ValidatingAdmissionPolicy{kind}", "spec": spec}
        cluster.kubectl("apply", "-f", "-", stdin=json.dumps(body))
    wait_until_refused(cluster, namespace)


def wait_until_refused(cluster: Cluster, namespace: str) -> None:
    """A policy takes a moment to be in force; a dry run shows when it is."""
    words = ["run", "probe", "--image=none", "--dry-run=server", "-n", namespace]
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        try:
            cluster.kubectl(*words)
        except Exception as error:  # noqa: BLE001 - looked at right below
            if "no pods on Fridays" in str(error):
                return
        time.sleep(0.3)
    raise AssertionError("the admission policy never came into force")


# --- one object never stops another


def test_what_is_raised_about_one_object_stays_with_it(rehearsal: Scenario) -> None:
    """Each of these ended the operator, or kept a core and whom it asks busy, and was then found.

    A quantity of 17 digits, a time that is rounded to the year 10000, a JSONPath that compares with
    infinity, and JSON that is nested 50,000 deep.
    """
    deep = b'{"status":"success","data":{"resultType":"vector","result":' + b"[" * 50_000
    asked = list[str]()

    def answer(path: str, query: str) -> Any:
        asked.append(path)
        return deep if query else {"a": 1}

    with answering(answer) as web:
        metrics: list[Json] = [
            {"name": "far", "web": {"url": web.url, "value": "$[?@.a==1e400]"}, "max": "1"},
            {"name": "deep", "prometheus": {"address": web.url, "query": "up"}, "max": "1"},
        ]
        judged = rollout((50, "60s"), analysis=[{**each, "interval": "1s"} for each in metrics])
        huge = simulated("v1")
        huge["spec"]["server"]["resources"] = {"limits": {"memory": 10**16}}
        huge["metadata"] = {
            "name": "huge",
            "annotations": {"canarium.dev/commit-time": "9999-12-31T23:59:59.999999Z"},
        }
        rehearsal.apply(simulated("v1"), huge, named_model("odd", simulated("v1")))
        rehearsal.wait(phase("Healthy"), SECONDS)
        rehearsal.wait(phase("Healthy"), SECONDS, model="odd")
        rehearsal.apply(named_model("odd", simulated("v2", rollout=judged)))
        rehearsal.wait(says("far", "not a JSONPath (OverflowError)"), SECONDS, model="odd")
        rehearsal.wait(says("deep", "nested too deeply"), SECONDS, model="odd")
        before, begun = len(asked), time.monotonic()
        time.sleep(5)  # a time in which a storm would show; there is no event to wait for
        rate = (len(asked) - before) / (time.monotonic() - begun)
        rehearsal.apply(simulated("v2"))
        rehearsal.wait(phase("Healthy"), SECONDS)

    assert rate < MOST_ASKED
    huge = rehearsal.wait(reason("Unschedulable"), SECONDS, model="huge")
    assert huge["status"]["phase"] == "Pending"
    assert rehearsal.operator is not None
    assert rehearsal.operator.alive


def says(metric: str, words: str) -> Holds:
    """Holds of a model whose canary's analysis has these words of a metric."""

    def holds(found: Json) -> bool:
        rows = found.get("status", {}).get("canary", {}).get("analysis", [])
        return any(row["metric"] == metric and words in row.get("message", "") for row in rows)

    return named(holds, f"{metric}: {words}")


def named_model(name: str, model: Json) -> Json:
    return {**model, "metadata": {"name": name}}
