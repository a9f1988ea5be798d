"""Somebody else writes our routes: put right at once, and ever more rarely against who goes on.

What was seen in place once and is no more was changed by somebody. So much is noted in status, so
that a restart neither forgets a fight nor takes our own unwritten decisions for one.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import replace

from canarium.core.status import RoutesStatus
from canarium.core.text import sanitize_text
from canarium.memo import remember
from canarium.rollout.situation.situation import Situation
from canarium.routing import ROUTERS, Split
from canarium.routing.base import Child, find_route, find_service, is_current
from canarium.routing.diff import digest, spell_protocol

AT_ONCE = 3
"So often what others write is put right without a pause; from then on it is a contest."
LONGEST_SECONDS = 30.0
"Between two times that it is put right."
LONGEST_TO_STABLE_SECONDS = 1.0
"The same while traffic has to go back to stable. What we decide anew is written at once anyway."
QUIET_SECONDS = 2 * LONGEST_SECONDS
"When nobody has written for so long, it is over."
MOST_MANAGERS = 3
MOST_CHARACTERS = 63


def record_routes(situation: Situation, *, writes: bool) -> Situation:
    """Note that the routes are in place, or that they are put right now (if `writes`)."""
    split, routes = situation.traffic.split, situation.status.routes or RoutesStatus()
    if split is None:
        return situation
    wanted = _digest(situation.traffic.choice.name, split)
    if situation.traffic.is_written:
        over = routes.reverts and not _lasts(situation, routes)
        kept = RoutesStatus() if over else routes
        return situation.replace(routes=replace(kept, written=wanted))
    if not routes.written and _was_placed(situation, split):
        return situation.replace(routes=replace(routes, written=wanted))
    if routes.written not in ("", wanted):
        # Before it is written: what undoes it may be decided before it was seen in place.
        return situation.replace(routes=replace(routes, written=""))
    if not writes or not is_changed(situation) or situation.seen.failures:
        return situation
    reverted = replace(
        routes,
        reverts=routes.reverts + 1,
        reverted_at=situation.now,
        managers=_add_managers(situation, routes.managers),
    )
    return situation.replace(routes=reverted)


def _was_placed(situation: Situation, split: Split) -> bool:
    """Whether all of it was in place by what the apiserver answered, and was undone since.

    By the watches alone a quick writer would never be seen to undo anything.
    """
    placed = situation.observed.placed
    children = situation.traffic.router.make_routes(split) if placed else ()
    found = [
        is_current(situation.observed, child)
        or any((child.ref, digest(text)) in placed for text in _list_texts(child))
        for child in children
    ]
    return bool(found) and all(found)


def _list_texts(child: Child) -> Iterator[str]:
    """What may have been written for it: a Service also with its protocol spelt out."""
    yield child.text
    if child.ref.kind == "Service":
        yield json.dumps(spell_protocol(child.spec), separators=(",", ":"))


def is_reverted(before: Situation, after: Situation) -> bool:
    """Whether what others wrote is put right between these two statuses."""
    return _count(after) > _count(before)


def is_contested(situation: Situation) -> bool:
    """Whether somebody keeps writing what is put right."""
    routes = situation.status.routes
    return routes is not None and routes.reverts >= AT_ONCE and _lasts(situation, routes)


def describe_contest(situation: Situation) -> str:
    """Who writes what, and what to do about it."""
    routes, model = situation.status.routes or RoutesStatus(), "the route objects of this model"
    who = f"field manager {', '.join(routes.managers)}" if routes.managers else "somebody"
    return (
        f"{who} keeps changing {model}; they are put right, at longer and longer intervals up to "
        f"{LONGEST_SECONDS:g} s: have it leave them alone"
    )


def waits_until(situation: Situation) -> float:
    """When changed routes may be put right (epoch seconds); in the past as a rule.

    Only what was in place and was changed waits; what is decided anew is written at once.
    """
    routes = situation.observed.model.status.routes
    if routes is None or routes.reverted_at is None or routes.reverts < AT_ONCE:
        return -math.inf
    if not is_changed(situation):
        return -math.inf
    if _is_refused(situation):
        return -math.inf
    wait = min(LONGEST_SECONDS, 2.0 ** (routes.reverts - AT_ONCE))
    if _goes_back(situation):
        wait = min(wait, LONGEST_TO_STABLE_SECONDS)
    at = routes.reverted_at
    return at + wait if at <= situation.now else -math.inf  # in the future: a clock was set back


def list_moments(situation: Situation) -> Iterator[float]:
    """When time alone changes something here."""
    yield waits_until(situation)
    if situation.status.routes is not None and situation.status.routes.reverts:
        yield quiet_at(situation.status.routes)


def quiet_at(routes: RoutesStatus) -> float:
    """When a contest is over, if nobody writes any more (epoch seconds)."""
    return (routes.reverted_at or 0.0) + QUIET_SECONDS


def find_changed(situation: Situation) -> list[Child]:
    """The objects that don't say what they should."""
    split = situation.traffic.split
    children = situation.traffic.router.make_routes(split) if split else ()
    return [child for child in children if not is_current(situation.observed, child)]


def find_writers(situation: Situation, child: Child) -> tuple[str, ...]:
    """The field managers other than ours that a live object names, the latest first."""
    by_service = child.ref.kind == "Service"
    found = (
        find_service(situation.observed, child.ref.name)
        if by_service
        else find_route(situation.observed, child.ref)
    )
    return tuple(sanitize_text(name)[:MOST_CHARACTERS] for name in found.writers) if found else ()


def is_changed(situation: Situation) -> bool:
    """Whether routes that were in place as they are meant now say something else."""
    split, routes = situation.traffic.split, situation.observed.model.status.routes
    if split is None or routes is None or situation.traffic.is_written:
        return False
    return routes.written == _digest(situation.traffic.choice.name, split)


def _lasts(situation: Situation, routes: RoutesStatus) -> bool:
    """Whether somebody wrote not long ago; a time in the future is one of a clock set back."""
    return (routes.reverted_at or 0.0) <= situation.now < quiet_at(routes)


def _is_refused(situation: Situation) -> bool:
    """Whether all that would put them right is refused: nobody undoes it, and the shell pauses.

    A write that is held back for longer is one that nobody wants, whose refusal is forgotten.
    """
    refused = {(failure.kind, failure.name) for failure in situation.seen.failures}
    changed = {(child.ref.kind, child.ref.name) for child in find_changed(situation)}
    return bool(changed) and changed <= refused


def _goes_back(situation: Situation) -> bool:
    canary = situation.canary
    if situation.rollout.state == "Reverting":
        return True
    return canary is not None and situation.traffic.live_share(canary.revision) > canary.weight


def _count(situation: Situation) -> int:
    return situation.status.routes.reverts if situation.status.routes else 0


def _add_managers(situation: Situation, known: tuple[str, ...]) -> tuple[str, ...]:
    found = [
        name for child in find_changed(situation) for name in find_writers(situation, child)[:1]
    ]
    return tuple(dict.fromkeys((*found, *known)))[:MOST_MANAGERS]


@remember()
def _digest(router: str, split: Split) -> str:
    """What routes look like, in ten characters; a later version may render them otherwise."""
    children = ROUTERS[router].make_routes(split)
    text = "\n".join(f"{child.ref.kind}/{child.ref.name} {child.text}" for child in children)
    return digest(text)
