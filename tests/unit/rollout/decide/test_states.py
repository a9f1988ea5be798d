"""The states, one named case each, played in the small world of tests/properties."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from canarium.core.names import child_name
from canarium.core.observed import WriteFailure
from canarium.core.plan import Plan
from canarium.core.spec import Step, Traffic
from canarium.core.text import sanitize_text
from canarium.rollout.decide.states import STATES
from canarium.rollout.plan import plan
from canarium.rollout.report.phases import PHASES

from tests.properties.world import World, make_rollout, make_spec, serving

DOCUMENT = Path(__file__).parents[4] / "docs" / "contributing" / "states.md"


def rolling(version: str = "2", *, to: str = "Holding", **rollout: object) -> World:
    """A world in which version 1 serves and another one is on its way."""
    world = serving()
    world.apply(make_spec(version, rollout=make_rollout(20, 50, **rollout)))  # type: ignore[arg-type]
    world.run_until(to)
    return world


def guarding() -> World:
    world = rolling(to="Guarding")
    world.settle()
    return world


def outcomes(world: World) -> dict[str, str]:
    return {record.version: record.outcome for record in world.revisions.values()}


def test_the_table_in_the_documentation_has_every_state_and_its_phase() -> None:
    rows = re.findall(r"^\| (\w+) \| (\w+) \|", DOCUMENT.read_text(), re.MULTILINE)
    assert {state: phase for state, phase in rows if state in STATES} == PHASES
    assert set(PHASES) == set(STATES)


def test_the_first_revision_serves_everything_without_steps() -> None:
    world = World(make_spec("1"))
    world.run_until("Idle")
    assert (world.stable, world.routed(), world.condition("Ready")) == (
        "1",
        {world.revision("1"): 100},
        ("True", "Serving"),
    )


def test_nothing_is_routed_before_the_first_pod_is_ready() -> None:
    world = World(make_spec("1"), unready={"1"})
    world.run(30.0)
    assert (world.state, world.routed(), world.status.phase) == ("Starting", {}, "Pending")


def test_a_first_revision_that_never_gets_ready_is_broken_at_the_deadline() -> None:
    world = World(make_spec("1", rollout=make_rollout(deadline=60.0)), unready={"1"})
    world.run(61.0)
    assert world.state == "Broken"
    assert world.condition("Stalled") == ("True", "ProgressDeadlineExceeded")
    assert world.status.phase == "Failed"


def test_a_broken_first_revision_recovers_by_itself() -> None:
    world = World(make_spec("1"), crashing={"1"})
    world.run_until("Broken")
    world.crashing.clear()
    world.run_until("Idle")
    assert world.stable == "1"


def test_a_broken_first_revision_is_replaced_by_the_fix() -> None:
    world = World(make_spec("1"), crashing={"1"})
    world.run_until("Broken")
    world.apply(make_spec("2"))
    world.run_until("Idle")
    world.run(5.0)
    assert (world.stable, world.replicas("1"), world.replicas("2")) == ("2", 0, 2)


def test_a_rollout_goes_through_its_steps_to_100_and_is_guarded() -> None:
    world = serving()
    world.apply(make_spec("2"))
    weights = []
    while world.state != "Guarding":
        world.settle()
        weights.append(world.canary_weight)
        world.tick(1.0)
    assert list(dict.fromkeys(weights)) == [0, 20, 50, 100]
    assert (world.stable, world.status.previous and world.status.previous.version) == ("2", "1")


def test_the_previous_revision_stays_at_full_size_until_the_guard_ends() -> None:
    world = guarding()
    world.run(29.0)
    assert (world.state, world.replicas("1")) == ("Guarding", 2)
    world.run(5.0)
    assert (world.state, world.replicas("1"), world.replicas("2")) == ("Idle", 0, 2)
    assert outcomes(world) == {"1": "Superseded", "2": "Stable"}


def test_the_canary_has_its_capacity_before_it_gets_traffic() -> None:
    world = serving(replicas=4)
    world.unready.add("2")
    world.apply(make_spec("2", replicas=4, rollout=make_rollout(50)))
    world.run(30.0)
    assert (world.state, world.replicas("2"), world.routed()) == (
        "Scaling",
        2,
        {world.revision("1"): 100},
    )


def test_a_hold_is_counted_from_when_the_router_has_settled() -> None:
    world = rolling(to="Shifting")
    shifted_at = world.now
    world.run_until("Holding")
    assert world.status.rollout is not None
    assert world.status.rollout.verified_at is not None
    assert world.status.rollout.verified_at - shifted_at >= 2.5


def test_an_approval_is_waited_for_and_given_by_promote() -> None:
    world = serving()
    world.apply(make_spec("2", rollout=make_rollout(20, approval=(20,))))
    world.run_until("Holding")
    world.run(100.0)
    assert (world.status.phase, world.condition("Reconciling")) == (
        "Paused",
        ("True", "AwaitingApproval"),
    )
    world.command("promote", "2", step="step-20")
    world.run_until("Guarding")
    assert world.stable == "2"


def test_a_promote_for_another_step_is_not_taken_for_this_one() -> None:
    world = rolling()
    world.command("promote", "2", step="step-50")
    world.settle()
    assert (world.state, world.canary_weight) == ("Holding", 20)


def test_a_failed_verdict_takes_the_canary_back_and_rejects_it() -> None:
    world = serving()
    world.verdicts["2"] = "Fail"
    world.apply(make_spec("2", rollout=make_rollout(20, analysis=True)))
    world.run_until("Rejected")
    assert world.condition("Stalled") == ("True", "ErrorRateTooHigh")
    assert world.condition("Ready") == ("True", "Serving")
    assert [r.version for r in world.status.rejected] == ["2"]
    assert outcomes(world)["2"] == "RolledBack"


def test_weight_goes_back_before_the_canary_loses_a_pod() -> None:
    world = rolling()
    world.delete_gateway()
    world.crashing.add("2")
    world.run(60.0)
    assert (world.state, world.canary_weight, world.replicas("2")) == ("Reverting", 0, 1)
    world.restore_gateway()
    world.run(5.0)
    assert (world.state, world.replicas("2")) == ("Rejected", 0)


def test_a_rejected_revision_is_tried_again_only_on_retry() -> None:
    world = rolling()
    world.crashing.add("2")
    world.run_until("Rejected")
    world.crashing.clear()
    world.run(120.0)
    world.apply(make_spec("2"))
    world.run(60.0)
    assert world.state == "Rejected"
    world.command("retry", "2")
    world.run_until("Guarding")
    assert world.stable == "2"


def test_a_verdict_without_data_never_promotes() -> None:
    world = serving()
    world.verdicts["2"] = "NoData"
    world.apply(make_spec("2", rollout=make_rollout(20, analysis=True)))
    world.run(300.0)
    assert (world.state, world.canary_weight) == ("Holding", 20)
    assert world.condition("Judged") == ("False", "NoData")


def test_an_inconclusive_verdict_stays_in_the_step() -> None:
    world = serving()
    world.verdicts["2"] = "Inconclusive"
    world.apply(make_spec("2", rollout=make_rollout(20, analysis=True)))
    world.run(300.0)
    assert (world.state, world.canary_weight) == ("Holding", 20)


def test_going_back_to_stable_cancels_and_rejects_nobody() -> None:
    world = rolling()
    world.apply(make_spec("1"))
    world.run_until("Idle")
    assert (world.stable, world.status.rejected, outcomes(world)["2"]) == ("1", (), "Canceled")


def test_a_third_revision_puts_traffic_back_before_anything_scales() -> None:
    world = rolling()
    world.apply(make_spec("3"))
    world.settle()
    assert (world.state, world.routed()) == ("Reverting", {world.revision("1"): 100})
    assert world.replicas("2") == 1
    world.run_until("Guarding")
    assert (world.stable, world.replicas("2")) == ("3", 0)


def test_an_abort_is_heard_while_paused() -> None:
    world = rolling(paused=False)
    world.apply(make_spec("2", rollout=make_rollout(20, 50, paused=True)))
    world.settle()
    world.command("abort", "2")
    world.run_until("Rejected")
    assert world.condition("Stalled") == ("True", "Aborted")


def test_an_abort_with_nothing_under_way_changes_nothing() -> None:
    world = serving()
    world.command("abort", "1")
    world.run(5.0)
    assert (world.state, world.routed(), world.replicas("1")) == (
        "Idle",
        {world.revision("1"): 100},
        2,
    )
    assert world.status.last_handled_commands == world.commands


def test_an_abort_in_the_guard_goes_back_to_the_previous_revision() -> None:
    world = guarding()
    world.command("abort", "2")
    world.run_until("Rejected")
    assert (world.stable, world.routed()) == ("1", {world.revision("1"): 100})


def test_a_fault_in_the_guard_goes_back_at_once_to_what_is_warm() -> None:
    world = guarding()
    world.crashing.add("2")
    world.make_pods()
    world.settle()
    assert world.routed() == {world.revision("1"): 100}
    world.run_until("Rejected")
    assert world.stable == "1"


def test_a_third_revision_in_the_guard_starts_from_the_new_stable() -> None:
    world = guarding()
    world.apply(make_spec("3"))
    world.run_until("Holding")
    assert (world.stable, world.canary, world.replicas("1")) == ("2", "3", 0)


def test_wanting_the_previous_revision_in_the_guard_cancels() -> None:
    world = guarding()
    world.apply(make_spec("1"))
    world.run_until("Idle")
    assert (world.stable, world.status.rejected) == ("1", ())


def test_what_was_stable_before_goes_back_on_the_fast_track() -> None:
    world = guarding()
    world.run_until("Idle")
    world.apply(make_spec("1"))
    weights = set()
    while world.state != "Guarding":
        world.settle()
        weights.add(world.canary_weight)
        world.tick(0.5)
    assert (world.stable, weights) == ("1", {0, 100})


def test_a_pause_stops_the_clock_and_does_not_start_it_anew() -> None:
    world = rolling(hold=20.0)
    world.run(8.0)
    world.apply(make_spec("2", rollout=make_rollout(20, 50, hold=20.0, paused=True)))
    world.run(100.0)
    assert (world.state, world.status.phase) == ("Holding", "Paused")
    assert world.condition("Reconciling") == ("True", "Paused")
    world.apply(make_spec("2", rollout=make_rollout(20, 50, hold=20.0)))
    resumed_at = world.now
    while world.canary_weight == 20:
        world.settle()
        world.tick(0.5)
    assert 10.0 <= world.now - resumed_at <= 16.0


def test_edited_steps_go_on_at_the_first_weight_not_below_the_present_one() -> None:
    world = rolling()
    world.apply(make_spec("2", rollout=make_rollout(5, 30, 60)))
    world.settle()
    world.run_until("Holding")
    assert (world.canary_weight, world.status.rollout and world.status.rollout.step) == (30, 2)


@pytest.mark.parametrize("approval", [(), (25, 30)])
def test_edited_steps_that_all_lie_below_the_present_weight_promote_nobody(
    approval: tuple[int, ...],
) -> None:
    world = serving()
    world.apply(make_spec("2", rollout=make_rollout(50, hold=3600.0, approval=(50,))))
    world.run_until("Holding")
    world.apply(make_spec("2", rollout=make_rollout(25, 30, hold=60.0, approval=approval)))
    world.run(50.0)
    rollout = world.status.rollout
    assert (world.state, rollout and rollout.step, world.stable) == ("Holding", 2, "1")
    assert world.routed() == {world.revision("1"): 50, world.revision("2"): 50}
    assert "at 30 %, and keeps its 50 %" in world.status.message
    world.run(60.0)
    assert (world.state == "Holding", world.stable) == (bool(approval), "1" if approval else "2")


def test_a_step_that_is_edited_to_less_is_held_from_its_beginning() -> None:
    """Of the same name and number: what was held of more counts for nothing."""
    world = serving()
    world.apply(make_spec("2", rollout=make_rollout(Step("only", 50, hold_seconds=3600.0))))
    world.run_until("Holding")
    world.run(100.0)
    world.apply(make_spec("2", rollout=make_rollout(Step("only", 25, hold_seconds=60.0))))
    world.run(50.0)
    assert (world.state, world.canary_weight, world.stable) == ("Holding", 50, "1")
    world.run_until("Guarding")
    assert world.stable == "2"


def test_an_edit_of_the_steps_takes_no_promotion_back_that_is_on_its_way() -> None:
    world = rolling()
    world.command("promote", "2", "full")
    world.run_until("Scaling")
    world.apply(make_spec("2", rollout=make_rollout(5, hold=3600.0)))
    world.run(20.0)
    assert (world.state, world.stable) == ("Guarding", "2")


def test_a_retry_that_still_waits_takes_no_later_rollback_back() -> None:
    """It waits for the aborted version's traffic to go, and a person changes their mind."""
    world = rolling()
    world.command("abort", "2")
    world.step()
    world.command("retry", "2")
    world.step()
    assert world.state == "Reverting"
    world.command("rollback", "1")
    world.run(60.0)
    assert (world.state, world.stable, world.condition("Stalled")[1]) == ("Idle", "1", "Overridden")
    assert "went back to revision" in world.status.ignored_commands["retry"]
    world.command("retry", "2", unique="2")
    world.run_until("Holding")
    assert world.canary_weight == 20


def test_an_edited_analysis_starts_its_tests_anew() -> None:
    world = rolling(analysis=True)
    before = world.step().measure
    strict = make_rollout(20, 50, analysis=True)
    assert strict.analysis is not None
    world.apply(
        make_spec("2", rollout=replace(strict, analysis=replace(strict.analysis, min_requests=7)))
    )
    world.settle()
    after = world.step().measure
    assert before is not None
    assert after is not None
    assert before.key != after.key
    assert after.resume == ""


def test_a_lost_node_takes_traffic_off_the_canary_and_rejects_nobody() -> None:
    world = rolling()
    world.unready.add("2")
    world.lose_pods("2")
    world.settle()
    assert (world.state, world.routed()) == ("Scaling", {world.revision("1"): 100})
    world.unready.clear()
    world.run_until("Guarding")
    assert world.status.rejected == ()


def test_a_dead_stable_lets_the_fix_go_to_100_at_once() -> None:
    world = serving()
    world.crashing.add("1")
    world.make_pods()
    world.settle()
    world.apply(make_spec("2", rollout=make_rollout(20, hold=3600.0)))
    world.run(10.0)
    assert world.routed() == {world.revision("2"): 100}


def test_a_missing_gateway_is_said_and_heals_by_itself() -> None:
    world = rolling(to="Scaling")
    world.delete_gateway()
    world.run(60.0)
    assert world.condition("Routed") == ("False", "GatewayNotFound")
    assert world.status.rejected == ()
    world.restore_gateway()
    world.run_until("Guarding")
    assert world.condition("Routed") == ("True", "Accepted")


def test_without_gateway_api_the_condition_says_what_to_install() -> None:
    world = World(make_spec("1"), gateway_api=False)
    world.run(20.0)
    assert world.condition("Routed") == ("False", "GatewayAPINotInstalled")
    assert "install the Gateway API CRDs" in world.status.message
    assert world.routes == {}


def test_a_spec_of_no_use_leaves_what_serves_alone() -> None:
    world = serving()
    world.apply(None)
    world.run(30.0)
    assert (world.status.phase, world.routed()) == ("Invalid", {world.revision("1"): 100})
    assert world.condition("Ready") == ("True", "Serving")


def test_a_bad_canary_is_taken_back_even_while_the_spec_is_of_no_use() -> None:
    world = rolling()
    world.apply(None)
    world.settle()
    world.crashing.add("2")
    world.run(10.0)
    assert world.routed() == {world.revision("1"): 100}


def test_a_foreign_object_under_our_name_is_said_and_not_touched() -> None:
    failure = WriteFailure("Service", "fraud", "NameConflict", "belongs to somebody else")
    world = World(make_spec("1"), failures=(failure,))
    world.settle()
    assert world.condition("Stalled") == ("True", "NameConflict")
    assert world.condition("Ready")[0] == "False"
    assert world.status.message == "Service fraud: belongs to somebody else"


def test_an_object_that_its_message_names_is_not_named_twice() -> None:
    told = "the name is taken: Service fraud belongs to Deployment shop and is left alone"
    world = World(
        make_spec("1"), failures=(WriteFailure("Service", "fraud", "NameConflict", told),)
    )
    world.settle()
    assert world.status.message == told


def test_a_lost_status_finds_what_is_routed_to_be_stable() -> None:
    world = serving()
    world.status_raw = {}
    world.settle()
    assert (world.state, world.stable) == ("Reverting", "1")
    world.run_until("Idle")
    assert (world.stable, world.routed()) == ("1", {world.revision("1"): 100})


def test_with_status_and_routes_lost_what_was_stable_last_is_stable_again() -> None:
    world = rolling(hold=100.0)
    world.command("abort", "2")
    world.run_until("Rejected")
    world.routes.clear()
    world.services.clear()
    world.status_raw = {}
    world.run(60.0)
    assert (world.state, world.stable) == ("Rejected", "1")
    assert world.routed() == {world.revision("1"): 100}


def test_rules_that_send_nobody_anywhere_are_put_right_while_going_back() -> None:
    world = rolling(hold=100.0)
    world.unready.add("1")
    world.make_pods()
    while world.canary_weight != 100:
        world.run(1.0)
    world.command("abort", "2")
    world.settle()
    before = world.routed()
    world.edit_weight(100, 0)
    world.settle()
    assert (world.state, world.routed()) == ("Reverting", before)
    assert before == {world.revision("2"): 100}


def test_a_command_that_outlives_the_status_is_not_carried_out_again() -> None:
    world = rolling(hold=100.0)
    world.run_until("Holding")
    world.command("abort", "2")
    world.run_until("Rejected")
    world.command("retry", "2")
    world.run_until("Holding")
    world.command("abort", "2", unique="second")
    world.run_until("Rejected")
    world.status_raw = {}
    world.run(60.0)
    assert (world.state, world.stable, world.events.count("RolloutStarted")) == ("Rejected", "1", 2)


def test_an_edited_route_is_put_right_and_reported_once() -> None:
    world = rolling(hold=100.0)
    world.run_until("Holding")
    world.settle()
    world.edit_weight(20, 90)
    world.settle()
    world.run(5.0)
    assert world.routed()[world.revision("2")] == 20
    assert world.events.count("ExternalChangeReverted") == 1


def test_a_revisions_service_that_somebody_writes_is_put_right_and_told_with_their_name() -> None:
    world = rolling(hold=100.0)
    name = child_name("fraud", world.revision("2"))
    found = world.services[name]
    spec = {**json.loads(found.spec), "selector": {"app": "theirs"}}
    world.services[name] = replace(found, spec=json.dumps(spec).encode(), writers=("stranger",))
    world.settle()
    world.run(5.0)
    assert world.services[name].spec == found.spec
    told = [event.message for event in world.told if event.reason == "ExternalChangeReverted"]
    assert told == [f"Service {name} was changed by stranger; it is put right"]


def test_our_own_writes_of_a_route_are_not_reported_as_external_changes() -> None:
    world = rolling()
    world.run_until("Idle")
    assert (world.stable, world.events.count("ExternalChangeReverted")) == ("2", 0)


def test_a_scaled_spec_grows_stable_at_once_and_shrinks_it_only_at_rest() -> None:
    world = rolling(hold=100.0)
    world.apply(make_spec("2", replicas=3, rollout=make_rollout(20, 50, hold=100.0)))
    world.settle()
    assert world.replicas("1") == 3
    world.apply(make_spec("2", replicas=1, rollout=make_rollout(20, 50, hold=100.0)))
    world.run(20.0)
    assert (world.replicas("1"), world.status.stable and world.status.stable.replicas) == (3, 3)
    world.run_until("Idle")
    world.run(5.0)
    assert world.replicas("2") == 1


@pytest.mark.parametrize(
    ("weight", "selector"),
    [(0, {"1": 100}), (20, {"1": 80, "2": 20}), (100, {"2": 100})],
)
def test_router_replicas_shares_by_the_selector(weight: int, selector: dict[str, int]) -> None:
    world = serving(traffic=Traffic())
    world.apply(make_spec("2", traffic=Traffic(), rollout=make_rollout(20, 50)))
    while world.canary_weight != weight and world.state != "Guarding":
        world.settle()
        world.tick(0.5)
    world.settle()
    assert world.routed() == {world.revision(v): share for v, share in selector.items()}


def test_old_revisions_are_pruned_beyond_the_history_limit() -> None:
    world = serving()
    for version in ("2", "3", "4"):
        world.apply(make_spec(version, rollout=make_rollout(history=1, guard=0.0)))
        world.run(20.0)
    assert sorted(record.version for record in world.revisions.values()) == ["3", "4"]
    assert len(world.deployments) == 2


def test_an_object_that_is_being_deleted_is_left_to_garbage_collection() -> None:
    world = rolling()
    observed = world.observe()
    gone = replace(observed.model, meta=replace(observed.model.meta, deleting=True))

    assert plan(replace(observed, model=gone), world.now) == Plan()


def test_what_a_runtime_says_is_told_in_one_line_of_bounded_length() -> None:
    assert sanitize_text("no\x1b[31m such\n\timage") == "no [31m such image"
    assert len(sanitize_text("x" * 5000)) == 1024


def test_a_retreat_has_its_event() -> None:
    world = rolling()
    world.unready.add("2")
    world.lose_pods("2")
    world.settle()
    assert world.events.count("CanaryLost") == 1
