"""Router `Toy`: a WeightSet, whose controller says nothing of what it took."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import ClassVar

from canarium.core.names import child_name
from canarium.core.observed import Observed
from canarium.core.plan import Ref
from canarium.core.spec import Step, Traffic
from canarium.routing.base import (
    Child,
    Feature,
    Router,
    Split,
    TrafficRule,
    Verification,
    by_revision,
    find_missing,
    find_route,
    make_child,
    make_leading_service,
    primary_selector,
    verify_written,
)
from canarium.routing.routes import RouteType


class Toy(Router):
    """Shares single requests by the weights of a WeightSet."""

    name = "Toy"
    summary = "a WeightSet"
    routes = (RouteType("WeightSet", "toy.example/v1", "weightsets", deciding={"mirror": ()}),)
    setting = "toy"
    stands_in = "Toy's"
    features: ClassVar[frozenset[Feature]] = frozenset({"timeouts"})
    rules = (
        TrafficRule(
            "!has(self.parentRefs) || self.parentRefs.size() == 0",
            "router Toy attaches to no Gateway: remove parentRefs",
            lambda traffic: not traffic.parent_refs,
            at="parentRefs",
        ),
    )
    unanswered = frozenset({"ToyNotInstalled"})
    entrance = "variables.router == 'Toy' ? 'weightsets' :"
    settle_seconds = 1.0

    def make_routes(self, split: Split) -> tuple[Child, ...]:
        """The leading Service, and the WeightSet that requests come in by."""
        weights = {child_name(split.model, revision): w for revision, w in split.weights}
        spec = {"hosts": list(split.traffic.hostnames), "weights": weights}
        service = make_leading_service(split, primary_selector(split))
        return (service, make_child("WeightSet", split.model, spec))

    def verify(self, split: Split, observed: Observed) -> Verification:
        """Whether all is written; more cannot be known."""
        missing = find_missing(self, split.traffic, observed)
        missing = missing or verify_written(self.make_routes(split), observed)
        return missing or Verification(accepted=True, message="Toy is given 1 s for it")

    def live_weights(self, model: str, observed: Observed) -> Mapping[str, int]:
        """Whom the live WeightSet sends to."""
        route = find_route(observed, Ref("WeightSet", model))
        return by_revision(model, observed, json.loads(route.spec)["weights"]) if route else {}

    def make_url(self, traffic: Traffic) -> str:
        """By the first host name."""
        return f"http://{traffic.hostnames[0]}" if traffic.hostnames else ""

    def explain_undeliverable(self, step: Step, traffic: Traffic, observed: Observed) -> str:
        """It knows weights and nothing else."""
        more = step.mirror or step.headers or step.sticky
        return "router Toy shares by weights alone: write a weight" if more else ""
