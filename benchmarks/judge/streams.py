"""What simulated rollouts answer. A stream is a value; a generator of random numbers makes it run.

Whole rollouts are drawn at once: numbers one at a time would take longer than judging them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, islice
from math import inf, log
from typing import Protocol

import numpy as np
from canarium.judge import Buckets, Reading, Sample

Rng = np.random.Generator
Numbers = np.ndarray[tuple[int, ...], np.dtype[np.int64]]
Rates = np.ndarray[tuple[int, ...], np.dtype[np.float64]]

BLOCK = 100
DRAWN = 100
"Readings that are drawn at once."
BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, inf)
"MLServer's buckets, in seconds."


class Stream(Protocol):
    """Where the readings of one rollout come from; they never end."""

    def answer(self, rng: Rng) -> Iterator[Reading]:
        """Answer, reading after reading."""


class Rate(Protocol):
    """A share of bad answers that may change from reading to reading."""

    def at(self, numbers: Numbers) -> Rates | float:
        """Give the share at these readings, of which the first is 0."""


@dataclass(frozen=True, slots=True)
class Constant:
    rate: float

    def at(self, numbers: Numbers) -> float:
        return self.rate


@dataclass(frozen=True, slots=True)
class Steps:
    """One rate after the other: (from which reading on, rate), rising from reading 0."""

    rates: tuple[tuple[int, float], ...]

    def at(self, numbers: Numbers) -> Rates:
        begins = np.array([begin for begin, _ in self.rates])
        rates = np.array([rate for _, rate in self.rates])
        found: Rates = rates[np.searchsorted(begins, numbers, side="right") - 1]
        return found


@dataclass(frozen=True, slots=True)
class Swing:
    """A low and a high rate that take turns, each for half of `period` readings."""

    low: float
    high: float
    period: int

    def at(self, numbers: Numbers) -> Rates:
        return np.where(numbers % self.period < self.period // 2, self.low, self.high)


@dataclass(frozen=True, slots=True)
class Drift:
    """A rate that rises evenly over so many readings."""

    low: float
    high: float
    readings: int

    def at(self, numbers: Numbers) -> Rates:
        risen: Rates = self.low + (self.high - self.low) * numbers / self.readings
        return risen


@dataclass(frozen=True, slots=True)
class BadNode:
    """A rate in the first `bad` of every `period` readings, none in the others."""

    rate: float
    bad: int
    period: int

    def at(self, numbers: Numbers) -> Rates:
        return np.where(numbers % self.period < self.bad, self.rate, 0.0)


def split(share: float) -> tuple[int, int]:
    """Split a block's requests: (stable's, canary's)."""
    canary = round(BLOCK * share)
    return BLOCK - canary, canary


@dataclass(frozen=True, slots=True)
class Steady:
    """BLOCK requests a reading, `share` of them on the canary; errors are independent."""

    share: float
    stable: Rate
    canary: Rate

    def answer(self, rng: Rng) -> Iterator[Reading]:
        on_stable, on_canary = split(self.share)
        for begin in count(0, DRAWN):
            numbers = np.arange(begin, begin + DRAWN)
            stable = rng.binomial(on_stable, self.stable.at(numbers), DRAWN)
            canary = rng.binomial(on_canary, self.canary.at(numbers), DRAWN)
            yield from _make_readings(on_stable, stable, on_canary, canary)


@dataclass(frozen=True, slots=True)
class Bursts:
    """BLOCK requests a reading with errors that come `length` at a time, on a side by itself.

    Those of one burst are spread evenly over so many `readings`, of which `length` is a multiple.
    """

    share: float
    rate: float
    length: int
    readings: int = 1

    def answer(self, rng: Rng) -> Iterator[Reading]:
        on_stable, on_canary = split(self.share)
        sides = zip(self._draw(rng, on_stable), self._draw(rng, on_canary), strict=True)
        for stable, canary in sides:
            yield from _make_readings(on_stable, stable, on_canary, canary)

    def _draw(self, rng: Rng, requests: int) -> Iterator[Numbers]:
        going_on = np.zeros(self.readings - 1, np.int64)
        while True:
            bursts = rng.poisson(requests * self.rate / self.length, DRAWN)
            errors = np.convolve(bursts, np.full(self.readings, self.length // self.readings))
            errors[: self.readings - 1] += going_on
            going_on = errors[DRAWN:]
            yield np.minimum(errors[:DRAWN], requests)


def _make_readings(
    on_stable: int, stable: Numbers, on_canary: int, canary: Numbers
) -> Iterator[Reading]:
    for stable_bad, canary_bad in zip(stable.tolist(), canary.tolist(), strict=True):
        yield Reading(10, Sample(on_stable, stable_bad), Sample(on_canary, canary_bad))


@dataclass(frozen=True, slots=True)
class Example:
    """The iris example: 20 requests a second, 20 % on the canary, 20 ms each; a reading a second.

    Durations scatter by a tenth, and one answer in 200 waits another 30 ms for the CPU.
    """

    error_rate: float
    slower_seconds: float

    def answer(self, rng: Rng) -> Iterator[Reading]:
        while True:
            stable = self._answer_side(rng, int(rng.poisson(16)), 0.0, 0.0)
            canary = self._answer_side(
                rng, int(rng.poisson(4)), self.error_rate, self.slower_seconds
            )
            yield Reading(1, stable, canary)

    def _answer_side(self, rng: Rng, requests: int, rate: float, slower: float) -> Sample:
        seconds = rng.lognormal(log(0.0215), 0.1, requests) + slower
        seconds += 0.03 * (rng.random(requests) < 0.005)
        within = np.searchsorted(np.sort(seconds), BOUNDS, side="right").tolist()
        latency: Buckets = tuple(zip(BOUNDS, within, strict=True))
        return Sample(requests, int(rng.binomial(requests, rate)), latency)


@dataclass(frozen=True, slots=True)
class First:
    """So many readings of another stream."""

    readings: int
    stream: Stream

    def answer(self, rng: Rng) -> Iterator[Reading]:
        return islice(self.stream.answer(rng), self.readings)
