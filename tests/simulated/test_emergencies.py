"""Stable dies, or blinks, in the simulated cluster; and a planner that never makes up its mind."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from canarium.core.actions import Plan
from canarium.core.observed import Observed
from canarium.core.plan import plan
from canarium.sim.pods import Behaviour

from tests.simulated.play import KEY, Play, log_changes, serving

WAITING: dict[str, Any] = {
    "steps": [{"name": "some", "weight": 20, "hold": "1h"}],
    "replicas": 2,
    "guard": "15s",
}
