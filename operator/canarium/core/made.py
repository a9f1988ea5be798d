"""The account of what we made, by uid: what merely looks like it is not believed.

Labels, a selector, a name and an ownerReference are anybody's to write. A uid is nobody's: the
apiserver gives one to each object, and tells it to whoever created that object. So status keeps
the uids that creates of ours were answered with, and of Deployments and Jobs only those count.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from canarium.core.names import child_name
from canarium.core.observed import (
    DeploymentRecord,
    JobRecord,
    Meta,
    Observed,
    PodRecord,
    ReplicaSetRecord,
)
from canarium.core.plan import Kind, Ref
from canarium.core.status import Status


def list_made(observed: Observed) -> dict[str, str]:
    """The uids of what we made, by kind and name.

    From status, and what was created by this process since. Where an operator wrote the status
    that kept no account, or it was lost, everything that has our labels and owner counts: it may
    serve. Of an object that nobody has worked on yet there is nothing of ours, whatever is there.
    """
    there = {_name(kind, meta.name): meta.uid for kind, meta in _list_there(observed)}
    kept = observed.model.status.made
    if kept is None:
        return there if _was_worked_on(observed) else _pick_answered(observed, there)
    expected = _list_expected(observed)
    lives = {n: uid for n, uid in kept.items() if there.get(n) == uid or n in expected}
    if observed.jobs is None:  # nobody knows of Jobs
        lives |= {name: uid for name, uid in kept.items() if name.startswith("Job/")}
    return {**lives, **_pick_answered(observed, there)}


def find_uid(observed: Observed, made: Mapping[str, str], ref: Ref) -> str | None:
    """The uid that an object of ours under this name has; "" for none, None if nobody knows.

    It may be known and not be seen: somebody took its labels away.
    """
    is_known = observed.model.status.made is not None or not _was_worked_on(observed)
    return made.get(_name(ref.kind, ref.name), "") if is_known else None


def is_made(made: Mapping[str, str], record: DeploymentRecord | JobRecord) -> bool:
    """Whether it is an object that we made."""
    kind: Kind = "Job" if isinstance(record, JobRecord) else "Deployment"
    return made.get(_name(kind, record.meta.name)) == record.meta.uid


def pick_pods(
    pods: tuple[PodRecord, ...],
    replica_sets: tuple[ReplicaSetRecord, ...] | None,
    made: Mapping[str, str],
) -> tuple[PodRecord, ...]:
    """The pods of Deployments that we made, followed by uid over their ReplicaSets.

    All of them where no ReplicaSets can be seen. Pods of one that isn't known yet don't count yet.
    """
    if replica_sets is None:
        return pods
    uids = frozenset(made.values())
    ours = {each.meta.uid for each in replica_sets if each.deployment in uids}
    return tuple(pod for pod in pods if pod.meta.owner and pod.meta.owner.uid in ours)


def record_made(made: Mapping[str, str], status: Status) -> Status:
    """Keep account of it. Whatever else is written of an object of ours is written after this."""
    return status if status.made == made else replace(status, made=made)


def _name(kind: Kind, name: str) -> str:
    return f"{kind}/{name}"


def _list_there(observed: Observed) -> Iterator[tuple[Kind, Meta]]:
    yield from (("Deployment", record.meta) for record in observed.deployments)
    yield from (("Job", record.meta) for record in observed.jobs or ())


def _pick_answered(observed: Observed, there: Mapping[str, str]) -> dict[str, str]:
    return {name: uid for name, uid in there.items() if uid in observed.answered}


def _list_expected(observed: Observed) -> set[str]:
    """The Deployments that may be there though nobody sees them: a cache may be blind for a while.

    Or somebody has taken their labels away.
    """
    model = observed.model
    parts = (model.status.stable, model.status.canary, model.status.previous)
    named = {child_name(model.meta.name, part.revision) for part in parts if part}
    named |= {record.meta.name for record in observed.revisions}
    return {_name("Deployment", name) for name in named}


def _was_worked_on(observed: Observed) -> bool:
    """Whether an operator has written anything for this object: status, or a ModelRevision."""
    return observed.model.status != Status() or bool(observed.revisions)
