"""Router `Replicas`: one Service, and traffic shared by whole pods.

The Service selects stable's revision, then the model (both revisions), then the canary's: those
flips are the shift. Weights round to whole pods, so the real share is shown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from canarium.core.names import MODEL_LABEL, REVISION_LABEL
from canarium.core.observed import Observed
from canarium.core.spec import Step, Traffic
from canarium.memo import remember
from canarium.routing.base import (
    Child,
    Router,
    Split,
    TrafficRule,
    Verification,
    find_service,
    is_current,
    make_leading_service,
    model_selector,
    primary_selector,
    read_selector,
)


def _gateway_field(traffic: Any) -> str:
    """The first field that is given and only a gateway has a use for."""
    given = {"hostnames": traffic.hostnames, "paths": traffic.paths, "timeouts": traffic.timeouts}
    return next((name for name, value in given.items() if value is not None), "")


class Replicas(Router):
    """Shares traffic by how many pods of each revision stand behind one Service."""

    name = "Replicas"
    summary = "the numbers of pods behind a Service, so weights round to whole pods"
    rules = (
        TrafficRule(
            "!has(self.parentRefs) || self.parentRefs.size() == 0",
            "router Replicas uses no gateway: remove parentRefs, or choose GatewayAPI",
            lambda traffic: not traffic.parent_refs,
            at="parentRefs",
        ),
        TrafficRule(
            "!(has(self.hostnames) || has(self.paths) || has(self.timeouts))",
            "router Replicas has a Service alone: remove hostnames, paths and timeouts, or"
            " choose another router",
            lambda traffic: not _gateway_field(traffic),
            locate=_gateway_field,
        ),
    )
    drain_seconds = 1.0
    mixes_pods = True
    revision_services = False

    def make_routes(self, split: Split) -> tuple[Child, ...]:
        """The leading Service, with the selector of this stage of the shift."""
        return _make_routes(split)

    def verify(self, split: Split, observed: Observed) -> Verification:
        """The Service is the route: once it is written, endpoints follow."""
        child = self.make_routes(split)[0]
        if is_current(observed, child):
            return Verification(accepted=True)
        return Verification(False, "RoutePending", f"Service {split.model} is being written")

    def live_weights(self, model: str, observed: Observed) -> Mapping[str, int]:
        """Whom the Service's selector covers, by the ready pods that their Deployments know of."""
        service = find_service(observed, model)
        selector = read_selector(service) if service else {}
        if selector.get(MODEL_LABEL) != model:
            return {}
        if REVISION_LABEL in selector:
            return {selector[REVISION_LABEL]: 100}
        return _count_ready(observed)

    def shares(self, split: Split, observed: Observed) -> Mapping[str, int] | None:
        """Ready pods of each revision that is in the split, in percent of them all."""
        counted = _count_ready(observed)
        ready = {revision: counted.get(revision, 0) for revision, _ in split.weights}
        total = sum(ready.values())
        if not total:
            return None
        return {revision: round(100 * count / total) for revision, count in ready.items()}

    def make_url(self, traffic: Traffic) -> str:
        """It is reached from inside the cluster alone."""
        return ""

    def explain_undeliverable(self, step: Step, traffic: Traffic, observed: Observed) -> str:
        """Pods behind one Service get whole connections, whatever is in them."""
        wanted = "mirror" if step.mirror else "headers" if step.headers else ""
        wanted = wanted or ("sticky" if step.sticky else "")
        if not wanted:
            return ""
        return (
            f"router Replicas shares whole pods and cannot deliver {wanted}: leave {wanted} out, "
            "or name a Gateway in spec.traffic.parentRefs"
        )


def _count_ready(observed: Observed) -> dict[str, int]:
    """Ready pods by revision, as far as their Deployments know of them too: one tells first."""
    ready = Counter(p.revision for p in observed.pods if p.ready and not p.meta.deleting)
    return {d.revision: min(ready[d.revision], d.ready_replicas) for d in observed.deployments}


@remember()
def _make_routes(split: Split) -> tuple[Child, ...]:
    mixed = len(split.weights) > 1
    selector = model_selector(split) if mixed else primary_selector(split)
    return (make_leading_service(split, selector),)
