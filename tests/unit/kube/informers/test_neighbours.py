"""Which routes get a model's requests, whoever made them, as the cache knows it."""

from __future__ import annotations

from typing import Any

import pytest
from canarium.core.observed import Rival
from canarium.kube.informers import neighbours
from canarium.kube.informers.cache import Cache
from canarium.kube.informers.projections import NEIGHBOURS
from canarium.kube.informers.projections.models import project_model
from canarium.kube.informers.projections.neighbours import MOST_DEMANDS, MOST_OF_A_PATH
from canarium.kube.informers.projections.routes import make_route_projection
from canarium.kube.informers.store import Key

from tests.unit.kube.wire import Json, dump, make_object

PUBLIC = {"name": "public", "namespace": "gateways"}
HOST = "fraud.example.com"
OURS = "2026-01-02T00:00:00Z"
BEFORE, AFTER = "2026-01-01T00:00:00Z", "2026-01-03T00:00:00Z"


def make_model(name: str = "fraud", namespace: str = "risk", **traffic: Any) -> Json:
    asked = {"router": "GatewayAPI", "parentRefs": [PUBLIC], "hostnames": [HOST], **traffic}
    spec = {"server": {"image": "registry.example/m:1", "grpcPort": 9000}, "traffic": asked}
    body = make_object("ModelDeployment", name, spec=spec)
    body["metadata"] |= {"labels": {}, "generation": 1, "namespace": namespace}
    return body


def make_route(
    name: str = "theirs",
    *matches: Json,
    namespace: str = "marketing",
    created: str = AFTER,
    kind: str = "HTTPRoute",
    **fields: Any,
) -> Json:
    rules = [{"matches": list(matches)}] if matches else [{}]
    spec = {"parentRefs": [PUBLIC], "hostnames": [HOST], "rules": rules, **fields}
    about = {"labels": {}, "creationTimestamp": created, "namespace": namespace}
    body = make_object(kind, name, metadata=about, spec=spec)
    body["metadata"] |= about
    return body


def path(value: str, kind: str = "PathPrefix", **more: Any) -> Json:
    return {"path": {"type": kind, "value": value}, **more}


HEADER: Json = {"headers": [{"name": "x-canary", "value": "always"}]}


class Estate:
    """A cache with one model that has a route, and who was woken since."""

    def __init__(self, **traffic: Any) -> None:
        self.woken: list[Key] = []
        self.cache = Cache(self.woken.append)
        self.put(**traffic)

    def put(self, name: str = "fraud", namespace: str = "risk", **traffic: Any) -> None:
        self.cache.models.put(project_model(make_model(name, namespace, **traffic)))
        labels = {"canarium.dev/model": name}
        about = {"labels": labels, "creationTimestamp": OURS, "namespace": namespace}
        route = make_object("HTTPRoute", name, metadata=about, spec={})
        route["metadata"] |= about
        self.cache.routes["HTTPRoute"].put(make_route_projection("HTTPRoute")(dump(route)))
        self.woken.clear()

    def see(self, *routes: Json) -> None:
        for route in routes:
            kind = route["kind"]
            self.cache.neighbours[kind].put(NEIGHBOURS[kind](dump(route)))

    def rivals(self, name: str = "fraud", namespace: str = "risk") -> tuple[Rival, ...]:
        model = self.cache.models.get(namespace, name)
        assert model is not None
        return self.cache.observe(model).rivals

    def shares(self) -> list[tuple[str, str]]:
        return sorted((each.name, each.by) for each in self.rivals())


@pytest.mark.parametrize(
    ("match", "share"),
    [
        (path("/v2/models/fraud/infer"), "LongerPath"),
        (path("/v2", "Exact"), "LongerPath"),
        (path("/", **HEADER), "Matches"),
        (path("/v2", method="POST"), "Matches"),
        (path("/", queryParams=[{"name": "a", "value": "b"}]), "Matches"),
        (HEADER, "Matches"),
    ],
    ids=["longer", "exact", "header", "method", "query", "header alone"],
)
def test_a_route_of_another_namespace_that_asks_for_less_gets_it_whatever_its_age(
    match: Json, share: str
) -> None:
    estate = Estate()
    estate.see(make_route("theirs", match))
    assert estate.shares() == [("theirs", share)]
    assert estate.woken == [("risk", "fraud")]


@pytest.mark.parametrize(
    "route",
    [
        make_route("theirs"),
        make_route("theirs", path("/v2"), namespace="risk"),
        make_route("theirs", path("/v2"), hostnames=["pay.example.com"]),
        make_route("theirs", path("/v2"), hostnames=["*.example.com"]),
        make_route("theirs", path("/v2"), hostnames=[]),
        make_route("theirs", path("/v2"), parentRefs=[{**PUBLIC, "namespace": "others"}]),
        make_route("theirs", path("/v2"), parentRefs=[{**PUBLIC, "sectionName": "https"}]),
        make_route("theirs", path("/v2"), parentRefs=[{**PUBLIC, "port": 8080}]),
        make_route("theirs", path("/v2"), parentRefs=[{**PUBLIC, "group": "", "kind": "Service"}]),
        make_route("theirs", path("/v2"), parentRefs=[{**PUBLIC, "kind": "Listener"}]),
        make_route("theirs", path("/v.*", "RegularExpression")),
        make_route("theirs", kind="GRPCRoute"),
    ],
    ids=[
        "younger",
        "own namespace",
        "another host name",
        "wilder",
        "any host name",
        "another gateway",
        "one listener",
        "one port",
        "a service",
        "an unknown kind",
        "an expression",
        "another protocol",
    ],
)
def test_what_gets_nothing_or_is_ones_own_is_not_told(route: Json) -> None:
    estate = Estate()
    estate.see(route)
    assert estate.rivals() == ()


@pytest.mark.parametrize(
    ("asked", "theirs", "gets"),
    [
        ("/risk", "/risk/a", True),
        ("/risk", "/risk/", False),
        ("/risk", "/risk-a", False),
        ("/risk", "/riskier", False),
        ("/risk", "/Risk/a", False),
        ("/risk/", "/risk/a", True),
        ("/", "/-/x", True),
        ("/risk/a", "/risk", False),
    ],
)
def test_paths_are_compared_by_whole_segments(asked: str, theirs: str, gets: bool) -> None:
    estate = Estate(paths=[{"value": asked}])
    estate.see(make_route("theirs", path(theirs)))
    assert [share for _, share in estate.shares()] == (["LongerPath"] if gets else [])


@pytest.mark.parametrize(
    ("asked", "theirs", "gets"),
    [
        ("*.example.com", "fraud.example.com", True),
        ("*.example.com", "*.fraud.example.com", True),
        ("*.example.com", "a.b.example.com", True),
        ("*.example.com", "example.com", False),
        ("*.example.com", "fraudexample.com", False),
        ("*.fraud.example.com", "*.example.com", False),
        ("", "fraud.example.com", True),
        ("", "*.example.com", True),
    ],
)
def test_of_two_host_names_the_narrower_one_gets_the_requests(
    asked: str, theirs: str, gets: bool
) -> None:
    estate = Estate(hostnames=[asked] if asked else [], paths=[{"value": "/risk"}])
    estate.see(make_route("theirs", path("/"), hostnames=[theirs]))
    assert [share for _, share in estate.shares()] == (["NarrowerHost"] if gets else [])
    assert estate.woken == ([("risk", "fraud")] if gets else [])


def test_of_the_very_same_the_older_route_gets_all_whoever_made_it() -> None:
    estate = Estate()
    estate.see(
        make_route("older", created=BEFORE),
        make_route("colleagues", created=BEFORE, namespace="risk"),
        make_route("younger"),
        make_route("a-second", created=OURS, namespace="aaa"),
        make_route("z-second", created=OURS, namespace="zzz"),
    )
    assert {share for _, share in estate.shares()} == {"Older"}
    assert [name for name, _ in estate.shares()] == ["a-second", "colleagues", "older"]


def test_a_models_own_route_is_compared_once_and_by_what_its_spec_asks_for() -> None:
    estate = Estate()
    owner = {"kind": "ModelDeployment", "name": "old", "uid": "u", "controller": True}
    estate.put("old")
    route = make_route("old-route", created=BEFORE, namespace="risk")
    route["metadata"] |= {"labels": {"canarium.dev/model": "old"}, "ownerReferences": [owner]}
    estate.see(route)
    assert [each.kind for each in estate.rivals()] == []

    estate.cache.models.drop("risk", "old")
    assert [(each.kind, each.name) for each in estate.rivals()] == [("HTTPRoute", "old-route")]


@pytest.mark.parametrize("missing", ["owner", "label", "model"])
def test_what_only_looks_like_a_models_route_is_told(missing: str) -> None:
    estate = Estate()
    if missing != "model":
        estate.put("old", parentRefs=[])
        estate.put("victim", hostnames=["else.example.com"])
    owner = {"kind": "ModelDeployment", "name": "victim", "uid": "u", "controller": True}
    route = make_route("forged", created=BEFORE, namespace="risk")
    if missing != "label":
        route["metadata"]["labels"] = {"canarium.dev/model": "victim"}
    if missing != "owner":
        route["metadata"]["ownerReferences"] = [owner]
    estate.see(route)
    assert estate.shares() == [("forged", "Older")]


def test_a_model_of_another_namespace_takes_its_part_like_anybody() -> None:
    estate = Estate()
    estate.put("longer", "marketing", paths=[{"value": "/v2"}])
    route = make_route("longer", path("/v2"))
    route["metadata"]["labels"] = {"canarium.dev/model": "longer"}
    estate.see(route)
    assert estate.shares() == [("longer", "LongerPath")]


def test_grpc_is_compared_by_its_calls() -> None:
    estate = Estate(protocol="GRPC")
    service = {"method": {"service": "inference.GRPCInferenceService", "method": "ModelInfer"}}
    estate.see(
        make_route("call", service, kind="GRPCRoute"),
        make_route("any", {"method": {"method": "ModelInfer"}}, kind="GRPCRoute"),
        make_route("http", path("/inference.GRPCInferenceService/ModelInfer")),
    )
    assert estate.shares() == [("call", "LongerPath")]


def test_who_hears_of_a_route_that_changes_or_goes_is_whom_it_concerns() -> None:
    estate = Estate()
    estate.put("other", hostnames=["other.example.com"])
    estate.put("deeper", paths=[{"value": "/v2/models"}])
    estate.see(make_route("theirs", path("/v2")))
    assert estate.woken == [("risk", "fraud")]

    moved = make_route("theirs", path("/v3"))
    moved["metadata"]["resourceVersion"] = "7"
    estate.woken.clear()
    estate.see(moved)
    assert estate.woken == [("risk", "fraud")]
    assert estate.shares() == [("theirs", "LongerPath")]

    estate.woken.clear()
    estate.cache.neighbours["HTTPRoute"].drop("marketing", "theirs")
    assert (estate.woken, estate.rivals()) == ([("risk", "fraud")], ())


def test_weights_and_status_wake_nobody() -> None:
    estate = Estate()
    route = make_route("theirs", path("/v2"))
    estate.see(route)
    estate.woken.clear()
    route["metadata"]["resourceVersion"] = "7"
    route["spec"]["rules"][0]["backendRefs"] = [{"name": "a", "weight": 7}]
    route["status"] = {"parents": []}
    estate.see(route)
    assert estate.woken == []


def test_a_model_that_asks_for_something_else_is_no_longer_concerned() -> None:
    estate = Estate()
    estate.see(make_route("theirs", path("/v2")))
    model = make_model(hostnames=["other.example.com"])
    model["metadata"] |= {"resourceVersion": "7", "generation": 2}
    estate.cache.models.put(project_model(model))
    estate.woken.clear()
    assert estate.rivals() == ()
    estate.cache.neighbours["HTTPRoute"].drop("marketing", "theirs")
    assert estate.woken == []


def test_only_so_much_of_a_route_is_kept() -> None:
    estate = Estate()
    long = f"/{'x' * MOST_OF_A_PATH}"
    estate.see(make_route("long", path(long)))
    assert estate.rivals() == ()

    many = make_route("many", *(path(f"/a{number}") for number in range(64)))
    many["spec"] |= {"hostnames": [f"h{number}.example.com" for number in range(15)]}
    many["spec"]["hostnames"].append(HOST)
    estate.see(many)
    record = estate.cache.neighbours["HTTPRoute"].get("marketing", "many")
    assert record is not None
    assert len(record.demands) == MOST_DEMANDS


def test_a_namespace_with_routes_without_end_hides_no_other_and_is_kept_up_to_a_number(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(neighbours, "KEPT", 100)
    estate = Estate()
    estate.see(
        *(
            make_route(f"m{number}", path(f"/v2/{number}"), namespace="flood")
            for number in range(300)
        ),
        make_route("theirs", path("/v2")),
    )
    index = estate.cache._neighbours
    assert sum(map(len, index._entries["Gateway", "gateways", "public"].values())) == 101
    assert ("theirs", "LongerPath") in estate.shares()
    assert len(estate.rivals()) == 4

    for number in range(300):
        estate.cache.neighbours["HTTPRoute"].drop("flood", f"m{number}")
    estate.cache.neighbours["HTTPRoute"].drop("marketing", "theirs")
    estate.cache.models.drop("risk", "fraud")
    assert (index._entries, +index._counts, index._askers, index._kept) == ({}, {}, {}, {})
