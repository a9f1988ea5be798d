"""People who visit two revisions, as routers render the routes to them, and keep their cookies."""

import http.client
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import urlsplit

from canarium.core.names import child_name
from canarium.core.spec import ParentRef, Sticky, Traffic
from canarium.routing import ROUTERS, Split

from testbed.addons.gateway import API_VERSION, apply
from testbed.cluster.cluster import Cluster, make_manifest
from testbed.servers.backends import SECONDS, make_backend

MODEL, COOKIE = "iris", "canarium-variant"
REVISIONS = ("0f336a1ab5", "7b9d6f5c88")
API_VERSIONS = {
    "HTTPRoute": API_VERSION,
    "TraefikService": "traefik.io/v1alpha1",
    "IngressRoute": "traefik.io/v1alpha1",
}
Object = dict[str, Any]


def deploy_revisions(cluster: Cluster, namespace: str) -> None:
    """One pod of each, which answers with the name of its Service; waits for both."""
    names = [child_name(MODEL, revision) for revision in REVISIONS]
    apply(cluster, [item for name in names for item in make_backend(name, namespace)])
    for name in names:
        waiting = ("wait", "--for=condition=Available", f"deployment/{name}", "-n", namespace)
        cluster.kubectl(*waiting, f"--timeout={SECONDS}s")


def lead(cluster: Cluster, namespace: str, router: str, host: str, **weights: int) -> None:
    """Write a router's objects, but for the Services: with two revisions, a cookie keeps people."""
    refs = (ParentRef("envoy", "gateways", "http"),) if router == "GatewayAPI" else ()
    split = Split(
        model=MODEL,
        namespace=namespace,
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
                API_VERSIONS[c.ref.kind], c.ref.kind, c.ref.name, namespace=namespace, spec=c.spec
            )
            for c in children
        ],
    )


def visit(url: str, host: str, cookie: str = "") -> tuple[str, str]:
    """One request of somebody's: who answers, and the cookie that they have afterwards."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
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
