"""The lines that passes leave in the log; `about` is the object that they are about."""

from __future__ import annotations

import logging
from typing import Any

from canarium.core.observed import WriteFailure
from canarium.core.plan import SIZING_KINDS, Plan
from canarium.shell.controller.tenant import Position

logger = logging.getLogger(__package__)
"One for the whole controller: people filter by its name."

IN_THE_WAY = ("Wait", "Route")
"Actions of warnings that tell of a fault around us; all other events are decisions."


def log_pass(about: str, plan: Plan) -> None:
    """What a pass is going to write, for debugging."""
    if logger.isEnabledFor(logging.DEBUG):
        words = ("status", *(f"{type(write).__name__} {write.ref.kind}" for write in plan.writes))
        said = ", ".join(words if plan.status is not None else words[1:]) or "nothing"
        logger.debug("a pass writes %s", said, extra={"object": about})


def log_events(about: str, plan: Plan, before: Position, after: Position) -> None:
    """One line for each decision, in the event's own words; other changes are for debugging."""
    place: dict[str, Any] = {"object": about, **after.fields}
    for event in plan.events:
        fault = event.type == "Warning" and event.action in IN_THE_WAY
        told = {"revision": event.revision, "version": event.version, "action": event.action}
        level = logging.WARNING if fault else logging.INFO
        logger.log(level, "%s", event.message, extra={**place, **told, "reason": event.reason})
    if not plan.events and before != after:
        logger.debug("%s", after.text, extra=place)


def log_refusal(about: str, failure: WriteFailure) -> None:
    """Of most kinds the next pass makes a line of it, since status will tell; of these it won't."""
    level = logging.WARNING if failure.kind in SIZING_KINDS else logging.DEBUG
    extra = {"object": about, "reason": failure.reason}
    logger.log(level, "%s %s: %s", failure.kind, failure.name, failure.message, extra=extra)
