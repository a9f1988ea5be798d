"""What is watched: a reflector for each kind that fills the stores of a cache."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Any

from canarium.core.spec import TemplateKind
from canarium.kube.client import Client
from canarium.kube.informers.cache import NEIGHBOURS, PROJECTIONS, Cache
from canarium.kube.informers.projections.autoscalers import project_budget
from canarium.kube.informers.projections.gateways import (
    make_definition_projection,
    project_gateway,
    project_gateway_class,
)
from canarium.kube.informers.projections.jobs import project_job
from canarium.kube.informers.projections.meta import Projection
from canarium.kube.informers.projections.pods import project_pod
from canarium.kube.informers.projections.services import project_endpoints, project_service
from canarium.kube.informers.projections.templates import make_template_projection
from canarium.kube.informers.projections.workloads import project_deployment, project_replica_set
from canarium.kube.informers.reflector import Reflector
from canarium.kube.informers.store import Store
from canarium.kube.kinds import (
    DEFINITIONS,
    DEPLOYMENTS,
    ENDPOINT_SLICES,
    GATEWAY_CLASSES,
    GATEWAYS,
    JOBS,
    MODEL_REVISIONS,
    POD_DISRUPTION_BUDGETS,
    PODS,
    REPLICA_SETS,
    ROUTES,
    SCALERS,
    SERVICES,
    TEMPLATES,
    Resource,
)
from canarium.routing import ROUTE_TYPES, ROUTERS

OURS = "canarium.dev/model"
OF_REVISIONS = "canarium.dev/model,canarium.dev/revision"
RARE = frozenset(kind for kind, route in ROUTE_TYPES.items() if not route.common) | {
    "MetricTemplate",
    "ScaledObject",
}
"Kinds that most clusters lack; looked for more rarely."
GRANTED = frozenset({"Job", "PodDisruptionBudget", "ReplicaSet", *SCALERS})
"Kinds of which the core is told where the operator sees them."
OPTIONAL = RARE | GRANTED
ABSENT_SECONDS = {False: 30.0, True: 120.0}
FEATURES: dict[str, frozenset[str]] = {
    **{r.name: frozenset((*r.route_kinds, *r.reads)) for r in ROUTERS.values() if r.routes},
    "HPA": frozenset({"HorizontalPodAutoscaler"}),
    "KEDA": frozenset({"ScaledObject"}),
    "Jobs": frozenset({"Job"}),
    "Usage": frozenset({"PodMetrics"}),
}
"What can be switched off, and the kinds that the operator then neither reads nor writes."


def make_reflectors(
    client: Client,
    cache: Cache,
    namespaces: Sequence[str] = (),
    clock: Callable[[], float] = time.monotonic,
    *,
    disabled: Collection[str] = (),
) -> list[Reflector]:
    """A reflector a kind and namespace (without namespaces one for all); Gateways are everybody's.

    The kinds of features that are `disabled` are not looked for: to the core they are absent.

    The cache is told which kinds of routes are served, and where those that one can do without are
    seen. What is optional may also be forbidden: then it is taken for absent.
    """
    reflectors: list[Reflector] = []
    off = frozenset[str]().union(*(FEATURES[feature] for feature in disabled))

    def note_state() -> None:
        synced = [(r.resource.kind, r.namespace) for r in reflectors if r.state == "synced"]
        served = {kind for kind, _ in synced}
        cache.set_installed(frozenset(kind for kind in ROUTES if kind in served))
        cache.set_seen(
            {kind: frozenset(home for seen, home in synced if seen == kind) for kind in GRANTED}
        )

    reflectors += [
        Reflector(
            client,
            resource,
            store,
            project,
            selector=selector,
            namespace=namespace,
            optional=resource.kind in OPTIONAL,
            absent_seconds=ABSENT_SECONDS[resource.kind in RARE],
            clock=clock,
            on_state=note_state,
            boundary=cache.boundary,
        )
        for resource, store, project, selector in _list_namespaced(cache)
        if resource.kind not in off
        for namespace in namespaces or (None,)
    ]
    return reflectors + [
        Reflector(
            client,
            resource,
            store,
            project,
            namespace=namespace,
            optional=True,
            absent_seconds=ABSENT_SECONDS[resource.kind in RARE],
            clock=clock,
            boundary=cache.boundary,
        )
        for resource, store, project, namespace in _list_everybodys(cache, namespaces)
        if resource.kind not in off
    ]


def _list_namespaced(cache: Cache) -> list[tuple[Resource, Store[Any], Projection, str]]:
    """What is watched in the namespaces that are served, each with its label selector."""
    return [
        (MODEL_REVISIONS, cache.revisions, partial(cache.project, "ModelRevision"), OURS),
        (DEPLOYMENTS, cache.deployments, project_deployment, OURS),
        (REPLICA_SETS, cache.replica_sets, project_replica_set, OURS),
        (PODS, cache.pods, project_pod, OURS),
        (SERVICES, cache.services, project_service, OURS),
        (JOBS, cache.jobs, project_job, OURS),
        (POD_DISRUPTION_BUDGETS, cache.budgets, project_budget, OURS),
        (ENDPOINT_SLICES, cache.endpoints, project_endpoints, OF_REVISIONS),
        *((ROUTES[kind], store, PROJECTIONS[kind], OURS) for kind, store in cache.routes.items()),
        # Not only our own: somebody else's autoscaler may aim at what is ours.
        *((SCALERS[kind], store, PROJECTIONS[kind], "") for kind, store in cache.scalers.items()),
        (*_find_templates(cache, "MetricTemplate"), ""),
    ]


def _list_everybodys(
    cache: Cache, namespaces: Sequence[str]
) -> list[tuple[Resource, Store[Any], Projection, str | None]]:
    """What anybody makes: routes where models are served, and of the whole cluster the rest."""
    return [
        *(
            (ROUTES[kind], store, NEIGHBOURS[kind], namespace)
            for kind, store in cache.neighbours.items()
            for namespace in namespaces or (None,)
        ),
        (GATEWAYS, cache.gateways, project_gateway, None),
        (GATEWAY_CLASSES, cache.gateway_classes, project_gateway_class, None),
        *(
            (resource, cache.definitions[kind], make_definition_projection(kind), None)
            for kind, resource in DEFINITIONS.items()
        ),
        (*_find_templates(cache, "ClusterMetricTemplate"), None),
    ]


def _find_templates(cache: Cache, kind: TemplateKind) -> tuple[Resource, Store[Any], Projection]:
    return TEMPLATES[kind], cache.templates[kind], make_template_projection(kind, cache.boundary)
