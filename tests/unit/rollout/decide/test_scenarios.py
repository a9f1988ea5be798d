"""What went wrong with rollouts elsewhere, each a case here, named after what must hold.

Played in the small world of tests/properties, which asserts the invariants at each write.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest
from canarium.core.names import make_digest
from canarium.core.normalise import normalise_source
from canarium.core.observed import (
    ContainerState,
    PodRecord,
    RouteCondition,
    RouteParent,
    WriteFailure,
)
from canarium.core.plan import Apply, Create, Delete, Plan, RecordOutcome, Ref
from canarium.core.spec import (
    CLOSING_NAME,
    AnalysisSpec,
    HeaderMatch,
    ParentRef,
    Spec,
    Step,
    Traffic,
)
from canarium.resources.pod_template import canonical_json
from canarium.rollout.plan import plan

from tests.properties.world import (
    ERROR_RATE,
    GATEWAY_TRAFFIC,
    NAME,
    World,
    make_rollout,
    make_spec,
    serving,
)
from tests.unit.rollout.decide.test_states import guarding, rolling


def holding_at(weight: int, *, replicas: int = 4, **rollout: object) -> World:
    """A world in which version 2 holds at this weight beside version 1."""
    world = serving(replicas=replicas)
    terms = make_rollout(20, 50, **{"hold": 60.0, **rollout})  # type: ignore[arg-type]
    world.apply(make_spec("2", replicas=replicas, rollout=terms))
    world.run_until("Holding")
    while world.canary_weight != weight:
        world.run(1.0)
    world.run_until("Holding")
    world.settle()
    return world


def run_under_a_silent_gateway(world: World, seconds: float) -> None:
    """Pods come and go, and the gateway takes nothing of what is written."""
    end = world.now + seconds
    while world.now < end:
        world.settle()
        world.now += 1.0
        world.make_pods()


def end_of(world: World) -> tuple[object, ...]:
    outcomes = {record.version: record.outcome for record in world.revisions.values()}
    sizes = {version: world.replicas(version) for version in outcomes}
    return (world.state, world.stable, world.routed(), outcomes, sizes)


def test_a_third_version_waits_until_stable_has_all_traffic_and_its_size() -> None:
    world = holding_at(50)
    world.apply(make_spec("3", replicas=4))
    while not any(d.revision not in world.routed() for d in world.deployments.values()):
        world.step()
        assert (world.replicas("1"), world.replicas("2")) == (4, 2)
    assert world.routed() == {world.revision("1"): 100}
    world.run_until("Holding")
    assert (world.canary, world.replicas("1"), world.replicas("2")) == ("3", 4, 0)


def test_an_intermediate_version_keeps_its_pods_while_the_gateway_may_route_to_it() -> None:
    world = holding_at(50)
    world.apply(make_spec("3", replicas=4))
    run_under_a_silent_gateway(world, 120.0)
    assert (world.state, world.replicas("2")) == ("Reverting", 2)
    world.run(20.0)
    assert world.replicas("2") == 0


def test_stable_keeps_its_size_until_the_new_weight_is_verified() -> None:
    world = holding_at(50, guard=0.0)
    while world.canary_weight != 100:
        world.run(1.0)
        if world.state == "Shifting":
            break
    run_under_a_silent_gateway(world, 120.0)
    assert (world.state, world.replicas("1")) == ("Shifting", 4)
    world.run(20.0)
    assert (world.state, world.stable, world.replicas("1")) == ("Idle", "2", 0)


def test_stable_does_not_shrink_while_the_canary_is_incomplete() -> None:
    world = holding_at(50, replicas=10)
    world.unready.add("2")
    world.apply(make_spec("2", replicas=1, rollout=make_rollout(20, 50, deadline=3600.0)))
    world.run(60.0)
    assert (world.replicas("1"), world.routed()) == (10, {world.revision("1"): 100})


def test_scaling_up_after_an_abort_does_not_revive_the_canary() -> None:
    world = holding_at(20)
    world.command("abort", "2")
    world.run_until("Rejected")
    world.apply(make_spec("2", replicas=8))
    world.run(60.0)
    assert (world.state, world.replicas("1"), world.replicas("2")) == ("Rejected", 8, 0)


def test_an_abort_with_nothing_under_way_leaves_stable_its_pods() -> None:
    world = serving()
    world.command("abort", "1")
    world.run(10.0)
    assert (world.state, world.replicas("1"), world.routed()) == (
        "Idle",
        2,
        {world.revision("1"): 100},
    )


@pytest.mark.parametrize("step", ["", "3", "step-50"])
def test_an_abort_after_the_promotion_is_heard_whatever_step_it_names(step: str) -> None:
    world = guarding()
    world.command("abort", "2", step=step)
    world.run_until("Rejected")
    assert world.stable == "1"


def test_an_abort_is_heard_while_paused() -> None:
    world = holding_at(20)
    world.apply(make_spec("2", replicas=4, rollout=make_rollout(20, 50, paused=True)))
    world.run(5.0)
    world.command("abort", "2")
    world.run_until("Rejected")
    assert world.routed() == {world.revision("1"): 100}


def test_one_promote_ends_one_hold() -> None:
    world = holding_at(20, hold=3600.0)
    world.command("promote", "2")
    world.run(120.0)
    assert (world.state, world.canary_weight) == ("Holding", 50)


def test_a_route_of_before_in_the_cache_is_not_taken_for_the_new_one() -> None:
    world = holding_at(20)
    behind = world.observe().routes
    while world.state != "Shifting":
        world.tick(1.0)
        world.settle()
    written = world.observe()
    made = plan(replace(written, routes=behind), world.now + 3600.0)
    assert (made.status or world.status_raw)["rollout"]["state"] == "Shifting"


def test_replicas_that_somebody_set_to_zero_come_back() -> None:
    world = serving()
    name = f"{NAME}-{world.revision('1')}"
    world.deployments[name] = replace(world.deployments[name], replicas=0)
    world.run(5.0)
    assert (world.replicas("1"), world.condition("Ready")) == (2, ("True", "Serving"))


def test_a_version_that_fails_while_it_is_promoted_gets_no_more_traffic() -> None:
    world = holding_at(50, hold=5.0)
    while (world.state, world.canary_weight) != ("Shifting", 100):
        world.tick(0.5)
        world.step()
    world.crashing.add("2")
    world.make_pods()
    world.settle()
    assert world.routed() == {world.revision("1"): 100}
    world.run_until("Rejected")
    assert (world.stable, [r.version for r in world.status.rejected]) == ("1", ["2"])


def test_applying_an_aborted_version_again_does_not_revive_it() -> None:
    world = holding_at(20)
    world.command("abort", "2")
    world.run_until("Rejected")
    world.apply(make_spec("1", replicas=4))
    world.run(10.0)
    world.apply(make_spec("2", replicas=4))
    world.run(60.0)
    assert (world.state, world.canary, world.replicas("2")) == ("Rejected", "", 0)


def test_an_inconclusive_analysis_holds_and_says_so() -> None:
    world = holding_at(20, analysis=True)
    world.verdicts["2"] = "Inconclusive"
    world.run(600.0)
    assert (world.state, world.canary_weight, world.status.reason) == (
        "Holding",
        20,
        "Inconclusive",
    )


def test_a_measurement_that_ended_early_is_no_success() -> None:
    world = holding_at(20, analysis=True)
    observed = world.observe()
    passed = observed.analysis
    assert passed is not None
    for result in (None, replace(passed, key=f"{passed.key}-of-another-step")):
        made = plan(replace(observed, analysis=result), world.now + 3600.0)
        assert (made.status or world.status_raw)["rollout"]["state"] == "Holding"


@pytest.mark.parametrize("traffic", [GATEWAY_TRAFFIC, Traffic()], ids=["gateway", "replicas"])
def test_killed_between_any_two_writes_the_end_is_the_same(traffic: Traffic) -> None:
    def play(writes: int | None) -> World:
        world = serving(traffic=traffic)
        world.apply(make_spec("2", traffic=traffic, rollout=make_rollout(20, 50, guard=5.0)))
        world.crash_after = writes
        for _ in range(70):
            world.step()
            if world.crash_after is not None and world.crash_after < 0:
                world.crash_after = None
            world.tick(1.0)
        world.crash_after = None
        world.run(30.0)
        return world

    expected = end_of(play(None))
    assert expected[:2] == ("Idle", "2")
    assert {writes: end_of(play(writes)) for writes in range(30)} == dict.fromkeys(
        range(30), expected
    )


def test_the_observed_generation_is_our_own() -> None:
    world = serving()
    world.apply(make_spec("1", replicas=3))
    world.settle()
    raw = world.status_raw
    assert [raw["observedGeneration"]] + [c["observedGeneration"] for c in raw["conditions"]] == [
        world.generation
    ] * 7


def test_ready_is_false_while_pods_crash_and_says_why() -> None:
    world = serving()
    world.crashing.add("1")
    world.make_pods()
    world.settle()
    assert world.condition("Ready") == ("False", "TooFewReplicas")
    assert "exited with code 1" in world.status.message


def test_what_serves_is_not_reconciling_for_ever() -> None:
    world = serving()
    world.run(30.0)
    assert (world.condition("Ready")[0], world.condition("Reconciling")[0]) == ("True", "False")


def test_only_one_side_is_left_after_a_rollout_and_after_a_change_of_router() -> None:
    world = holding_at(50, hold=1.0, guard=5.0)
    world.run(60.0)
    assert {d.revision: d.replicas for d in world.deployments.values() if d.replicas} == {
        world.revision("2"): 4
    }
    world.apply(make_spec("2", replicas=4, traffic=Traffic()))
    world.run(10.0)
    assert (world.routes, world.routed()) == ({}, {world.revision("2"): 100})


def test_an_operator_that_renders_otherwise_restarts_nobodys_pods() -> None:
    world = serving()
    for name, record in world.revisions.items():
        older = {**json.loads(record.template), "renderedBy": "an earlier version"}
        template = canonical_json(older)
        digest = make_digest(template)
        world.revisions[name] = replace(record, template=template, digest=digest)
        live = world.deployments[name]
        world.deployments[name] = replace(live, template=template.encode())
        stable = {**world.status_raw["stable"], "digest": digest}
        world.status_raw = {**world.status_raw, "stable": stable}
    made = world.step()
    assert (made.status, made.writes) == (None, ())


# What a review found


def test_a_version_and_a_gateway_in_one_edit_do_not_skip_the_steps() -> None:
    world = serving(traffic=Traffic())
    world.apply(make_spec("2", traffic=GATEWAY_TRAFFIC))
    world.settle()
    assert (world.state, world.status_raw["rollout"]["step"]) == ("Scaling", 1)


def test_a_version_right_after_a_router_change_does_not_skip_the_steps() -> None:
    world = serving(traffic=Traffic())
    world.apply(make_spec("1", traffic=GATEWAY_TRAFFIC))
    world.step()
    world.apply(make_spec("2", traffic=GATEWAY_TRAFFIC))
    world.settle()
    assert (world.state, world.status_raw["rollout"]["step"]) == ("Scaling", 1)


def test_a_fix_gets_out_of_a_rollback_to_a_dead_stable() -> None:
    world = guarding()
    world.crashing |= {"1", "2"}
    world.make_pods()
    world.run(10.0)
    world.apply(make_spec("3"))
    world.run(30.0)
    assert world.routed() == {world.revision("3"): 100}


def test_a_first_gateway_that_does_not_exist_can_be_mended_in_the_spec() -> None:
    wrong = replace(GATEWAY_TRAFFIC, parent_refs=(ParentRef("pubic", "gateways"),))
    world = World(make_spec("1", traffic=wrong))
    world.run(10.0)
    world.apply(make_spec("1", traffic=GATEWAY_TRAFFIC))
    world.run(10.0)
    assert world.state == "Idle"


def test_a_first_router_that_is_not_installed_can_be_changed_as_the_message_says() -> None:
    world = World(make_spec("1"), gateway_api=False)
    world.run(10.0)
    world.apply(make_spec("1", traffic=replace(GATEWAY_TRAFFIC, router="Replicas")))
    world.run(10.0)
    assert world.state == "Idle"


def test_with_none_ready_anywhere_weights_stay() -> None:
    world = rolling()
    world.unready |= {"1", "2"}
    world.make_pods()
    world.run(20.0)
    assert (world.canary_weight, world.routed()[world.revision("2")]) == (20, 20)


def test_the_canary_is_judged_while_it_waits_for_the_next_steps_capacity() -> None:
    world = serving(replicas=4)
    world.apply(make_spec("2", replicas=4, rollout=make_rollout(20, 50, analysis=True)))
    world.run_until("Holding")
    world.run(10.0)
    world.step()
    while world.state == "Holding":
        world.tick(0.5)
        world.step()
    measured = world.step().measure
    assert (world.state, world.canary_weight, measured is not None) == ("Scaling", 20, True)


def test_going_back_is_fast_though_the_steps_were_edited_since() -> None:
    world = serving()
    world.apply(make_spec("2", rollout=make_rollout(10, 30, guard=0.0)))
    world.run(60.0)
    assert (world.state, world.stable) == ("Idle", "2")
    world.apply(make_spec("1", rollout=make_rollout(10, 30, guard=0.0)))
    weights = set()
    while world.stable != "1":
        world.settle()
        weights.add(world.canary_weight)
        world.tick(0.5)
    assert weights <= {0, 100}, weights


def test_a_restart_at_the_end_of_a_hold_does_not_count_as_no_data() -> None:
    world = serving()
    rollout = make_rollout(20, 50, analysis=True)
    assert rollout.analysis is not None
    rollout = replace(rollout, analysis=replace(rollout.analysis, on_no_data="Rollback"))
    world.apply(make_spec("2", rollout=rollout))
    world.run_until("Holding")
    world.run(8.0)
    world.last_plan = Plan()  # a new process: nothing was measured yet
    world.now += 5.0
    world.run(60.0)
    assert (world.stable, world.status.rejected) == ("2", ())


def test_a_guard_without_a_ready_pod_goes_back_to_what_is_warm() -> None:
    world = guarding()
    world.unready.add("2")
    world.make_pods()
    world.run(20.0)
    assert world.routed() == {world.revision("1"): 100}


def test_pruning_waits_until_the_router_has_let_go() -> None:
    world = World(make_spec("1", rollout=make_rollout(history=0)))
    world.run_until("Shifting")
    world.settle()
    world.answer_routes()
    world.crashing.add("1")
    world.make_pods()
    world.settle()
    assert world.state == "Broken"
    world.apply(make_spec("2", rollout=make_rollout(history=0)))
    world.crashing.clear()
    world.unready.clear()
    deletions = []
    for _ in range(30):
        made = world.step()
        deletions += [w.ref.name for w in made.writes if isinstance(w, Delete)]
        world.now += 0.2
        world.make_pods()  # pods come, the gateway does not answer
    assert (world.state, deletions) == ("Shifting", [])


def test_router_replicas_does_not_send_to_the_pods_of_a_canary_that_is_gone() -> None:
    world = serving(traffic=Traffic())
    world.apply(make_spec("2", traffic=Traffic(), rollout=make_rollout(20, 50)))
    world.run_until("Holding")
    world.settle()
    world.apply(make_spec("3", traffic=Traffic(), rollout=make_rollout(20, 50)))
    world.settle()
    world.tick(0.3)
    for _ in range(20):
        world.step()
        if len(world.routed()) > 1:
            break
        world.tick(0.05)
    ready = {p.revision for p in world.pods.values() if p.ready}
    assert world.revision("2") not in ready or world.revision("3") not in world.routed()


def test_a_lost_status_in_a_rollout_does_not_promote_the_canary() -> None:
    world = serving(replicas=4)
    world.apply(make_spec("2", replicas=4, rollout=make_rollout(75, hold=60.0)))
    world.run_until("Holding")
    world.settle()
    world.status_raw = {}
    world.settle()
    assert world.stable == "1"


def test_a_rejection_outlives_a_lost_status() -> None:
    world = rolling()
    world.crashing.add("2")
    world.run_until("Rejected")
    world.run(5.0)
    world.crashing.clear()
    world.status_raw = {}
    world.run(60.0)
    assert (world.state, world.stable) == ("Rejected", "1")


def test_a_first_revision_that_ran_out_of_memory_once_recovers() -> None:
    world = World(make_spec("1"))
    world.settle()
    world.make_pods()
    oom = ContainerState("server", restarts=1, ready=True, terminated_reason="OOMKilled")
    world.pods = {n: replace(p, ready=False, containers=(oom,)) for n, p in world.pods.items()}
    world.settle()
    assert world.state == "Broken"
    world._age = lambda pod: replace(pod, ready=True, containers=(oom,))  # type: ignore[method-assign]
    world.run(30.0)
    assert world.state == "Idle"


def test_scaled_to_zero_another_version_takes_its_place_without_pods() -> None:
    world = serving()
    world.apply(make_spec("1", replicas=0))
    world.run(5.0)
    world.apply(make_spec("2", replicas=0))
    world.run(60.0)
    assert (world.state, world.stable, world.replicas("2")) == ("Idle", "2", 0)


def test_a_model_without_pods_that_nobody_wants_back_is_not_ready() -> None:
    world = serving()
    world.apply(make_spec("1", replicas=0))
    world.run(5.0)
    cause = "spec.scaling.replicas is 0; set it to 1 or more to serve again"
    told = f"version 1 answers nobody, since it has no pods: {cause}"
    assert (world.status.phase, world.status.reason, world.status.message) == (
        "Paused", "ScaledToZero", told,
    )  # fmt: skip
    assert world.condition("Ready") == ("False", "ScaledToZero")
    assert world.condition("UpToDate") == ("True", "Promoted")
    assert [world.condition(kind)[0] for kind in ("Reconciling", "Stalled")] == ["False", "False"]

    world.apply(make_spec("1"))
    world.run(5.0)
    assert (world.status.phase, world.condition("Ready")) == ("Healthy", ("True", "Serving"))


def test_a_retry_asked_for_during_the_rollback_is_really_tried() -> None:
    world = rolling()
    world.crashing.add("2")
    world.make_pods()
    world.settle()
    assert world.state == "Reverting"
    world.command("retry", "2")
    world.crashing.clear()  # but the crashed pods are still there
    made = [world.pods[n] for n in world.pods]
    world._age = lambda pod: (  # type: ignore[method-assign]
        pod if pod in made else replace(pod, ready=True, containers=())
    )
    world.run(60.0)
    assert (world.state, world.stable) == ("Guarding", "2")


def test_ready_waits_for_the_first_route_to_be_taken() -> None:
    world = World(make_spec("1"))
    world.run_until("Shifting")
    world.settle()
    assert (world.status.phase, world.condition("Ready")[0]) == ("Pending", "False")


def test_ready_is_false_while_the_gateway_refuses_the_route() -> None:
    world = World(make_spec("1"))
    world.run_until("Shifting")
    world.settle()
    refuse(world)
    world.settle()
    assert world.condition("Routed")[0] == "False"
    assert world.condition("Ready") == ("False", "NotAllowedByListeners")


def refuse(world: World) -> None:
    route = world.routes[NAME]
    no = RouteCondition("Accepted", "False", "NotAllowedByListeners", "no", route.meta.generation)
    parents = (RouteParent("public", "gateways", None, world.controller, (no,)),)
    world.routes[NAME] = replace(route, parents=parents)


def test_stalled_and_reconciling_are_never_true_at_once() -> None:
    failure = WriteFailure("Service", "fraud", "NameConflict", "belongs to somebody else")
    world = World(make_spec("1"), failures=(failure,))
    world.settle()
    assert (world.condition("Stalled")[0], world.condition("Reconciling")[0]) == ("True", "False")


def test_wanting_a_rejected_revision_in_the_guard_is_said_to_be_stalled() -> None:
    world = rolling()
    world.crashing.add("2")
    world.run_until("Rejected")
    world.apply(make_spec("3"))
    world.run_until("Guarding")
    world.apply(make_spec("2"))
    world.run(5.0)
    assert world.condition("UpToDate")[0] == "False"
    assert world.condition("Stalled") == ("True", "CrashLoopBackOff")


def test_a_paused_guard_is_shown_as_paused() -> None:
    world = guarding()
    world.apply(make_spec("2", rollout=make_rollout(20, 50, paused=True)))
    world.run(100.0)
    assert world.status.phase == "Paused"


def test_a_paused_guard_leaves_nothing_to_wait_for() -> None:
    world = guarding()
    world.apply(make_spec("2", rollout=make_rollout(20, 50, paused=True)))
    world.run(100.0)
    assert (world.condition("UpToDate")[0], world.condition("Reconciling")[0]) == ("True", "False")


def test_a_version_that_a_pause_keeps_from_beginning_is_in_progress() -> None:
    world = serving()
    world.apply(make_spec("2", rollout=make_rollout(20, 50, paused=True)))
    world.run(100.0)
    assert (world.stable, world.condition("Reconciling")) == ("1", ("True", "Paused"))


def test_a_pause_while_nothing_is_to_be_done_is_no_progress() -> None:
    world = serving()
    world.apply(make_spec("1", rollout=make_rollout(20, 50, paused=True)))
    world.run(100.0)
    assert (world.status.phase, world.condition("Reconciling")[0]) == ("Healthy", "False")


def test_another_revision_after_a_rejection_is_shown_as_paused() -> None:
    world = rolling()
    world.crashing.add("2")
    world.run_until("Rejected")
    world.apply(make_spec("3", rollout=make_rollout(20, 50, paused=True)))
    world.settle()
    assert (world.status.phase, world.condition("Stalled")[0]) == ("Paused", "False")
    assert world.condition("Reconciling") == ("True", "Paused")


def test_a_superseding_rollout_has_its_event() -> None:
    world = rolling()
    world.apply(make_spec("3"))
    world.run_until("Guarding")
    assert world.events.count("RolloutStarted") == 2


def test_a_revision_that_became_stable_keeps_its_evidence() -> None:
    world = serving()
    evidence: list[object] = []
    world.apply(make_spec("2", rollout=make_rollout(20, analysis=True, guard=0.0)))
    for _ in range(60):
        records = [w for w in world.step().writes if isinstance(w, RecordOutcome)]
        evidence += [w.status.get("evidence") for w in records if w.status.get("outcome")]
        world.tick(1.0)
    assert world.stable == "2"
    assert [{"metric": "error-rate", "verdict": "Pass"}] in evidence


def test_the_headline_at_rest_says_what_is_wrong() -> None:
    world = serving()
    world.crashing.add("1")
    world.make_pods()
    world.settle()
    assert world.condition("Ready")[0] == "False"
    assert world.status.reason != "Serving", world.status.message


def test_it_is_said_why_a_step_is_not_left() -> None:
    world = serving()
    world.verdicts["2"] = "Inconclusive"
    world.apply(make_spec("2", rollout=make_rollout(20, analysis=True)))
    world.run(60.0)
    assert world.status.reason == "Inconclusive", world.status.message


def test_an_abort_that_names_the_last_step_is_heard_in_the_guard() -> None:
    world = guarding()
    world.command("abort", "2", step="3")
    world.run(10.0)
    assert (world.state, world.stable) == ("Rejected", "1")


def test_an_abort_is_heard_in_whichever_step() -> None:
    world = rolling()
    world.command("abort", "2", step="step-50")
    world.settle()
    assert world.state == "Reverting"


def test_pods_that_nobody_creates_are_not_the_revisions_fault() -> None:
    world = serving()
    world.apply(make_spec("2", rollout=make_rollout(20, deadline=60.0)))
    world.settle()
    world.now += 61.0  # the Deployment controller is down
    world.settle()
    world.now += 61.0
    world.settle()
    assert world.status.rejected == ()


def test_ready_pods_without_endpoints_are_not_the_revisions_fault() -> None:
    world = serving()
    old = world.revision("1")
    world.apply(make_spec("2", rollout=make_rollout(20, deadline=60.0)))
    real = world._endpoints
    world._endpoints = lambda: [e for e in real() if e.service == f"{NAME}-{old}"]  # type: ignore[method-assign]
    world.run(200.0)
    assert world.status.rejected == ()


def test_a_rollback_in_the_guard_goes_to_a_size_that_carries_the_traffic() -> None:
    world = guarding()
    world.apply(make_spec("2", replicas=6))
    world.run(5.0)
    world.command("abort", "2")
    world.settle()
    ready = sum(p.ready for p in world.pods.values() if world.version_of(p.revision) == "1")
    assert world.routed().get(world.revision("1"), 0) <= 100 * ready // 6


def test_a_canary_whose_readiness_flaps_is_not_shifted_for_ever() -> None:
    world = serving()
    world.apply(make_spec("2", rollout=make_rollout(20, hold=60.0, deadline=60.0)))
    give_way(world, lambda pod: world.version_of(pod.revision) == "2" and world.canary_weight > 0)
    world.run(600.0)
    words = "none of its pods stayed ready under traffic, 3 times in this rollout"
    rejected = [(each.reason, each.message) for each in world.status.rejected]
    assert (world.state, rejected) == ("Rejected", [("UnreadyUnderTraffic", words)])
    assert world.events.count("CanaryLost") == 2
    assert world.events.count("WeightShifted") == 3


def give_way(world: World, gives: Callable[[PodRecord], bool]) -> None:
    """Have pods fail their probes while something holds, as their kubelet tells it."""
    real = world._age

    def age(pod: PodRecord) -> PodRecord:
        if not gives(pod):
            return real(pod)
        return replace(real(pod), ready=False, containers=(ContainerState("server"),))

    world._age = age  # type: ignore[method-assign]


def test_pods_that_others_took_are_no_returns_of_the_canarys() -> None:
    """A lost node's kubelet said last that the containers are ready; evicted pods are others."""
    world = rolling()
    for _ in range(4):
        world.run_until("Holding")
        world.settle()
        world.pods = {
            name: replace(pod, ready=world.version_of(pod.revision) != "2")
            for name, pod in world.pods.items()
        }
        world._count_pods()
        world.settle()
        world.run_until("Holding")
        world.lose_pods("2")
        world.settle()
    world.run(900.0)
    assert (world.status.rejected, world.stable) == ((), "2")
    assert world.events.count("CanaryLost") == 8


def test_a_version_that_gives_way_in_each_guard_is_rejected_in_the_third() -> None:
    world = serving()
    world.apply(make_spec("2", rollout=make_rollout(20, guard=60.0)))
    give_way(world, lambda pod: world.version_of(pod.revision) == "2" and world.state == "Guarding")
    world.run(900.0)
    assert (world.state, world.stable) == ("Rejected", "1")
    assert [each.reason for each in world.status.rejected] == ["UnreadyUnderTraffic"]
    assert world.events.count("Promoted") == 3


def test_a_retry_counts_returns_from_nought() -> None:
    world = serving()
    world.apply(make_spec("2", rollout=make_rollout(20, hold=60.0)))
    give_way(world, lambda pod: world.version_of(pod.revision) == "2" and world.canary_weight > 0)
    world.run_until("Rejected")
    world.settle()
    world.run(30.0)
    world.command("retry", "2")
    world.run_until("Scaling")
    world.run_until("Rejected")
    assert world.events.count("CanaryLost") == 4


def test_readiness_that_flaps_does_not_renew_the_deadline() -> None:
    world = serving(replicas=4)
    world.apply(make_spec("2", replicas=4, rollout=make_rollout(75, deadline=120.0)))

    def flaps(pod: PodRecord) -> bool:
        """Of three pods one is ready, one never is, and one is in every second 25 seconds."""
        mine = [n for n, p in world.pods.items() if world.version_of(p.revision) == "2"]
        number = mine.index(pod.meta.name) if pod.meta.name in mine else 0
        return number == 2 or (number == 1 and int(world.now) % 50 >= 25)

    give_way(world, flaps)
    start = world.now
    world.run_until("Rejected")
    assert world.status.rejected[0].reason == "ProgressDeadlineExceeded"
    assert 120.0 <= world.now - start <= 180.0


def test_a_finalizing_model_revision_makes_no_phantom() -> None:
    world = serving()
    for name, record in world.revisions.items():
        world.revisions[name] = replace(record, meta=replace(record.meta, deleting=True))
    world.step()
    assert (world.state, len(world.revisions)) == ("Idle", 1)


def test_a_stranger_who_edits_a_short_canarys_route_does_not_decide_its_weight() -> None:
    world = serving(replicas=4)
    world.apply(make_spec("2", replicas=4, rollout=make_rollout(50, hold=100.0)))
    world.run_until("Holding")
    world.settle()
    mine = [n for n, p in world.pods.items() if world.version_of(p.revision) == "2"]
    world.pods[mine[0]] = replace(world.pods[mine[0]], ready=False)
    world._count_pods()
    world.edit_weight(50, 95)
    world.step()
    assert world.canary_weight <= 50


def test_a_rejected_revision_that_is_wanted_keeps_its_record() -> None:
    world = serving()
    world.crashing.add("2")
    world.apply(make_spec("2", rollout=make_rollout(20, history=0)))
    world.run_until("Rejected")
    world.run(20.0)
    assert "2" in [r.version for r in world.revisions.values()]


def test_judged_does_not_write_status_at_each_reading() -> None:
    world = serving()
    world.apply(make_spec("2", rollout=make_rollout(20, hold=300.0, analysis=True)))
    world.run_until("Holding")
    world.settle()
    real = world._judge
    world._judge = lambda: (  # type: ignore[method-assign]
        (found := real()) and replace(found, message=f"at {world.now}")
    )
    world.writes.clear()
    world.run(60.0)
    assert world.writes.count("status") <= 4


def test_a_fix_is_not_kept_out_by_a_lost_route() -> None:
    world = serving()
    world.crashing.add("1")
    world.make_pods()
    world.settle()
    del world.routes[NAME]
    world.settle()
    world.apply(make_spec("2"))
    world.run(20.0)
    assert world.routed() == {world.revision("2"): 100}


def test_a_fix_and_another_router_in_one_edit_get_past_a_dead_stable() -> None:
    world = serving(traffic=Traffic())
    world.crashing.add("1")
    world.make_pods()
    world.settle()
    world.apply(make_spec("2", traffic=GATEWAY_TRAFFIC))
    world.run(60.0)
    assert world.routed() == {world.revision("2"): 100}


def test_a_recovering_stable_gets_no_more_than_its_pods_carry_while_a_fix_comes() -> None:
    world = serving(replicas=4)
    world.apply(make_spec("2", replicas=4, rollout=make_rollout(50, hold=60.0)))
    world.run_until("Holding")
    world.settle()
    world.unready.add("1")
    world.make_pods()
    world.command("abort", "2")
    world.settle()
    world.unready.add("3")
    world.apply(make_spec("3", replicas=4))
    world.settle()
    real = world._age
    first = next(n for n, p in world.pods.items() if world.version_of(p.revision) == "1")
    world._age = lambda pod: real(pod) if pod.meta.name != first else replace(pod, ready=True)  # type: ignore[method-assign]
    world.run(20.0)
    assert world.routed()[world.revision("2")] == 50


def test_going_forth_again_gets_out_of_a_rollback_to_a_dead_stable() -> None:
    world = rolling()
    world.delete_gateway()
    world.apply(make_spec("1"))
    world.settle()
    assert world.state == "Reverting"
    world.unready.add("1")
    world.make_pods()
    world.restore_gateway()
    world.settle()
    world.apply(make_spec("2"))
    world.run(30.0)
    assert world.routed() == {world.revision("2"): 100}


def test_a_canary_that_stays_short_of_pods_is_said() -> None:
    world = serving(replicas=4)
    world.apply(make_spec("2", replicas=4, rollout=make_rollout(50, hold=10.0)))
    world.run_until("Holding")
    world.settle()
    bad = next(n for n, p in world.pods.items() if world.version_of(p.revision) == "2")
    real = world._age
    world._age = lambda pod: replace(real(pod), ready=pod.meta.name != bad)  # type: ignore[method-assign]
    world.run(60.0)
    assert world.status.reason == "TooFewReplicas", world.status.message


def test_a_gateway_that_is_gone_for_good_can_be_replaced_in_mid_rollout() -> None:
    world = rolling()
    gone = world.gateway
    assert gone is not None
    world.delete_gateway()
    world.run(10.0)
    world.gateway = replace(gone, meta=replace(gone.meta, name="other"))
    moved = replace(
        GATEWAY_TRAFFIC, parent_refs=(replace(GATEWAY_TRAFFIC.parent_refs[0], name="other"),)
    )
    world.apply(make_spec("2", traffic=moved))
    real = world.answer_routes

    def answer() -> None:
        real()
        for name, route in world.routes.items():
            world.routes[name] = replace(
                route, parents=tuple(replace(p, name="other") for p in route.parents)
            )

    world.answer_routes = answer  # type: ignore[method-assign]
    world.run(120.0)
    assert world.stable == "2"


def test_a_paused_rollback_still_drains() -> None:
    world = serving(traffic=Traffic())
    world.apply(make_spec("2", traffic=Traffic(), rollout=make_rollout(20, 50)))
    world.run_until("Holding")
    world.settle()
    world.command("abort", "2")
    world.apply(make_spec("2", traffic=Traffic(), rollout=make_rollout(20, 50, paused=True)))
    world.settle()
    assert (world.state, world.replicas("2")) == ("Rejected", 1)


def test_a_first_spec_of_no_use_is_invalid_and_waits() -> None:
    world = World(None)
    world.settle()
    assert (world.status.phase, world.condition("Stalled")[0], world.condition("Ready")[0]) == (
        "Invalid",
        "True",
        "False",
    )
    world.apply(make_spec("1"))
    world.run_until("Idle")


def sleepy(world: World, seconds: float) -> None:
    """Only wake-ups bring the operator in (pods and gateways answer at once, then nothing)."""
    end = world.now + seconds
    while world.now < end:
        for _ in range(60):
            made = world.step()
            world.make_pods()
            world.answer_routes()
            if made.status is None and not made.writes:
                break
        if made.wake_at is None or made.wake_at > end:
            return
        world.now = max(world.now, made.wake_at)


def test_wake_ups_alone_bring_a_rollout_to_its_end() -> None:
    for traffic in (GATEWAY_TRAFFIC, Traffic()):
        world = World(make_spec("1", traffic=traffic))
        sleepy(world, 100.0)
        assert world.state == "Idle"
        world.apply(make_spec("2", traffic=traffic))
        sleepy(world, 300.0)
        assert (world.state, world.stable, world.replicas("1")) == ("Idle", "2", 0)


def test_wake_ups_alone_bring_the_deadline_and_a_third_revision() -> None:
    for traffic in (GATEWAY_TRAFFIC, Traffic()):
        world = World(make_spec("1", traffic=traffic))
        sleepy(world, 100.0)
        world.unready.add("2")
        world.apply(make_spec("2", traffic=traffic, rollout=make_rollout(20, deadline=60.0)))
        sleepy(world, 300.0)
        assert (world.state, world.replicas("2")) == ("Rejected", 0)
        world.apply(make_spec("3", traffic=traffic, rollout=make_rollout(20)))
        sleepy(world, 5.0)
        world.apply(make_spec("4", traffic=traffic, rollout=make_rollout(20)))
        sleepy(world, 300.0)
        assert (world.state, world.stable, world.replicas("3")) == ("Idle", "4", 0)


def test_wake_ups_alone_bring_a_step_to_be_tried_again_after_a_retreat() -> None:
    world = rolling()
    world.unready.add("2")
    world.make_pods()
    world.settle()
    world.unready.clear()
    sleepy(world, 300.0)
    assert (world.state, world.stable) == ("Idle", "2")


def test_a_share_that_is_not_100_is_never_promoted_whatever_becomes_of_the_steps() -> None:
    """The steps are edited to more of them, and before that is copied the spec becomes useless."""
    world = serving()
    world.apply(make_spec("2", rollout=make_rollout(20, 50)))
    world.run_until("Shifting")
    world.apply(make_spec("2", rollout=make_rollout(5, 10, 20)))
    world.step()
    world.apply(None)
    world.run(40.0)
    assert (world.status.phase, world.stable, world.canary_weight) == ("Invalid", "1", 20)


def test_a_first_revision_that_breaks_leaves_the_pods_before_it_until_they_drain() -> None:
    world = World(make_spec("1"))
    world.run_until("Shifting")
    world.settle()
    world.apply(make_spec("2"))
    world.run_until("Starting")
    world.run_until("Shifting")
    while world.routed() != {world.revision("2"): 100}:
        world.settle()
        world.tick(0.5)
    world.crashing.add("2")
    world.make_pods()
    world.settle()
    assert (world.state, world.replicas("1")) == ("Broken", 2)
    world.run(10.0)
    assert (world.state, world.replicas("1")) == ("Broken", 0)


def test_a_first_revision_that_breaks_leaves_them_until_a_late_gateway_has_settled() -> None:
    world = World(make_spec("1"))
    world.run_until("Shifting")
    world.settle()
    world.answer_routes()
    world.apply(make_spec("2"))
    world.run_until("Starting")
    while world.routed() != {world.revision("2"): 100}:
        run_under_a_silent_gateway(world, 1.0)
    world.crashing.add("2")
    run_under_a_silent_gateway(world, 60.0)
    world.answer_routes()
    world.settle()
    assert (world.state, world.replicas("1")) == ("Broken", 2)
    world.run(10.0)
    assert (world.state, world.replicas("1")) == ("Broken", 0)


def test_a_revision_that_has_to_wait_is_not_called_healthy() -> None:
    world = serving()
    elsewhere = replace(GATEWAY_TRAFFIC, hostnames=("other.example.com",))
    world.apply(make_spec("2", traffic=elsewhere))
    world.step()
    assert (world.state, world.status.phase) == ("Idle", "Progressing")
    assert (world.condition("UpToDate")[0], world.condition("Reconciling")[0]) == ("False", "True")


def test_a_rollback_that_was_just_asked_for_is_not_called_done() -> None:
    world = guarding()
    world.run_until("Idle")
    world.settle()
    world.command("rollback", "1")
    world.step()
    assert (world.state, world.stable, world.status.phase) == ("Idle", "2", "Progressing")
    assert (world.condition("UpToDate")[0], world.condition("Stalled")[0]) == ("False", "False")


def test_a_broken_first_revision_that_is_scaled_to_nothing_is_not_broken_any_more() -> None:
    world = World(make_spec("1"), crashing={"1"})
    world.run_until("Broken")
    world.apply(make_spec("1", replicas=0))
    world.run_until("Idle")
    assert world.replicas("1") == 0


# What only a wrong version of the operator does (docs/mutants.md)

TESTERS = Step("testers", 0, hold_seconds=60.0, headers=(HeaderMatch("x-canary", "1"),))
COPIES = Step("copies", 0, hold_seconds=60.0, mirror=50)


def step_until(world: World, state: str) -> None:
    """Single passes until the state is decided; what follows from it is not written yet."""
    while world.state != state:
        world.tick(1.0)
        world.step()


def break_one_pod(world: World, version: str) -> None:
    """One ready pod of a version is not ready from now on."""
    pods = world.pods.items()
    name = next(n for n, p in pods if p.ready and world.version_of(p.revision) == version)
    real = world._age
    world._age = lambda pod: replace(real(pod), ready=real(pod).ready and pod.meta.name != name)  # type: ignore[method-assign]
    world.make_pods()


def slow_down_new_pods(world: World) -> set[str]:
    """Pods that are made from now on get ready when the set that is returned is cleared."""
    known, slow, real = set(world.pods), set[str](), world._age

    def age(pod: PodRecord) -> PodRecord:
        if pod.meta.name not in known:
            known.add(pod.meta.name)
            slow.add(pod.meta.name)
        return replace(real(pod), ready=real(pod).ready and pod.meta.name not in slow)

    world._age = age  # type: ignore[method-assign]
    return slow


def test_while_a_canary_waits_for_its_pods_nothing_is_written() -> None:
    world = serving()
    world.unready.add("2")
    world.apply(make_spec("2"))
    world.run(5.0)
    world.writes.clear()
    world.run(30.0)
    assert (world.state, world.writes) == ("Scaling", [])


def test_a_first_route_waits_for_pods_that_went_before_it_was_written() -> None:
    world = World(make_spec("1"))
    step_until(world, "Shifting")
    world.unready.add("1")
    world.make_pods()
    world.run(10.0)
    assert world.routes == {}
    world.unready.clear()
    world.run_until("Idle")


def test_a_rollback_moves_at_once_what_the_pods_of_stable_carry() -> None:
    world = holding_at(50)
    break_one_pod(world, "1")
    world.command("abort", "2")
    world.settle()
    assert world.routed() == {world.revision("1"): 75, world.revision("2"): 25}


def test_a_mirror_is_not_written_on_fewer_pods_than_its_copies_need() -> None:
    world = serving(replicas=4)
    world.apply(make_spec("2", replicas=4, rollout=make_rollout(COPIES)))
    step_until(world, "Shifting")
    break_one_pod(world, "2")
    world.run(20.0)
    assert (world.state, world.mirrored()) == ("Scaling", {})


def test_a_canary_reached_by_header_that_loses_its_pods_is_not_led_to() -> None:
    world = serving()
    world.apply(make_spec("2", rollout=make_rollout(TESTERS)))
    world.run_until("Holding")
    world.settle()
    assert world.led_by_header() == {world.revision("2")}
    world.unready.add("2")
    world.make_pods()
    world.settle()
    assert (world.state, world.led_by_header()) == ("Scaling", set())


def test_a_rollout_waits_until_another_router_has_taken_over() -> None:
    world = serving(traffic=Traffic())
    world.gateway_api = False
    world.apply(make_spec("2", traffic=GATEWAY_TRAFFIC))
    world.run(30.0)
    assert (world.state, world.canary) == ("Idle", "")
    world.gateway_api = True
    world.run_until("Guarding")
    assert world.stable == "2"


def test_a_fault_in_the_guard_rejects_the_new_stable_and_says_why() -> None:
    world = guarding()
    world.crashing.add("2")
    world.make_pods()
    world.settle()
    rejections = [(r.version, r.reason) for r in world.status.rejected]
    assert rejections == [("2", "CrashLoopBackOff")]


def test_a_retry_of_another_rejected_revision_does_not_try_the_one_that_is_wanted() -> None:
    world = rolling()
    world.crashing |= {"2", "3"}
    world.run_until("Rejected")
    world.apply(make_spec("3"))
    world.run(60.0)
    world.crashing.clear()
    world.command("retry", "2")
    world.run(30.0)
    assert (world.state, [r.version for r in world.status.rejected]) == ("Rejected", ["3"])
    assert world.status.last_handled_commands == world.commands


@pytest.mark.parametrize("verb", ["promote", "abort"])
def test_a_command_that_is_heard_is_not_said_to_have_no_effect(verb: str) -> None:
    world = rolling(hold=3600.0)
    world.command(verb, "2")
    world.run(30.0)
    assert "CommandIgnored" not in world.events
    assert world.status.last_handled_commands == world.commands


def test_a_restart_that_was_asked_for_once_is_done_once() -> None:
    world = serving()
    world.command("restart", "1")
    world.run(1.0)
    first = world.status.stable
    assert first is not None
    assert first.restarted_at is not None
    world.run(60.0)
    assert (world.status.stable, world.events.count("Restarted")) == (first, 1)


def test_what_was_asked_for_before_the_status_was_lost_is_not_done_again() -> None:
    world = serving()
    world.command("restart", "1")
    world.run(5.0)
    restarted = dict(world.deployments)
    world.status_raw = {}
    world.run(30.0)
    assert (world.state, world.deployments) == ("Idle", restarted)
    assert world.events.count("Restarted") == 1
    assert world.status.last_handled_commands == world.commands


def test_an_abort_that_came_too_late_does_not_hit_the_next_rollout() -> None:
    world = rolling(guard=0.0)
    world.run_until("Idle")
    world.command("abort", "2")
    world.run(5.0)
    for version in ("1", "2"):
        world.apply(make_spec(version))
        world.run(120.0)
    assert (world.state, world.stable, world.status.rejected) == ("Idle", "2", ())


def gone_back() -> World:
    """A world in which a person went back from version 2, which the spec names, to 1."""
    world = rolling(guard=0.0)
    world.run_until("Idle")
    world.command("rollback", "1")
    world.run(120.0)
    return world


def test_a_person_goes_back_to_a_revision_until_the_spec_changes() -> None:
    world = gone_back()
    assert (world.state, world.stable) == ("Idle", "1")
    world.apply(make_spec("3"))
    world.run(120.0)
    assert (world.state, world.stable) == ("Idle", "3")


def test_a_rollback_in_the_middle_is_told_as_what_a_person_did() -> None:
    world = rolling()
    world.command("rollback", "1")
    world.run_until("Idle")
    told = {event.reason: event.message for event in world.told}
    assert told["RolledBack"].endswith(" serves all; a person went back to it")
    assert told["WentBack"].endswith(": a person went back to stable")


def test_a_rollback_that_the_spec_has_ended_does_not_come_back() -> None:
    world = gone_back()
    for version in ("3", "2"):
        world.apply(make_spec(version))
        world.run(120.0)
    assert (world.state, world.stable, world.status.override) == ("Idle", "2", None)


def decisions_of(world: World) -> tuple[object, ...]:
    status = world.status
    parts = (status.stable, status.canary, status.previous)
    shares = tuple((part.revision, part.weight, part.replicas) for part in parts if part)
    return (world.state, status.rollout and status.rollout.step, shares)


def test_a_pass_either_means_something_else_or_writes_what_is_meant() -> None:
    world = serving()
    world.apply(make_spec("2", rollout=make_rollout(20, 50, guard=5.0)))
    while (world.state, world.stable) != ("Idle", "2"):
        before = decisions_of(world)
        made = world.step()
        assert not made.writes or decisions_of(world) == before
        world.tick(0.5)


def play_rollout() -> tuple[World, list[Plan]]:
    """A rollout from beginning to end, until what it left is gone, and its plans."""
    world, plans = serving(), list[Plan]()
    world.apply(make_spec("2", rollout=make_rollout(20, 50, guard=5.0)))
    for _ in range(160):
        plans.append(world.step())
        world.tick(0.5)
    assert (world.state, world.stable, world.replicas("1")) == ("Idle", "2", 0)
    return world, plans


def test_a_share_is_raised_only_on_a_live_read_of_who_is_to_carry_it() -> None:
    world, plans = play_rollout()
    raising = [p for p in plans if any(_is_over(w, "HTTPRoute") for w in p.writes)]
    canary = Ref("Deployment", f"{NAME}-{world.revision('2')}")
    assert [p.confirm for p in raising] == [(canary,)] * 3


def test_pods_are_taken_only_on_a_live_read_of_what_leads_to_them() -> None:
    _, plans = play_rollout()
    taking = [p for p in plans if any(_takes_all(w) for w in p.writes)]
    assert [p.confirm for p in taking] == [(Ref("HTTPRoute", NAME), Ref("Service", NAME))]


def _is_over(write: object, kind: str) -> bool:
    return isinstance(write, Apply) and write.ref.kind == kind


def _takes_all(write: object) -> bool:
    return isinstance(write, Apply) and write.body["spec"] == {"replicas": 0}


def test_a_route_of_somebody_elses_under_our_name_is_not_ours() -> None:
    world = serving()
    mine = world.routes[NAME]
    foreign = replace(mine, meta=replace(mine.meta, owner=None))
    made = plan(replace(world.observe(), routes=(foreign,)), world.now)
    assert [type(write) for write in made.writes if write.ref.kind == "HTTPRoute"] == [Create]


def test_ready_pods_without_endpoints_get_no_traffic() -> None:
    world = serving()
    stable = f"{NAME}-{world.revision('1')}"
    real = world._endpoints
    world._endpoints = lambda: [e for e in real() if e.service == stable]  # type: ignore[method-assign]
    world.apply(make_spec("2"))
    world.run(30.0)
    assert (world.state, world.routed()) == ("Scaling", {world.revision("1"): 100})
    world._endpoints = real  # type: ignore[method-assign]
    world.run_until("Holding")


def test_a_rollout_stands_still_while_the_spec_is_of_no_use() -> None:
    world = rolling()
    world.apply(None)
    world.run(100.0)
    assert (world.state, world.canary_weight, world.status.phase) == ("Holding", 20, "Invalid")


def test_a_rollback_is_urgent_and_nothing_else_is() -> None:
    world = rolling()
    urgent = {}
    world.crashing.add("2")
    for _ in range(30):
        made = world.step()
        urgent[world.state] = made.urgent
        world.tick(1.0)
    assert urgent == {"Holding": False, "Reverting": True, "Rejected": False}


def test_who_comes_by_header_is_judged_by_absolute_bounds_alone() -> None:
    compared = replace(ERROR_RATE, max_increase=0.01)
    world = serving()
    steps = make_rollout(TESTERS, 20, hold=60.0)
    world.apply(make_spec("2", rollout=replace(steps, analysis=AnalysisSpec(metrics=(compared,)))))
    judged = []
    for _ in range(150):
        measure = world.step().measure
        if measure is not None and world.state == "Holding" and measure.metrics not in judged:
            judged.append(measure.metrics)
        world.tick(1.0)
    assert judged == [(ERROR_RATE,), (compared,)]


def test_promoting_another_revision_all_the_way_moves_nothing() -> None:
    world = rolling(hold=3600.0)
    world.command("promote", "1", step=CLOSING_NAME)
    world.run(30.0)
    assert (world.state, world.canary_weight) == ("Holding", 20)


def test_promoted_all_the_way_a_canary_skips_the_steps_that_are_left() -> None:
    world = holding_at(20, hold=3600.0)
    slow_pods = slow_down_new_pods(world)
    world.command("promote", "2", step=CLOSING_NAME)
    world.run(30.0)
    assert (world.state, world.replicas("2"), world.canary_weight) == ("Scaling", 4, 20)
    slow_pods.clear()
    world.run_until("Guarding")
    assert world.events.count("WeightShifted") == 2


def test_a_rollback_to_a_revision_that_is_not_there_is_refused_with_the_reason() -> None:
    world = serving()
    world.commands["rollback"] = "0000000000@1"
    world.run(10.0)
    assert (world.state, world.status.phase, world.status.override) == ("Idle", "Healthy", None)
    why = "there is no revision 0000000000 in the history"
    assert world.status.ignored_commands == {"rollback": why}


def run_as(version: str, account: str) -> Spec:
    spec = make_spec(version)
    source = {**spec.source, **({"pod": {"serviceAccountName": account}} if account else {})}
    return replace(spec, source=source, canonical=canonical_json(normalise_source(source)))


@pytest.mark.parametrize(
    ("then", "now", "taken"),
    [
        ("trainer", "", False),
        ("trainer", "other", False),
        ("trainer", "trainer", True),
        ("default", "", True),
        ("", "other", True),
    ],
)
def test_nobody_gets_an_account_by_going_back(then: str, now: str, taken: bool) -> None:
    world = World(run_as("1", then))
    world.run_until("Idle")
    world.apply(run_as("2", now))
    world.run(240.0)
    assert (world.state, world.stable) == ("Idle", "2")
    world.command("rollback", "1")
    world.run(240.0)
    why = world.status.ignored_commands.get("rollback", "")
    assert (world.stable, why == "") == ("1" if taken else "2", taken)
    if not taken:
        assert why.endswith(
            f" runs as the service account {then}, which the spec doesn't name: write it into"
            " spec.pod.serviceAccountName, or apply that manifest again"
        )


def test_the_operators_own_way_back_asks_for_no_account() -> None:
    world = World(run_as("1", "trainer"))
    world.run_until("Idle")
    world.apply(run_as("2", ""))
    world.run_until("Shifting")
    world.command("abort", "2")
    world.run(240.0)
    assert (world.state, world.stable) == ("Rejected", "1")


def test_a_rollback_to_a_rejected_revision_lifts_the_rejection() -> None:
    world = rolling()
    world.crashing.add("2")
    world.run_until("Rejected")
    world.crashing.clear()
    world.apply(make_spec("3", rollout=make_rollout(20, guard=0.0)))
    world.run_until("Idle")
    world.command("rollback", "2")
    world.run(120.0)
    assert (world.state, world.stable, world.status.rejected) == ("Idle", "2", ())


def test_a_fix_for_a_dead_stable_takes_no_pods_from_whom_the_gateway_may_still_ask() -> None:
    world = holding_at(50)
    world.command("abort", "2")
    world.settle()
    world.answer_routes()
    world.unready.add("1")
    world.make_pods()
    world.settle()
    world.now += 11.0
    world.apply(make_spec("3", replicas=4))
    world.settle()
    assert (world.state, world.canary, world.replicas("2")) == ("Scaling", "3", 2)
    world.run(30.0)
    assert (world.routed(), world.replicas("2")) == ({world.revision("3"): 100}, 0)
