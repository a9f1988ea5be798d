"""What is watched: a reflector for each kind that fills the stores of a cache."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from canarium.kube.cache import Cache
from canarium.kube.client import Api
from canarium.kube.projections import (
    Projection,
    project_deployment,
    project_endpoints,
    project_gateway,
    project_pod,
    project_revision,
    project_route,
    project_service,
)
from canarium.kube.reflector import Reflector
from canarium.kube.resources import (
    DEPLOYMENTS,
    ENDPOINT_SLICES,
    GATEWAYS,
    HTTP_ROUTES,
    MODEL_REVISIONS,
    PODS,
    SERVICES,
    Resource,
)
from canarium.kube.store import Store

OURS = "canarium.dev/model"
OF_REVISIONS = "canarium.dev/model,canarium.dev/revision"


def make_reflectors(
    client: Api,
    cache: Cache,
    namespaces: Sequence[str] = (),
    clock: Callable[[], float] = time.monotonic,
) -> list[Reflector]:
    """A reflector a kind and namespace (without namespaces one for all); Gateways are everybody's.

    The cache is told whether HTTPRoutes are served.
    """
    kinds: tuple[tuple[Resource, Store[Any], Projection, str], ...] = (
        (MODEL_REVISIONS, cache.revisions, project_revision, OURS),
        (DEPLOYMENTS, cache.deployments, project_deployment, OURS),
        (PODS, cache.pods, project_pod, OURS),
        (SERVICES, cache.services, project_service, OURS),
        (ENDPOINT_SLICES, cache.endpoints, project_endpoints, OF_REVISIONS),
        (HTTP_ROUTES, cache.routes, project_route, OURS),
    )
    reflectors: list[Reflector] = []

    def note_state() -> None:
        routes = [r for r in reflectors if r.resource is HTTP_ROUTES]
        cache.set_gateway_api(any(r.state == "synced" for r in routes))

    reflectors += [
        Reflector(
            client,
            resource,
            store,
            project,
            selector=selector,
            namespace=namespace,
            clock=clock,
            on_state=note_state,
        )
        for resource, store, project, selector in kinds
        for namespace in namespaces or (None,)
    ]
    gateways = Reflector(
        client, GATEWAYS, cache.gateways, project_gateway, optional=True, clock=clock
    )
    return [*reflectors, gateways]
