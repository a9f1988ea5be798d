"""The autoscalers of a revision as they are written: a HorizontalPodAutoscaler or a ScaledObject.

Every field that Kubernetes would fill in by itself is written out, so that taking something out of
the spec is a difference that can be seen.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from canarium.core.kinds import API_VERSIONS
from canarium.core.names import child_name, revision_selector
from canarium.core.observed import ModelObject
from canarium.core.plan import ScalerKind
from canarium.core.quantities import canonical_quantity
from canarium.core.spec import Scaling, ScalingMetric
from canarium.resources.objects import make_meta
from canarium.resources.pod_template import SERVER_NAME

POLLING_SECONDS = 5
"How often KEDA looks whether a model at zero pods is wanted; its own 30 s would be a long wait."
KINDS: Mapping[ScalerKind, str] = {"HorizontalPodAutoscaler": "HPA", "ScaledObject": "KEDA"}
"What each is called in reasons and by people."
RESOURCES: Mapping[str, str] = {"CPU": "cpu", "Memory": "memory"}
"What Kubernetes itself measures, by both names; the other types are asked of a Prometheus."
_BEHAVIOR: Mapping[str, Mapping[str, Any]] = {
    "scaleUp": {
        "policies": [
            {"type": "Pods", "value": 4, "periodSeconds": 15},
            {"type": "Percent", "value": 100, "periodSeconds": 15},
        ],
        "selectPolicy": "Max",
        "stabilizationWindowSeconds": 0,
    },
    "scaleDown": {
        "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}],
        "selectPolicy": "Max",
        "stabilizationWindowSeconds": 300,
    },
}
"Kubernetes' own, from the reference of HorizontalPodAutoscaler v2."


@dataclass(frozen=True, slots=True)
class Bounds:
    """Between how many pods one revision is scaled: from `floor` (at rest the smallest size)."""

    revision: str
    floor: int
    most: int


def make_scaler(
    kind: ScalerKind,
    model: ModelObject,
    bounds: Bounds,
    scaling: Scaling,
    triggers: Mapping[str, Mapping[str, str]],
) -> dict[str, Any]:
    """A revision's autoscaler, named as its Deployment.

    `triggers` has, by the metric's name, what KEDA is to ask: serverAddress and query.
    """
    frame = make_frame(kind, model, bounds.revision)
    target = {
        "apiVersion": API_VERSIONS["Deployment"],
        "kind": "Deployment",
        "name": frame["metadata"]["name"],
    }
    spec = (
        _make_hpa(bounds, scaling)
        if kind == "HorizontalPodAutoscaler"
        else _make_scaled_object(bounds, scaling, triggers)
    )
    return {**frame, "spec": {"scaleTargetRef": target, **spec}}


def make_frame(kind: ScalerKind, model: ModelObject, revision: str) -> dict[str, Any]:
    """An autoscaler without its spec."""
    name = child_name(model.meta.name, revision)
    return {
        "apiVersion": API_VERSIONS[kind],
        "kind": kind,
        "metadata": make_meta(model, name, revision_selector(model.meta.name, revision)),
    }


def make_behavior(scaling: Scaling) -> dict[str, Any]:
    """How fast is scaled: what was asked for over what Kubernetes does by itself."""
    given = json.loads(scaling.behavior) if scaling.behavior else {}
    return {way: {**_BEHAVIOR[way], **given.get(way, {})} for way in _BEHAVIOR}


def _make_hpa(bounds: Bounds, scaling: Scaling) -> dict[str, Any]:
    return {
        "minReplicas": bounds.floor,
        "maxReplicas": bounds.most,
        "metrics": [_make_resource(metric) for metric in scaling.metrics],
        "behavior": make_behavior(scaling),
    }


def _make_resource(metric: ScalingMetric) -> dict[str, Any]:
    """The server's container alone: sidecars have loads of their own."""
    if metric.utilization:
        target = {"type": "Utilization", "averageUtilization": metric.utilization}
    else:
        target = {"type": "AverageValue", "averageValue": canonical_quantity(metric.average)}
    named = {"name": RESOURCES[metric.type], "container": SERVER_NAME, "target": target}
    return {"type": "ContainerResource", "containerResource": named}


def _make_scaled_object(
    bounds: Bounds, scaling: Scaling, triggers: Mapping[str, Mapping[str, str]]
) -> dict[str, Any]:
    return {
        "minReplicaCount": bounds.floor,
        "maxReplicaCount": bounds.most,
        "cooldownPeriod": int(scaling.idle_seconds),
        "initialCooldownPeriod": int(scaling.idle_seconds),  # or a fresh one takes all pods at once
        "pollingInterval": POLLING_SECONDS,
        "advanced": {
            "horizontalPodAutoscalerConfig": {"behavior": make_behavior(scaling)},
            "restoreToOriginalReplicaCount": False,
        },
        "triggers": list(_make_triggers(scaling, triggers)),
    }


def _make_triggers(
    scaling: Scaling, triggers: Mapping[str, Mapping[str, str]]
) -> Iterator[dict[str, Any]]:
    for metric in scaling.metrics:
        if metric.type in RESOURCES:
            by_share = metric.utilization > 0
            value = str(metric.utilization) if by_share else canonical_quantity(metric.average)
            yield {
                "name": metric.name,
                "type": RESOURCES[metric.type],
                "metricType": "Utilization" if by_share else "AverageValue",
                "metadata": {"containerName": SERVER_NAME, "value": value},
            }
        else:
            yield {
                "name": metric.name,
                "type": "prometheus",
                "metricType": "AverageValue",
                # No figure is no load of 0: busy pods that nobody scrapes would be taken.
                "metadata": {
                    **triggers[metric.name],
                    "ignoreNullValues": "false",
                    "threshold": metric.average,
                },
            }


def find_kind(scaling: Scaling) -> ScalerKind:
    """Which kind is meant, wherever it is installed; engine None is not asked."""
    plain = all(metric.type in RESOURCES for metric in scaling.metrics) and scaling.min_replicas
    by_keda = scaling.engine == "KEDA" or (scaling.engine == "Auto" and not plain)
    return "ScaledObject" if by_keda else "HorizontalPodAutoscaler"
