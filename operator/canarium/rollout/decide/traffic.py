"""How requests come in: the gateways, host names, paths and timeouts in force, kept in status.

A live route is somebody's to edit, so it is only ever compared with what is kept here. What the
spec says takes its place at rest, and waits while something is under way.
"""

from __future__ import annotations

from dataclasses import replace

from canarium.core.spec import Traffic
from canarium.core.status import Status
from canarium.rollout.situation.view import View, is_at_rest
from canarium.routing import choose_router


def follow_traffic(view: View, status: Status) -> Status:
    """Have in force what should be, with the router for it.

    Nothing is known of an object that an older operator left with a spec of which not even this
    much can be read: its routes stay as they are.
    """
    traffic, kept = _find_traffic(view, status), status.traffic
    if traffic is None:
        return status
    router = view.router_name(status)
    if view.spec is not None and (is_at_rest(status) or kept is None):
        router = choose_router(view.spec.traffic, view.observed, status.router).name
    return replace(status, traffic=traffic, router=router)


def _find_traffic(view: View, status: Status) -> Traffic | None:
    kept, stated = status.traffic, view.stated_traffic
    if kept is None or (view.spec is not None and is_at_rest(status)):
        return stated
    if view.spec is not None and stated is not None and _has_lost_parents(view, status, kept):
        return stated if _is_reached_elsewhere(view, status, stated) else kept
    return kept


def _has_lost_parents(view: View, status: Status, kept: Traffic) -> bool:
    return not view.router(status).has_parents(kept, view.observed)


def _is_reached_elsewhere(view: View, status: Status, stated: Traffic) -> bool:
    """Whether the spec names other gateways for the router in use: those need not wait."""
    kept = status.traffic
    if kept is None or stated.parent_refs == kept.parent_refs:
        return False
    return choose_router(stated, view.observed, status.router).name == status.router
