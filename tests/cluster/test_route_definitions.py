"""Every route that routers render, on a real apiserver with the makers' own definitions.

It takes them as they are, prunes nothing, and what it fills in is no drift: they stay as they are.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, cast

import pytest
from canarium.core.actions import RouteKind
from canarium.core.observed import Meta, ModelObject, Observed
from canarium.core.resources.objects import make_route, make_service
from canarium.kube.projections import make_route_projection, project_service
from canarium.routers import ROUTERS
from canarium.routers.base import Child, is_current

from tests.cluster.cluster import Cluster
from tests.cluster.definitions import (
    GATEWAY_API,
    ISTIO,
    TRAEFIK,
    apply_definitions,
    fetch_definitions,
)
from tests.cluster.fixtures import own_cluster
from tests.cluster.processes import ClusterError
from tests.cluster.progress import Progress
from tests.unit.routers.routing import MODEL, NAMESPACE, observe
from tests.unit.routers.test_rendering import CASES, read_split

pytestmark = [pytest.mark.timeout(600), pytest.mark.xdist_group("control-plane")]
Json = dict[str, Any]


@pytest.fixture(scope="module")
def plane() -> Iterator[Cluster]:
    with own_cluster("control-plane") as cluster:
        for wanted in (GATEWAY_API, TRAEFIK, ISTIO):
            apply_definitions(cluster, fetch_definitions(wanted, Progress()))
        cluster.kubectl("create", "namespace", NAMESPACE)
        yield cluster


def write(plane: Cluster, child: Child) -> bytes:
    """Apply a child as the operator does; the apiserver's answer. Unknown fields are errors."""
    ref, model = child.ref, ModelObject(Meta(NAMESPACE, MODEL, "nobody", "1"), None)
    if ref.kind == "Service":
        body = make_service(model, ref.name, "", child.spec)
    else:
        body = make_route(model, cast("RouteKind", ref.kind), ref.name, child.spec)
    del body["metadata"]["ownerReferences"]  # nobody is not there, so it would be collected
    how = ["--server-side", "--force-conflicts", "--validate=strict", "--field-manager=canarium"]
    said = plane.kubectl("apply", *how, "-o", "json", "-f", "-", stdin=json.dumps(body))
    return said.encode()


def show(children: tuple[Child, ...], answers: list[bytes]) -> Observed:
    """The cluster as the operator's caches would have it."""
    routes, services = [], []
    for child, answer in zip(children, answers, strict=True):
        if child.ref.kind == "Service":
            services.append(project_service(answer))
        else:
            routes.append(make_route_projection(cast("RouteKind", child.ref.kind))(answer))
    return replace(observe(), routes=tuple(routes), services=tuple(services))


@pytest.mark.parametrize(("router", "case"), CASES)
def test_a_route_is_taken_as_it_is_and_left_alone(plane: Cluster, router: str, case: Json) -> None:
    split, used = read_split(case), ROUTERS[router]
    children = used.make_routes(split)

    observed = show(children, [write(plane, child) for child in children])

    stale = [c.ref for c in children if not is_current(observed, c)]
    assert stale == []


def test_a_route_of_no_sense_is_refused(plane: Cluster) -> None:
    """That the schemas are there, or the test above would prove nothing."""
    for name, field in (("GatewayAPI", "rules"), ("Traefik", "routes"), ("Istio", "http")):
        case = next(c.values[1] for c in CASES if c.values[0] == name)
        *_, route = ROUTERS[name].make_routes(read_split(cast("Json", case)))
        with pytest.raises(ClusterError):
            write(plane, replace(route, spec={**route.spec, field: [{"nonsense": 1}]}))
