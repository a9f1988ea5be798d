"""Who doesn't say what pods need is told so, once for each revision."""

from dataclasses import replace
from typing import Any

import pytest
from canarium.core.normalise import canonical_json, list_unrequested, normalise_source
from canarium.core.spec import Spec

from tests.properties.world import World, make_spec, serving


def asking(version: str, **resources: Any) -> Spec:
    spec = make_spec(version)
    source = {**spec.source, "server": {**spec.source["server"], "resources": resources}}
    return replace(spec, source=source, canonical=canonical_json(normalise_source(source)))


@pytest.mark.parametrize(
    ("resources", "missing"),
    [
        ({}, ("cpu", "memory")),
        ({"requests": {"cpu": 1}}, ("memory",)),
        ({"limits": {"memory": "1Gi"}}, ("cpu",)),
        ({"requests": {"cpu": 1}, "limits": {"memory": "1Gi"}}, ()),
        ({"requests": {"nvidia.com/gpu": 1}}, ("cpu", "memory")),
    ],
    ids=str,
)
def test_a_limit_is_a_request(resources: Any, missing: tuple[str, ...]) -> None:
    assert list_unrequested(normalise_source(asking("1", **resources).source)) == missing


def test_a_warning_says_what_to_write_once_for_each_revision() -> None:
    world = serving()
    assert world.events.count("ResourcesNotSet") == 1
    world.apply(make_spec("2"))
    world.run(300.0)
    world.apply(make_spec("1"))
    world.run(300.0)
    assert (world.stable, world.events.count("ResourcesNotSet")) == ("1", 2)


def test_the_first_revision_is_warned_of_too() -> None:
    world = World(asking("1", requests={"cpu": 1}))
    (event,) = (e for e in world.step().events if e.reason == "ResourcesNotSet")
    assert event.message.endswith(
        "asks for no memory, so that nodes may be overbooked: set server.resources.requests"
    )


def test_a_status_that_was_lost_is_no_new_rollout() -> None:
    world = serving()
    world.status_raw = {}
    world.run(60.0)
    assert world.events.count("ResourcesNotSet") == 1


def test_who_says_what_pods_need_is_not_warned() -> None:
    world = World(asking("1", requests={"cpu": "500m"}, limits={"memory": "1Gi"}))
    world.run(60.0)
    assert "ResourcesNotSet" not in world.events
