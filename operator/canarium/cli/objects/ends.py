"""When a rollout is over, and how: what `canarium wait` ends with. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from canarium.cli.exits import Exit
from canarium.cli.objects.status_report import is_seen, read_condition

Json = Mapping[str, Any]

SCALED_TO_ZERO = "ScaledToZero"
"The reason of a Paused model that a person gave no pods: there is nothing to wait for."
AT_REST = ("Healthy", "RolledBack", "Failed", "Invalid")
"Phases that last until somebody changes something."


@dataclass(frozen=True, slots=True)
class End:
    """How it ended, and the sentence about it."""

    code: Exit
    message: str


def find_end(
    model: Json, *, through_guard: bool = False, through_pauses: bool = False
) -> End | None:
    """The end of what the spec asks for, None while it is under way.

    Promoted is the end, unless the guard has to be over too (`through_guard`). Waiting for a person
    is an end, unless that is waited for (`through_pauses`). A status about an earlier spec says
    nothing.
    """
    status = model.get("status") or {}
    phase, words = status.get("phase", ""), f"{status.get('reason')}: {status.get('message')}"
    if not is_seen(model):
        return None
    if read_condition(model, "UpToDate").get("status") == "True":
        return (
            End(Exit.DONE, str(status.get("message"))) if _is_over(status, through_guard) else None
        )
    if phase in AT_REST or read_condition(model, "Stalled").get("status") == "True":
        return End(Exit.REFUSED, f"{phase}, {words}")
    if phase == "Paused" and not through_pauses:
        return End(Exit.WAITS, f"waits for a person, {words}")
    return None


def _is_over(status: Json, through_guard: bool) -> bool:
    phase = status.get("phase", "")
    at_rest = phase == "Healthy" or _is_scaled_to_zero(status)
    return at_rest or (phase == "Guarding" and not through_guard)


def _is_scaled_to_zero(status: Json) -> bool:
    return (status.get("phase"), status.get("reason")) == ("Paused", SCALED_TO_ZERO)


def is_at_rest(model: Json) -> bool:
    """Whether nothing goes on any more by itself."""
    status = model.get("status") or {}
    return is_seen(model) and (status.get("phase") in AT_REST or _is_scaled_to_zero(status))
