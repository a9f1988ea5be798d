"""Routes of ours of every kind, each with what gateways say of it."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from msgspec import Raw

from canarium.core.observed import RouteCondition, RouteParent, RouteRecord
from canarium.core.plan import RouteKind
from canarium.core.spec import GATEWAY_GROUP
from canarium.kube.informers.projections.managed_fields import WrittenMetadata, find_writers
from canarium.kube.informers.projections.meta import Condition, Wire, make_meta


class ParentReference(Wire):
    """What a route attaches to, as Gateway API says it."""

    name: str = ""
    namespace: str | None = None
    section_name: str | None = None
    port: int | None = None
    kind: str | None = None
    group: str | None = None


class _Parent(Wire):
    parent_ref: ParentReference
    controller_name: str = ""
    conditions: list[Condition] | None = None


class _RouteStatus(Wire):
    parents: list[_Parent] | None = None


class _Route(Wire):
    metadata: WrittenMetadata
    spec: Raw
    status: _RouteStatus | None = None


_decode_route = msgspec.json.Decoder(_Route).decode


def make_route_projection(kind: RouteKind) -> Callable[[bytes | Raw], RouteRecord]:
    """Make the projection of routes of a kind, each with what gateways say of it."""

    def project(raw: bytes | Raw) -> RouteRecord:
        wire = _decode_route(raw)
        parents = wire.status.parents if wire.status else None
        return RouteRecord(
            meta=make_meta(wire.metadata),
            spec=bytes(wire.spec),
            parents=tuple(_make_parent(item, wire.metadata.namespace) for item in parents or ()),
            kind=kind,
            writers=find_writers(wire.metadata.managed_fields),
        )

    return project


def _make_parent(wire: _Parent, namespace: str) -> RouteParent:
    return RouteParent(
        name=wire.parent_ref.name,
        namespace=wire.parent_ref.namespace or namespace,
        section_name=wire.parent_ref.section_name,
        controller=wire.controller_name,
        conditions=tuple(
            RouteCondition(
                type=item.type,
                status=item.status,
                reason=item.reason,
                message=item.message,
                observed_generation=item.observed_generation,
            )
            for item in wire.conditions or ()
        ),
        port=wire.parent_ref.port,
        kind=wire.parent_ref.kind or "Gateway",
        group=GATEWAY_GROUP if wire.parent_ref.group is None else wire.parent_ref.group,
    )
