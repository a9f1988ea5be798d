"""What a ModelDeployment's status says, read from its JSON the way a person would read it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from testbed.demo.scene import Role

ROLES: tuple[Role, ...] = ("stable", "canary", "previous")
SHOWN = ("Ready", "UpToDate", "Stalled", "Routed", "Judged")
"Without Reconciling, which the phase says too: these fit on a line of 80 columns."


@dataclass(frozen=True, slots=True)
class Told:
    """A status; `revisions` gives each role's revision and version."""

    current: bool = False
    phase: str = ""
    reason: str = ""
    message: str = ""
    step: str = ""
    conditions: Mapping[str, str] = field(default_factory=dict)
    revisions: Mapping[Role, tuple[str, str]] = field(default_factory=dict)

    def version(self, role: Role) -> str:
        """The version in this role, "" for none."""
        return self.revisions.get(role, ("", ""))[1]


def read_status(found: Mapping[str, Any]) -> Told:
    """The status of a whole object; `current` is whether it is about the latest spec."""
    status = found.get("status") or {}
    generation = found["metadata"].get("generation", 0)
    conditions = {c["type"]: c["status"] for c in status.get("conditions", [])}
    return Told(
        current=status.get("observedGeneration", -1) >= generation,
        phase=status.get("phase", ""),
        reason=status.get("reason", ""),
        message=status.get("message", ""),
        step=_describe_step(status.get("rollout") or {}),
        conditions={kind: conditions[kind] for kind in SHOWN if kind in conditions},
        revisions={
            role: (status[role]["revision"], status[role].get("version", ""))
            for role in ROLES
            if role in status
        },
    )


def _describe_step(rollout: Mapping[str, Any]) -> str:
    state, step, name = (rollout.get(key) for key in ("state", "step", "stepName"))
    if not step:
        return str(state or "")
    return f"{state}, step {step}" + (f" ({name})" if name else "")
