"""What is said of pods that don't get ready, short of a fault, while a rollout waits for them."""

from __future__ import annotations

from dataclasses import replace

from canarium.core.observed import ContainerState, PodEvent, PodRecord
from canarium.core.plan import Inspect
from canarium.rollout.plan import plan

from tests.properties.world import World, make_rollout, make_spec, serving

WORDS = "HTTP probe failed with statuscode: 503"
CRASHED = ContainerState(
    "server", restarts=1, terminated_exit_code=1,
    terminated_message="ValueError: model.bin is 0 bytes",
)  # fmt: skip


def waiting(*, deadline: float = 600.0) -> World:
    """A world whose second version runs and isn't ready."""
    world = serving()
    world.unready.add("2")
    world.apply(make_spec("2", rollout=make_rollout(20, deadline=deadline)))
    world.run(5.0)
    return world


def pod_of(world: World, version: str) -> PodRecord:
    revision = world.revision(version)
    return next(pod for pod in world.pods.values() if pod.revision == revision)


def say(world: World, event: PodEvent | None) -> None:
    """Have something said of a pod from now on, as the shell reads it."""
    observe = World.observe
    world.observe = lambda: replace(observe(world), pod_event=event)  # type: ignore[method-assign]


def test_a_pod_is_asked_about_when_it_isnt_ready_after_ten_seconds() -> None:
    world, asked = waiting(), []
    for _ in range(10):
        asked.append(plan(world.observe(), world.clock).inspect is not None)
        world.run(1.0)
    assert asked == sorted(asked)
    assert set(asked) == {False, True}
    pod = pod_of(world, "2")
    assert plan(world.observe(), world.clock).inspect == Inspect(pod.meta.name, pod.meta.uid)
    world.unready.clear()
    world.run(3.0)
    assert plan(world.observe(), world.clock).inspect is None


def test_nobody_is_asked_about_a_pod_without_a_node_or_one_that_has_ended() -> None:
    for wrong in ({"scheduled": False}, {"phase": "Failed"}):
        world = waiting()
        world.run(20.0)
        name = pod_of(world, "2").meta.name
        world.pods[name] = replace(world.pods[name], **wrong)
        assert plan(world.observe(), world.clock).inspect is None


def test_an_operator_that_only_waits_wakes_to_ask() -> None:
    world = waiting()
    made = world.last_plan
    assert made.wake_at == pod_of(world, "2").meta.created_at + 10.0


def test_the_kubelets_words_are_quoted_while_waiting_and_at_the_deadline() -> None:
    """FG#1533 KN#5103: nothing but "not ready", or Unknown without a word."""
    world = waiting(deadline=60.0)
    name = pod_of(world, "2").meta.name
    say(world, PodEvent(name, "Unhealthy", f"Readiness probe failed: {WORDS}"))
    world.run(20.0)
    said = f"pod {name}: Unhealthy: Readiness probe failed: {WORDS}"
    assert world.status.message == (
        f"step 1 of 2 (step-20) at 20 %: waits for 1 ready canary pods; {said}"
    )
    world.run_until("Rejected")
    (rejection,) = world.status.rejected
    assert rejection.reason == "ProgressDeadlineExceeded"
    assert rejection.message.endswith(said)


def test_what_was_said_of_another_pod_is_not_told_of_this_one() -> None:
    world = waiting()
    say(world, PodEvent("fraud-0123456789-gone", "Unhealthy", WORDS))
    world.run(20.0)
    assert WORDS not in world.status.message


def test_a_first_restart_is_told_with_the_last_words_before_it_is_a_fault() -> None:
    """KN#9326: "Container failed with: ." and nothing more."""
    world = waiting()
    real = world._age
    world._age = lambda pod: (  # type: ignore[method-assign]
        replace(real(pod), containers=(CRASHED,)) if pod.revision == world.revision("2") else
        real(pod)
    )  # fmt: skip
    world.run(3.0)
    name = pod_of(world, "2").meta.name
    words = "exited with code 1, 1 restart, saying: ValueError: model.bin is 0 bytes"
    assert world.status.message.endswith(f"; pod {name}, container server: {words}")
    assert world.state == "Scaling"


def test_a_first_version_and_one_that_serves_are_told_of_too() -> None:
    world = World(make_spec("1"))
    world.unready.add("1")
    world.run(20.0)
    say(world, PodEvent(pod_of(world, "1").meta.name, "FailedMount", 'secret "late" not found'))
    world.run(1.0)
    assert world.status.message.endswith('FailedMount: secret "late" not found')
    world.unready.clear()
    world.run_until("Idle")
    world.unready.add("1")
    world.run(20.0)
    assert world.status.reason == "TooFewReplicas"
    assert world.status.message.endswith('FailedMount: secret "late" not found')
