"""How well a team delivers, by DORA's definitions, out of what the ModelRevisions record.

A deployment is a rollout that came to an end with people's traffic: its revision became stable, or
was rolled back. What was cancelled before (another version came, the spec went back) is none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from canarium.core.observed import RevisionRecord

WINDOW_SECONDS = 30 * 86400.0
"How long ago a deployment may have ended to be counted: what nobody looks at costs nothing."

Outcome = Literal["Stable", "RolledBack"]
Since = Literal["commit", "revision"]


@dataclass(frozen=True, slots=True)
class Deployment:
    """One rollout that ended, at `at` (Unix time).

    `lead_seconds` is what it took from the change to the revision being stable: from `since` the
    commit where the object named its time (`canarium.dev/commit-time`), else from the revision's
    first sight. None for what was rolled back, and for a revision that was tried again or gone
    back to, whose change is not the one that was delivered.
    `restore_seconds` is what it took from the beginning of a rollout until it was undone; None for
    what became stable, and where a person went back later, since nobody knows from when on.
    """

    at: float
    outcome: Outcome
    reason: str = ""
    lead_seconds: float | None = None
    since: Since = "revision"
    restore_seconds: float | None = None


def find_deployment(record: RevisionRecord, now: float) -> Deployment | None:
    """The deployment that a ModelRevision records; None when there is none, or it is too old."""
    found = _read_failure(record) if record.outcome == "RolledBack" else _read_success(record)
    return found if found is not None and found.at > now - WINDOW_SECONDS else None


def _read_failure(record: RevisionRecord) -> Deployment | None:
    if record.ended_at is None:
        return None
    failed_in_rollout = record.stable_at is None and record.started_at is not None
    taken = record.ended_at - (record.started_at or 0.0)
    return Deployment(
        at=record.ended_at,
        outcome="RolledBack",
        reason=record.reason,
        restore_seconds=max(0.0, taken) if failed_in_rollout else None,
    )


def _read_success(record: RevisionRecord) -> Deployment | None:
    if record.stable_at is None or record.outcome not in ("Stable", "Superseded"):
        return None
    began, since = _find_beginning(record)
    again = record.started_at not in (None, record.meta.created_at)
    return Deployment(
        at=record.stable_at,
        outcome="Stable",
        lead_seconds=None if again else record.stable_at - began,
        since=since,
    )


def _find_beginning(record: RevisionRecord) -> tuple[float, Since]:
    """When the change began; a commit that would be later than its delivery is not believed."""
    committed = record.committed_at
    if committed is not None and record.stable_at is not None and committed <= record.stable_at:
        return committed, "commit"
    return record.meta.created_at, "revision"
