"""Defaults of the cluster in a rollout that is under way: those that it began with.

The operator may be started anew with other defaults at any time. Only what the object's own spec
says may change a rollout midway.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from canarium.core.spec import RolloutSpec

_ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "steps": ("steps", "strategy"),
    "analysis": ("analysis",),
    "progressDeadline": ("progress_deadline_seconds",),
    "emergencyAfter": ("emergency_seconds",),
    "guard": ("guard_seconds", "holdback"),
    "capacity": ("capacity",),
}
"Of each field that defaults may give, where a RolloutSpec has it."


def freeze_defaults(now: RolloutSpec, copied: RolloutSpec) -> RolloutSpec:
    """The terms of a spec as it is now, with the defaults of the copy made at the start.

    A field that the object writes now is taken as it is written. One that it leaves out is as it
    was when the rollout started, if the object left it out then, too.
    """
    kept = [name for name in _ATTRIBUTES if _is_begun(name, now, copied)]
    if not kept:
        return now
    attributes = {each: getattr(copied, each) for name in kept for each in _ATTRIBUTES[name]}
    given = {name for name in now.defaulted if name not in kept} | (set(kept) & {*copied.defaulted})
    defaulted = tuple(name for name in _ATTRIBUTES if name in given)
    return replace(now, **attributes, defaulted=defaulted, raw=_copy(now, copied, kept, defaulted))


def _is_begun(name: str, now: RolloutSpec, copied: RolloutSpec) -> bool:
    """Whether a default, or the want of one, holds since the rollout started."""
    silent = name in now.defaulted or name not in now.raw
    was_given = name in copied.defaulted
    was_silent = was_given or name not in copied.raw
    return silent and was_silent and (was_given or name in now.defaulted)


def _copy(
    now: RolloutSpec, copied: RolloutSpec, kept: list[str], defaulted: tuple[str, ...]
) -> dict[str, Any]:
    own = {n: v for n, v in now.raw.items() if n not in kept and n != "defaulted"}
    begun = {name: copied.raw[name] for name in kept if name in copied.raw}
    return own | begun | ({"defaulted": list(defaulted)} if defaulted else {})
