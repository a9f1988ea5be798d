"""Lines 4, 5 and 18 and Pod Security: no power over a node, by a field, a name or a map."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from functools import partial

import pytest

from testbed.cluster.cluster import Cluster
from testbed.scenario.manifests import Json, rollout, simulated
from testbed.scenario.scenario import Holds, is_current, named, phase
from tests.security.estate import (
    POLICY_SECONDS,
    TENANT,
    Estate,
    Place,
    apply_all,
    is_taken,
    make_namespace,
    refusal,
    told,
    until,
    wait_for_account,
)

pytestmark = [pytest.mark.timeout(600, func_only=True)]
SECONDS = 120.0
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
    caught = partial(has_slice, served, "victim", lambda each: bool(each.get("endpoints")))
    until(caught, SECONDS, "endpoints")
    assert served.accepted_without_guards(body)

    said = served.refusal(body)
    assert "spec.pod.labels: " in said
    assert "keys under canarium.dev/ are Canarium's own: choose others" in said
    others = {f"x.{key}": value for key, value in victim.items()}
    assert "are Canarium's own" in served.refusal(simulated("v1", pod={"labels": others}))


def has_slice(place: Place, service: str, holds: Callable[[Json], bool]) -> bool:
    """Whether something holds of what a Service leads to, which a controller writes later."""
    return any(
        found["metadata"]["labels"]["kubernetes.io/service-name"] == service and holds(found)
        for found in place.scenario.all_of("EndpointSlice")
    )


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


# --- power by a name, and in maps

APPARMOR = "container.apparmor.security.beta.kubernetes.io"
HOST_VOLUME = '[{"name": "host", "hostPath": {"path": "/"}}]'
PRIORITY = "priorityclasses.scheduling.k8s.io/system-node-critical"
OUTRANKS = f"be given the verb use on {PRIORITY} by a Role in this namespace"
EVERY_TAINT = "spec.pod.tolerations: one without a key puts up with every taint"
UNCONFINED = "takes a container's confinement away"
GUARDED = "can give pods power that no field of theirs has"


def annotated(key: str, value: str) -> Json:
    return {"annotations": {"example.com/team": "risk", key: value}}


# What spec.pod says, and what whoever could not make such a pod is told.
BY_NAME: dict[str, tuple[Json, str]] = {
    "class": ({"priorityClassName": "system-node-critical"}, OUTRANKS),
    "every-taint": ({"tolerations": [{"operator": "Exists"}]}, EVERY_TAINT),
    "every-taint-of-an-effect": (
        {"tolerations": [{"key": "gpu"}, {"operator": "Exists", "effect": "NoExecute"}]},
        EVERY_TAINT,
    ),
    "apparmor": (annotated(f"{APPARMOR}/server", "unconfined"), UNCONFINED),
    "apparmor-of-a-sidecar": (
        {"sidecars": [{"name": "log", "image": "a"}]} | annotated(f"{APPARMOR}/log", "unconfined"),
        UNCONFINED,
    ),
    "seccomp": (annotated("seccomp.security.alpha.kubernetes.io/pod", "unconfined"), UNCONFINED),
    "seccomp-of-a-container": (
        annotated("container.seccomp.security.alpha.kubernetes.io/server", "Unconfined"),
        UNCONFINED,
    ),
    "cloud-role": (annotated("iam.amazonaws.com/role", "admin"), GUARDED),
    "cloud-role-by-a-label": ({"labels": {"azure.workload.identity/use": "true"}}, GUARDED),
    "network": (annotated("k8s.v1.cni.cncf.io/networks", "kube-system/storage"), GUARDED),
    "device": (annotated("devices.nri.io/container.server", "- path: /dev/sda"), GUARDED),
    "injectors-volume": (annotated("sidecar.istio.io/userVolume", HOST_VOLUME), GUARDED),
}
HARMLESS: Json = {
    "priorityClassName": "gold",
    "runtimeClassName": "nvidia",
    "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
    "labels": {"sidecar.istio.io/inject": "false"},
    "annotations": {
        f"{APPARMOR}/server": "runtime/default",
        "sidecar.istio.io/inject": "false",
        "proxy.istio.io/config": "holdApplicationUntilProxyStarts: true",
    },
}


def of_pod(asked: Json) -> Json:
    return simulated("v1", pod=asked)


def passes(place: Place, body: Json) -> bool:
    return is_taken(lambda: place.write(body, "--dry-run=server"))


def wait_until_taken(place: Place, body: Json) -> None:
    until(lambda: passes(place, body), POLICY_SECONDS, "what lets it through")


def wait_until_refused(place: Place, body: Json) -> None:
    until(lambda: not passes(place, body), POLICY_SECONDS, "a guard in force")


def test_power_by_a_name_is_for_whoever_could_make_such_a_pod(place: Place) -> None:
    assert passes(place, of_pod(HARMLESS))
    said = {name: place.refusal(of_pod(asked)) for name, (asked, _) in BY_NAME.items()}
    assert {name for name, (_, words) in BY_NAME.items() if words not in said[name]} == set()

    place.grant(TENANT, {"apiGroups": [""], "resources": ["pods"], "verbs": ["create"]})
    for asked, _ in BY_NAME.values():
        wait_until_taken(place, of_pod(asked))


def test_it_is_the_policy_that_keeps_it_from_others_and_pods_have_it(
    estate: Estate, place: Place
) -> None:
    """The other half: what a pod made directly is given, a model would be given, too."""
    with estate.without("power"):
        for asked, _ in BY_NAME.values():
            wait_until_taken(place, of_pod(asked))
    wait_until_refused(place, of_pod(asked))

    made = place.create_pod(pod(priorityClassName="system-node-critical"))
    assert made["spec"]["priority"] > 2 * 10**9
    made = place.create_pod(pod(), annotations={f"{APPARMOR}/direct": "unconfined"})
    (found,) = made["spec"]["containers"]
    assert found["securityContext"]["appArmorProfile"] == {"type": "Unconfined"}


def test_a_class_is_also_for_whoever_may_use_it(place: Place) -> None:
    asked = of_pod({"priorityClassName": "system-node-critical"})
    rule = {"apiGroups": ["scheduling.k8s.io"], "resources": ["priorityclasses"], "verbs": ["use"]}
    place.grant(TENANT, {**rule, "resourceNames": ["system-cluster-critical"]}, name="another")
    assert OUTRANKS in place.refusal(asked)

    place.grant(TENANT, {**rule, "resourceNames": ["system-node-critical"]})
    wait_until_taken(place, asked)


def test_what_an_admin_gave_a_model_stays_and_is_not_for_programs_of_the_tenants(
    place: Place,
) -> None:
    """A name is asked for when it changes; what a program can use, whenever that changes."""
    place.apply(of_pod(BY_NAME["cloud-role"][0]), renamed(of_pod(BY_NAME["class"][0]), "first"))
    other = json.dumps({"spec": {"server": {"image": "registry.example.com/other:1"}}})

    place.tenant("scale", "mdep", "iris", "--replicas=3")
    place.tenant("patch", "mdep", "iris", "--type=merge", "-p", PAUSED)
    place.tenant("annotate", "mdep", "iris", "canarium.dev/abort=x@1")
    assert GUARDED in refusal(lambda: merge(place, "iris", other))
    merge(place, "iris", json.dumps({"spec": {"pod": None, **json.loads(other)["spec"]}}))

    merge(place, "first", other)
    higher = json.dumps({"spec": {"pod": {"priorityClassName": "system-cluster-critical"}}})
    words = "spec.pod.priorityClassName: system-cluster-critical puts pods before"
    assert words in refusal(lambda: merge(place, "first", higher))


PAUSED = json.dumps({"spec": {"rollout": {"paused": True}}})


def renamed(body: Json, name: str) -> Json:
    return {**body, "metadata": {**body["metadata"], "name": name}}


def merge(place: Place, name: str, patch: str) -> str:
    return place.tenant("patch", "mdep", name, "--type=merge", "-p", patch)


def changed(estate: Estate, **values: object) -> AbstractContextManager[None]:
    """The policy with other values, and afterwards the chart's own again."""
    return estate.with_values({"admissionPolicies": dict(values)}, "power")


def test_other_classes_are_guarded_where_a_value_names_them(estate: Estate, place: Place) -> None:
    bodies = {
        "priorityclasses.scheduling.k8s.io/gold": of_pod({"priorityClassName": "gold"}),
        "runtimeclasses.node.k8s.io/nvidia": of_pod({"runtimeClassName": "nvidia"}),
    }
    with changed(estate, guardedClasses=["gold", "nvidia"]):
        for right, body in bodies.items():
            wait_until_refused(place, body)
            assert f"be given the verb use on {right} by a Role" in place.refusal(body)
        for right in bodies:
            resource, _, name = right.partition("/")
            kind, _, group = resource.partition(".")
            rule = {"apiGroups": [group], "resources": [kind], "resourceNames": [name]}
            place.grant(TENANT, {**rule, "verbs": ["use"]}, name=name)
        for body in bodies.values():
            wait_until_taken(place, body)


def test_each_guard_is_lifted_by_its_value(estate: Estate, place: Place) -> None:
    lifted: Mapping[str, object] = {
        "guardAllTaints": False,
        "guardUnconfined": False,
        "guardedMetadata": [],
    }
    kept = of_pod(BY_NAME["class"][0])
    others = [of_pod(asked) for name, (asked, _) in BY_NAME.items() if name != "class"]
    with changed(estate, **lifted):
        for body in others:
            wait_until_taken(place, body)
        assert OUTRANKS in place.refusal(kept)
    for body in others:
        wait_until_refused(place, body)


def test_the_largest_lists_and_the_largest_pod_are_within_what_a_policy_may_cost(
    estate: Estate, place: Place
) -> None:
    """Nothing matches but the RuntimeClass, so all is compared with all, and all is asked."""
    entries = [f"{make_long('a', number)}*" for number in range(100)]
    entries += [make_long("b", number) for number in range(100)]
    table = {f"{make_long('a', number)[:-1]}/{'v' * 63}": "" for number in range(64)}
    asked = of_pod(
        {
            "labels": table,
            "annotations": table,
            "priorityClassName": "system-node-critical",
            "runtimeClassName": "nvidia",
            "tolerations": [{"key": f"gpu-{n}", "operator": "Exists"} for n in range(32)],
        }
    )
    rule = {"apiGroups": ["scheduling.k8s.io"], "resources": ["priorityclasses"], "verbs": ["use"]}
    place.grant(TENANT, rule)
    wait_until_taken(place, asked)

    classes = [*(f"{'c' * 240}-{number}" for number in range(199)), "nvidia"]
    with changed(estate, guardedMetadata=entries, guardedClasses=classes):
        wait_until_refused(place, asked)
        assert "the verb use on runtimeclasses.node.k8s.io/nvidia" in place.refusal(asked)
        rule = {"apiGroups": ["node.k8s.io"], "resources": ["runtimeclasses"], "verbs": ["use"]}
        place.grant(TENANT, rule, name="runtimes")
        wait_until_taken(place, asked)


def make_long(letter: str, number: int) -> str:
    """A name of nearly the 253 characters that the beginning of a key may have."""
    return ".".join((f"{letter}{number:03d}", "x" * 60, "y" * 60, "z" * 60, "w" * 60))


def test_what_judges_by_a_job_gets_none_of_a_models_power(served: Place) -> None:
    asked = {**BY_NAME["class"][0], **BY_NAME["every-taint"][0], **BY_NAME["cloud-role"][0]}
    judged = {
        **rollout((50, "10m"), guard={"duration": "0s"}),
        "analysis": {"metrics": [{"name": "smoke", "job": {"image": "a", "command": ["true"]}}]},
    }
    served.apply(simulated("v1", pod=asked, rollout=judged))
    served.scenario.wait(phase("Healthy"), SECONDS)
    served.apply(simulated("v2", pod=asked, rollout=judged))
    until(lambda: bool(served.scenario.all_of("Job")), SECONDS, "a Job")

    for deployment in served.scenario.all_of("Deployment"):
        template = deployment["spec"]["template"]
        assert template["spec"]["priorityClassName"] == "system-node-critical"
        assert template["spec"]["tolerations"] == asked["tolerations"]
        assert template["metadata"]["annotations"] == asked["annotations"]
    for job in served.scenario.all_of("Job"):
        template = job["spec"]["template"]
        assert not {"priorityClassName", "tolerations"} & set(template["spec"])
        assert "annotations" not in template["metadata"]
    for service in served.scenario.all_of("Service"):
        assert "annotations" not in service["metadata"]


# --- Pod Security


def enforce(cluster: Cluster, namespace: str, level: str) -> None:
    cluster.kubectl("label", "--overwrite", "namespace", namespace, f"{ENFORCE}={level}")


def wait_until_enforced(place: Place) -> None:
    """Wait until the apiserver goes by the label: it hears of namespaces a moment later."""
    words = 'violates PodSecurity "restricted:latest"'
    until(lambda: words in told(lambda: place.create_pod(pod())), POLICY_SECONDS, words)


def test_a_rollout_of_a_plain_model_goes_through_where_restricted_is_enforced(
    estate: Estate, served: Place
) -> None:
    enforce(estate.cluster, served.namespace, "restricted")
    wait_until_enforced(served)
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
    wait_until_enforced(served)
    served.write(simulated("v1", pod={"securityContext": {"runAsNonRoot": False}}))

    found = served.scenario.wait(refused_by_pod_security(), SECONDS)
    assert "runAsNonRoot != true" in found["status"]["message"]
    assert f"have the namespace's label {ENFORCE} allow it" in found["status"]["message"]
    assert "rejected" not in found["status"]

    enforce(estate.cluster, served.namespace, "baseline")
    served.scenario.wait(phase("Healthy"), 240)


def refused_by_pod_security() -> Holds:
    def holds(found: Json) -> bool:
        return is_current(found) and found["status"].get("reason") == "PodSecurityDenied"

    return named(holds, "reason PodSecurityDenied")


def test_the_operators_own_pod_is_restricted_too(estate: Estate) -> None:
    namespace = "canarium-restricted"
    apply_all(estate.cluster, [make_namespace(namespace, **{ENFORCE: "restricted"})])
    wait_for_account(estate.cluster, namespace)
    (deployment,) = [item for item in estate.chart if item["kind"] == "Deployment"]
    spec = deployment["spec"]["template"]["spec"] | {"serviceAccountName": "default"}
    weaker = json.loads(json.dumps(spec).replace('"runAsNonRoot": true', '"runAsNonRoot": false'))

    def create(spec: Json) -> str:
        about = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "operator"}}
        words = ("-n", namespace, "create", "--dry-run=server", "-f", "-")
        return estate.cluster.kubectl(*words, stdin=json.dumps({**about, "spec": spec}))

    words = "violates PodSecurity"
    until(lambda: words in told(lambda: create(weaker)), POLICY_SECONDS, words)
    assert create(spec) == "pod/operator created (server dry run)\n"
