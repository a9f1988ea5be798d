"""Pods: what the scheduler, the kubelet and each container say."""

from __future__ import annotations

import sys

import msgspec
from msgspec import Raw, field

from canarium.core.names import REVISION_LABEL
from canarium.core.observed import ContainerState, PodRecord
from canarium.core.text import last_words
from canarium.kube.informers.projections.meta import (
    Condition,
    Object,
    Wire,
    find_condition,
    make_meta,
)


class _Waiting(Wire):
    reason: str = ""
    message: str = ""


class _Terminated(Wire):
    reason: str = ""
    message: str = ""
    exit_code: int | None = None


class _State(Wire):
    waiting: _Waiting | None = None
    terminated: _Terminated | None = None


class _ContainerStatus(Wire):
    name: str = ""
    ready: bool = False
    restart_count: int = 0
    image_id: str = field(default="", name="imageID")
    state: _State | None = None
    last_state: _State | None = None


class _PodStatus(Wire):
    phase: str = ""
    reason: str = ""
    pod_ip: str = field(default="", name="podIP")
    conditions: list[Condition] | None = None
    container_statuses: list[_ContainerStatus] | None = None
    init_container_statuses: list[_ContainerStatus] | None = None


class _PodSpec(Wire):
    node_name: str = ""


class _Pod(Object):
    spec: _PodSpec
    status: _PodStatus | None = None


_decode_pod = msgspec.json.Decoder(_Pod).decode


def project_pod(raw: bytes | Raw) -> PodRecord:
    """A pod; of its labels only ours are kept, since there are many pods."""
    wire = _decode_pod(raw)
    status = wire.status or _PodStatus()
    ready = find_condition(status.conditions, "Ready")
    scheduled = find_condition(status.conditions, "PodScheduled")
    is_scheduled = bool(wire.spec.node_name)
    meta = make_meta(wire.metadata, only_our_labels=True)
    return PodRecord(
        meta=meta,
        revision=meta.labels.get(REVISION_LABEL, ""),
        phase=sys.intern(status.phase or "Pending"),
        ip=status.pod_ip,
        node=sys.intern(wire.spec.node_name),
        ready=ready is not None and ready.status == "True",
        scheduled=is_scheduled,
        scheduling_message=scheduled.message if scheduled and not is_scheduled else "",
        reason=status.reason,
        containers=(
            *(_make_container(item, init=True) for item in status.init_container_statuses or ()),
            *(_make_container(item) for item in status.container_statuses or ()),
        ),
    )


def _make_container(wire: _ContainerStatus, *, init: bool = False) -> ContainerState:
    state, last = wire.state or _State(), wire.last_state or _State()
    waiting = state.waiting or _Waiting()
    terminated = state.terminated or last.terminated or _Terminated()
    return ContainerState(
        name=sys.intern(wire.name),
        init=init,
        ready=wire.ready,
        restarts=wire.restart_count,
        waiting_reason=waiting.reason,
        waiting_message=waiting.message,
        terminated_reason=terminated.reason,
        terminated_exit_code=terminated.exit_code,
        terminated_message=last_words(terminated.message),
        image_id=sys.intern(wire.image_id),
    )
