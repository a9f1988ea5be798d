"""What a witness's log says of a rollout: which shares stood when, who shrank, who was ready."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import dropwhile, pairwise
from typing import Any

from testbed.load.traffic import Report
from testbed.witness.changes import ROUTE_KINDS, Change, Shares, replay
from testbed.witness.expectation import SETTLE_SECONDS
from testbed.witness.stage import accepted_generation

COUNTED = 100
"Answers by which a share is measured: of 20 a second those of 5 s."


@dataclass(frozen=True, slots=True)
class Stand:
    """The shares by revision from `begin` (surely accepted and settled) to `end` (no next write).

    It may have stood from `earliest` on, and to `latest`: what the witness was late with counts.
    """

    begin: float
    end: float
    shares: Shares
    earliest: float
    latest: float

    @property
    def seconds(self) -> float:
        """How long it stood at most."""
        return self.latest - self.earliest


def find_stands(changes: Sequence[Change], model: str, settle_seconds: float) -> list[Stand]:
    """Every version of the route by which the gateway surely routed for a time."""
    return [stand for stand in _find(changes, model, settle_seconds) if stand.seconds > 0]


def _find(changes: Sequence[Change], model: str, settle_seconds: float) -> Iterator[Stand]:
    generation, accepted, shares = 0, None, Shares()
    for world, change in replay(changes, model):
        if change.kind not in ROUTE_KINDS or change.name != model or change.deleted:
            continue
        if change.metadata["generation"] != generation:
            if accepted is not None:
                until = (change.earliest, change.time)
                yield _stand(shares, accepted, until, settle_seconds)
            generation, accepted = change.metadata["generation"], None
            shares = (world.shares(change.object) or [Shares()])[0]
        if accepted is None and accepted_generation(change.object) >= generation:
            accepted = change
    if accepted is not None:
        # The last change may be of what was written long ago, such as a pod that went.
        until = (max(change.earliest for change in changes), changes[-1].time)
        yield _stand(shares, accepted, until, settle_seconds)


def _stand(
    shares: Shares, accepted: Change, until: tuple[float, float], settle_seconds: float
) -> Stand:
    return Stand(
        begin=accepted.time + settle_seconds,
        end=until[0],
        shares=shares,
        earliest=accepted.earliest + settle_seconds,
        latest=until[1],
    )


def find_worst_split(changes: Sequence[Change], report: Report, canary: str, version: str) -> float:
    """By how many points a canary's measured share was off its weight, at the weight it was most.

    Of each weight the last COUNTED good answers count, for a gateway may take longer than usual to
    load what it has accepted; a weight with fewer stood for too short a time to be measured.
    `version` is what the canary's answers say. 0 when it never shared the traffic.
    """
    stands = find_stands(changes, "iris", SETTLE_SECONDS)
    shared = [stand for stand in stands if 0 < stand.shares.get(canary, 0) < 100]
    off = [
        abs(100 * share - stand.shares[canary])
        for stand in shared
        if (share := _measure(stand, report, version)) is not None
    ]
    assert off or not shared, f"no weight stood for {COUNTED} answers: {shared}"
    return max(off, default=0.0)


def _measure(stand: Stand, report: Report, version: str) -> float | None:
    """A version's share of the last answers of a stand, 0 to 1; None when there are too few."""
    good = [answer for answer in report.between(stand.begin, stand.end).answers if answer.ok]
    if len(good) < COUNTED:
        return None
    return sum(answer.version == version for answer in good[-COUNTED:]) / COUNTED


def find_scale_down(changes: Sequence[Change], revision: str) -> float:
    """When a revision's Deployment had surely been made smaller for the first time."""
    sizes = [
        (c.time, int(c.object["spec"]["replicas"]))
        for c in changes
        if c.kind == "Deployment" and c.metadata["labels"]["canarium.dev/revision"] == revision
    ]
    pairs = pairwise(sizes)
    return next(time for (_, before), (time, after) in pairs if after < before)


def find_full_weight(changes: Sequence[Change], revision: str) -> float:
    """When the gateway may first have gone by it that a revision gets everything."""
    stands = find_stands(changes, "iris", SETTLE_SECONDS)
    return next(stand.earliest for stand in stands if stand.shares.get(revision) == 100)


def find_zero_weight(changes: Sequence[Change], revision: str) -> float:
    """When the gateway may first have gone by it that a revision gets nothing any more."""
    stands = find_stands(changes, "iris", SETTLE_SECONDS)
    tried = next(i for i, stand in enumerate(stands) if stand.shares.get(revision))
    return next(stand.earliest for stand in stands[tried:] if not stand.shares.get(revision))


def said_of_ready(changes: Sequence[Change], since: float) -> set[str]:
    """All that the condition Ready was from a moment on, with why where it wasn't True.

    Once it was True: a late witness may have seen only then how that came about.
    """
    found = ((change.time, _find_ready(change)) for change in changes if _is_told(change))
    later = dropwhile(lambda said: said[1] != "True", found)
    return {ready for time, ready in later if time >= since and ready}


def _is_told(change: Change) -> bool:
    return change.kind == "ModelDeployment" and not change.deleted


def _find_ready(change: Change) -> str:
    conditions = change.object.get("status", {}).get("conditions", [])
    return next((describe(each) for each in conditions if each["type"] == "Ready"), "")


def describe(condition: Mapping[str, Any]) -> str:
    """A condition's status, with why where it isn't True."""
    if condition["status"] == "True":
        return "True"
    return f"{condition['status']}, {condition['reason']}: {condition['message']}"
