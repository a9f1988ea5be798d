"""Who asks for the same host name and path at the same parent, as the cache knows it."""

from __future__ import annotations

from typing import Any

import pytest
from canarium.core.observed import Rival
from canarium.kube.informers.cache import Cache
from canarium.kube.informers.projections.models import project_model
from canarium.kube.informers.projections.routes import make_route_projection
from canarium.kube.informers.store import Key

from tests.unit.kube.wire import Json, dump, make_object

PUBLIC = {"name": "public", "namespace": "gateways"}


def make_model(name: str, version: int = 1, **traffic: Any) -> Json:
    content = {"router": "GatewayAPI", "parentRefs": [PUBLIC], "hostnames": ["m.example.com"]}
    spec = {"server": {"image": "registry.example/m:1"}, "traffic": {**content, **traffic}}
    body = make_object("ModelDeployment", name, version=version, spec=spec)
    body["metadata"] |= {"labels": {}, "generation": version}
    return body


def make_route(name: str, created: str, kind: str = "HTTPRoute") -> Json:
    labels = {"canarium.dev/model": name}
    about = {"labels": labels, "creationTimestamp": created}
    return make_object(kind, name, metadata=about, spec={})


class Estate:
    """A cache with models and their routes, and who was woken since."""

    def __init__(self) -> None:
        self.woken: list[Key] = []
        self.cache = Cache(self.woken.append)

    def put(self, *models: Json) -> None:
        for model in models:
            self.cache.models.put(project_model(model))

    def route(self, name: str, created: str) -> None:
        self.cache.routes["HTTPRoute"].put(
            make_route_projection("HTTPRoute")(dump(make_route(name, created)))
        )

    def rivals(self, name: str) -> tuple[Rival, ...]:
        model = self.cache.models.get("risk", name)
        assert model is not None
        return self.cache.observe(model).rivals


def crowd() -> Estate:
    estate = Estate()
    estate.put(make_model("old"), make_model("young"))
    estate.route("old", "2026-01-01T00:00:00Z")
    estate.route("young", "2026-01-02T00:00:00Z")
    estate.woken.clear()
    return estate


def test_who_has_the_older_route_has_no_rival_and_the_other_has_one() -> None:
    estate = crowd()
    assert (estate.rivals("old"), [each.name for each in estate.rivals("young")]) == ((), ["old"])


def test_routes_of_one_second_go_by_their_names_as_gateways_have_it() -> None:
    estate = crowd()
    estate.put(make_model("aaa"))
    estate.route("aaa", "2026-01-01T00:00:00Z")
    assert [each.name for each in estate.rivals("old")] == ["aaa"]


@pytest.mark.parametrize(
    "traffic",
    [
        {"hostnames": ["n.example.com"]},
        {"paths": [{"type": "PathPrefix", "value": "/else"}]},
        {"parentRefs": [{**PUBLIC, "sectionName": "https"}]},
        {"parentRefs": [{**PUBLIC, "namespace": "others"}]},
    ],
    ids=["host name", "path", "listener", "gateway"],
)
def test_only_the_very_same_is_shared(traffic: Json) -> None:
    estate = crowd()
    estate.put(make_model("young", 2, **traffic))
    assert estate.rivals("young") == ()


def test_a_gateway_of_ones_own_namespace_is_the_same_with_and_without_the_namespace() -> None:
    estate = crowd()
    estate.put(make_model("old", 2, parentRefs=[{"name": "own"}]))
    estate.put(make_model("young", 2, parentRefs=[{"name": "own", "namespace": "risk"}]))
    assert [each.name for each in estate.rivals("young")] == ["old"]


def test_a_model_without_a_route_takes_nothing_from_anybody() -> None:
    estate = crowd()
    estate.put(make_model("new"))
    assert [each.name for each in estate.rivals("young")] == ["old"]
    assert {each.name for each in estate.rivals("new")} == {"old", "young"}


def test_whoever_shared_something_is_looked_at_when_it_is_given_up() -> None:
    estate = crowd()
    estate.put(make_model("old", 2, hostnames=["n.example.com"]))
    assert set(estate.woken) == {("risk", "old"), ("risk", "young")}
    assert estate.rivals("young") == ()


@pytest.mark.parametrize("goes", ["route", "model"])
def test_whoever_shared_something_is_looked_at_when_the_model_or_its_route_goes(goes: str) -> None:
    estate = crowd()
    store = estate.cache.routes["HTTPRoute"] if goes == "route" else estate.cache.models
    store.drop("risk", "old")
    assert set(estate.woken) == {("risk", "old"), ("risk", "young")}
    assert estate.rivals("young") == ()


def test_a_model_of_no_use_keeps_what_it_asked_for_since_its_route_goes_on() -> None:
    estate = crowd()
    broken = make_model("old", 2)
    broken["spec"]["server"] = {}
    estate.put(broken)
    assert [each.name for each in estate.rivals("young")] == ["old"]


def test_a_change_of_a_route_that_decides_nothing_wakes_nobody_else() -> None:
    """Weights are shifted all the time; a crowd at one address must not be woken each time."""
    estate = crowd()
    moved = make_route("old", "2026-01-01T00:00:00Z")
    moved["metadata"]["resourceVersion"] = "7"
    moved["spec"] = {"rules": []}
    estate.cache.routes["HTTPRoute"].put(make_route_projection("HTTPRoute")(dump(moved)))
    assert estate.woken == [("risk", "old")]


def test_who_comes_last_wakes_nobody_and_looks_at_the_oldest_few() -> None:
    estate = crowd()
    for number in range(50):
        estate.put(make_model(f"m{number:02}"))
        estate.route(f"m{number:02}", f"2026-01-03T00:00:{number:02}Z")
    estate.woken.clear()
    estate.put(make_model("last"))
    estate.route("last", "2026-01-04T00:00:00Z")
    assert set(estate.woken) == {("risk", "last")}
    assert [each.name for each in estate.rivals("last")] == ["old", "young", "m00", "m01"]


def test_routes_of_other_makers_take_nothing_from_gateway_apis() -> None:
    """Istio's Gateways may have the names of Gateway API's, and are others."""
    estate = crowd()
    estate.put(make_model("mesh"))
    route = make_route("mesh", "2025-01-01T00:00:00Z", "VirtualService")
    estate.cache.routes["VirtualService"].put(make_route_projection("VirtualService")(dump(route)))
    assert estate.rivals("old") == ()
