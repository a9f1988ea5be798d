"""How long to wait before trying again: exponential, jittered, without end."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Delays that double from `first_seconds` to `longest_seconds`; each is cut by up to half."""

    first_seconds: float
    longest_seconds: float

    def compute(self, failures: int) -> float:
        """Seconds to wait after so many failures in a row (at least one)."""
        doublings = min(max(failures, 1) - 1, 32)
        delay = min(self.longest_seconds, self.first_seconds * 2.0**doublings)
        return delay * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, hides nothing
