"""What a plan may ask of the shell: values that one can print, test and compare."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from canarium.core.kinds import KINDS
from canarium.core.metrics import MetricQuery
from canarium.core.receivers import FIRST, Notice
from canarium.core.spec import MetricsEndpoint, Protocol
from canarium.judge.metrics import Metric

RouteKind: TypeAlias = str
"A kind of a router's, which its file in `canarium.routing` names."
GatewayKind: TypeAlias = str
"Whose gateway counts: the name of a router that says how."
ScalerKind = Literal["HorizontalPodAutoscaler", "ScaledObject"]
Kind: TypeAlias = str
"A kind of children: what every model has, a route or what counts pods."

SIZING_KINDS = tuple(row.kind for row in KINDS if row.role in ("Scaler", "Budget"))
"What is refused of these is said in a condition of its own; rollouts go on."
OWNER_MANAGER = "canarium"
CAPACITY_MANAGER = "canarium-capacity"


@dataclass(frozen=True, slots=True)
class Ref:
    """One child, by kind and name (its namespace is the object's own)."""

    kind: Kind
    name: str


@dataclass(frozen=True, slots=True)
class Create:
    """Create a child that must not exist yet.

    The shell looks for a foreign object under the name first and never adopts one.
    `replicas`, for a Deployment, is applied by the capacity manager right afterwards.
    `uid` is that of the one object under this name that is ours, though nobody sees it; "" where
    there is none, None where that is not known. Another one that says so is replaced.
    """

    ref: Ref
    body: Mapping[str, Any]
    uid: str | None = None


@dataclass(frozen=True, slots=True)
class Apply:
    """Server-side apply, forced, preconditioned on the resourceVersion that was decided on.

    `manager` is `canarium`, or `canarium-capacity` for a Deployment's replicas. `removes` are
    paths below spec of what others added: an apply leaves them, so they are removed before it.
    """

    ref: Ref
    body: Mapping[str, Any]
    resource_version: str
    manager: str = OWNER_MANAGER
    removes: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete exactly this object (uid and resourceVersion are preconditions)."""

    ref: Ref
    uid: str
    resource_version: str


@dataclass(frozen=True, slots=True)
class RecordOutcome:
    """Merge into a ModelRevision's status (JSON merge patch: None removes a field).

    Preconditioned on the resourceVersion that was decided on.
    """

    ref: Ref
    status: Mapping[str, Any]
    resource_version: str


Write = Create | Apply | Delete | RecordOutcome


@dataclass(frozen=True, slots=True)
class Event:
    """An event (events.k8s.io/v1) about the object, sent after the writes went through.

    The same text is the log's line. Two events that say the same are the same: `revision` and
    `version` (of whom it tells), and `notice` (what it is to those who are notified, None when it
    is nothing) only say it once more for machines.
    """

    type: Literal["Normal", "Warning"]
    reason: str
    action: str
    message: str
    revision: str = field(default="", compare=False)
    version: str = field(default="", compare=False)
    notice: Notice | None = field(default=None, compare=False)

    @property
    def urgent(self) -> bool:
        """Whether it is told before others: that something is taken back, or serves no more."""
        return self.notice in FIRST or self.action in ("Rollback", "Rescue")


@dataclass(frozen=True, slots=True)
class GatewayEndpoint:
    """Where a gateway counts its answers, and how it names revisions in doing so."""

    kind: GatewayKind
    address: str
    secret: str = ""


@dataclass(frozen=True, slots=True)
class Measure:
    """What to measure while a step holds.

    `key` names the step: an analysis under another key is dropped. `resume` is the saved state
    of the tests ("" to start anew). Nothing is measured before `not_before` (epoch seconds).
    `stable` and `canary` are revision ids; `stable` is None when nothing serves beside the
    canary, and then only absolute bounds are judged. Each is read at its own endpoint, if it has
    one. `metrics` are those that servers or the gateway count; `metric_queries` are asked for one
    by one.
    `experiment` names the metric by which two revisions are told apart, "" when none is to be.
    `share` is what the canary should get of single requests, 0 to 1, None where that cannot be
    said. `hold_over`: what is judged at the end is due. Both may change under the same key.
    `protocol` is what callers speak, and so what servers' counters are read for.
    """

    key: str
    metrics: tuple[Metric, ...]
    min_requests: int
    interval_seconds: float
    not_before: float
    canary: str
    stable: str | None
    endpoint: MetricsEndpoint | None = None
    stable_endpoint: MetricsEndpoint | None = None
    canary_version: str = ""
    stable_version: str = ""
    metric_queries: tuple[MetricQuery, ...] = ()
    gateway: GatewayEndpoint | None = None
    pods_secret: str = ""
    decide: Literal["HoldEnd", "Early"] = "HoldEnd"
    traffic_share: bool = False
    hold_over: bool = False
    resume: str = ""
    experiment: str = ""
    share: float | None = None
    protocol: Protocol = "HTTP"


@dataclass(frozen=True, slots=True)
class Inspect:
    """A pod that doesn't get ready, whose events are to be read."""

    pod: str
    uid: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do now. Applied, and planned again, it is empty: that is when the object rests.

    Order in the shell: live reads (`confirm`; then plan again and go on only if nothing changed),
    status (preconditioned on the resourceVersion), writes in order, events. `urgent` puts the
    object before ordinary work in the queue (a rollback). `wake_at` is in epoch seconds.
    """

    status: Mapping[str, Any] | None = None
    writes: tuple[Write, ...] = ()
    confirm: tuple[Ref, ...] = ()
    events: tuple[Event, ...] = ()
    measure: Measure | None = None
    inspect: Inspect | None = None
    wake_at: float | None = None
    urgent: bool = False
