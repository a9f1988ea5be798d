"""The events that tell the story of a rollout, out of two statuses that follow each other."""

from __future__ import annotations

import json
from collections.abc import Iterator

from canarium.core.actions import Event
from canarium.core.normalise import list_unrequested
from canarium.core.status import RevisionStatus, Status
from canarium.core.view import View, rollout_of
from canarium.core.words import describe_traffic
from canarium.routers.base import is_current


def make_events(view: View, before: Status, after: Status) -> tuple[Event, ...]:
    """What happened between two statuses; nothing when the state stayed the same."""
    return (
        *_tell_phase(before, after),
        *_tell_state(view, before, after),
        *_tell_resources(view, before, after),
        *_tell_holdback(view, before, after),
        *_tell_commands(before, after),
        *_tell_drift(view, before, after),
    )


def _tell_drift(view: View, before: Status, after: Status) -> Iterator[Event]:
    """Routes that the router had taken as they were meant, and that say something else now."""
    meta, split = view.observed.model.meta, view.split(after)
    routed = next((c for c in before.conditions if c.type == "Routed"), None)
    if routed is None or (routed.status, routed.observed_generation) != ("True", meta.generation):
        return
    if split is None or split != view.split(before):
        return
    router = view.router(after)
    for child in router.make_routes(split):
        if not is_current(view.observed, child):
            words = f"{child.ref.kind} {child.ref.name} was changed by somebody; it is put right"
            yield Event("Warning", "DriftCorrected", "Route", words)


def _tell_commands(before: Status, after: Status) -> Iterator[Event]:
    """What people asked for that no change of state tells.

    Nothing after a lost status: what was asked for before is taken as handled, and not done.
    """
    if before.rollout is None:
        return
    for verb, text in after.last_handled_commands.items():
        if before.last_handled_commands.get(verb) == text:
            continue
        if (why := after.ignored_commands.get(verb)) is not None:
            words = f"{verb} {text.partition('@')[0]} has no effect: {why}"
            yield Event("Warning", "CommandIgnored", "Command", words)
        elif verb == "restart":
            words = f"the pods of {_name(after.stable)} are replaced one by one"
            yield Event("Normal", "Restarted", "Restart", words)
        elif verb == "rollback" and after.override is not None:
            words = f"a person goes back to revision {after.override.revision}"
            yield Event("Normal", "Overridden", "Rollback", words)


def _tell_state(view: View, before: Status, after: Status) -> Iterator[Event]:
    old, new = rollout_of(before), rollout_of(after)
    if before.rollout is not None and (old.state, old.step) == (new.state, new.step):
        return
    version = _name(after.canary or after.stable)
    if _is_new(before.canary, after.canary) and new.state != "Reverting":
        yield Event("Normal", "RolloutStarted", "Rollout", f"rolling out {version}")
    if new.state in ("Shifting", "Holding") and after.canary is not None:
        yield from _tell_shift(view, before.canary, after)
    if new.state == "Scaling" and new.retreats > old.retreats:
        words = f"{version} has no ready pod left; its traffic goes back until it has"
        yield Event("Warning", "CanaryLost", "Retreat", words)
    if _is_promoted(before, after):
        yield Event("Normal", "Promoted", "Promote", f"{_name(after.stable)} is stable now")
    if new.state == "Reverting":
        yield from _tell_reverting(after)
    if new.state == "Broken":
        yield Event("Warning", new.reason, "Start", f"{version} cannot serve: {new.message}")


def _tell_resources(view: View, before: Status, after: Status) -> Iterator[Event]:
    """A revision that is rolled out for the first time and doesn't say what its pods need."""
    part, known = after.canary or after.stable, {r.revision for r in view.observed.revisions}
    earlier = {each.revision for each in (before.stable, before.canary) if each is not None}
    if part is None or view.spec is None or part.revision in known | earlier:
        return
    if missing := list_unrequested(json.loads(view.spec.canonical)):
        words = (
            f"the server of {_name(part)} asks for no {' and no '.join(missing)}, so that nodes may"
            " be overbooked: set server.resources.requests"
        )
        yield Event("Warning", "ResourcesNotSet", "Rollout", words)


def _tell_holdback(view: View, before: Status, after: Status) -> Iterator[Event]:
    """In the guard the new stable gets what was held back."""
    states = {rollout_of(before).state, rollout_of(after).state}
    was, previous = before.previous, after.previous
    if states != {"Guarding"} or was is None or previous is None or previous.weight >= was.weight:
        return
    lost = not view.ready(previous.revision, after)
    why = f"; {_name(previous)} has no ready pod left" if lost else ""
    share = f"{_name(after.stable)} gets {100 - previous.weight} %"
    yield Event("Warning" if lost else "Normal", "WeightShifted", "Shift", share + why)


def _tell_shift(view: View, was: RevisionStatus | None, after: Status) -> Iterator[Event]:
    canary, number = after.canary, rollout_of(after).step
    if canary is None or (was is not None and _traffic(was) == _traffic(canary)):
        return
    gets = describe_traffic(view.step(after))
    words = f"step {number} of {len(view.steps)}: {_name(canary)} {gets}"
    yield Event("Normal", "WeightShifted", "Shift", words)


def _traffic(part: RevisionStatus) -> tuple[object, ...]:
    return part.weight, part.mirror, part.headers, part.sticky


def _is_new(before: RevisionStatus | None, after: RevisionStatus | None) -> bool:
    return after is not None and (before is None or before.revision != after.revision)


def _is_promoted(before: Status, after: Status) -> bool:
    canary, stable = before.canary, after.stable
    return canary is not None and stable is not None and canary.revision == stable.revision


def _tell_reverting(after: Status) -> Iterator[Event]:
    rollout, version = rollout_of(after), _name(after.canary)
    if rollout.ending == "Rejected":
        yield Event(
            "Warning", rollout.reason, "Rollback", f"taking {version} back: {rollout.message}"
        )
    else:
        yield Event("Normal", rollout.reason, "Cancel", f"cancelling {version}: {rollout.message}")


def _tell_phase(before: Status, after: Status) -> Iterator[Event]:
    if before.phase == after.phase:
        return
    if after.phase == "Healthy" and after.stable is not None:
        yield Event("Normal", "Healthy", "Serve", f"{_name(after.stable)} serves all")
    if after.phase == "RolledBack":
        rollout, stable = rollout_of(after), _name(after.stable)
        words = f"{stable} serves all; refused: {rollout.message}"
        yield Event("Warning", "RolledBack", "Rollback", words)
    if after.phase in ("Invalid", "Paused"):
        yield _make_waiting(after)


def _make_waiting(after: Status) -> Event:
    if after.phase == "Invalid":
        return Event("Warning", after.reason, "Wait", after.message)
    return Event("Normal", after.reason, "Wait", after.message)


def _name(part: RevisionStatus | None) -> str:
    if part is None:
        return "nothing"
    return f"version {part.version} ({part.revision})" if part.version else part.revision
