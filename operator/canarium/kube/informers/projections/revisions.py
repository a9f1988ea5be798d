"""ModelRevisions: what was rolled out, by which terms, and what became of it."""

from __future__ import annotations

from datetime import datetime
from typing import Any, TypeAlias

import msgspec
from msgspec import UNSET, Raw, UnsetType

from canarium.api import parse_rollout
from canarium.api.modeldeployment.parsing import image_version
from canarium.core.names import REVISION_LABEL
from canarium.core.normalise import canonical_json, metrics_endpoint, normalise_source
from canarium.core.observed import Meta, RevisionRecord
from canarium.core.spec import MetricsEndpoint, RolloutSpec
from canarium.kube.boundary import Boundary
from canarium.kube.informers.projections.meta import Object, Wire, make_meta, seconds
from canarium.memo import TEMPLATES, remember


class _Origin(Wire):
    committed_at: datetime | None = None


class _RevisionSpec(Wire):
    source: Raw = Raw(b"{}")
    template: str = ""
    digest: str = ""
    rollout: dict[str, Any] | UnsetType = UNSET
    origin: _Origin | None = None


class _RevisionStatus(Wire):
    outcome: str = ""
    reason: str = ""
    ended_at: datetime | None = None
    started_at: datetime | None = None
    stable_at: datetime | None = None
    rollout: dict[str, Any] | UnsetType = UNSET


class _Revision(Object):
    spec: _RevisionSpec
    status: _RevisionStatus | None = None


_decode_revision = msgspec.json.Decoder(_Revision).decode


def project_revision(raw: bytes | Raw, boundary: Boundary | None = None) -> RevisionRecord:
    """A ModelRevision; one whose source makes no sense gets no canonical form, so matches none.

    `boundary` hears what was raised about its source, or about its copy of the rollout's terms.
    """
    wire = _decode_revision(raw)
    status = wire.status or _RevisionStatus()
    meta, boundary = make_meta(wire.metadata), boundary or Boundary()
    canonical, version, image, metrics = _make_source(meta, bytes(wire.spec.source), boundary)
    terms = wire.spec.rollout if status.rollout is UNSET else status.rollout
    return RevisionRecord(
        meta=meta,
        revision=meta.labels.get(REVISION_LABEL, ""),
        canonical=canonical,
        template=wire.spec.template,
        digest=wire.spec.digest,
        metrics=metrics,
        version=version,
        image=image,
        rollout=_make_rollout(meta, terms, boundary),
        outcome=status.outcome,
        started_at=seconds(status.started_at) or meta.created_at,
        stable_at=seconds(status.stable_at),
        ended_at=seconds(status.ended_at),
        reason=status.reason,
        committed_at=seconds(wire.spec.origin.committed_at) if wire.spec.origin else None,
    )


_Source: TypeAlias = tuple[str, str, str, MetricsEndpoint | None]
"The canonical form, version, image and metrics endpoint of a revision's source."


def _make_source(meta: Meta, raw: bytes, boundary: Boundary) -> _Source:
    try:
        return _read_source(raw)
    except Exception as error:  # noqa: BLE001 - whatever it is, it makes no sense
        boundary.note("Projecting", f"source of {meta.namespace}/{meta.name}", error)
        return "", "", "", None


@remember(TEMPLATES)
def _read_source(raw: bytes) -> _Source:
    normal = normalise_source(msgspec.json.decode(raw))
    found, image = metrics_endpoint(normal), str(normal["server"].get("image") or "")
    version = str(normal.get("model", {}).get("version") or "") or image_version(image)
    endpoint = None if found is None else MetricsEndpoint(**found)
    return canonical_json(normal), version, image, endpoint


def _make_rollout(
    meta: Meta, raw: dict[str, Any] | UnsetType, boundary: Boundary
) -> RolloutSpec | None:
    """The terms that a rollout was begun by; without those that can be read the spec's hold."""
    if raw is UNSET:
        return None
    try:
        return parse_rollout(raw)
    except Exception as error:  # noqa: BLE001 - one object must not stop the others
        boundary.note("Projecting", f"terms of {meta.namespace}/{meta.name}", error)
        return None
