"""Gateways and their classes, and which fields the installed kinds of routes have."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import msgspec
from msgspec import Raw, field

from canarium.core.observed import DefinitionRecord, GatewayClassRecord, GatewayRecord
from canarium.core.plan import RouteKind
from canarium.kube.informers.projections.meta import (
    Condition,
    Object,
    Wire,
    find_condition,
    make_meta,
)

_ROUTE_VERSION = "v1"
"The version of Gateway API's kinds that is written."


class _GatewaySpec(Wire):
    gateway_class_name: str = ""


class _GatewayStatus(Wire):
    conditions: list[Condition] | None = None


class _Gateway(Object):
    spec: _GatewaySpec
    status: _GatewayStatus | None = None


class _Schema(Wire):
    """A part of a definition's schema: a field's own fields, or those of a list's items."""

    properties: dict[str, _Schema] | None = None
    items: _Schema | None = None


class _VersionSchema(Wire):
    whole: _Schema | None = field(name="openAPIV3Schema", default=None)


class _DefinitionVersion(Wire):
    name: str
    schema: _VersionSchema | None = None


class _DefinitionSpec(Wire):
    versions: list[_DefinitionVersion]


class _Definition(Object):
    spec: _DefinitionSpec


class _Feature(Wire):
    name: str = ""


class _GatewayClassSpec(Wire):
    controller_name: str = ""


class _GatewayClassStatus(Wire):
    conditions: list[Condition] | None = None
    supported_features: list[str | _Feature] | None = None


class _GatewayClass(Object):
    spec: _GatewayClassSpec
    status: _GatewayClassStatus | None = None


_decode_class = msgspec.json.Decoder(_GatewayClass).decode


_decode_gateway = msgspec.json.Decoder(_Gateway).decode


_decode_definition = msgspec.json.Decoder(_Definition).decode


def project_gateway_class(raw: bytes | Raw) -> GatewayClassRecord:
    """A GatewayClass; older versions list features as texts, newer ones as objects with a name."""
    wire = _decode_class(raw)
    status = wire.status or _GatewayClassStatus()
    accepted = find_condition(status.conditions, "Accepted")
    return GatewayClassRecord(
        meta=make_meta(wire.metadata),
        controller=wire.spec.controller_name,
        accepted=accepted is not None and accepted.status == "True",
        supported_features=tuple(
            item if isinstance(item, str) else item.name for item in status.supported_features or ()
        ),
    )


def make_definition_projection(kind: RouteKind) -> Callable[[bytes | Raw], DefinitionRecord]:
    """Make the projection of the definition of a kind of routes, in the version that we write."""

    def project(raw: bytes | Raw) -> DefinitionRecord:
        wire = _decode_definition(raw)
        versions = (item.schema for item in wire.spec.versions if item.name == _ROUTE_VERSION)
        rule = _find_rule(next(versions, None))
        return DefinitionRecord(make_meta(wire.metadata), kind, frozenset(_list_fields(rule)))

    return project


def _find_rule(schema: _VersionSchema | None) -> dict[str, _Schema]:
    """The fields of one of a route's rules."""
    found = schema.whole if schema else None
    for name in ("spec", "rules"):
        found = (found.properties or {}).get(name) if found else None
    return (found.items.properties or {}) if found and found.items else {}


def _list_fields(rule: Mapping[str, _Schema]) -> Iterator[str]:
    """Those that not every version has, each within another with that one's name."""
    yield from (name for name in ("name",) if name in rule)
    session = rule.get("sessionPersistence")
    yield from (f"sessionPersistence.{name}" for name in (session and session.properties) or ())


def project_gateway(raw: bytes | Raw) -> GatewayRecord:
    """A Gateway; while it isn't programmed, the first condition that is False has the words."""
    wire = _decode_gateway(raw)
    conditions = wire.status.conditions if wire.status else None
    programmed = find_condition(conditions, "Programmed")
    is_programmed = programmed is not None and programmed.status == "True"
    refusals = (c.message or c.reason for c in conditions or () if c.status == "False")
    return GatewayRecord(
        meta=make_meta(wire.metadata),
        class_name=wire.spec.gateway_class_name,
        programmed=is_programmed,
        message="" if is_programmed else next(refusals, ""),
    )
