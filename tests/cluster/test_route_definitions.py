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
    EXPERIMENTAL_ROUTES,
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


def write(plane: Cluster, child: Child, validate: str = "strict") -> bytes:
    """Apply a child as the operator does; the apiserver's answer. Unknown fields are errors.

    The operator itself asks for no validation of fields: "ignore".
    """
    ref, model = child.ref, ModelObject(Meta(NAMESPACE, MODEL, "nobody", "1"), None)
    if ref.kind == "Service":
        body = make_service(model, ref.name, "", child.spec)
    else:
        body = make_route(model, cast("RouteKind", ref.kind), ref.name, child.spec)
    del body["metadata"]["ownerReferences"]  # nobody is not there, so it would be collected
    how = [
        "--server-side",
        "--force-conflicts",
        f"--validate={validate}",
        "--field-manager=canarium",
    ]
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


def is_experimental(router: str, case: Json) -> bool:
    """Whether the field that it needs is in Gateway API's experimental channel alone."""
    return router == "GatewayAPI" and "sticky" in case["split"]


STANDARD = [c for c in CASES if not is_experimental(*cast("tuple[str, Json]", c.values))]


@pytest.mark.parametrize(("router", "case"), STANDARD)
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


def test_a_cookie_is_refused_by_the_standard_channel_and_taken_by_the_experimental_one(
    plane: Cluster,
) -> None:
    """It is not pruned in silence, which would share requests where people were meant."""
    case = next(c.values[1] for c in CASES if is_experimental(*cast("tuple[str, Json]", c.values)))
    children = ROUTERS["GatewayAPI"].make_routes(read_split(cast("Json", case)))
    *_, route = children
    with pytest.raises(ClusterError, match=r"sessionPersistence: field not declared in schema"):
        write(plane, route, validate="ignore")
    apply_definitions(plane, fetch_definitions(EXPERIMENTAL_ROUTES, Progress()))
    observed = show(children, [write(plane, child) for child in children])
    assert [c.ref for c in children if not is_current(observed, c)] == []
