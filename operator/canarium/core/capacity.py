"""How many pods carry which share of the traffic."""

from __future__ import annotations

from canarium.core.spec import Step


def needed_replicas(weight: int, size: int) -> int:
    """Pods that must be available for `weight` percent, where `size` pods carry everything.

    max(1, ceil(weight * size / 100)); nothing is needed for no traffic.
    """
    return max(1, -(-weight * size // 100)) if weight > 0 else 0


def step_replicas(step: Step, size: int) -> int:
    """Pods of the canary that must be available for a step, where `size` pods carry everything.

    For its weight, its copies, one for those who come by header, or as many as the step asks for.
    """
    return max(
        needed_replicas(step.weight, size),
        needed_replicas(step.mirror, size),
        1 if step.headers else 0,
        step.replicas,
        needed_replicas(step.replicas_percent, size),
    )


def carried_weight(ready: int, size: int) -> int:
    """The highest weight, 0 to 100, that `ready` pods carry where `size` pods carry everything."""
    if ready <= 0:
        return 0
    return min(100, 100 * ready // max(1, size))
