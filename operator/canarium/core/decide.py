"""From the status that was, and what is seen, to the status that should be.

The pieces run in a fixed order: what was lost is found again, sizes and clocks follow the spec,
edits are adopted, and then the states are asked until none has anything to say.
"""

from __future__ import annotations

from dataclasses import replace

from canarium.core.commands import VERBS, Command
from canarium.core.moves import begin_first, forgive, record_command, reenter_step
from canarium.core.observed import DeploymentRecord
from canarium.core.states import STATES
from canarium.core.status import RevisionStatus, Rollout, Status
from canarium.core.view import AT_REST, ROLLING, View, copied_rollout, rollout_of

MOST_TRANSITIONS = 8
"States that one pass may go through; there is no longer chain without something new to see."


def decide(view: View) -> Status:
    """Compute the status that should be, as far as decisions go; what is seen is added later."""
    status = view.observed.model.status
    if status.rollout is None or status.stable is None:
        found = _recover(view, status)
        if found is None:
            return status
        status = found
    status = _follow_clock(view, _follow_spec(view, status))
    if _is_edited(view, status):
        return _adopt_edits(view, status)
    return _dismiss_commands(view, _settle(view, status))


def _settle(view: View, status: Status) -> Status:
    for _ in range(MOST_TRANSITIONS):
        after = STATES[rollout_of(status).state](view, status)
        if after == status:
            break
        status = after
    return status


def _recover(view: View, status: Status) -> Status | None:
    """A status that says nothing: what is routed is stable; with nothing routed, begin."""
    if (routed := _find_routed(view, status)) is not None:
        return replace(status, stable=routed, rollout=Rollout(state="Idle", progress_at=view.now))
    return begin_first(view, status, view.wanted) if view.wanted else None


def _find_routed(view: View, status: Status) -> RevisionStatus | None:
    weights = view.live_weights(status)
    routed = [d for d in view.observed.deployments if d.revision in weights]
    if not routed:
        return None
    return _describe(view, max(routed, key=lambda d: (weights[d.revision], d.ready_replicas)))


def _describe(view: View, deployment: DeploymentRecord) -> RevisionStatus:
    records = {record.revision: record for record in view.observed.revisions}
    record = records.get(deployment.revision)
    return RevisionStatus(
        revision=deployment.revision,
        version=record.version if record else "",
        image=record.image if record else "",
        digest=record.digest if record else "",
        replicas=deployment.replicas,
        weight=100,
    )


def _follow_spec(view: View, status: Status) -> Status:
    """Stable follows the spec's size at rest, and only grows while a rollout is under way.

    What the rollout reckons with (its peak) changes only when a step is entered.
    """
    if view.spec is None or status.stable is None:
        return status
    rollout, size = rollout_of(status), view.spec.replicas
    if rollout.state in AT_REST:
        rollout = replace(rollout, peak_replicas=size)
    else:
        size = max(size, status.stable.replicas)
    return replace(status, stable=replace(status.stable, replicas=size), rollout=rollout)


def _follow_clock(view: View, status: Status) -> Status:
    """Progress is counted from the last pod that became ready, and not at all while paused."""
    rollout, tried = rollout_of(status), status.canary or status.stable
    if view.paused:
        return replace(status, rollout=replace(rollout, progress_at=None))
    better = tried is not None and view.ready(tried.revision, status) > tried.ready_replicas
    if rollout.progress_at is None or (better and rollout.state not in ("Idle", "Rejected")):
        return replace(status, rollout=replace(rollout, progress_at=view.now))
    return status


def _is_edited(view: View, status: Status) -> bool:
    """Whether the steps differ from those that were copied when the rollout started."""
    if rollout_of(status).state not in ROLLING or status.canary is None:
        return False
    copied = copied_rollout(view, status)
    return copied is not None and copied.steps != view.rollout.steps


def _adopt_edits(view: View, status: Status) -> Status:
    """Go on at the first step not below the present weight; nothing moves on before it is copied.

    A rollback does not wait for that.
    """
    weight = status.canary.weight if status.canary else 0
    number = next(i for i, step in enumerate(view.steps, 1) if step.weight >= weight)
    status = reenter_step(view, status, number)
    after = _settle(view, status)
    return after if rollout_of(after).state == "Reverting" else status


def _dismiss_commands(view: View, status: Status) -> Status:
    """Record the commands that can have no effect any more, so that they never surprise."""
    for verb in VERBS:
        command = view.command(verb, status)
        if command is None or _is_awaited(status, command):
            continue
        if verb == "retry":
            status = forgive(status, command.revision)
        status = record_command(status, command)
    return status


def _is_awaited(status: Status, command: Command) -> bool:
    state = rollout_of(status).state
    if status.canary is None or command.revision != status.canary.revision:
        return False
    return state == "Reverting" if command.verb == "retry" else state in ROLLING
