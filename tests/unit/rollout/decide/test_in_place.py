"""Rollouts without room for a second copy: pods are replaced one by one, traffic follows."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from canarium.core.spec import CLOSING_NAME, Scaling, ScalingMetric, Step

from tests.properties.world import World, make_rollout, make_spec

STEPS = make_rollout(50, capacity="InPlace")


def full(size: int, room: int | None = None, **options: object) -> World:
    """A world in which version 1 has all the place that there is."""
    world = World(make_spec("1", replicas=size, rollout=STEPS, **options), room=room or size)  # type: ignore[arg-type]
    world.run_until("Idle")
    world.settle()
    return world


def ready(world: World) -> dict[str, int]:
    found = dict.fromkeys((r.version for r in world.revisions.values()), 0)
    for pod in world.pods.values():
        found[world.version_of(pod.revision)] += pod.ready
    return found


def weights(world: World) -> dict[str, int]:
    return {world.version_of(r): w for r, w in world.routed().items() if w}


def watch(
    world: World, until: str, most: int = 600
) -> Iterator[tuple[dict[str, int], dict[str, int]]]:
    """Ready pods and weights after every second, without what repeats."""
    last = None
    for _ in range(most):
        world.settle()
        world.tick(1.0)
        if (now := (ready(world), weights(world))) != last:
            yield now
        last = now
        if world.state == until:
            return
    raise AssertionError(f"never {until}: {world.status}")


def test_pods_are_replaced_one_by_one_and_traffic_follows_what_is_ready() -> None:
    world = full(4)
    world.apply(make_spec("2", replicas=4, rollout=STEPS))
    world.settle()
    seen = list(watch(world, "Guarding"))
    assert seen == [
        ({"1": 4, "2": 0}, {"1": 100}),
        ({"1": 3, "2": 1}, {"1": 100}),
        ({"1": 3, "2": 1}, {"1": 75, "2": 25}),
        ({"1": 2, "2": 2}, {"1": 75, "2": 25}),
        ({"1": 2, "2": 2}, {"1": 50, "2": 50}),
        ({"1": 1, "2": 3}, {"1": 50, "2": 50}),
        ({"1": 1, "2": 3}, {"2": 100}),
        ({"1": 0, "2": 4}, {"2": 100}),
    ]
    world.run(40.0)
    assert (world.state, world.stable, ready(world)) == ("Idle", "2", {"1": 0, "2": 4})


def test_where_there_is_room_for_both_nothing_is_taken() -> None:
    world = full(3, room=6)
    world.apply(make_spec("2", replicas=3, rollout=STEPS))
    world.settle()
    assert min(pods["1"] for pods, _ in watch(world, "Guarding")) == 3


def test_room_for_one_more_pod_is_used() -> None:
    world = full(4, room=5)
    world.apply(make_spec("2", replicas=4, rollout=STEPS))
    world.settle()
    assert min(sum(pods.values()) for pods, _ in watch(world, "Guarding")) == 4


def test_the_last_pod_is_never_taken_for_a_canary() -> None:
    world = full(1)
    world.apply(make_spec("2", replicas=1, rollout=STEPS))
    world.run(300.0)
    assert (world.state, ready(world), world.status.reason) == (
        "Scaling",
        {"1": 1, "2": 0},
        "Unschedulable",
    )
    assert "3 Insufficient nvidia.com/gpu" in world.status.message


def test_a_rollback_gives_the_pods_back_one_by_one() -> None:
    world = full(4)
    world.apply(
        make_spec("2", replicas=4, rollout=make_rollout(50, analysis=True, capacity="InPlace"))
    )
    world.run_until("Holding")
    world.verdicts["2"] = "Fail"
    world.settle()
    seen = list(watch(world, "Rejected"))
    assert min(sum(pods.values()) for pods, _ in seen) >= 3
    assert [share.get("2", 0) for _, share in seen] == sorted(
        (share.get("2", 0) for _, share in seen), reverse=True
    )
    world.run(20.0)
    assert (world.stable, ready(world)) == ("1", {"1": 4, "2": 0})


def test_a_canary_that_crashes_gives_its_place_back_at_once() -> None:
    world = full(4)
    world.crashing.add("2")
    world.apply(make_spec("2", replicas=4, rollout=STEPS))
    world.run_until("Rejected")
    world.run(20.0)
    assert (world.stable, ready(world)) == ("1", {"1": 4, "2": 0})


def test_in_the_guard_one_can_still_go_back() -> None:
    world = full(4)
    world.apply(make_spec("2", replicas=4, rollout=STEPS))
    world.run_until("Guarding")
    world.run(5.0)
    world.apply(make_spec("1", replicas=4, rollout=STEPS))
    world.settle()
    seen = list(watch(world, "Idle"))
    assert min(sum(pods.values()) for pods, _ in seen) >= 3
    world.run(20.0)
    assert (world.stable, ready(world)) == ("1", {"1": 4, "2": 0})


def test_promoted_in_the_middle_of_a_shift_no_pod_goes_before_that_has_settled() -> None:
    world = full(4)
    world.apply(make_spec("2", replicas=4, rollout=STEPS))
    world.run_until("Shifting")
    world.settle()
    world.command("promote", "2", step=CLOSING_NAME)
    world.settle()
    assert (world.state, weights(world), ready(world)) == (
        "Scaling", {"1": 75, "2": 25}, {"1": 3, "2": 1},
    )  # fmt: skip
    seen = list(watch(world, "Guarding"))
    assert seen[0] == ({"1": 3, "2": 1}, {"1": 75, "2": 25})
    assert min(sum(pods.values()) for pods, _ in seen) >= 3


def test_what_was_held_back_keeps_its_pod_until_the_router_has_settled_without_it() -> None:
    terms = make_rollout(50, holdback=10, capacity="InPlace")
    world = World(make_spec("1", replicas=2, rollout=terms), room=2)
    world.run_until("Idle")
    world.apply(make_spec("2", replicas=2, rollout=terms))
    world.run_until("Guarding")
    world.settle()
    held_back = ready(world)
    world.run(120.0)
    assert (held_back, world.state, ready(world)) == ({"1": 1, "2": 1}, "Idle", {"1": 0, "2": 2})


@pytest.mark.parametrize(("size", "holdback"), [(2, 50), (5, 30), (5, 50), (10, 20), (10, 50)])
def test_what_several_pods_hold_back_goes_to_the_new_one_pod_by_pod(
    size: int, holdback: int
) -> None:
    terms = make_rollout(50, holdback=holdback, capacity="InPlace")
    world = World(make_spec("1", replicas=size, rollout=terms), room=size)
    world.run_until("Idle")
    world.settle()
    world.apply(make_spec("2", replicas=size, rollout=terms))
    world.settle()
    trial, guard = list(watch(world, "Guarding")), list(watch(world, "Idle"))
    assert weights(world) == {"2": 100}
    assert trial[-1][1] == {"1": holdback, "2": 100 - holdback}
    assert min(sum(pods.values()) for pods, _ in (*trial, *guard)) >= size - 1
    shares = [share.get("1", 0) for _, share in guard]
    assert shares == sorted(shares, reverse=True)


@pytest.mark.parametrize("size", [2, 3, 5, 7])
def test_any_size_gets_through_with_never_more_than_one_pod_missing(size: int) -> None:
    world = full(size)
    world.apply(make_spec("2", replicas=size, rollout=STEPS))
    world.settle()
    fewest = min(sum(pods.values()) for pods, _ in watch(world, "Guarding"))
    world.run(60.0)
    assert (fewest >= size - 1, world.stable, ready(world)["2"]) == (True, "2", size)


def test_autoscalers_keep_still_while_pods_are_replaced() -> None:
    scaling = Scaling(2, 8, (ScalingMetric("cpu", "CPU", utilization=70),))
    world = World(make_spec("1", scaling=scaling, rollout=STEPS), room=4)
    world.run_until("Idle")
    world.loads["1"] = 4
    world.run(5.0)
    world.apply(make_spec("2", scaling=scaling, rollout=STEPS))
    world.loads["2"] = 4
    world.settle()
    fewest = min(sum(pods.values()) for pods, _ in watch(world, "Guarding"))
    world.run(10.0)
    assert [scaler.meta.labels["canarium.dev/revision"] for scaler in world.scalers.values()] == [
        world.revision("2")
    ]
    world.run(50.0)
    assert (fewest >= 3, world.stable, ready(world)) == (True, "2", {"1": 0, "2": 4})


def test_a_mirror_that_needs_pods_which_there_is_no_place_for_waits() -> None:
    mirrored = make_rollout(Step("shadow", 0, hold_seconds=5.0, mirror=100), capacity="InPlace")
    world = full(4)
    world.apply(make_spec("2", replicas=4, rollout=mirrored))
    world.run(60.0)
    assert (world.state, ready(world)) == ("Scaling", {"1": 3, "2": 1})
