"""The phase that people see, out of the state that decisions are made in."""

from __future__ import annotations

from canarium.core.status import Phase, State
from canarium.rollout.situation.scaling import is_idle
from canarium.rollout.situation.situation import Situation
from canarium.rollout.situation.stages import ROLLING

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


def compute_phase(situation: Situation) -> Phase:
    """Invalid before everything, then a pause, then what the state says."""
    if situation.spec is None:
        return "Invalid"
    state = situation.rollout.state
    if awaits_person(situation):
        return "Paused"
    if state == "Shifting" and situation.canary is None:
        return "Pending"
    if is_due(situation):
        return "Progressing"
    if state == "Idle" and _is_overridden(situation):
        return "RolledBack"
    return PHASES[state]


def is_due(situation: Situation) -> bool:
    """Whether another revision is wanted, may be tried, and is not yet."""
    refused = {rejection.revision for rejection in situation.status.rejected}
    serving = situation.stable.revision if situation.stable else ""
    wanted = situation.wanted.revision if situation.wanted else serving
    resting = situation.rollout.state in ("Idle", "Rejected")
    return resting and wanted not in refused and wanted != serving


def _is_overridden(situation: Situation) -> bool:
    """Whether what a person went back to serves."""
    override, stable = situation.status.override, situation.stable
    return override is not None and stable is not None and override.revision == stable.revision


def awaits_person(situation: Situation) -> bool:
    """Whether nothing goes on until a person does something, or people send an idle model work."""
    waits = awaits_approval(situation) or awaits_traffic(situation)
    return is_paused(situation) or waits or _awaits_pods(situation)


def _awaits_pods(situation: Situation) -> bool:
    """Whether nobody gets answers until a person asks for pods again."""
    rests = situation.rollout.state == "Idle" and not is_due(situation)
    return rests and not _is_overridden(situation) and situation.health.is_switched_off


def is_paused(situation: Situation) -> bool:
    """Whether `spec.rollout.paused` keeps something from going on."""
    if not situation.terms.paused:
        return False
    return is_due(situation) or situation.rollout.state in ("Starting", "Guarding", *ROLLING)


def awaits_approval(situation: Situation) -> bool:
    """Whether the step that is held goes on only when a person promotes it."""
    return situation.rollout.state == "Holding" and situation.steps.current.approval


def awaits_traffic(situation: Situation) -> bool:
    """Whether the canary of an idle model is warm, and nobody asks for anything."""
    canary = situation.canary
    if situation.rollout.state != "Scaling" or canary is None or not is_idle(situation):
        return False
    return situation.capacity.ready(canary.revision) >= situation.capacity.needed_by_step


def is_up_to_date(situation: Situation) -> bool:
    """Whether the revision that the spec names is stable."""
    named, stable = situation.named, situation.stable
    return named is not None and stable is not None and named.revision == stable.revision
