"""What came of a command: told from the object once the operator has acted on it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from canarium.cli.objects.binding import TRYING, Order

Json = Mapping[str, Any]

_DONE = {
    "promote": "promoted",
    "abort": "aborted",
    "retry": "tried again",
    "restart": "restarting the pods of {revision} one by one",
    "rollback": "going back to {revision}",
}


def is_handled(order: Order, model: Json) -> bool:
    """Whether the operator has acted on it, or found that it can have no effect."""
    handled = _status(model).get("lastHandledCommands") or {}
    return bool(handled.get(order.verb) == order.text)


def is_replaced(order: Order, model: Json) -> bool:
    """Whether the annotation is gone, or holds another command by now."""
    annotations = model["metadata"].get("annotations") or {}
    return bool(annotations.get(order.annotation) != order.text)


def find_reason(order: Order, model: Json) -> str:
    """Why a command that was handled had no effect, in the operator's words; "" if it had one."""
    ignored = _status(model).get("ignoredCommands") or {}
    return str(ignored.get(order.verb, ""))


def tell_effect(order: Order, model: Json) -> str:
    """What it did, and what is going on since, in a sentence."""
    done = _DONE[order.verb].format(revision=order.revision)
    message = _status(model).get("message")
    beside = order.verb == "restart"  # of which the message, about the rollout, says nothing
    return done if beside or not message else f"{done}: {message}"


def tell_silence(order: Order, model: Json, seconds: float) -> str:
    """Why a command that is written was not acted on within so many seconds."""
    status = _status(model)
    state = (status.get("rollout") or {}).get("state")
    if order.verb == "promote" and state in TRYING:
        return f"written; it takes effect once its step holds. Now: {status.get('message', '')}"
    if order.verb == "retry" and state in ("Reverting", "Rejected"):
        return "written; it takes effect once the pods of the rejected revision are gone"
    return (
        f"written, but nobody has acted on it within {seconds:g} s:"
        " does the operator run, and does it serve this namespace?"
    )


def _status(model: Json) -> Json:
    found: Json = model.get("status") or {}
    return found
