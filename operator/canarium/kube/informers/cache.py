"""The stores of every kind together: what one object looks like from here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from itertools import chain
from types import MappingProxyType
from typing import Any

import msgspec
from msgspec import Raw

from canarium.api.modeldeployment.defaults import NO_DEFAULTS, Defaults
from canarium.core.allowed_addresses import EVERYTHING, Allowed
from canarium.core.kinds import Row
from canarium.core.lending import TenantQueries
from canarium.core.made import pick_pods
from canarium.core.observed import (
    AnalysisResult,
    ChildRecord,
    DefinitionRecord,
    DeploymentRecord,
    GatewayClassRecord,
    GatewayRecord,
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
from canarium.kube.informers.projections import NEIGHBOURS, make_projections
from canarium.kube.informers.projections.autoscalers import scaler_key
from canarium.kube.informers.projections.children import project_child
from canarium.kube.informers.projections.meta import Projection
from canarium.kube.informers.projections.models import project_model
from canarium.kube.informers.store import Key, Store, model_key, own_key
from canarium.kube.kinds import DEFINITIONS, ROUTES, SCALERS, TABLE, TEMPLATES
from canarium.rollout.plan import canary_fails


class Cache:
    """Everything that was seen.

    `wake` hears of each ModelDeployment that changed itself, and `wake_soon` of each whose
    children did; `wake_first` of each whose canary was seen to fail, which has to go back
    before anybody else's ordinary work. `prometheus_url` is the operator's own, "" for none, and
    `tenant_queries` what queries of its objects may read there, `addresses` what else may be asked
    for them;
    `defaults` are what its objects leave out of spec.rollout. `boundary` notes what is raised about
    single objects. `kinds` are the table, and `projections` how kinds become records that have more
    than metadata and a spec, beside those that have a projection already.
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
        kinds: Iterable[Row] = TABLE,
        projections: Mapping[str, Projection] = MappingProxyType({}),
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
        self.kinds = tuple(row for row in kinds if row.selector is not None)
        self.projections: dict[str, Projection] = {
            **{row.kind: project_child for row in self.kinds},
            **make_projections(self.boundary),
            **projections,
        }
        wakers = self._list_wakers()
        self.stores: dict[str, Store[Any]] = {
            row.kind: Store(*wakers.get(row.kind, (model_key, soon)))
            for row in self.kinds
            if not row.only
        }
        self._optional = frozenset(row.kind for row in self.kinds if row.granted)
        self._inputs = _group_inputs(self.kinds)
        self._others = [row.kind for row in self.kinds if row.written and not row.observed]
        self.revisions: Store[RevisionRecord] = self.stores["ModelRevision"]
        self.deployments: Store[DeploymentRecord] = self.stores["Deployment"]
        self.pods: Store[PodRecord] = self.stores["Pod"]
        self.replica_sets: Store[ReplicaSetRecord] = self.stores["ReplicaSet"]
        self.services: Store[ServiceRecord] = self.stores["Service"]
        self.scalers: dict[ScalerKind, Store[ScalerRecord]] = {
            kind: self.stores[kind] for kind in SCALERS
        }
        self.routes: dict[RouteKind, Store[RouteRecord]] = {
            kind: self.stores[kind] for kind in ROUTES
        }
        self.templates: dict[TemplateKind, Store[TemplateRecord]] = {
            kind: self.stores[kind] for kind in TEMPLATES
        }
        self.gateways: Store[GatewayRecord] = self.stores["Gateway"]
        self.gateway_classes: Store[GatewayClassRecord] = self.stores["GatewayClass"]
        self.definitions: dict[RouteKind, Store[DefinitionRecord]] = {
            kind: Store(own_key, lambda _key: self.wake_all()) for kind in DEFINITIONS
        }
        self.seen: Mapping[str, frozenset[str | None]] = {}
        "Of the kinds that one can do without, the namespaces (None for all) where each is seen."
        self.on_template: Callable[[TemplateKind, Key], None] = lambda _kind, _key: None
        "Who else wants to hear of a template that changed."

    def _list_wakers(self) -> dict[str, tuple[Callable[[Any], Key | None], Callable[[Key], None]]]:
        """Of the kinds that aren't just a model's children: whose each is, and who hears of it."""
        return {
            "Pod": (model_key, self._wake_for_pods),
            "Gateway": (own_key, self._wake_attached),
            "GatewayClass": (own_key, self._wake_class),
            **dict.fromkeys(SCALERS, (scaler_key, self._wake_soon)),
            **dict.fromkeys(ROUTES, (model_key, self._wake_for_route)),
            **{kind: (own_key, partial(self._wake_users, kind)) for kind in TEMPLATES},
        }

    def children(self, kind: str) -> Store[Any]:
        """The store of a kind that we write."""
        return self.stores[kind]

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
            **self._gather(key),
            others={kind: self._list_own(kind, model) for kind in self._others},
            gateways=gateways,
            gateway_classes=self._find_classes(gateways),
            definitions=self._find_definitions(),
            installed=self.installed,
            templates=self._find_templates(model),
            scaler_kinds=frozenset(kind for kind in SCALERS if self._sees(kind, key)),
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

    def _gather(self, key: Key) -> dict[str, Any]:
        """The records that belong to a model, by the field of `Observed` that has them."""
        return {field: self._find_records(kinds, key) for field, kinds in self._inputs.items()}

    def _find_records(self, kinds: tuple[str, ...], key: Key) -> tuple[Any, ...] | None:
        """None where the one kind may not be seen; which of several may is told by itself."""
        if len(kinds) == 1:
            return self.stores[kinds[0]].of(key) if self._sees(kinds[0], key) else None
        return tuple(chain.from_iterable(self.stores[kind].of(key) for kind in kinds))

    def _list_own(self, kind: str, model: ModelObject) -> tuple[ChildRecord, ...] | None:
        key = own_key(model)
        if not self._sees(kind, key):
            return None
        records: tuple[ChildRecord, ...] = self.stores[kind].of(key)
        return tuple(r for r in records if r.meta.owner and r.meta.owner.uid == model.meta.uid)

    def counted_pods(self, key: Key) -> tuple[PodRecord, ...]:
        """The pods that are measured: those of Deployments that we made, by what status says."""
        model, pods = self.models.get(*key), self.pods.of(key)
        made = model.status.made if model is not None else None
        if made is None:
            return pods
        return pick_pods(pods, self._find_records(("ReplicaSet",), key), made)

    def project(self, kind: str, raw: bytes | Raw) -> Any:
        """The record of an object of a kind that we write."""
        return self.projections[kind](raw)

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
        """Whether objects of a kind can be seen there: of what nobody can do without, always."""
        return kind not in self._optional or not self.seen.get(kind, frozenset()).isdisjoint(
            (None, key[0])
        )

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


def _group_inputs(kinds: Iterable[Row]) -> dict[str, tuple[str, ...]]:
    """The kinds of each field of `Observed`."""
    inputs: dict[str, tuple[str, ...]] = {}
    for row in kinds:
        if row.observed:
            inputs[row.observed] = (*inputs.get(row.observed, ()), row.kind)
    return inputs


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
