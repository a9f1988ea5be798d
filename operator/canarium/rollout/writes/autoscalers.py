"""The writes of autoscalers and of the disruption budget: what raises, what lowers, what follows.

A floor is raised before pods are added, or they would be taken again; it is lowered where capacity
may be taken; and what is made anew comes last, since a refusal must not keep other writes back.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from canarium.core.names import child_name
from canarium.core.normalise import canonical_json
from canarium.core.observed import ScalerRecord
from canarium.core.plan import Apply, Create, Delete, Ref, Write
from canarium.core.status import RevisionStatus
from canarium.resources.autoscalers import Bounds, make_frame, make_scaler
from canarium.resources.budget import make_budget
from canarium.resources.diff import contains
from canarium.rollout.situation.scaling import (
    CEILING_FIELDS,
    FLOOR_FIELDS,
    choose_engine,
    compute_floor,
    find_scalers,
    find_unaskable,
    is_pinned,
    make_queries,
    own_scalers,
    prometheus_url,
    read_floor,
)
from canarium.rollout.situation.situation import Situation


def raise_floors(situation: Situation) -> Iterator[Write]:
    """The floors that are below what is meant."""
    for part, scaler in _matched(situation):
        floor = compute_floor(situation, part)
        if read_floor(scaler) < floor:
            yield _apply(scaler, _make(situation, part, scaler, floor))


def lower_floors(situation: Situation) -> Iterator[Write]:
    """The floors that are above what is meant: from then on the load decides."""
    if situation.spec is None:  # nobody says what the smallest size is
        return
    for part, scaler in _matched(situation):
        floor = compute_floor(situation, part)
        if read_floor(scaler) > floor:
            yield _apply(scaler, _make(situation, part, scaler, floor))


def dismiss(situation: Situation) -> Iterator[Write]:
    """Autoscalers that nobody wants any more; they go before sizes are set that aren't theirs."""
    if situation.spec is None:
        return
    for scaler in own_scalers(situation):
        if _is_left(situation, scaler) and not scaler.meta.deleting:
            yield _delete(scaler)


def follow(situation: Situation) -> Iterator[Write]:
    """Autoscalers that are missing, or that say something else."""
    if situation.spec is None:
        return
    for part in _scaled_parts(situation):
        yield from _follow_one(situation, part)


def _is_left(situation: Situation, scaler: ScalerRecord) -> bool:
    """Whether it is of another engine, or of pods that are gone; those to go are `retire`'s."""
    if scaler.kind != choose_engine(situation).kind:
        return True
    wanted = {child_name(situation.model, part.revision) for part in _scaled_parts(situation)}
    known = {part.revision for part in situation.parts}
    others = (d for d in situation.observed.deployments if d.revision not in known)
    return scaler.meta.name not in wanted | {d.meta.name for d in others if d.replicas > 0}


def _scaled_parts(situation: Situation) -> list[RevisionStatus]:
    """All but a previous revision that gave its places up: nothing may make it pods."""
    gone = situation.previous if situation.previous and not situation.previous.replicas else None
    return [part for part in situation.parts if part is not gone]


def _follow_one(situation: Situation, part: RevisionStatus) -> Iterator[Write]:
    """One is made once its Deployment has the size that it is to begin with."""
    engine, deployment = choose_engine(situation), situation.seen.deployment(part.revision)
    kind = engine.kind
    if kind is None or engine.stays or deployment is None or deployment.meta.deleting:
        return
    if find_unaskable(situation, part):
        return
    found, floor = find_scalers(situation, part.revision), compute_floor(situation, part)
    if not found and deployment.replicas >= floor:
        body = _render(situation, part, floor)
        yield Create(Ref(kind, child_name(situation.model, part.revision)), body)
    for scaler in found:
        if scaler.kind == kind and not scaler.meta.deleting and read_floor(scaler) == floor:
            body = _render(situation, part, floor)
            if not contains(scaler.spec, canonical_json(body["spec"])):
                yield _apply(scaler, body)


def retire(situation: Situation, revision: str) -> Iterator[Write]:
    """Take the autoscalers of a revision whose pods are to go; they go first."""
    for scaler in find_scalers(situation, revision):
        if not scaler.meta.deleting:
            yield _delete(scaler)


def _matched(situation: Situation) -> Iterator[tuple[RevisionStatus, ScalerRecord]]:
    """The autoscalers of the kind in use, each with its revision."""
    kind = choose_engine(situation).kind
    for part in _scaled_parts(situation):
        if situation.spec is not None and find_unaskable(situation, part):
            continue
        for scaler in find_scalers(situation, part.revision):
            if scaler.kind == kind and not scaler.meta.deleting:
                yield part, scaler


def _make(
    situation: Situation, part: RevisionStatus, scaler: ScalerRecord, floor: int
) -> Mapping[str, Any]:
    """What an autoscaler should be; where it stays as it is, that with another floor."""
    if not choose_engine(situation).stays:
        return _render(situation, part, floor)
    live, most = json.loads(scaler.spec), CEILING_FIELDS[scaler.kind]
    body = make_frame(scaler.kind, situation.observed.model, part.revision)
    changed = {FLOOR_FIELDS[scaler.kind]: floor, most: max(floor, live.get(most, floor))}
    return {**body, "spec": {**live, **changed}}


def _render(situation: Situation, part: RevisionStatus, floor: int) -> dict[str, Any]:
    """A revision's autoscaler; the most is never below the floor, whatever the spec says by now."""
    spec, kind = situation.spec, choose_engine(situation).kind
    if spec is None or kind is None:
        raise AssertionError("only what is asked for is rendered")
    most = floor if is_pinned(situation) else max(floor, spec.scaling.max_replicas)
    bounds = Bounds(part.revision, floor, most)
    address, queries = prometheus_url(situation), make_queries(situation, part)
    triggers = {name: {"serverAddress": address, "query": text} for name, text in queries.items()}
    return make_scaler(kind, situation.observed.model, bounds, spec.scaling, triggers)


def _apply(scaler: ScalerRecord, body: Mapping[str, Any]) -> Apply:
    return Apply(Ref(scaler.kind, scaler.meta.name), body, scaler.meta.resource_version)


def _delete(scaler: ScalerRecord) -> Delete:
    meta = scaler.meta
    return Delete(Ref(scaler.kind, meta.name), meta.uid, meta.resource_version)


def follow_budget(situation: Situation) -> Iterator[Write]:
    """The disruption budget: one for all pods of a model that may have two or more."""
    spec, model, budgets = situation.spec, situation.observed.model, situation.observed.budgets
    if spec is None or budgets is None:
        return
    ref = Ref("PodDisruptionBudget", situation.model)
    found = next((budget for budget in budgets if budget.meta.name == ref.name), None)
    if found is not None and found.meta.deleting:
        return
    if max(spec.replicas, spec.scaling.max_replicas) < 2:
        if found is not None:
            yield Delete(ref, found.meta.uid, found.meta.resource_version)
        return
    body = make_budget(model, spec.scaling.max_unavailable)
    if found is None:
        yield Create(ref, body)
    elif not contains(found.spec, canonical_json(body["spec"])):
        yield Apply(ref, body, found.meta.resource_version)
