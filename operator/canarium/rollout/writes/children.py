"""The writes that bring the cluster to what status says, in the order in which they must go.

They are rendered from the status that is stored, never from one that is only decided: intent
first, so that a restart at any instant finds out what was meant.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from canarium.core.names import child_name
from canarium.core.observed import DeploymentRecord, RevisionRecord, RouteRecord
from canarium.core.plan import (
    CAPACITY_MANAGER,
    Apply,
    Create,
    Delete,
    Ref,
    Write,
)
from canarium.core.status import RevisionStatus, format_time
from canarium.resources.diff import contains, fingerprint, read_restart
from canarium.resources.objects import (
    make_capacity,
    make_deployment,
    make_model_revision,
    make_service,
)
from canarium.rollout.situation.contest import waits_until
from canarium.rollout.situation.jobs import make_job_writes
from canarium.rollout.situation.judging import step_jobs
from canarium.rollout.situation.scaling import compute_size, find_scalers, is_pinned
from canarium.rollout.situation.situation import Situation
from canarium.rollout.situation.stages import began_unsettled
from canarium.rollout.writes.autoscalers import (
    dismiss,
    follow,
    follow_budget,
    lower_floors,
    raise_floors,
    retire,
)
from canarium.rollout.writes.history import make_prunes, make_records
from canarium.routing.base import (
    Child,
    find_route,
    find_service,
    is_current,
    make_revision_service,
    make_route,
)
from canarium.routing.diff import find_added, speak_plainly

SETTLED = ("Idle", "Rejected", "Scaling", "Holding", "Guarding", "Starting", "Broken")


@dataclass(frozen=True, slots=True)
class Writes:
    """Writes in order, and what has to be read live before them."""

    writes: tuple[Write, ...] = ()
    confirm: tuple[Ref, ...] = ()


def make_writes(situation: Situation) -> Writes:
    """Everything that differs from what status says, and that may be written now.

    The shell stops at the first write that fails, so what protects people's requests comes first.
    """
    routes = list_route_writes(situation)
    bounds = [*dismiss(situation), *raise_floors(situation)]
    upward = [*bounds, *_make_capacity(situation)]
    places = [*_make_place(situation), *_make_first_place(situation)]
    # One write of an object a pass: the next would be decided on an old resourceVersion.
    downward = list({w.ref: w for w in (*_make_downward(situation), *places)}.values())
    live = [*_before_routes(situation, routes), *_before_down(situation, downward)]
    records = make_records(situation)
    jobs = make_job_writes(situation, step_jobs(situation))
    after = (*jobs, *follow(situation), *follow_budget(situation))
    return Writes((*routes, *upward, *downward, *records, *after), tuple(dict.fromkeys(live)))


def _make_capacity(situation: Situation) -> Iterator[Write]:
    """The revisions' own objects; the ModelRevision comes first, all is rendered from it."""
    if (created := _make_missing_revision(situation)) is not None:
        yield created
        return
    for part in situation.parts:
        yield from _make_revision(situation, part)


def _make_missing_revision(situation: Situation) -> Create | None:
    wanted, spec, model = situation.wanted, situation.spec, situation.observed.model
    if wanted is None or spec is None or wanted.record is not None:
        return None
    named = {(part.revision, part.digest) for part in situation.parts}
    if (wanted.revision, wanted.digest) not in named:
        return None
    name = child_name(situation.model, wanted.revision)
    return Create(Ref("ModelRevision", name), make_model_revision(model, spec, wanted.revision))


def _make_revision(situation: Situation, part: RevisionStatus) -> Iterator[Write]:
    record, deployment = situation.seen.record(part), situation.seen.deployment(part.revision)
    if situation.traffic.router.revision_services:
        yield from _make_revision_service(situation, part)
    size = compute_size(situation, part)
    if deployment is not None and deployment.replicas != size:
        if not deployment.meta.deleting and not _gives_place(situation, deployment, size):
            yield _scale(deployment, size)
    elif record is not None:  # one write of an object a pass: the next has another resourceVersion
        yield from _make_template(situation, record, deployment, part)


def _make_template(
    situation: Situation,
    record: RevisionRecord,
    deployment: DeploymentRecord | None,
    part: RevisionStatus,
) -> Iterator[Write]:
    ref, model = Ref("Deployment", record.meta.name), situation.observed.model
    asked = format_time(part.restarted_at) if part.restarted_at is not None else ""
    if deployment is None:
        yield Create(ref, make_deployment(model, record, asked), situation.seen.uid(ref))
    elif not deployment.meta.deleting and _is_outdated(situation, deployment, record, asked):
        restarted_at = asked or read_restart(deployment.template)
        body = make_deployment(model, record, restarted_at)
        yield Apply(ref, body, deployment.meta.resource_version)


def _is_outdated(
    situation: Situation, deployment: DeploymentRecord, record: RevisionRecord, asked: str
) -> bool:
    if asked and read_restart(deployment.template) != asked:
        return True
    if contains(deployment.template, record.template):
        return False
    stored = (deployment.meta.uid, fingerprint(deployment.template))
    return stored not in situation.observed.accepted


def _scale(deployment: DeploymentRecord, replicas: int) -> Apply:
    body = make_capacity(deployment.meta.name, deployment.meta.namespace, replicas)
    version = deployment.meta.resource_version
    return Apply(Ref("Deployment", deployment.meta.name), body, version, CAPACITY_MANAGER)


def _make_revision_service(situation: Situation, part: RevisionStatus) -> Iterator[Write]:
    traffic = situation.traffic.in_force
    if traffic is None:
        return
    child = make_revision_service(situation.model, part.revision, traffic.protocol)
    if not is_current(situation.observed, child):
        body = make_service(situation.observed.model, child.ref.name, part.revision, child.spec)
        yield _put(situation, child, body)


def list_route_writes(situation: Situation) -> list[Write]:
    """What has to be written of routes now, in its order."""
    return list(_make_routes(situation))


def _make_routes(situation: Situation) -> Iterator[Write]:
    split = situation.traffic.split
    if split is None or not _may_write(situation):
        return
    if situation.now < waits_until(situation):
        return
    *led_to, entrance = situation.traffic.router.make_routes(split)
    waits = situation.now < (turned_at(situation) or 0.0)
    for child in led_to if waits else (*led_to, entrance):
        if _is_installed(situation, child) and not is_current(situation.observed, child):
            yield _make_route(situation, child)


def _is_installed(situation: Situation, child: Child) -> bool:
    kind, kinds = child.ref.kind, situation.traffic.router.route_kinds
    return kind not in kinds or kind in situation.observed.installed


def turned_at(situation: Situation) -> float | None:
    """When the route that requests come in by may lead to what is created for it (epoch seconds).

    A gateway hears of each kind by itself. If it hears first of the route and then of the object
    that this leads to, then requests have nowhere to go in between: Traefik answered 404 for 4 s.
    Infinity before that object is there; None where nothing is led elsewhere. Creation is told in
    whole seconds.
    """
    split = situation.traffic.split
    if split is None:
        return None
    router = situation.traffic.router
    *others, entrance = router.make_routes(split)
    if find_route(situation.observed, entrance.ref) is None or is_current(
        situation.observed, entrance
    ):
        return None
    found = [
        find_route(situation.observed, o.ref) for o in others if o.ref.kind in router.route_kinds
    ]
    created = (
        math.inf if route is None else situation.seen.known_time(route.meta.created_at)
        for route in found
    )
    return max(created, default=-math.inf) + 1.0 + router.settle_seconds


def _may_write(situation: Situation) -> bool:
    """Whether no share would be raised above what ready pods carry, unless nobody else has any."""
    return all(_may_get(situation, part) for part in situation.parts)


def _may_get(situation: Situation, part: RevisionStatus) -> bool:
    if part.replicas == 0 or not situation.traffic.is_raised(part):
        return True
    ready = situation.capacity.ready(part.revision)
    if ready >= situation.capacity.needed(part):
        return True
    pods = situation.observed.pods
    others = any(p.ready and not p.meta.deleting and p.revision != part.revision for p in pods)
    return ready > 0 and (not others or not any(situation.traffic.live_weights.values()))


def _make_route(situation: Situation, child: Child) -> Write:
    model, ref = situation.observed.model, child.ref
    if ref.kind == "Service":
        return _put(situation, child, make_service(model, ref.name, "", child.spec))
    body = make_route(model, ref.kind, ref.name, child.spec)
    found = find_route(situation.observed, ref)
    if found is None:
        return Create(ref, body)
    removes = find_added(ref.kind, found.spec, child.text)
    return Apply(ref, body, found.meta.resource_version, removes=removes)


def _put(situation: Situation, child: Child, body: Mapping[str, Any]) -> Write:
    """Create a Service, or write over the one that lives."""
    ref, found = child.ref, find_service(situation.observed, child.ref.name)
    if found is None:
        return Create(ref, body)
    version, removes = found.meta.resource_version, find_added(ref.kind, found.spec, child.text)
    body = speak_plainly(body, found.spec)
    return Apply(ref, body, version, removes=removes)


def _before_routes(situation: Situation, routes: list[Write]) -> Iterator[Ref]:
    """A share is raised only on what a live read says of the pods that are to carry it."""
    if not any(isinstance(write, Apply) for write in routes):
        return
    reverting = situation.rollout.state == "Reverting"
    first = situation.stable if reverting or situation.canary is None else situation.canary
    emergency = situation.rollout.emergency != ""
    for part in situation.parts:
        hinges = emergency and part is situation.stable
        if part is first or hinges or situation.traffic.is_raised(part):
            yield Ref("Deployment", child_name(situation.model, part.revision))


def _gives_place(situation: Situation, deployment: DeploymentRecord, size: int) -> bool:
    return situation.terms.capacity == "InPlace" and size < deployment.replicas


def _make_place(situation: Situation) -> Iterator[Write]:
    """Pods that go so that another revision's have a place, once their traffic has gone."""
    if not situation.traffic.verification.accepted:
        return
    if is_pinned(situation):
        yield from lower_floors(situation)
    for part in situation.parts:
        deployment, size = situation.seen.deployment(part.revision), compute_size(situation, part)
        if deployment is None or deployment.meta.deleting:
            continue
        if _gives_place(situation, deployment, size):
            yield from [_scale(deployment, size)] if size else _empty(situation, deployment)


def _make_first_place(situation: Situation) -> Iterator[Write]:
    """Where a first revision finds no place, one before it that never got ready makes it.

    Rules may still name that one; without a ready pod it carries nothing.
    """
    stable = situation.stable
    if (
        situation.rollout.state != "Starting"
        or stable is None
        or not situation.seen.is_unschedulable(stable)
    ):
        return
    for deployment in situation.observed.deployments:
        other = deployment.revision != stable.revision and not deployment.meta.deleting
        if (
            other
            and deployment.replicas
            and not any(p.ready for p in situation.seen.pods(deployment.revision))
        ):
            yield from _empty(situation, deployment)


def _empty(situation: Situation, deployment: DeploymentRecord) -> Iterator[Write]:
    """Take all pods of a revision, once no autoscaler is left."""
    if find_scalers(situation, deployment.revision):
        yield from retire(situation, deployment.revision)
    else:
        yield _scale(deployment, 0)


def _make_downward(situation: Situation) -> Iterator[Write]:
    """What takes something away; never while the router may still work by what was before."""
    rollout = situation.rollout
    starts = rollout.state == "Shifting" and situation.canary is None
    if not (starts or rollout.state in SETTLED) or situation.now < drained_at(situation):
        return
    if _is_in_motion(situation):
        return
    if not is_pinned(situation):
        yield from lower_floors(situation)
    yield from _make_retired(situation)
    yield from _dismiss_strays(situation)
    yield from make_prunes(situation)
    yield from _left_routes(situation)


def drained_at(situation: Situation) -> float:
    """When requests that were under way at the last change are over (epoch seconds).

    A first revision may need the places of what it follows while its route settles, and some states
    may be entered before (`began_unsettled`): infinity until the router has taken what is written.
    The others are entered after.
    """
    rollout, router = situation.rollout, situation.traffic.router
    if rollout.state == "Shifting" or began_unsettled(situation.status):
        settled_at = math.inf if rollout.verified_at is None else rollout.verified_at
        return settled_at + router.drain_seconds
    since = rollout.progress_at or rollout.step_started_at or 0.0
    return since + router.drain_seconds


def _is_in_motion(situation: Situation) -> bool:
    """Whether the router may work by something else than what is written."""
    return situation.rollout.state == "Reverting" or not situation.traffic.is_taken


def _make_retired(situation: Situation) -> Iterator[Write]:
    """Take the pods of revisions that nothing names any more."""
    kept = _list_named(situation)
    for deployment in situation.observed.deployments:
        if (
            deployment.revision not in kept
            and deployment.replicas > 0
            and not deployment.meta.deleting
        ):
            yield from _empty(situation, deployment)


def _list_named(situation: Situation) -> set[str]:
    """The revisions that status or a live rule names."""
    return set(situation.traffic.live_weights) | {part.revision for part in situation.parts}


def _dismiss_strays(situation: Situation) -> Iterator[Delete]:
    """Delete what stands under the name of a revision that nobody uses, and that we haven't made.

    Or have made without getting to note it. Under a name in use it is replaced (`Create.uid`).
    """
    kept = _list_named(situation)
    for stray in situation.seen.strays:
        if not isinstance(stray, DeploymentRecord) or stray.meta.deleting:
            continue
        if stray.revision not in kept and stray.meta.name == child_name(
            situation.model, stray.revision
        ):
            ref = Ref("Deployment", stray.meta.name)
            yield Delete(ref, stray.meta.uid, stray.meta.resource_version)


def _left_routes(situation: Situation) -> Iterator[Write]:
    """Routes that the router in use, which works by now, does not need (any more)."""
    until = left_until(situation)
    if until is None or situation.now < until:
        return
    for route in _find_left(situation):
        ref = Ref(route.kind, route.meta.name)
        yield Delete(ref, uid=route.meta.uid, resource_version=route.meta.resource_version)


def left_until(situation: Situation) -> float | None:
    """When routes that are not needed may go: requests need what was just created in their place.

    None when there are none. Creation is told in whole seconds.
    """
    left = _find_left(situation)
    if not left:
        return None
    created = (
        situation.seen.known_time(r.meta.created_at)
        for r in situation.observed.routes
        if r not in left
    )
    return max(created, default=0.0) + 1.0 + situation.traffic.router.settle_seconds


def _find_left(situation: Situation) -> list[RouteRecord]:
    if situation.spec is None or not situation.observed.routes:
        return []
    router, split = situation.traffic.router, situation.traffic.split
    if split is None:
        kept = [route for route in situation.observed.routes if route.kind in router.route_kinds]
    else:
        needed = {child.ref for child in router.make_routes(split)}
        kept = [r for r in situation.observed.routes if Ref(r.kind, r.meta.name) in needed]
    left = (r for r in situation.observed.routes if r not in kept and not r.meta.deleting)
    # What is led to goes after what leads to it, which is their order by name.
    return sorted(left, key=lambda route: (route.kind, route.meta.name))


def _before_down(situation: Situation, downward: list[Write]) -> Iterator[Ref]:
    """Capacity is taken only on what a live read says of the route."""
    if not downward:
        return
    yield from (Ref(route.kind, route.meta.name) for route in situation.observed.routes)
    if any(service.meta.name == situation.model for service in situation.observed.services):
        yield Ref("Service", situation.model)
