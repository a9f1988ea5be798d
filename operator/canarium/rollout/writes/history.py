"""What the ModelRevisions record: the copy of what a rollout goes by, and how it ended."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from canarium.core.names import child_name
from canarium.core.observed import Meta, RevisionRecord
from canarium.core.plan import Delete, RecordOutcome, Ref, Write
from canarium.core.status import RevisionStatus, Status, dump, format_time
from canarium.rollout.situation.view import ROLLING, View, rollout_of

_ENDINGS = {"Rejected": "RolledBack", "Canceled": "Canceled", "Superseded": "Canceled"}


def make_records(view: View, status: Status) -> Iterator[RecordOutcome]:
    """The ModelRevision status writes that are missing."""
    for record in view.observed.revisions:
        change = _start(view, status, record) or _end(view, status, record)
        if change:
            yield RecordOutcome(
                ref=Ref("ModelRevision", record.meta.name),
                status=change,
                resource_version=record.meta.resource_version,
            )


def _start(view: View, status: Status, record: RevisionRecord) -> Mapping[str, Any] | None:
    """Copy steps, analysis and guard again when they are edited, or the revision is tried again."""
    rolling = status.canary is not None and rollout_of(status).state in ROLLING
    if not rolling or not _is(status.canary, record) or view.spec is None:
        return None
    copied = record.rollout.raw if record.rollout else None
    if copied == view.rollout.raw and not record.outcome:
        return None
    if not record.outcome:
        return {"rollout": view.rollout.raw}
    blank = dict.fromkeys(("outcome", "reason", "message", "endedAt", "evidence"))
    return {"rollout": view.rollout.raw, "startedAt": format_time(view.now), **blank}


def _end(view: View, status: Status, record: RevisionRecord) -> Mapping[str, Any] | None:
    outcome = _outcome(status, record)
    if outcome == record.outcome:
        return None
    at = format_time(view.now)
    return {
        "outcome": outcome,
        "endedAt": at,
        **({"stableAt": at} if outcome == "Stable" and not _is_back(status, record) else {}),
        **_evidence(status, record, outcome),
    }


def _outcome(status: Status, record: RevisionRecord) -> str:
    """How it stands with a revision, by where it is in status."""
    rollout = rollout_of(status)
    if _is_gone_back_from(status, record):
        return "RolledBack"
    if _is(status.canary, record):
        ended = rollout.state == "Reverting"
        return _ENDINGS[rollout.ending] if ended and rollout.ending else record.outcome
    if _is(status.stable, record):
        settled = rollout.state not in ("Starting", "Broken", "Shifting", "Guarding")
        return "Stable" if settled else record.outcome
    if _is(status.previous, record):  # not stable any more, as long as nobody goes back to it
        return "Superseded" if record.outcome == "Stable" else record.outcome
    return _past_outcome(status, record)


def _is_back(status: Status, record: RevisionRecord) -> bool:
    """Whether it is stable again only because the one after it was taken back in its guard."""
    taken_back = rollout_of(status).state in ("Reverting", "Rejected")
    return record.outcome == "Superseded" and taken_back


def _past_outcome(status: Status, record: RevisionRecord) -> str:
    """How it ended for a revision that has no place in status any more."""
    if record.outcome:
        return "Superseded" if record.outcome == "Stable" else record.outcome
    refused = any(rejection.revision == record.revision for rejection in status.rejected)
    return "RolledBack" if refused else "Canceled"


def _is_gone_back_from(status: Status, record: RevisionRecord) -> bool:
    """Whether a person had another revision instead, which serves by now."""
    override = status.override
    if override is None or override.instead != record.revision:
        return False
    return not _is(status.stable, record)


def _evidence(status: Status, record: RevisionRecord, outcome: str) -> Mapping[str, Any]:
    refusal = next((r for r in status.rejected if r.revision == record.revision), None)
    parts = (status.canary, status.stable)
    rows = next((part.analysis for part in parts if part and _is(part, record)), ())
    words: dict[str, Any] = {"evidence": dump(rows)} if rows else {}
    if outcome == "RolledBack" and refusal is not None:
        words |= {"reason": refusal.reason, "message": refusal.message}
    elif outcome == "RolledBack" and status.override is not None:
        message = f"a person went back to revision {status.override.revision}"
        words |= {"reason": "Overridden", "message": message}
    return words


def make_prunes(view: View, status: Status) -> Iterator[Write]:
    """Delete what history no longer holds: the oldest revisions that nothing refers to."""
    if view.spec is None:
        return
    current = {part.revision for part in (status.stable, status.canary, status.previous) if part}
    named = set(view.live_weights(status))
    named |= {wish.revision for wish in (view.named, view.wanted) if wish is not None}
    past = [r for r in view.observed.revisions if r.revision not in current | named]
    past.sort(key=lambda record: record.started_at or record.meta.created_at, reverse=True)
    for record in past[view.rollout.revision_history_limit :]:
        yield from _delete_revision(view, record)


def _delete_revision(view: View, record: RevisionRecord) -> Iterator[Write]:
    name = child_name(view.model, record.revision)
    for service in view.observed.services:
        if service.meta.name == name and not service.meta.deleting:
            yield _delete("Service", service.meta)
    deployment = view.deployment(record.revision)
    if deployment is not None and not deployment.meta.deleting:
        yield _delete("Deployment", deployment.meta)
    yield _delete("ModelRevision", record.meta)


def _delete(kind: Any, meta: Meta) -> Delete:
    return Delete(Ref(kind, meta.name), uid=meta.uid, resource_version=meta.resource_version)


def _is(part: RevisionStatus | None, record: RevisionRecord) -> bool:
    return part is not None and part.revision == record.revision
