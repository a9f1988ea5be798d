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
from canarium.core.status import RevisionStatus, Status, format_time
from canarium.resources.diff import contains, fingerprint, read_restart
from canarium.resources.objects import (
    make_capacity,
    make_deployment,
    make_model_revision,
    make_service,
)
from canarium.rollout.situation.clock import AHEAD_SECONDS
from canarium.rollout.situation.contest import waits_until
from canarium.rollout.situation.jobs import make_job_writes
from canarium.rollout.situation.judging import step_jobs
from canarium.rollout.situation.scaling import compute_size, find_scalers, is_pinned
from canarium.rollout.situation.view import View, began_unsettled, parts_of, rollout_of
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
from canarium.routing.diff import find_added

SETTLED = ("Idle", "Rejected", "Scaling", "Holding", "Guarding", "Starting", "Broken")


@dataclass(frozen=True, slots=True)
class Writes:
    """Writes in order, and what has to be read live before them."""

    writes: tuple[Write, ...] = ()
    confirm: tuple[Ref, ...] = ()


def make_writes(view: View, status: Status) -> Writes:
    """Everything that differs from what status says, and that may be written now.

    The shell stops at the first write that fails, so what protects people's requests comes first.
    """
    routes = list_route_writes(view, status)
    bounds = [*dismiss(view, status), *raise_floors(view, status)]
    upward = [*bounds, *_make_capacity(view, status)]
    places = [*_make_place(view, status), *_make_first_place(view, status)]
    # One write of an object a pass: the next would be decided on an old resourceVersion.
    downward = list({w.ref: w for w in (*_make_downward(view, status), *places)}.values())
    live = [*_before_routes(view, status, routes), *_before_down(view, downward)]
    records = make_records(view, status)
    jobs = make_job_writes(view, status, step_jobs(view, status))
    after = (*jobs, *follow(view, status), *follow_budget(view))
    return Writes((*routes, *upward, *downward, *records, *after), tuple(dict.fromkeys(live)))


def _make_capacity(view: View, status: Status) -> Iterator[Write]:
    """The revisions' own objects; the ModelRevision comes first, all is rendered from it."""
    if (created := _make_missing_revision(view, status)) is not None:
        yield created
        return
    for part in parts_of(status):
        yield from _make_revision(view, status, part)


def _make_missing_revision(view: View, status: Status) -> Create | None:
    wanted, spec, model = view.wanted, view.spec, view.observed.model
    if wanted is None or spec is None or wanted.record is not None:
        return None
    named = {(part.revision, part.digest) for part in parts_of(status)}
    if (wanted.revision, wanted.digest) not in named:
        return None
    name = child_name(view.model, wanted.revision)
    return Create(Ref("ModelRevision", name), make_model_revision(model, spec, wanted.revision))


def _make_revision(view: View, status: Status, part: RevisionStatus) -> Iterator[Write]:
    record, deployment = view.record(part), view.deployment(part.revision)
    if view.router(status).revision_services:
        yield from _make_revision_service(view, status, part)
    size = compute_size(view, status, part)
    if deployment is not None and deployment.replicas != size:
        if not _deleting(deployment) and not _gives_place(view, deployment, size):
            yield _scale(deployment, size)
    elif record is not None:  # one write of an object a pass: the next has another resourceVersion
        yield from _make_template(view, record, deployment, part)


def _deleting(deployment: DeploymentRecord) -> bool:
    return deployment.meta.deleting


def _make_template(
    view: View, record: RevisionRecord, deployment: DeploymentRecord | None, part: RevisionStatus
) -> Iterator[Write]:
    ref, model = Ref("Deployment", record.meta.name), view.observed.model
    asked = format_time(part.restarted_at) if part.restarted_at is not None else ""
    if deployment is None:
        yield Create(ref, make_deployment(model, record, asked), view.uid(ref))
    elif not _deleting(deployment) and _is_outdated(view, deployment, record, asked):
        restarted_at = asked or read_restart(deployment.template)
        body = make_deployment(model, record, restarted_at)
        yield Apply(ref, body, deployment.meta.resource_version)


def _is_outdated(
    view: View, deployment: DeploymentRecord, record: RevisionRecord, asked: str
) -> bool:
    if asked and read_restart(deployment.template) != asked:
        return True
    if contains(deployment.template, record.template):
        return False
    stored = (deployment.meta.uid, fingerprint(deployment.template))
    return stored not in view.observed.accepted


def _scale(deployment: DeploymentRecord, replicas: int) -> Apply:
    body = make_capacity(deployment.meta.name, deployment.meta.namespace, replicas)
    version = deployment.meta.resource_version
    return Apply(Ref("Deployment", deployment.meta.name), body, version, CAPACITY_MANAGER)


def _make_revision_service(view: View, status: Status, part: RevisionStatus) -> Iterator[Write]:
    traffic = view.traffic(status)
    if traffic is None:
        return
    child = make_revision_service(view.model, part.revision, traffic.protocol)
    if not is_current(view.observed, child):
        body = make_service(view.observed.model, child.ref.name, part.revision, child.spec)
        yield _put(view, child, body)


def list_route_writes(view: View, status: Status) -> list[Write]:
    """What has to be written of routes now, in its order."""
    return list(_make_routes(view, status))


def _make_routes(view: View, status: Status) -> Iterator[Write]:
    split = view.split(status)
    if split is None or not _may_write(view, status):
        return
    if view.now < waits_until(view, status):
        return
    *led_to, entrance = view.router(status).make_routes(split)
    waits = view.now < (turned_at(view, status) or 0.0)
    for child in led_to if waits else (*led_to, entrance):
        if _is_installed(view, status, child) and not is_current(view.observed, child):
            yield _make_route(view, child)


def _is_installed(view: View, status: Status, child: Child) -> bool:
    kind, kinds = child.ref.kind, view.router(status).route_kinds
    return kind not in kinds or kind in view.observed.installed


def turned_at(view: View, status: Status) -> float | None:
    """When the route that requests come in by may lead to what is created for it (epoch seconds).

    A gateway hears of each kind by itself. If it hears first of the route and then of the object
    that this leads to, then requests have nowhere to go in between: Traefik answered 404 for 4 s.
    Infinity before that object is there; None where nothing is led elsewhere. Creation is told in
    whole seconds.
    """
    split = view.split(status)
    if split is None:
        return None
    router = view.router(status)
    *others, entrance = router.make_routes(split)
    if find_route(view.observed, entrance.ref) is None or is_current(view.observed, entrance):
        return None
    found = [find_route(view.observed, o.ref) for o in others if o.ref.kind in router.route_kinds]
    created = (
        math.inf if route is None else _created_at(view, route.meta.created_at) for route in found
    )
    return max(created, default=-math.inf) + 1.0 + router.settle_seconds


def _created_at(view: View, at: float) -> float:
    """When an object was created; long ago, where a clock that was set back since says later."""
    return at if at <= view.now + AHEAD_SECONDS else 0.0


def _may_write(view: View, status: Status) -> bool:
    """Whether no share would be raised above what ready pods carry, unless nobody else has any."""
    return all(_may_get(view, status, part) for part in parts_of(status))


def _may_get(view: View, status: Status, part: RevisionStatus) -> bool:
    if part.replicas == 0 or not view.is_raised(part, status):
        return True
    ready = view.ready(part.revision, status)
    if ready >= view.needed(part, status):
        return True
    pods = view.observed.pods
    others = any(p.ready and not p.meta.deleting and p.revision != part.revision for p in pods)
    return ready > 0 and (not others or not any(view.live_weights(status).values()))


def _make_route(view: View, child: Child) -> Write:
    model, ref = view.observed.model, child.ref
    if ref.kind == "Service":
        return _put(view, child, make_service(model, ref.name, "", child.spec))
    body = make_route(model, ref.kind, ref.name, child.spec)
    found = find_route(view.observed, ref)
    if found is None:
        return Create(ref, body)
    removes = find_added(ref.kind, found.spec, child.text)
    return Apply(ref, body, found.meta.resource_version, removes=removes)


def _put(view: View, child: Child, body: Mapping[str, Any]) -> Write:
    """Create a Service, or write over the one that lives."""
    ref, found = child.ref, find_service(view.observed, child.ref.name)
    if found is None:
        return Create(ref, body)
    version, removes = found.meta.resource_version, find_added(ref.kind, found.spec, child.text)
    return Apply(ref, body, version, removes=removes)


def _before_routes(view: View, status: Status, routes: list[Write]) -> Iterator[Ref]:
    """A share is raised only on what a live read says of the pods that are to carry it."""
    if not any(isinstance(write, Apply) for write in routes):
        return
    reverting = rollout_of(status).state == "Reverting"
    first = status.stable if reverting or status.canary is None else status.canary
    emergency = rollout_of(status).emergency != ""
    for part in parts_of(status):
        hinges = emergency and part is status.stable
        if part is first or hinges or view.is_raised(part, status):
            yield Ref("Deployment", child_name(view.model, part.revision))


def _gives_place(view: View, deployment: DeploymentRecord, size: int) -> bool:
    return view.rollout.capacity == "InPlace" and size < deployment.replicas


def _make_place(view: View, status: Status) -> Iterator[Write]:
    """Pods that go so that another revision's have a place, once their traffic has gone."""
    if not view.verify(status).accepted:
        return
    if is_pinned(view, status):
        yield from lower_floors(view, status)
    for part in parts_of(status):
        deployment, size = view.deployment(part.revision), compute_size(view, status, part)
        if deployment is None or _deleting(deployment):
            continue
        if _gives_place(view, deployment, size):
            yield from [_scale(deployment, size)] if size else _empty(view, deployment)


def _make_first_place(view: View, status: Status) -> Iterator[Write]:
    """Where a first revision finds no place, one before it that never got ready makes it.

    Rules may still name that one; without a ready pod it carries nothing.
    """
    stable = status.stable
    if (
        rollout_of(status).state != "Starting"
        or stable is None
        or not view.is_unschedulable(stable)
    ):
        return
    for deployment in view.observed.deployments:
        other = deployment.revision != stable.revision and not _deleting(deployment)
        if (
            other
            and deployment.replicas
            and not any(p.ready for p in view.pods(deployment.revision))
        ):
            yield from _empty(view, deployment)


def _empty(view: View, deployment: DeploymentRecord) -> Iterator[Write]:
    """Take all pods of a revision, once no autoscaler is left."""
    if find_scalers(view, deployment.revision):
        yield from retire(view, deployment.revision)
    else:
        yield _scale(deployment, 0)


def _make_downward(view: View, status: Status) -> Iterator[Write]:
    """What takes something away; never while the router may still work by what was before."""
    rollout = rollout_of(status)
    starts = rollout.state == "Shifting" and status.canary is None
    if not (starts or rollout.state in SETTLED) or view.now < drained_at(view, status):
        return
    if _is_in_motion(view, status):
        return
    if not is_pinned(view, status):
        yield from lower_floors(view, status)
    yield from _make_retired(view, status)
    yield from _dismiss_strays(view, status)
    yield from make_prunes(view, status)
    yield from _left_routes(view, status)


def drained_at(view: View, status: Status) -> float:
    """When requests that were under way at the last change are over (epoch seconds).

    A first revision may need the places of what it follows while its route settles, and some states
    may be entered before (`began_unsettled`): infinity until the router has taken what is written.
    The others are entered after.
    """
    rollout, router = rollout_of(status), view.router(status)
    if rollout.state == "Shifting" or began_unsettled(status):
        settled_at = math.inf if rollout.verified_at is None else rollout.verified_at
        return settled_at + router.drain_seconds
    since = rollout.progress_at or rollout.step_started_at or 0.0
    return since + router.drain_seconds


def _is_in_motion(view: View, status: Status) -> bool:
    """Whether the router may work by something else than what is written."""
    return rollout_of(status).state == "Reverting" or not view.is_taken(status)


def _make_retired(view: View, status: Status) -> Iterator[Write]:
    """Take the pods of revisions that nothing names any more."""
    kept = _list_named(view, status)
    for deployment in view.observed.deployments:
        if (
            deployment.revision not in kept
            and deployment.replicas > 0
            and not _deleting(deployment)
        ):
            yield from _empty(view, deployment)


def _list_named(view: View, status: Status) -> set[str]:
    """The revisions that status or a live rule names."""
    return set(view.live_weights(status)) | {part.revision for part in parts_of(status)}


def _dismiss_strays(view: View, status: Status) -> Iterator[Delete]:
    """Delete what stands under the name of a revision that nobody uses, and that we haven't made.

    Or have made without getting to note it. Under a name in use it is replaced (`Create.uid`).
    """
    kept = _list_named(view, status)
    for stray in view.strays:
        if not isinstance(stray, DeploymentRecord) or stray.meta.deleting:
            continue
        if stray.revision not in kept and stray.meta.name == child_name(view.model, stray.revision):
            ref = Ref("Deployment", stray.meta.name)
            yield Delete(ref, stray.meta.uid, stray.meta.resource_version)


def _left_routes(view: View, status: Status) -> Iterator[Write]:
    """Routes that the router in use, which works by now, does not need (any more)."""
    until = left_until(view, status)
    if until is None or view.now < until:
        return
    for route in _find_left(view, status):
        ref = Ref(route.kind, route.meta.name)
        yield Delete(ref, uid=route.meta.uid, resource_version=route.meta.resource_version)


def left_until(view: View, status: Status) -> float | None:
    """When routes that are not needed may go: requests need what was just created in their place.

    None when there are none. Creation is told in whole seconds.
    """
    left = _find_left(view, status)
    if not left:
        return None
    created = (_created_at(view, r.meta.created_at) for r in view.observed.routes if r not in left)
    return max(created, default=0.0) + 1.0 + view.router(status).settle_seconds


def _find_left(view: View, status: Status) -> list[RouteRecord]:
    if view.spec is None or not view.observed.routes:
        return []
    router, split = view.router(status), view.split(status)
    if split is None:
        kept = [route for route in view.observed.routes if route.kind in router.route_kinds]
    else:
        needed = {child.ref for child in router.make_routes(split)}
        kept = [r for r in view.observed.routes if Ref(r.kind, r.meta.name) in needed]
    left = (r for r in view.observed.routes if r not in kept and not r.meta.deleting)
    # What is led to goes after what leads to it, which is their order by name.
    return sorted(left, key=lambda route: (route.kind, route.meta.name))


def _before_down(view: View, downward: list[Write]) -> Iterator[Ref]:
    """Capacity is taken only on what a live read says of the route."""
    if not downward:
        return
    yield from (Ref(route.kind, route.meta.name) for route in view.observed.routes)
    if any(service.meta.name == view.model for service in view.observed.services):
        yield Ref("Service", view.model)
