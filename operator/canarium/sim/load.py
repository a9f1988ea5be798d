"""How much each revision is asked to do: what comes for a model, by the rules that are in force.

It comes at a rate that stays as it is, or that wanders; autoscalers count by it.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from dataclasses import dataclass

from canarium.core.names import MODEL_LABEL, REVISION_LABEL
from canarium.sim.apiserver import Key, is_ready, labels_of
from canarium.sim.controllers.endpoints import Endpoints
from canarium.sim.traffic import SimulatedTraffic

STEP_SECONDS = 5.0
"From one step of a walk to the next."
LONGEST_STEP = 0.25
"A step of a walk is at most this share of its whole range, up or down."


@dataclass(frozen=True, slots=True)
class ServingPods:
    """The pods of one revision that are not on their way out."""

    ready: int
    every: int


class Load:
    """What comes for every model, in requests a second."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        traffic: SimulatedTraffic,
        endpoints: Endpoints,
        draw: random.Random,
    ) -> None:
        self._loop = loop
        self._traffic = traffic
        self._endpoints = endpoints
        self._draw = draw
        self._walks: dict[Key, asyncio.TimerHandle] = {}

    def offer(self, key: Key, rate: float) -> None:
        """From now on requests for a model come at this rate, in requests a second."""
        self._stop(key)
        self._traffic.offer(key, rate)

    def walk(self, key: Key, lowest: float, highest: float) -> None:
        """From now on the rate goes up and down between two bounds, by chance."""
        self._stop(key)
        rate = min(highest, max(lowest, self._traffic.rate_of(key)))
        rate += self._draw.uniform(-LONGEST_STEP, LONGEST_STEP) * (highest - lowest)
        self._traffic.offer(key, min(highest, max(lowest, rate)))
        self._walks[key] = self._loop.call_later(STEP_SECONDS, self.walk, key, lowest, highest)

    def of(self, key: Key, revision: str) -> float:
        """Requests a second that a revision is meant to answer now, ready or not."""
        return self._traffic.rate_of(key) * self._traffic.meant(key).get(revision, 0.0)

    def pods(self, key: Key, revision: str) -> ServingPods:
        """How many pods a revision has."""
        mine = [p for p in self._endpoints.pods_of(key) if labels_of(p)[REVISION_LABEL] == revision]
        return ServingPods(ready=sum(map(is_ready, mine)), every=len(mine))

    def _stop(self, key: Key) -> None:
        if walk := self._walks.pop(key, None):
            walk.cancel()


def find_revision(namespace: str, labels: Mapping[str, str]) -> tuple[Key, str]:
    """The model and the revision that labels (or a selector) name, "" for none."""
    return (namespace, labels.get(MODEL_LABEL, "")), labels.get(REVISION_LABEL, "")
