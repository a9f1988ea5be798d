"""A rate of requests that changes over time, in straight lines from point to point.

When each request is due follows from the points alone, so a schedule can be checked and drawn.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of `seconds` in which the rate goes from `first` to `last` requests a second."""

    seconds: float
    first: float
    last: float

    @property
    def requests(self) -> float:
        """How many requests leave in it: the area under the line."""
        return self.seconds * (self.first + self.last) / 2

    def due(self, number: float) -> float:
        """Seconds into the stretch at which so many requests have left.

        The root of `slope/2·t² + first·t - number`, in the form that also serves a level line.
        """
        slope = (self.last - self.first) / self.seconds
        root = math.sqrt(max(0.0, self.first**2 + 2 * slope * number))
        return 2 * number / (self.first + root)


@dataclass(frozen=True, slots=True)
class Ramp:
    """Stretches one after the other; the rate is positive everywhere."""

    segments: tuple[Segment, ...]

    @property
    def seconds(self) -> float:
        """How long it takes."""
        return sum(segment.seconds for segment in self.segments)

    @property
    def planned(self) -> int:
        """How many requests it holds."""
        return math.floor(sum(segment.requests for segment in self.segments))

    def due(self, number: int) -> float:
        """Seconds after the beginning at which a request leaves; `number` counts from 0.

        Beyond the end it is the end.
        """
        begin, left = 0.0, float(number)
        for segment in self.segments:
            if left < segment.requests:
                return begin + segment.due(left)
            begin, left = begin + segment.seconds, left - segment.requests
        return begin

    def rate(self, seconds: float) -> float:
        """Requests a second at a time after the beginning; 0 outside of the ramp."""
        begin = 0.0
        for segment in self.segments:
            if begin <= seconds < begin + segment.seconds:
                share = (seconds - begin) / segment.seconds
                return segment.first + share * (segment.last - segment.first)
            begin += segment.seconds
        return 0.0


def steady(rate: float, seconds: float) -> Ramp:
    """One rate all the time."""
    return Ramp((Segment(seconds, rate, rate),))


def make_ramp(points: Sequence[tuple[float, float]]) -> Ramp:
    """A ramp through points of (seconds after the beginning, requests a second).

    Raises ValueError where time doesn't go on or a rate isn't positive.
    """
    if len(points) < 2 or any(b[0] <= a[0] for a, b in pairwise(points)):
        raise ValueError("a ramp has two points or more, each later than the one before")
    if any(rate <= 0 for _, rate in points):
        raise ValueError("a ramp's rates are positive")
    return Ramp(tuple(Segment(b[0] - a[0], a[1], b[1]) for a, b in pairwise(points)))


def parse_ramp(text: str) -> Ramp:
    """What `0:1,30:60` says: 1 request a second at first, 60 after 30 s.

    Raises ValueError for anything else.
    """
    pairs = (point.partition(":") for point in text.split(","))
    return make_ramp([(float(seconds), float(rate)) for seconds, _, rate in pairs])


def format_ramp(points: Sequence[tuple[float, float]]) -> str:
    """The points as `parse_ramp` reads them."""
    return ",".join(f"{seconds:g}:{rate:g}" for seconds, rate in points)
