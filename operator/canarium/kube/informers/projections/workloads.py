"""Deployments, and the ReplicaSets that tell whose a pod is."""

from __future__ import annotations

from dataclasses import replace

import msgspec
from msgspec import Raw

from canarium.core.names import REVISION_LABEL
from canarium.core.observed import DeploymentRecord, ReplicaSetRecord
from canarium.kube.informers.projections.managed_fields import WrittenMetadata, find_additions
from canarium.kube.informers.projections.meta import (
    Condition,
    Object,
    Wire,
    find_condition,
    make_meta,
)


class _DeploymentSpec(Wire):
    template: Raw
    replicas: int | None = None


class _Replicas(Wire):
    replicas: int | None = None


class _ReplicaSet(Object):
    spec: _Replicas
    status: _Replicas | None = None


class _DeploymentStatus(Wire):
    observed_generation: int = 0
    replicas: int = 0
    ready_replicas: int = 0
    conditions: list[Condition] | None = None


class _Deployment(Wire):
    metadata: WrittenMetadata
    spec: _DeploymentSpec
    status: _DeploymentStatus | None = None


_decode_deployment = msgspec.json.Decoder(_Deployment).decode


_decode_replica_set = msgspec.json.Decoder(_ReplicaSet).decode


def project_deployment(raw: bytes | Raw) -> DeploymentRecord:
    """A Deployment; the template stays the apiserver's own JSON."""
    wire = _decode_deployment(raw)
    status = wire.status or _DeploymentStatus()
    failure = find_condition(status.conditions, "ReplicaFailure")
    meta = make_meta(wire.metadata)
    return DeploymentRecord(
        meta=meta,
        revision=meta.labels.get(REVISION_LABEL, ""),
        replicas=1 if wire.spec.replicas is None else wire.spec.replicas,
        template=bytes(wire.spec.template),
        observed_generation=status.observed_generation,
        current_replicas=status.replicas,
        ready_replicas=status.ready_replicas,
        failure_message=failure.message if failure and failure.status == "True" else "",
        additions=find_additions(wire.metadata.managed_fields),
    )


def project_replica_set(raw: bytes | Raw) -> ReplicaSetRecord | None:
    """A ReplicaSet; None for one without pods, which most are: a revision of the history has one.

    Nothing of it is kept that changes when pods come and go.
    """
    wire = _decode_replica_set(raw)
    if not wire.spec.replicas and not (wire.status and wire.status.replicas):
        return None
    meta = make_meta(wire.metadata, only_our_labels=True)
    owner = meta.owner.uid if meta.owner else ""
    return ReplicaSetRecord(replace(meta, generation=0, owner=None), owner)
