"""What the ModelRevisions record: the copy of what a rollout goes by, and how it ended."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from canarium.core.names import child_name
from canarium.core.observed import Meta, RevisionRecord
from canarium.core.plan import Delete, RecordOutcome, Ref, Write
from canarium.core.status import RevisionStatus, dump, format_time
from canarium.rollout.situation.situation import Situation
from canarium.rollout.situation.stages import ROLLING

_ENDINGS = {"Rejected": "RolledBack", "Canceled": "Canceled", "Superseded": "Canceled"}


def make_records(situation: Situation) -> Iterator[RecordOutcome]:
    """The ModelRevision status writes that are missing."""
    for record in situation.observed.revisions:
        change = _start(situation, record) or _end(situation, record)
        if change:
            yield RecordOutcome(
                ref=Ref("ModelRevision", record.meta.name),
                status=change,
                resource_version=record.meta.resource_version,
            )


def _start(situation: Situation, record: RevisionRecord) -> Mapping[str, Any] | None:
    """Copy steps, analysis and guard again when they are edited, or the revision is tried again."""
    rolling = situation.canary is not None and situation.rollout.state in ROLLING
    if not rolling or not _is(situation.canary, record) or situation.spec is None:
        return None
    copied = record.rollout.raw if record.rollout else None
    if copied == situation.terms.raw and not record.outcome:
        return None
    if not record.outcome:
        return {"rollout": situation.terms.raw}
    blank = dict.fromkeys(("outcome", "reason", "message", "endedAt", "evidence"))
    return {"rollout": situation.terms.raw, "startedAt": format_time(situation.now), **blank}


def _end(situation: Situation, record: RevisionRecord) -> Mapping[str, Any] | None:
    outcome = _outcome(situation, record)
    if outcome == record.outcome:
        return None
    at = format_time(situation.now)
    return {
        "outcome": outcome,
        "endedAt": at,
        **({"stableAt": at} if outcome == "Stable" and not _is_back(situation, record) else {}),
        **_evidence(situation, record, outcome),
    }


def _outcome(situation: Situation, record: RevisionRecord) -> str:
    """How it stands with a revision, by where it is in status."""
    rollout = situation.rollout
    if _is_gone_back_from(situation, record):
        return "RolledBack"
    if _is(situation.canary, record):
        ended = rollout.state == "Reverting"
        return _ENDINGS[rollout.ending] if ended and rollout.ending else record.outcome
    if _is(situation.stable, record):
        settled = rollout.state not in ("Starting", "Broken", "Shifting", "Guarding")
        return "Stable" if settled else record.outcome
    if _is(situation.previous, record):  # not stable any more, as long as nobody goes back to it
        return "Superseded" if record.outcome == "Stable" else record.outcome
    return _past_outcome(situation, record)


def _is_back(situation: Situation, record: RevisionRecord) -> bool:
    """Whether it is stable again only because the one after it was taken back in its guard."""
    taken_back = situation.rollout.state in ("Reverting", "Rejected")
    return record.outcome == "Superseded" and taken_back


def _past_outcome(situation: Situation, record: RevisionRecord) -> str:
    """How it ended for a revision that has no place in status any more."""
    if record.outcome:
        return "Superseded" if record.outcome == "Stable" else record.outcome
    refused = any(rejection.revision == record.revision for rejection in situation.status.rejected)
    return "RolledBack" if refused else "Canceled"


def _is_gone_back_from(situation: Situation, record: RevisionRecord) -> bool:
    """Whether a person had another revision instead, which serves by now."""
    override = situation.status.override
    if override is None or override.instead != record.revision:
        return False
    return not _is(situation.stable, record)


def _evidence(situation: Situation, record: RevisionRecord, outcome: str) -> Mapping[str, Any]:
    refusal = next((r for r in situation.status.rejected if r.revision == record.revision), None)
    parts = (situation.canary, situation.stable)
    rows = next((part.analysis for part in parts if part and _is(part, record)), ())
    words: dict[str, Any] = {"evidence": dump(rows)} if rows else {}
    if outcome == "RolledBack" and refusal is not None:
        words |= {"reason": refusal.reason, "message": refusal.message}
    elif outcome == "RolledBack" and situation.status.override is not None:
        message = f"a person went back to revision {situation.status.override.revision}"
        words |= {"reason": "Overridden", "message": message}
    return words


def make_prunes(situation: Situation) -> Iterator[Write]:
    """Delete what history no longer holds: the oldest revisions that nothing refers to."""
    if situation.spec is None:
        return
    current = {
        part.revision for part in (situation.stable, situation.canary, situation.previous) if part
    }
    named = set(situation.traffic.live_weights)
    named |= {wish.revision for wish in (situation.named, situation.wanted) if wish is not None}
    past = [r for r in situation.observed.revisions if r.revision not in current | named]
    past.sort(key=lambda record: record.started_at or record.meta.created_at, reverse=True)
    for record in past[situation.terms.revision_history_limit :]:
        yield from _delete_revision(situation, record)


def _delete_revision(situation: Situation, record: RevisionRecord) -> Iterator[Write]:
    name = child_name(situation.model, record.revision)
    for service in situation.observed.services:
        if service.meta.name == name and not service.meta.deleting:
            yield _delete("Service", service.meta)
    deployment = situation.seen.deployment(record.revision)
    if deployment is not None and not deployment.meta.deleting:
        yield _delete("Deployment", deployment.meta)
    yield _delete("ModelRevision", record.meta)


def _delete(kind: Any, meta: Meta) -> Delete:
    return Delete(Ref(kind, meta.name), uid=meta.uid, resource_version=meta.resource_version)


def _is(part: RevisionStatus | None, record: RevisionRecord) -> bool:
    return part is not None and part.revision == record.revision
