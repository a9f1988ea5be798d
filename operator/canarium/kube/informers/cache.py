"""The stores of every kind together: what one object looks like from here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from itertools import chain
from typing import Any

import msgspec
from msgspec import Raw

from canarium.api.modeldeployment.defaults import NO_DEFAULTS, Defaults
from canarium.core.allowed_addresses import EVERYTHING, Allowed
from canarium.core.lending import TenantQueries
from canarium.core.made import pick_pods
from canarium.core.observed import (
    AnalysisResult,
    BudgetRecord,
    DefinitionRecord,
    DeploymentRecord,
    EndpointsRecord,
    GatewayClassRecord,
    GatewayRecord,
    JobRecord,
    ModelObject,
    NeighbourRecord,
    Observed,
    PodEvent,
    PodRecord,
    ReplicaSetRecord,
    RevisionRecord,
    RouteRecord,
    ScalerRecord,
    ServiceRecord,
    TemplateRecord,
    WriteFailure,
)
from canarium.core.plan import RouteKind, ScalerKind
from canarium.core.spec import ParentRef, TemplateKind, TemplateRef
from canarium.kube.boundary import Boundary
from canarium.kube.informers.claims import Claims
from canarium.kube.informers.neighbours import Neighbours
from canarium.kube.informers.projections.autoscalers import (
    make_scaler_projection,
    project_budget,
    scaler_key,
)
from canarium.kube.informers.projections.jobs import project_job
from canarium.kube.informers.projections.meta import Projection
from canarium.kube.informers.projections.models import project_model
from canarium.kube.informers.projections.neighbours import (
    project_grpc_neighbour,
    project_http_neighbour,
)
from canarium.kube.informers.projections.revisions import project_revision
from canarium.kube.informers.projections.routes import make_route_projection
from canarium.kube.informers.projections.services import project_service
from canarium.kube.informers.projections.workloads import project_deployment
from canarium.kube.informers.store import Key, Store, own_key
from canarium.kube.kinds import DEFINITIONS, ROUTES, SCALERS
from canarium.rollout.plan import canary_fails

PROJECTIONS: dict[str, Projection] = {
    "ModelRevision": project_revision,
    "Deployment": project_deployment,
    "Service": project_service,
    "Job": project_job,
    "PodDisruptionBudget": project_budget,
    **{kind: make_route_projection(kind) for kind in ROUTES},
    **{kind: make_scaler_projection(kind) for kind in SCALERS},
}
"How the kinds that we write become records."
NEIGHBOURS: dict[RouteKind, Projection] = {
    "HTTPRoute": project_http_neighbour,
    "GRPCRoute": project_grpc_neighbour,
}
"The same of routes that anybody writes, of which models learn what they don't get."


class Cache:
    """Everything that was seen.

    `wake` hears of each ModelDeployment that changed itself, and `wake_soon` of each whose
    children did; `wake_first` of each whose canary was seen to fail, which has to go back
    before anybody else's ordinary work. `prometheus_url` is the operator's own, "" for none, and
    `tenant_queries` what queries of its objects may read there, `addresses` what else may be asked
    for them;
    `defaults` are what its objects leave out of spec.rollout. `boundary` notes what is raised about
    single objects.
    """

    def __init__(
        self,
        wake: Callable[[Key], None],
        wake_soon: Callable[[Key], None] | None = None,
        wake_first: Callable[[Key], None] | None = None,
        *,
        prometheus_url: str = "",
        tenant_queries: TenantQueries = "OwnNamespace",
        addresses: Allowed = EVERYTHING,
        defaults: Defaults = NO_DEFAULTS,
        boundary: Boundary | None = None,
    ) -> None:
        self.boundary = boundary or Boundary()
        self._wake = wake
        self._wake_soon = soon = wake_soon or wake
        self._wake_first = wake_first or wake
        self._prometheus_url = prometheus_url
        self._tenant_queries = tenant_queries
        self.addresses = addresses
        self.defaults = defaults
        self.watched_since = 0.0
        "As in `Observed`."
        self.installed: frozenset[RouteKind] = frozenset()
        self.models: Store[ModelObject] = Store(own_key, self._take_model)
        self._claims = Claims()
        self._neighbours = Neighbours()
        self.neighbours: dict[RouteKind, Store[NeighbourRecord]] = {
            kind: Store(own_key, partial(self._take_neighbour, kind)) for kind in NEIGHBOURS
        }
        "Routes whoever made them, ours among them."
        self.revisions: Store[RevisionRecord] = Store(on_change=soon)
        self.deployments: Store[DeploymentRecord] = Store(on_change=soon)
        self.pods: Store[PodRecord] = Store(on_change=self._wake_for_pods)
        self.replica_sets: Store[ReplicaSetRecord] = Store(on_change=soon)
        self.services: Store[ServiceRecord] = Store(on_change=soon)
        self.jobs: Store[JobRecord] = Store(on_change=soon)
        self.budgets: Store[BudgetRecord] = Store(on_change=soon)
        self.scalers: dict[ScalerKind, Store[ScalerRecord]] = {
            kind: Store(scaler_key, soon) for kind in SCALERS
        }
        self.seen: Mapping[str, frozenset[str | None]] = {}
        "Of the kinds that one can do without, the namespaces (None for all) where each is seen."
        self.endpoints: Store[EndpointsRecord] = Store(on_change=soon)
        self.routes: dict[RouteKind, Store[RouteRecord]] = {
            kind: Store(on_change=self._wake_for_route) for kind in ROUTES
        }
        self.gateways: Store[GatewayRecord] = Store(own_key, self._wake_attached)
        self.gateway_classes: Store[GatewayClassRecord] = Store(own_key, self._wake_class)
        self.definitions: dict[RouteKind, Store[DefinitionRecord]] = {
            kind: Store(own_key, lambda _key: self.wake_all()) for kind in DEFINITIONS
        }
        self.templates: dict[TemplateKind, Store[TemplateRecord]] = {
            "MetricTemplate": Store(own_key, lambda key: self._wake_users("MetricTemplate", key)),
            "ClusterMetricTemplate": Store(
                own_key, lambda key: self._wake_users("ClusterMetricTemplate", key)
            ),
        }
        self.on_template: Callable[[TemplateKind, Key], None] = lambda _kind, _key: None
        "Who else wants to hear of a template that changed."

    def children(self, kind: str) -> Store[Any]:
        """The store of a kind that we write."""
        stores: dict[str, Store[Any]] = {
            "ModelRevision": self.revisions,
            "Deployment": self.deployments,
            "Service": self.services,
            "Job": self.jobs,
            "PodDisruptionBudget": self.budgets,
            **dict(self.routes.items()),
            **dict(self.scalers.items()),
        }
        return stores[kind]

    def observe(
        self,
        model: ModelObject,
        analysis: AnalysisResult | None = None,
        failures: tuple[WriteFailure, ...] = (),
        pod_event: PodEvent | None = None,
        scaling_service: str = "",
    ) -> Observed:
        """Everything that is known about one object now."""
        key, gateways = own_key(model), self._find_gateways(model)
        return Observed(
            model=model,
            revisions=self.revisions.of(key),
            deployments=self.deployments.of(key),
            pods=self.pods.of(key),
            replica_sets=self._list_replica_sets(key),
            services=self.services.of(key),
            endpoints=self.endpoints.of(key),
            routes=tuple(chain.from_iterable(store.of(key) for store in self.routes.values())),
            gateways=gateways,
            gateway_classes=self._find_classes(gateways),
            definitions=self._find_definitions(),
            installed=self.installed,
            templates=self._find_templates(model),
            jobs=self.jobs.of(key) if self._sees("Job", key) else None,
            scalers=tuple(chain.from_iterable(store.of(key) for store in self.scalers.values())),
            scaler_kinds=frozenset(kind for kind in SCALERS if self._sees(kind, key)),
            budgets=self.budgets.of(key) if self._sees("PodDisruptionBudget", key) else None,
            rivals=(
                *self._claims.rivals(key),
                *self._neighbours.find(key, self._claims.rank(key)),
            ),
            prometheus_url=self._prometheus_url,
            tenant_queries=self._tenant_queries,
            addresses=self.addresses,
            scaling_service=scaling_service,
            pod_event=pod_event,
            watched_since=self.watched_since,
            analysis=analysis,
            failures=failures,
        )

    def counted_pods(self, key: Key) -> tuple[PodRecord, ...]:
        """The pods that are measured: those of Deployments that we made, by what status says."""
        model, pods = self.models.get(*key), self.pods.of(key)
        made = model.status.made if model is not None else None
        return pods if made is None else pick_pods(pods, self._list_replica_sets(key), made)

    def _list_replica_sets(self, key: Key) -> tuple[ReplicaSetRecord, ...] | None:
        return self.replica_sets.of(key) if self._sees("ReplicaSet", key) else None

    def project(self, kind: str, raw: bytes | Raw) -> Any:
        """The record of an object of a kind that we write."""
        if kind == "ModelRevision":
            return project_revision(raw, self.boundary)
        return PROJECTIONS[kind](raw)

    def project_model(
        self, raw: bytes | Raw | Mapping[str, Any], known: ModelObject | None
    ) -> ModelObject:
        """A ModelDeployment, as JSON or decoded; `known` is what is known of it."""
        body = raw if isinstance(raw, Mapping) else msgspec.json.decode(raw)
        return project_model(body, known, self.defaults, self.boundary)

    def set_installed(self, kinds: frozenset[RouteKind]) -> None:
        """Note the kinds of routes that the cluster serves; a change concerns every object."""
        if kinds != self.installed:
            self.installed = kinds
            self.wake_all()

    def set_seen(self, seen: Mapping[str, frozenset[str | None]]) -> None:
        """Note where the kinds that one can do without are seen; a change concerns every object."""
        if seen != self.seen:
            self.seen = seen
            self.wake_all()

    def _sees(self, kind: str, key: Key) -> bool:
        return not self.seen.get(kind, frozenset()).isdisjoint((None, key[0]))

    def wake_all(self) -> None:
        """Have every object looked at."""
        for key in self.models.keys():  # noqa: SIM118 - a store is no mapping
            self._wake(key)

    def _take_model(self, key: Key) -> None:
        """Have it looked at, and those that get other requests by what it asks for, or did."""
        for other in self._claims.put(key, self.models.get(*key)):
            self._wake_soon(other)
        self._neighbours.want(key, self._claims.wanted(key))
        self._wake(key)

    def _take_neighbour(self, kind: RouteKind, own: Key) -> None:
        """Have those looked at whose requests a route of somebody's may get, or got."""
        route = self.neighbours[kind].get(*own)
        for other in self._neighbours.take((kind, *own), route):
            self._wake_soon(other)

    def _wake_for_route(self, key: Key) -> None:
        """Whose route is older decides who gets requests that several ask for: in Gateway API."""
        routes = (route for kind in NEIGHBOURS for route in self.routes[kind].of(key))
        created_at = min((route.meta.created_at for route in routes), default=None)
        for other in self._claims.note_route(key, created_at):
            self._wake_soon(other)
        self._wake_soon(key)

    def _find_gateways(self, model: ModelObject) -> tuple[GatewayRecord, ...]:
        found = (self.gateways.get(*key) for key in _gateway_keys(model))
        return tuple(gateway for gateway in found if gateway is not None)

    def _find_classes(self, gateways: tuple[GatewayRecord, ...]) -> tuple[GatewayClassRecord, ...]:
        found = (self.gateway_classes.get("", name) for name in {g.class_name for g in gateways})
        return tuple(known for known in found if known is not None)

    def _find_definitions(self) -> tuple[DefinitionRecord, ...]:
        stores = ((store, DEFINITIONS[kind].only) for kind, store in self.definitions.items())
        found = (store.get("", name) for store, name in stores)
        return tuple(definition for definition in found if definition is not None)

    def _find_templates(self, model: ModelObject) -> tuple[TemplateRecord, ...]:
        found = (self.templates[kind].get(*key) for kind, key in self._template_keys(model))
        return tuple(template for template in found if template is not None)

    def _template_keys(self, model: ModelObject) -> set[tuple[TemplateKind, Key]]:
        """The templates that the spec names, or the copies of it that rollouts go by."""
        namespace = model.meta.namespace
        rollouts = [model.spec.rollout] if model.spec else []
        records = self.revisions.of(own_key(model))
        rollouts += [record.rollout for record in records if record.rollout is not None]
        return {
            (metric.query.kind, (_home(metric.query.kind, namespace), metric.query.name))
            for rollout in rollouts
            for metric in (rollout.analysis.custom if rollout.analysis else ())
            if isinstance(metric.query, TemplateRef)
        }

    def _wake_users(self, kind: TemplateKind, key: Key) -> None:
        self.on_template(kind, key)
        for own in self.models.keys():  # noqa: SIM118 - a store is no mapping
            model = self.models.get(*own)
            if model is not None and (kind, key) in self._template_keys(model):
                self._wake(own)

    def _wake_for_pods(self, key: Key) -> None:
        try:
            model = self.models.get(*key)
            fails = model is not None and canary_fails(
                model.status, self.deployments.of(key), self.pods.of(key)
            )
        except Exception as error:  # noqa: BLE001 - it only says how soon the object is looked at
            self.boundary.note("Projecting", "/".join(key), error)
            fails = False
        (self._wake_first if fails else self._wake_soon)(key)

    def _wake_class(self, changed: Key) -> None:
        for key in self.gateways.keys():  # noqa: SIM118 - a store is no mapping
            gateway = self.gateways.get(*key)
            if gateway is not None and ("", gateway.class_name) == changed:
                self._wake_attached(key)

    def _wake_attached(self, gateway: Key) -> None:
        for key in self.models.keys():  # noqa: SIM118 - a store is no mapping
            model = self.models.get(*key)
            if model is not None and gateway in _gateway_keys(model):
                self._wake(key)


def _home(kind: TemplateKind, namespace: str) -> str:
    return namespace if kind == "MetricTemplate" else ""


def _gateway_keys(model: ModelObject) -> list[Key]:
    asked = model.spec.traffic if model.spec else model.traffic
    refs = [
        ref for traffic in (asked, model.status.traffic) if traffic for ref in traffic.parent_refs
    ]
    gateways = (ref for ref in refs if ref.kind == "Gateway")
    return list(dict.fromkeys(_gateway_key(ref, model) for ref in gateways))


def _gateway_key(ref: ParentRef, model: ModelObject) -> Key:
    return ref.namespace or model.meta.namespace, ref.name
