"""What phase and conditions may say together, by the design's table of phases."""

from __future__ import annotations

from collections.abc import Iterator

from canarium.core.status import Status

MOVING = ("Pending", "Progressing")
STUCK = ("RolledBack", "Failed", "Invalid")


def find_contradictions(status: Status) -> Iterator[str]:
    """Each thing that a person or kstatus would read two ways."""
    if status.rollout is None:
        return
    said = {condition.type: condition.status == "True" for condition in status.conditions}
    phase, state = status.phase, status.rollout.state
    where = f"{phase} in {state} ({status.reason})"
    waits = phase == "Paused" and not said["UpToDate"]
    if said["Reconciling"] != (phase in MOVING or waits):
        yield f"{where}: Reconciling is {said['Reconciling']}"
    if said["Stalled"] and said["Reconciling"]:
        yield f"{where}: Stalled and Reconciling"
    if phase in STUCK and not said["Stalled"]:
        yield f"{where}: not Stalled"
    if said["Stalled"] and said["UpToDate"]:
        yield f"{where}: Stalled and UpToDate"
    if said["UpToDate"] and phase not in ("Guarding", "Healthy", "Paused"):
        yield f"{where}: UpToDate"
    if phase == "Healthy" and not said["UpToDate"]:
        yield f"{where}: not UpToDate"
    yield from _find_bad_shares(status, where)


def _find_bad_shares(status: Status, where: str) -> Iterator[str]:
    parts = [part for part in (status.stable, status.canary, status.previous) if part]
    total = sum(part.weight for part in parts)
    if total not in (0, 100):
        yield f"{where}: weights sum to {total}"
    if status.stable is None:
        yield f"{where}: nothing is stable"
    if len({part.revision for part in parts}) != len(parts):
        yield f"{where}: a revision has two places"
