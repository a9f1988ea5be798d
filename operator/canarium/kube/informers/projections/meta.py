"""What objects of every kind have: their metadata, and conditions."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Raw, Struct

from canarium.core.names import PREFIX
from canarium.core.observed import Meta, Owner


class Wire(Struct, rename="camel", gc=False):
    """What every wire shape shares: camel case outside, and no cycles for the collector."""


class _OwnerReference(Wire):
    kind: str = ""
    name: str = ""
    uid: str = ""
    controller: bool | None = None


class Metadata(Wire):
    """What is kept of metadata; the rest is never built."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    owner_references: list[_OwnerReference] | None = None
    deletion_timestamp: datetime | None = None
    creation_timestamp: datetime | None = None


class Object(Wire):
    """An object of any kind."""

    metadata: Metadata


class Condition(Wire):
    """One condition of a status, of whatever kind."""

    type: str = ""
    status: str = ""
    reason: str = ""
    message: str = ""
    observed_generation: int = 0


_decode_object = msgspec.json.Decoder(Object).decode


def project_meta(raw: bytes | Raw) -> Meta:
    """Only the metadata, of an object of any kind."""
    return make_meta(_decode_object(raw).metadata)


def make_meta(wire: Metadata, *, only_our_labels: bool = False) -> Meta:
    """The core's metadata; what many objects have in common is kept once."""
    labels = wire.labels or {}
    return Meta(
        namespace=sys.intern(wire.namespace),
        name=wire.name,
        uid=wire.uid,
        resource_version=wire.resource_version,
        generation=wire.generation,
        labels={
            sys.intern(key): sys.intern(value)
            for key, value in labels.items()
            if not only_our_labels or key.startswith(PREFIX)
        },
        owner=next(
            (_make_owner(ref) for ref in wire.owner_references or () if ref.controller), None
        ),
        deleting=wire.deletion_timestamp is not None,
        created_at=seconds(wire.creation_timestamp) or 0.0,
    )


def seconds(moment: datetime | None) -> float | None:
    """Epoch seconds."""
    return moment.timestamp() if moment is not None else None


def _make_owner(wire: _OwnerReference) -> Owner:
    return Owner(kind=sys.intern(wire.kind), name=sys.intern(wire.name), uid=sys.intern(wire.uid))


def find_condition(conditions: list[Condition] | None, kind: str) -> Condition | None:
    """The condition of a type, if there is one."""
    return next((item for item in conditions or () if item.type == kind), None)


Projection = Callable[[bytes | Raw], Any]
"""How a kind becomes a record."""
