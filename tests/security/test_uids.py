"""Line 17, behind the policies: what has everything of ours but the uid is not taken for ours.

The policy that keeps others from making such objects is taken away for these tests: so it is where
`guardPods` is off, and for whoever it leaves out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from testbed.scenario.manifests import Json, rollout, simulated
from testbed.scenario.scenario import named, phase
from tests.security.estate import TENANT, Estate, Place, bind, until

pytestmark = [pytest.mark.timeout(600, func_only=True)]
SECONDS = 120.0
WRITES = {"apiGroups": ["apps"], "resources": ["replicasets"], "verbs": ["patch"]}
TAINT = "models"
TOLERATES: Json = {"tolerations": [{"key": TAINT, "operator": "Exists"}]}
"What the pods of models and of E put up with here. A Job that judges has no tolerations: it waits."
FORGED = "registry.example.com/forged:1"
EXTRA: Json = {"name": "extra", "image": FORGED}
CHOSEN = ("replicas", "selector", "template")


@pytest.fixture
def editor(served: Place) -> Place:
    """The tenant, who has Kubernetes' own role `edit` in the namespace besides."""
    served.apply(bind("edit", TENANT, "ClusterRole"))
    served.estate.wait_for_right(TENANT, WRITES, served.namespace)
    return served


@contextmanager
def tainted(place: Place) -> Iterator[None]:
    """Have no node take a pod that doesn't put up with the taint, until the end of the block."""
    place.admin("taint", "nodes", "--all", f"{TAINT}=only:NoSchedule", "--overwrite")
    try:
        yield
    finally:
        place.admin("taint", "nodes", "--all", f"{TAINT}-")


def model_of(place: Place) -> Json:
    found: Json = json.loads(place.admin("get", "mdep", "iris", "-o", "json"))
    return found


def list_raw(place: Place, kind: str) -> list[Json]:
    found: list[Json] = json.loads(place.admin("get", kind, "-o", "json"))["items"]
    return found


def uid_of(place: Place, kind: str, name: str) -> str:
    return place.admin("get", kind, name, "--ignore-not-found", "-o", "jsonpath={.metadata.uid}")


def copy_of(body: Json, spec: Json, *, owner: Json) -> Json:
    """Another object under the same name, with the labels of the first and an owner copied."""
    about = {name: body["metadata"][name] for name in ("name", "labels")}
    metadata = {**about, "ownerReferences": [owner]}
    return {
        "apiVersion": body["apiVersion"],
        "kind": body["kind"],
        "metadata": metadata,
        "spec": spec,
    }


def make_as_tenant(place: Place, body: Json) -> str:
    """Have E make it; its uid."""
    words = ("create", "-f", "-", "-o", "jsonpath={.metadata.uid}")
    return place.tenant(*words, stdin=json.dumps(body))


def runs_forged(place: Place) -> bool:
    pods = place.scenario.all_of("Pod")
    return any(each["image"] == FORGED for pod in pods for each in pod["spec"]["containers"])


def serves_v2(model: Json) -> bool:
    status = model.get("status") or {}
    return (status.get("phase"), (status.get("stable") or {}).get("version")) == ("Healthy", "v2")


def test_a_deployment_of_es_with_everything_of_the_next_revisions_is_made_anew(
    estate: Estate, editor: Place
) -> None:
    """Labels, selector, template, owner: all that the revision had when it was tried before."""
    editor.write(simulated("v2"))
    editor.scenario.wait(phase("Healthy"), SECONDS)
    (deployment,) = list_raw(editor, "deployments")
    name = deployment["metadata"]["name"]
    editor.tenant("delete", "mdep", "iris")
    for kind in ("Deployment", "ModelRevision", "Service"):
        editor.scenario.wait_gone(kind, name, SECONDS)
    editor.write(simulated("v1"))
    editor.scenario.wait(phase("Healthy"), SECONDS)
    (stable,) = list_raw(editor, "deployments")
    (owner,) = stable["metadata"]["ownerReferences"]
    spec = {field: deployment["spec"][field] for field in CHOSEN}
    spec["template"]["spec"]["containers"].append(EXTRA)
    editor.operator.stop()  # at rest it would take it away at once
    with estate.without("workloads"):
        theirs = make_as_tenant(editor, copy_of(deployment, spec, owner=owner))
    until(lambda: runs_forged(editor), SECONDS, "what E made")
    editor.write(simulated("v2"))

    editor.operator.start()
    editor.scenario.wait(named(serves_v2, "v2 served"), SECONDS)

    found = editor.scenario.get("Deployment", name)
    assert found is not None
    assert found["metadata"]["uid"] != theirs
    assert [each["name"] for each in found["spec"]["template"]["spec"]["containers"]] == ["server"]
    made = model_of(editor)["status"]["made"]
    assert made[f"Deployment/{name}"] == found["metadata"]["uid"]
    assert theirs not in made.values()
    until(lambda: not runs_forged(editor), SECONDS, "an end of what E made")


def test_what_e_adds_to_a_deployment_is_named_and_blamed_on_nobody(editor: Place) -> None:
    """Which no policy forbids: that Deployment's template is E's to add to."""
    editor.write(simulated("v1"))
    editor.scenario.wait(phase("Healthy"), SECONDS)
    (deployment,) = list_raw(editor, "deployments")
    name = deployment["metadata"]["name"]
    more = {"containers": [EXTRA], "tolerations": [{"key": "theirs", "operator": "Exists"}]}
    change = json.dumps({"spec": {"template": {"spec": more}}})
    editor.tenant("patch", "deployment", name, "--type=strategic", "-p", change)

    editor.scenario.wait(named(is_told, "what E added"), SECONDS)
    status = model_of(editor)["status"]
    (found,) = (each for each in status["conditions"] if each["type"] == "Unaltered")
    for field in ("containers[extra]", "tolerations"):
        assert f"{field} (by kubectl-patch)" in found["message"]
    assert (status["phase"], status.get("rejected", [])) == ("Healthy", [])
    editor.tenant("rollout", "restart", "deployment", name)
    editor.scenario.wait(phase("Healthy"), SECONDS)


def is_told(model: Json) -> bool:
    found = {each["type"]: each["status"] for each in model["status"]["conditions"]}
    return (found.get("Unaltered"), found["Ready"]) == ("False", "True")


PASSES: Json = {"backoffLimit": 0}
FAILS: Json = {"backoffLimit": 0, "activeDeadlineSeconds": 1}


@pytest.mark.parametrize(
    ("terms", "puts_up", "outcome"),
    [(PASSES, TOLERATES, "Complete"), (FAILS, {}, "Failed")],
    ids=["a false pass", "a false fail"],
)
def test_a_job_of_es_says_nothing_of_the_canary(
    estate: Estate, editor: Place, terms: Json, puts_up: Json, outcome: str
) -> None:
    """It has ended under the name of the step's Job when the operator comes back."""
    smoke = {"name": "smoke", "job": {"image": "a", "command": ["true"], "timeout": "30m"}}
    steps = {**rollout((50, "1h"), guard={"duration": "0s"}), "analysis": {"metrics": [smoke]}}
    given: dict[str, Any] = {"rollout": steps, "pod": TOLERATES}
    with tainted(editor):
        editor.write(simulated("v1", **given))
        editor.scenario.wait(phase("Healthy"), SECONDS)
        editor.write(simulated("v2", **given))
        until(lambda: bool(list_raw(editor, "jobs")), SECONDS, "the step's Job")
        editor.scenario.wait(named(is_on_the_account, "a noted Job"), SECONDS)
        editor.operator.stop()
        (job,) = list_raw(editor, "jobs")
        name = job["metadata"]["name"]
        editor.tenant("delete", "job", name)
        template = job["spec"]["template"]["metadata"]["labels"]
        pod = {"containers": [EXTRA], "restartPolicy": "Never", **puts_up}
        spec = {
            **terms,
            "manualSelector": True,
            "selector": job["spec"]["selector"],
            "template": {"metadata": {"labels": template}, "spec": pod},
        }
        (owner,) = job["metadata"]["ownerReferences"]
        with estate.without("workloads"):
            theirs = make_as_tenant(editor, copy_of(job, spec, owner=owner))
        words = ("wait", f"--for=condition={outcome}", f"job/{name}", "--timeout=90s")
        editor.admin(*words)

        editor.operator.start()
        until(lambda: uid_of(editor, "job", name) not in ("", theirs), SECONDS, "a Job of ours")
        ours = uid_of(editor, "job", name)
        is_noted = named(lambda model: ours in model["status"]["made"].values(), "its uid noted")
        editor.scenario.wait(is_noted, SECONDS)

        status = model_of(editor)["status"]
        assert (status["phase"], status.get("rejected", [])) == ("Progressing", [])
        (row,) = status["canary"]["analysis"]
        assert (row["verdict"], row["reason"]) == ("Inconclusive", "JobRunning")
    editor.scenario.wait(named(has_passed, "what its own Job says"), SECONDS)


def is_on_the_account(model: Json) -> bool:
    return any(name.startswith("Job/") for name in model["status"].get("made", {}))


def has_passed(model: Json) -> bool:
    rows = (model["status"].get("canary") or {}).get("analysis") or ()
    return [row["verdict"] for row in rows] == ["Pass"]
