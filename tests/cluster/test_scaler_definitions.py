"""Autoscalers and budgets as they are rendered, on a real apiserver with KEDA's definitions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from canarium.core.observed import Meta, ModelObject
from canarium.core.plan import ScalerKind
from canarium.core.spec import Scaling, ScalingMetric
from canarium.resources.autoscalers import Bounds, make_scaler
from canarium.resources.budget import make_budget

from testbed.cluster.cluster import Cluster
from testbed.cluster.fixtures import own_cluster
from testbed.programs.definitions import KEDA, apply_definitions, fetch_definitions
from testbed.programs.progress import Progress
from tests.naming import make_id

pytestmark = [pytest.mark.timeout(600), pytest.mark.xdist_group("control-plane")]
MODEL = ModelObject(Meta("risk", "m" * 52, "nobody", "1"), None)
BOUNDS = Bounds(make_id("one"), 1, 10)
CPU = ScalingMetric("cpu", "CPU", utilization=70)
LOAD = ScalingMetric("load", "RequestsPerSecond", average="20")
TRIGGERS = {"load": {"serverAddress": "http://prometheus:9090", "query": "sum(asked)"}}
BEHAVIOR = json.dumps({"scaleDown": {"stabilizationWindowSeconds": 60}})
CASES: dict[str, tuple[ScalerKind, Scaling]] = {
    "HPA": ("HorizontalPodAutoscaler", Scaling(1, 10, (CPU,), behavior=BEHAVIOR)),
    "KEDA": ("ScaledObject", Scaling(0, 10, (CPU, LOAD), behavior=BEHAVIOR)),
}


@pytest.fixture(scope="module")
def plane() -> Iterator[Cluster]:
    with own_cluster("control-plane") as cluster:
        apply_definitions(cluster, fetch_definitions(KEDA, Progress()))
        cluster.kubectl("create", "namespace", "risk")
        yield cluster


def write(plane: Cluster, body: dict[str, Any]) -> dict[str, Any]:
    """Apply an object strictly, without the owner, who is not there."""
    del body["metadata"]["ownerReferences"]
    how = ("--server-side", "--validate=strict", "-o", "json", "-f", "-")
    answer: dict[str, Any] = json.loads(plane.kubectl("apply", *how, stdin=json.dumps(body)))
    return answer


@pytest.mark.parametrize(("kind", "scaling"), CASES.values(), ids=CASES.keys())
def test_an_autoscaler_is_taken_as_it_is(
    plane: Cluster, kind: ScalerKind, scaling: Scaling
) -> None:
    body = make_scaler(kind, MODEL, BOUNDS, scaling, TRIGGERS)
    assert write(plane, body)["spec"].items() >= body["spec"].items()


def test_a_budget_is_taken_as_it_is(plane: Cluster) -> None:
    body = make_budget(MODEL, "10%")
    assert write(plane, body)["spec"].items() >= body["spec"].items()
