"""What every router takes and gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from canarium.core.actions import Kind, Ref
from canarium.core.names import MODEL_LABEL, PORT_NAME, SERVICE_PORT, revision_selector
from canarium.core.observed import Observed
from canarium.core.spec import HeaderMatch, Traffic


@dataclass(frozen=True, slots=True)
class Split:
    """How traffic should be shared: percent by revision, only those that get some, 100 in all.

    `primary` is the revision that in-cluster callers of the leading Service reach where the
    router shifts traffic elsewhere: stable, unless it has no share at all. `canary` gets, beside
    its weight (which may be none), the requests with all of `headers`, and copies of `mirror`
    percent of all others; it is "" when it gets neither.
    """

    model: str
    namespace: str
    traffic: Traffic
    weights: tuple[tuple[str, int], ...]
    primary: str
    canary: str = ""
    headers: tuple[HeaderMatch, ...] = ()
    mirror: int = 0


@dataclass(frozen=True, slots=True)
class Verification:
    """Whether the router has taken what was written last, and if not, why, in its own words.

    `refused` tells a refusal (somebody has to act) from a wait.
    """

    accepted: bool
    reason: str = ""
    message: str = ""
    refused: bool = False


@dataclass(frozen=True, slots=True)
class Child:
    """A route object as it should be: its reference and its `spec`."""

    ref: Ref
    spec: Mapping[str, Any]


class Router(Protocol):
    """One way to share traffic."""

    name: str
    settle_seconds: float
    "How long after its word the router may still act on what it had before."
    drain_seconds: float
    "How much longer connections may reach a revision that no rule names."
    mixes_pods: bool
    "Whether a share reaches every ready pod of the model, whatever its revision."
    revision_services: bool
    "Whether each revision needs a Service of its own."
    route_kinds: tuple[Kind, ...]
    "The kinds beside the leading Service; one that another router left behind is deleted."

    def make_routes(self, split: Split) -> tuple[Child, ...]:
        """The objects that carry this split."""

    def is_current(self, split: Split, observed: Observed, child: Child) -> bool:
        """Whether the live object already says what `child` says."""

    def verify(self, split: Split, observed: Observed) -> Verification:
        """Whether the split is what the router works by now."""

    def live_weights(self, model: str, observed: Observed) -> Mapping[str, int]:
        """The revisions that a live rule names, whoever wrote it, with their weights."""

    def shares(self, split: Split, observed: Observed) -> Mapping[str, int] | None:
        """The real share in percent of each revision; None where weights are exact."""


def make_service_spec(selector: Mapping[str, str], *, headless: bool = False) -> dict[str, Any]:
    """A Service on port 80 that leads to the container port named `http`."""
    port = {"name": PORT_NAME, "port": SERVICE_PORT, "targetPort": PORT_NAME, "protocol": "TCP"}
    return {
        **({"clusterIP": "None"} if headless else {}),
        "selector": dict(selector),
        "ports": [port],
    }


def primary_selector(split: Split) -> dict[str, str]:
    """The selector of one revision's pods."""
    return revision_selector(split.model, split.primary)


def model_selector(split: Split) -> dict[str, str]:
    """The selector of all the model's pods, whatever their revision."""
    return {MODEL_LABEL: split.model}
