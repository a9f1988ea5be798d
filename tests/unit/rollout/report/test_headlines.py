"""What a person reads in the guard, on the way back, and while something grows."""

from __future__ import annotations

from dataclasses import replace

from canarium.core.names import child_name
from canarium.core.observed import PodRecord

from tests.properties.world import World, make_rollout, make_spec, serving


def guarding() -> World:
    world = serving()
    world.apply(make_spec("2", rollout=make_rollout(20, guard=600.0)))
    world.run_until("Guarding")
    world.settle()
    return world


def outcomes(world: World) -> dict[str, str]:
    return {record.version: record.outcome for record in world.revisions.values()}


def test_a_previous_revision_that_has_crashed_is_not_said_to_be_warm() -> None:
    world = guarding()
    warm = world.status.message
    world.crashing.add("1")
    world.run(5.0)

    assert warm == "version 2 serves all; the previous revision stays warm for 10 min"
    told = (
        "version 2 serves all; version 1 could not take over again for 10 min: 0 of 2 pods ready; "
    )
    assert world.status.message.startswith(told)
    assert "exited with code 1" in world.status.message
    assert world.status.reason == "Guarding"


def test_an_abort_that_has_nobody_to_go_back_to_says_whom_it_waits_for() -> None:
    world = guarding()
    world.crashing.add("1")
    world.run(5.0)
    world.command("abort", "2")
    world.run(5.0)

    assert (world.state, world.routed()) == ("Reverting", {world.revision("2"): 100})
    told = (
        "going back: aborted by a person; waits for pods of version 1 that could take over:"
        " 0 of 2 pods ready; "
    )
    assert (world.status.reason, world.status.message[: len(told)]) == ("Aborted", told)

    world.crashing.clear()
    world.run_until("Rejected")
    assert world.status.message == "aborted by a person"


def test_in_the_guard_only_one_revision_is_called_stable_anywhere() -> None:
    world = guarding()
    assert (world.stable, outcomes(world)) == ("2", {"1": "Superseded", "2": ""})


def test_who_is_gone_back_to_in_the_guard_is_stable_since_it_was_before() -> None:
    world = guarding()
    since = next(r.stable_at for r in world.revisions.values() if r.version == "1")
    world.command("abort", "2")
    world.run_until("Rejected")
    world.settle()

    assert outcomes(world) == {"1": "Stable", "2": "RolledBack"}
    assert next(r.stable_at for r in world.revisions.values() if r.version == "1") == since


def slow_pods(world: World, seconds: float) -> None:
    """Have pods that are made from now on get ready so many seconds later."""
    old, age = set(world.pods), world._age
    ready_at = world.now + seconds

    def wait(pod: PodRecord) -> PodRecord:
        new = pod.meta.name not in old and world.now < ready_at
        return replace(pod, ready=False, containers=()) if new else age(pod)

    world._age = wait  # type: ignore[method-assign]


def test_scaling_up_in_mid_rollout_never_makes_a_model_unready() -> None:
    world = serving()
    world.apply(make_spec("2", rollout=make_rollout(20, 50)))
    world.run_until("Holding")
    slow_pods(world, 40.0)
    world.apply(make_spec("2", replicas=10, rollout=make_rollout(20, 50)))
    seen = set()
    while world.state != "Guarding":
        world.run(1.0)
        seen.add(world.condition("Ready"))
    assert seen == {("True", "Serving")}


def test_a_pod_that_is_lost_while_others_are_added_still_counts() -> None:
    world = serving()
    world.apply(make_spec("2", rollout=make_rollout(20, 50)))
    world.run_until("Holding")
    slow_pods(world, 400.0)
    world.apply(make_spec("2", replicas=10, rollout=make_rollout(20, 50)))
    world.run(15.0)
    assert world.condition("Ready") == ("True", "Serving")
    lost = next(n for n, p in world.pods.items() if p.ready and world.version_of(p.revision) == "1")
    del world.pods[lost]
    world.run(1.0)
    assert world.condition("Ready") == ("False", "TooFewReplicas")


def say(world: World, kind: str) -> str:
    return next(each.message for each in world.status.conditions if each.type == kind)


def test_pods_that_crash_at_rest_make_a_model_unready_and_the_condition_says_how() -> None:
    world = serving()
    world.crashing.add("1")
    world.run(5.0)
    assert world.condition("Ready") == ("False", "TooFewReplicas")
    assert say(world, "Ready").startswith("version 1: 0 of 2 pods ready; pod fraud-")
    assert "exited with code 1" in say(world, "Ready")


def test_a_new_stable_that_lacks_pods_in_the_guard_is_not_said_to_serve_all() -> None:
    world = guarding()
    lost = next(name for name, p in world.pods.items() if world.version_of(p.revision) == "2")
    age = world._age
    world._age = lambda pod: replace(age(pod), ready=pod.meta.name != lost)  # type: ignore[method-assign]
    world.run(3.0)
    assert (world.status.reason, world.status.message) == (
        "TooFewReplicas",
        "version 2: 1 of 2 pods ready; the previous revision stays warm for 10 min",
    )


def test_what_keeps_canary_pods_away_in_mid_step_is_said() -> None:
    world = serving(replicas=4)
    world.apply(make_spec("2", replicas=4, rollout=make_rollout(50, hold=600.0)))
    world.run_until("Holding")
    gone = next(name for name, p in world.pods.items() if world.version_of(p.revision) == "2")
    world.room = len(world.pods) - 1
    del world.pods[gone]
    world.run(3.0)
    assert world.status.reason == "TooFewReplicas"
    assert world.status.message.startswith(
        "step 1 of 2 (step-50) at 50 %: canary: 1 of 2 pods ready; pod fraud-"
    )
    assert "cannot be scheduled" in world.status.message


def test_a_router_that_takes_its_time_is_quoted() -> None:
    world = serving()
    world.apply(make_spec("2", rollout=make_rollout(20)))
    world.run_until("Shifting")
    pending = next(c for c in world.status.conditions if c.type == "Routed")
    assert (pending.status, bool(pending.message)) == ("Unknown", True)
    assert world.status.message.endswith(f"waits for the router to take it: {pending.message}")


def test_a_stable_of_which_nothing_is_left_says_that_it_has_to_be_applied_again() -> None:
    """Somebody deleted the ModelRevision that its Deployment could be made from, and that too."""
    world = serving()
    world.apply(make_spec("2", rollout=make_rollout(20, hold=3600.0)))
    world.run_until("Holding")
    revision = world.revision("1")
    del world.revisions[child_name("fraud", revision)]
    del world.deployments[child_name("fraud", revision)]
    world.make_pods()
    world.settle()
    ready = next(c.message for c in world.status.conditions if c.type == "Ready")
    assert ready == (
        "version 1: 0 of 2 pods ready; its Deployment and its ModelRevision are gone: apply that"
        " version again"
    )
