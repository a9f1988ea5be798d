"""What a witness's log says of a rollout: which shares stood when, who shrank, who was ready."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from tests.e2e.changes import ROUTE_KINDS, Change, Shares, replay
from tests.e2e.invariants import SETTLE_SECONDS, accepted_generation
from tests.e2e.traffic import Report

LATE_SECONDS = 4.0
"So much later than usual a gateway may begin to work by what it has accepted."


@dataclass(frozen=True, slots=True)
class Stand:
    """The shares by revision from `begin` (accepted and settled) to `end` (the next write)."""

    begin: float
    end: float
    shares: Shares

    @property
    def seconds(self) -> float:
        """How long it stood."""
        return self.end - self.begin

    @property
    def steady(self) -> float:
        """From when on a gateway that was late has begun too, within the first half at most."""
        return self.begin + min(LATE_SECONDS, self.seconds / 2)


def find_stands(changes: Sequence[Change], model: str, settle_seconds: float) -> list[Stand]:
    """Every time in which the gateway surely routed by one version of the route."""
    return [stand for stand in _find(changes, model, settle_seconds) if stand.seconds > 0]


def _find(changes: Sequence[Change], model: str, settle_seconds: float) -> Iterator[Stand]:
    generation, accepted, shares = 0, 0.0, Shares()
    for world, change in replay(changes, model):
        if change.kind not in ROUTE_KINDS or change.name != model or change.deleted:
            continue
        if change.metadata["generation"] != generation:
            if accepted:
                yield Stand(accepted + settle_seconds, change.time, shares)
            generation, accepted = change.metadata["generation"], 0.0
            shares = (world.shares(change.object) or [Shares()])[0]
        if not accepted and accepted_generation(change.object) >= generation:
            accepted = change.time
    if accepted and changes:
        yield Stand(accepted + settle_seconds, changes[-1].time, shares)


def find_worst_split(changes: Sequence[Change], report: Report, canary: str, version: str) -> float:
    """By how many points a canary's measured share was off its weight, at the weight it was most.

    `version` is what the canary's answers say. 0 when it never shared the traffic. A gateway that
    begins late on a busy machine is left its time: what is measured is how it shares.
    """
    stands = find_stands(changes, "iris", SETTLE_SECONDS)
    off = (
        abs(100 * report.between(stand.steady, stand.end).shares().get(version, 0.0) - weight)
        for stand in stands
        if 0 < (weight := stand.shares.get(canary, 0)) < 100
    )
    return max(off, default=0.0)


def find_scale_down(changes: Sequence[Change], revision: str) -> float:
    """When a revision's Deployment was first made smaller."""
    sizes = [
        (c.time, int(c.object["spec"]["replicas"]))
        for c in changes
        if c.kind == "Deployment" and c.metadata["labels"]["canarium.dev/revision"] == revision
    ]
    pairs = pairwise(sizes)
    return next(time for (_, before), (time, after) in pairs if after < before)


def find_full_weight(changes: Sequence[Change], revision: str) -> float:
    """When the gateway had surely taken that a revision gets everything."""
    stands = find_stands(changes, "iris", SETTLE_SECONDS)
    return next(stand.begin for stand in stands if stand.shares.get(revision) == 100)


def find_zero_weight(changes: Sequence[Change], revision: str) -> float:
    """When the gateway had surely taken that a revision gets nothing any more."""
    stands = find_stands(changes, "iris", SETTLE_SECONDS)
    tried = next(i for i, stand in enumerate(stands) if stand.shares.get(revision))
    return next(stand.begin for stand in stands[tried:] if not stand.shares.get(revision))


def said_of_ready(changes: Sequence[Change], since: float) -> set[str]:
    """All that the condition Ready was from a moment on, with why where it wasn't True."""
    said = (change for change in changes if change.kind == "ModelDeployment")
    conditions = (
        condition
        for change in said
        if change.time >= since
        for condition in change.object.get("status", {}).get("conditions", [])
    )
    return {describe(condition) for condition in conditions if condition["type"] == "Ready"}


def describe(condition: Mapping[str, Any]) -> str:
    """A condition's status, with why where it isn't True."""
    if condition["status"] == "True":
        return "True"
    return f"{condition['status']}, {condition['reason']}: {condition['message']}"
