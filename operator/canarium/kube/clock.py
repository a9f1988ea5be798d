"""The time that decisions are made by: the cluster's, and one that never jumps.

Instants are stored in status and read by whoever leads next, so all replicas need the same clock:
the apiserver's, as each of its answers says it. Between answers, and whatever is done to this
machine's clock, time goes by a monotonic one (docs/adr/0011-clocks.md).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime

logger = logging.getLogger(__name__)

HEAR_SECONDS = 1.0
"How often an answer's date is looked at: it is told in whole seconds."
MOST_STEP = 0.05
"Seconds by which one answer moves a clock that runs: what is held is never wrong by more."
WORTH_TELLING = 5.0
"Seconds of difference that people should know of."


class ClusterClock:
    """The apiserver's time, in seconds since the epoch.

    The first answer sets it; later ones move it by little, so that nothing that is under way sees
    a jump, even when the apiserver's own clock makes one.
    """

    def __init__(
        self,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self._offset = wall() - monotonic()
        self._heard_at = float("-inf")
        self._told: dict[str, float] = {}

    def now(self) -> float:
        """The time now."""
        return self._monotonic() + self._offset

    def hear(self, date: str, begun: float) -> None:
        """Take in an answer's Date header; `begun` is when it was asked for, monotonic.

        It was said between then and now, in whole seconds that leave out what is beyond them.
        """
        ended = self._monotonic()
        if ended - self._heard_at < HEAR_SECONDS:
            return
        try:
            said = parsedate_to_datetime(date).timestamp()
        except ValueError:
            return
        ahead = _outside(self._offset, said - ended, said + 1.0 - begun)
        is_first = self._heard_at == float("-inf")
        self._offset += ahead if is_first else max(-MOST_STEP, min(MOST_STEP, ahead))
        self._heard_at = ended
        self._tell("the apiserver's", 0.0 if is_first else ahead)
        self._tell("this machine's", self._wall() - self.now())

    def follow(self, written: float, after: float, before: float) -> None:
        """Go on by the clock of whoever led until now, who wrote `written` between two moments.

        Both are monotonic. What is stored is by that clock, right or wrong: a jump would end, or
        begin anew, whatever waits for a time. Answers bring the clock back, little by little.
        """
        ahead = _outside(self._offset, written - before - 1.0, written - after + 1.0)
        self._offset += ahead
        if abs(ahead) >= WORTH_TELLING:
            words = "whoever led before had a clock %.0f s %s; it is followed, and put right slowly"
            logger.warning(words, abs(ahead), "ahead" if ahead > 0 else "behind")

    def _tell(self, whose: str, ahead: float) -> None:
        """Say it once when a clock has gone elsewhere, and not while it comes back."""
        told = self._told.get(whose, 0.0)
        if abs(ahead) < WORTH_TELLING:
            self._told[whose] = 0.0
        elif abs(ahead - told) >= WORTH_TELLING and (abs(ahead) > abs(told) or ahead * told < 0):
            self._told[whose] = ahead
            where = "ahead of" if ahead > 0 else "behind"
            words = "%s clock is %.0f s %s the time that is gone by, which doesn't jump"
            logger.warning(words, whose, abs(ahead), where)


def _outside(value: float, lowest: float, highest: float) -> float:
    """What brings a value between two others; 0 where it is."""
    return max(0.0, lowest - value) + min(0.0, highest - value)
