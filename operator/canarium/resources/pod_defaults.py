"""What a pod gets where nobody asked for anything else: a readiness probe, and to be spread out.

In the rendered template only, never in a source: a new default is for new revisions alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from canarium.core.names import PORT_NAME, revision_selector

READY_PATHS: Mapping[str, str] = {
    "MLServer": "/v2/health/ready",
    "KServe": "/v2/health/ready",
    "Triton": "/v2/health/ready",
    "TorchServe": "/ping",
    "VLLM": "/health",
    "BentoML": "/readyz",
    "RayServe": "/-/healthz",
}
"""Where servers say that they are ready, by the profile of their metrics; where that is written is
in docs/scaling.md. TensorFlow Serving's has the model's name in it."""

GRPC_PORTS: Mapping[str, int] = {
    "MLServer": 8081,
    "KServe": 8081,
    "Triton": 8001,
    "TorchServe": 7070,
    "RayServe": 9000,
}
"Where they speak gRPC unless told otherwise, which no GET of a path is for."

PERIOD_SECONDS = 2
TIMEOUT_SECONDS = 5
"A busy server answers late and is no less ready; the kubelet's own 1 s would take it out then."

_ZONE = "topology.kubernetes.io/zone"
_NODE = "kubernetes.io/hostname"


def make_readiness_probe(server: Mapping[str, Any]) -> dict[str, Any]:
    """Ask a server that is known whether it is ready; of others, whether the port is open.

    `server` is that of a normalised source.
    """
    profile = server.get("metrics", {}).get("profile", "")
    path = READY_PATHS.get(profile)
    if path is None or server["port"] == GRPC_PORTS.get(profile):
        return {"periodSeconds": PERIOD_SECONDS, "tcpSocket": {"port": PORT_NAME}}
    return {
        "httpGet": {"path": path, "port": PORT_NAME},
        "periodSeconds": PERIOD_SECONDS,
        "timeoutSeconds": TIMEOUT_SECONDS,
    }


def make_spreading(pod: Mapping[str, Any], model: str, revision: str) -> dict[str, Any]:
    """Spread a revision's pods over nodes and over zones, where both are wished, not needed.

    Zones by affinity: a second constraint would make the scheduler overlook every node that is in
    no zone (docs/adr/0007-spreading.md). `pod` is that of a normalised source; whoever writes
    constraints of their own gets these alone.
    """
    if "topologySpreadConstraints" in pod:
        return {}
    selector = {"matchLabels": revision_selector(model, revision)}
    constraint = {
        "labelSelector": selector,
        "maxSkew": 1,
        "topologyKey": _NODE,
        "whenUnsatisfiable": "ScheduleAnyway",
    }
    return {
        "affinity": {"podAntiAffinity": _avoid_zones(selector), **pod.get("affinity", {})},
        "topologySpreadConstraints": [constraint],
    }


def _avoid_zones(selector: Mapping[str, Any]) -> dict[str, Any]:
    term = {"labelSelector": selector, "topologyKey": _ZONE}
    return {
        "preferredDuringSchedulingIgnoredDuringExecution": [
            {"podAffinityTerm": term, "weight": 100}
        ]
    }
