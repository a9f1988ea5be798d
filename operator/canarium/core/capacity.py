"""How many pods carry which share of the traffic."""

from __future__ import annotations


def needed_replicas(weight: int, size: int) -> int:
    """Pods that must be available for `weight` percent, where `size` pods carry everything.

    max(1, ceil(weight * size / 100)); nothing is needed for no traffic.
    """
    return max(1, -(-weight * size // 100)) if weight > 0 else 0


def carried_weight(ready: int, size: int) -> int:
    """The highest weight, 0 to 100, that `ready` pods carry where `size` pods carry everything."""
    if ready <= 0:
        return 0
    return min(100, 100 * ready // max(1, size))
