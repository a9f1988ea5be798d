"""The disruption budget of a model: how many of its pods may be evicted at once."""

from __future__ import annotations

from typing import Any

from canarium.core.names import MODEL_LABEL
from canarium.core.observed import ModelObject
from canarium.core.resources.objects import make_meta


def make_budget(model: ModelObject, max_unavailable: str) -> dict[str, Any]:
    """One PodDisruptionBudget for all pods of a model."""
    name = model.meta.name
    most = int(max_unavailable) if max_unavailable.isdecimal() else max_unavailable
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": make_meta(model, name, {MODEL_LABEL: name}),
        "spec": {
            "maxUnavailable": most,
            "selector": {"matchLabels": {MODEL_LABEL: name}},
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    }
