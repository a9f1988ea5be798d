"""Router `Replicas`: one Service, and traffic shared by whole pods.

The Service selects stable's revision, then the model (both revisions), then the canary's: those
flips are the shift. Weights round to whole pods, so the real share is shown.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache

from canarium.core.actions import Kind, Ref
from canarium.core.names import MODEL_LABEL, REVISION_LABEL
from canarium.core.observed import Observed, ServiceRecord
from canarium.routers.base import (
    Child,
    Split,
    Verification,
    make_service_spec,
    model_selector,
    primary_selector,
)


class Replicas:
    """Shares traffic by how many pods of each revision stand behind one Service."""

    name = "Replicas"
    settle_seconds = 0.0
    drain_seconds = 1.0
    mixes_pods = True
    revision_services = False
    route_kinds: tuple[Kind, ...] = ()

    def make_routes(self, split: Split) -> tuple[Child, ...]:
        """The leading Service, with the selector of this stage of the shift."""
        return (Child(Ref("Service", split.model), make_service_spec(_selector(split))),)

    def is_current(self, split: Split, observed: Observed, child: Child) -> bool:
        """Whether the live Service selects just these pods."""
        service = find_service(observed, child.ref.name)
        return service is not None and read_selector(service.spec) == child.spec["selector"]

    def verify(self, split: Split, observed: Observed) -> Verification:
        """The Service is the route: once it is written, endpoints follow."""
        child = self.make_routes(split)[0]
        if self.is_current(split, observed, child):
            return Verification(accepted=True)
        return Verification(False, "RoutePending", f"Service {split.model} is being written")

    def live_weights(self, model: str, observed: Observed) -> Mapping[str, int]:
        """Whom the Service's selector covers, by their ready pods."""
        service = find_service(observed, model)
        selector = read_selector(service.spec) if service else {}
        if selector.get(MODEL_LABEL) != model:
            return {}
        if REVISION_LABEL in selector:
            return {selector[REVISION_LABEL]: 100}
        return {d.revision: d.ready_replicas for d in observed.deployments}

    def shares(self, split: Split, observed: Observed) -> Mapping[str, int] | None:
        """Ready pods of each revision that is in the split, in percent of them all."""
        revisions = [revision for revision, _ in split.weights]
        ready = {r: sum(p.ready and p.revision == r for p in observed.pods) for r in revisions}
        total = sum(ready.values())
        if not total:
            return None
        return {revision: round(100 * count / total) for revision, count in ready.items()}


def find_service(observed: Observed, name: str) -> ServiceRecord | None:
    """The live Service of this name."""
    return next((s for s in observed.services if s.meta.name == name), None)


@lru_cache(maxsize=4096)
def read_selector(spec: bytes) -> dict[str, str]:
    """The selector in a live Service's spec."""
    return dict(json.loads(spec).get("selector") or {})


def _selector(split: Split) -> dict[str, str]:
    return model_selector(split) if len(split.weights) > 1 else primary_selector(split)
