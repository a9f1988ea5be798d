"""That the world finds what it looks for: writes and statuses that nobody of ours would make."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from canarium.core.plan import Apply, Delete, Ref
from canarium.core.status import format_time

from tests.properties.world import NAME, World, make_rollout, make_spec, serving

Json = dict[str, Any]
TWO = "12"


def holding(**options: Any) -> World:
    """Version 2 has 20 percent, with one ready pod of the four that carry everything."""
    world = serving(replicas=4)
    world.apply(make_spec("2", replicas=4, **options))
    world.run_until("Holding")
    world.settle()
    return world


def route(world: World, **weights: int) -> None:
    """We write the route; versions that are not there are backends of their own name."""
    live = world.routes[NAME]
    spec = json.loads(live.spec)
    known = {record.version: record.revision for record in world.revisions.values()}
    backends = [
        {"name": f"{NAME}-{known.get(v[1:], v)}", "port": 80, "weight": w}
        for v, w in weights.items()
    ]
    spec["rules"] = [{**spec["rules"][-1], "backendRefs": backends}]
    land(world, Apply(Ref("HTTPRoute", NAME), {"spec": spec}, live.meta.resource_version))


def land(world: World, write: Any) -> None:
    world._land_checked(write)


def scale(world: World, version: str, replicas: int) -> None:
    live = world.deployments[f"{NAME}-{world.revision(version)}"]
    ref, body = Ref("Deployment", live.meta.name), {"spec": {"replicas": replicas}}
    land(world, Apply(ref, body, live.meta.resource_version, "canarium-capacity"))


def delete(world: World, version: str) -> None:
    meta = world.deployments[f"{NAME}-{world.revision(version)}"].meta
    land(world, Delete(Ref("Deployment", meta.name), meta.uid, meta.resource_version))


def mirror(world: World) -> None:
    """Copies of all requests go to the canary."""
    live = world.routes[NAME]
    spec = json.loads(live.spec)
    backend = {"name": f"{NAME}-{world.revision('2')}", "port": 80}
    copies = {"type": "RequestMirror", "requestMirror": {"backendRef": backend}}
    spec["rules"][-1]["filters"] = [copies]
    land(world, Apply(Ref("HTTPRoute", NAME), {"spec": spec}, live.meta.resource_version))


def lose_pods_and_raise(world: World) -> None:
    world.unready.add("2")
    world.make_pods()
    route(world, v1=70, v2=30)


@pytest.mark.parametrize(
    ("found", "forge"),
    [
        ("2 capacity: {2} was raised to 60 with 1 of 3", lambda w: route(w, v1=40, v2=60)),
        ("2 capacity: {2} was raised to 30 without a ready", lose_pods_and_raise),
        ("2 capacity: {2} was raised to 100 with 1 of 4", mirror),
        ("3 falls: {2} fell from 20 to 10 without", lambda w: route(w, v1=90, v2=10)),
        ("4 release: Deployment fraud-{1} was left 3 of 4", lambda w: scale(w, "1", 3)),
        ("4 release: {2} is routed without pods", lambda w: scale(w, "2", 0)),
        ("4 release: {1} is routed and has no Deployment", lambda w: delete(w, "1")),
        ("4 release: third is routed and has no", lambda w: route(w, v1=80, third=20)),
    ],
)
def test_a_write_that_must_never_be_made_is_found(
    found: str, forge: Callable[[World], None]
) -> None:
    world = holding()
    for version in TWO:
        found = found.replace(f"{{{version}}}", world.revision(version))

    with pytest.raises(AssertionError, match=f"^{found}"):
        forge(world)


def test_pods_that_a_rule_before_may_still_need_are_not_taken() -> None:
    """All goes to version 2, and the gateway may go on by what was before for 2 s."""
    world = holding()
    world.run_until("Guarding")
    world.tick(3.0)
    world.lingering = ((world.now + 1.0, {world.revision("1"): 80}),)

    with pytest.raises(AssertionError, match="was left 3 of 4 pods that a rule still needs"):
        scale(world, "1", 3)

    world.lingering = ()
    scale(world, "1", 2)


def test_what_a_stranger_did_may_be_put_back() -> None:
    """The share of version 2 was lowered while its pods went, and rises to what it was."""
    world = holding()
    world.edit_weight(20, 10)
    world.unready.add("2")
    world.make_pods()
    route(world, v1=80, v2=20)

    with pytest.raises(AssertionError, match="was raised to 30 without a ready pod"):
        route(world, v1=70, v2=30)


def overweight(status: Json) -> None:
    status["stable"]["weight"] = 90


def negative(status: Json) -> None:
    status["stable"]["weight"], status["canary"]["weight"] = 110, -10


def hurry(status: Json) -> None:
    status["begunAt"] = [format_time(1_800_000_000.0 + n) for n in range(13)]


def forget_made(status: Json) -> None:
    status["made"] = {}


def copy_to_stable(status: Json) -> None:
    status["stable"]["mirror"] = 10


def refuse_the_canary(status: Json) -> None:
    words = {"version": "2", "reason": "ErrorRateTooHigh", "message": "", "at": format_time(0.0)}
    status["rejected"] = [{"revision": status["canary"]["revision"], **words}]


@pytest.mark.parametrize(
    ("found", "forge"),
    [
        ("weights don't sum to 100", overweight),
        ("a weight is not within 0 and 100", negative),
        ("too many are begun", hurry),
        ("who serves is on the account", forget_made),
        ("stable gets what only a canary may", copy_to_stable),
        ("a rejected one is tried", refuse_the_canary),
    ],
)
def test_a_status_that_must_never_be_written_is_found(
    found: str, forge: Callable[[Json], None]
) -> None:
    world = holding()
    world.check_status()
    status = json.loads(json.dumps(world.status_raw))
    forge(status)
    world.status_raw = status

    with pytest.raises(AssertionError, match=found):
        world.check_status()


def test_a_promotion_that_nobody_approved_is_found() -> None:
    world = holding(rollout=make_rollout(20, approval=(20,)))
    before = world.status
    status = {**world.status_raw, "stable": world.status_raw["canary"]}
    world.status_raw = {key: part for key, part in status.items() if key != "canary"}

    with pytest.raises(AssertionError, match="is promoted and nobody approved"):
        world.check_promotion(before)

    world.approved.add(world.revision("2"))
    world.check_promotion(before)


def test_what_is_decided_and_taken_back_with_nothing_new_to_see_is_found() -> None:
    world = holding()
    there, back = world.status_raw, json.loads(json.dumps(world.status_raw))
    back["canary"]["weight"] = 50

    def decide(status: Json) -> None:
        before, world.status_raw = world.status, status
        world.check_decision(before)

    decide(back)
    with pytest.raises(AssertionError, match="decided, and taken back"):
        decide(there)

    world.verdicts["2"] = "Fail"
    decide(back)
