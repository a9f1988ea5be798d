"""PromQL for what pods are counted by."""

from __future__ import annotations

from canarium.core.spec import ScalingMetric


def make_query(
    metric: ScalingMetric, profile: str, namespace: str, model: str, revision: str
) -> str:
    """Placeholder until the real one is merged."""
    return f"{metric.query}{profile}{namespace}{model}{revision}"
