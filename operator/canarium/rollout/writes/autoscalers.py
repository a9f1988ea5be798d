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
from canarium.core.status import RevisionStatus, Status
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
from canarium.rollout.situation.view import View, parts_of


def raise_floors(view: View, status: Status) -> Iterator[Write]:
    """The floors that are below what is meant."""
    for part, scaler in _matched(view, status):
        floor = compute_floor(view, status, part)
        if read_floor(scaler) < floor:
            yield _apply(scaler, _make(view, status, part, scaler, floor))


def lower_floors(view: View, status: Status) -> Iterator[Write]:
    """The floors that are above what is meant: from then on the load decides."""
    if view.spec is None:  # nobody says what the smallest size is
        return
    for part, scaler in _matched(view, status):
        floor = compute_floor(view, status, part)
        if read_floor(scaler) > floor:
            yield _apply(scaler, _make(view, status, part, scaler, floor))


def dismiss(view: View, status: Status) -> Iterator[Write]:
    """Autoscalers that nobody wants any more; they go before sizes are set that aren't theirs."""
    if view.spec is None:
        return
    for scaler in own_scalers(view):
        if _is_left(view, status, scaler) and not scaler.meta.deleting:
            yield _delete(scaler)


def follow(view: View, status: Status) -> Iterator[Write]:
    """Autoscalers that are missing, or that say something else."""
    if view.spec is None:
        return
    for part in _scaled_parts(status):
        yield from _follow_one(view, status, part)


def _is_left(view: View, status: Status, scaler: ScalerRecord) -> bool:
    """Whether it is of another engine, or of pods that are gone; those to go are `retire`'s."""
    if scaler.kind != choose_engine(view).kind:
        return True
    wanted = {child_name(view.model, part.revision) for part in _scaled_parts(status)}
    known = {part.revision for part in parts_of(status)}
    others = (d for d in view.observed.deployments if d.revision not in known)
    return scaler.meta.name not in wanted | {d.meta.name for d in others if d.replicas > 0}


def _scaled_parts(status: Status) -> list[RevisionStatus]:
    """All but a previous revision that gave its places up: nothing may make it pods."""
    gone = status.previous if status.previous and not status.previous.replicas else None
    return [part for part in parts_of(status) if part is not gone]


def _follow_one(view: View, status: Status, part: RevisionStatus) -> Iterator[Write]:
    """One is made once its Deployment has the size that it is to begin with."""
    engine, deployment = choose_engine(view), view.deployment(part.revision)
    kind = engine.kind
    if kind is None or engine.stays or deployment is None or deployment.meta.deleting:
        return
    if find_unaskable(view, part):
        return
    found, floor = find_scalers(view, part.revision), compute_floor(view, status, part)
    if not found and deployment.replicas >= floor:
        body = _render(view, status, part, floor)
        yield Create(Ref(kind, child_name(view.model, part.revision)), body)
    for scaler in found:
        if scaler.kind == kind and not scaler.meta.deleting and read_floor(scaler) == floor:
            body = _render(view, status, part, floor)
            if not contains(scaler.spec, canonical_json(body["spec"])):
                yield _apply(scaler, body)


def retire(view: View, revision: str) -> Iterator[Write]:
    """Take the autoscalers of a revision whose pods are to go; they go first."""
    for scaler in find_scalers(view, revision):
        if not scaler.meta.deleting:
            yield _delete(scaler)


def _matched(view: View, status: Status) -> Iterator[tuple[RevisionStatus, ScalerRecord]]:
    """The autoscalers of the kind in use, each with its revision."""
    kind = choose_engine(view).kind
    for part in _scaled_parts(status):
        if view.spec is not None and find_unaskable(view, part):
            continue
        for scaler in find_scalers(view, part.revision):
            if scaler.kind == kind and not scaler.meta.deleting:
                yield part, scaler


def _make(
    view: View, status: Status, part: RevisionStatus, scaler: ScalerRecord, floor: int
) -> Mapping[str, Any]:
    """What an autoscaler should be; where it stays as it is, that with another floor."""
    if not choose_engine(view).stays:
        return _render(view, status, part, floor)
    live, most = json.loads(scaler.spec), CEILING_FIELDS[scaler.kind]
    body = make_frame(scaler.kind, view.observed.model, part.revision)
    changed = {FLOOR_FIELDS[scaler.kind]: floor, most: max(floor, live.get(most, floor))}
    return {**body, "spec": {**live, **changed}}


def _render(view: View, status: Status, part: RevisionStatus, floor: int) -> dict[str, Any]:
    """A revision's autoscaler; the most is never below the floor, whatever the spec says by now."""
    spec, kind = view.spec, choose_engine(view).kind
    if spec is None or kind is None:
        raise AssertionError("only what is asked for is rendered")
    most = floor if is_pinned(view, status) else max(floor, spec.scaling.max_replicas)
    bounds = Bounds(part.revision, floor, most)
    address, queries = prometheus_url(view), make_queries(view, part)
    triggers = {name: {"serverAddress": address, "query": text} for name, text in queries.items()}
    return make_scaler(kind, view.observed.model, bounds, spec.scaling, triggers)


def _apply(scaler: ScalerRecord, body: Mapping[str, Any]) -> Apply:
    return Apply(Ref(scaler.kind, scaler.meta.name), body, scaler.meta.resource_version)


def _delete(scaler: ScalerRecord) -> Delete:
    meta = scaler.meta
    return Delete(Ref(scaler.kind, meta.name), meta.uid, meta.resource_version)


def follow_budget(view: View) -> Iterator[Write]:
    """The disruption budget: one for all pods of a model that may have two or more."""
    spec, model, budgets = view.spec, view.observed.model, view.observed.budgets
    if spec is None or budgets is None:
        return
    ref = Ref("PodDisruptionBudget", view.model)
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
