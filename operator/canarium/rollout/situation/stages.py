"""Where a rollout stands, by its status alone: sets of states, and what follows from them."""

from __future__ import annotations

from canarium.core.status import RevisionStatus, Rollout, Status

AT_REST = ("Starting", "Idle", "Rejected", "Broken")
ROLLING = ("Scaling", "Shifting", "Holding")
ALL = 100
"All of the traffic, in percent."


def rollout_of(status: Status) -> Rollout:
    """Where the rollout stands; a status that says nothing is at its start."""
    return status.rollout or Rollout()


def parts_of(status: Status) -> tuple[RevisionStatus, ...]:
    """The revisions that have a place in status: stable, canary, previous, as far as there are."""
    return tuple(part for part in (status.stable, status.canary, status.previous) if part)


def is_at_rest(status: Status) -> bool:
    """Whether no rollout is under way; the first revision's start is none."""
    state = rollout_of(status).state
    return state in AT_REST or (state == "Shifting" and status.canary is None)


def began_unsettled(status: Status) -> bool:
    """Whether this may have begun before the router had taken what is written: most states don't.

    A first revision breaks, or begins anew, whatever has become of its route; and a rollout that
    cannot wait for traffic to go back says so by its `ending`.
    """
    rollout, stable = rollout_of(status), status.stable
    if rollout.state in ("Starting", "Broken"):
        return stable is not None and stable.is_routed
    return rollout.state == "Scaling" and rollout.ending != ""
