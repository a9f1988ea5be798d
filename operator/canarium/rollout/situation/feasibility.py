"""Whether the router that is there can deliver what the steps ask for, and tell how it went.

A gateway that takes a rule and then does something else with it is the worst outcome there is, so
such a spec is refused as a whole, before anything moves. So is one that would be judged by counters
that call good what failed.
"""

from __future__ import annotations

from collections.abc import Iterator

from canarium.core.observed import Observed
from canarium.core.spec import RolloutSpec
from canarium.errors import Problem
from canarium.routing import ROUTERS, choose_router
from canarium.routing.gateway_counters import explain_uncounted, find_gateway_kind

_MIXED = (
    "router {router} shares whole pods, and in the guard both revisions have all of theirs, so "
    "half of the traffic would be held back: leave holdback out, or name a Gateway in "
    "spec.traffic.parentRefs"
)


def find_undeliverable(observed: Observed) -> tuple[Problem, ...]:
    """Every step, and the holdback, that the router cannot deliver, with what to write instead.

    And every metric that its gateway counts, but cannot tell for what callers speak.
    """
    spec = observed.model.spec
    if spec is None:
        return ()
    found = _find_problems(observed) if _asks_for_more(spec.rollout) else ()
    return (*found, *_find_untold(observed))


def _asks_for_more(rollout: RolloutSpec) -> bool:
    """Whether anything is asked for beyond rising weights, which every router delivers."""
    steps = rollout.all_steps
    return bool(rollout.holdback) or any(s.mirror or s.headers or s.sticky for s in steps)


def _name_field(rollout: RolloutSpec, number: int) -> str:
    """Where a person wrote what makes a step."""
    if number >= len(rollout.steps):
        return "experiment.sticky"
    return "strategy" if rollout.strategy else f"steps[{number}]"


def _find_problems(observed: Observed) -> Iterator[Problem]:
    spec, current = observed.model.spec, observed.model.status.router
    if spec is None:
        return
    router = ROUTERS[choose_router(spec.traffic, observed, current).name]
    for number, step in enumerate(spec.rollout.all_steps):
        if words := router.explain_undeliverable(step, spec.traffic, observed):
            field = _name_field(spec.rollout, number)
            yield Problem(f"spec.rollout.{field}", f"step {step.name}: {words}")
    if spec.rollout.holdback and router.mixes_pods:
        yield Problem("spec.rollout.guard.holdback", _MIXED.format(router=router.name))


def _find_untold(observed: Observed) -> Iterator[Problem]:
    """Metrics by the counters of a gateway that is there; one that counts nothing is waited for."""
    spec, current = observed.model.spec, observed.model.status.router
    if spec is None or spec.rollout.analysis is None or spec.traffic.protocol == "HTTP":
        return
    asked = [each for each in spec.rollout.analysis.metrics if each.source == "Gateway"]
    if not asked:
        return
    router = choose_router(spec.traffic, observed, current).name
    kind = find_gateway_kind(router, observed)
    if kind is not None and (words := explain_uncounted(kind, spec.traffic.protocol)):
        for metric in asked:
            yield Problem("spec.rollout.analysis", f"metric {metric.name}: {words}")
