"""The objects that a ModelDeployment owns, as they are written."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from canarium.core.kinds import API_VERSIONS
from canarium.core.names import (
    API_VERSION,
    MODEL_LABEL,
    RESTART_ANNOTATION,
    REVISION_LABEL,
    child_name,
    make_digest,
    revision_selector,
)
from canarium.core.observed import ModelObject, RevisionRecord
from canarium.core.spec import Spec
from canarium.core.status import dump
from canarium.resources.pod_template import render_template


def make_meta(model: ModelObject, name: str, labels: Mapping[str, str]) -> dict[str, Any]:
    """Metadata of a child: its labels, and the owner that garbage collection follows."""
    owner = {
        "apiVersion": API_VERSION,
        "kind": "ModelDeployment",
        "name": model.meta.name,
        "uid": model.meta.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }
    return {
        "name": name,
        "namespace": model.meta.namespace,
        "labels": {"app.kubernetes.io/managed-by": "canarium", **labels},
        "ownerReferences": [owner],
    }


def make_model_revision(model: ModelObject, spec: Spec, revision: str) -> dict[str, Any]:
    """The ModelRevision: what it was made from, by whom, and what it renders to, immutable."""
    template = render_template(model.meta.name, revision, spec)
    labels = revision_selector(model.meta.name, revision)
    return {
        "apiVersion": API_VERSIONS["ModelRevision"],
        "kind": "ModelRevision",
        "metadata": make_meta(model, child_name(model.meta.name, revision), labels),
        "spec": {
            "modelDeployment": model.meta.name,
            "source": spec.source,
            "template": template,
            "digest": make_digest(template),
            "rollout": spec.rollout.raw,
            "origin": dump(model.origin),
        },
    }


ONE_BY_ONE = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
"Pods are replaced (for a restart) without ever being fewer, so no disruption budget is touched."


def make_deployment(
    model: ModelObject, record: RevisionRecord, restarted_at: str = ""
) -> dict[str, Any]:
    """A revision's Deployment, without replicas: those are the capacity manager's.

    `restarted_at` (RFC 3339, "" for never) goes onto the pods, so that a new one replaces them.
    """
    selector = revision_selector(model.meta.name, record.revision)
    template = json.loads(record.template)
    if restarted_at:
        meta = template["metadata"]
        meta["annotations"] = {**meta.get("annotations", {}), RESTART_ANNOTATION: restarted_at}
    return {
        "apiVersion": API_VERSIONS["Deployment"],
        "kind": "Deployment",
        "metadata": make_meta(model, record.meta.name, selector),
        "spec": {
            "revisionHistoryLimit": 1,
            "selector": {"matchLabels": selector},
            "strategy": ONE_BY_ONE,
            "template": template,
        },
    }


def make_capacity(name: str, namespace: str, replicas: int) -> dict[str, Any]:
    """What the capacity manager applies: a Deployment's replicas and nothing else."""
    return {
        "apiVersion": API_VERSIONS["Deployment"],
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"replicas": replicas},
    }


def make_service(
    model: ModelObject, name: str, revision: str, spec: Mapping[str, Any]
) -> dict[str, Any]:
    """A Service; `revision` is "" for the one that leads to the model."""
    labels = {MODEL_LABEL: model.meta.name, **({REVISION_LABEL: revision} if revision else {})}
    return {
        "apiVersion": API_VERSIONS["Service"],
        "kind": "Service",
        "metadata": make_meta(model, name, labels),
        "spec": dict(spec),
    }
