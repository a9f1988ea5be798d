"""What is raised about one object stays with it: told as its own, counted, logged once a change.

Whoever works on many objects (projecting, planning, measuring, notifying, the metrics) catches
whatever is raised about one of them, notes it here, and goes on with the others.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from typing import Literal, get_args

from canarium.errors import describe_bug
from canarium.telemetry.metrics import Metrics

logger = logging.getLogger(__name__)

Part = Literal["Projecting", "Planning", "Measuring", "Notifying", "Metrics", "Templates", "Usage"]
MOST_REMEMBERED = 4096
"Of so many objects it is known what was logged last; of others it is logged once more."


class Boundary:
    """Notes what was raised about single objects; one for a whole process."""

    def __init__(self, metrics: Metrics | None = None) -> None:
        self._metrics = metrics
        if metrics is not None:
            for part in get_args(Part):  # from 0 on, or an alert would not see the first one
                metrics.internal_errors.labels(part)
        self._told: OrderedDict[tuple[Part, str], str] = OrderedDict()

    def note(self, part: Part, about: str, error: Exception) -> str:
        """Count what was raised about an object, log it when that is news, and name it.

        The answer may be shown to anybody: see `describe_bug`. `about` says which object.
        """
        words = describe_bug(error)
        if self._metrics is not None:
            self._metrics.internal_errors.labels(part).inc()
        if self._told.get((part, about)) != words:
            logger.error(
                "%s: an internal error (%s); others go on",
                part.lower(),
                words,
                exc_info=error,
                extra={"object": about},
            )
        self._told[part, about] = words
        self._told.move_to_end((part, about))
        if len(self._told) > MOST_REMEMBERED:
            self._told.popitem(last=False)
        return words

    def clear(self, part: Part, about: str) -> None:
        """It went well: whatever is raised about the object next is news again."""
        self._told.pop((part, about), None)
