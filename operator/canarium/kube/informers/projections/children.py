"""Children of which only the spec matters, such as a PodDisruptionBudget."""

from __future__ import annotations

import msgspec
from msgspec import Raw

from canarium.core.observed import ChildRecord
from canarium.kube.informers.projections.meta import Object, make_meta


class _Child(Object):
    spec: Raw


_decode_child = msgspec.json.Decoder(_Child).decode


def project_child(raw: bytes | Raw) -> ChildRecord:
    """A child; its spec stays the apiserver's own JSON."""
    wire = _decode_child(raw)
    return ChildRecord(make_meta(wire.metadata), bytes(wire.spec))
