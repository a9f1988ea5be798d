"""People who stay with a version by a cookie: real gateways, and the routes that routers render."""

import http.client
from collections.abc import Iterator
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import urlsplit

import pytest
from canarium.core.names import child_name
from canarium.core.spec import ParentRef, Sticky, Traffic
from canarium.routers import ROUTERS, Split

from tests.cluster.backends import SECONDS, make_backend
from tests.cluster.cluster import Cluster, make_manifest
from tests.cluster.definitions import EXPERIMENTAL_ROUTES, apply_definitions, fetch_definitions
from tests.cluster.fixtures import lend_cluster
from tests.cluster.gateway import API_VERSION, apply
from tests.cluster.processes import wait_until
from tests.cluster.progress import Progress

pytestmark = [pytest.mark.timeout(1200), pytest.mark.xdist_group("node")]
MODEL, NAMESPACE, COOKIE = "iris", "cookies", "canarium-variant"
REVISIONS = ("aaaaaaaaaa", "bbbbbbbbbb")
API_VERSIONS = {
    "HTTPRoute": API_VERSION,
    "TraefikService": "traefik.io/v1alpha1",
    "IngressRoute": "traefik.io/v1alpha1",
}
PEOPLE, VISITS = 40, 10
Object = dict[str, Any]


@pytest.fixture(scope="module")
def node() -> Iterator[Cluster]:
    """A node with both gateways, and a pod of each of two revisions."""
    with lend_cluster("auto") as cluster:
        cluster.install_gateway(Progress())
        cluster.install_envoy_gateway(Progress())
        apply_definitions(cluster, fetch_definitions(EXPERIMENTAL_ROUTES, Progress()))
        deploy_revisions(cluster)
        yield cluster
        if cluster.owner is None:  # it stays, and the next run begins anew
            cluster.kubectl("delete", "namespace", NAMESPACE)


def deploy_revisions(cluster: Cluster) -> None:
    """One pod of each, which answers with the name of its Service; waits for both."""
    apply(cluster, [make_manifest("v1", "Namespace", NAMESPACE)])
    names = [child_name(MODEL, revision) for revision in REVISIONS]
    apply(cluster, [item for name in names for item in make_backend(name, NAMESPACE)])
    for name in names:
        waiting = ("wait", "--for=condition=Available", f"deployment/{name}", "-n", NAMESPACE)
        cluster.kubectl(*waiting, f"--timeout={SECONDS}s")


def route(cluster: Cluster, router: str, host: str, **weights: int) -> None:
    """Have a router's objects written, without the Services."""
    refs = (ParentRef("envoy", "gateways", "http"),) if router == "GatewayAPI" else ()
    split = Split(
        model=MODEL,
        namespace=NAMESPACE,
        traffic=Traffic(parent_refs=refs, hostnames=(host,)),
        weights=tuple(weights.items()),
        primary=REVISIONS[0],
        sticky=Sticky(COOKIE, 3600) if len(weights) > 1 else None,
    )
    children = [c for c in ROUTERS[router].make_routes(split) if c.ref.kind != "Service"]
    apply(
        cluster,
        [
            make_manifest(
                API_VERSIONS[c.ref.kind], c.ref.kind, c.ref.name, namespace=NAMESPACE, spec=c.spec
            )
            for c in children
        ],
    )


def visit(url: str, host: str, cookie: str = "") -> tuple[str, str]:
    """One request of somebody's: who answers, and the cookie that they have afterwards."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
    sent = {"Cookie": f"{COOKIE}={cookie}"} if cookie else {}
    try:
        connection.request("GET", "/", headers={"Host": host, **sent})
        response = connection.getresponse()
        body = response.read().decode()
    finally:
        connection.close()
    given = SimpleCookie(response.headers.get("Set-Cookie", ""))
    answer = body if response.status == http.client.OK else str(response.status)
    return answer, given[COOKIE].value if COOKIE in given else cookie


@pytest.mark.parametrize(("router", "gateway"), [("Traefik", "gateway"), ("GatewayAPI", "envoy")])
def test_who_came_to_a_version_once_comes_to_it_again(
    node: Cluster, router: str, gateway: str
) -> None:
    url, host = getattr(node, f"{gateway}_url"), f"{gateway}.cookies.example.com"
    versions = {child_name(MODEL, revision) for revision in REVISIONS}
    route(node, router, host, **dict.fromkeys(REVISIONS, 50))

    def is_served() -> bool:
        answer, cookie = visit(url, host)
        return answer in versions and cookie != ""

    assert wait_until(is_served, SECONDS)

    first = [visit(url, host) for _ in range(PEOPLE)]
    again = [{visit(url, host, cookie)[0] for _ in range(VISITS)} for _, cookie in first]

    assert {answer for answer, _ in first} == versions
    assert again == [{answer} for answer, _ in first]


@pytest.mark.parametrize(("router", "gateway"), [("Traefik", "gateway"), ("GatewayAPI", "envoy")])
def test_a_cookie_of_a_canary_that_was_taken_back_leads_to_stable(
    node: Cluster, router: str, gateway: str
) -> None:
    url, host = getattr(node, f"{gateway}_url"), f"{gateway}.back.example.com"
    stable, canary = (child_name(MODEL, revision) for revision in REVISIONS)
    route(node, router, host, **dict.fromkeys(REVISIONS, 50))
    cookies: list[str] = []

    def meet() -> bool:
        answer, cookie = visit(url, host)
        cookies.extend([cookie] * (answer == canary and cookie != ""))
        return bool(cookies)

    assert wait_until(meet, SECONDS)
    route(node, router, host, **{REVISIONS[0]: 100})
    assert wait_until(lambda: visit(url, host, cookies[0])[0] == stable, SECONDS)
    assert {visit(url, host, cookies[0])[0] for _ in range(VISITS)} == {stable}
