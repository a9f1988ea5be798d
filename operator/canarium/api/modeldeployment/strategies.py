"""Strategies: names for steps that many people want. A strategy is nothing but its steps."""

from __future__ import annotations

import copy
from typing import Any, Literal

Strategy = Literal["Canary", "BlueGreen", "Shadow", "Rolling"]

_STEPS: dict[Strategy, list[dict[str, Any]]] = {
    "Canary": [
        {"name": "five", "weight": 5, "hold": "2m"},
        {"name": "twenty", "weight": 20, "hold": "5m"},
        {"name": "half", "weight": 50, "hold": "5m"},
    ],
    "BlueGreen": [
        {
            "name": "preview",
            "replicas": "100%",
            "headers": [{"name": "x-canary", "value": "1"}],
            "approval": "Manual",
        },
    ],
    "Shadow": [
        {"name": "sample", "mirror": {"percent": 10}, "hold": "5m"},
        {"name": "shadow", "mirror": {"percent": 50}, "hold": "10m"},
    ],
    "Rolling": [
        {"name": "quarter", "weight": 25},
        {"name": "half", "weight": 50},
        {"name": "most", "weight": 75},
    ],
}


MOST_HOLDBACK = 50
"The largest holdback, in percent."
HIGHEST_WEIGHTS: dict[Strategy, int] = {
    name: highest
    for name, steps in _STEPS.items()
    if (highest := max(int(step.get("weight", 0)) for step in steps))
}
"The highest weight of each strategy that has any."


def expand(strategy: Strategy) -> list[dict[str, Any]]:
    """The steps of a strategy, as one would write them under spec.rollout.steps."""
    return copy.deepcopy(_STEPS[strategy])
