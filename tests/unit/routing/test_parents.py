"""Whose word counts about a route: the present controller's, about the very parent that is named.

The entries of `status.parents` are as public reports of Envoy Gateway, kgateway, Linkerd and APISIX
show them: of listeners that were left, of controllers that are gone, with other spellings.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from canarium.core.observed import Observed, RouteParent
from canarium.core.spec import HeaderMatch
from canarium.kube.informers.projections.routes import make_route_projection
from canarium.routing import ROUTERS, Split, Verification

from tests.unit.kube.wire import dump, make_object
from tests.unit.routing.routing import (
    CANARY,
    GATEWAY,
    MODEL,
    STABLE,
    answer,
    make_class,
    make_split,
    make_step,
    make_traffic,
)
from tests.unit.routing.test_gatewayapi import written

Json = dict[str, Any]
ROUTER = ROUTERS["GatewayAPI"]
PRESENT, FORMER = "example.com/present", "example.com/former"
TAKEN = Verification(accepted=True)


def split_for(*refs: Json) -> Split:
    return make_split({**GATEWAY, "parentRefs": list(refs)}, {STABLE: 80, CANARY: 20})


def said_by(controller: str, **fields: Any) -> RouteParent:
    conditions = {key: fields.pop(key) for key in ("generation", "Accepted") if key in fields}
    return answer(entry={"controller": controller, **fields}, **conditions)


def verify(split: Split, *entries: RouteParent, **fields: Any) -> Verification:
    fields.setdefault("gateway_classes", (make_class(controller=PRESENT),))
    return ROUTER.verify(split, written(*entries, split=split, generation=2, **fields))


PUBLIC = {"name": "public", "namespace": "gateways"}
HTTPS = {**PUBLIC, "sectionName": "https"}
STALE: dict[str, tuple[Json, RouteParent]] = {
    "of the listener that was left": (HTTPS, said_by(PRESENT, section_name="http", generation=1)),
    "of the port that was left": (
        {**PUBLIC, "port": 443},
        said_by(PRESENT, port=80, generation=1),
    ),
    "of another Gateway": (HTTPS, said_by(PRESENT, name="internal", generation=1)),
    "of a Gateway of this name elsewhere": (
        HTTPS,
        said_by(PRESENT, namespace="risk", section_name="https", generation=1),
    ),
    "of a ListenerSet of this name": (
        HTTPS,
        said_by(PRESENT, kind="ListenerSet", section_name="https", generation=1),
    ),
    "of the whole Gateway": (HTTPS, said_by(PRESENT, generation=1)),
    "of a former controller": (HTTPS, said_by(FORMER, section_name="https", generation=1)),
    "of a former controller, refused": (
        HTTPS,
        said_by(FORMER, section_name="https", generation=2, Accepted="False"),
    ),
}


@pytest.mark.parametrize("first", [True, False], ids=["before", "after"])
@pytest.mark.parametrize(("ref", "stale"), STALE.values(), ids=STALE.keys())
def test_an_entry_that_is_not_about_our_parent_keeps_nobody_waiting(
    ref: Json, stale: RouteParent, first: bool
) -> None:
    good = said_by(PRESENT, section_name=ref.get("sectionName"), port=ref.get("port"), generation=2)
    entries = (stale, good) if first else (good, stale)
    assert verify(split_for(ref), *entries) == TAKEN


ELSEWHERE = {name: case for name, case in STALE.items() if name != "of the whole Gateway"}


@pytest.mark.parametrize(("ref", "entry"), ELSEWHERE.values(), ids=ELSEWHERE.keys())
def test_an_entry_that_is_not_about_our_parent_is_no_answer(ref: Json, entry: RouteParent) -> None:
    good = replace(entry, conditions=answer(generation=2).conditions)
    assert verify(split_for(ref), good).reason == "RoutePending"


def test_a_former_controllers_good_word_is_no_answer() -> None:
    """It would let a share rise that the present gateway has not heard of."""
    found = verify(split_for(PUBLIC), said_by(FORMER, generation=2))
    words = "Gateway gateways/public has not answered for the route yet"
    assert found == Verification(False, "RoutePending", words)


def test_an_answer_to_one_reference_is_none_to_the_other() -> None:
    whole = said_by(PRESENT, generation=2)
    both = split_for(PUBLIC, HTTPS)
    assert verify(both, whole).reason == "RoutePending"
    assert verify(both, whole, said_by(PRESENT, section_name="https", generation=2)) == TAKEN


@pytest.mark.parametrize(
    "entry",
    [{"section_name": "http"}, {"section_name": "", "port": 80}, {"port": 80}],
    ids=["by listener", "an empty listener", "with the port"],
)
def test_a_controller_that_answers_more_exactly_than_it_was_asked_is_heard(entry: Json) -> None:
    assert verify(split_for(PUBLIC), said_by(PRESENT, generation=2, **entry)) == TAKEN


def test_a_controller_that_leaves_the_port_out_is_heard() -> None:
    split = split_for({**HTTPS, "port": 443})
    assert verify(split, said_by(PRESENT, section_name="https", generation=2)) == TAKEN


def test_without_its_class_whoever_took_the_change_is_believed() -> None:
    entries = (said_by(FORMER, generation=1), said_by(PRESENT, generation=2))
    assert verify(split_for(PUBLIC), *entries, gateway_classes=()) == TAKEN


def test_of_several_troubles_a_refusal_is_told() -> None:
    entries = (
        said_by(FORMER, generation=1),
        said_by(PRESENT, generation=2, Accepted="False"),
    )
    found = verify(split_for(PUBLIC), *entries, gateway_classes=())
    assert (found.reason, found.refused) == ("AcceptedFalse", True)


# Parents that are no Gateways

SERVICE = {"group": "", "kind": "Service", "name": MODEL, "port": 80}
SET = {"kind": "ListenerSet", "name": "team", "namespace": "gateways"}
PARENTS: dict[str, tuple[Json, Json]] = {
    "ListenerSet": (SET, {"kind": "ListenerSet", "name": "team"}),
    "Service": (
        SERVICE,
        {"kind": "Service", "group": "", "name": MODEL, "namespace": "risk", "port": 80},
    ),
    "Service as Linkerd spells it": (
        SERVICE,
        {"kind": "Service", "group": "core", "name": MODEL, "namespace": "risk", "port": 80},
    ),
}


@pytest.mark.parametrize(("ref", "entry"), PARENTS.values(), ids=PARENTS.keys())
def test_another_kind_of_parent_counts_by_its_answer_alone(ref: Json, entry: Json) -> None:
    split, nobody = split_for(ref), Json(gateways=(), gateway_classes=())
    assert verify(split, **nobody).reason == "RoutePending"
    assert verify(split, said_by(PRESENT, generation=1, **entry), **nobody).reason == "RoutePending"
    assert verify(split, said_by(PRESENT, generation=2, **entry), **nobody) == TAKEN


@pytest.mark.parametrize(("ref", "entry"), PARENTS.values(), ids=PARENTS.keys())
def test_a_refusal_of_another_kind_of_parent_is_told_in_its_words(ref: Json, entry: Json) -> None:
    found = verify(split_for(ref), said_by(PRESENT, generation=2, Accepted="False", **entry))
    assert found.message == f"{ref['kind']} {found.message.split()[1]} Accepted is False"
    assert found.refused


def test_a_controller_that_names_no_generation_is_named() -> None:
    """Linkerd before it wrote observedGeneration: nobody knows which shares it works by."""
    entry = said_by("linkerd.io/policy-controller", generation=0, **PARENTS["Service"][1])
    found = verify(split_for(SERVICE), entry)
    assert (found.reason, found.refused) == ("RouteUnverifiable", True)
    assert found.message.startswith(
        "Service risk/fraud: linkerd.io/policy-controller does not say which generation"
    )


def test_a_parents_group_and_kind_are_written() -> None:
    """So that the kind that somebody edits is seen, whatever the apiserver fills in."""
    *_, route = ROUTER.make_routes(split_for(PUBLIC, SET, SERVICE))
    assert [(ref["group"], ref["kind"]) for ref in route.spec["parentRefs"]] == [
        ("gateway.networking.k8s.io", "Gateway"),
        ("gateway.networking.k8s.io", "ListenerSet"),
        ("", "Service"),
    ]


def test_a_mesh_has_no_address_from_outside() -> None:
    assert ROUTER.make_url(make_traffic(**{**GATEWAY, "parentRefs": [SERVICE]})) == ""
    assert ROUTER.make_url(make_traffic(**GATEWAY)) == "http://fraud.example.com"


ASKS = {
    "mirror": make_step(mirror=10),
    "regex": make_step(headers=[HeaderMatch("x-team", "a.*", "RegularExpression")]),
    "cookie": make_step(cookie="seen"),
}


def explain(step: Any, controller: str = "") -> str:
    ref, entry = PARENTS["ListenerSet"]
    split = split_for(ref)
    entries = (said_by(controller, generation=2, **entry),) if controller else ()
    observed: Observed = written(*entries, split=split)
    return ROUTER.explain_undeliverable(step, split.traffic, observed)


@pytest.mark.parametrize("step", ASKS.values(), ids=ASKS.keys())
def test_who_answers_for_a_listener_set_says_what_it_can_do(step: Any) -> None:
    envoy = "gateway.envoyproxy.io/gatewayclass-controller"
    assert explain(step, envoy) == ""
    assert explain(step) == "", "nobody has answered yet: that may come"
    words = "the controller example.com/unknown of ListenerSet gateways/team"
    assert explain(step, "example.com/unknown").startswith(words)


def test_an_entry_is_read_with_what_the_apiserver_fills_in_and_leaves_out() -> None:
    refs = [
        {"name": "public"},
        {"group": "", "kind": "Service", "name": "fraud", "port": 80},
        {"group": "core", "kind": "Service", "name": "fraud", "namespace": "mesh"},
    ]
    parents = [{"parentRef": ref, "controllerName": PRESENT} for ref in refs]
    body = make_object("HTTPRoute", "fraud", spec={}, status={"parents": parents})
    found = make_route_projection("HTTPRoute")(dump(json.loads(json.dumps(body))))
    assert [(p.group, p.kind, p.namespace, p.name, p.port) for p in found.parents] == [
        ("gateway.networking.k8s.io", "Gateway", "risk", "public", None),
        ("", "Service", "risk", "fraud", 80),
        ("core", "Service", "mesh", "fraud", None),
    ]
