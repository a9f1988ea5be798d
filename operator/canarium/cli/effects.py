"""What came of a command: told from the object before it and after it was handled. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from canarium.cli.binding import Order

Json = Mapping[str, Any]


def is_handled(order: Order, model: Json) -> bool:
    """Whether the operator has acted on it (or found that there is nothing to do)."""
    handled = _status(model).get("lastHandledCommands") or {}
    return bool(handled.get(order.verb) == order.text)


def is_replaced(order: Order, model: Json) -> bool:
    """Whether the annotation is gone, or holds another command by now."""
    annotations = model["metadata"].get("annotations") or {}
    return bool(annotations.get(order.annotation) != order.text)


def tell_effect(order: Order, before: Json, after: Json) -> str:
    """What it did, in a sentence; "" when it did nothing."""
    return _EFFECTS[order.verb](order.revision, _status(before), _status(after))


def _promoted(revision: str, before: Json, after: Json) -> str:
    if _revision(after, "stable") == revision != _revision(before, "stable"):
        return f"promoted: {after.get('message', '')}"
    past, present = _step(before), _step(after)
    if _revision(after, "canary") == revision and present > past:
        return f"step {past} is over: {after.get('message', '')}"
    return ""


def _aborted(revision: str, before: Json, after: Json) -> str:
    fresh = revision in _rejected(after) and revision not in _rejected(before)
    return f"aborted: {after.get('message', '')}" if fresh else ""


def _retried(revision: str, before: Json, after: Json) -> str:
    lifted = revision in _rejected(before) and revision not in _rejected(after)
    started = _state(before) == "Broken" != _state(after)
    return f"tried again: {after.get('message', '')}" if lifted or started else ""


def _restarted(revision: str, before: Json, after: Json) -> str:
    at = (after.get("stable") or {}).get("restartedAt")
    fresh = at and at != (before.get("stable") or {}).get("restartedAt")
    return f"restarting the pods of {revision} one by one" if fresh else ""


def _rolled_back(revision: str, _before: Json, after: Json) -> str:
    override = after.get("override") or {}
    going = revision in (_revision(after, "canary"), _revision(after, "stable"))
    if override.get("revision") != revision and not going:
        return ""
    return f"going back to {revision}: {after.get('message', '')}"


_EFFECTS: Mapping[str, Callable[[str, Json, Json], str]] = {
    "promote": _promoted,
    "abort": _aborted,
    "retry": _retried,
    "restart": _restarted,
    "rollback": _rolled_back,
}


def _status(model: Json) -> Json:
    found: Json = model.get("status") or {}
    return found


def _revision(status: Json, role: str) -> str:
    return str((status.get(role) or {}).get("revision", ""))


def _rejected(status: Json) -> set[str]:
    return {one["revision"] for one in status.get("rejected") or ()}


def _state(status: Json) -> str:
    return str((status.get("rollout") or {}).get("state", ""))


def _step(status: Json) -> int:
    return int((status.get("rollout") or {}).get("step", 0))
