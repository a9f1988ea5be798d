"""Traefik's and Istio's own kinds: nobody says what was taken, so what lives has to do."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from canarium.core.observed import Observed
from canarium.routing import ROUTERS, Split, Verification
from canarium.routing.base import is_current
from canarium.routing.istio import SILENT as ISTIO_SILENT
from canarium.routing.traefik import SILENT as TRAEFIK_SILENT

from tests.unit.routing.routing import (
    CANARY,
    MODEL,
    STABLE,
    Json,
    make_route,
    make_split,
    make_step,
    make_traffic,
    observe,
)

HOSTS: Json = {"hostnames": ["fraud.example.com"]}
SILENT = {"Traefik": TRAEFIK_SILENT, "Istio": ISTIO_SILENT}
LAST_KIND = {"Traefik": "IngressRoute", "Istio": "VirtualService"}
BY_HEADER = [{"name": "X-Canary", "value": 'a"b\\c'}]
Edit = Callable[[Json], Any]


def split_for(router: str, **extra: Any) -> Split:
    weights = {STABLE: 100} if extra else {STABLE: 80, CANARY: 20}
    return make_split({"router": router, **HOSTS}, weights, **extra)


@pytest.mark.parametrize("name", SILENT)
def test_what_is_written_counts_as_taken_and_says_how_much_that_is_worth(name: str) -> None:
    router, split = ROUTERS[name], split_for(name, mirror=20)
    found = router.verify(split, observe(router.make_routes(split)))
    assert found == Verification(accepted=True, message=SILENT[name])
    assert f"{router.settle_seconds:g} s" in found.message


@pytest.mark.parametrize("name", SILENT)
def test_what_is_not_written_yet_is_waited_for(name: str) -> None:
    router, split = ROUTERS[name], split_for(name)
    *others, _ = router.make_routes(split)
    words = f"{LAST_KIND[name]} {MODEL} is being written"
    assert router.verify(split, observe(others)) == Verification(False, "RoutePending", words)


@pytest.mark.parametrize(
    ("name", "kinds"),
    [("Traefik", "TraefikServices and IngressRoutes"), ("Istio", "VirtualServices")],
)
def test_kinds_that_are_not_installed_are_named(name: str, kinds: str) -> None:
    found = ROUTERS[name].verify(split_for(name), observe(installed=frozenset()))
    want = (
        f"the cluster does not serve {kinds}, or the operator does not look for them"
        f" (routers.{name.lower()} of its chart): install {name}, switch it on there,"
        " or choose another router"
    )
    assert found == Verification(False, f"{name}NotInstalled", want, refused=True)


def test_traefik_reads_header_values_as_go_does() -> None:
    *_, route = ROUTERS["Traefik"].make_routes(split_for("Traefik", headers=BY_HEADER))
    narrow, main = (rule["match"] for rule in route.spec["routes"])
    assert narrow == f'{main} && Header("X-Canary", "a\\"b\\\\c")'


def test_traefik_asks_the_rule_with_headers_first() -> None:
    *_, route = ROUTERS["Traefik"].make_routes(split_for("Traefik", headers=BY_HEADER))
    narrow, main = (rule["match"] for rule in route.spec["routes"])
    assert len(narrow) > len(main), "Traefik's default priority is the length of the rule"


@pytest.mark.parametrize(
    ("traffic", "reach"),
    [
        ({}, None),
        ({"hostnames": ["payments.others.svc.cluster.local"]}, ["."]),
        ({**HOSTS, "parentRefs": [{"name": "public", "namespace": "gateways"}]}, None),
    ],
    ids=["own-service", "a-host-name", "through-a-gateway"],
)
def test_who_claims_a_host_name_in_the_mesh_is_heard_in_the_namespace_alone(
    traffic: Json, reach: list[str] | None
) -> None:
    split = make_split({"router": "Istio", **traffic}, {STABLE: 100})
    *_, route = ROUTERS["Istio"].make_routes(split)
    assert route.spec.get("exportTo") == reach


def test_istio_knows_headers_in_lower_case_alone() -> None:
    *_, route = ROUTERS["Istio"].make_routes(split_for("Istio", headers=BY_HEADER))
    assert route.spec["http"][0]["match"] == [{"headers": {"x-canary": {"exact": 'a"b\\c'}}}]


def test_copies_of_an_earlier_step_keep_the_canarys_pods() -> None:
    router = ROUTERS["Traefik"]
    left = [c for c in router.make_routes(split_for("Traefik", mirror=20)) if CANARY in c.ref.name]
    now = router.make_routes(make_split({"router": "Traefik", **HOSTS}, {STABLE: 100}))
    assert router.live_weights(MODEL, observe([*now, *left])) == {STABLE: 100, CANARY: 0}


def test_weights_that_somebody_elses_route_may_lead_to_count_without_ours() -> None:
    router = ROUTERS["Traefik"]
    shared = [c for c in router.make_routes(split_for("Traefik")) if c.ref.kind != "IngressRoute"]
    observed = observe(shared)
    assert router.live_weights(MODEL, observed) == {STABLE: 80, CANARY: 20}


def test_destinations_are_known_by_short_and_by_full_names() -> None:
    full = {"destination": {"host": f"{MODEL}-{STABLE}.risk.svc.cluster.local"}}
    mirror = {"host": f"{MODEL}-{CANARY}"}
    spec = {"hosts": [MODEL], "http": [{"route": [full], "mirror": mirror}]}
    observed = observe(routes=(make_route("VirtualService", MODEL, spec),))
    assert ROUTERS["Istio"].live_weights(MODEL, observed) == {STABLE: 100, CANARY: 0}


EDITS: dict[str, tuple[str, str, Edit]] = {
    "Traefik's weight": (
        "Traefik",
        "TraefikService",
        lambda s: s["weighted"]["services"][0].update(weight=1),
    ),
    "Traefik's stickiness": (
        "Traefik",
        "TraefikService",
        lambda s: s["weighted"].update(sticky={"cookie": {"name": "a"}}),
    ),
    "Traefik's rule": (
        "Traefik",
        "IngressRoute",
        lambda s: s["routes"][0].update(match="Host(`x`)"),
    ),
    "Traefik's priority": ("Traefik", "IngressRoute", lambda s: s["routes"][0].update(priority=9)),
    "Traefik's middlewares": (
        "Traefik",
        "IngressRoute",
        lambda s: s["routes"][0].update(middlewares=[{"name": "x"}]),
    ),
    "Istio's weight": (
        "Istio",
        "VirtualService",
        lambda s: s["http"][0]["route"][0].update(weight=1),
    ),
    "Istio's subset": (
        "Istio",
        "VirtualService",
        lambda s: s["http"][0]["route"][0]["destination"].update(subset="x"),
    ),
    "Istio's mirror": (
        "Istio",
        "VirtualService",
        lambda s: s["http"][0].update(mirror={"host": "x"}),
    ),
    "Istio's fault": (
        "Istio",
        "VirtualService",
        lambda s: s["http"][0].update(fault={"abort": {}}),
    ),
    "Istio's gateways": ("Istio", "VirtualService", lambda s: s.update(gateways=["x/y"])),
}


@pytest.mark.parametrize(("name", "kind", "edit"), EDITS.values(), ids=EDITS.keys())
def test_an_edit_is_noticed(name: str, kind: str, edit: Edit) -> None:
    router, split = ROUTERS[name], split_for(name)
    observed = edited(observe(router.make_routes(split)), kind, edit)
    children = router.make_routes(split)
    stale = [c.ref.kind for c in children if not is_current(observed, c)]
    assert stale == [kind]


OWN: dict[str, tuple[str, str, Edit]] = {
    "entry points": ("Traefik", "IngressRoute", lambda s: s.update(entryPoints=["websecure"])),
    "a certificate": ("Traefik", "IngressRoute", lambda s: s.update(tls={"secretName": "x"})),
    "a class": ("Traefik", "IngressRoute", lambda s: s.update(ingressClassName="inner")),
    "to whom it is visible": ("Istio", "VirtualService", lambda s: s.update(exportTo=["."])),
}


@pytest.mark.parametrize(("name", "kind", "edit"), OWN.values(), ids=OWN.keys())
def test_what_a_person_adds_at_the_top_is_theirs(name: str, kind: str, edit: Edit) -> None:
    router, split = ROUTERS[name], split_for(name)
    observed = edited(observe(router.make_routes(split)), kind, edit)
    assert all(is_current(observed, c) for c in router.make_routes(split))


def edited(observed: Observed, kind: str, edit: Edit) -> Observed:
    """The cluster after somebody's edit of the object of this kind."""

    def change(spec: bytes) -> bytes:
        found = json.loads(spec)
        edit(found)
        return json.dumps(found).encode()

    routes = (replace(r, spec=change(r.spec)) if r.kind == kind else r for r in observed.routes)
    return replace(observed, routes=tuple(routes))


ISTIO_DRAWS = (
    "router Istio draws a revision for every request and keeps nobody on one by a cookie: "
    "have the front end assign people, with sticky.headers, or take router Traefik"
)


@pytest.mark.parametrize(
    ("name", "protocol", "want"),
    [
        ("Traefik", "HTTP", ""),
        (
            "Traefik",
            "GRPC",
            "gRPC clients keep no cookies: have the front end assign people by headers",
        ),
        (
            "Istio",
            "HTTP",
            ISTIO_DRAWS,
        ),
    ],
)
def test_a_cookie_keeps_people_where_it_goes_before_the_weights(
    name: str, protocol: str, want: str
) -> None:
    traffic = make_traffic(router=name, protocol=protocol, **HOSTS)
    step = make_step(cookie="variant")
    assert ROUTERS[name].explain_undeliverable(step, traffic, observe()) == want


@pytest.mark.parametrize(
    ("name", "protocol", "want"),
    [
        ("Traefik", "HTTP", ""),
        (
            "Traefik",
            "GRPC",
            "router Traefik cannot mirror gRPC: write a weight or headers instead of mirror",
        ),
        ("Istio", "GRPC", ""),
    ],
)
def test_mirrors_are_delivered_where_requests_are_whole(
    name: str, protocol: str, want: str
) -> None:
    traffic = make_traffic(router=name, protocol=protocol, **HOSTS)
    assert ROUTERS[name].explain_undeliverable(make_step(mirror=20), traffic, observe()) == want
