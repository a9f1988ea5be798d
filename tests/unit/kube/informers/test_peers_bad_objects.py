"""Objects by which peers' controllers were stopped for everybody, read by ours.

Each names the public report; what happened there is in a word or two beside it.
"""

import json
from typing import Any

import pytest
from canarium.kube.informers.projections.autoscalers import make_scaler_projection
from canarium.kube.informers.projections.jobs import project_job
from canarium.kube.informers.projections.models import project_model
from canarium.kube.informers.projections.pods import project_pod
from canarium.kube.informers.projections.revisions import project_revision
from canarium.kube.informers.projections.routes import make_route_projection
from canarium.kube.informers.projections.templates import make_template_projection
from canarium.kube.informers.projections.workloads import project_deployment

from tests.unit.kube.wire import make_model


@pytest.mark.parametrize("cpu", ["500 m", "asdfadsf", ""])
def test_a_quantity_that_is_none_is_a_problem_of_its_object(cpu: str) -> None:
    """argo-rollouts#800 and #1045: the controller panics, and again after each restart."""
    resources = {"requests": {"cpu": cpu}, "limits": {"cpu": "1"}}
    model = project_model(make_model(spec={"server": {"image": "x", "resources": resources}}))
    assert [each.field for each in model.problems] == ["spec.server.resources.requests.cpu"]


@pytest.mark.parametrize("annotations", [{}, None])
def test_annotations_that_are_empty_or_null_are_none(annotations: Any) -> None:
    """flagger#1277: an Ingress with `annotations: {}` panics what goes over all canaries."""
    model = project_model(make_model(metadata={"annotations": annotations}))
    assert (model.problems, model.commands) == ((), {})


EMPTY: dict[str, Any] = {"metadata": {"name": "x", "namespace": "risk"}, "spec": {}}


@pytest.mark.parametrize(
    ("project", "body"),
    [
        # keda#4207, #5222 and #7332: an autoscaler whose target lacks a kind or a version.
        (make_scaler_projection("ScaledObject"), EMPTY),
        (
            make_scaler_projection("ScaledObject"),
            EMPTY | {"spec": {"scaleTargetRef": {"name": "x"}}},
        ),
        (make_scaler_projection("HorizontalPodAutoscaler"), EMPTY | {"status": {}}),
        # cert-manager#9118: a failed one without any condition.
        (project_job, EMPTY | {"status": {"failed": 1}}),
        (project_revision, EMPTY | {"status": {"endedAt": "2026-01-01T00:00:00Z"}}),
        (project_pod, EMPTY | {"status": {"containerStatuses": [{}]}}),
        (make_route_projection("HTTPRoute"), EMPTY | {"status": {"parents": []}}),
        (project_deployment, EMPTY | {"spec": {"template": {}}, "status": {}}),
        (make_template_projection("MetricTemplate"), EMPTY),
    ],
)
def test_what_lacks_everything_that_may_be_lacking_is_read(project: Any, body: Any) -> None:
    assert project(json.dumps(body).encode()).meta.name == "x"
