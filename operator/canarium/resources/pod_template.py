"""The pod template of a revision, rendered once from its source and never changed again.

What is set here without being asked for keeps requests whole and pods harmless: a drain before
the end, a probe, pods apart from each other, no service-account token, no privilege, nobody who is
root. So a pod is what Pod Security calls `restricted` (docs/adr/0009-restricted-by-default.md).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from canarium.core.names import GRPC_PORT_NAME, MODEL_LABEL, PORT_NAME, REVISION_LABEL
from canarium.core.normalise import canonical_json, normalise_source
from canarium.core.spec import Spec
from canarium.memo import TEMPLATES, remember
from canarium.resources.pod_defaults import make_readiness_probe, make_spreading

__all__ = ["canonical_json", "make_container", "make_pod_template", "make_safety"]

SERVER_NAME = "server"
NAME_LABEL = "app.kubernetes.io/name"
DRAIN_SECONDS = 5
"""A pod goes on answering this long after its end was asked for, while gateways forget it."""
GRACE_SECONDS = 30 + DRAIN_SECONDS
LAST_WORDS = "FallbackToLogsOnError"
"The end of a log goes with the pod; so the kubelet keeps it with how the container ended."
ROOT = 0
"Whoever writes this as runAsUser asks for root; the default would only keep the pod from starting."

_POD_FIELDS = (
    "affinity",
    "imagePullSecrets",
    "nodeSelector",
    "priorityClassName",
    "runtimeClassName",
    "serviceAccountName",
    "tolerations",
    "topologySpreadConstraints",
    "volumes",
)
_CONTAINER_FIELDS = (
    "args",
    "command",
    "env",
    "envFrom",
    "image",
    "imagePullPolicy",
    "livenessProbe",
    "readinessProbe",
    "resources",
    "startupProbe",
    "volumeMounts",
)
# Named one by one, so that nothing else gets through if a schema ever let it.
_CONTAINER_SECURITY = ("readOnlyRootFilesystem", "runAsGroup", "runAsNonRoot", "runAsUser")
_POD_SECURITY = (
    "fsGroup",
    "fsGroupChangePolicy",
    "runAsGroup",
    "runAsNonRoot",
    "runAsUser",
    "supplementalGroups",
)


def render_template(model: str, revision: str, spec: Spec) -> str:
    """The pod template of a new revision, as canonical JSON.

    `model` is the ModelDeployment's metadata.name and `revision` the id in the revision's label.
    """
    return _render(model, revision, json.dumps(spec.source, sort_keys=True))


@remember(TEMPLATES)
def _render(model: str, revision: str, source: str) -> str:
    return canonical_json(make_pod_template(json.loads(source), model=model, revision=revision))


def make_pod_template(source: Mapping[str, Any], *, model: str, revision: str) -> dict[str, Any]:
    """Render a PodTemplateSpec from a {model, server, pod} source.

    `model` is the ModelDeployment's metadata.name and `revision` the id in the revision's label.
    Sources that mean the same give the same template.
    """
    normal = normalise_source(source)
    server, pod = normal["server"], normal.get("pod", {})
    return {
        "metadata": _make_metadata(pod, model, revision),
        "spec": {
            **_pick(pod, _POD_FIELDS),
            **make_spreading(pod, model, revision),
            **make_safety(pod.get("securityContext", {})),
            "containers": [_make_server(server)],
            **_make_sidecars(pod),
            "terminationGracePeriodSeconds": pod.get(
                "terminationGracePeriodSeconds", GRACE_SECONDS
            ),
        },
    }


def make_safety(security: Mapping[str, Any]) -> dict[str, Any]:
    """What every pod of ours has in its spec, so that it has no power; `security` is its own."""
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": security.get("runAsUser") != ROOT,
            **_pick(security, _POD_SECURITY),
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }


def _make_metadata(pod: Mapping[str, Any], model: str, revision: str) -> dict[str, Any]:
    own = {MODEL_LABEL: model, REVISION_LABEL: revision}
    labels = {NAME_LABEL: model, **pod.get("labels", {}), **own}
    return {"labels": labels, **_pick(pod, ("annotations",))}


def _make_server(server: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "readinessProbe": make_readiness_probe(server),
        **make_container(server),
        "lifecycle": {"preStop": {"sleep": {"seconds": DRAIN_SECONDS}}},
        "name": SERVER_NAME,
        "ports": _make_ports(server),
        "terminationMessagePolicy": LAST_WORDS,
    }


def _make_ports(server: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The metrics get a port of their own name only when it isn't the server's own port."""
    ports = {PORT_NAME: server["port"]}
    if "grpcPort" in server:
        ports[GRPC_PORT_NAME] = server["grpcPort"]
    metrics_port = server.get("metrics", {}).get("port", server["port"])
    if metrics_port != server["port"]:
        ports["metrics"] = metrics_port
    return [
        {"containerPort": number, "name": name, "protocol": "TCP"} for name, number in ports.items()
    ]


def _make_sidecars(pod: Mapping[str, Any]) -> dict[str, Any]:
    """Sidecars are init containers that go on running, so that they outlive the server's drain."""
    sidecars = [_make_sidecar(sidecar) for sidecar in pod.get("sidecars", ())]
    return {"initContainers": sidecars} if sidecars else {}


def _make_sidecar(sidecar: Mapping[str, Any]) -> dict[str, Any]:
    ports = [{**port, "protocol": "TCP"} for port in sidecar.get("ports", ())]
    return {
        **make_container(sidecar),
        "name": sidecar["name"],
        "restartPolicy": "Always",
        "terminationMessagePolicy": LAST_WORDS,
        **({"ports": ports} if ports else {}),
    }


def make_container(container: Mapping[str, Any]) -> dict[str, Any]:
    """A container as it was written, of fields that are known, without any privilege."""
    security = container.get("securityContext", {})
    return {
        **_pick(container, _CONTAINER_FIELDS),
        "securityContext": {
            **({"runAsNonRoot": False} if security.get("runAsUser") == ROOT else {}),
            **_pick(security, _CONTAINER_SECURITY),
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        },
    }


def _pick(source: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: source[name] for name in names if name in source}
