"""How requests come in: the gateways, host names, paths and timeouts in force, kept in status.

A live route is somebody's to edit, so it is only ever compared with what is kept here. What the
spec says takes its place at rest, and waits while something is under way.
"""

from __future__ import annotations

from canarium.core.spec import Traffic
from canarium.rollout.situation.situation import Situation
from canarium.rollout.situation.stages import is_at_rest
from canarium.routing import choose_router


def follow_traffic(situation: Situation) -> Situation:
    """Have in force what should be, with the router for it.

    Nothing is known of an object that an older operator left with a spec of which not even this
    much can be read: its routes stay as they are.
    """
    traffic, kept = _find_traffic(situation), situation.status.traffic
    if traffic is None:
        return situation
    router = situation.traffic.choice.name
    if situation.spec is not None and (is_at_rest(situation.status) or kept is None):
        router = choose_router(
            situation.spec.traffic, situation.observed, situation.status.router
        ).name
    return situation.replace(traffic=traffic, router=router)


def _find_traffic(situation: Situation) -> Traffic | None:
    kept, stated = situation.status.traffic, situation.seen.stated_traffic
    if kept is None or (situation.spec is not None and is_at_rest(situation.status)):
        return stated
    if situation.spec is not None and stated is not None and _has_lost_parents(situation, kept):
        return stated if _is_reached_elsewhere(situation, stated) else kept
    return kept


def _has_lost_parents(situation: Situation, kept: Traffic) -> bool:
    return not situation.traffic.router.has_parents(kept, situation.observed)


def _is_reached_elsewhere(situation: Situation, stated: Traffic) -> bool:
    """Whether the spec names other gateways for the router in use: those need not wait."""
    kept = situation.status.traffic
    if kept is None or stated.parent_refs == kept.parent_refs:
        return False
    return (
        choose_router(stated, situation.observed, situation.status.router).name
        == situation.status.router
    )
