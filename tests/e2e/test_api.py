"""The API on a real apiserver: what it takes, what it refuses in which words, what it keeps.

Needs a control plane and no operator, so it brings up a cluster of its own.
"""

from __future__ import annotations

import copy
import json
import time
from typing import Any

import pytest
import yaml
from canarium.api.rules import VALIDATIONS
from canarium.api.schema import KINDS, make_crd
from canarium.core import status as core
from canarium.core.normalise import canonical_json
from canarium.core.quantities import canonical_quantity, parse_quantity
from canarium.resources.diff import contains
from canarium.resources.pod_template import make_pod_template

from testbed.cluster.cluster import Cluster
from testbed.cluster.fixtures import control_plane
from testbed.programs.processes import ClusterError
from tests.unit.api.specs import BAD_SPECS, Bad, changed, complete, plain
from tests.unit.api.test_status import FULL
from tests.unit.core.test_quantities import SPELLINGS

__all__ = ["control_plane"]

Json = dict[str, Any]

# One worker runs them all, so that there is one cluster.
pytestmark = [pytest.mark.xdist_group("api"), pytest.mark.timeout(300, func_only=True)]

DRY = ("create", "--dry-run=server", "-o", "json", "-f", "-")


@pytest.fixture(scope="module")
def cluster(control_plane: Cluster) -> Cluster:
    """A control plane that knows our kinds."""
    control_plane.kubectl("apply", "-f", "crds/")
    for kind in KINDS:
        name = f"crd/{kind.plural}.canarium.dev"
        control_plane.kubectl("wait", "--for=condition=Established", name, "--timeout=90s")
    return control_plane


def try_out(cluster: Cluster, body: Json) -> Json:
    answer: Json = json.loads(cluster.kubectl(*DRY, stdin=json.dumps(body)))
    return answer


def create(cluster: Cluster, body: Json) -> None:
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(body))


def get(cluster: Cluster, name: str) -> Json:
    answer: Json = json.loads(cluster.kubectl("get", name, "-o", "json"))
    return answer


def refusal(cluster: Cluster, body: Json) -> str:
    with pytest.raises(ClusterError) as caught:
        try_out(cluster, body)
    return str(caught.value)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_the_crds_are_structural(cluster: Cluster, kind: Any) -> None:
    crd = get(cluster, f"crd/{kind.plural}.canarium.dev")
    conditions = {one["type"]: one["status"] for one in crd["status"]["conditions"]}
    assert conditions == {"NamesAccepted": "True", "Established": "True"}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_the_rules_cost_less_than_half_of_what_the_apiserver_allows(
    cluster: Cluster, kind: Any
) -> None:
    def twice(value: Any) -> Any:
        if isinstance(value, dict):
            found = {key: twice(item) for key, item in value.items()}
            if VALIDATIONS in found:
                again = [rule | {"message": rule["message"] + "."} for rule in found[VALIDATIONS]]
                found[VALIDATIONS] = found[VALIDATIONS] + again
            return found
        return [twice(item) for item in value] if isinstance(value, list) else value

    doubled = twice(make_crd(kind))
    cluster.kubectl("replace", "--dry-run=server", "-f", "-", stdin=json.dumps(doubled))


@pytest.mark.parametrize("case", BAD_SPECS, ids=lambda case: case.id)
def test_a_wrong_field_is_refused_with_its_cure(cluster: Cluster, case: Bad) -> None:
    error = refusal(cluster, case.body)
    field = case.field if case.server_names is None else case.server_names
    assert f"{field}: " in error
    assert (case.server_says or case.says) in error


@pytest.mark.parametrize("body", [plain(), complete()], ids=["plain", "complete"])
def test_a_right_one_is_stored_as_it_was_written(cluster: Cluster, body: Json) -> None:
    assert try_out(cluster, body)["spec"] == body["spec"]


def test_only_the_size_is_filled_in(cluster: Cluster) -> None:
    body = plain(spec={"server": {"image": "a"}})
    stored = try_out(cluster, body)["spec"]
    assert stored == {"server": {"image": "a"}, "scaling": {"replicas": 1}}


FORBIDDEN = [
    ("spec.pod.hostNetwork", True),
    ("spec.pod.hostPID", True),
    ("spec.pod.hostIPC", True),
    ("spec.pod.automountServiceAccountToken", True),
    ("spec.pod.initContainers", [{"name": "a", "image": "a"}]),
    ("spec.pod.securityContext", {"sysctls": [{"name": "a", "value": "b"}]}),
    ("spec.pod.securityContext", {"seccompProfile": {"type": "Unconfined"}}),
    ("spec.pod.volumes", [{"name": "v", "hostPath": {"path": "/"}}]),
    ("spec.pod.volumes", [{"name": "v", "csi": {"driver": "d"}}]),
    (
        "spec.pod.volumes",
        [{"name": "v", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}],
    ),
    ("spec.pod.sidecars", [{"name": "a", "image": "a", "securityContext": {"privileged": True}}]),
    (
        "spec.pod.sidecars",
        [{"name": "a", "image": "a", "ports": [{"name": "a", "containerPort": 1, "hostPort": 1}]}],
    ),
    ("spec.server.securityContext", {"privileged": True}),
    ("spec.server.securityContext", {"allowPrivilegeEscalation": True}),
    ("spec.server.securityContext", {"capabilities": {"add": ["SYS_ADMIN"]}}),
    ("spec.server.securityContext", {"procMount": "Unmasked"}),
    ("spec.server.lifecycle", {"preStop": {"sleep": {"seconds": 0}}}),
    ("spec.server.volumeMounts", [{"name": "v", "mountPath": "/", "mountPropagation": "X"}]),
    ("spec.server.readinessProbe", {"tcpSocket": {"port": 1, "host": "10.0.0.1"}}),
    ("spec.model.uri", "file:///etc/passwd"),
]


@pytest.mark.parametrize(("path", "value"), FORBIDDEN, ids=[f"{p}={v}" for p, v in FORBIDDEN])
def test_there_is_no_field_for_power_over_the_node(cluster: Cluster, path: str, value: Any) -> None:
    assert 'strict decoding error: unknown field "spec.' in refusal(
        cluster, changed(plain(), {path: value})
    )


@pytest.mark.parametrize("body", [plain(), complete()], ids=["plain", "complete"])
def test_a_deployment_takes_the_rendered_template_and_keeps_it_as_it_is(
    cluster: Cluster, body: Json
) -> None:
    source = {
        part: body["spec"][part] for part in ("model", "server", "pod") if part in body["spec"]
    }
    template = make_pod_template(source, model="fraud", revision="0123456789")
    labels = {"canarium.dev/model": "fraud", "canarium.dev/revision": "0123456789"}
    stored = try_out(
        cluster,
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "fraud", "namespace": "default"},
            "spec": {"selector": {"matchLabels": labels}, "template": template},
        },
    )
    live = json.dumps(stored["spec"]["template"]).encode()
    assert contains(live, canonical_json(template))
    assert_kept(stored["spec"]["template"], template, "template")


def assert_kept(live: Any, ours: Any, path: str) -> None:
    """Everything that we render is there, spelled alike: stricter than `contains`."""
    if isinstance(ours, dict):
        for key, value in ours.items():
            assert_kept(live.get(key), value, f"{path}.{key}")
    elif isinstance(ours, list):
        assert len(live) == len(ours), path
        for index, item in enumerate(ours):
            assert_kept(live[index], item, f"{path}[{index}]")
    else:
        assert live == ours, path


@pytest.mark.parametrize(
    ("body", "level"),
    [(plain(), "baseline"), (complete(), "restricted")],
    ids=["plain", "complete"],
)
def test_the_pods_keep_to_the_pod_security_standards(
    cluster: Cluster, body: Json, level: str
) -> None:
    namespace = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": f"only-{level}",
            "labels": {"pod-security.kubernetes.io/enforce": level},
        },
    }
    create(cluster, namespace)
    wanted = changed(
        body, {"spec.pod.priorityClassName": None, "spec.pod.serviceAccountName": None}
    )["spec"]
    wanted["pod"].pop("runtimeClassName", None)
    template = make_pod_template(wanted, model="fraud", revision="0123456789")
    meta = template["metadata"] | {"name": "pod", "namespace": f"only-{level}"}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": template["spec"]}
    account = json.dumps(make_service_account(f"only-{level}"))
    cluster.kubectl("apply", "--server-side", "-f", "-", stdin=account)
    assert try_out(cluster, pod)["kind"] == "Pod"
    broken = copy.deepcopy(pod)
    broken["spec"]["hostNetwork"] = True
    assert f'violates PodSecurity "{level}' in refusal(cluster, broken)


def make_service_account(namespace: str) -> Json:
    """What the controller manager makes in a moment; pods need it at once.

    It may be made by either, so it is applied by the server, which takes both.
    """
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "default", "namespace": namespace},
    }


def test_our_spelling_of_a_quantity_is_kept_and_means_what_was_written(cluster: Cluster) -> None:
    ours = [canonical_quantity(text) for text in SPELLINGS]
    assert store_quantities(cluster, ours) == ours
    theirs = store_quantities(cluster, SPELLINGS)
    assert [parse_quantity(text) for text in theirs] == [parse_quantity(text) for text in ours]


def store_quantities(cluster: Cluster, quantities: list[str]) -> list[str]:
    containers = [
        {"name": f"c{index}", "image": "a", "resources": {"requests": {"cpu": quantity}}}
        for index, quantity in enumerate(quantities)
    ]
    body = {
        "apiVersion": "v1",
        "kind": "PodTemplate",
        "metadata": {"name": "quantities", "namespace": "default"},
        "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": containers}},
    }
    stored = try_out(cluster, body)["template"]["spec"]["containers"]
    return [container["resources"]["requests"]["cpu"] for container in stored]


def test_a_status_is_kept_whole_and_shown_in_columns(cluster: Cluster) -> None:
    create(cluster, plain(metadata__name="shown"))
    status = core.dump(FULL)
    cluster.kubectl(
        "patch", "mdep/shown", "--subresource=status", "--type=merge",
        "-p", json.dumps({"status": status}),
    )  # fmt: skip
    assert get(cluster, "mdep/shown")["status"] == status
    head, row = cluster.kubectl("get", "mdep", "shown", "-o", "wide").splitlines()
    assert head.split() == [
        "NAME", "READY", "PHASE", "STABLE", "CANARY", "WEIGHT", "REASON", "URL",
        "STABLE-IMAGE", "CANARY-IMAGE", "AGE",
    ]  # fmt: skip
    assert row.split()[:-1] == [
        "shown", "True", "Progressing", "7", "7", "5", "Holding", "http://fraud.example.com",
        "registry.example/fraud:7", "registry.example/fraud:7",
    ]  # fmt: skip
    short = cluster.kubectl("get", "canarium").splitlines()
    assert any(line.startswith("modeldeployment.canarium.dev/shown ") for line in short)
    cluster.kubectl("delete", "mdep/shown")


def test_kubectl_scale_sets_the_size_of_one_that_names_none(cluster: Cluster) -> None:
    create(cluster, plain(metadata__name="scaled", spec={"server": {"image": "a"}}))
    cluster.kubectl("scale", "mdep/scaled", "--replicas=4")
    assert get(cluster, "mdep/scaled")["spec"]["scaling"] == {"replicas": 4}
    cluster.kubectl("delete", "mdep/scaled")


AUTOMATIC = {"maxReplicas": 5, "metrics": [{"name": "cpu", "type": "CPU", "target": "500m"}]}


@pytest.mark.parametrize("how", [(), ("--server-side",)], ids=["by-client", "by-server"])
def test_bounds_can_take_the_place_of_a_size_that_nobody_wrote(
    cluster: Cluster, how: tuple[str, ...]
) -> None:
    name = f"bounded{len(how)}"
    fixed = plain(metadata__name=name, spec={"server": {"image": "a"}})
    bounded = changed(fixed, {"spec.scaling": AUTOMATIC})
    for body in (fixed, bounded):
        cluster.kubectl("apply", *how, "-f", "-", stdin=json.dumps(body))
    assert get(cluster, f"mdep/{name}")["spec"]["scaling"] == {"replicas": 1, **AUTOMATIC}
    cluster.kubectl("delete", f"mdep/{name}")


@pytest.mark.parametrize("how", [(), ("--server-side",)], ids=["by-client", "by-server"])
def test_a_size_that_a_person_set_is_taken_back_before_bounds(
    cluster: Cluster, how: tuple[str, ...]
) -> None:
    name = f"sized{len(how)}"
    fixed = plain(metadata__name=name, spec={"server": {"image": "a"}})
    bounded = json.dumps(changed(fixed, {"spec.scaling": AUTOMATIC}))
    cluster.kubectl("apply", *how, "-f", "-", stdin=json.dumps(fixed))
    cluster.kubectl("scale", f"mdep/{name}", "--replicas=4")
    with pytest.raises(ClusterError, match="kubectl scale --replicas=1 takes it back"):
        cluster.kubectl("apply", *how, "-f", "-", stdin=bounded)
    cluster.kubectl("scale", f"mdep/{name}", "--replicas=1")
    cluster.kubectl("apply", *how, "-f", "-", stdin=bounded)
    cluster.kubectl("delete", f"mdep/{name}")


def test_kubectl_scale_is_told_that_a_model_is_autoscaled(cluster: Cluster) -> None:
    body = plain(metadata__name="auto", spec={"server": {"image": "a"}, "scaling": AUTOMATIC})
    create(cluster, body)
    with pytest.raises(ClusterError, match="set exactly one of replicas"):
        cluster.kubectl("scale", "mdep/auto", "--replicas=4")
    cluster.kubectl("delete", "mdep/auto")


REVISION = {
    "apiVersion": "canarium.dev/v1alpha1",
    "kind": "ModelRevision",
    "metadata": {"name": "fraud-0123456789", "namespace": "default"},
    "spec": {
        "modelDeployment": "fraud",
        "source": {"model": {"version": "7"}, "server": {"image": "a", "fieldOfLater": {"b": 1}}},
        "rollout": {"steps": [{"name": "five", "weight": 5}], "guard": {"duration": "0s"}},
        "template": '{"spec":{}}',
        "digest": "ab" * 32,
    },
}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("spec.template", "{}"),
        ("spec.digest", "cd" * 32),
        ("spec.modelDeployment", "other"),
        ("spec.source.server.image", "b"),
        ("spec.source.server.fieldOfLater.b", 2),
        ("spec.source.pod", {"labels": {"a": "b"}}),
        ("spec.rollout.steps.0.weight", 6),
    ],
)
def test_a_revision_cannot_be_changed(cluster: Cluster, path: str, value: Any) -> None:
    create(cluster, REVISION)
    assert get(cluster, "mrev/fraud-0123456789")["spec"] == REVISION["spec"]
    with pytest.raises(ClusterError, match="a revision cannot be changed"):
        create(cluster, changed(REVISION, {path: value}))
    cluster.kubectl("delete", "mrev/fraud-0123456789")


def test_a_revisions_status_is_kept_whole_and_shown_in_columns(cluster: Cluster) -> None:
    create(cluster, REVISION)
    spec = complete()["spec"]["rollout"]
    status = {
        "rollout": {key: spec[key] for key in ("steps", "analysis", "progressDeadline", "guard")},
        "startedAt": "2025-01-31T12:00:00.000Z",
        "stableAt": "2025-01-31T12:10:00.000Z",
        "endedAt": "2025-01-31T12:20:00.000Z",
        "outcome": "RolledBack",
        "reason": "ErrorRateTooHigh",
        "message": "9 of 30 failed",
        "evidence": [dict(FULL.canary.analysis[0])] if FULL.canary else [],
    }
    cluster.kubectl(
        "patch", "mrev/fraud-0123456789", "--subresource=status", "--type=merge",
        "-p", json.dumps({"status": status}),
    )  # fmt: skip
    assert get(cluster, "mrev/fraud-0123456789")["status"] == status
    head, row = cluster.kubectl("get", "mrev", "fraud-0123456789").splitlines()
    assert head.split() == ["NAME", "MODEL", "VERSION", "OUTCOME", "REASON", "AGE"]
    assert row.split()[:-1] == [
        "fraud-0123456789", "fraud", "7", "RolledBack", "ErrorRateTooHigh",
    ]  # fmt: skip
    cluster.kubectl("delete", "mrev/fraud-0123456789")


def test_kubectl_explain_describes_the_fields(cluster: Cluster) -> None:
    text = explain(cluster, "mdep.spec.rollout.steps.weight", seconds=90)
    assert "Share of the traffic that the canary gets, in percent, 1 to 99; that of" in text


def explain(cluster: Cluster, field: str, *, seconds: float) -> str:
    """What kubectl says of a field; the apiserver publishes new kinds' schemas a moment late."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return " ".join(cluster.kubectl("explain", field).split())
        except ClusterError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def test_the_printed_crds_are_what_kubectl_applies(cluster: Cluster) -> None:
    stream = "---\n".join(yaml.safe_dump(make_crd(kind)) for kind in KINDS)
    said = cluster.kubectl("apply", "-f", "-", stdin=stream).splitlines()
    assert [line.rpartition(" ")[2] for line in said] == ["unchanged"] * len(KINDS)
