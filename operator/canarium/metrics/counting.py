"""From counters, series by series, to counts since the last reading. Pure.

The sum of counters falls when a pod goes, which would look like a restart, so each series is
followed by itself and only its increases are added up.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from math import floor, isfinite
from typing import Any, TypeAlias

from canarium.judge.sequential import Counts
from canarium.outbound.errors import SourceError
from canarium.outbound.sharing import MOST_FOLLOWED, Held, Room

Labels: TypeAlias = tuple[tuple[str, str], ...]
"""A series' labels, sorted by name."""

MAX_REMEMBERED = 5_000
"""Series that are remembered; of more, those that were absent the longest are forgotten."""

_FALLS = 3
_LARGEST = 2.0**53


_Followed: TypeAlias = tuple[float, int, int]
"""A series: where it stood last, how often it was read, how often it had fallen."""


class SeriesTracker:
    """Follows the series of one query, and tells by how much all together have grown.

    What a series is known by should have a size of ours: a digest of labels, not the labels. A
    series that has fallen began anew: all that it counts is new. One that was absent for a while
    goes on where it was. One that appears later than the others counts from zero, for counters
    appear with their first event. What it remembers is held of a room, if it is given one.
    """

    def __init__(self, held: Held | None = None) -> None:
        self._held = held or Held(Room(MOST_FOLLOWED, MOST_FOLLOWED), "")
        self._followed: dict[Hashable, _Followed] = {}

    def compute_increase(self, series: Mapping[Any, float]) -> float:
        """Compute the growth since the last reading; of the first reading it is all of it.

        Raises SourceError for what no counter does: being negative, or falling again and again.
        """
        for value in series.values():
            if not 0.0 <= value <= _LARGEST:
                raise SourceError(f"a counter stands at {value:g}: negative or beyond counting")
        if not self._held.take_now(sum(each not in self._followed for each in series)):
            raise SourceError("more series than are followed at once: aggregate them")
        try:
            return sum(self._follow(each, value) for each, value in series.items())
        finally:
            for each in list(self._followed)[: max(0, len(self._followed) - MAX_REMEMBERED)]:
                del self._followed[each]
            self._held.give(self._held.amount - len(self._followed))

    def _follow(self, series: Hashable, value: float) -> float:
        before, readings, falls = self._followed.pop(series, (0.0, 0, 0))
        fallen = value < before
        readings, falls = readings + 1, falls + fallen
        self._followed[series] = value, readings, falls  # last: the first ones are longest absent
        if falls >= _FALLS and falls * 4 >= readings:
            raise SourceError(
                "a series that falls again and again is no counter: write the counter itself,"
                " not a rate or a sum"
            )
        return value if fallen else value - before


class CountsTracker:
    """Follows bad and all events of one revision: what is new since the last reading.

    Counters may hold fractions; whole events are told, the rest is carried to the next reading.
    """

    def __init__(self, room: Room | None = None, owner: str = "") -> None:
        room = room or Room(MOST_FOLLOWED, MOST_FOLLOWED)
        self._bad = SeriesTracker(Held(room, owner))
        self._total = SeriesTracker(Held(room, owner))
        self._rest = (0.0, 0.0)
        self._has_begun = False
        self._was_beyond = False

    def compute_counts(self, bad: Mapping[Any, float], total: Mapping[Any, float]) -> Counts | None:
        """Compute the counts of one reading: both queries, evaluated at the same moment.

        None when nothing can be told: without any series of `total`, and of the first reading that
        has one, where counting starts. No series of `bad` means that none was bad. Raises
        SourceError for series that are no counters, and when there are more bad ones than all.
        """
        known = _drop_no_data(total)
        if not known:
            return None
        increases = (
            self._bad.compute_increase(_drop_no_data(bad)),
            self._total.compute_increase(known),
        )
        if not self._has_begun:
            self._has_begun = True
            return None
        return self._take(self._rest[0] + increases[0], self._rest[1] + increases[1])

    def _take(self, bad: float, total: float) -> Counts:
        whole = floor(total + 1e-6)
        counted = min(floor(bad + 1e-6), whole)
        # Bad ones can be seen a moment before they are among all; not two readings long.
        is_beyond = floor(bad + 1e-6) > whole
        if is_beyond and self._was_beyond:
            self._rest, self._was_beyond = (0.0, 0.0), False
            raise SourceError(f"{bad:.0f} bad among {total:.0f} cannot be: check the two queries")
        self._was_beyond = is_beyond
        self._rest = (max(0.0, bad - counted), max(0.0, total - whole))
        return Counts(counted, whole)


def flip(counts: Counts) -> Counts:
    """Turn counts of good events into counts of bad ones."""
    return Counts(counts.total - counts.bad, counts.total)


def _drop_no_data(series: Mapping[Any, float]) -> dict[Hashable, float]:
    return {each: value for each, value in series.items() if isfinite(value)}
