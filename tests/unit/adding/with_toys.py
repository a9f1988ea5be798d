"""What one file and one line make of a router, and of a source. `test_adding` runs this."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest
from canarium.api.schema import KINDS, make_crd
from canarium.core.metrics import MetricQuery
from canarium.core.plan import Measure
from canarium.core.spec import Traffic
from canarium.judge import Metric
from canarium.kube.informers.cache import Cache
from canarium.kube.informers.watched import make_reflectors
from canarium.metrics.sessions.readers import MetricReader, describe_source, make_reader
from canarium.metrics.sources.asking import MetricSources
from canarium.outbound.credentials import Secrets
from canarium.outbound.errors import SourceError
from canarium.routing import Choice, choose_router
from canarium.shell.options import OPTIONS

from tests.properties.world import NAME, World, make_rollout, make_spec
from tests.unit.adding.toy_source import ToyQuery
from tests.unit.kube.fake import FakeClient
from tests.unit.metrics.sessions.test_session import STEP, Stage
from tests.unit.routing.routing import make_traffic, observe

HOSTS = Traffic(hostnames=("fraud.example.com",))
INSTALLED = frozenset({"WeightSet"})
QUERY = ToyQuery((("6", 0.2), ("7", 0.9)))


def serve() -> World:
    world = World(make_spec("1", traffic=HOSTS), gateway_api=False, installed=INSTALLED)
    world.run_until("Idle")
    world.settle()
    return world


def test_auto_takes_it_where_it_is_installed_and_no_other() -> None:
    found = choose_router(make_traffic(hostnames=["a.example"]), observe(installed=INSTALLED))
    why = "host names or paths without a Gateway, and Toy is installed"
    assert found == Choice("Toy", why)


def test_a_rollout_is_led_by_its_routes() -> None:
    world = serve()
    assert (world.status.router, set(world.others["WeightSet"])) == ("Toy", {NAME})
    world.apply(make_spec("2", traffic=HOSTS, rollout=make_rollout(20, hold=5.0)))
    world.run_until("Holding")
    weights = json.loads(world.others["WeightSet"][NAME].spec)["weights"]
    assert sorted(weights.values()) == [20, 80]
    world.run_until("Idle")
    assert (world.stable, world.status.url) == ("2", "http://fraud.example.com")


def test_its_verification_decides_what_is_said() -> None:
    world = World(make_spec("1", traffic=replace(HOSTS, router="Toy")), gateway_api=False)
    world.run(30.0)
    (routed,) = (each for each in world.status.conditions if each.type == "Routed")
    assert (routed.status, routed.reason) == ("False", "ToyNotInstalled")
    assert "routers.toy of its chart" in routed.message
    (ready,) = (each for each in world.status.conditions if each.type == "Ready")
    assert (ready.status, ready.reason) == ("False", "ToyNotInstalled")


@pytest.mark.parametrize(("disabled", "watched"), [((), True), (("Toy",), False)])
def test_its_kind_is_watched_unless_its_feature_is_disabled(
    disabled: tuple[str, ...], watched: bool
) -> None:
    made = make_reflectors(FakeClient(), Cache(lambda _key: None), disabled=disabled)
    paths = [each.resource.path() for each in made]
    assert ("/apis/toy.example/v1/weightsets" in paths) == watched


def test_the_option_and_the_api_name_it() -> None:
    (option,) = (each for each in OPTIONS if each.name == "disable")
    assert "Istio, Toy, HPA" in option.help
    text = str(make_crd(KINDS[0]))
    assert "'Toy'" in text
    assert "Toy: a WeightSet." in text
    assert "router Toy attaches to no Gateway: remove parentRefs" in text


# The source


class Asking(Stage):
    """A session whose queries are really asked."""

    def _make_asker(self, measure: Measure, metric_query: MetricQuery) -> MetricReader:  # type: ignore[override]
        return read(measure, metric_query)


def read(measure: Measure, metric_query: MetricQuery) -> MetricReader:
    session: Any = None
    sources = MetricSources(session, Secrets(FakeClient()))
    return make_reader(sources, ("risk", "fraud"), measure, metric_query)


def score(query: ToyQuery, most: float) -> MetricQuery:
    return MetricQuery(Metric("score", "Gauge", max=most, source="metric:score"), query, 10.0)


@pytest.mark.parametrize(("most", "verdict"), [(0.95, "Pass"), (0.5, "Fail")])
def test_a_source_is_asked_and_its_reading_judged(most: float, verdict: str) -> None:
    asked = score(QUERY, most)
    stage = Asking(replace(STEP, metric_queries=(asked,), canary_version="7", stable_version="6"))
    stage.play(61.0, then=lambda session: session.update(replace(session.measure, hold_over=True)))
    assert stage.results[-1].verdict == verdict
    assert not any(stage.notes)


def test_what_a_source_refuses_is_never_asked() -> None:
    step = replace(STEP, canary_version="8", stable_version="6")
    with pytest.raises(SourceError, match="no figures: write one"):
        asyncio.run(read(step, score(ToyQuery(()), 1.0)).ask())
    with pytest.raises(SourceError, match="no figure for version 8"):
        asyncio.run(read(step, score(QUERY, 1.0)).ask())


def test_a_source_is_told_by_name() -> None:
    assert describe_source(QUERY) == "Toy with 2 figures"
