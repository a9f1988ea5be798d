"""Routes that anybody writes: what each asks for, of which models learn what they don't get."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice, product
from typing import cast, get_args

import msgspec
from msgspec import Raw

from canarium.core.observed import Claim, Demand, Meta, NeighbourRecord
from canarium.core.spec import GATEWAY_GROUP, ParentKind, ParentRef, PathMatch
from canarium.kube.informers.projections.meta import Object, Wire, make_meta
from canarium.kube.informers.projections.routes import ParentReference

PARENT_KINDS = frozenset(get_args(ParentKind))


COMPARED = frozenset({"PathPrefix", "Exact"})


UNCOMPARED = "RegularExpression"
"Kinds of paths of which one can be said to lie within another, and the one of which not."


MOST_DEMANDS = 64


MOST_OF_A_PATH = 256
"How much of somebody else's route is kept, so that nobody fills the memory with theirs."


class _PathMatch(Wire):
    type: str = "PathPrefix"
    value: str = "/"


class _MethodMatch(Wire):
    type: str = "Exact"
    service: str = ""
    method: str = ""


class _HttpMatch(Wire):
    path: _PathMatch | None = None
    method: str | None = None
    headers: list[Raw] | None = None
    query_params: list[Raw] | None = None


class _GrpcMatch(Wire):
    method: _MethodMatch | None = None
    headers: list[Raw] | None = None


class _HttpRule(Wire):
    matches: list[_HttpMatch] | None = None


class _GrpcRule(Wire):
    matches: list[_GrpcMatch] | None = None


class _DemandingSpec(Wire):
    parent_refs: list[ParentReference] | None = None
    hostnames: list[str] | None = None


class _HttpSpec(_DemandingSpec):
    rules: list[_HttpRule] | None = None


class _GrpcSpec(_DemandingSpec):
    rules: list[_GrpcRule] | None = None


class _HttpNeighbour(Object):
    spec: _HttpSpec


class _GrpcNeighbour(Object):
    spec: _GrpcSpec


_decode_http = msgspec.json.Decoder(_HttpNeighbour).decode


_decode_grpc = msgspec.json.Decoder(_GrpcNeighbour).decode


def project_http_neighbour(raw: bytes | Raw) -> NeighbourRecord:
    """What an HTTPRoute asks for, without paths by regular expressions: none can be compared."""
    wire = _decode_http(raw)
    matches = (match for rule in wire.spec.rules or () for match in rule.matches or (_HttpMatch(),))
    found = (
        (
            PathMatch(match.path.type, match.path.value) if match.path else PathMatch(),
            bool(match.headers or match.query_params or match.method),
        )
        for match in matches
    )
    return NeighbourRecord(_about(wire), "HTTPRoute", _list_demands(wire, wire.spec, found, "HTTP"))


def project_grpc_neighbour(raw: bytes | Raw) -> NeighbourRecord:
    """What a GRPCRoute asks for; gRPC's path is /service/method."""
    wire = _decode_grpc(raw)
    matches = (match for rule in wire.spec.rules or () for match in rule.matches or (_GrpcMatch(),))
    found = ((_make_grpc_path(match.method), bool(match.headers)) for match in matches)
    return NeighbourRecord(_about(wire), "GRPCRoute", _list_demands(wire, wire.spec, found, "GRPC"))


def _about(wire: Object) -> Meta:
    return make_meta(wire.metadata, only_our_labels=True)


def _make_grpc_path(method: _MethodMatch | None) -> PathMatch:
    """The path of a call; a method of any service is nothing that a prefix could say."""
    if method is None:
        return PathMatch()
    if method.type != "Exact" or not method.service:
        return PathMatch(UNCOMPARED)
    path = f"/{method.service}"
    return PathMatch("Exact", f"{path}/{method.method}") if method.method else PathMatch(value=path)


def _list_demands(
    wire: Object,
    spec: _DemandingSpec,
    matches: Iterable[tuple[PathMatch, bool]],
    protocol: str,
) -> tuple[Demand, ...]:
    """Each parent with each host name and match, as far as they are compared and of some size."""
    fit = ((p, n) for p, n in matches if p.type in COMPARED and len(p.value) <= MOST_OF_A_PATH)
    parents = (_make_ref(ref, wire.metadata.namespace) for ref in spec.parent_refs or ())
    known = [ref for ref in parents if ref is not None]
    each = product(known, spec.hostnames or ("",), fit)
    return tuple(
        Demand(Claim(ref, hostname, path, protocol), narrowed)
        for ref, hostname, (path, narrowed) in islice(each, MOST_DEMANDS)
    )


def _make_ref(wire: ParentReference, namespace: str) -> ParentRef | None:
    kind, group = wire.kind or "Gateway", GATEWAY_GROUP if wire.group is None else wire.group
    if kind not in PARENT_KINDS:
        return None
    home = wire.namespace or namespace
    ref = ParentRef(wire.name, home, wire.section_name, wire.port, cast("ParentKind", kind))
    return ref if ref.group == group else None
