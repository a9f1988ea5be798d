"""Autoscalers as records, and whose concern one is.

All autoscalers of a namespace are looked at, since somebody's own may aim at what is ours; those
that concern no ModelDeployment are not kept.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import msgspec
from msgspec import Raw

from canarium.core.names import API_VERSION, MODEL_LABEL, REVISION_ID_LENGTH
from canarium.core.observed import ScalerCondition, ScalerRecord
from canarium.core.plan import ScalerKind
from canarium.kube.informers.projections.meta import Condition, Wire, project_meta
from canarium.kube.informers.store import Key

OF_A_REVISION = re.compile(rf"(?P<model>.+)-[0-9a-f]{{{REVISION_ID_LENGTH}}}")
"The names of Deployments that may be a revision's (`core.names.child_name`)."
TARGETS = {"ModelDeployment": API_VERSION.partition("/")[0], "Deployment": "apps"}
"The kinds that an autoscaler of our concern aims at, and their API groups."


class _Target(Wire):
    """A scaleTargetRef; only ScaledObjects may leave the kind out."""

    api_version: str = ""
    kind: str = "Deployment"
    name: str = ""


class _Aim(Wire):
    """Somebody else's autoscaler may lack even this; then it aims at nothing."""

    scale_target_ref: _Target | None = None


class _Status(Wire):
    conditions: list[Condition] | None = None


class _Scaler(Wire):
    spec: Raw
    status: _Status | None = None


_decode_scaler = msgspec.json.Decoder(_Scaler).decode
_decode_aim = msgspec.json.Decoder(_Aim).decode


def make_scaler_projection(kind: ScalerKind) -> Callable[[bytes | Raw], ScalerRecord]:
    """Make the projection of one kind of autoscalers; the spec stays the apiserver's own JSON.

    What aims at a kind of the same name in somebody else's API group has no target.
    """

    def project(raw: bytes | Raw) -> ScalerRecord:
        wire = _decode_scaler(raw)
        target = _find_target(_decode_aim(wire.spec).scale_target_ref or _Target())
        conditions = wire.status.conditions if wire.status else None
        return ScalerRecord(
            meta=project_meta(raw),
            kind=kind,
            target_kind=target.kind,
            target_name=target.name,
            spec=bytes(wire.spec),
            conditions=tuple(
                ScalerCondition(item.type, item.status, item.reason, item.message)
                for item in conditions or ()
            ),
        )

    return project


def scaler_key(record: ScalerRecord) -> Key | None:
    """The ModelDeployment that an autoscaler concerns; None when it concerns none.

    One of a ModelDeployment's own belongs to it, wherever it aims; anybody else's concerns what it
    aims at, and the labels are only asked where that is nothing of ours.
    """
    meta, labelled = record.meta, record.meta.labels.get(MODEL_LABEL, "")
    is_child = meta.owner is not None and meta.owner.kind == "ModelDeployment"
    model = (is_child and labelled) or _find_model(record) or labelled
    return (meta.namespace, model) if model else None


def _find_target(target: _Target) -> _Target:
    group = target.api_version.partition("/")[0]
    return target if group in ("", TARGETS.get(target.kind, group)) else _Target(kind="")


def _find_model(record: ScalerRecord) -> str:
    """The model whose object, or whose revision by its name, an autoscaler aims at."""
    if record.target_kind == "ModelDeployment":
        return record.target_name
    named = OF_A_REVISION.fullmatch(record.target_name)
    return named["model"] if named and record.target_kind == "Deployment" else ""
