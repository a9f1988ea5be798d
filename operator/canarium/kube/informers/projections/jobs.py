"""Jobs that judge: whether one has run, and how it ended."""

from __future__ import annotations

import msgspec
from msgspec import Raw

from canarium.core.observed import JobRecord
from canarium.kube.informers.projections.meta import (
    Condition,
    Object,
    Wire,
    find_condition,
    make_meta,
)


class _JobStatus(Wire):
    active: int = 0
    terminating: int = 0
    succeeded: int = 0
    failed: int = 0
    conditions: list[Condition] | None = None


class _Job(Object):
    status: _JobStatus | None = None


_decode_job = msgspec.json.Decoder(_Job).decode


def project_job(raw: bytes | Raw) -> JobRecord:
    """A Job; one that is going to fail (FailureTarget: its pods are being ended) has failed."""
    wire = _decode_job(raw)
    status = wire.status or _JobStatus()
    pods = status.active + status.terminating + status.succeeded + status.failed
    true = [item for item in status.conditions or () if item.status == "True"]
    failed = find_condition(true, "Failed") or find_condition(true, "FailureTarget")
    complete = find_condition(true, "Complete")
    return JobRecord(
        meta=make_meta(wire.metadata),
        outcome="Failed" if failed else "Complete" if complete else "",
        message=f"{failed.reason}: {failed.message}" if failed else "",
        has_run=pods > 0,
    )
