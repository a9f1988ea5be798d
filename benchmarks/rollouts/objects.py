"""The objects that the benchmark creates, and what rolling one of them means."""

from typing import Any

NAMESPACE = "bench"
GROUP_PATH = "/apis/canarium.dev/v1alpha1"
COLLECTION = f"{GROUP_PATH}/namespaces/{NAMESPACE}/modeldeployments"


def make_name(index: int) -> str:
    """The name of the object with this number, counted from 0."""
    return f"model-{index:04d}"


def make_object(index: int) -> dict[str, Any]:
    """Two replicas, 20 % for 1 s and 50 % for 1 s, no analysis, no guard, router Replicas."""
    return {
        "apiVersion": "canarium.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": make_name(index), "namespace": NAMESPACE},
        "spec": {
            "model": {"version": "1"},
            "server": {"image": "registry.example/model:1"},
            "scaling": {"replicas": 2},
            "rollout": {
                "steps": [
                    {"name": "twenty", "weight": 20, "hold": "1s"},
                    {"name": "fifty", "weight": 50, "hold": "1s"},
                ],
                "guard": {"duration": "0s"},
            },
        },
    }


def make_version_patch(version: int) -> dict[str, Any]:
    """The merge patch that asks for another version: a new revision, hence a rollout."""
    return {"spec": {"model": {"version": str(version)}}}
