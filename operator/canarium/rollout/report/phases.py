"""The phase that people see, out of the state that decisions are made in."""

from __future__ import annotations

from canarium.core.status import Phase, State, Status
from canarium.rollout.situation.scaling import is_idle
from canarium.rollout.situation.view import ROLLING, View, rollout_of

PHASES: dict[State, Phase] = {
    "Starting": "Pending",
    "Idle": "Healthy",
    "Scaling": "Progressing",
    "Shifting": "Progressing",
    "Holding": "Progressing",
    "Guarding": "Guarding",
    "Reverting": "Progressing",
    "Rejected": "RolledBack",
    "Broken": "Failed",
}


def compute_phase(view: View, status: Status) -> Phase:
    """Invalid before everything, then a pause, then what the state says."""
    if view.spec is None:
        return "Invalid"
    state = rollout_of(status).state
    if awaits_person(view, status):
        return "Paused"
    if state == "Shifting" and status.canary is None:
        return "Pending"
    if is_due(view, status):
        return "Progressing"
    if state == "Idle" and _is_overridden(status):
        return "RolledBack"
    return PHASES[state]


def is_due(view: View, status: Status) -> bool:
    """Whether another revision is wanted, may be tried, and is not yet."""
    refused = {rejection.revision for rejection in status.rejected}
    serving = status.stable.revision if status.stable else ""
    wanted = view.wanted.revision if view.wanted else serving
    resting = rollout_of(status).state in ("Idle", "Rejected")
    return resting and wanted not in refused and wanted != serving


def _is_overridden(status: Status) -> bool:
    """Whether what a person went back to serves."""
    override, stable = status.override, status.stable
    return override is not None and stable is not None and override.revision == stable.revision


def awaits_person(view: View, status: Status) -> bool:
    """Whether nothing goes on until a person does something, or people send an idle model work."""
    waits = awaits_approval(view, status) or awaits_traffic(view, status)
    return is_paused(view, status) or waits or _awaits_pods(view, status)


def _awaits_pods(view: View, status: Status) -> bool:
    """Whether nobody gets answers until a person asks for pods again."""
    rests = rollout_of(status).state == "Idle" and not is_due(view, status)
    return rests and not _is_overridden(status) and view.is_switched_off(status)


def is_paused(view: View, status: Status) -> bool:
    """Whether `spec.rollout.paused` keeps something from going on."""
    if not view.rollout.paused:
        return False
    return is_due(view, status) or rollout_of(status).state in ("Starting", "Guarding", *ROLLING)


def awaits_approval(view: View, status: Status) -> bool:
    """Whether the step that is held goes on only when a person promotes it."""
    return rollout_of(status).state == "Holding" and view.step(status).approval


def awaits_traffic(view: View, status: Status) -> bool:
    """Whether the canary of an idle model is warm, and nobody asks for anything."""
    canary = status.canary
    if rollout_of(status).state != "Scaling" or canary is None or not is_idle(view, status):
        return False
    return view.ready(canary.revision, status) >= view.needed_by_step(status)


def is_up_to_date(view: View, status: Status) -> bool:
    """Whether the revision that the spec names is stable."""
    named, stable = view.named, status.stable
    return named is not None and stable is not None and named.revision == stable.revision
