"""A rollout line by line, for logs: a line whenever what people read of it changes. Pure."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Json = Mapping[str, Any]


@dataclass(slots=True)
class Narrator:
    """Remembers what it told last."""

    told: str = ""

    def tell(self, model: Json, now: float) -> str:
        """What is new, with the time of day in UTC; "" when nothing is."""
        status = model.get("status") or {}
        story = (
            f"{status.get('phase', 'Pending'):<11}  {_shares(status)}{status.get('message', '')}"
        )
        if story == self.told:
            return ""
        self.told = story
        return f"{time.strftime('%H:%M:%S', time.gmtime(now))}  {story}"


def _shares(status: Json) -> str:
    canary = status.get("canary")
    if not canary:
        return ""
    name = canary.get("version") or canary["revision"]
    return f"{name} at {canary.get('weight', 0)} %: "
