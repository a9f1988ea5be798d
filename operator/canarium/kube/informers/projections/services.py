"""Services, and which of their endpoints are ready."""

from __future__ import annotations

import msgspec
from msgspec import Raw

from canarium.core.observed import EndpointsRecord, ServiceRecord
from canarium.kube.informers.projections.managed_fields import WrittenMetadata, find_writers
from canarium.kube.informers.projections.meta import Object, Wire, make_meta

SERVICE_NAME_LABEL = "kubernetes.io/service-name"


class _Service(Wire):
    metadata: WrittenMetadata
    spec: Raw


class _EndpointConditions(Wire):
    ready: bool | None = None


class _Endpoint(Wire):
    conditions: _EndpointConditions | None = None


class _EndpointSlice(Object):
    endpoints: list[_Endpoint] | None = None


_decode_service = msgspec.json.Decoder(_Service).decode


_decode_slice = msgspec.json.Decoder(_EndpointSlice).decode


def project_service(raw: bytes | Raw) -> ServiceRecord:
    """A Service; its spec stays the apiserver's own JSON."""
    wire = _decode_service(raw)
    return ServiceRecord(
        meta=make_meta(wire.metadata),
        spec=bytes(wire.spec),
        writers=find_writers(wire.metadata.managed_fields),
    )


def project_endpoints(raw: bytes | Raw) -> EndpointsRecord:
    """An EndpointSlice; an endpoint that doesn't say whether it is ready counts as ready."""
    wire = _decode_slice(raw)
    meta = make_meta(wire.metadata)
    return EndpointsRecord(
        meta=meta,
        service=meta.labels.get(SERVICE_NAME_LABEL, ""),
        ready=sum(_is_ready(endpoint) for endpoint in wire.endpoints or ()),
    )


def _is_ready(endpoint: _Endpoint) -> bool:
    return endpoint.conditions is None or endpoint.conditions.ready is not False
