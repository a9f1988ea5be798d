"""From counters, series by series, to counts since the last reading. Pure.

The sum of counters falls when a pod goes, which would look like a restart, so each series is
followed by itself and only its increases are added up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import floor, isfinite
from typing import TypeAlias

from canarium.judge.sequential import Counts
from canarium.sources.errors import SourceError

Labels: TypeAlias = tuple[tuple[str, str], ...]
"""A series' labels, sorted by name."""

MAX_REMEMBERED = 5_000
"""Series that are remembered; of more, those that were absent the longest are forgotten."""

_FALLS = 3
_LARGEST = 2.0**53


@dataclass(slots=True)
class _Followed:
    """A series: where it stood last, how often it was read, how often it had fallen."""

    value: float
    readings: int = 0
    falls: int = 0


@dataclass(slots=True)
class SeriesTracker:
    """Follows the series of one query, and tells by how much all together have grown.

    A series that has fallen began anew: all that it counts is new. One that was absent for a while
    goes on where it was. One that appears later than the others counts from zero, for counters
    appear with their first event.
    """

    _followed: dict[Labels, _Followed] = field(default_factory=dict)

    def compute_increase(self, series: Mapping[Labels, float]) -> float:
        """Compute the growth since the last reading; of the first reading it is all of it.

        Raises SourceError for what no counter does: being negative, or falling again and again.
        """
        for value in series.values():
            if not 0.0 <= value <= _LARGEST:
                raise SourceError(f"a counter stands at {value:g}: negative or beyond counting")
        increase = sum(self._follow(labels, value) for labels, value in series.items())
        for labels in list(self._followed)[: max(0, len(self._followed) - MAX_REMEMBERED)]:
            del self._followed[labels]
        return increase

    def _follow(self, labels: Labels, value: float) -> float:
        before = self._followed.pop(labels, None) or _Followed(0.0)
        fallen = value < before.value
        now = _Followed(value, before.readings + 1, before.falls + fallen)
        self._followed[labels] = now  # At the end: the first ones are the longest absent.
        if now.falls >= _FALLS and now.falls * 4 >= now.readings:
            raise SourceError(
                "a series that falls again and again is no counter: write the counter itself,"
                " not a rate or a sum"
            )
        return value if fallen else value - before.value


@dataclass(slots=True)
class CountsTracker:
    """Follows bad and all events of one revision: what is new since the last reading.

    Counters may hold fractions; whole events are told, the rest is carried to the next reading.
    """

    _bad: SeriesTracker = field(default_factory=SeriesTracker)
    _total: SeriesTracker = field(default_factory=SeriesTracker)
    _rest: tuple[float, float] = (0.0, 0.0)
    _has_begun: bool = False
    _was_beyond: bool = False

    def compute_counts(
        self, bad: Mapping[Labels, float], total: Mapping[Labels, float]
    ) -> Counts | None:
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


def _drop_no_data(series: Mapping[Labels, float]) -> dict[Labels, float]:
    return {labels: value for labels, value in series.items() if isfinite(value)}
