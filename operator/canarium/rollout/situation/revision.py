"""Which revision a spec names.

A spec names the same revision as a ModelRevision when today's normaliser gives the same for both
sources; the hash only makes the name. So neither a new default nor a new normaliser makes a
revision that nobody asked for.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

from canarium.core.names import child_name, make_digest, make_revision_id
from canarium.core.observed import ModelObject, Observed, RevisionRecord
from canarium.core.spec import Spec
from canarium.core.status import RevisionStatus, Status, TrustedRevision
from canarium.resources.pod_template import render_template

MOST_TRUSTED = 20
"So many ModelRevisions are kept account of before those that are gone are forgotten."


@dataclass(frozen=True, slots=True)
class Wanted:
    """The revision that the spec names. `record` is None while its ModelRevision isn't there."""

    revision: str
    version: str
    image: str
    digest: str
    record: RevisionRecord | None

    def status(self, *, replicas: int, weight: int = 0) -> RevisionStatus:
        """Its place in status, with the capacity and the share that it should get."""
        return RevisionStatus(
            revision=self.revision,
            version=self.version,
            image=self.image,
            digest=self.digest,
            replicas=replicas,
            weight=weight,
        )


def compute_wanted(model: ModelObject, spec: Spec, revisions: Sequence[RevisionRecord]) -> Wanted:
    """Find the ModelRevision that the spec names, or the name that a new one gets."""
    ours = {record.revision: record for record in revisions if _is_genuine(model, record)}
    known = next((r for r in ours.values() if r.canonical == spec.canonical), None)
    revision = known.revision if known else _free_id(model, spec, {r.revision for r in revisions})
    template = known.template if known else render_template(model.meta.name, revision, spec)
    return Wanted(
        revision=revision,
        version=spec.version,
        image=spec.image,
        digest=make_digest(template),
        record=known,
    )


def recall(observed: Observed, revision: str) -> Wanted | None:
    """A revision of the history, by its id; None unless its ModelRevision is there and ours."""
    records = (r for r in observed.revisions if r.revision == revision)
    record = next((r for r in records if is_authentic(observed.model, r)), None)
    if record is None:
        return None
    return Wanted(record.revision, record.version, record.image, record.digest, record)


def is_authentic(model: ModelObject, record: RevisionRecord) -> bool:
    """Whether a ModelRevision is ours to render: right owner, name and digest."""
    return _is_genuine(model, record) and not record.meta.deleting


def _is_genuine(model: ModelObject, record: RevisionRecord) -> bool:
    """The same, of one that is being deleted too: it still names what it names."""
    owner = record.meta.owner
    return (
        owner is not None
        and owner.uid == model.meta.uid
        and record.meta.name == child_name(model.meta.name, record.revision)
        and make_digest(record.template) == record.digest
        and _is_trusted(model.status, record)
    )


def _is_trusted(status: Status, record: RevisionRecord) -> bool:
    """Whether status knows it; what an operator wrote that kept no account of it counts, too."""
    ours = TrustedRevision(record.revision, record.digest)
    return (
        not status.trusted_revisions
        or ours in status.trusted_revisions
        or ours in _list_named(status)
    )


def record_trusted(observed: Observed, status: Status) -> Status:
    """Keep account of the revisions that status names, before their ModelRevisions are written.

    So one that somebody else wrote is never rendered, however right it looks. Nothing changes but
    when a revision is named for the first time, so this costs no write of its own.
    """
    before, now = observed.model.status, _list_named(status)
    if all(each in (*before.trusted_revisions, *_list_named(before)) for each in now):
        return status
    known = before.trusted_revisions or tuple(
        TrustedRevision(record.revision, record.digest)
        for record in observed.revisions
        if is_authentic(observed.model, record)
    )
    named = {each.revision for each in now}
    kept = tuple(each for each in known if each.revision not in named)
    if len(kept) > MOST_TRUSTED:  # a cache may lag, so what isn't there is kept for a while
        there = {record.revision for record in observed.revisions}
        there |= {each.revision for each in _list_named(before)}
        kept = tuple(each for each in kept if each.revision in there)
    return replace(status, trusted_revisions=(*kept, *now))


def _list_named(status: Status) -> tuple[TrustedRevision, ...]:
    parts = (status.stable, status.canary, status.previous)
    return tuple(
        TrustedRevision(part.revision, part.digest) for part in parts if part and part.digest
    )


def find_record(observed: Observed, revision: RevisionStatus) -> RevisionRecord | None:
    """The ModelRevision to render a revision from; None unless digest, owner and status agree."""
    return next(
        (
            record
            for record in observed.revisions
            if record.revision == revision.revision
            and record.digest == revision.digest
            and is_authentic(observed.model, record)
        ),
        None,
    )


def read_account(template: str) -> str:
    """The service account that a pod template names, or nothing."""
    return str(json.loads(template).get("spec", {}).get("serviceAccountName") or "")


def _free_id(model: ModelObject, spec: Spec, taken: set[str]) -> str:
    owner, clashes = f"{model.meta.namespace}/{model.meta.name}", 0
    while (candidate := make_revision_id(owner, spec.canonical, clashes)) in taken:
        clashes += 1
    return candidate
