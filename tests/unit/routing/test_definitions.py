"""What is written follows what the installed definitions have, by their own schemas."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from canarium.core.observed import DefinitionRecord, Observed
from canarium.kube.informers.projections.gateways import make_definition_projection
from canarium.routing import ROUTERS, Split
from canarium.routing.base import is_current
from canarium.routing.definitions import find_fields

from tests.unit.routing.defaults import fill_defaults
from tests.unit.routing.routing import (
    CANARY,
    GATEWAY,
    MODEL,
    STABLE,
    make_class,
    make_definition,
    make_route,
    make_split,
    make_step,
    make_traffic,
    observe,
)

Json = dict[str, Any]
ROUTER = ROUTERS["GatewayAPI"]
ENVOY = make_class(controller="gateway.envoyproxy.io/gatewayclass-controller")
STICKY = make_step(cookie="seen")
OLD, NEW = "sessionPersistence.sessionName", "sessionPersistence.cookie"
TO_1_6 = {"sessionName": "seen", "cookieConfig": {"lifetimeType": "Permanent"}}
FROM_1_7 = {"cookie": {"name": "seen", "lifetimeType": "Permanent"}}


def make(*fields: str, cookie: bool = True, **more: Any) -> Split:
    sticky = {"cookie": "seen", "seconds": 7200} if cookie else None
    split = make_split(GATEWAY, {STABLE: 80, CANARY: 20}, sticky=sticky, **more)
    return replace(split, fields=frozenset(fields))


def rules_of(split: Split) -> list[Json]:
    *_, route = ROUTER.make_routes(split)
    found: list[Json] = route.spec["rules"]
    return found


@pytest.mark.parametrize(
    ("fields", "form"),
    [((OLD,), TO_1_6), ((NEW,), FROM_1_7), ((OLD, NEW), FROM_1_7), ((), TO_1_6)],
    ids=["1.1 to 1.6", "1.7", "both", "neither, which the apiserver refuses"],
)
def test_a_cookie_is_spelled_as_the_installed_kind_spells_it(
    fields: tuple[str, ...], form: Json
) -> None:
    (rule,) = rules_of(make(*fields))
    wanted = {"type": "Cookie", "absoluteTimeout": "2h0s", **form}
    assert rule["sessionPersistence"] == wanted


def test_rules_have_names_where_the_installed_kind_has_them() -> None:
    testers = [{"name": "x-canary", "value": "1"}]
    named = rules_of(make("name", cookie=False, headers=testers))
    assert [rule.get("name") for rule in named] == ["headers", "weights"]
    unnamed = rules_of(make(cookie=False, headers=testers))
    assert [
        {"name": n, **rule} for n, rule in zip(["headers", "weights"], unnamed, strict=True)
    ] == [dict(rule) for rule in named]


def edit(split: Split, **rule: Any) -> Observed:
    """The route as it is, but that somebody changed these fields of its rule."""
    *_, route = ROUTER.make_routes(split)
    spec = json.loads(json.dumps(route.spec))
    spec["rules"][0] = {**spec["rules"][0], **rule}
    live = make_route("HTTPRoute", MODEL, spec)
    return fill_defaults(replace(observe(ROUTER.make_routes(split)), routes=(live,)))


def is_ours(split: Split, observed: Observed) -> bool:
    *_, route = ROUTER.make_routes(split)
    return is_current(observed, route)


def test_a_name_that_we_gave_is_put_right_and_one_that_we_did_not_is_left() -> None:
    """Another's name leads no request elsewhere; ours may be what a policy is attached to."""
    assert is_ours(make("name", cookie=False), edit(make("name", cookie=False)))
    assert not is_ours(make("name", cookie=False), edit(make("name", cookie=False), name="theirs"))
    assert is_ours(make(cookie=False), edit(make(cookie=False), name="theirs"))


def test_a_cookie_whose_fields_the_new_definition_has_dropped_is_written_anew() -> None:
    """The apiserver prunes what a definition no longer has from what it shows."""
    left = {"type": "Cookie", "absoluteTimeout": "2h0s"}
    assert not is_ours(make(NEW), edit(make(OLD), sessionPersistence=left))


def test_a_cookies_path_that_the_apiserver_fills_in_is_no_drift_and_another_is() -> None:
    split = make(NEW)
    (rule,) = rules_of(split)
    assert is_ours(split, edit(split))
    elsewhere = rule["sessionPersistence"] | {"cookie": {**FROM_1_7["cookie"], "path": "/other"}}
    assert not is_ours(split, edit(split, sessionPersistence=elsewhere))


UNREAD = "nobody knows how this cluster's HTTPRoute spells a cookie"
WITHOUT = "this cluster's HTTPRoute has no sessionPersistence with a cookie that Canarium knows"


@pytest.mark.parametrize(
    ("definitions", "says"),
    [
        ((make_definition(OLD),), ""),
        ((make_definition(NEW),), ""),
        ((make_definition("name"),), WITHOUT),
        ((make_definition("sessionPersistence.type"),), WITHOUT),
        ((make_definition(),), WITHOUT),
        ((), UNREAD),
        ((make_definition(NEW, kind="GRPCRoute"),), UNREAD),
    ],
)
def test_a_cookie_that_cannot_be_written_is_refused_before_anything_moves(
    definitions: tuple[DefinitionRecord, ...], says: str
) -> None:
    observed = observe(gateway_classes=(ENVOY,), definitions=definitions)
    found = ROUTER.explain_undeliverable(STICKY, make_traffic(**GATEWAY), observed)
    assert found.startswith(says) if says else found == ""
    assert ("sticky.headers" in found) == bool(says)


def test_a_kind_that_is_not_there_yet_refuses_nothing() -> None:
    observed = observe(gateway_classes=(ENVOY,), definitions=(), installed=frozenset())
    assert ROUTER.explain_undeliverable(STICKY, make_traffic(**GATEWAY), observed) == ""


def test_who_asks_for_no_cookie_needs_no_definition() -> None:
    observed = observe(gateway_classes=(ENVOY,), definitions=())
    assert ROUTER.explain_undeliverable(make_step(), make_traffic(**GATEWAY), observed) == ""


def test_the_fields_are_those_of_the_kind_that_the_traffic_takes() -> None:
    observed = observe(
        definitions=(make_definition("name", NEW), make_definition(kind="GRPCRoute"))
    )
    assert find_fields(make_traffic(**GATEWAY), observed) == {"name", NEW}
    assert find_fields(make_traffic(**GATEWAY, protocol="GRPC"), observed) == frozenset()
    assert find_fields(make_traffic(**GATEWAY), observe(definitions=())) == frozenset()


def define(*versions: tuple[str, Json | None]) -> frozenset[str]:
    """What is read of a definition whose versions have rules with such fields."""

    def make_version(name: str, rule: Json | None) -> Json:
        rules = {"items": {"properties": rule}} if rule is not None else {}
        spec = {"properties": {"rules": rules, "hostnames": {"items": {}}}}
        return {"name": name, "schema": {"openAPIV3Schema": {"properties": {"spec": spec}}}}

    metadata = {"name": "httproutes.gateway.networking.k8s.io", "uid": "1", "resourceVersion": "7"}
    body = {"metadata": metadata, "spec": {"versions": [make_version(*each) for each in versions]}}
    return make_definition_projection("HTTPRoute")(json.dumps(body).encode()).fields


def test_a_definition_is_read_in_the_version_that_is_written() -> None:
    session: Json = {"properties": {"cookie": {"properties": {"name": {}}}, "type": {}}}
    rule = {"name": {}, "sessionPersistence": session, "matches": {"items": {}}}
    assert define(("v1beta1", {"name": {}}), ("v1", rule)) == {
        "name",
        "sessionPersistence.cookie",
        "sessionPersistence.type",
    }
    assert define(("v1beta1", rule), ("v1", {"matches": {}})) == frozenset()
    assert define(("v1beta1", rule)) == frozenset()
    assert define(("v1", None)) == frozenset()
