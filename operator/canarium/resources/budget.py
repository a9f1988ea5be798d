"""The disruption budget of a model: how many of its pods a drain of nodes may take at a time."""

from __future__ import annotations

from typing import Any

from canarium.core.kinds import API_VERSIONS
from canarium.core.names import MODEL_LABEL
from canarium.core.observed import ModelObject
from canarium.resources.objects import make_meta


def make_budget(model: ModelObject, max_unavailable: str) -> dict[str, Any]:
    """The PodDisruptionBudget for all pods of a model, whatever their revision.

    `max_unavailable` is a number of pods or a share in percent ("10%"), rounded up. A pod that
    isn't ready may always go: it serves nobody, and a node could not be drained while it crashes.
    The pods of Jobs that judge have another label.
    """
    own = {MODEL_LABEL: model.meta.name}
    most = int(max_unavailable) if max_unavailable.isdecimal() else max_unavailable
    return {
        "apiVersion": API_VERSIONS["PodDisruptionBudget"],
        "kind": "PodDisruptionBudget",
        "metadata": make_meta(model, model.meta.name, own),
        "spec": {
            "maxUnavailable": most,
            "selector": {"matchLabels": own},
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    }
