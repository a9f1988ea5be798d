"""The events that tell the story of a rollout, out of two statuses that follow each other.

Logs and notifications say the same in the same words: they are made of these.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Literal

from canarium.core.normalise import list_unrequested
from canarium.core.plan import Apply, Event, Write
from canarium.core.receivers import Notice
from canarium.core.status import RevisionStatus
from canarium.core.text import describe_duration, describe_traffic, sanitize_text
from canarium.rollout.report.conditions import SCALED_TO_ZERO, find_obstacle
from canarium.rollout.situation.clock import MOST_RETURNS, bring_back
from canarium.rollout.situation.collisions import TAKEN
from canarium.rollout.situation.contest import find_changed, find_writers, is_reverted
from canarium.rollout.situation.pace import WAITING
from canarium.rollout.situation.situation import Situation
from canarium.rollout.situation.undecided import UNDECIDED, is_blind
from canarium.routing.base import find_service


def make_events(before: Situation, after: Situation) -> tuple[Event, ...]:
    """What happened between two statuses; nothing when the state stayed the same."""
    events = (
        *_tell_phase(before, after),
        *_tell_state(before, after),
        *_tell_emergency(before, after),
        *_tell_resources(before, after),
        *_tell_holdback(before, after),
        *_tell_commands(before, after),
        *_tell_obstacle(before, after),
        *_tell_reverts(before, after),
        *_tell_clock(before),
    )
    return tuple(replace(event, message=sanitize_text(event.message)) for event in events)


def _tell_obstacle(before: Situation, after: Situation) -> Iterator[Event]:
    """What the environment has come to put in the way, as status says it."""
    if before.status.reason != after.status.reason and _is_in_the_way(after):
        yield _about(
            after.canary or after.stable,
            "Warning",
            after.status.reason,
            "Wait",
            after.status.message,
        )


def _is_in_the_way(after: Situation) -> bool:
    """Whether the headline is something that people have to see to."""
    obstacle = find_obstacle(after)
    if obstacle is not None and after.status.reason == obstacle.reason:
        return True
    return after.status.reason in (TAKEN, WAITING) or (
        after.status.reason in UNDECIDED and is_blind(after)
    )


def _tell_reverts(before: Situation, after: Situation) -> Iterator[Event]:
    """Routes that were in place as they were meant, that say something else now, or are gone."""
    if not is_reverted(before, after):
        return
    for child in find_changed(after):
        by = ", ".join(find_writers(after, child)[:1]) or "somebody"
        words = f"{child.ref.kind} {child.ref.name} was changed by {by}; it is put right"
        yield Event("Warning", "ExternalChangeReverted", "Route", words)


def tell_services(situation: Situation, writes: Iterable[Write]) -> Iterator[Event]:
    """Services of single revisions that somebody wrote, and that are put right by these writes.

    Routes and the leading Service, against whose writers there is a back-off, have their own.
    """
    for write in writes:
        if write.ref.kind != "Service" or write.ref.name == situation.model:
            continue
        found = find_service(situation.observed, write.ref.name)
        if isinstance(write, Apply) and found is not None and found.writers:
            by = sanitize_text(found.writers[0])
            words = f"Service {write.ref.name} was changed by {by}; it is put right"
            yield Event("Warning", "ExternalChangeReverted", "Route", sanitize_text(words))


def _tell_clock(before: Situation) -> Iterator[Event]:
    """Times that a jump of a clock, or an outage of the operator, has made senseless."""
    if before.status.rollout is None:
        return
    since, settle = before.observed.watched_since, before.traffic.router.settle_seconds
    if bring_back(before.status.rollout, before.now, 0.0, settle) != before.status.rollout:
        words = "times in status lie in the future, so a clock was set back; they count from now on"
        yield Event("Warning", "ClockSetBack", "Wait", words)
    elif bring_back(before.status.rollout, before.now, since, settle) != before.status.rollout:
        words = (
            "nobody watched for a while, or a clock was set forward; holds and deadlines count"
            " from now on"
        )
        yield Event("Warning", "Unwatched", "Wait", words)


def _tell_commands(before: Situation, after: Situation) -> Iterator[Event]:
    """What people asked for that no change of state tells.

    Nothing after a lost status: what was asked for before is taken as handled, and not done.
    """
    if before.status.rollout is None:
        return
    for verb, text in after.status.last_handled_commands.items():
        if before.status.last_handled_commands.get(verb) == text:
            continue
        if (why := after.status.ignored_commands.get(verb)) is not None:
            words = f"{verb} {text.partition('@')[0]} has no effect: {why}"
            yield Event("Warning", "CommandIgnored", "Command", words)
        elif verb == "restart":
            words = f"the pods of {_name(after.stable)} are replaced one by one"
            yield _about(after.stable, "Normal", "Restarted", "Restart", words)
        elif verb == "rollback" and after.status.override is not None:
            words = f"a person goes back to revision {after.status.override.revision}"
            yield Event("Normal", "Overridden", "Rollback", words)


def _tell_state(before: Situation, after: Situation) -> Iterator[Event]:
    old, new = before.rollout, after.rollout
    if before.status.rollout is not None and (old.state, old.step) == (new.state, new.step):
        return
    version = _name(after.canary or after.stable)
    if _is_new(before.canary, after.canary) and new.state != "Reverting":
        words = f"rolling out {version}"
        yield _about(after.canary, "Normal", "RolloutStarted", "Rollout", words, notice="Started")
    ordinary = new.emergency_at is None
    if new.state in ("Shifting", "Holding") and after.canary is not None and ordinary:
        yield from _tell_shift(before.canary, after)
    if new.state == "Scaling" and new.retreats > old.retreats:
        words = f"{version} has no ready pod left; its traffic goes back until it has"
        if new.returns > old.returns:
            words += f" ({new.returns} of {MOST_RETURNS} times, after which it is rejected)"
        yield _about(after.canary, "Warning", "CanaryLost", "Retreat", words)
    if _is_promoted(before, after):
        words = f"{_name(after.stable)} is stable now"
        yield _about(after.stable, "Normal", "Promoted", "Promote", words, notice="Promoted")
    if new.state == "Reverting":
        yield from _tell_reverting(after)
    if new.state == "Broken":
        words = f"{version} cannot serve: {new.message}"
        yield _about(
            after.canary or after.stable, "Warning", new.reason, "Start", words, notice="Failed"
        )


def _tell_emergency(before: Situation, after: Situation) -> Iterator[Event]:
    """That stable has no ready pod in the middle of something, and who has its traffic for that."""
    old, new = before.rollout, after.rollout
    stable, canary, other = after.stable, after.canary, after.canary or after.previous
    if stable is None or other is None:
        return
    was_there = before.stable is None or before.stable.unavailable_since is None
    if stable.unavailable_since is not None and was_there:
        words = f"{_name(stable)} has no ready pod; {_name(other)} has"
        words += " some" if after.capacity.ready(other.revision) else " none, either"
        yield _about(stable, "Warning", "StableUnavailable", "Wait", words)
    if new.emergency_at is not None and new.emergency_at != old.emergency_at:
        lasted = describe_duration(after.terms.emergency_seconds)
        words = (
            f"{_name(canary)} gets all traffic as an emergency, which is no promotion:"
            f" {_name(stable)} has had no ready pod for {lasted}"
        )
        yield _about(canary, "Warning", "EmergencyTraffic", "Rescue", words, notice="Waiting")
    elif old.emergency_at is not None and _is_given_back(before.canary, canary):
        words = f"{_name(stable)} has ready pods again and gets {stable.weight} %"
        yield _about(stable, "Normal", "StableAvailable", "Rescue", words)


def _is_given_back(was: RevisionStatus | None, canary: RevisionStatus | None) -> bool:
    if was is None or canary is None or was.revision != canary.revision:
        return False
    return was.weight > canary.weight


def _tell_resources(before: Situation, after: Situation) -> Iterator[Event]:
    """A revision that is rolled out for the first time and doesn't say what its pods need."""
    part, known = after.canary or after.stable, {r.revision for r in after.observed.revisions}
    earlier = {each.revision for each in (before.stable, before.canary) if each is not None}
    if part is None or after.spec is None or part.revision in known | earlier:
        return
    if missing := list_unrequested(json.loads(after.spec.canonical)):
        words = (
            f"the server of {_name(part)} asks for no {' and no '.join(missing)}, so that nodes may"
            " be overbooked: set server.resources.requests"
        )
        yield _about(part, "Warning", "ResourcesNotSet", "Rollout", words)


def _tell_holdback(before: Situation, after: Situation) -> Iterator[Event]:
    """In the guard the new stable gets what was held back."""
    states = {before.rollout.state, after.rollout.state}
    was, previous = before.previous, after.previous
    if states != {"Guarding"} or was is None or previous is None or previous.weight >= was.weight:
        return
    lost = not after.capacity.ready(previous.revision)
    why = f"; {_name(previous)} has no ready pod left" if lost else ""
    share = f"{_name(after.stable)} gets {100 - previous.weight} %"
    kind: Literal["Normal", "Warning"] = "Warning" if lost else "Normal"
    yield _about(after.stable, kind, "WeightShifted", "Shift", share + why)


def _tell_shift(was: RevisionStatus | None, after: Situation) -> Iterator[Event]:
    canary, number = after.canary, after.rollout.step
    if canary is None or (was is not None and _traffic(was) == _traffic(canary)):
        return
    gets = describe_traffic(after.steps.current)
    words = f"step {number} of {len(after.steps.all)}: {_name(canary)} {gets}"
    yield _about(canary, "Normal", "WeightShifted", "Shift", words)


def _traffic(part: RevisionStatus) -> tuple[object, ...]:
    return part.weight, part.mirror, part.headers, part.sticky


def _is_new(before: RevisionStatus | None, after: RevisionStatus | None) -> bool:
    return after is not None and (before is None or before.revision != after.revision)


def _is_promoted(before: Situation, after: Situation) -> bool:
    canary, stable = before.canary, after.stable
    return canary is not None and stable is not None and canary.revision == stable.revision


def _tell_reverting(after: Situation) -> Iterator[Event]:
    rollout, version = after.rollout, _name(after.canary)
    if rollout.ending == "Rejected":
        words = f"taking {version} back: {rollout.message}"
        yield _about(
            after.canary, "Warning", rollout.reason, "Rollback", words, notice="RolledBack"
        )
    else:
        words = f"cancelling {version}: {rollout.message}"
        yield _about(after.canary, "Normal", rollout.reason, "Cancel", words, notice="Canceled")


def _tell_phase(before: Situation, after: Situation) -> Iterator[Event]:
    if _serves(after) and not _serves(before):
        words = f"{_name(after.stable)} serves all"
        yield _about(after.stable, "Normal", "Healthy", "Serve", words)
    if before.status.phase == after.status.phase:
        return
    if after.status.phase == "RolledBack":
        refusal = after.rollout.message
        why = f"refused: {refusal}" if refusal else "a person went back to it"
        words = f"{_name(after.stable)} serves all; {why}"
        yield _about(after.stable, "Warning", "RolledBack", "Rollback", words)
    if after.status.phase in ("Invalid", "Paused"):
        yield _make_waiting(after)


def _serves(situation: Situation) -> bool:
    """Whether it is healthy, and its requests don't all go to another model."""
    return (
        situation.status.phase == "Healthy"
        and situation.stable is not None
        and situation.status.reason != TAKEN
    )


def _make_waiting(after: Situation) -> Event:
    kind: Literal["Normal", "Warning"] = "Warning" if after.status.phase == "Invalid" else "Normal"
    part = after.canary or after.stable
    # Nobody is to be told of what somebody has just switched off.
    notice: Notice | None = None if after.status.reason == SCALED_TO_ZERO else "Waiting"
    return _about(part, kind, after.status.reason, "Wait", after.status.message, notice=notice)


def _about(
    part: RevisionStatus | None,
    kind: Literal["Normal", "Warning"],
    reason: str,
    action: str,
    message: str,
    *,
    notice: Notice | None = None,
) -> Event:
    """An event that tells of one revision."""
    revision, version = (part.revision, part.version) if part else ("", "")
    return Event(kind, reason, action, message, revision, version, notice)


def _name(part: RevisionStatus | None) -> str:
    if part is None:
        return "nothing"
    return f"version {part.version} ({part.revision})" if part.version else part.revision
