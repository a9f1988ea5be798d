"""The stores of every kind together: what one object looks like from here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from canarium.core.observed import (
    AnalysisResult,
    DeploymentRecord,
    EndpointsRecord,
    GatewayRecord,
    ModelObject,
    Observed,
    PodRecord,
    RevisionRecord,
    RouteRecord,
    ServiceRecord,
    WriteFailure,
)
from canarium.core.spec import ParentRef
from canarium.kube.projections import (
    Projection,
    project_deployment,
    project_revision,
    project_route,
    project_service,
)
from canarium.kube.store import Key, Store, own_key

PROJECTIONS: dict[str, Projection] = {
    "ModelRevision": project_revision,
    "Deployment": project_deployment,
    "Service": project_service,
    "HTTPRoute": project_route,
}
"How the kinds that we write become records."


class Cache:
    """Everything that was seen.

    `wake` hears of each ModelDeployment that changed itself, and `wake_soon` of each whose
    children did.
    """

    def __init__(
        self, wake: Callable[[Key], None], wake_soon: Callable[[Key], None] | None = None
    ) -> None:
        self._wake = wake
        soon = wake_soon or wake
        self.gateway_api = False
        self.models: Store[ModelObject] = Store(own_key, wake)
        self.revisions: Store[RevisionRecord] = Store(on_change=soon)
        self.deployments: Store[DeploymentRecord] = Store(on_change=soon)
        self.pods: Store[PodRecord] = Store(on_change=soon)
        self.services: Store[ServiceRecord] = Store(on_change=soon)
        self.endpoints: Store[EndpointsRecord] = Store(on_change=soon)
        self.routes: Store[RouteRecord] = Store(on_change=soon)
        self.gateways: Store[GatewayRecord] = Store(own_key, self._wake_attached)

    def children(self, kind: str) -> Store[Any]:
        """The store of a kind that we write."""
        stores: dict[str, Store[Any]] = {
            "ModelRevision": self.revisions,
            "Deployment": self.deployments,
            "Service": self.services,
            "HTTPRoute": self.routes,
        }
        return stores[kind]

    def observe(
        self,
        model: ModelObject,
        analysis: AnalysisResult | None = None,
        failures: tuple[WriteFailure, ...] = (),
    ) -> Observed:
        """Everything that is known about one object now."""
        key = own_key(model)
        return Observed(
            model=model,
            revisions=self.revisions.of(key),
            deployments=self.deployments.of(key),
            pods=self.pods.of(key),
            services=self.services.of(key),
            endpoints=self.endpoints.of(key),
            routes=self.routes.of(key),
            gateways=self._find_gateways(model),
            gateway_api=self.gateway_api,
            analysis=analysis,
            failures=failures,
        )

    def set_gateway_api(self, served: bool) -> None:
        """Note whether the cluster serves HTTPRoutes; a change concerns every object."""
        if served != self.gateway_api:
            self.gateway_api = served
            self.wake_all()

    def wake_all(self) -> None:
        """Have every object looked at."""
        for key in self.models.keys():  # noqa: SIM118 - a store is no mapping
            self._wake(key)

    def _find_gateways(self, model: ModelObject) -> tuple[GatewayRecord, ...]:
        found = (self.gateways.get(*key) for key in _gateway_keys(model))
        return tuple(gateway for gateway in found if gateway is not None)

    def _wake_attached(self, gateway: Key) -> None:
        for key in self.models.keys():  # noqa: SIM118 - a store is no mapping
            model = self.models.get(*key)
            if model is not None and gateway in _gateway_keys(model):
                self._wake(key)


def _gateway_keys(model: ModelObject) -> list[Key]:
    refs = model.spec.traffic.parent_refs if model.spec else ()
    return list(dict.fromkeys(_gateway_key(ref, model) for ref in refs))


def _gateway_key(ref: ParentRef, model: ModelObject) -> Key:
    return ref.namespace or model.meta.namespace, ref.name
