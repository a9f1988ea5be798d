import json
from collections.abc import Callable
from typing import Any

import pytest
from canarium.core.commands import VERBS
from canarium.core.names import make_digest
from canarium.core.observed import (
    Addition,
    ContainerState,
    DeploymentRecord,
    EndpointsRecord,
    GatewayClassRecord,
    GatewayRecord,
    JobRecord,
    Meta,
    Owner,
    PodRecord,
    RouteCondition,
    RouteParent,
    RouteRecord,
    ServiceRecord,
)
from canarium.core.provenance import Origin
from canarium.core.spec import MetricsEndpoint
from canarium.core.status import Status
from canarium.errors import Problem
from canarium.kube.boundary import Boundary
from canarium.kube.informers.cache import Cache
from canarium.kube.informers.projections.gateways import project_gateway, project_gateway_class
from canarium.kube.informers.projections.jobs import project_job
from canarium.kube.informers.projections.models import project_model
from canarium.kube.informers.projections.pods import project_pod
from canarium.kube.informers.projections.revisions import project_revision
from canarium.kube.informers.projections.routes import make_route_projection
from canarium.kube.informers.projections.services import project_endpoints, project_service
from canarium.kube.informers.projections.workloads import project_deployment
from canarium.telemetry.metrics import Metrics

from tests.unit.kube.wire import (
    LABELS,
    MODEL_UID,
    REVISION,
    Json,
    dump,
    make_model,
    make_object,
    owned_by,
)

SOURCE: Json = {"server": {"image": "registry/fraud:7"}}


def meta(name: str, **changes: Any) -> Meta:
    """The metadata that `make_object` gives."""
    given = {"namespace": "risk", "uid": f"uid-of-{name}", "resource_version": "1"}
    return Meta(**({"name": name, "labels": LABELS} | given | changes))


def test_a_deployment_keeps_its_template_as_the_apiserver_wrote_it() -> None:
    template = {"metadata": {"labels": LABELS}, "spec": {"containers": [{"name": "server"}]}}
    body = make_object(
        "Deployment",
        "fraud-a",
        metadata={
            "ownerReferences": [{"kind": "Other", "name": "x", "uid": "x"}, *owned_by()],
            "generation": 3,
            "creationTimestamp": "2023-11-14T22:13:20Z",
            "managedFields": [{"manager": "canarium"}],
        },
        spec={"replicas": 4, "template": template, "selector": {}},
        status={
            "observedGeneration": 3,
            "replicas": 4,
            "readyReplicas": 2,
            "conditions": [
                {"type": "Available", "status": "True"},
                {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota"},
            ],
        },
    )
    assert project_deployment(dump(body)) == DeploymentRecord(
        meta=meta(
            "fraud-a",
            generation=3,
            created_at=1_700_000_000.0,
            owner=Owner("ModelDeployment", "fraud", MODEL_UID),
        ),
        revision=REVISION,
        replicas=4,
        template=json.dumps(template).encode(),
        observed_generation=3,
        current_replicas=4,
        ready_replicas=2,
        failure_message="exceeded quota",
    )


def test_a_deployment_that_nobody_has_looked_at_yet_has_one_replica_and_no_status() -> None:
    body = make_object("Deployment", "fraud-a", spec={"template": {}})
    assert project_deployment(dump(body)) == DeploymentRecord(
        meta=meta("fraud-a"), revision=REVISION, replicas=1, template=b"{}"
    )


def test_a_pod_says_why_its_containers_wait_or_how_they_ended() -> None:
    body = make_object(
        "Pod",
        "fraud-a-1",
        metadata={"labels": LABELS | {"team": "risk"}, "deletionTimestamp": "2023-11-14T22:13:20Z"},
        spec={"nodeName": "node-1", "containers": []},
        status={
            "phase": "Running",
            "podIP": "198.18.0.7",
            "conditions": [{"type": "Ready", "status": "False"}],
            "initContainerStatuses": [{"name": "proxy", "ready": True, "restartCount": 0}],
            "containerStatuses": [
                {
                    "name": "server",
                    "ready": False,
                    "restartCount": 2,
                    "imageID": "sha256:1",
                    "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}},
                    "lastState": {"terminated": {"reason": "OOMKilled", "exitCode": 137}},
                }
            ],
        },
    )
    assert project_pod(dump(body)) == PodRecord(
        meta=meta("fraud-a-1", deleting=True),
        revision=REVISION,
        phase="Running",
        ip="198.18.0.7",
        node="node-1",
        scheduled=True,
        containers=(
            ContainerState("proxy", init=True, ready=True),
            ContainerState(
                "server",
                restarts=2,
                waiting_reason="CrashLoopBackOff",
                waiting_message="back-off",
                terminated_reason="OOMKilled",
                terminated_exit_code=137,
                image_id="sha256:1",
            ),
        ),
    )


def test_a_pod_that_finds_no_node_says_why() -> None:
    unschedulable = {"type": "PodScheduled", "status": "False", "message": "0/3 nodes have a GPU"}
    body = make_object("Pod", "fraud-a-1", spec={}, status={"conditions": [unschedulable]})
    assert project_pod(dump(body)) == PodRecord(
        meta=meta("fraud-a-1"), revision=REVISION, scheduling_message="0/3 nodes have a GPU"
    )


def job_status(**status: Any) -> JobRecord:
    return project_job(dump(make_object("Job", "fraud-smoke", status=status)))


def condition(kind: str, status: str = "True", **words: str) -> Json:
    return {"type": kind, "status": status, **words}


@pytest.mark.parametrize(
    ("status", "outcome", "message", "has_run"),
    [
        ({}, "", "", False),
        ({"active": 1}, "", "", True),
        ({"succeeded": 1, "conditions": [condition("Complete")]}, "Complete", "", True),
        ({"succeeded": 1, "conditions": [condition("Complete", "False")]}, "", "", True),
        (
            {"failed": 1, "conditions": [condition("Failed", reason="Late", message="too long")]},
            "Failed",
            "Late: too long",
            True,
        ),
        (
            {
                "terminating": 1,
                "conditions": [condition("FailureTarget", reason="Late", message="too long")],
            },
            "Failed",
            "Late: too long",
            True,
        ),
        (
            {"conditions": [condition("Failed", reason="Late", message="too long")]},
            "Failed",
            "Late: too long",
            False,
        ),
    ],
    ids=["new", "running", "complete", "not complete", "failed", "about to fail", "never run"],
)
def test_a_job_tells_how_it_ended(status: Json, outcome: str, message: str, has_run: bool) -> None:
    found = job_status(**status)
    assert (found.outcome, found.message, found.has_run) == (outcome, message, has_run)


def test_a_service_keeps_its_spec() -> None:
    body = make_object("Service", "fraud", spec={"selector": LABELS})
    assert project_service(dump(body)) == ServiceRecord(
        meta=meta("fraud"), spec=json.dumps({"selector": LABELS}).encode()
    )


def test_endpoints_count_as_ready_unless_they_say_otherwise() -> None:
    labels = LABELS | {"kubernetes.io/service-name": "fraud-a"}
    conditions: list[Json | None] = [{"ready": True}, {"ready": False}, {}, None]
    endpoints = [{"addresses": ["198.18.0.7"], "conditions": item} for item in conditions]
    body = make_object("EndpointSlice", "s", metadata={"labels": labels}, endpoints=endpoints)
    assert project_endpoints(dump(body)) == EndpointsRecord(
        meta=meta("s", labels=labels), service="fraud-a", ready=3
    )


def test_a_slice_may_have_no_endpoints_at_all() -> None:
    assert project_endpoints(dump(make_object("EndpointSlice", "s", endpoints=None))).ready == 0


def managed(manager: str, second: int, part: str = "f:spec", **fields: Any) -> dict[str, Any]:
    time = f"2026-01-01T00:00:{second:02}Z"
    return {"manager": manager, "time": time, "fieldsV1": {part: {"f:rules": {}}}, **fields}


@pytest.mark.parametrize("kind", ["HTTPRoute", "Service"])
def test_who_else_wrote_a_spec_is_kept_by_a_few_short_names(kind: str) -> None:
    entries = [
        managed("canarium", 9),
        managed("canarium-capacity", 9),
        managed("traefik", 9, "f:status", subresource="status"),
        managed("labeller", 9, "f:metadata"),
        managed("argocd-controller", 3),
        managed("kubectl\n-patch" + "x" * 200, 7),
        managed("third", 2),
        managed("fourth", 1),
        {"manager": "timeless", "fieldsV1": {"f:spec": {}}},
    ]
    body = make_object(kind, "fraud", spec={})
    body["metadata"]["managedFields"] = entries
    project = project_service if kind == "Service" else make_route_projection("HTTPRoute")
    name = "kubectl -patch" + "x" * 49
    assert project(dump(body)).writers == (name, "argocd-controller", "third")


def test_a_route_tells_what_each_gateway_says_and_about_which_generation() -> None:
    accepted = {
        "type": "Accepted",
        "status": "False",
        "reason": "NotAllowedByListeners",
        "message": "no",
        "observedGeneration": 4,
    }
    parent = {
        "parentRef": {"name": "public", "sectionName": "https"},
        "controllerName": "traefik.io/gateway-controller",
        "conditions": [accepted],
    }
    body = make_object("GRPCRoute", "fraud", spec={"rules": []}, status={"parents": [parent]})
    assert make_route_projection("GRPCRoute")(dump(body)) == RouteRecord(
        kind="GRPCRoute",
        meta=meta("fraud"),
        spec=b'{"rules": []}',
        parents=(
            RouteParent(
                name="public",
                namespace="risk",
                section_name="https",
                controller="traefik.io/gateway-controller",
                conditions=(RouteCondition("Accepted", "False", "NotAllowedByListeners", "no", 4),),
            ),
        ),
    )


@pytest.mark.parametrize(
    ("conditions", "programmed", "message"),
    [
        ([{"type": "Programmed", "status": "True"}], True, ""),
        ([{"type": "Programmed", "status": "False", "message": "no address"}], False, "no address"),
        ([{"type": "Accepted", "status": "False", "reason": "Invalid"}], False, "Invalid"),
        ([], False, ""),
    ],
)
def test_a_gateway_is_programmed_or_says_why_not(
    conditions: list[Json], programmed: bool, message: str
) -> None:
    body = make_object(
        "Gateway",
        "public",
        spec={"gatewayClassName": "traefik"},
        status={"conditions": conditions},
    )
    assert project_gateway(dump(body)) == GatewayRecord(
        meta=meta("public"), class_name="traefik", programmed=programmed, message=message
    )


@pytest.mark.parametrize("features", [["HTTPRoute", "GRPCRoute"], None])
@pytest.mark.parametrize("shape", [str, lambda name: {"name": name}], ids=["texts", "objects"])
def test_a_gateway_class_lists_its_features_in_the_shape_of_its_time(
    shape: Callable[[str], Any], features: list[str] | None
) -> None:
    listed = {"supportedFeatures": [shape(name) for name in features]} if features else {}
    accepted = [{"type": "Accepted", "status": "True"}]
    spec = {"controllerName": "example.com/controller"}
    body = make_object(
        "GatewayClass", "public", spec=spec, status={"conditions": accepted, **listed}
    )
    assert project_gateway_class(dump(body)) == GatewayClassRecord(
        meta=meta("public"),
        controller="example.com/controller",
        accepted=True,
        supported_features=tuple(features or ()),
    )


def test_a_revision_is_known_by_what_todays_normaliser_makes_of_its_source() -> None:
    source = {
        "model": {"version": "7"},
        "server": {"image": "registry/fraud:7", "metrics": {"port": 9000}},
    }
    digest, endpoint = make_digest("{}"), MetricsEndpoint(9000, "/metrics", "Prometheus")
    spec = {"source": source, "template": "{}", "digest": digest}
    status = {"outcome": "Stable", "startedAt": "2023-11-14T22:13:20Z"}
    record = project_revision(dump(make_object("ModelRevision", "r", spec=spec, status=status)))
    found = (record.version, record.image, record.metrics, record.digest, record.outcome)
    assert found == ("7", "registry/fraud:7", endpoint, digest, "Stable")
    assert (record.started_at, record.stable_at, record.rollout) == (1_700_000_000.0, None, None)
    assert json.loads(record.canonical)["server"]["image"] == "registry/fraud:7"


@pytest.mark.parametrize("source", [{"server": {"image": 7}}, {"server": []}, {"server": "x"}])
def test_a_revision_whose_source_makes_no_sense_is_none_that_a_spec_can_name(source: Json) -> None:
    spec = {"source": source, "template": "{}", "digest": "x"}
    record = project_revision(dump(make_object("ModelRevision", "r", spec=spec)))
    assert (
        record.canonical
        != project_revision(
            dump(make_object("ModelRevision", "r", spec={"source": {"server": {"image": "a"}}}))
        ).canonical
    )


@pytest.mark.parametrize(
    ("broken", "about"),
    [
        ({"source": {"server": "x"}}, "source of risk/r"),
        ({"source": SOURCE, "rollout": {"steps": "many"}}, "terms of risk/r"),
        ({"source": SOURCE, "rollout": {"steps": [{"hold": "soon"}]}}, "terms of risk/r"),
    ],
)
def test_what_cannot_be_read_of_a_revision_is_logged_once_and_counted(
    broken: Json, about: str, caplog: pytest.LogCaptureFixture
) -> None:
    metrics = Metrics()
    cache = Cache(*(lambda _key: None,) * 3, boundary=Boundary(metrics))
    raw = dump(make_object("ModelRevision", "r", spec=broken))

    for _ in range(3):
        record = cache.project("ModelRevision", raw)

    assert (record.meta.name, record.rollout) == ("r", None)
    assert [each.object for each in caplog.records] == [about]  # type: ignore[attr-defined]
    assert metrics.internal_errors.labels("Projecting")._value.get() == 3.0


def test_a_revision_that_can_be_read_is_noted_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    project_revision(dump(make_object("ModelRevision", "r", spec={"source": SOURCE})))
    assert caplog.records == []


def test_a_revision_tells_how_its_rollout_went() -> None:
    spec = {"source": {}, "origin": {"committedAt": "2023-11-14T20:13:20Z"}}
    status = {
        "outcome": "RolledBack",
        "reason": "ErrorRateTooHigh",
        "startedAt": "2023-11-14T21:13:20Z",
        "endedAt": "2023-11-14T22:13:20Z",
    }
    found = project_revision(dump(make_object("ModelRevision", "r", spec=spec, status=status)))
    assert (found.committed_at, found.started_at, found.ended_at) == (
        1_700_000_000.0 - 7200,
        1_700_000_000.0 - 3600,
        1_700_000_000.0,
    )
    assert (found.outcome, found.reason) == ("RolledBack", "ErrorRateTooHigh")


def test_a_model_brings_its_spec_its_commands_and_its_status() -> None:
    annotations = {
        "canarium.dev/promote": "5d8f7c9b64@1",
        "canarium.dev/unknown": "x",
        "team": "risk",
    }
    body = make_model(
        metadata={"annotations": annotations}, status={"phase": "Healthy", "observedGeneration": 1}
    )
    model = project_model(body)
    assert model.spec is not None
    assert (model.spec.image, model.problems) == ("registry/fraud:7", ())
    assert model.commands == {"promote": "5d8f7c9b64@1"}
    assert model.status == Status(observed_generation=1, phase="Healthy")


def test_a_model_brings_the_commands_of_every_verb() -> None:
    commands = {verb: f"5d8f7c9b64@{verb}" for verb in VERBS}
    annotations = {f"canarium.dev/{verb}": text for verb, text in commands.items()}
    assert project_model(make_model(metadata={"annotations": annotations})).commands == commands


@pytest.mark.parametrize("memory", [10**15, 10**16, 2**63 - 1, 0, "999999999999999E"])
def test_whatever_the_apiserver_takes_for_a_quantity_is_one(memory: int | str) -> None:
    resources = {
        "limits": {"memory": memory, "nvidia.com/gpu": memory},
        "requests": {"cpu": memory},
    }
    model = project_model(make_model(spec={"server": {"image": "x", "resources": resources}}))
    assert model.problems == ()


@pytest.mark.parametrize("memory", [1.5, 1e16, 2**63, -1, True, None, [], "10**16"])
def test_what_is_no_quantity_is_a_problem_of_its_field(memory: Any) -> None:
    resources = {"limits": {"memory": memory}, "requests": {"memory": 1}}
    model = project_model(make_model(spec={"server": {"image": "x", "resources": resources}}))
    fields = [problem.field for problem in model.problems]
    assert fields == ([] if memory is None else ["spec.server.resources.limits.memory"])


def test_what_nobody_foresaw_of_a_spec_is_its_own_problem(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def explode(*_: Any) -> None:
        raise OverflowError("\x1b[31mthe text of somebody else")

    monkeypatch.setattr("canarium.kube.informers.projections.models.parse_deployment", explode)
    monkeypatch.setattr("canarium.kube.informers.projections.models.make_origin", explode)
    body = make_model(status={"conditions": 7})
    model = project_model(body)
    (problem,) = model.problems
    assert problem.message.startswith("cannot be read by this version (OverflowError at ")
    assert "somebody" not in problem.message
    assert (model.spec, model.status, model.origin) == (None, Status(), Origin())
    assert {record.__dict__["object"] for record in caplog.records} == {"risk/fraud"}


def test_a_spec_that_cannot_be_used_comes_with_what_is_wrong() -> None:
    model = project_model(make_model(spec={"server": {"image": "x"}, "scaling": {"replicas": -1}}))
    assert model.spec is None
    assert model.problems
    assert all(isinstance(problem, Problem) for problem in model.problems)


def test_a_spec_is_parsed_again_only_for_a_new_generation() -> None:
    first = project_model(make_model())
    again = project_model(make_model(version=2), first)
    edited = project_model(make_model(version=3, generation=2), again)
    assert again.spec is first.spec
    assert edited.spec is not first.spec
    assert project_model(make_model(metadata={"uid": "next"}), first).spec is not first.spec


def entry(manager: str, at: str, owned: Json, **more: Any) -> Json:
    """One entry of managedFields, of an Update."""
    return {
        "manager": manager,
        "operation": "Update",
        "time": at,
        "fieldsV1": {"f:metadata": {"f:labels": {}}, **owned},
        **more,
    }


def test_a_model_tells_who_wrote_what_makes_its_revision() -> None:
    server: Json = {"f:spec": {"f:server": {"f:image": {}}}}
    replicas: Json = {"f:spec": {"f:scaling": {"f:replicas": {}}}}
    status: Json = {"f:status": {"f:phase": {}}}
    fields = [
        entry("argocd-controller", "2023-11-14T22:13:20Z", server),
        entry("kubectl-scale", "2023-11-14T22:13:30Z", replicas, subresource="scale"),
        entry("canarium", "2023-11-14T22:13:40Z", status, subresource="status"),
        {"manager": "kubectl-annotate", "operation": "Update"},
    ]
    said = {"kubernetes.io/change-cause": "retrained"}
    metadata = {"managedFields": fields, "annotations": said}

    model = project_model(make_model(generation=2, metadata=metadata))

    assert model.origin == Origin(
        2, "argocd-controller", "Update", 1_700_000_000.0, change_cause="retrained"
    )


YEARS_BEYOND_PYTHONS = ["0000-01-01T00:00:00Z", "10000-01-01T00:00:00Z"]
"The apiserver keeps both in managedFields, which whoever may update an object may write."


@pytest.mark.parametrize("written", YEARS_BEYOND_PYTHONS)
def test_a_model_whose_writer_gives_no_year_of_ours_has_a_writer_without_a_time(
    written: str,
) -> None:
    fields = [entry("kubectl-edit", written, {"f:spec": {"f:server": {}}})]
    boundary = Boundary(Metrics())

    model = project_model(make_model(metadata={"managedFields": fields}), None, boundary=boundary)

    assert model.origin == Origin(1, "kubectl-edit", "Update", None)


@pytest.mark.parametrize("written", YEARS_BEYOND_PYTHONS)
@pytest.mark.parametrize(
    "project", [project_deployment, project_service, make_route_projection("HTTPRoute")]
)
def test_no_writer_can_hide_an_object_by_the_year_that_it_gives(
    project: Callable[[bytes], Any], written: str
) -> None:
    body = make_object("Deployment", "fraud", spec={"template": {}})
    body["metadata"]["managedFields"] = [managed("kubectl", 1) | {"time": written}]
    assert project(dump(body)).meta.name == "fraud"


def test_an_origin_is_read_again_only_for_a_new_generation() -> None:
    server: Json = {"f:spec": {"f:server": {}}}
    first = project_model(make_model())
    touched = {"managedFields": [entry("kubectl-edit", "2023-11-14T22:13:20Z", server)]}
    again = project_model(make_model(version=2, metadata=touched), first)
    edited = project_model(make_model(version=3, generation=2, metadata=touched), again)
    assert first.origin == again.origin == Origin(generation=1)
    assert edited.origin == Origin(2, "kubectl-edit", "Update", 1_700_000_000.0)


def test_a_status_that_cannot_be_read_is_as_good_as_lost() -> None:
    status = {"rollout": "garbage"}
    assert project_model(make_model(status=status)).status == Status()


def make_altered(*entries: Json) -> Json:
    body = make_object("Deployment", f"fraud-{REVISION}", spec={"template": {}})
    body["metadata"]["managedFields"] = list(entries)
    return body


def wrote(manager: str, pods: Json, **about: Any) -> Json:
    """An entry of managedFields about the spec of a Deployment's pods."""
    written = {"f:spec": {"f:template": {"f:spec": pods}}}
    return {"manager": manager, "operation": "Update", "fieldsV1": written, **about}


EXTRA: Json = {"f:containers": {'k:{"name":"extra"}': {".": {}, "f:image": {}, "f:name": {}}}}
VARIABLE: Json = {"f:containers": {'k:{"name":"server"}': {"f:env": {}}}}


def test_what_others_wrote_of_a_deployments_pods_is_named_by_field_and_manager() -> None:
    volume: Json = {"f:volumes": {".": {}, 'k:{"name":"host"}': {".": {}, "f:hostPath": {}}}}
    body = make_altered(
        wrote("kubectl-edit", EXTRA | volume),
        wrote("webhook\n", {"f:tolerations": {}, "f:hostNetwork": {}}),
        wrote("kubectl-set", VARIABLE),
    )
    assert project_deployment(dump(body)).additions == (
        Addition("containers[extra]", "kubectl-edit"),
        Addition("volumes[host]", "kubectl-edit"),
        Addition("tolerations", "webhook"),
        Addition("hostNetwork", "webhook"),
        Addition("containers[server].env", "kubectl-set"),
    )


def test_what_we_wrote_ourselves_scaling_and_annotations_are_no_additions() -> None:
    """What a webhook does within our own request has our name; a restart is an annotation."""
    restart: Json = {"f:annotations": {"f:kubectl.kubernetes.io/restartedAt": {}}}
    annotated = {"f:spec": {"f:template": {"f:metadata": restart}}}
    body = make_altered(
        wrote("canarium", EXTRA),
        {"manager": "kubectl-rollout", "operation": "Update", "fieldsV1": annotated},
        {"manager": "hpa", "subresource": "scale", "fieldsV1": {"f:spec": {"f:replicas": {}}}},
        {"manager": "kube-controller-manager", "fieldsV1": {"f:status": {"f:replicas": {}}}},
        {"manager": "none"},
    )
    assert project_deployment(dump(body)).additions == ()


def test_of_very_many_additions_a_few_are_kept() -> None:
    many: Json = {f"f:field-{n}{'x' * 200}": {} for n in range(500)}
    found = project_deployment(dump(make_altered(wrote("m" * 500, many)))).additions
    assert len(found) == 5
    assert max(len(each.path) + len(each.manager) for each in found) <= 126
