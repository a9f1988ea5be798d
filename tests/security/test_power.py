"""Lines 4 and 5 and Pod Security: no power over a node, nobody else's labels, restricted always."""

from __future__ import annotations

import json

import pytest

from tests.cluster.cluster import Cluster
from tests.e2e.manifests import Json, rollout, simulated
from tests.e2e.scenario import Holds, is_current, named, phase
from tests.security.estate import Estate, Place, apply_all, make_namespace, refusal

pytestmark = [pytest.mark.timeout(120, func_only=True)]
SECONDS = 45.0
ENFORCE = "pod-security.kubernetes.io/enforce"
ROOT = {"privileged": True}
ADDED = {"capabilities": {"add": ["SYS_ADMIN"]}}
HOST_PATH = [{"name": "v", "hostPath": {"path": "/etc"}}]
PORTS = [{"name": "a", "containerPort": 1, "hostPort": 22}]


def container(**fields: object) -> Json:
    return {"name": "direct", "image": "a", **fields}


def pod(**fields: object) -> Json:
    return {"containers": [container()], **fields}


def beside(**fields: object) -> Json:
    return {"pod": {"sidecars": [container(**fields)]}}


# What a pod made directly gets, and the same asked of a ModelDeployment.
POWERS: dict[str, tuple[Json, Json]] = {
    "host-network": (pod(hostNetwork=True), {"pod": {"hostNetwork": True}}),
    "host-pid": (pod(hostPID=True), {"pod": {"hostPID": True}}),
    "host-ipc": (pod(hostIPC=True), {"pod": {"hostIPC": True}}),
    "host-path": (pod(volumes=HOST_PATH), {"pod": {"volumes": HOST_PATH}}),
    "host-port": ({"containers": [container(ports=PORTS)]}, beside(ports=PORTS)),
    "privileged": (
        {"containers": [container(securityContext=ROOT)]},
        {"server": {"image": "a", "securityContext": ROOT}},
    ),
    "capabilities": (
        {"containers": [container(securityContext=ADDED)]},
        {"server": {"image": "a", "securityContext": ADDED}},
    ),
    "sidecar": ({"containers": [container(securityContext=ROOT)]}, beside(securityContext=ROOT)),
    "init-container": (
        pod(initContainers=[{"name": "first", "image": "a", "securityContext": ROOT}]),
        {"pod": {"initContainers": [{"name": "first", "image": "a", "securityContext": ROOT}]}},
    ),
    "seccomp": (
        pod(securityContext={"seccompProfile": {"type": "Unconfined"}}),
        {"pod": {"securityContext": {"seccompProfile": {"type": "Unconfined"}}}},
    ),
}


@pytest.mark.parametrize("power", POWERS)
def test_power_that_a_pod_can_have_has_no_field_in_a_model(place: Place, power: str) -> None:
    direct, asked = POWERS[power]
    body = simulated("v1", **asked)

    made = place.create_pod(direct)["spec"]
    assert contains(made, direct)
    assert place.accepted_without_guards(body)
    assert 'strict decoding error: unknown field "spec.' in place.refusal(body)


def contains(found: object, wanted: object) -> bool:
    """Whether all that was asked for is there, in maps and lists alike."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        return all(name in found and contains(found[name], value) for name, value in wanted.items())
    if isinstance(wanted, list) and isinstance(found, list):
        return len(found) >= len(wanted) and all(map(contains, found, wanted))
    return found == wanted


def test_power_that_a_client_insists_on_is_dropped_or_refused_as_it_is_stored(place: Place) -> None:
    """kubectl's own check can be turned off; what the apiserver keeps is what counts."""
    asked = {
        "server": {"image": "a", "securityContext": ROOT | ADDED},
        "pod": {"hostNetwork": True, "initContainers": [container(securityContext=ROOT)]},
    }
    stored = place.write(simulated("v1", **asked), "--validate=ignore")
    assert stored["spec"]["server"] == {"image": "a", "securityContext": {}}
    assert stored["spec"]["pod"] == {}


def test_power_cannot_be_merged_into_a_list_that_is_there(served: Place) -> None:
    """Whoever patches one field of a sidecar, or adds a path, gets no further than the schema."""
    served.write(simulated("v1", pod={"sidecars": [{"name": "log", "image": "a"}]}))
    security = {"name": "log", "image": "a", "securityContext": ROOT}
    merged = json.dumps({"spec": {"pod": {"sidecars": [security]}}})
    added = json.dumps([{"op": "add", "path": "/spec/pod/hostNetwork", "value": True}])
    applied = simulated("v1", pod={"sidecars": [security]})

    for kind, patch in (("merge", merged), ("json", added)):
        served.tenant("patch", "mdep", "iris", f"--type={kind}", "-p", patch)
    owned = ("--server-side", "--field-manager=other", "--force-conflicts")
    assert "privileged: field not declared in schema" in served.refusal(applied, *owned)
    served.scenario.wait(phase("Healthy"), SECONDS)

    for found in served.scenario.all_of("Pod"):
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(found["spec"])
        every = [*found["spec"]["containers"], *found["spec"]["initContainers"]]
        harmless = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
        assert [each["securityContext"] for each in every] == [harmless, harmless]


# --- labels, selectors and owners


def test_pods_cannot_carry_the_labels_by_which_anothers_are_found(served: Place) -> None:
    victim = {"canarium.dev/model": "victim", "canarium.dev/revision": "0123456789"}
    service = {"ports": [{"port": 80}], "selector": victim}
    about = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "victim"}}
    body = simulated("v1", pod={"labels": victim})

    # A pod that somebody makes directly catches the traffic, so the labels are worth guarding.
    direct = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "direct", "labels": victim}}
    served.apply({**about, "spec": service}, {**direct, "spec": pod()})
    caught = named(lambda each: bool(each.get("endpoints")), "endpoints")
    wait_for_slice(served, "victim", caught)
    assert served.accepted_without_guards(body)

    said = served.refusal(body)
    assert "spec.pod.labels: " in said
    assert "keys under canarium.dev/ are Canarium's own: choose others" in said
    others = {f"x.{key}": value for key, value in victim.items()}
    assert "are Canarium's own" in served.refusal(simulated("v1", pod={"labels": others}))


def wait_for_slice(place: Place, service: str, holds: Holds) -> None:
    for found in place.scenario.all_of("EndpointSlice"):
        if found["metadata"]["labels"]["kubernetes.io/service-name"] == service and holds(found):
            return
    name = next(
        item["metadata"]["name"]
        for item in place.scenario.all_of("EndpointSlice")
        if item["metadata"]["labels"]["kubernetes.io/service-name"] == service
    )
    place.scenario.wait_for("EndpointSlice", name, holds, SECONDS)


def test_labels_and_owners_of_a_model_are_not_those_of_its_children(served: Place) -> None:
    """An owner that is somebody else's would have the children collected with it."""
    body = simulated("v1")
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "theirs"}
    served.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "theirs"}})
    uid = served.admin("get", "configmap", "theirs", "-o", "jsonpath={.metadata.uid}")
    forged = {"canarium.dev/model": "victim", "app.kubernetes.io/managed-by": "other"}
    body["metadata"] |= {"labels": forged, "ownerReferences": [{**owner, "uid": uid}]}

    stored = served.write(body)
    assert stored["metadata"]["labels"] == forged
    served.scenario.wait(phase("Healthy"), SECONDS)

    for kind in ("Deployment", "Service", "ModelRevision"):
        for child in served.scenario.all_of(kind):
            about = child["metadata"]
            assert about["labels"]["canarium.dev/model"] == "iris"
            assert about["labels"]["app.kubernetes.io/managed-by"] == "canarium"
            assert [each["uid"] for each in about["ownerReferences"]] == [stored["metadata"]["uid"]]


# --- Pod Security


def enforce(cluster: Cluster, namespace: str, level: str) -> None:
    cluster.kubectl("label", "--overwrite", "namespace", namespace, f"{ENFORCE}={level}")


def test_a_rollout_of_a_plain_model_goes_through_where_restricted_is_enforced(
    estate: Estate, served: Place
) -> None:
    enforce(estate.cluster, served.namespace, "restricted")
    refused = refusal(lambda: served.create_pod(pod()))
    assert 'violates PodSecurity "restricted:latest"' in refused
    sidecars = [{"name": "log", "image": "a"}]
    judged = {
        **rollout((50, "1s"), guard={"duration": "0s"}),
        "analysis": {"metrics": [{"name": "smoke", "job": {"image": "a", "command": ["true"]}}]},
    }

    for version in ("v1", "v2"):
        served.write(simulated(version, pod={"sidecars": sidecars}, rollout=judged))
        served.scenario.wait(phase("Healthy"), SECONDS)

    found = served.scenario.get("ModelDeployment", "iris")
    assert found is not None
    assert found["status"]["stable"]["version"] == "v2"


def test_a_model_that_runs_as_root_is_told_what_restricted_wants_and_runs_under_baseline(
    estate: Estate, served: Place
) -> None:
    enforce(estate.cluster, served.namespace, "restricted")
    served.write(simulated("v1", pod={"securityContext": {"runAsNonRoot": False}}))

    found = served.scenario.wait(refused_by_pod_security(), SECONDS)
    assert "runAsNonRoot != true" in found["status"]["message"]
    assert f"have the namespace's label {ENFORCE} allow it" in found["status"]["message"]
    assert "rejected" not in found["status"]

    enforce(estate.cluster, served.namespace, "baseline")
    served.scenario.wait(phase("Healthy"), 90)


def refused_by_pod_security() -> Holds:
    def holds(found: Json) -> bool:
        return is_current(found) and found["status"].get("reason") == "PodSecurityDenied"

    return named(holds, "reason PodSecurityDenied")


def test_the_operators_own_pod_is_restricted_too(estate: Estate) -> None:
    namespace = "canarium-restricted"
    apply_all(estate.cluster, [make_namespace(namespace, **{ENFORCE: "restricted"})])
    (deployment,) = [item for item in estate.chart if item["kind"] == "Deployment"]
    spec = deployment["spec"]["template"]["spec"] | {"serviceAccountName": "default"}
    weaker = json.loads(json.dumps(spec).replace('"runAsNonRoot": true', '"runAsNonRoot": false'))

    def create(spec: Json) -> str:
        about = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "operator"}}
        words = ("-n", namespace, "create", "--dry-run=server", "-f", "-")
        return estate.cluster.kubectl(*words, stdin=json.dumps({**about, "spec": spec}))

    assert "violates PodSecurity" in refusal(lambda: create(weaker))
    assert create(spec) == "pod/operator created (server dry run)\n"
