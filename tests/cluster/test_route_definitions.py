"""Every route that routers render, on a real apiserver with the makers' own definitions.

It takes them as they are, prunes nothing, and what it fills in is no external change: they stay as
they are.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import yaml
from canarium.core.observed import Meta, ModelObject, Observed
from canarium.core.plan import RouteKind
from canarium.kube.informers.projections.gateways import make_definition_projection
from canarium.kube.informers.projections.routes import make_route_projection
from canarium.kube.informers.projections.services import project_service
from canarium.kube.kinds import DEFINITIONS
from canarium.resources.objects import make_service
from canarium.routing import ROUTERS, Split
from canarium.routing.base import Child, is_current, make_route
from canarium.routing.definitions import COOKIE, ROUTE_KINDS, RULE_NAME, SESSION_NAME
from canarium.routing.diff import find_added

from testbed.addons.gateway import apply
from testbed.cluster.cluster import Cluster, make_manifest
from testbed.cluster.fixtures import own_cluster
from testbed.programs.definitions import (
    EXPERIMENTAL_ROUTES,
    GATEWAY_API,
    ISTIO,
    NEXT_EXPERIMENTAL_ROUTES,
    NEXT_GATEWAY_API,
    TRAEFIK,
    Definitions,
    apply_definitions,
    fetch_definitions,
)
from testbed.programs.processes import ClusterError, wait_until
from testbed.programs.progress import Progress
from tests.unit.routing.routing import MODEL, NAMESPACE, observe
from tests.unit.routing.test_rendering import CASES, read_split

pytestmark = [pytest.mark.timeout(600), pytest.mark.xdist_group("control-plane")]
Json = dict[str, Any]
ROOT = Path(__file__).parents[2]
SECONDS = 60.0


VERSIONS: dict[str, tuple[Definitions, ...]] = {
    "standard channel": (GATEWAY_API,),
    "experimental channel": (GATEWAY_API, EXPERIMENTAL_ROUTES),
    "next standard channel": (NEXT_GATEWAY_API,),
    "next experimental channel": (NEXT_GATEWAY_API, NEXT_EXPERIMENTAL_ROUTES),
}
"Of Gateway API, one laid over the other as an upgrade does."


@pytest.fixture(scope="module")
def bare_plane() -> Iterator[Cluster]:
    with own_cluster("control-plane") as cluster:
        for wanted in (TRAEFIK, ISTIO):
            apply_definitions(cluster, fetch_definitions(wanted, Progress()))
        cluster.kubectl("create", "namespace", NAMESPACE)
        yield cluster


@pytest.fixture(scope="module", params=VERSIONS)
def plane(bare_plane: Cluster, request: pytest.FixtureRequest) -> Cluster:
    """An apiserver with one version of Gateway API's kinds."""
    for wanted in VERSIONS[request.param]:
        install(bare_plane, wanted)
    return bare_plane


def install(plane: Cluster, wanted: Definitions) -> None:
    """Install definitions of Gateway API's over whatever is there."""
    apply_definitions(plane, fetch_definitions(wanted, Progress()))


def read_fields(plane: Cluster, kind: RouteKind = "HTTPRoute") -> frozenset[str]:
    """What the operator finds in the installed definition."""
    name = DEFINITIONS[kind].only
    answer = plane.kubectl("get", "customresourcedefinition", name, "-o", "json")
    return make_definition_projection(kind)(answer.encode()).fields


def fit(plane: Cluster, split: Split) -> Split:
    """A split as it is written in this cluster."""
    return replace(split, fields=read_fields(plane, ROUTE_KINDS[split.traffic.protocol]))


def write(plane: Cluster, child: Child, validate: str = "strict") -> bytes:
    """Apply a child as the operator does; the apiserver's answer. Unknown fields are errors.

    The operator itself asks for no validation of fields: "ignore".
    """
    ref, model = child.ref, ModelObject(Meta(NAMESPACE, MODEL, "nobody", "1"), None)
    if ref.kind == "Service":
        body = make_service(model, ref.name, "", child.spec)
    else:
        body = make_route(model, ref.kind, ref.name, child.spec)
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
            routes.append(make_route_projection(child.ref.kind)(answer))
    return replace(observe(), routes=tuple(routes), services=tuple(services))


def is_experimental(router: str, case: Json) -> bool:
    """Whether the field that it needs is in Gateway API's experimental channel alone."""
    return router == "GatewayAPI" and "sticky" in case["split"]


@pytest.mark.parametrize(("router", "case"), CASES)
def test_a_route_is_taken_as_it_is_and_left_alone(plane: Cluster, router: str, case: Json) -> None:
    split, used = fit(plane, read_split(case)), ROUTERS[router]
    children = used.make_routes(split)
    if is_experimental(router, case) and not split.fields & {SESSION_NAME, COOKIE}:
        with pytest.raises(ClusterError, match=r"sessionPersistence: field not declared in schema"):
            write(plane, children[-1], validate="ignore")
        return

    observed = show(children, [write(plane, child) for child in children])

    stale = [c.ref for c in children if not is_current(observed, c)]
    assert stale == []


def test_rules_have_names_in_every_version(plane: Cluster) -> None:
    assert RULE_NAME in read_fields(plane)
    assert RULE_NAME in read_fields(plane, "GRPCRoute")


def test_what_others_add_stays_after_an_apply_and_goes_when_it_is_taken_away_before(
    plane: Cluster,
) -> None:
    """A server-side apply leaves what its manager never wrote."""
    case = next(c.values[1] for c in CASES if c.values[0] == "Istio")
    *_, route = ROUTERS["Istio"].make_routes(read_split(cast("Json", case)))
    write(plane, route)
    theirs = {"tcp": [{"route": [{"destination": {"host": "theirs"}}]}]}
    patch = ("-n", NAMESPACE, "patch", f"virtualservice/{MODEL}", "--type=merge", "-p")
    plane.kubectl(*patch, json.dumps({"spec": theirs}), "--field-manager=stranger")

    write(plane, route)
    get = ("-n", NAMESPACE, "get", f"virtualservice/{MODEL}", "-o", "json")
    live = plane.kubectl(*get, "--show-managed-fields").encode()
    still = make_route_projection("VirtualService")(live)
    assert find_added("VirtualService", still.spec, route.text) == (("tcp",),)
    assert still.writers == ("stranger",)

    plane.kubectl(*patch, json.dumps({"spec": {"tcp": None}}), "--field-manager=canarium")
    observed = show((route,), [write(plane, route)])
    assert is_current(observed, route)


def test_a_route_of_no_sense_is_refused(plane: Cluster) -> None:
    """That the schemas are there, or the test above would prove nothing."""
    for name, field in (("GatewayAPI", "rules"), ("Traefik", "routes"), ("Istio", "http")):
        case = next(c.values[1] for c in CASES if c.values[0] == name)
        *_, route = ROUTERS[name].make_routes(read_split(cast("Json", case)))
        with pytest.raises(ClusterError):
            write(plane, replace(route, spec={**route.spec, field: [{"nonsense": 1}]}))


def make_sticky(plane: Cluster) -> tuple[Child, ...]:
    """The children of a split that keeps people by a cookie, as this cluster takes them."""
    case = next(c.values[1] for c in CASES if is_experimental(*cast("tuple[str, Json]", c.values)))
    return ROUTERS["GatewayAPI"].make_routes(fit(plane, read_split(cast("Json", case))))


@pytest.mark.parametrize(
    ("installed", "then"),
    [
        (EXPERIMENTAL_ROUTES, NEXT_EXPERIMENTAL_ROUTES),
        (NEXT_EXPERIMENTAL_ROUTES, EXPERIMENTAL_ROUTES),
    ],
    ids=["upgraded", "downgraded"],
)
def test_a_cookie_is_written_anew_when_the_definitions_change(
    bare_plane: Cluster, installed: Definitions, then: Definitions
) -> None:
    """What the other version calls otherwise the apiserver doesn't show any more."""
    install(bare_plane, installed)
    before = make_sticky(bare_plane)
    written = [write(bare_plane, child) for child in before]
    assert is_current(show(before, written), before[-1])
    install(bare_plane, then)

    after = make_sticky(bare_plane)
    assert after[-1].spec != before[-1].spec
    live = bare_plane.kubectl("get", "httproute", MODEL, "-n", NAMESPACE, "-o", "json").encode()
    assert not is_current(show(after, [written[0], live]), after[-1])
    now = [write(bare_plane, child) for child in after]
    assert is_current(show(after, now), after[-1])


def may_list(plane: Cluster, name: str) -> bool:
    """Whether the authorizer has heard of the role and its binding, which it does later."""
    words = ("get", "customresourcedefinitions", "--as=operator", "-o", "name")
    try:
        plane.kubectl(*words, f"--field-selector=metadata.name={name}")
    except ClusterError:
        return False
    return True


def test_the_operator_may_read_these_definitions_and_no_others(bare_plane: Cluster) -> None:
    install(bare_plane, GATEWAY_API)
    rules = next(
        item["rules"]
        for item in yaml.safe_load_all((ROOT / "deploy" / "operator.yaml").read_text())
        if item["kind"] == "ClusterRole" and "customresourcedefinitions" in str(item["rules"])
    )
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "reader"}
    rbac, subject = "rbac.authorization.k8s.io/v1", {"kind": "User", "name": "operator"}
    apply(
        bare_plane,
        [
            make_manifest(rbac, "ClusterRole", "reader", rules=rules),
            make_manifest(rbac, "ClusterRoleBinding", "reader", roleRef=role, subjects=[subject]),
        ],
    )
    asked = ("get", "customresourcedefinitions", "--as=operator", "-o", "name")
    first = next(iter(DEFINITIONS.values())).only
    assert wait_until(lambda: may_list(bare_plane, first), SECONDS)
    for resource in DEFINITIONS.values():
        found = bare_plane.kubectl(*asked, f"--field-selector=metadata.name={resource.only}")
        assert found.split() == [f"customresourcedefinition.apiextensions.k8s.io/{resource.only}"]
    for selector in ([], ["--field-selector=metadata.name=middlewares.traefik.io"]):
        with pytest.raises(ClusterError, match="forbidden"):
            bare_plane.kubectl(*asked, *selector)
