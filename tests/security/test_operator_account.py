"""Line 20: what whoever has the operator's token may do with it is what the operator does."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import yaml
from canarium.core.names import make_digest

from testbed.addons.chart_files import GOLDEN
from testbed.addons.helm import NAMESPACE, render_chart
from testbed.programs.processes import ClusterError
from testbed.scenario.manifests import Json, rollout, simulated
from tests.security.estate import (
    POLICY_SECONDS,
    Estate,
    Place,
    is_taken,
    refusal,
    until,
)

pytestmark = [pytest.mark.timeout(600, func_only=True)]
SECONDS = 120.0
LABELS = {"app": "made-by-hand"}
POD: Json = {"containers": [{"name": "server", "image": "a"}]}
ONCE: Json = {**POD, "restartPolicy": "Never"}
WHERE = "no models where the cluster or the operator itself runs"
WHOSE = "the operator may write an object only if a ModelDeployment controls it"


def templated(pod: Json) -> Json:
    return {"metadata": {"labels": LABELS}, "spec": pod}


SPECS: dict[str, tuple[str, Json]] = {
    "Deployment": (
        "apps/v1",
        {"selector": {"matchLabels": LABELS}, "template": templated(POD)},
    ),
    "Service": ("v1", {"ports": [{"port": 80}]}),
    "Job": ("batch/v1", {"template": {"spec": ONCE}}),
    "PodDisruptionBudget": ("policy/v1", {"selector": {"matchLabels": LABELS}}),
    "HorizontalPodAutoscaler": (
        "autoscaling/v2",
        {
            "maxReplicas": 2,
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "a"},
        },
    ),
    "ModelRevision": (
        "canarium.dev/v1alpha1",
        {
            "modelDeployment": "iris",
            "source": {"server": {"image": "a"}},
            "template": "{}",
            "digest": make_digest("{}"),
            "rollout": {},
        },
    ),
}


def make(kind: str, *owners: Json, spec: Json | None = None) -> Json:
    version, usual = SPECS[kind]
    metadata = {"name": "made", "ownerReferences": list(owners)}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec or usual}


def own(place: Place, **fields: Any) -> Json:
    """An ownerReference to the ModelDeployment iris of this namespace."""
    uid = place.admin("get", "mdep", "iris", "-o", "jsonpath={.metadata.uid}")
    about = {"apiVersion": "canarium.dev/v1alpha1", "kind": "ModelDeployment", "name": "iris"}
    return {**about, "uid": uid, "controller": True, "blockOwnerDeletion": True, **fields}


def as_operator(estate: Estate, namespace: str, *words: str, body: Json | None = None) -> str:
    """kubectl with the operator's own token; raises ClusterError with what was said."""
    access = ["--kubeconfig", str(estate.operator_config), "-n", namespace]
    result = subprocess.run(
        [str(estate.cluster.kubectl_path), *access, *words],
        input=json.dumps(body) if body else None,
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode:
        raise ClusterError(result.stderr.strip())
    return result.stdout


def create(estate: Estate, namespace: str, body: Json) -> str:
    return as_operator(estate, namespace, "create", "--dry-run=server", "-f", "-", body=body)


def passes(attempt: Callable[[], object]) -> Callable[[], bool]:
    return lambda: is_taken(attempt)


@pytest.fixture
def kept(place: Place) -> Place:
    """A namespace with a ModelDeployment that nobody carries out."""
    place.operator.stop()
    place.apply(simulated("v1"))
    return place


@pytest.mark.parametrize("kind", SPECS)
def test_what_a_model_has_is_made_and_nothing_else(estate: Estate, kept: Place, kind: str) -> None:
    other = own(kept, apiVersion="apps/v1", kind="Deployment")
    near = own(kept, apiVersion="canarium.dev.example.com/v1", kind="ModelDeployment")

    create(estate, kept.namespace, make(kind, own(kept)))
    for owners in ((), (other,), (near,), (own(kept, controller=False),)):
        said = refusal(partial(create, estate, kept.namespace, make(kind, *owners)))
        assert WHOSE in said
    for namespace in ("kube-system", "kube-public", NAMESPACE):
        assert WHERE in refusal(partial(create, estate, namespace, make(kind, own(kept))))


def test_it_is_the_policy_that_keeps_the_account_from_it(estate: Estate, kept: Place) -> None:
    def everywhere() -> None:
        create(estate, kept.namespace, make("Deployment"))
        create(estate, "kube-system", make("Deployment"))
        as_operator(estate, "kube-system", "delete", "--dry-run=server", "service", "victim")

    victim = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "victim"}}
    made = json.dumps({**victim, "spec": {"ports": [{"port": 80}]}})
    estate.cluster.kubectl("-n", "kube-system", "apply", "-f", "-", stdin=made)
    try:
        with estate.without("operator"):
            until(passes(everywhere), POLICY_SECONDS, "a lifted policy")
        until(lambda: not is_taken(everywhere), POLICY_SECONDS, "a policy in force")
        words = ("delete", "--dry-run=server", "service", "victim")
        assert WHERE in refusal(lambda: as_operator(estate, "kube-system", *words))
    finally:
        estate.cluster.kubectl("-n", "kube-system", "delete", "service", "victim")


def test_what_somebody_else_made_is_neither_changed_nor_taken_over_nor_deleted(
    estate: Estate, kept: Place
) -> None:
    kept.apply(make("Deployment"))
    claimed = json.dumps({"metadata": {"ownerReferences": [own(kept)]}})
    scaled = json.dumps({"spec": {"replicas": 0}})
    dry = "--dry-run=server"
    for words in (
        ("patch", "deployment", "made", "--type=merge", dry, "-p", scaled),
        ("patch", "deployment", "made", "--type=merge", dry, "-p", claimed),
        ("delete", "deployment", "made", dry),
    ):
        said = refusal(partial(as_operator, estate, kept.namespace, *words))
        assert WHOSE in said

    kept.admin("patch", "deployment", "made", "--type=merge", "-p", claimed)
    for words in (
        ("patch", "deployment", "made", "--type=merge", dry, "-p", scaled),
        ("delete", "deployment", "made", dry),
    ):
        as_operator(estate, kept.namespace, *words)


SECURITY = {"name": "server", "image": "a"}
POWERFUL: dict[str, tuple[Json, str]] = {
    "hostPath": ({"volumes": [{"name": "v", "hostPath": {"path": "/"}}]}, "a hostPath volume"),
    "hostNetwork": ({"hostNetwork": True}, "a namespace of their node"),
    "hostPID": ({"hostPID": True}, "a namespace of their node"),
    "hostIPC": ({"hostIPC": True}, "a namespace of their node"),
    "privileged": (
        {"containers": [{**SECURITY, "securityContext": {"privileged": True}}]},
        "privilege",
    ),
    "capabilities": (
        {"containers": [{**SECURITY, "securityContext": {"capabilities": {"add": ["BPF"]}}}]},
        "privilege",
    ),
    "init": (
        {"initContainers": [{**SECURITY, "name": "i", "securityContext": {"privileged": True}}]},
        "privilege",
    ),
    "escalation": (
        {"containers": [{**SECURITY, "securityContext": {"allowPrivilegeEscalation": True}}]},
        "privilege",
    ),
}


def test_pods_with_power_over_a_node_are_refused_and_only_by_the_policy(
    estate: Estate, kept: Place
) -> None:
    bodies = []
    for fields, words in POWERFUL.values():
        spec = {**SPECS["Deployment"][1], "template": templated({**POD, **fields})}
        deployment = make("Deployment", own(kept), spec=spec)
        job = make("Job", own(kept), spec={"template": {"spec": {**ONCE, **fields}}})
        for body in (deployment, job):
            bodies.append(body)
            said = refusal(partial(create, estate, kept.namespace, body))
            assert "the operator may make no pods with" in said or "in a namespace" in said
            assert words in said

    with estate.without("operator-pods"):
        for body in bodies:
            attempt = passes(partial(create, estate, kept.namespace, body))
            until(attempt, POLICY_SECONDS, "a lifted policy")
    until(lambda: not attempt(), POLICY_SECONDS, "a policy in force")


def test_what_others_gave_a_deployment_keeps_the_operator_from_neither_scaling_nor_deleting_it(
    estate: Estate, kept: Place
) -> None:
    fields = POWERFUL["hostPath"][0] | {"hostNetwork": True}
    spec = {**SPECS["Deployment"][1], "template": templated({**POD, **fields})}
    kept.apply(make("Deployment", own(kept), spec=spec))
    dry = "--dry-run=server"

    def patch(change: Json) -> str:
        words = ("patch", "deployment", "made", "--type=merge", dry, "-p", json.dumps(change))
        return as_operator(estate, kept.namespace, *words)

    patch({"spec": {"replicas": 0}})
    as_operator(estate, kept.namespace, "delete", "deployment", "made", dry)
    more = {"name": "server", "image": "a", "securityContext": {"privileged": True}}
    said = refusal(lambda: patch({"spec": {"template": {"spec": {"containers": [more]}}}}))
    assert "the operator may make no pods with privilege" in said


def test_all_that_the_operator_does_goes_through(served: Place) -> None:
    """Each kind of what a model has is made, changed and deleted."""
    judged = {
        **rollout((50, "1s"), guard={"duration": "0s"}, revisionHistoryLimit=1),
        "analysis": {"metrics": [{"name": "smoke", "job": {"image": "a", "command": ["true"]}}]},
    }
    server = {"resources": {"requests": {"cpu": "10m"}}}
    scaling = {
        "minReplicas": 2,
        "maxReplicas": 3,
        "metrics": [{"name": "cpu", "type": "CPU", "target": "70%"}],
    }
    for version in ("v1", "v2", "v3"):
        body = simulated(version, scaling=scaling, rollout=judged)
        body["spec"]["server"] |= server
        served.write(body)
        served.scenario.wait(partial(serves, version), SECONDS)

    kinds = ("Deployment", "Service", "ModelRevision", "HorizontalPodAutoscaler")
    assert {kind for kind in kinds if not served.scenario.all_of(kind)} == set()
    assert served.scenario.all_of("PodDisruptionBudget")
    assert "ValidatingAdmissionPolicy" not in served.operator.log.read_text()


def serves(version: str, model: Json) -> bool:
    status = model.get("status") or {}
    stable = (status.get("stable") or {}).get("version")
    return (status.get("phase"), stable) == ("Healthy", version)


def test_a_model_where_the_operator_runs_is_told_to_go_elsewhere(
    estate: Estate, served: Place
) -> None:
    """Once, and at rest: no loop of writes that are refused."""
    here = ("-n", NAMESPACE)
    estate.cluster.kubectl(*here, "apply", "-f", "-", stdin=json.dumps(simulated("v1")))
    try:
        message = ("get", "mdep", "iris", "-o", "jsonpath={.status.message}")
        until(lambda: WHERE in estate.cluster.kubectl(*here, *message), SECONDS, WHERE)
        reason = ("get", "mdep", "iris", "-o", "jsonpath={.status.reason}")
        assert estate.cluster.kubectl(*here, *reason) == "AdmissionDenied"
    finally:
        estate.cluster.kubectl(*here, "delete", "mdep", "iris")


# --- as rendered


def find_policy(values: Json, name: str) -> Json:
    (found,) = (
        item["spec"]
        for item in render_chart(values)
        if (item["kind"], item["metadata"]["name"]) == ("ValidatingAdmissionPolicy", name)
    )
    return dict(found)


def test_all_that_a_role_lets_it_write_in_a_namespace_is_in_the_policy() -> None:
    values = yaml.safe_load((GOLDEN / "everything" / "values.yaml").read_text())
    values = {**values, "userRoles": {"create": False}}
    written = {
        (group, resource)
        for item in render_chart(values)
        if item["kind"] == "ClusterRole"
        for rule in item["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        if {"create", "update", "patch", "delete"} & set(rule["verbs"])
    }
    free = {
        (group, resource)
        for group, resource in written
        if "/" in resource or resource == "events" or group.endswith("ation.k8s.io")
    }
    rules = find_policy(values, "canarium-operator")["matchConstraints"]["resourceRules"]
    assert written - free == {
        (group, resource)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }
    assert {"/".join(pair) for pair in free if "/" not in pair[1]} == {
        "authentication.k8s.io/tokenreviews",
        "authorization.k8s.io/subjectaccessreviews",
        "events.k8s.io/events",
    }


@pytest.mark.parametrize(
    ("watched", "expression"),
    [
        ([], "!request.namespace.startsWith('kube-') && request.namespace != 'canarium'"),
        (
            ["risk"],
            "!request.namespace.startsWith('kube-') && request.namespace != 'canarium'",
        ),
        (["risk", "canarium"], "!request.namespace.startsWith('kube-')"),
    ],
)
def test_its_own_namespace_is_served_where_a_value_names_it(
    watched: list[str], expression: str
) -> None:
    name = "canarium-canarium-operator" if watched else "canarium-operator"
    found = find_policy({"watch": {"namespaces": watched}}, name)
    assert found["validations"][0]["expression"] == expression
