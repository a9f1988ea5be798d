"""Line 17: what looks like a model's pod is one: Kubernetes and the operator alone make such.

E has Kubernetes' own role `edit` in the namespace, so pods, ReplicaSets, Deployments and Jobs are
E's to write; those with the labels of a model are not.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from testbed.scenario.manifests import Json, rollout, simulated
from testbed.scenario.scenario import named, phase
from tests.security.estate import TENANT, Estate, Place, bind, is_taken, refusal, until

pytestmark = [pytest.mark.timeout(600, func_only=True)]
SECONDS = 120.0
WRITES = {"apiGroups": ["apps"], "resources": ["replicasets"], "verbs": ["patch"]}
MODEL = "canarium.dev/model"
REVISION = "canarium.dev/revision"
JUDGED = "canarium.dev/judged-model"
JOB_NAME = "batch.kubernetes.io/job-name"
SYSTEM = "system:serviceaccount:kube-system:"
MANAGER = "system:kube-controller-manager"
DRY = "--dry-run=server"
POD: Json = {"containers": [{"name": "server", "image": "registry.example.com/forged:1"}]}
ONCE: Json = {**POD, "restartPolicy": "Never"}
FOREIGN = {"app": "foreign"}

OF_A_POD = "pods with the label canarium.dev/model are judged and get the model's requests"
OF_A_JOBS_POD = "pods with the label canarium.dev/judged-model judge a model"
POD_MARKS = "the labels by which Kubernetes and Canarium know a pod of a model"
IMAGES = "a pod of a model runs the images of its revision"
MADE = "Deployments and Jobs with the labels of a model, on them or on their pods, are the"
SETS = "ReplicaSets with the labels of a model, on them or on their pods, are made by Kubernetes"
MARKS = "the labels by which Kubernetes and Canarium know what is a model's"
SET_TEMPLATE = "a model's ReplicaSet makes the pods that its Deployment says"


@dataclass(frozen=True)
class Running:
    """A model that serves: its Deployment, ReplicaSet and one of its pods."""

    place: Place
    deployment: Json
    replica_set: Json
    pod: Json

    @property
    def labels(self) -> dict[str, str]:
        """What the selector of its ReplicaSet asks for."""
        found: dict[str, str] = self.replica_set["spec"]["selector"]["matchLabels"]
        return dict(found)

    def patch(self, kind: str, change: Any, how: str = "merge") -> str:
        """A change of E's of the model's object of this kind."""
        name = {"pod": self.pod, "replicaset": self.replica_set, "deployment": self.deployment}
        target = (kind, name[kind]["metadata"]["name"])
        return self.place.tenant("patch", *target, f"--type={how}", DRY, "-p", json.dumps(change))

    def create(self, body: Json) -> str:
        """An object that E makes."""
        return self.place.tenant("create", DRY, "-f", "-", stdin=json.dumps(body))


@pytest.fixture
def editor(served: Place) -> Place:
    """The tenant as E."""
    served.apply(bind("edit", TENANT, "ClusterRole"))
    served.estate.wait_for_right(TENANT, WRITES, served.namespace)
    return served


@pytest.fixture
def running(editor: Place) -> Running:
    editor.write(simulated("v1"))
    editor.scenario.wait(phase("Healthy"), SECONDS)
    (deployment,) = editor.scenario.all_of("Deployment")
    (replica_set,) = list_raw(editor, "replicasets")
    pods = editor.scenario.all_of("Pod")
    return Running(editor, deployment, replica_set, pods[0])


def list_raw(place: Place, kind: str) -> list[Json]:
    found: list[Json] = json.loads(place.admin("get", kind, "-o", "json"))["items"]
    return found


def make(kind: str, labels: Mapping[str, str], spec: Json, *owners: Json) -> Json:
    version = {"Pod": "v1", "Job": "batch/v1"}.get(kind, "apps/v1")
    metadata = {"name": "forged", "labels": dict(labels), "ownerReferences": list(owners)}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec}


def templated(labels: Mapping[str, str], pod: Json = POD) -> Json:
    """The spec of what makes pods with these labels."""
    selector = {"matchLabels": dict(labels)}
    return {"selector": selector, "template": {"metadata": {"labels": dict(labels)}, "spec": pod}}


def own(owner: Json, kind: str, version: str = "apps/v1") -> Json:
    """An ownerReference as its controller would write it."""
    about = {name: owner["metadata"][name] for name in ("name", "uid")}
    return {"apiVersion": version, "kind": kind, **about, "controller": True}


# --- what E tries


def forge_pods(run: Running) -> dict[str, tuple[Callable[[], object], str]]:
    marks = {MODEL: "iris", REVISION: run.labels[REVISION]}
    other = json.dumps({"metadata": {"labels": marks}})
    relabel = ("patch", "pod", "theirs", "--type=merge", DRY, "-p", other)
    image = [{"op": "replace", "path": "/spec/containers/0/image", "value": "a/good:1"}]
    return {
        "an orphan that the ReplicaSet would adopt": (
            partial(run.create, make("Pod", run.labels, POD)),
            OF_A_POD,
        ),
        "with the owner copied": (
            partial(run.create, make("Pod", run.labels, POD, own(run.replica_set, "ReplicaSet"))),
            OF_A_POD,
        ),
        "for the model's Service alone": (
            partial(run.create, make("Pod", {MODEL: "iris"}, POD)),
            OF_A_POD,
        ),
        "a foreign pod becomes ours": (partial(run.place.tenant, *relabel), POD_MARKS),
        "a foreign pod's labels are replaced": (
            partial(run.place.tenant, "label", "pod", "theirs", DRY, f"{MODEL}=iris"),
            POD_MARKS,
        ),
        "ours becomes another revision's": (
            partial(run.patch, "pod", {"metadata": {"labels": {REVISION: "0123456789"}}}),
            POD_MARKS,
        ),
        "ours becomes nobody's": (
            partial(run.patch, "pod", {"metadata": {"labels": {MODEL: None, REVISION: None}}}),
            POD_MARKS,
        ),
        "ours leaves its ReplicaSet": (
            partial(run.patch, "pod", {"metadata": {"labels": {"pod-template-hash": "x"}}}),
            POD_MARKS,
        ),
        "ours loses its owner": (
            partial(run.patch, "pod", {"metadata": {"ownerReferences": None}}),
            POD_MARKS,
        ),
        "ours runs another image": (partial(run.patch, "pod", image, "json"), IMAGES),
    }


def forge_workloads(run: Running) -> dict[str, tuple[Callable[[], object], str]]:
    owner = copy.deepcopy(run.deployment["metadata"]["ownerReferences"][0])
    marks = {MODEL: "iris", REVISION: "0123456789"}
    hidden = {**FOREIGN, MODEL: "iris"}
    judging = {"template": {"metadata": {"labels": {JUDGED: "iris"}}, "spec": ONCE}}
    image = [{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "a"}]
    return {
        "a ReplicaSet": (partial(run.create, make("ReplicaSet", marks, templated(marks))), SETS),
        "a ReplicaSet with its owner copied": (
            partial(
                run.create,
                make("ReplicaSet", marks, templated(marks), own(run.deployment, "Deployment")),
            ),
            SETS,
        ),
        "a ReplicaSet without labels, for pods with ours": (
            partial(run.create, make("ReplicaSet", {}, templated(hidden))),
            SETS,
        ),
        "a Deployment of the next revision, with its owner copied": (
            partial(run.create, make("Deployment", marks, templated(marks), owner)),
            MADE,
        ),
        "a Deployment without labels, for pods with ours": (
            partial(run.create, make("Deployment", {}, templated(hidden))),
            MADE,
        ),
        "a Job with its owner copied": (
            partial(run.create, make("Job", marks, {"template": {"spec": ONCE}}, owner)),
            MADE,
        ),
        "a Job without labels, for pods that judge": (
            partial(run.create, make("Job", {}, judging)),
            MADE,
        ),
        "our ReplicaSet has another template": (
            partial(run.patch, "replicaset", image, "json"),
            SET_TEMPLATE,
        ),
        "our ReplicaSet has other labels": (
            partial(run.patch, "replicaset", {"metadata": {"labels": {REVISION: "x"}}}),
            MARKS,
        ),
        "our ReplicaSet loses its owner": (
            partial(run.patch, "replicaset", {"metadata": {"ownerReferences": None}}),
            MARKS,
        ),
        "our Deployment loses its owner": (
            partial(run.patch, "deployment", {"metadata": {"ownerReferences": None}}),
            MARKS,
        ),
        "our Deployment has other labels": (
            partial(run.patch, "deployment", {"metadata": {"labels": {MODEL: None}}}),
            MARKS,
        ),
    }


@pytest.mark.parametrize(
    ("policy", "forge"), [("pods", forge_pods), ("workloads", forge_workloads)]
)
def test_what_looks_like_a_models_is_not_others_to_make_and_only_by_the_policy(
    estate: Estate,
    running: Running,
    policy: str,
    forge: Callable[[Running], dict[str, tuple[Callable[[], object], str]]],
) -> None:
    foreign = make("Pod", FOREIGN, POD) | {"metadata": {"name": "theirs", "labels": FOREIGN}}
    running.place.tenant("create", "-f", "-", stdin=json.dumps(foreign))
    attempts = forge(running)

    for what, (attempt, words) in attempts.items():
        assert words in refusal(attempt), what
    with estate.without(policy):
        assert {what for what, (attempt, _) in attempts.items() if not is_taken(attempt)} == set()


def test_the_pod_that_a_job_would_adopt_is_refused(estate: Estate, editor: Place) -> None:
    """By the selector that Kubernetes makes itself it would be any pod with the Job's uid."""
    smoke = {"name": "smoke", "job": {"image": "a", "command": ["true"]}}
    steps = {**rollout((50, "1h"), guard={"duration": "0s"}), "analysis": {"metrics": [smoke]}}
    editor.write(simulated("v1", rollout=steps))
    editor.scenario.wait(phase("Healthy"), SECONDS)
    editor.write(simulated("v2", rollout=steps))
    until(lambda: bool(list_raw(editor, "jobs")), SECONDS, "a Job")
    (job,) = list_raw(editor, "jobs")
    name = job["metadata"]["name"]

    selector = job["spec"]["selector"]
    assert selector == {"matchLabels": {JUDGED: "iris", JOB_NAME: name}}
    body = make("Pod", selector["matchLabels"], ONCE)
    owned = make("Pod", selector["matchLabels"], ONCE, own(job, "Job", "batch/v1"))
    attempts = [
        partial(editor.tenant, "create", DRY, "-f", "-", stdin=json.dumps(each))
        for each in (body, owned)
    ]
    for attempt in attempts:
        assert OF_A_JOBS_POD in refusal(attempt)
    with estate.without("job-pods"):
        for attempt in attempts:
            attempt()

    def is_judged(found: Json) -> bool:
        rows = (found["status"].get("canary") or {}).get("analysis") or ()
        return [row["verdict"] for row in rows] == ["Pass"]

    editor.scenario.wait(named(is_judged, "what its own Job says"), SECONDS)


def test_a_deployment_made_beforehand_under_a_revisions_name_is_made_anew(editor: Place) -> None:
    """Without labels, which the policy guards, and with an owner copied from what is there."""
    editor.write(simulated("v2"))
    editor.scenario.wait(phase("Healthy"), SECONDS)
    (deployment,) = editor.scenario.all_of("Deployment")
    name = deployment["metadata"]["name"]
    editor.tenant("delete", "mdep", "iris")
    for kind in ("Deployment", "ModelRevision", "Service"):
        editor.scenario.wait_gone(kind, name, SECONDS)
    editor.write(simulated("v1"))
    editor.scenario.wait(phase("Healthy"), SECONDS)
    (stable,) = editor.scenario.all_of("Deployment")
    forged = make("Deployment", {}, templated(FOREIGN), *stable["metadata"]["ownerReferences"])
    forged["metadata"]["name"] = name
    editor.tenant("create", "-f", "-", stdin=json.dumps(forged))
    until(lambda: is_running(editor, "forged"), SECONDS, "what E made")

    editor.write(simulated("v2"))
    editor.scenario.wait(named(is_stable_v2, "v2 served"), SECONDS)

    found = editor.scenario.get("Deployment", name)
    assert found is not None
    (container,) = found["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "registry.example.com/iris:v2"
    assert found["spec"]["selector"] == deployment["spec"]["selector"]
    until(lambda: not is_running(editor, "forged"), SECONDS, "an end of what E made")


def is_running(place: Place, image: str) -> bool:
    pods = place.scenario.all_of("Pod")
    return any(f"/{image}:" in pod["spec"]["containers"][0]["image"] for pod in pods)


def is_stable_v2(model: Json) -> bool:
    status = model.get("status") or {}
    return (status.get("phase"), (status.get("stable") or {}).get("version")) == ("Healthy", "v2")


# --- what Kubernetes itself does


def test_each_controller_makes_what_is_its_own_under_the_names_that_follow(
    running: Running,
) -> None:
    revision = running.labels[REVISION]
    of_a_set = make("Pod", running.labels, POD, own(running.replica_set, "ReplicaSet"))
    of_another = copy.deepcopy(of_a_set)
    of_another["metadata"]["ownerReferences"][0]["name"] = f"irises-{revision}-x"
    a_set = make(
        "ReplicaSet",
        running.labels,
        templated(running.labels),
        own(running.deployment, "Deployment"),
    )
    another_set = copy.deepcopy(a_set)
    another_set["metadata"]["ownerReferences"][0]["name"] = f"iris-{revision}x"
    job = {"metadata": {"name": "iris-smoke-0123456789", "uid": "1"}}
    judges = {JUDGED: "iris", JOB_NAME: "iris-smoke-0123456789"}
    of_a_job = make("Pod", judges, ONCE, own(job, "Job", "batch/v1"))
    of_another_job = copy.deepcopy(of_a_job)
    of_another_job["metadata"]["ownerReferences"][0]["name"] = "iris-smoke"
    everything = {
        "apiGroups": ["", "apps"],
        "resources": ["pods", "replicasets"],
        "verbs": ["create"],
    }
    running.place.grant(MANAGER, everything)

    for user, body, words in (
        (f"{SYSTEM}replicaset-controller", of_a_set, ""),
        (f"{SYSTEM}replicaset-controller", of_another, OF_A_POD),
        (f"{SYSTEM}replicaset-controller", of_a_job, OF_A_JOBS_POD),
        (f"{SYSTEM}daemon-set-controller", of_a_set, OF_A_POD),
        (f"{SYSTEM}job-controller", of_a_set, OF_A_POD),
        (f"{SYSTEM}job-controller", of_a_job, ""),
        (f"{SYSTEM}job-controller", of_another_job, OF_A_JOBS_POD),
        (f"{SYSTEM}deployment-controller", a_set, ""),
        (f"{SYSTEM}deployment-controller", another_set, SETS),
        (MANAGER, of_a_set, ""),
        (MANAGER, of_another, OF_A_POD),
        (MANAGER, of_a_job, ""),
        (MANAGER, a_set, ""),
        (MANAGER, another_set, SETS),
    ):
        attempt = partial(
            running.place.admin, f"--as={user}", "create", DRY, "-f", "-", stdin=json.dumps(body)
        )
        if words:
            assert words in refusal(attempt), user
        else:
            attempt()


def test_a_deployment_that_was_orphaned_away_is_made_anew_and_has_its_pods_again(
    running: Running,
) -> None:
    """The garbage collector takes owners away, the Deployment's controller gives them."""
    place, name = running.place, running.deployment["metadata"]["name"]
    before = running.deployment["metadata"]["uid"]

    place.tenant("delete", "deployment", name, "--cascade=orphan", "--wait=false")

    def is_new(found: Json) -> bool:
        return bool(found["metadata"]["uid"] != before)

    made = place.scenario.wait_for("Deployment", name, named(is_new, "a new one"), SECONDS)

    def is_adopted() -> bool:
        (found,) = (
            each
            for each in list_raw(place, "replicasets")
            if each["metadata"]["uid"] == running.replica_set["metadata"]["uid"]
        )
        owners = found["metadata"].get("ownerReferences", [])
        return [owner["uid"] for owner in owners] == [made["metadata"]["uid"]]

    until(is_adopted, SECONDS, "the ReplicaSet's adoption")
    place.scenario.wait(phase("Healthy"), SECONDS)


# --- what people and their tools do


def test_scaling_restarts_annotations_eviction_and_debugging_are_as_free_as_ever(
    running: Running,
) -> None:
    place = running.place
    pod, replica_set, deployment = (
        each["metadata"]["name"] for each in (running.pod, running.replica_set, running.deployment)
    )
    debugging = {
        "apiGroups": [""],
        "resources": ["pods/status", "pods/ephemeralcontainers"],
        "verbs": ["get", "patch"],
    }
    place.grant(TENANT, debugging)
    note = "example.com/note=mine"
    for words in (
        ("scale", "replicaset", replica_set, "--replicas=1", DRY),
        ("scale", "deployment", deployment, "--replicas=1", DRY),
        ("patch", "replicaset", replica_set, DRY, "-p", '{"spec": {"replicas": 1}}'),
        ("annotate", "pod", pod, note, DRY),
        ("annotate", "replicaset", replica_set, note, DRY),
        ("annotate", "deployment", deployment, note, DRY),
        ("label", "pod", pod, note, DRY),
        ("label", "replicaset", replica_set, note, DRY),
        ("delete", "pod", pod, DRY),
        ("delete", "replicaset", replica_set, DRY),
        ("debug", pod, "--image=registry.example.com/debug:1", "--attach=false"),
    ):
        place.tenant(*words)
    told = ("patch", "pod", pod, "--subresource=status", DRY, "-p")
    place.tenant(*told, '{"status": {"message": "away"}}')
    about = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod}}
    evict = json.dumps({**about, "deleteOptions": {"dryRun": ["All"]}})
    path = f"/api/v1/namespaces/{place.namespace}/pods/{pod}/eviction"
    # The budget's controller counts pods later than they are ready.
    evicts = partial(place.tenant, "create", "--raw", path, "-f", "-", stdin=evict)
    until(lambda: is_taken(evicts), SECONDS, "an eviction")

    place.tenant("rollout", "restart", f"deployment/{deployment}")
    place.tenant("rollout", "status", f"deployment/{deployment}", f"--timeout={SECONDS:g}s")


def test_others_pods_and_those_that_an_administrator_makes_are_no_matter_of_it(
    editor: Place,
) -> None:
    """A backup's tool is named in `trustedUsers`, as this admin is by a group."""
    for kind, spec in (
        ("Pod", POD),
        ("ReplicaSet", templated(FOREIGN)),
        ("Deployment", templated(FOREIGN)),
        ("Job", {"template": {"spec": ONCE}}),
    ):
        editor.tenant("create", DRY, "-f", "-", stdin=json.dumps(make(kind, FOREIGN, spec)))
        labels = {MODEL: "iris", REVISION: "0123456789"}
        made = make(kind, labels, templated(labels) if kind.startswith(("Re", "De")) else spec)
        editor.admin("create", DRY, "-f", "-", stdin=json.dumps(made))
