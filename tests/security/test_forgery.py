"""Lines 6 and 13: status and ModelRevisions are the operator's, and a forged one gives no pods."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable
from functools import partial

import pytest
from canarium.core.names import make_digest

from testbed.scenario.manifests import Json, simulated
from testbed.scenario.scenario import condition, phase
from tests.security.estate import (
    OPERATOR,
    POLICY_SECONDS,
    TENANT,
    Estate,
    Place,
    is_taken,
    refusal,
    until,
)

pytestmark = [pytest.mark.timeout(600, func_only=True)]
SECONDS = 120.0
CURE = (
    f"only the operator ({OPERATOR}) writes it: change spec of the ModelDeployment, or annotate it"
    " with a command"
)
IDENTITY = f"spec, labels and ownerReferences of a ModelRevision: {CURE}"
HEALTHY = '{"status": {"phase": "Healthy"}}'
WRITING = {
    "apiGroups": ["canarium.dev"],
    "resources": ["modelrevisions", "modeldeployments/status", "modelrevisions/status"],
    "verbs": ["create", "update", "patch"],
}


def forge_status(place: Place) -> str:
    words = ("patch", "mdep", "iris", "--subresource=status", "--type=merge", "-p", HEALTHY)
    return place.tenant(*words)


def revision(place: Place, name: str = "iris-0123456789") -> Json:
    """A ModelRevision as right as anybody can make it from what is to be seen."""
    model = place.scenario.get("ModelDeployment", "iris")
    assert model is not None
    owner = {
        "apiVersion": "canarium.dev/v1alpha1",
        "kind": "ModelDeployment",
        "name": "iris",
        "uid": model["metadata"]["uid"],
        "controller": True,
    }
    labels = {"canarium.dev/model": "iris", "canarium.dev/revision": name.removeprefix("iris-")}
    container = {"name": "server", "image": "registry.example.com/forged:1"}
    spec = {"containers": [container], "hostname": "forged"}
    template = json.dumps({"metadata": {"labels": labels}, "spec": spec})
    return {
        "apiVersion": "canarium.dev/v1alpha1",
        "kind": "ModelRevision",
        "metadata": {"name": name, "labels": labels, "ownerReferences": [owner]},
        "spec": {
            "modelDeployment": "iris",
            "source": {"server": {"image": "registry.example.com/forged:1"}},
            "template": template,
            "digest": make_digest(template),
            "rollout": {},
        },
    }


def forge_revision(place: Place) -> Json:
    return place.write(revision(place), "--dry-run=server")


def test_a_tenant_may_write_neither_by_the_charts_roles(place: Place) -> None:
    place.write(simulated("v1"))
    for kind, attempt in (("status", forge_status), ("revision", forge_revision)):
        said = refusal(partial(attempt, place))
        assert f'User "{TENANT}" cannot' in said, kind


def test_a_status_that_comes_with_the_spec_is_thrown_away(place: Place) -> None:
    """The other half: a kind whose status is no subresource keeps it."""
    forged = {"phase": "Healthy", "replicas": 7}
    body = simulated("v1") | {"status": forged}
    assert place.create_without_guards(body)["status"] == forged
    assert place.write(body)["status"] == {"observedGeneration": -1}  # what the schema fills in


def test_who_was_given_the_right_all_the_same_is_stopped_by_the_policies_and_only_by_them(
    estate: Estate, place: Place
) -> None:
    place.write(simulated("v1"))
    place.grant(TENANT, WRITING)
    for policy, attempt, words in (
        ("status", forge_status, f"status: {CURE}"),
        ("revisions", forge_revision, f"a ModelRevision is the record of what was decided: {CURE}"),
    ):
        forge = partial(attempt, place)
        until(partial(says, forge, words), POLICY_SECONDS, words)
        with estate.without(policy):
            until(partial(is_taken, forge), POLICY_SECONDS, "a lifted policy")


def says(attempt: Callable[[], object], words: str) -> bool:
    """Whether an attempt is refused in these words; RBAC takes a moment to hear of a new Role."""
    return not is_taken(attempt) and words in refusal(attempt)


def test_a_record_of_the_operators_cannot_be_made_anothers(served: Place) -> None:
    served.write(simulated("v1"))
    served.scenario.wait(phase("Healthy"), SECONDS)
    served.grant(TENANT, WRITING)
    (record,) = served.scenario.all_of("ModelRevision")
    name = record["metadata"]["name"]

    def patch(*body: Json) -> str:
        return served.tenant(
            "patch", "modelrevision", name, "--type=json", "-p", json.dumps(list(body))
        )

    until(partial(is_taken, partial(patch, NOTE)), POLICY_SECONDS, "the right to patch")
    for change, words in (
        ({"op": "add", "path": "/metadata/labels/x", "value": "y"}, IDENTITY),
        ({"op": "remove", "path": "/metadata/ownerReferences"}, IDENTITY),
        ({"op": "replace", "path": "/spec/digest", "value": "0" * 64}, "cannot be changed"),
    ):
        assert words in refusal(partial(patch, change))


NOTE = {"op": "add", "path": "/metadata/annotations", "value": {"note": "mine"}}
"What a person may write of a record: nothing is decided by it."


FORGERIES = ("right", "digest", "owner", "name")


def spoil(found: Json, how: str) -> Json:
    """The same with one thing wrong, as who doesn't know it would have it."""
    forged = copy.deepcopy(found)
    if how == "digest":
        forged["spec"]["digest"] = "0" * 64
    elif how == "owner":
        forged["metadata"]["ownerReferences"][0]["uid"] = "11111111-1111-4111-8111-111111111111"
    elif how == "name":
        forged["metadata"]["name"] = "other-0123456789"
    return forged


@pytest.mark.parametrize("how", FORGERIES)
def test_a_forged_record_gets_no_pods_not_even_by_a_command(served: Place, how: str) -> None:
    """Written by an admin who is exempt, and asked for by name and by a spec that says the same."""
    served.write(simulated("v1"))
    before = served.scenario.wait(phase("Healthy"), SECONDS)
    forged = spoil(revision(served), how)
    served.apply(forged)
    served.tenant("annotate", "mdep", "iris", "canarium.dev/rollback=0123456789@1")
    served.scenario.wait(lambda m: "rollback" in m["status"].get("ignoredCommands", {}), SECONDS)
    wanted = simulated("v1", server=forged["spec"]["source"]["server"], model={})
    wanted["spec"].pop("model")
    served.write(wanted)

    after = served.scenario.wait(phase("Healthy"), SECONDS)

    assert after["status"]["stable"]["revision"] not in (
        "0123456789",
        before["status"]["stable"]["revision"],
    )
    for deployment in served.scenario.all_of("Deployment"):
        assert "hostname" not in deployment["spec"]["template"]["spec"]
        assert deployment["metadata"]["name"] != forged["metadata"]["name"]


def test_the_same_record_is_rendered_once_status_names_it(served: Place) -> None:
    """The other half: nothing but status is what keeps it from being rendered."""
    served.write(simulated("v1"))
    healthy = served.scenario.wait(phase("Healthy"), SECONDS)
    served.operator.stop()
    forged = revision(served)
    served.apply(forged)
    stable = healthy["status"]["stable"] | {
        "revision": "0123456789",
        "digest": forged["spec"]["digest"],
    }
    trusted = [{"revision": stable["revision"], "digest": stable["digest"]}]
    body = json.dumps({"status": {"stable": stable, "trustedRevisions": trusted}})
    served.admin("patch", "mdep", "iris", "--subresource=status", "--type=merge", "-p", body)

    served.operator.start()

    name = forged["metadata"]["name"]
    made = served.scenario.wait_for("Deployment", name, lambda _: True, SECONDS)
    assert made["spec"]["template"]["spec"]["hostname"] == "forged"


# --- what has to go on working under the policies


@pytest.mark.parametrize("cascade", ["foreground", "orphan"])
def test_the_garbage_collector_is_not_in_the_way_of_the_policies(
    served: Place, cascade: str
) -> None:
    served.write(simulated("v1"))
    served.scenario.wait(phase("Healthy"), SECONDS)
    (record,) = served.scenario.all_of("ModelRevision")
    served.operator.stop()

    served.admin("delete", "mdep", "iris", f"--cascade={cascade}", "--timeout=180s")

    name = record["metadata"]["name"]
    if cascade == "foreground":
        served.scenario.wait_gone("ModelRevision", name, SECONDS)
        return
    served.scenario.wait_for(
        "ModelRevision", name, lambda found: "ownerReferences" not in found["metadata"], SECONDS
    )


def test_a_namespace_with_records_can_be_deleted(served: Place) -> None:
    served.write(simulated("v1"))
    served.scenario.wait(phase("Healthy"), SECONDS)

    served.estate.cluster.kubectl("delete", "namespace", served.namespace, "--timeout=180s")

    served.estate.cluster.kubectl("create", "namespace", served.namespace)  # the teardown's


# --- objects of others under our names


def test_a_foreign_object_is_not_adopted_by_the_marks_that_ours_carry(served: Place) -> None:
    """Labels like ours and an owner of the right name, but not of the right uid."""
    labels = {"canarium.dev/model": "iris", "app.kubernetes.io/managed-by": "canarium"}
    uid = "11111111-1111-4111-8111-111111111111"
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "theirs", "uid": uid}
    served.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "theirs"}})
    owner["uid"] = served.admin("get", "configmap", "theirs", "-o", "jsonpath={.metadata.uid}")
    about = {"name": "iris", "labels": labels, "ownerReferences": [{**owner, "controller": True}]}
    spec = {"ports": [{"port": 80}], "selector": {"app": "theirs"}}
    served.apply({"apiVersion": "v1", "kind": "Service", "metadata": about, "spec": spec})

    served.write(simulated("v1"))
    served.scenario.wait(condition("Stalled", "True", "NameConflict"), SECONDS)

    time.sleep(1)  # no event says that nothing will happen
    found = served.scenario.get("Service", "iris")
    assert found is not None
    assert found["spec"]["selector"] == {"app": "theirs"}
    served.admin("delete", "service", "iris", "--wait=false")
    served.scenario.wait(phase("Healthy"), 2 * SECONDS)
