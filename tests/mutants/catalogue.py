"""The wrong versions, by what they break. Each names the test that has to catch it.

When the code moves on, a mutant moves with it: find the rule where it is now, break it there.
"""

from __future__ import annotations

from tests.mutants.mutant import Mutant

_STATES = "tests/unit/rollout/decide/test_states.py::"
_SCENARIOS = "tests/unit/rollout/decide/test_scenarios.py::"
_UNDECIDED = "tests/unit/rollout/situation/test_undecided.py::"
_HOLDBACK = "tests/unit/rollout/decide/test_holdback.py::"
_EXPERIMENT = "tests/unit/rollout/decide/test_experiment.py::"
_JOBS = "tests/unit/rollout/situation/test_step_jobs.py::"
_ROUTERS = "tests/unit/rollout/decide/test_other_routers.py::"
_DEFINITIONS = "tests/unit/routing/test_definitions.py::"
_PARENTS = "tests/unit/routing/test_parents.py::"
_COST = "tests/unit/cost/"
_METRICS = "tests/unit/metrics/"
_SESSIONS = "tests/unit/metrics/sessions/"
_SOURCES = "tests/unit/metrics/sources/"
_OUTBOUND = "tests/unit/outbound/"
_PROMQL = "tests/unit/queries/test_promql.py"
_QUERIES = "tests/unit/queries/test_scaling_queries.py::"
_SELECTORS = "tests/unit/queries/test_promql_selectors.py"
_REFUSED = "tests/unit/api/test_parsing.py::test_a_wrong_field_is_named_with_its_cure"
_SCALING = "tests/unit/rollout/situation/test_scaling.py::"
_IN_PLACE = "tests/unit/rollout/decide/test_in_place.py::"
_TEMPLATE = "tests/unit/resources/test_pod_template.py::"
_SOURCING = "tests/unit/rollout/situation/test_metric_sources.py::"
_USE = "tests/unit/cost/test_usage.py::"
_FAULTS = "tests/unit/rollout/situation/pods/test_faults.py::"
_SHELL = "tests/unit/shell/test_controller.py::"
_TEMPLATES = "tests/unit/templates/test_templates.py::"
_STRANGERS = "tests/simulated/test_strangers.py::"
_TRAFFIC = "tests/unit/rollout/decide/test_traffic_in_force.py::"
_EMERGENCY = "tests/unit/rollout/decide/test_emergency.py::"
_SIMULATED = "tests/simulated/test_simulated_scenarios.py::"

PODS_BEFORE_TRAFFIC = (
    Mutant(
        name="capacity-after-weight",
        wrong="A step's traffic is meant before the pods that it needs are ready",
        file="rollout/decide/states.py",
        old="    if situation.capacity.suffices:\n",
        new="    if situation.canary:\n",
        test=_SCENARIOS + "test_while_a_canary_waits_for_its_pods_nothing_is_written",
    ),
    Mutant(
        name="route-written-without-pods",
        wrong="A share that was meant is written though its pods have gone meanwhile",
        file="rollout/writes/children.py",
        old="    if ready >= situation.capacity.needed(part):\n",
        new="    if ready >= 0:\n",
        test=_SCENARIOS + "test_a_first_route_waits_for_pods_that_went_before_it_was_written",
    ),
    Mutant(
        name="pods-rounded-down",
        wrong="Half of three pods is one",
        file="core/capacity.py",
        old="max(1, -(-weight * size // 100))",
        new="max(1, weight * size // 100)",
        test=_SIMULATED
        + "test_a_superseded_revision_keeps_its_pods_until_the_gateway_has_forgotten_it",
    ),
    Mutant(
        name="copies-need-no-pods",
        wrong="A mirror is written on fewer pods than its copies need",
        file="rollout/situation/capacity.py",
        old="needed_replicas(max(part.weight, part.mirror or 0), size)",
        new="needed_replicas(part.weight, size)",
        test=_SCENARIOS + "test_a_mirror_is_not_written_on_fewer_pods_than_its_copies_need",
    ),
    Mutant(
        name="dead-stable-ignored",
        wrong="A stable without a ready pod is protected as if it served",
        file="rollout/situation/health.py",
        old="        return not seen.may_idle or seen.own_fault(stable.revision) is not None\n",
        new="        return False\n",
        test=_STATES + "test_a_dead_stable_lets_the_fix_go_to_100_at_once",
    ),
    Mutant(
        name="weight-back-on-too-few-pods",
        wrong="A rollback gives stable everything at once, whatever its pods carry",
        file="rollout/decide/states.py",
        old="    return min(live, 100 - carried)\n",
        new="    return 0\n",
        test=_SCENARIOS + "test_a_rollback_moves_at_once_what_the_pods_of_stable_carry",
    ),
    Mutant(
        name="nobody-ready-moves-weights",
        wrong="With no ready pod anywhere, weight is moved from one dead revision to the other",
        file="rollout/decide/states.py",
        old="    if lost and not situation.health.stable_is_away:\n",
        new="    if lost:\n",
        test=_SCENARIOS + "test_with_none_ready_anywhere_weights_stay",
    ),
    Mutant(
        name="header-canary-without-pods-stays",
        wrong="A canary that people reach by header alone stays routed when it has lost its pods",
        file="rollout/decide/states.py",
        old="    lost = canary.is_routed and situation.capacity.ready(canary.revision) == 0\n",
        new="    lost = canary.weight > 0 and situation.capacity.ready(canary.revision) == 0\n",
        test=_SCENARIOS + "test_a_canary_reached_by_header_that_loses_its_pods_is_not_led_to",
    ),
    Mutant(
        name="strangers-answer",
        wrong="Where whole pods share the traffic, a shift does not wait for strangers to go",
        file="rollout/decide/states.py",
        old="    return situation.paused or mixed or situation.now < "
        "resumes_at(situation.rollout)\n",
        new="    return situation.paused or situation.now < resumes_at(situation.rollout)\n",
        test=_SCENARIOS + "test_router_replicas_does_not_send_to_the_pods_of_a_canary_that_is_gone",
    ),
    Mutant(
        name="pods-count-before-they-are-ready",
        wrong="Pods that are asked for count as if they could be sent requests",
        file="rollout/situation/seen.py",
        old="        return min(counts)\n",
        new="        return deployment.replicas\n",
        test=_STATES + "test_the_canary_has_its_capacity_before_it_gets_traffic",
    ),
    Mutant(
        name="service-need-not-know-the-pods",
        wrong="Ready pods count though the Service that leads to them does not know them yet",
        file="rollout/situation/seen.py",
        old="        if behind_service:\n",
        new="        if False:\n",
        test=_SCENARIOS + "test_ready_pods_without_endpoints_get_no_traffic",
    ),
    Mutant(
        name="weights-do-not-sum-to-100",
        wrong="The canary's share is added to what stable has",
        file="rollout/decide/transitions.py",
        old="        stable=stable and replace(stable, weight=100 - canary_weight),\n",
        new="        stable=stable and replace(stable, weight=100),\n",
        test=_STATES + "test_a_rollout_goes_through_its_steps_to_100_and_is_guarded",
    ),
)

TRAFFIC_BEFORE_PODS = (
    Mutant(
        name="scale-down-on-accepted",
        wrong="A route counts as in force when it is accepted, not when it has settled",
        file="rollout/decide/states.py",
        old="    settled_at = situation.now + situation.traffic.router.settle_seconds\n",
        new="    settled_at = situation.now\n",
        test=_STATES + "test_a_hold_is_counted_from_when_the_router_has_settled",
    ),
    Mutant(
        name="scale-down-on-written",
        wrong="The old pods go once the weight is written, before a gateway has accepted it",
        file="rollout/decide/states.py",
        old="    if paused or not situation.traffic.verification.accepted:\n",
        new="    if paused or not situation.traffic.is_written:\n",
        test=_SCENARIOS + "test_stable_keeps_its_size_until_the_new_weight_is_verified",
    ),
    Mutant(
        name="canary-gone-before-weight-0-is-in-force",
        wrong="A rollback ends, and the canary's pods go, before weight 0 has settled",
        file="rollout/decide/states.py",
        old="    return _end_revert(situation) if _is_settled(situation) else situation\n",
        new="    return _end_revert(situation)\n",
        test=_STATES + "test_weight_goes_back_before_the_canary_loses_a_pod",
    ),
    Mutant(
        name="no-drain",
        wrong="Where whole pods share the traffic, they go without having been drained",
        file="rollout/writes/children.py",
        old="    if not (starts or rollout.state in SETTLED) or situation.now < "
        "drained_at(situation):\n",
        new="    if not (starts or rollout.state in SETTLED):\n",
        test=_SCENARIOS + "test_a_paused_rollback_still_drains",
    ),
    Mutant(
        name="previous-shrinks-at-promotion",
        wrong="The previous revision loses its pods as soon as the new one is stable",
        file="rollout/writes/children.py",
        old="{part.revision for part in situation.parts}\n",
        new="{p.revision for p in situation.parts if p is not situation.previous}\n",
        test=_STATES + "test_the_previous_revision_stays_at_full_size_until_the_guard_ends",
    ),
    Mutant(
        name="copies-go-on-after-a-rollback",
        wrong="A rollback takes the weight back and leaves the mirror and the header rule",
        file="rollout/decide/states.py",
        old="    if canary and (weight != canary.weight or canary.has_extras):\n",
        new="    if canary and weight != canary.weight:\n",
        test=_ROUTERS + "test_a_canary_that_only_gets_copies_is_taken_back_with_them[Istio]",
    ),
    Mutant(
        name="peak-forgotten",
        wrong="Stable shrinks with the spec while a rollout is under way",
        file="rollout/situation/scaling.py",
        old="        return spec.replicas if rests else max(spec.replicas, stable.replicas)\n",
        new="        return spec.replicas\n",
        test=_STATES + "test_a_scaled_spec_grows_stable_at_once_and_shrinks_it_only_at_rest",
    ),
    Mutant(
        name="old-routes-go-at-once",
        wrong="The routes of the router before are deleted before the new ones are in force",
        file="rollout/writes/children.py",
        old="    return max(created, default=0.0) + 1.0 + "
        "situation.traffic.router.settle_seconds\n",
        new="    return 0.0\n",
        test=_ROUTERS + "test_the_old_routes_stay_until_the_new_ones_are_taken",
    ),
    Mutant(
        name="old-routes-go-before-the-new-are-taken",
        wrong="Something is taken away while the router may still work by what was before",
        file="rollout/writes/children.py",
        old=("    if _is_in_motion(situation):\n        return\n"),
        new="",
        test=_ROUTERS + "test_the_old_routes_stay_until_the_new_ones_are_taken",
    ),
    Mutant(
        name="acceptance-not-awaited",
        wrong="Places are made some time after a route was written, taken or not",
        file="rollout/decide/states.py",
        old=(
            "    if not situation.traffic.is_taken:\n"
            "        return situation.with_rollout(verified_at=None)\n"
        ),
        new="",
        test=_SIMULATED + "test_a_place_is_made_only_once_a_late_gateway_works_by_what_was_written",
    ),
    Mutant(
        name="place-made-in-the-middle-of-a-shift",
        wrong="In place a step takes pods of stable by weights that have not settled",
        file="rollout/decide/in_place.py",
        old="return math.inf if verified_at is None else verified_at + ",
        new="return 0.0 and ",
        test=_IN_PLACE
        + "test_promoted_in_the_middle_of_a_shift_no_pod_goes_before_that_has_settled",
    ),
    Mutant(
        name="fix-takes-pods-too-early",
        wrong="A fix for a dead stable takes the pods of whoever still has its traffic",
        file="rollout/writes/children.py",
        old='    if rollout.state == "Shifting" or began_unsettled(situation.status):\n',
        new='    if rollout.state == "Shifting":\n',
        test=_SCENARIOS
        + "test_a_fix_for_a_dead_stable_takes_no_pods_from_whom_the_gateway_may_still_ask",
    ),
    Mutant(
        name="wanted-revision-pruned",
        wrong="History forgets a rejected revision that the spec still names",
        file="rollout/writes/history.py",
        old="    named |= {wish.revision for wish in (situation.named, "
        "situation.wanted) if wish is not None}\n",
        new="    named |= {wish.revision for wish in () if wish is not None}\n",
        test=_SCENARIOS + "test_a_rejected_revision_that_is_wanted_keeps_its_record",
    ),
)

EMERGENCIES = (
    Mutant(
        name="emergency-at-a-blink",
        wrong="Stable counts as dead as soon as none of its pods is ready",
        file="rollout/situation/health.py",
        old="        return self.seen.now - since >= self.seen.terms.emergency_seconds\n",
        new="        return True\n",
        test=_EMERGENCY + "test_nothing_moves_before_stable_was_gone_for_its_time",
    ),
    Mutant(
        name="emergency-undone-at-once",
        wrong="What an emergency decides is taken back for want of pods, and decided again",
        file="rollout/decide/states.py",
        old="    if not emergency and _is_short(situation) and not situation.traffic.is_written:\n",
        new="    if _is_short(situation) and not situation.traffic.is_written:\n",
        test=_EMERGENCY + "test_a_stable_that_dies_under_a_canary_of_one_pod_is_no_livelock",
    ),
    Mutant(
        name="an-edit-in-an-emergency-goes-round",
        wrong="Edited steps have a canary in an emergency brought up and shifted anew",
        file="rollout/decide/transitions.py",
        old="    if canary is None or canary.weight <= step.weight:\n",
        new="    if canary is None or situation.rollout.emergency:\n",
        test=_EMERGENCY
        + "test_an_edit_of_the_steps_in_an_emergency_makes_no_round_through_their_pods",
    ),
    Mutant(
        name="lower-steps-promote",
        wrong="Steps that are edited to less than the canary has promote it, past their approval",
        file="rollout/decide/intent.py",
        old="if name == CLOSING_NAME or not listed else len(listed)\n",
        new="\n",
        test=_STATES
        + "test_edited_steps_that_all_lie_below_the_present_weight_promote_nobody[approval1]",
    ),
    Mutant(
        name="writers-of-services-untold",
        wrong="Who writes the Service of a single revision is put right without a word",
        file="rollout/report/events.py",
        old="        if isinstance(write, Apply) and found is not None and found.writers:\n",
        new="        if isinstance(write, Apply) and found is not None and not found.writers:\n",
        test=_STATES
        + "test_a_revisions_service_that_somebody_writes_is_put_right_and_told_with_their_name",
    ),
    Mutant(
        name="retry-outlives-a-rollback",
        wrong="A retry that still waits takes a person's later rollback back",
        file="rollout/decide/commands.py",
        old="    if retry is None or retry.revision == rollback.revision:\n",
        new="    if retry is not None or retry is None:\n",
        test=_STATES + "test_a_retry_that_still_waits_takes_no_later_rollback_back",
    ),
    Mutant(
        name="emergency-skips-steps-at-an-edit",
        wrong="Edited steps go on from half of what a canary got in an emergency",
        file="rollout/decide/intent.py",
        old="    weight = earned_weight(situation)\n",
        new="    weight = situation.canary.weight // 2 if situation.canary else 0\n",
        test=_EMERGENCY + "test_an_edit_of_the_steps_in_an_emergency_skips_none",
    ),
    Mutant(
        name="every-rollout-is-a-fix",
        wrong="In an emergency nothing is held of any canary, as if it were a fix",
        file="rollout/decide/emergency.py",
        old='emergency=rollout.emergency or "Canary",',
        new='emergency="Fix",',
        test=_EMERGENCY
        + "test_a_canary_that_stable_dies_under_right_after_its_begin_is_held_as_ever",
    ),
    Mutant(
        name="flapping-stable-is-always-believed",
        wrong="A stable that comes and goes gets its traffic back each time at once",
        file="rollout/situation/clock.py",
        old="    if rollout.emergency_at is None or (rollout.emergencies or 0) < 2:",
        new="    if True:",
        test=_EMERGENCY + "test_a_stable_that_comes_and_goes_is_believed_ever_later",
    ),
    Mutant(
        name="lost-status-promotes",
        wrong="A status that is lost in an emergency makes the canary stable",
        file="rollout/decide/intent.py",
        old="    return [*kept, *sorted(routed, key=lambda d: -weights[d.revision])]\n",
        new="    return sorted(routed, key=lambda d: -weights[d.revision]) or kept\n",
        test=_EMERGENCY + "test_a_lost_status_in_an_emergency_promotes_nobody",
    ),
)

STEPS_AND_TIME = (
    Mutant(
        name="hold-starts-anew",
        wrong="The hold is counted in the process's memory: a restarted operator begins it anew",
        file="shell/controller/reconciler.py",
        old="        now, confirmed = self._now(), set[Ref]()\n",
        new="        from dataclasses import replace\n"
        "        now, confirmed, rollout = self._now(), set[Ref](), record.status.rollout\n"
        '        if rollout and rollout.state == "Holding" and rollout.verified_at:\n'
        '            began = self.__dict__.setdefault("began", {})\n'
        "            at = began.setdefault((key, rollout.step), now)\n"
        "            rollout = replace(rollout, verified_at=at)\n"
        "            record = replace(record, status=replace(record.status, rollout=rollout))\n",
        test=_SIMULATED + "test_a_hold_goes_on_where_it_was_when_the_operator_is_restarted",
    ),
    Mutant(
        name="pause-starts-the-hold-anew",
        wrong="What was held before a pause is forgotten",
        file="rollout/situation/clock.py",
        old="held_seconds=int(held_seconds(rollout, now)), verified_at=None)",
        new="held_seconds=0, verified_at=None)",
        test=_STATES + "test_a_pause_stops_the_clock_and_does_not_start_it_anew",
    ),
    Mutant(
        name="hold-runs-while-paused",
        wrong="The hold's clock runs on in a pause",
        file="rollout/decide/states.py",
        old="    return situation.paused or alone or (_is_short(situation) and not cramped)\n",
        new="    return alone or (_is_short(situation) and not cramped)\n",
        test=_STATES + "test_a_pause_stops_the_clock_and_does_not_start_it_anew",
    ),
    Mutant(
        name="approval-not-asked-for",
        wrong="A step that waits for a person ends by itself",
        file="rollout/decide/states.py",
        old="    if situation.steps.current.approval or not may_pass(situation):\n",
        new="    if not may_pass(situation):\n",
        test=_STATES + "test_an_approval_is_waited_for_and_given_by_promote",
    ),
    Mutant(
        name="third-version-at-the-old-weight",
        wrong="A third version takes the second one's place and goes on at its weight",
        file="rollout/decide/states.py",
        old='    return revert(situation, "Superseded", "Superseded", words)\n',
        new=(
            "    third = wanted.status(replicas=canary.replicas)\n"
            "    return situation.replace(canary=replace(third, weight=canary.weight))\n"
        ),
        test=_SCENARIOS + "test_a_third_version_waits_until_stable_has_all_traffic_and_its_size",
    ),
    Mutant(
        name="edited-steps-begin-anew",
        wrong="Edited steps send the canary back to the first one",
        file="rollout/decide/intent.py",
        old="    first = next((step.weight for step in listed if step.weight >= weight), None)\n",
        new="    first = listed[0].weight if listed else None\n",
        test=_STATES + "test_edited_steps_go_on_at_the_first_weight_not_below_the_present_one",
    ),
    Mutant(
        name="guard-skipped",
        wrong="The guard ends as soon as the traffic has settled",
        file="rollout/decide/states.py",
        old="    over = _is_guarded(situation) and not _held_back(situation)\n",
        new="    over = True\n",
        test=_STATES + "test_the_previous_revision_stays_at_full_size_until_the_guard_ends",
    ),
    Mutant(
        name="no-fast-track",
        wrong="A revision that was stable before goes through all steps again",
        file="rollout/decide/transitions.py",
        old="    known = wanted.record is not None and wanted.record.stable_at is not None\n",
        new="    known = False\n",
        test=_STATES + "test_what_was_stable_before_goes_back_on_the_fast_track",
    ),
    Mutant(
        name="retreats-without-end",
        wrong="A canary that loses its pods under traffic is shifted again at once, for ever",
        file="rollout/situation/clock.py",
        old="    if not rollout.retreats or rollout.step_started_at is None:\n",
        new="    if True:\n",
        test=_SCENARIOS + "test_a_canary_whose_readiness_flaps_is_not_shifted_for_ever",
    ),
    Mutant(
        name="nobody-wakes",
        wrong="A step that may be tried again is not, until something else happens",
        file="rollout/plan.py",
        old="    moments += [resumes_at(rollout), returns_at(rollout)]\n",
        new="    moments.append(returns_at(rollout))\n",
        test=_SCENARIOS + "test_wake_ups_alone_bring_a_step_to_be_tried_again_after_a_retreat",
    ),
    Mutant(
        name="leads-to-what-was-just-created",
        wrong="Traefik's entrance leads to a mirror that Traefik may not have heard of yet",
        file="rollout/writes/children.py",
        old="    waits = situation.now < (turned_at(situation) or 0.0)\n",
        new="    waits = False\n",
        test=_ROUTERS + "test_traefik_has_seen_the_mirror_when_requests_are_led_to_it",
    ),
    Mutant(
        name="rollout-beside-a-change-of-router",
        wrong="A rollout begins while another router is taking over",
        file="rollout/decide/states.py",
        old="    return routed and not situation.traffic.is_written\n",
        new="    return False\n",
        test=_SCENARIOS + "test_a_rollout_waits_until_another_router_has_taken_over",
    ),
    Mutant(
        name="goes-on-by-a-spec-of-no-use",
        wrong="A rollout goes on by itself while the spec cannot be used",
        file="rollout/situation/situation.py",
        old="        return self.wanted is None or self.terms.paused\n",
        new="        return self.terms.paused\n",
        test=_SCENARIOS + "test_a_rollout_stands_still_while_the_spec_is_of_no_use",
    ),
    Mutant(
        name="rollbacks-wait-their-turn",
        wrong="A rollback stands in the queue behind everybody's ordinary work",
        file="rollout/plan.py",
        old='        urgent=after.rollout.state == "Reverting",\n',
        new="        urgent=False,\n",
        test=_SCENARIOS + "test_a_rollback_is_urgent_and_nothing_else_is",
    ),
)

REJECTIONS_AND_FAULTS = (
    Mutant(
        name="undeliverable-step-tried",
        wrong="A mirror is written to a gateway that answers 404 for the whole rule then",
        file="rollout/situation/situation.py",
        old="    if not problems:\n        return observed\n",
        new="    if True:\n        return observed\n",
        test="tests/unit/rollout/situation/test_feasibility.py::"
        "test_a_mirror_that_the_gateway_would_break_on_is_refused_with_what_to_write",
    ),
    Mutant(
        name="rejection-forgotten",
        wrong="A revision that was taken back is tried again by itself",
        file="rollout/decide/transitions.py",
        old='    if ending != "Rejected" or situation.canary is None:\n',
        new="    if True:\n",
        test=_STATES + "test_a_rejected_revision_is_tried_again_only_on_retry",
    ),
    Mutant(
        name="rejection-lost-with-the-status",
        wrong="A lost status takes the rejections with it",
        file="rollout/decide/intent.py",
        old="    found = situation.replace(rejected=_find_rejections(situation), "
        "last_handled_commands=handled)\n",
        new="    found = situation.replace(last_handled_commands=handled)\n",
        test=_SCENARIOS + "test_a_rejection_outlives_a_lost_status",
    ),
    Mutant(
        name="canary-found-to-be-stable",
        wrong="After a lost status whoever has most of the traffic is stable",
        file="rollout/decide/intent.py",
        old="key=lambda d: (d.revision not in proven, -weights[d.revision])",
        new="key=lambda d: (-weights[d.revision],)",
        test=_SCENARIOS + "test_a_lost_status_in_a_rollout_does_not_promote_the_canary",
    ),
    Mutant(
        name="deadline-runs-in-an-outage",
        wrong="The deadline runs while pods cannot be scheduled, and rejects them when they can",
        file="rollout/decide/intent.py",
        old="    hindered = situation.paused or (fault is not None and fault.whose "
        '== "Environment")\n',
        new="    hindered = situation.paused\n",
        test=_SIMULATED
        + "test_an_environment_that_heals_late_leaves_the_pods_their_time[False-unschedulable]",
    ),
    Mutant(
        name="deadline-blames-the-revision",
        wrong="At the deadline a revision is rejected for pods that nobody has created",
        file="rollout/situation/seen.py",
        old='        return stuck and (fault is None or fault.whose == "Unclear")\n',
        new="        return True\n",
        test=_SCENARIOS + "test_pods_that_nobody_creates_are_not_the_revisions_fault",
    ),
    Mutant(
        name="unschedulable-is-its-own-fault",
        wrong="A revision is rejected because the cluster is full",
        file="rollout/situation/pods/faults.py",
        old='        return Fault("Environment", "Unschedulable", words)\n',
        new='        return Fault("Revision", "Unschedulable", words)\n',
        test=_SIMULATED
        + "test_an_environment_that_heals_late_leaves_the_pods_their_time[False-unschedulable]",
    ),
    Mutant(
        name="flapping-renews-the-deadline",
        wrong="A pod whose readiness comes and goes renews the progress deadline for ever",
        file="rollout/decide/intent.py",
        old="    if ready > rollout.most_ready and rollout.state in",
        new="    if tried and ready > tried.ready_replicas and rollout.state in",
        test=_SCENARIOS + "test_readiness_that_flaps_does_not_renew_the_deadline",
    ),
    Mutant(
        name="returns-without-limit",
        wrong="A canary that gives way under traffic is tried again for ever",
        file="rollout/decide/states.py",
        old="    if returns < MOST_RETURNS:\n",
        new="    if True:\n",
        test=_SCENARIOS + "test_a_canary_whose_readiness_flaps_is_not_shifted_for_ever",
    ),
    Mutant(
        name="lost-nodes-are-returns",
        wrong="A canary whose nodes are lost three times is rejected",
        file="rollout/situation/pods/faults.py",
        old="    return any(not state.ready for state in pod.containers)\n",
        new="    return True\n",
        test=_SCENARIOS + "test_pods_that_others_took_are_no_returns_of_the_canarys",
    ),
    Mutant(
        name="clock-of-the-machine",
        wrong="A new leader goes by its machine's clock, and rejects a canary that has just begun",
        file="kube/clock.py",
        old="        self._offset += ahead if is_first else",
        new="        self._offset += 0.0 if is_first else",
        test="tests/simulated/test_clocks.py::"
        "test_a_new_leader_whose_clock_is_wrong_goes_by_the_apiservers[90.0]",
    ),
    Mutant(
        name="clock-jumps",
        wrong="The apiserver's clock jumps, and every deadline with it",
        file="kube/clock.py",
        old="max(-MOST_STEP, min(MOST_STEP, ahead))",
        new="ahead",
        test="tests/unit/kube/test_clock.py::"
        "test_whosever_clock_jumps_time_goes_on_as_it_does[apiserver-3600.0]",
    ),
    Mutant(
        name="future-stands-still",
        wrong="A clock that was set back by a day stops holds and guards for a day",
        file="rollout/situation/clock.py",
        old="    return now if at > latest else earliest\n",
        new="    return at if at > latest else earliest\n",
        test="tests/simulated/test_clocks.py::"
        "test_a_clock_set_back_a_day_before_a_takeover_is_said_and_forgiven[Holding]",
    ),
    Mutant(
        name="words-of-another-pod",
        wrong="What the kubelet said of a pod that is gone is told of those that are there",
        file="rollout/situation/pods/unready.py",
        old="    if event is None or event.pod not in (pod.meta.name for pod in stuck):\n",
        new="    if event is None:\n",
        test="tests/unit/rollout/situation/pods/test_unready.py::"
        "test_what_was_said_of_another_pod_is_not_told_of_this_one",
    ),
    Mutant(
        name="busy-registry-rejects",
        wrong="A registry that asks for patience gets a good version rejected",
        file="rollout/situation/pods/kubelet_reasons.py",
        old="    if reason != BACKED_OFF or _says(message, _REGISTRY_BUSY):\n",
        new="    if reason != BACKED_OFF:\n",
        test=_FAULTS + "test_an_image_that_cannot_be_pulled_is_blamed_by_what_the_registry_said",
    ),
    Mutant(
        name="ready-sibling-excuses-nobody",
        wrong="In the guard one pod on a bad node gets a proven version rejected",
        file="rollout/situation/pods/faults.py",
        old="                yield _excuse(fault, state) if works else fault\n",
        new="                yield fault\n",
        test=_FAULTS + "test_what_starts_in_one_pod_is_not_blamed_for_another_that_cannot_start",
    ),
    Mutant(
        name="injected-container-blames",
        wrong="A proxy that a webhook put into the pods gets the version rejected",
        file="rollout/situation/pods/faults.py",
        old="            mine = state.name in own\n",
        new="            mine = bool(own)\n",
        test=_FAULTS + "test_a_container_that_somebody_injected_is_the_environments",
    ),
    Mutant(
        name="pause-stops-a-rollback",
        wrong="While somebody pauses, a canary is not taken back",
        file="rollout/decide/states.py",
        old='    aborted, after = _take(situation, "abort", canary.revision)\n',
        new=(
            "    if situation.paused:\n"
            "        return None\n"
            '    aborted, after = _take(situation, "abort", canary.revision)\n'
        ),
        test=_STATES + "test_an_abort_is_heard_while_paused",
    ),
    Mutant(
        name="fault-in-the-guard-ignored",
        wrong="A new stable that crashes in the guard keeps the traffic",
        file="rollout/decide/states.py",
        old="    trouble = situation.seen.own_fault(stable.revision) or has_failed(situation)\n",
        new="    trouble = has_failed(situation)\n",
        test=_SCENARIOS + "test_a_fault_in_the_guard_rejects_the_new_stable_and_says_why",
    ),
    Mutant(
        name="dead-new-stable-ignored",
        wrong="A new stable that loses all its pods in the guard keeps the traffic",
        file="rollout/decide/states.py",
        old="    return situation.capacity.ready(previous.revision) > 0\n",
        new="    return False\n",
        test=_SCENARIOS + "test_a_guard_without_a_ready_pod_goes_back_to_what_is_warm",
    ),
    Mutant(
        name="cancel-rejects",
        wrong="Who goes back to stable in the spec has the canary rejected",
        file="rollout/decide/states.py",
        old='        return revert(situation, "Canceled", "WentBack", f"{who} went '
        'back to stable")\n',
        new='        return revert(situation, "Rejected", "WentBack", f"{who} went '
        'back to stable")\n',
        test=_STATES + "test_going_back_to_stable_cancels_and_rejects_nobody",
    ),
)

VERDICTS = (
    Mutant(
        name="failed-verdict-ignored",
        wrong="A failed verdict holds the step and takes nobody back",
        file="rollout/situation/judging.py",
        old='    return result if result is not None and result.verdict == "Fail" else None\n',
        new="    return None\n",
        test=_STATES + "test_a_failed_verdict_takes_the_canary_back_and_rejects_it",
    ),
    Mutant(
        name="inconclusive-passes",
        wrong="An inconclusive verdict is as good as a pass",
        file="rollout/situation/judging.py",
        old='    return result is not None and result.verdict == "Pass"\n',
        new='    return result is not None and result.verdict in ("Pass", "Inconclusive")\n',
        test=_STATES + "test_an_inconclusive_verdict_stays_in_the_step",
    ),
    Mutant(
        name="no-data-passes",
        wrong="Nothing to judge by is as good as a pass",
        file="rollout/situation/judging.py",
        old='    return result is not None and result.verdict == "Pass"\n',
        new='    return result is not None and result.verdict in ("Pass", "NoData")\n',
        test=_STATES + "test_a_verdict_without_data_never_promotes",
    ),
    Mutant(
        name="silence-passes",
        wrong="A judge that has said nothing yet has nothing against the next step",
        file="rollout/situation/judging.py",
        old='    return result is not None and result.verdict == "Pass"\n',
        new='    return result is None or result.verdict == "Pass"\n',
        test=_SCENARIOS + "test_a_measurement_that_ended_early_is_no_success",
    ),
    Mutant(
        name="verdict-of-another-step",
        wrong="What was said of another step, or another revision, counts for this one",
        file="rollout/situation/seen.py",
        old="        return result if result is not None and result.key == key else None\n",
        new="        return result\n",
        test=_SCENARIOS + "test_a_measurement_that_ended_early_is_no_success",
    ),
    Mutant(
        name="silence-is-no-data",
        wrong="A restarted operator takes its judge's silence for missing data, and rolls back",
        file="rollout/situation/judging.py",
        old='    return result is not None and result.verdict == "NoData"\n',
        new='    return result is None or result.verdict == "NoData"\n',
        test=_SCENARIOS + "test_a_restart_at_the_end_of_a_hold_does_not_count_as_no_data",
    ),
    Mutant(
        name="status-written-at-each-reading",
        wrong="Every reading of the judge is saved, and wakes everybody who watches",
        file="rollout/report/status.py",
        old="    return saved_at is None or situation.now - saved_at >= SAVE_SECONDS\n",
        new="    return True\n",
        test=_SCENARIOS + "test_judged_does_not_write_status_at_each_reading",
    ),
    Mutant(
        name="header-step-compared-with-stable",
        wrong="Testers who come by header are compared with everybody else",
        file="rollout/situation/judging.py",
        old="    if compared_revision(situation) is not None and not by_header:\n",
        new="    if compared_revision(situation) is not None:\n",
        test=_SCENARIOS + "test_who_comes_by_header_is_judged_by_absolute_bounds_alone",
    ),
)

HOLDBACK = (
    Mutant(
        name="holdback-left-behind",
        wrong="In place the guard ends while the previous revision still has what was held back",
        file="rollout/decide/states.py",
        old="    over = _is_guarded(situation) and not _held_back(situation)\n",
        new="    over = _is_guarded(situation)\n",
        test=_IN_PLACE + "test_what_several_pods_hold_back_goes_to_the_new_one_pod_by_pod[10-20]",
    ),
    Mutant(
        name="closing-step-asks-for-places-that-are-held-back",
        wrong="In place the closing step waits for the whole size beside what is held back",
        file="rollout/situation/capacity.py",
        old="        if self.steps.is_closing and self.seen.lacks_room(canary):",
        new="        if not self.status:",
        test=_IN_PLACE + "test_what_several_pods_hold_back_goes_to_the_new_one_pod_by_pod[10-50]",
    ),
    Mutant(
        name="holdback-not-compared",
        wrong="In the guard nobody looks at what is held back",
        file="rollout/situation/judging.py",
        old="    return previous if previous is not None and previous.weight > 0 else None\n",
        new="    return None\n",
        test=_SIMULATED
        + "test_a_regression_that_begins_in_the_guard_shows_beside_what_is_held_back",
    ),
    Mutant(
        name="holdback-of-whole-pods",
        wrong="Where whole pods share the traffic, a holdback is half of it",
        file="rollout/situation/feasibility.py",
        old="    if spec.rollout.holdback and router.mixes_pods:\n",
        new="    if False:\n",
        test=_HOLDBACK + "test_whole_pods_hold_nothing_back_and_that_is_said_before_anything_moves",
    ),
    Mutant(
        name="holdback-on-what-one-goes-back-from",
        wrong="Who goes back to an earlier version leaves a share on the one that was bad",
        file="rollout/situation/steps.py",
        old="(record and record.stable_at is not None):\n            return 0\n",
        new="(record and record.stable_at is None):\n            return 0\n",
        test=_HOLDBACK + "test_nothing_is_held_back_on_what_one_goes_back_from",
    ),
    Mutant(
        name="holdback-on-nobody",
        wrong="A previous revision that has lost its pods goes on being sent what is held back",
        file="rollout/decide/states.py",
        old=("    if not situation.capacity.ready(previous.revision):\n        return 0\n"),
        new="",
        test=_HOLDBACK + "test_what_is_held_back_on_a_revision_without_pods_goes_to_the_new_stable",
    ),
    Mutant(
        name="third-version-takes-held-back-pods",
        wrong="A third version has pods taken that what was held back may still reach",
        file="rollout/decide/states.py",
        old="        start = begin_unsettled if _may_reach_previous(situation) else begin\n",
        new="        start = begin\n",
        test=_SIMULATED + "test_a_third_version_in_the_guard_takes_no_pods_from_what_is_held_back",
    ),
)

EXPERIMENTS = (
    Mutant(
        name="experiment-decided-before-its-time",
        wrong="An experiment is decided as soon as its traffic flows",
        file="core/spec.py",
        old="            hold_seconds=self.min_seconds,\n",
        new="",
        test=_EXPERIMENT + "test_nothing_is_decided_before_its_time[CanaryWorse]",
    ),
    Mutant(
        name="experiment-without-end",
        wrong="What nobody can tell apart is compared for ever",
        file="rollout/decide/states.py",
        old="    if held_seconds(situation.rollout, situation.now) < experiment.max_seconds:\n",
        new="    if situation.canary:\n",
        test=_EXPERIMENT
        + "test_what_nobody_can_tell_apart_goes_back_when_time_is_up_and_stays_back",
    ),
    Mutant(
        name="winner-of-unknown-errors",
        wrong="Who wins the experiment is promoted, whatever is known of its errors",
        file="rollout/decide/states.py",
        old='    if outcome.verdict == "CanaryBetter" and may_pass(situation):\n',
        new='    if outcome.verdict == "CanaryBetter":\n',
        test=_EXPERIMENT + "test_a_winner_whose_errors_are_not_known_waits[NoData]",
    ),
    Mutant(
        name="cookie-outlives-its-experiment",
        wrong="A canary that is taken back keeps the people whom a cookie leads to it",
        file="rollout/decide/transitions.py",
        old='{"mirror": None, "headers": (), "sticky": None}',
        new='{"mirror": None, "headers": ()}',
        test=_EXPERIMENT + "test_a_cookie_is_forgotten_with_the_canary_that_is_taken_back",
    ),
)

JUDGING = (
    Mutant(
        name="missing-template-passes",
        wrong="A metric that nothing can be asked for stands in nobody's way",
        file="rollout/situation/judging.py",
        old=("        return False\n    result = current_result(situation)\n"),
        new=("        return True\n    result = current_result(situation)\n"),
        test=_SOURCING + "test_a_metric_without_its_template_holds_the_step_and_says_so",
    ),
    Mutant(
        name="proof-ends-experiments",
        wrong="Proof that the canary is no worse ends an experiment before its time",
        file="rollout/situation/judging.py",
        old="    if result is None or situation.steps.experiment is not None:\n",
        new="    if result is None:\n",
        test=_SOURCING + "test_proof_ends_no_experiment_and_no_step_that_waits_for_a_person",
    ),
    Mutant(
        name="edited-template-goes-on",
        wrong="A template is edited, and its tests go on with what the old one told",
        file="rollout/situation/judging.py",
        old="    terms = repr((wanted, asked, _experiment_metric(situation)))\n",
        new="    terms = repr((wanted, _experiment_metric(situation)))\n",
        test=_SOURCING + "test_an_edited_template_starts_its_tests_anew",
    ),
    Mutant(
        name="any-gateway-counts",
        wrong="A gateway that doesn't tell revisions apart is read as if it did",
        file="rollout/situation/metric_sources.py",
        old=" for name in asked if words)\n",
        new=" for name in asked[:0])\n",
        test=_SOURCING
        + "test_a_gateway_that_does_not_tell_revisions_apart_promotes_nobody[Envoy Gateway]",
    ),
    Mutant(
        name="good-ones-taken-for-bad",
        wrong="Where good ones are counted, they are held against the canary",
        file="metrics/sources/asking.py",
        old="        return flip(counts) if self.query.good and counts is not None else counts\n",
        new="        return counts\n",
        test=_SESSIONS + "test_readers.py::test_good_ones_are_turned_into_bad_ones",
    ),
    Mutant(
        name="failed-reading-forgotten",
        wrong="A reading that failed is as if it had never been tried",
        file="metrics/sessions/session.py",
        old="        self.analysis = judge.observe_error(self.analysis, source, problem)\n",
        new="",
        test=_SESSIONS
        + "test_session.py::test_a_reading_that_fails_is_told_and_neither_passes_nor_fails",
    ),
    Mutant(
        name="end-of-hold-never-told",
        wrong="What is decided at the end of a hold waits for another reading",
        file="metrics/sessions/session.py",
        old="        if is_over and self.analysis.gauges:\n",
        new="        if False:\n",
        test=_SESSIONS
        + "test_session.py::test_what_is_decided_at_the_end_of_a_hold_is_published_when_it_is_over",
    ),
)

COMMANDS = (
    Mutant(
        name="abort-ignored-in-the-guard",
        wrong="After the promotion nobody listens to an abort",
        file="rollout/decide/states.py",
        old='    aborted, after = _take(situation, "abort", stable.revision)\n',
        new="    aborted, after = False, situation\n",
        test=_STATES + "test_an_abort_in_the_guard_goes_back_to_the_previous_revision",
    ),
    Mutant(
        name="retry-of-another-revision",
        wrong="A retry lifts the rejection of whichever revision is wanted",
        file="rollout/decide/states.py",
        old="    if command is None or command.revision != revision:\n",
        new='    if command is None or (verb != "retry" and command.revision != revision):\n',
        test=_SCENARIOS
        + "test_a_retry_of_another_rejected_revision_does_not_try_the_one_that_is_wanted",
    ),
    Mutant(
        name="promote-of-a-past-step",
        wrong="A promote that names another step ends this one",
        file="core/commands.py",
        old="        return self.step is None or self.step in (str(number), name)\n",
        new="        return True\n",
        test=_STATES + "test_a_promote_for_another_step_is_not_taken_for_this_one",
    ),
    Mutant(
        name="command-not-recorded",
        wrong="A command has its effect and is not recorded: it has it again and again",
        file="rollout/decide/states.py",
        old="    return True, record_command(situation, command)\n",
        new="    return True, situation\n",
        test=_SCENARIOS + "test_a_command_that_is_heard_is_not_said_to_have_no_effect[promote]",
    ),
    Mutant(
        name="command-acted-on-twice",
        wrong="What was handled before is not looked at",
        file="core/commands.py",
        old="        if verb in commands and commands[verb] != handled.get(verb)\n",
        new="        if verb in commands\n",
        test=_SCENARIOS + "test_a_restart_that_was_asked_for_once_is_done_once",
    ),
    Mutant(
        name="commands-done-again-after-a-lost-status",
        wrong="When the status is lost, what people asked for long ago is done again",
        file="rollout/decide/intent.py",
        old="    found = situation.replace(rejected=_find_rejections(situation), "
        "last_handled_commands=handled)\n",
        new="    found = situation.replace(rejected=_find_rejections(situation))\n",
        test=_SCENARIOS + "test_what_was_asked_for_before_the_status_was_lost_is_not_done_again",
    ),
    Mutant(
        name="command-without-effect-waits",
        wrong="A command that can have no effect now stays, and surprises somebody later",
        file="rollout/decide/intent.py",
        old="    return dismiss_commands(_settle(situation))\n",
        new="    return _settle(situation)\n",
        test=_SCENARIOS + "test_an_abort_that_came_too_late_does_not_hit_the_next_rollout",
    ),
    Mutant(
        name="rollback-to-a-revision-forgotten",
        wrong="What a person went back to is given up for what the spec names",
        file="rollout/situation/situation.py",
        old="    if override is None or override.instead != named.revision:\n        return named\n"
        "    return recall",
        new="    if override is None or override.instead:\n        return named\n    return recall",
        test=_SCENARIOS + "test_a_person_goes_back_to_a_revision_until_the_spec_changes",
    ),
    Mutant(
        name="rollback-comes-back",
        wrong="What a person went back to once comes back when the spec names that revision again",
        file="rollout/decide/intent.py",
        old="    return lift_override(situation)\n",
        new="    return situation\n",
        test=_SCENARIOS + "test_a_rollback_that_the_spec_has_ended_does_not_come_back",
    ),
    Mutant(
        name="promoted-all-the-way-for-another",
        wrong="Promoting another revision all the way promotes whichever is the canary",
        file="rollout/decide/states.py",
        old=("    if command.revision != _canary(situation).revision:\n        return None\n"),
        new="",
        test=_SCENARIOS + "test_promoting_another_revision_all_the_way_moves_nothing",
    ),
    Mutant(
        name="promoted-all-the-way-ends-one-hold",
        wrong="Promoting all the way only ends the hold",
        file="rollout/decide/states.py",
        old="    return jump_to_closing(record_command(situation, command))\n",
        new="    return advance(record_command(situation, command))\n",
        test=_SCENARIOS + "test_promoted_all_the_way_a_canary_skips_the_steps_that_are_left",
    ),
    Mutant(
        name="rollback-to-nothing",
        wrong="A rollback to a revision that history does not hold is taken for a wish",
        file="rollout/decide/commands.py",
        old="    if recall(situation.observed, command.revision) is None:\n",
        new="    if False:\n",
        test=_SCENARIOS
        + "test_a_rollback_to_a_revision_that_is_not_there_is_refused_with_the_reason",
    ),
    Mutant(
        name="rollback-keeps-the-rejection",
        wrong="A person who goes back to a rejected revision is not heard",
        file="rollout/decide/transitions.py",
        old="    return clear_rejection(situation, revision).replace(override=override)\n",
        new="    return situation.replace(override=override)\n",
        test=_SCENARIOS + "test_a_rollback_to_a_rejected_revision_lifts_the_rejection",
    ),
)

ORDER_OF_WRITES = (
    Mutant(
        name="intent-and-write-in-one-pass",
        wrong="Routes are written in the pass that decides them, before the intent is stored",
        file="rollout/plan.py",
        old="    writes = Writes(confirm=_before_decision(stored)) if moved else "
        "make_writes(after)\n",
        new="    writes = make_writes(after)\n",
        test=_SCENARIOS + "test_a_pass_either_means_something_else_or_writes_what_is_meant",
    ),
    Mutant(
        name="share-raised-on-a-cached-look",
        wrong="A share is raised without a live read of the pods that are to carry it",
        file="rollout/writes/children.py",
        old="    live = [*_before_routes(situation, routes), *_before_down(situation, downward)]\n",
        new="    live = [*_before_down(situation, downward)]\n",
        test=_SCENARIOS + "test_a_share_is_raised_only_on_a_live_read_of_who_is_to_carry_it",
    ),
    Mutant(
        name="pods-taken-on-a-cached-look",
        wrong="Pods are taken without a live read of the routes that may lead to them",
        file="rollout/writes/children.py",
        old="    live = [*_before_routes(situation, routes), *_before_down(situation, downward)]\n",
        new="    live = [*_before_routes(situation, routes)]\n",
        test=_SCENARIOS + "test_pods_are_taken_only_on_a_live_read_of_what_leads_to_them",
    ),
    Mutant(
        name="nothing-read-live",
        wrong="The shell does not read live what the core wants confirmed",
        file="shell/controller/reconciler.py",
        old="            missing = [ref for ref in plan.confirm if ref not in confirmed]\n",
        new="            missing: list[Ref] = []\n",
        test=_SHELL + "test_what_a_plan_wants_confirmed_is_read_live_before_it_is_carried_out",
    ),
    Mutant(
        name="children-before-status",
        wrong="Children are written before the intent is stored",
        file="shell/controller/reconciler.py",
        old="        record = await self._report(key, before, plan)\n",
        new="        await self._apply(key, before, plan)\n"
        "        record = await self._report(key, before, plan)\n",
        test=_SHELL + "test_status_goes_before_children_and_events_come_last",
    ),
    Mutant(
        name="events-before-writes",
        wrong="Events tell of what has not been written yet",
        file="shell/controller/reconciler.py",
        old="        try:\n            clean = await self._apply(key, record, plan)\n"
        "        finally:\n"
        "            for event in plan.events:\n"
        "                tenant.tell(record, event)\n",
        new="        for event in plan.events:\n"
        "            tenant.tell(record, event)\n"
        "        clean = await self._apply(key, record, plan)\n",
        test=_SHELL + "test_an_event_is_sent_when_what_it_tells_of_is_done",
    ),
    Mutant(
        name="status-over-somebody-elses-change",
        wrong="Status is written whatever has changed since it was decided",
        file="shell/controller/reconciler.py",
        old="                resource_version=record.meta.resource_version,\n"
        "                manager=OWNER_MANAGER,\n",
        new='                resource_version="",\n                manager=OWNER_MANAGER,\n',
        test=_SHELL + "test_a_status_written_over_somebody_elses_change_is_planned_again_from_it",
    ),
    Mutant(
        name="child-over-somebody-elses-change",
        wrong="The shell drops the version that a write was decided on",
        file="kube/writer.py",
        old="    if not resource_version:\n        return body\n",
        new="    if True:\n        return body\n",
        test=_SHELL + "test_replicas_are_applied_by_their_own_manager_over_the_version_decided_on",
    ),
    Mutant(
        name="route-over-somebody-elses-change",
        wrong="The core writes the route whatever version of it lives by then",
        file="rollout/writes/children.py",
        old="    return Apply(ref, body, version, removes=removes)\n",
        new='    return Apply(ref, body, "", removes=removes)\n',
        test=_STATES + "test_a_rollout_goes_through_its_steps_to_100_and_is_guarded",
    ),
    Mutant(
        name="deletes-whatever-lives",
        wrong="A delete does not say which version of the object it means",
        file="kube/writer.py",
        old="self._find_resource(ref), namespace, ref.name, write.uid, write.resource_version\n",
        new='self._find_resource(ref), namespace, ref.name, write.uid, ""\n',
        test=_SHELL + "test_a_changed_object_is_looked_at_before_it_is_deleted",
    ),
    Mutant(
        name="external-change-stays",
        wrong="A route that somebody else has changed in a hold is left as it is",
        file="rollout/writes/children.py",
        old="    if split is None or not _may_write(situation):\n",
        new='    if split is None or situation.rollout.state == "Holding":\n',
        test=_STATES + "test_an_edited_route_is_put_right_and_reported_once",
    ),
    Mutant(
        name="foreign-children-counted",
        wrong="Objects of somebody else under our names count as ours",
        file="rollout/situation/own.py",
        old="    return meta.owner is not None and meta.owner.uid == uid\n",
        new="    return True\n",
        test=_SCENARIOS + "test_a_route_of_somebody_elses_under_our_name_is_not_ours",
    ),
    Mutant(
        name="foreign-children-adopted",
        wrong="An object of somebody else under our name is written over",
        file="kube/writer.py",
        old="        if owner is not None and owner.uid == model.meta.uid:\n            return\n",
        new="        if True:\n            return\n",
        test=_SHELL + "test_a_foreign_object_under_our_name_is_never_touched",
    ),
    Mutant(
        name="deleted-object-tended",
        wrong="Children of an object that is being deleted are written",
        file="rollout/plan.py",
        old="    if observed.model.meta.deleting:\n        return Plan()\n",
        new="",
        test=_STATES + "test_an_object_that_is_being_deleted_is_left_to_garbage_collection",
    ),
    Mutant(
        name="children-without-intent",
        wrong="Children are written though the status that means them was not",
        file="shell/controller/reconciler.py",
        old='            raise StaleError("the object changed meanwhile") from error\n',
        new="            return record\n",
        test=_SHELL + "test_a_status_written_over_somebody_elses_change_is_planned_again_from_it",
    ),
    Mutant(
        name="goes-on-after-a-refused-write",
        wrong="What comes after a write that was refused is written all the same",
        file="shell/controller/reconciler.py",
        old="self._handle(key, memory, write, error)\n                return False\n",
        new="self._handle(key, memory, write, error)\n                continue\n",
        test=_SHELL + "test_a_refused_write_stops_the_pass_and_the_core_hears_why",
    ),
    Mutant(
        name="retry-storm",
        wrong="A write that was refused is tried again at every piece of news",
        file="shell/controller/memory.py",
        old="        return refusal is not None and now < refusal.retry_at\n",
        new="        return False\n",
        test=_SHELL + "test_news_make_no_retry_storm_of_a_refused_write",
    ),
    Mutant(
        name="a-template-is-written-with-every-reading",
        wrong="What a template says of itself is written as often as a model is read by it",
        file="shell/tenants/templates.py",
        old="        return Cause.PACED\n",
        new="        return Cause.ORDINARY\n",
        test=_TEMPLATES
        + "test_a_template_that_changes_again_and_again_is_written_every_few_seconds",
    ),
    Mutant(
        name="what-is-only-watched-is-read-live",
        wrong="After a conflict an object is read that the operator has no right to get",
        file="shell/controller/reconciler.py",
        old="        if not self._tenant.reads_live:\n            return\n",
        new="",
        test=_TEMPLATES
        + "test_what_may_only_be_watched_is_not_read_live_and_stays_known[it changed]",
    ),
    Mutant(
        name="own-child-written-over-unseen",
        wrong="A child of ours that the cache had missed is written over without a look at it",
        file="kube/writer.py",
        old="        if is_labelled:\n",
        new="        if False:\n",
        test=_SHELL + "test_a_child_of_ours_that_the_cache_had_missed_is_taken_in_and_not_written",
    ),
    Mutant(
        name="upgrade-restarts-pods",
        wrong="An upgraded operator replaces pods that it would render otherwise today",
        file="rollout/writes/children.py",
        old="    if contains(deployment.template, record.template):\n        return False\n",
        new="    import json\n"
        "    from canarium.resources.pod_template import canonical_json, make_pod_template\n"
        "    model, source = deployment.meta.labels['canarium.dev/model'], record.canonical\n"
        "    pod = make_pod_template(json.loads(source), model=model, revision=record.revision)\n"
        "    return json.loads(deployment.template) != json.loads(canonical_json(pod))\n",
        test=_SCENARIOS + "test_an_operator_that_renders_otherwise_restarts_nobodys_pods",
    ),
)

SOURCES = (
    Mutant(
        name="source-quotes-not-escaped",
        wrong="A quote in a value ends the string that it is written into",
        file="queries/promql.py",
        old='    if character in (quote, "\\\\"):\n',
        new='    if character == "\\\\":\n',
        test=_PROMQL + "::test_hostile_values_stay_values",
    ),
    Mutant(
        name="source-regex-not-quoted",
        wrong="A value matches as a regular expression",
        file="queries/promql.py",
        old='quote_regex(value) if slot.context == "Regex" else value',
        new="value",
        test=_PROMQL + "::test_hostile_values_stay_values",
    ),
    Mutant(
        name="source-anything-outside-of-quotes",
        wrong="Any text is written outside of quotes",
        file="queries/promql.py",
        old="    if _NUMBER.fullmatch(value) is None:\n        raise",
        new="    if not value:\n        raise",
        test=_PROMQL + "::test_outside_of_quotes_only_a_number_or_a_duration_is_written",
    ),
    Mutant(
        name="source-braces-are-enough",
        wrong="A selector that has matchers already is not kept to the namespace",
        file="queries/promql_selectors.py",
        old="{','.join([*matchers, self._matcher])}",
        new="{','.join(matchers or [self._matcher])}",
        test=_SELECTORS + "::test_every_selector_is_kept_to_the_namespace",
    ),
    Mutant(
        name="source-other-dialects-pass",
        wrong="What stands between two matchers is taken for a comma, whatever it is",
        file="queries/promql_selectors.py",
        old='            elif self._next.word != "}":\n                raise self._refuse()\n',
        new='            elif self._next.word != "}":\n                self._at += 1\n',
        test=_SELECTORS + "::test_what_is_not_understood_is_refused",
    ),
    Mutant(
        name="source-prometheus-lent-whole",
        wrong="A namespace's own queries read all that the operator's Prometheus knows",
        file="metrics/sources/prometheus.py",
        old="return confine(text, self.namespace) if self.lent else text\n",
        new="return text\n",
        test=_SESSIONS
        + "test_readers.py"
        + "::test_a_namespaces_own_query_reads_its_own_series_of_what_all_share",
    ),
    Mutant(
        name="source-lent-by-another-spelling",
        wrong="Who writes the shared Prometheus' address with svc asks it anything",
        file="core/lending.py",
        old='_IN_CLUSTER.sub("", host)',
        new="str(host)",
        test="tests/unit/core/test_lending.py::test_every_spelling_of_a_server_is_that_server",
    ),
    Mutant(
        name="source-any-host",
        wrong="An address that nobody listed is connected to for whoever writes it",
        file="outbound/reach.py",
        old="        if not (listed or public or self._allowed.includes(addresses)):\n",
        new="        if not addresses:\n",
        test=_OUTBOUND + "test_reach.py::test_all_else_is_refused_with_the_line_that_would_list_it",
    ),
    Mutant(
        name="source-an-alias-is-followed",
        wrong="A Service that is another name of something else counts as one's own",
        file="outbound/reach.py",
        old='    if spec.type == "ExternalName" or spec.external_name:\n',
        new='    if spec.type == "ExternalName" and not spec.external_name:\n',
        test=_OUTBOUND + "test_reach.py::test_a_service_that_leads_elsewhere_is_not_followed",
    ),
    Mutant(
        name="source-a-name-alone-fails",
        wrong="A name alone that was another namespace's Service counts as asked, and has no data",
        file="outbound/reach.py",
        old="        if kept.missing and bare:\n",
        new="        if kept.missing and not bare:\n",
        test=_OUTBOUND + "test_reach.py::test_a_name_alone_that_is_no_service_is_not_asked",
    ),
    Mutant(
        name="source-lookups-are-nobodys",
        wrong="Names are looked up in nobody's name, so one namespace's take the others' threads",
        file="outbound/reach.py",
        old="            with looking_up_for(namespace):\n",
        new='            with looking_up_for(""):\n',
        test=_OUTBOUND + "test_reach.py"
        "::test_names_that_nobody_answers_for_keep_no_other_namespace_waiting",
    ),
    Mutant(
        name="source-the-apiserver-is-asked",
        wrong="Where everything is listed the apiserver is, too",
        file="outbound/reach.py",
        old="        if any((each, port) in refused for each in _read_plain(found)):\n",
        new="        if not self._allowed and refused:\n",
        test=_OUTBOUND + "test_reach.py::test_the_apiserver_is_asked_for_nobody_whatever_is_listed",
    ),
    Mutant(
        name="source-a-host-that-hides-another",
        wrong="A host with an encoded slash is given to KEDA, which connects to what is before it",
        file="core/allowed_addresses.py",
        old='    return host if _NAME.fullmatch(host) or read_address(host) else "", port\n',
        new="    return host, port\n",
        test="tests/unit/core/test_allowed_addresses.py"
        "::test_a_host_that_hides_another_one_is_neither_a_service_nor_listed",
    ),
    Mutant(
        name="source-a-wide-network-opens-metadata",
        wrong="Whoever lists a wide network has the metadata service in it asked",
        file="outbound/forbidden_addresses.py",
        old="    return network.prefixlen >= other.prefixlen\n",
        new="    return network.version == other.version\n",
        test="tests/unit/outbound/test_forbidden_addresses.py"
        "::test_a_wide_network_opens_nothing_that_is_refused_for_what_it_is",
    ),
    Mutant(
        name="canary-taken-back-for-what-was-not-asked",
        wrong="A canary is taken back since an address is refused that its metric asks",
        file="rollout/decide/states.py",
        old="    if rolls_back and has_no_data(situation) and not is_withheld(situation):\n",
        new="    if rolls_back and has_no_data(situation):\n",
        test="tests/unit/rollout/situation/test_undecided.py"
        "::test_what_was_not_asked_takes_nothing_back_and_is_told",
    ),
    Mutant(
        name="keda-gets-any-address",
        wrong="KEDA is given an address that the operator itself would not ask",
        file="rollout/situation/scaling.py",
        old="    if asked and (problem := _find_refusal(situation)):\n",
        new="    if situation.spec is None and (problem := _find_refusal(situation)):\n",
        test=_SCALING + "test_an_address_that_is_not_listed_is_not_given_to_keda",
    ),
    Mutant(
        name="source-any-address",
        wrong="What is refused as an address is connected to",
        file="outbound/forbidden_addresses.py",
        old="    if objection is not None:\n",
        new="    if address.is_unspecified and objection:\n",
        test=_OUTBOUND
        + "test_forbidden_addresses.py::test_nothing_is_asked_at_an_address_that_is_refused",
    ),
    Mutant(
        name="source-mapped-address",
        wrong="An IPv6 address that stands for loopback isn't known to",
        file="outbound/forbidden_addresses.py",
        old="    return (address.ipv4_mapped or address.sixtofour or address,)\n",
        new="    return (address,)\n",
        test=_OUTBOUND
        + "test_forbidden_addresses.py::"
        + "test_addresses_by_which_a_reading_could_come_home_are_refused",
    ),
    Mutant(
        name="source-follows-redirects",
        wrong="Redirects are followed",
        file="outbound/fetching.py",
        old="        allow_redirects=False,\n",
        new="        allow_redirects=True,\n",
        test=_OUTBOUND
        + "test_forbidden_addresses.py::test_a_redirect_to_a_private_address_is_not_followed",
    ),
    Mutant(
        name="source-shows-credentials",
        wrong="Credentials are in what is logged",
        file="outbound/auth.py",
        old="    authorization: str | None = field(default=None, repr=False)\n",
        new="    authorization: str | None = None\n",
        test=_OUTBOUND + "test_auth.py::test_credentials_are_not_shown",
    ),
    Mutant(
        name="source-baseline-counted",
        wrong="What was counted before the first reading is evidence",
        file="metrics/counting.py",
        old="            self._has_begun = True\n            return None\n",
        new="            self._has_begun = True\n",
        test=_METRICS + "test_counting.py::test_the_first_reading_is_where_counting_starts",
    ),
    Mutant(
        name="source-restart-lost",
        wrong="What a restarted server has counted is lost",
        file="metrics/counting.py",
        old="        return value if fallen else value - before\n",
        new="        return 0.0 if fallen else value - before\n",
        test=_METRICS + "test_counting.py::test_a_counter_that_has_fallen_began_anew",
    ),
    Mutant(
        name="source-forgets-too-late",
        wrong="Texts of others pile up: what is remembered of them is not bounded by bytes",
        file="metrics/recollection.py",
        old="        if self._young_size + cost > self._most // 2:\n",
        new="        if len(self) > 4096:\n",
        test=_METRICS
        + "test_bounds.py::test_what_is_remembered_of_texts_is_bounded_by_their_bytes",
    ),
    Mutant(
        name="memo-keeps-by-number",
        wrong="Templates of people pile up: what is remembered has a number and no size",
        file="memo.py",
        old="        while self._size > self.most:\n",
        new="        while len(self._entries) > 4096:\n",
        test="tests/unit/test_memo.py"
        "::test_190_edits_of_a_large_spec_leave_no_more_than_the_budgets",
    ),
    Mutant(
        name="gateways-stay",
        wrong="A gateway that nobody reads any more is kept, with what it answered",
        file="metrics/sessions/measurements.py",
        old="            WeakValueDictionary()\n",
        new="            {}  # type: ignore[assignment]\n",
        test="tests/unit/metrics/sessions/test_measuring.py"
        "::test_a_gateways_source_goes_with_the_last_session_that_reads_it",
    ),
    Mutant(
        name="finalizers-hand-out",
        wrong="What the collector finds is given back at once, in the middle of whatever allocates",
        file="outbound/sharing.py",
        old="            self._room.leave(self._owner, self._amount)\n",
        new="            self._room.give(self._owner, self._amount)\n",
        test="tests/unit/metrics/test_bounds.py::"
        "test_the_collector_gives_back_in_the_middle_of_anything",
    ),
    Mutant(
        name="source-first-come-first-served",
        wrong="Whoever has much to be read makes all others wait",
        file="outbound/sharing.py",
        old="            owner = min(self._waiting, key=self._count)\n",
        new="            owner = next(iter(self._waiting))\n",
        test=_METRICS + "test_bounds.py::test_who_had_least_goes_first_and_nobody_saves_turns_up",
    ),
    Mutant(
        name="source-empty-is-zero",
        wrong="An empty result is taken for 0",
        file="metrics/sources/prometheus.py",
        old="value = next(iter(found.values()), None)",
        new="value = next(iter(found.values()), 0.0)",
        test=_SOURCES + "test_prometheus_source.py::test_one_number_or_none_is_read",
    ),
    Mutant(
        name="source-first-of-several",
        wrong="Of several series the first is taken",
        file="metrics/sources/prometheus.py",
        old="        if len(found) > 1:\n            raise",
        new="        if len(found) > 10:\n            raise",
        test=_SOURCES
        + "test_prometheus_source.py::test_what_is_no_answer_is_an_error_of_one_printable_line",
    ),
    Mutant(
        name="source-true-is-one",
        wrong="A web source's true is 1",
        file="metrics/sources/web.py",
        old="isinstance(value, bool) or not isinstance(value, int | float)",
        new="not isinstance(value, int | float)",
        test=_SOURCES
        + "test_web_source.py::test_what_is_no_number_is_an_error_of_one_printable_line",
    ),
    Mutant(
        name="source-errors-of-probes",
        wrong="Failed probes are held against requests",
        file="metrics/counters.py",
        old="    errors = min(late.errors + failed, unsettled)\n",
        new="    errors = late.errors + failed\n",
        test=_METRICS + "test_counters.py::test_errors_counted_beside_requests_never_exceed_them",
    ),
    Mutant(
        name="source-neighbours-service",
        wrong="A Service of the same name in another namespace is counted",
        file="routing/traefik.py",
        old='    by_port = rf"{normalize(namespace)}-{normalize(service)}-\\d+@kubernetescrd"\n',
        new='    by_port = rf".+-{normalize(service)}-\\d+@kubernetescrd"\n',
        test=_SOURCES + "test_gateway_source.py::test_only_what_was_sent_to_the_service_is_counted",
    ),
    Mutant(
        name="source-absent-is-zero",
        wrong="A counter of failures that isn't there stands for no failure",
        file="metrics/counters.py",
        old="            counts_answers=parser.profile.counts_errors and not missing,\n",
        new="            counts_answers=parser.profile.counts_errors,\n",
        test=_METRICS + "test_missing_families.py"
        "::test_a_torchserve_in_legacy_mode_counts_no_errors_rather_than_none",
    ),
    Mutant(
        name="source-unknown-name-is-none",
        wrong="A misspelt counter of refusals stands for no refusal",
        file="metrics/sources/prometheus.py",
        old="        if total and not marked:\n",
        new="        if total and marked is None:\n",
        test="tests/unit/metrics/sessions/test_readers.py"
        "::test_no_series_is_none_only_of_a_metric_that_there_is[bad]",
    ),
    Mutant(
        name="source-announced-is-absent",
        wrong="A counter that has had no event yet is taken for one that isn't there",
        file="metrics/counters.py",
        old='b"#" in piece and family.announced.search(piece) is not None\n',
        new='b"#" in piece and family is None\n',
        test=_METRICS
        + "test_missing_families.py::test_a_counter_that_is_announced_and_has_no_series_is_zero",
    ),
    Mutant(
        name="judge-unknown-is-silence",
        wrong="A side whose answers nobody counts is held to have given none",
        file="judge/traffic_share.py",
        old="    if stable is None or canary is None:\n        return None\n"
        "    return Counts(stable, stable + canary)\n",
        new="    stable, canary = stable or 0, canary or 0\n"
        "    return Counts(stable, stable + canary)\n",
        test="tests/unit/judge/test_judge_answers.py"
        "::test_a_side_that_counts_no_answers_is_no_hang",
    ),
    Mutant(
        name="judge-passes-beyond",
        wrong="A canary whose interval leaves no room for the bound passes meanwhile",
        file="judge/verdicts.py",
        old='("Inconclusive", "BeyondBound") if _is_beyond(check) else ("Pass", "WithinBounds")',
        new='("Pass", "WithinBounds")',
        test="tests/unit/judge/test_analysis.py"
        "::test_a_canary_that_is_beyond_its_bound_is_not_passed_while_the_evidence_grows",
    ),
    Mutant(
        name="judge-never-forgets",
        wrong="What was learned of stable in an outage of both counts as long as the rollout",
        file="judge/single.py",
        old="max(FADING, 1.0 - stable.total / memory)",
        new="1.0",
        test="tests/unit/judge/test_judge_bursts.py"
        "::test_what_was_learned_in_an_outage_of_both_is_soon_forgotten",
    ),
    Mutant(
        name="judge-swings-are-bursts",
        wrong="A rate that swings for both sides is taken for bursts of stable, and tones all down",
        file="judge/bursts.py",
        old="    return canary.bad / canary.total - stable.bad / stable.total\n",
        new="    return stable.bad / stable.total\n",
        test="tests/unit/judge/test_judge_bursts.py::test_a_swing_that_both_share_is_no_burst",
    ),
    Mutant(
        name="judge-small-reading-decides",
        wrong="A reading of a handful of answers takes a version back by itself",
        file="judge/bursts.py",
        old="max(needed - 1.0, 0.5 * needed + _SHARE_OF_TWO)",
        new="needed + 5.0",
        test="tests/unit/judge/test_judge_bursts.py"
        "::test_no_small_reading_decides_alone_however_many_checks_share_alpha",
    ),
    Mutant(
        name="watched-by-fractions",
        wrong="Times are brought back to a moment that status cannot hold, in each pass anew",
        file="rollout/situation/clock.py",
        old="        earliest = math.floor(watched_since * 1000.0) / 1000.0\n",
        new="        earliest = watched_since\n",
        test="tests/unit/rollout/situation/test_bring_back.py"
        "::test_what_was_brought_back_is_where_it_should_be_once_it_was_stored",
    ),
    Mutant(
        name="port-speaks-otherwise",
        wrong="A protocol that somebody gives a port of our Service stays, and nothing answers",
        file="routing/diff.py",
        old=" or _speaks_otherwise(found, rendered):\n",
        new=":\n",
        test="tests/simulated/test_strangers.py"
        "::test_a_protocol_that_somebody_gives_our_port_is_put_right",
    ),
    Mutant(
        name="contest-hides-refusal",
        wrong="A route that cannot be written any more is told as one that somebody keeps changing",
        file="rollout/situation/contest.py",
        old="    if _is_refused(situation):\n        return -math.inf\n",
        new="",
        test="tests/simulated/test_strangers.py"
        "::test_a_route_that_lost_its_owner_in_a_contest_says_what_helps_and_is_no_contest_for_ever",
    ),
    Mutant(
        name="source-grpc-by-http",
        wrong="Calls by gRPC are read from the counters of requests by HTTP",
        file="queries/profiles.py",
        old='    return (GRPC_PROFILES if protocol == "GRPC" else PROFILES).get(name)\n',
        new="    return PROFILES.get(name)\n",
        test="tests/unit/queries/test_scaling_queries.py"
        "::test_calls_by_grpc_are_asked_for_where_callers_speak_it",
    ),
    Mutant(
        name="source-istio-grpc-is-good",
        wrong="A gRPC call that failed behind Istio is good, for its answer was 200",
        file="routing/istio.py",
        old='    other_errors=(("grpc_response_status", GRPC_ERRORS),),\n',
        new="",
        test=_SOURCES + "test_gateway_source.py"
        "::test_of_istio_a_grpc_call_that_failed_is_an_error_though_its_answer_was_200[13-True]",
    ),
    Mutant(
        name="auto-takes-who-knows-no-timeouts",
        wrong="Where timeouts are asked for, Auto takes a router that leaves them out",
        file="routing/__init__.py",
        old='    patient = "timeouts" in router.features or not traffic.request_timeout\n',
        new="    patient = True\n",
        test="tests/unit/routing/test_choice.py"
        "::test_auto_takes_what_is_asked_for_and_installed[timeouts, which Traefik lacks]",
    ),
    Mutant(
        name="source-is-asked-unchecked",
        wrong="A query that its source has something against is sent all the same",
        file="metrics/sessions/readers.py",
        old="    return SOURCES[type(query)].check(query, {**BUILT_IN, **types})\n",
        new="    return () if BUILT_IN else SOURCES[type(query)].check(query, types)\n",
        test="tests/unit/metrics/sessions/test_readers.py::test_what_makes_no_sense_is_never_sent",
    ),
    Mutant(
        name="source-traefik-grpc-is-told",
        wrong="Calls by gRPC are judged by Traefik's code, which calls good ones UNKNOWN",
        file="routing/gateway_counters.py",
        old='    return known[kind].untold.get(protocol, "")\n',
        new='    return known[kind].untold.get("HTTP", "")\n',
        test=_SOURCING + "test_calls_by_grpc_are_not_judged_by_what_traefik_counts",
    ),
    Mutant(
        name="source-cancelled-is-failed",
        wrong="What a client cancelled is Triton's error",
        file="queries/profiles.py",
        old='        error_status="^(REJECTED|BACKEND|OTHER)$",\n',
        new='        error_status=".",\n',
        test=_METRICS
        + "test_profiles.py::test_of_a_servers_metrics_its_answers_to_inference_are_counted",
    ),
)

JOBS = (
    Mutant(
        name="job-before-traffic",
        wrong="A Job asks a canary whose traffic doesn't flow, or stands still in a pause",
        file="rollout/situation/jobs.py",
        old='    return rollout.state == "Holding" and settled\n',
        new='    return rollout.state == "Holding"\n',
        test=_JOBS + "test_while_paused_no_job_is_made_and_one_that_runs_goes_on",
    ),
    Mutant(
        name="job-pods-serve",
        wrong="The pods of a Job have a model's label, by which Services find its pods",
        file="resources/job.py",
        old="{JUDGED_MODEL_LABEL: model.meta.name, ",
        new='{"canarium.dev/model": model.meta.name, ',
        test=_JOBS + "test_no_service_sends_requests_to_the_pods_of_a_job",
    ),
    Mutant(
        name="job-adopts-any-pod",
        wrong="A Job has the selector that Kubernetes makes, which any pod can bear the labels of",
        file="resources/job.py",
        old='            "manualSelector": True,\n',
        new="",
        test=_JOBS + "test_a_job_finds_its_pods_by_labels_that_the_charts_policy_guards",
    ),
    Mutant(
        name="job-of-another-step",
        wrong="The Job of an earlier step counts for the next one",
        file="rollout/situation/jobs.py",
        old='    step = f"{revision}/{rollout.step_name}/{rollout.step_started_at or 0:.3f}"\n',
        new='    step = f"{revision}"\n',
        test=_JOBS + "test_a_job_runs_once_a_step_under_a_name_of_its_own",
    ),
    Mutant(
        name="job-forgotten",
        wrong="A finished Job that was tidied away is run again",
        file="rollout/situation/jobs.py",
        old="    if (saved := _find_saved(situation, name)) is not None:\n",
        new="    if (saved := None) is not None:\n",
        test="tests/simulated/test_simulated_jobs.py::"
        "test_a_finished_job_that_somebody_tidies_away_is_not_run_again",
    ),
    Mutant(
        name="job-blames-for-a-quota",
        wrong="A Job that never had a pod is held against the canary",
        file="rollout/situation/jobs.py",
        old="    if not record.has_run:",
        new="    if False:",
        test=_JOBS + "test_a_job_that_never_had_a_pod_is_nobodys_fault_and_made_anew",
    ),
    Mutant(
        name="job-speaks-for-the-judge",
        wrong="Where the judge is silent, a Job that succeeded is all that is said",
        file="rollout/situation/judging.py",
        old="    if judged is None and (analysis.metrics or analysis.custom):\n",
        new="    if False:\n",
        test=_JOBS + "test_what_the_judge_found_stands_beside_a_job_that_succeeded",
    ),
    Mutant(
        name="job-waits-for-what-has-no-say",
        wrong="A step by header waits for comparisons that are not made there",
        file="rollout/situation/judging.py",
        old='    return analysis_in_force(situation) if state == "Holding" else None\n',
        new='    return situation.terms.analysis if state == "Holding" else None\n',
        test=_JOBS
        + "test_where_testers_alone_get_it_a_job_suffices_though_comparisons_have_no_say",
    ),
    Mutant(
        name="job-of-anybody",
        wrong="Somebody else's Job of the same name is believed",
        file="rollout/situation/own.py",
        old='"routes", "jobs", "budgets")',
        new='"routes", "budgets")',
        test=_JOBS + "test_somebody_elses_job_says_nothing",
    ),
    Mutant(
        name="job-unseen-passes",
        wrong="An operator that may not see Jobs makes them and waits for ever without a word",
        file="rollout/situation/jobs.py",
        old="    if situation.observed.jobs is None:\n",
        new="    if False:\n",
        test=_JOBS + "test_an_operator_that_may_not_see_jobs_makes_none",
    ),
)

SCALED_PODS = (
    Mutant(
        name="scaling-milliseconds-for-seconds",
        wrong="Milliseconds that pods spent on requests count as seconds",
        file="queries/scaling.py",
        old='    seconds = spent if per_second == 1 else f"({spent}) / {per_second}"\n',
        new="    seconds = spent\n",
        test=_QUERIES + "test_durations_are_added_up_in_seconds",
    ),
    Mutant(
        name="scaling-failures-forgotten",
        wrong="Requests that failed are no load where only successes are counted",
        file="queries/scaling.py",
        old='    if profile.failures and profile.counting == "Successes":\n',
        new="    if False:\n",
        test=_QUERIES + "test_failures_are_added_where_only_successes_are_counted",
    ),
    Mutant(
        name="scaling-percent-of-nothing",
        wrong="A target in percent is taken though nothing is requested",
        file="api/modeldeployment/spec.py",
        old="            resource in spec.server.requested\n            or not any(",
        new="            True\n            or not any(",
        test=_REFUSED,
    ),
    Mutant(
        name="scaling-to-zero-for-ever",
        wrong="A model may go to zero pods though nothing could wake it",
        file="api/modeldeployment/scaling.py",
        old='                or any(metric.type == "External" for metric in scaling.metrics)\n',
        new="                or True\n",
        test=_REFUSED,
    ),
    Mutant(
        name="scaling-begins-at-no-pods",
        wrong="A model that may go to zero pods begins with none",
        file="api/modeldeployment/parsing.py",
        old="    return max(1, scaling.least)\n",
        new="    return scaling.least\n",
        test="tests/unit/api/test_parsing.py::test_a_spec_that_uses_every_field_becomes_numbers",
    ),
    Mutant(
        name="scaling-grpc-port-asked-for-a-path",
        wrong="A port that speaks gRPC is asked for a path",
        file="resources/pod_defaults.py",
        old='    if path is None or server["port"] == GRPC_PORTS.get(profile):\n',
        new="    if path is None:\n",
        test=_TEMPLATE
        + "test_a_server_that_is_unknown_or_speaks_grpc_is_ready_when_its_port_is_open",
    ),
    Mutant(
        name="scaling-own-rules-mixed-with-ours",
        wrong="Who says how pods are kept apart gets our rules beside their own",
        file="resources/pod_defaults.py",
        old='    if "topologySpreadConstraints" in pod:\n        return {}\n',
        new="",
        test=_TEMPLATE + "test_who_keeps_pods_apart_by_rules_of_their_own_gets_these_alone",
    ),
    Mutant(
        name="scaling-warned-at-every-start",
        wrong="An operator that lost its status warns again of what pods need",
        file="rollout/report/events.py",
        old="    if part is None or after.spec is None or part.revision in known | earlier:\n",
        new="    if part is None or after.spec is None or part.revision in earlier:\n",
        test="tests/unit/core/test_unrequested.py::test_a_status_that_was_lost_is_no_new_rollout",
    ),
)

SIZES = (
    Mutant(
        name="floor-falls-in-a-rollout",
        wrong="In a rollout the load alone says how many pods stable has",
        file="rollout/situation/scaling.py",
        old=("    if situation.rollout.state not in BY_LOAD:\n        return part.replicas\n"),
        new="",
        test=_SCALING + "test_what_one_would_go_back_to_never_shrinks_until_the_guard_ends",
    ),
    Mutant(
        name="pods-go-before-their-autoscaler",
        wrong="A revision's pods are taken while its autoscaler may still give it others",
        file="rollout/writes/children.py",
        old="    if find_scalers(situation, deployment.revision):\n",
        new="    if not deployment.revision:\n",
        test=_SCALING + "test_an_autoscaler_goes_before_the_pods_of_its_revision",
    ),
    Mutant(
        name="autoscaler-fought-over-pods",
        wrong="What an autoscaler has added is taken again",
        file="rollout/situation/scaling.py",
        old="    return max(compute_floor(situation, part), deployment.replicas)\n",
        new="    return compute_floor(situation, part)\n",
        test=_SCALING + "test_at_rest_the_load_says_how_many_pods_there_are",
    ),
    Mutant(
        name="idle-model-tried-without-traffic",
        wrong="The canary of an idle model is stepped through while nobody asks for anything",
        file="rollout/decide/states.py",
        old="    if is_idle(situation):\n",
        new="    if situation.steps.is_closing:\n",
        test=_SCALING + "test_a_rollout_of_an_idle_model_warms_the_canary_and_waits",
    ),
    Mutant(
        name="waking-stable-is-given-up",
        wrong="An idle stable that wakes up counts as dead, so that the canary gets everything",
        file="rollout/situation/health.py",
        old="        return not seen.may_idle or seen.own_fault(stable.revision) is not None\n",
        new="        return True\n",
        test=_SCALING + "test_a_rollout_of_an_idle_model_goes_on_with_traffic",
    ),
    Mutant(
        name="last-pod-taken",
        wrong="In place the only pod goes for a canary",
        file="rollout/decide/in_place.py",
        old="    too_few = left < 1 or part.weight * size > ALL * (left + 1) + size\n",
        new="    too_few = part.weight * size > ALL * (left + 1) + size\n",
        test=_IN_PLACE + "test_the_last_pod_is_never_taken_for_a_canary",
    ),
    Mutant(
        name="in-place-pods-before-weight",
        wrong="In place the next pod goes before traffic has followed the one before",
        file="rollout/decide/in_place.py",
        old="    if carried > canary.weight:\n",
        new="    if carried > ALL:\n",
        test=_IN_PLACE + "test_pods_are_replaced_one_by_one_and_traffic_follows_what_is_ready",
    ),
    Mutant(
        name="refused-autoscaler-stops-a-rollout",
        wrong="An autoscaler that is refused counts as what keeps the pods from coming",
        file="rollout/situation/seen.py",
        old=" if each.kind not in SIZING_KINDS]\n",
        new="]\n",
        test=_SCALING + "test_an_autoscaler_that_is_refused_is_no_fault_of_its_revision",
    ),
)

USE = (
    Mutant(
        name="use-only-requests-paid",
        wrong="Who uses more than he requested pays for what he requested",
        file="cost/usage.py",
        old="        max(asked.cpu_cores, used.cpu_cores),\n",
        new="        asked.cpu_cores,\n",
        test=_USE + "test_the_greater_of_what_is_requested_and_used_is_paid_for_by_container",
    ),
    Mutant(
        name="use-unmeasured-is-free",
        wrong="What is neither requested nor measured costs nothing",
        file="cost/usage.py",
        old="if use is None and not (asked.cpu_cores and asked.memory_bytes):",
        new="if use is None and not (asked.cpu_cores or asked.memory_bytes):",
        test=_USE + "test_what_is_neither_requested_nor_measured_leaves_the_cost_unknown",
    ),
    Mutant(
        name="use-missing-price-is-zero",
        wrong="A resource without a price is for nothing",
        file="cost/usage.py",
        old="        if amount and price is None:\n",
        new="        if not amount and price is None:\n",
        test=_USE + "test_a_price_that_is_missing_is_named_and_only_where_it_is_needed",
    ),
    Mutant(
        name="use-young-rates-count",
        wrong="The rate of a pod that began within the time it is taken over counts",
        file="cost/meter.py",
        old="pod.node, requests, pod.meta.created_at)",
        new="pod.node, requests, 0.0)",
        test=_COST
        + "test_usage_meter.py::"
        + "test_the_rate_of_a_revision_is_not_that_of_a_pod_that_began_within_it",
    ),
    Mutant(
        name="use-of-strangers",
        wrong="What other people's pods in the namespace do is a revision's",
        file="cost/consumption.py",
        old="        if key in pods:\n",
        new="        if key not in ():\n",
        test=_COST
        + "test_consumption.py::"
        + "test_everything_is_read_of_the_pods_that_were_asked_about_and_no_others",
    ),
    Mutant(
        name="use-gauges-stay",
        wrong="A revision that is gone keeps its gauges",
        file="cost/meter.py",
        old="            if any(each.revision == row.revision for each in own):\n",
        new="            if not any(each.revision == '' for each in own):\n",
        test=_COST + "test_usage_meter.py::test_the_gauges_of_a_revision_go_with_its_deployment",
    ),
)

SEEING = (
    Mutant(
        name="seen-by-standbys",
        wrong="Every process tells of all models, so that each is counted twice",
        file="shell/runtime.py",
        old="        return self._view_each() if self._leads else None\n",
        new="        return self._view_each()\n",
        test="tests/unit/shell/test_runtime.py"
        "::test_models_are_told_by_the_process_that_acts_as_long_as_it_acts",
    ),
    Mutant(
        name="seen-guard-unjudged",
        wrong="In its guard the new stable has no analysis to be seen",
        file="telemetry/families.py",
        old="    return status.canary or (status.stable if guarded else None)\n",
        new="    return status.canary\n",
        test="tests/unit/telemetry/test_families.py"
        "::test_in_the_guard_the_new_stable_is_judged_and_compared_with_the_one_before",
    ),
    Mutant(
        name="seen-returns-as-changes",
        wrong="A revision that was gone back to has the lead time of a change",
        file="telemetry/dora.py",
        old="        lead_seconds=None if again else record.stable_at - began,\n",
        new="        lead_seconds=record.stable_at - began,\n",
        test="tests/unit/telemetry/test_dora.py"
        "::test_a_revision_that_was_tried_again_has_no_lead_time",
    ),
)

TAKING_OVER = (
    Mutant(
        name="takeover-forgets-the-counters",
        wrong="What was answered while nobody led is not counted",
        file="metrics/sessions/measurements.py",
        old="            meter.resume(kept)\n",
        new="            pass\n",
        test=_SIMULATED + "test_what_a_bad_canary_answered_while_nobody_led_counts_against_it",
    ),
    Mutant(
        name="kept-counters-count-twice",
        wrong="What was kept of a pod is counted from again when the pod is looked at anew",
        file="metrics/kept_counters.py",
        old="        self._kept = later\n",
        new="",
        test=_METRICS
        + "test_kept_counters.py::test_what_was_answered_since_the_saved_reading_is_counted_once",
    ),
    Mutant(
        name="shares-of-some-pods",
        wrong="Of a reading that knows only some pods it is judged who answered how much",
        file="metrics/sessions/session.py",
        old="            share = None if measurement.resumed else share\n",
        new="",
        test=_SESSIONS
        + "test_measuring.py::test_a_reading_that_goes_back_to_a_saved_one_tells_nothing_of_shares",
    ),
)

ONE_OBJECT_ALONE = (
    Mutant(
        name="unreadable-object-goes-unsaid",
        wrong="An object that cannot be read is left out without a word",
        file="kube/informers/reflector.py",
        old="""            self._boundary.note("Projecting", self._name(raw), error)
            return None
""",
        new="            return None\n",
        test="tests/unit/kube/informers/test_reflector.py::"
        "test_an_object_that_cannot_be_read_hides_no_other_of_its_kind",
    ),
    Mutant(
        name="bug-is-in-the-log-alone",
        wrong="An object whose pass breaks says nothing of it itself",
        file="shell/controller/reconciler.py",
        old="            await self._report_bug(key, error)\n",
        new="",
        test=_SHELL + "test_an_object_whose_pass_breaks_says_so_itself_once",
    ),
    Mutant(
        name="broken-reader-is-not-told",
        wrong="What a reader raises, and shouldn't, is told nobody",
        file="metrics/sessions/session.py",
        old="            problem = self._fail(source, metric_query.metric.name, error)\n",
        new="            if not isinstance(error, SourceError):\n"
        "                return\n"
        "            problem = self._fail(source, metric_query.metric.name, error)\n",
        test=_SESSIONS + "test_session.py::test_what_a_reader_raises_is_its_failed_reading",
    ),
    Mutant(
        name="broken-session-begins-at-once",
        wrong="A session that broke begins again without a pause",
        file="metrics/sessions/measurements.py",
        old="            await asyncio.sleep(BROKEN.compute(failures))\n",
        new="            await asyncio.sleep(0)\n",
        test=_SESSIONS + "test_measuring.py::"
        "test_a_session_that_breaks_goes_on_ever_more_rarely_with_what_it_found",
    ),
    Mutant(
        name="host-that-nobody-can-look-up",
        wrong="A host name that ends in an exception when it is looked up is an address",
        file="outbound/forbidden_addresses.py",
        old="len(host) <= 254 and all(0 < len(label) <= 63 for label in labels)",
        new="bool(labels)",
        test=_OUTBOUND
        + "test_forbidden_addresses.py::test_a_host_that_nobody_can_look_up_is_no_address",
    ),
)

BESIDE_THE_WORK = (
    Mutant(
        name="a-woken-leader-writes",
        wrong="A leader that was stopped and wakes sends what it had in mind",
        file="kube/client.py",
        old="        if request.resource not in FREE and not self.may_write():\n",
        new="        if not request.path:\n",
        test="tests/unit/kube/test_client.py::"
        "test_without_the_lease_nothing_is_written_but_the_lease",
    ),
    Mutant(
        name="a-deleted-lease-is-lost",
        wrong="A leader whose Lease somebody deletes does not make it anew",
        file="kube/lease.py",
        old="        except NotFoundError:\n            return await self._create()\n",
        new="        except NotFoundError:\n            return False\n",
        test="tests/unit/kube/test_lease.py::"
        "test_a_lease_that_somebody_deleted_is_made_anew_by_its_holder",
    ),
    Mutant(
        name="new-defaults-change-a-rollout-midway",
        wrong="An operator that is started with other defaults changes the rollouts under way",
        file="rollout/situation/situation.py",
        old="    return freeze_defaults(spec.rollout, record.rollout)\n",
        new="    return spec.rollout\n",
        test="tests/simulated/test_defaults_midway.py::"
        "test_a_rollout_goes_on_by_the_defaults_that_it_began_with",
    ),
    Mutant(
        name="markup-of-strangers",
        wrong="What a container has said is markup in a chat",
        file="notifying/messages.py",
        old="    text = fill(receiver.text, news.values, _escape_slack)\n",
        new="    text = fill(receiver.text, news.values)\n",
        test="tests/unit/notifying/test_messages.py::"
        "test_what_somebody_else_wrote_is_no_markup_for_slack",
    ),
    Mutant(
        name="a-refused-notification-is-sent-again",
        wrong="A receiver that is gone for good is asked again and again",
        file="notifying/notifier.py",
        old="        if outcome.final or letter.tries == TRIES",
        new="        if letter.tries == TRIES",
        test="tests/unit/notifying/test_notifier.py::"
        "test_what_is_refused_for_good_is_not_tried_again[404]",
    ),
    Mutant(
        name="forged-log-lines",
        wrong="A line break in what others wrote begins a line of the log",
        file="telemetry/logs.py",
        old="    if text.isprintable():\n        return text\n",
        new="    if text:\n        return text\n",
        test="tests/unit/test_cli.py::"
        "test_nothing_that_others_wrote_looks_like_a_line_or_steers_a_terminal",
    ),
    Mutant(
        name="an-account-by-going-back",
        wrong="A rollback brings back an account that whoever asks for it may not use",
        file="rollout/decide/commands.py",
        old='    return "" if account in ("", "default", named) else account\n',
        new='    return "" if account or named else account\n',
        test=_SCENARIOS + "test_nobody_gets_an_account_by_going_back",
    ),
    Mutant(
        name="dots-lead-up",
        wrong="An argument of two dots leads a URL's path up",
        file="metrics/sources/web.py",
        old="    if leads_up(url):\n",
        new='    if leads_up(url) and "://" not in url:\n',
        test="tests/unit/metrics/sessions/test_readers.py::test_no_value_leads_a_urls_path_up",
    ),
    Mutant(
        name="revisions-of-others-have-the-same-name",
        wrong="A revision is named by its source alone, the same spec alike everywhere",
        file="core/names.py",
        old='    named = f"{owner}\\n{canonical}{salt}"\n',
        new='    named = f"{canonical}{salt}"\n',
        test="tests/unit/metrics/sources/test_gateway_source.py::"
        "test_names_that_a_hyphen_joins_alike_are_not_counted_for_each_other",
    ),
    Mutant(
        name="what-answers-is-repeated",
        wrong="A connection that came to nothing is told in words that quote the answer",
        file="failures.py",
        old="    (aiohttp.ClientResponseError, _explain_response),\n",
        new="    (aiohttp.ClientResponseError, str),\n",
        test="tests/unit/outbound/test_hostile_servers.py::"
        "test_no_word_of_whoever_answers_is_repeated[web-banner]",
    ),
    Mutant(
        name="prometheus-is-quoted",
        wrong="Why a Prometheus refuses a query is told in its own words",
        file="metrics/sources/prometheus.py",
        old='        words = _REFUSALS.get(body.error_type, "the query was refused")\n',
        new="        words = body.error\n",
        test="tests/unit/outbound/test_hostile_servers.py::"
        "test_no_word_of_whoever_answers_is_repeated[prometheus-prometheus-bad-data]",
    ),
    Mutant(
        name="escape-codes-on-a-terminal",
        wrong="What rich draws goes to the terminal as others wrote it",
        file="cli/drawing/terminal.py",
        old="Segment(fit(piece.text, self.encoding), piece.style)",
        new="Segment(piece.text, piece.style)",
        test="tests/unit/cli/test_door.py::"
        "test_a_console_lets_its_own_colours_pass_and_nothing_of_others",
    ),
    Mutant(
        name="forged-lines-on-a-terminal",
        wrong="A line break in what others wrote begins a line of what a command prints",
        file="cli/connection.py",
        old="        made: Json = found if self.exact else flatten(found)\n",
        new="        made: Json = found\n",
        test="tests/unit/cli/test_door.py::"
        "test_no_command_prints_what_steers_a_terminal_or_forges_a_line"
        "[pause fraud --timeout 300ms-file]",
    ),
    Mutant(
        name="first-come-over-namespaces",
        wrong="A namespace goes on until its line is empty, and the others wait",
        file="kube/queues/turns.py",
        old="                if line:\n                    self._lines[namespace] = line\n",
        new="                if line:\n"
        "                    self._lines = {namespace: line, **self._lines}\n",
        test="tests/unit/kube/queues/test_workqueue.py::test_the_namespaces_take_turns_in_each_class",
    ),
    Mutant(
        name="one-namespace-has-all-workers",
        wrong="One namespace's rollbacks take every worker",
        file="kube/queues/workqueue.py",
        old="        return sum(key[0] == namespace for key in self._processing) < MOST",
        new="        return sum(key[0] == namespace for key in ()) < MOST",
        test="tests/unit/kube/queues/test_workqueue.py::"
        "test_one_namespaces_rollbacks_leave_workers_for_those_of_others",
    ),
    Mutant(
        name="a-full-backlog-drops-the-newcomer",
        wrong="What one namespace has to tell takes the room of another's news",
        file="kube/queues/backlog.py",
        old="    largest = max(sizes, key=lambda namespace: (sizes[namespace],"
        " namespace == newcomer))",
        new="    largest = newcomer",
        test="tests/unit/kube/queues/test_backlog.py::"
        "test_who_gives_way_where_there_is_no_room[who has most gives way]",
    ),
    Mutant(
        name="revisions-without-limit",
        wrong="A spec that is edited in a loop makes a revision each time",
        file="rollout/situation/pace.py",
        old="    return wanted.record is None and situation.now < _free_at(situation)\n",
        new="    return False\n",
        test="tests/unit/rollout/situation/test_pace.py::"
        "test_edits_over_the_budget_wait_and_the_last_one_is_begun",
    ),
    Mutant(
        name="the-way-back-waits",
        wrong="Who has edited too often cannot go back to what the history knows",
        file="rollout/situation/pace.py",
        old="    return wanted.record is None and situation.now < _free_at(situation)\n",
        new="    return situation.now < _free_at(situation)\n",
        test="tests/unit/rollout/situation/test_pace.py::test_what_the_history_knows_is_tried_again_at_once",
    ),
    Mutant(
        name="times-to-come-count-as-begun",
        wrong="A clock that is set back by a day lets nothing new be begun for a day",
        file="rollout/situation/pace.py",
        old="    return tuple(at for at in situation.status.begun_at if at <= situation.now)\n",
        new="    return tuple(at for at in situation.status.begun_at)\n",
        test="tests/unit/rollout/situation/test_pace.py::"
        "test_a_clock_that_jumps_keeps_nothing_waiting_for_more_than_a_minute[-86400.0]",
    ),
    Mutant(
        name="a-place-is-handed-to-the-same-again",
        wrong="Of several who wait for room the first namespace gets all that becomes free",
        file="outbound/sharing.py",
        old="                owners.append(owner)\n",
        new="                owners.appendleft(owner)\n"
        "                self._waiting = {owner: requests, **self._waiting}\n",
        test=_METRICS + "test_bounds.py::test_who_waits_for_room_waits_for_one_of_each_owner",
    ),
    Mutant(
        name="names-of-all-are-one-namespaces",
        wrong="Names that nobody answers for take every thread that looks names up",
        file="outbound/lookups.py",
        old="    owner = _owner.get()\n",
        new='    owner = ""\n',
        test=_OUTBOUND + "test_lookups.py::"
        "test_names_that_nobody_answers_for_keep_no_other_namespace_waiting",
    ),
    Mutant(
        name="news-of-rollbacks-waits-in-line",
        wrong="That something was taken back is told after everything that was put in line before",
        file="kube/queues/backlog.py",
        old="        first = self._in_a_row < URGENT_IN_A_ROW\n",
        new="        first = False\n",
        test="tests/unit/kube/queues/test_backlog.py::"
        "test_what_is_urgent_goes_first_with_what_came_before_of_the_same_object",
    ),
)

OTHERS_OBJECTS = (
    Mutant(
        name="a-cookie-is-always-spelled-as-before",
        wrong="A cookie is written as Gateway API spelled it up to 1.6, whatever is installed",
        file="routing/gatewayapi.py",
        old="    if COOKIE in fields:\n",
        new="    if COOKIE in fields and not fields:\n",
        test=_DEFINITIONS + "test_a_cookie_is_spelled_as_the_installed_kind_spells_it",
    ),
    Mutant(
        name="a-definition-of-another-version-is-read",
        wrong="Fields are looked up in whichever version of a definition comes first",
        file="kube/informers/projections/gateways.py",
        old="for item in wire.spec.versions if item.name == _ROUTE_VERSION)",
        new="for item in wire.spec.versions if item.name)",
        test=_DEFINITIONS + "test_a_definition_is_read_in_the_version_that_is_written",
    ),
    Mutant(
        name="what-cannot-be-written-is-tried",
        wrong="A cookie that the installed kind has no field for is for the apiserver to refuse",
        file="routing/definitions.py",
        old='return "" if known & {SESSION_NAME, COOKIE} else',
        new='return "" if known is not None else',
        test=_DEFINITIONS + "test_a_cookie_that_cannot_be_written_is_refused_before_anything_moves",
    ),
    Mutant(
        name="names-of-pods-are-never-cut",
        wrong="Pods of a model with a long name are looked for by names that Kubernetes has cut",
        file="core/names.py",
        old='    return whole if room > _POD_HASH_LENGTH else f"{whole}|{cut}"\n',
        new="    return whole if cut else whole\n",
        test="tests/properties/test_names.py::test_the_load_of_every_pod_is_found",
    ),
    Mutant(
        name="a-safe-name-is-nobodys",
        wrong="Where Traefik names services safely, nothing that they answered is counted",
        file="routing/traefik.py",
        old='pattern = f"{by_route}|{by_port}|{safely}"',
        new='pattern = f"{by_route}|{by_port}" if safely else ""',
        test="tests/properties/test_names.py::"
        "test_every_name_that_traefik_gives_a_service_is_counted",
    ),
    Mutant(
        name="a-former-controller-is-believed",
        wrong="Whoever once wrote an answer into a route speaks for the gateway of today",
        file="routing/parents.py",
        old='if controller in {"", p.controller}]',
        new="if controller is not None]",
        test=_PARENTS + "test_a_former_controllers_good_word_is_no_answer",
    ),
    Mutant(
        name="an-answer-about-another-listener",
        wrong="An old answer about a listener that the route has left keeps a rollout waiting",
        file="routing/parents.py",
        old="if _is_exact(entry, ref)]",
        new="if _is_of(entry, ref)]",
        test=_PARENTS + "test_an_answer_to_one_reference_is_none_to_the_other",
    ),
    Mutant(
        name="an-answer-about-another-kind",
        wrong="What is said of a ListenerSet is taken for its Gateway's of the same name",
        file="routing/parents.py",
        old="said = (group, entry.kind, entry.namespace, entry.name)",
        new="said = (group, ref.kind, entry.namespace, entry.name)",
        test=_PARENTS + "test_an_entry_that_is_not_about_our_parent_is_no_answer",
    ),
)

CONDITIONS = (
    Mutant(
        name="a-pause-is-done",
        wrong="A rollout that waits for a person is nothing that a tool waits for",
        file="rollout/report/conditions.py",
        old='    waits = phase == "Paused" and not _is_promoted(situation)\n',
        new="    waits = False\n",
        test=_STATES + "test_an_approval_is_waited_for_and_given_by_promote",
    ),
    Mutant(
        name="a-paused-guard-is-waited-for",
        wrong="A version that serves all is in progress while its guard is paused",
        file="rollout/report/conditions.py",
        old='    waits = phase == "Paused" and not _is_promoted(situation)\n',
        new='    waits = phase == "Paused"\n',
        test=_SCENARIOS + "test_a_paused_guard_leaves_nothing_to_wait_for",
    ),
)

ROUTES_OF_OURS = (
    Mutant(
        name="edits-of-traffic-do-not-wait",
        wrong="Host names that people edit in mid-rollout come into force at once",
        file="rollout/decide/traffic.py",
        old="    if kept is None or (situation.spec is not None and "
        "is_at_rest(situation.status)):\n",
        new="    if kept is None or situation.spec is not None:\n",
        test=_TRAFFIC + "test_what_people_edit_in_a_rollout_waits_until_it_is_over[Holding]",
    ),
    Mutant(
        name="a-strangers-weight-is-adopted",
        wrong="A refused canary keeps the share that a stranger wrote into the route",
        file="rollout/situation/traffic.py",
        old="        return min(part.weight, self.live_share(part.revision))\n",
        new="        return self.live_share(part.revision)\n",
        test=_TRAFFIC + "test_weights_that_somebody_gave_a_refused_canary_are_not_adopted",
    ),
    Mutant(
        name="a-strangers-service-is-adopted",
        wrong="A Service that a stranger turned to a refused canary stays so until that is gone",
        file="rollout/situation/traffic.py",
        old="        return goes_back and turned\n",
        new="        return goes_back\n",
        test=_TRAFFIC + "test_a_service_that_somebody_turned_to_a_refused_canary_is_turned_back",
    ),
    Mutant(
        name="traffic-written-before-it-is-meant",
        wrong="A route is written by what is in force only after that",
        file="rollout/plan.py",
        old="        status.traffic,\n",
        new="",
        test=_TRAFFIC + "test_what_is_in_force_is_stored_before_a_route_is_written_by_it",
    ),
    Mutant(
        name="what-others-add-stays",
        wrong="What a stranger adds beside our fields stays in the route, and is fought for ever",
        file="rollout/writes/children.py",
        old="    return Apply(ref, body, found.meta.resource_version, removes=removes)\n",
        new="    return Apply(ref, body, found.meta.resource_version)\n",
        test=_TRAFFIC + "test_an_edit_is_put_right_at_once_in_every_state[Istio-tcp-Holding]",
    ),
    Mutant(
        name="a-fight-without-pauses",
        wrong="Against somebody who keeps writing a route is put right as often as they write",
        file="rollout/situation/contest.py",
        old="    return at + wait if at <= situation.now else -math.inf  # in the "
        "future: a clock was set back\n",
        new="    return at if at <= situation.now else -math.inf  # in the future: "
        "a clock was set back\n",
        test=_TRAFFIC + "test_against_somebody_who_keeps_writing_it_is_put_right_ever_more_rarely",
    ),
    Mutant(
        name="a-write-of-ours-is-taken-for-anothers",
        wrong="What was in place before a decision still counts as in place once that is undone",
        file="rollout/situation/contest.py",
        old='    if routes.written not in ("", wanted):\n',
        new="    if False:\n",
        test=_TRAFFIC + "test_a_write_of_ours_that_is_undone_at_once_is_nobodys_edit",
    ),
    Mutant(
        name="names-are-causes",
        wrong="An image called request-timeout that nobody pushed counts as a busy registry",
        file="rollout/situation/pods/kubelet_reasons.py",
        old="    own = _NAMES.sub(",
        new='    own = re.compile(\'"[^"]*"\').sub(',
        test="tests/unit/rollout/situation/pods/test_faults.py::test_what_something_is_called_is_no_cause",
    ),
    Mutant(
        name="pods-that-others-take-are-blamed",
        wrong="A version is rejected at the deadline for pods that have just come for taken ones",
        file="rollout/situation/seen.py",
        old="        stuck = since is not None and self.now - since >= deadline\n",
        new="        stuck = since is not None and deadline >= 0\n",
        test="tests/simulated/test_blame.py::"
        "test_pods_that_others_keep_taking_are_no_want_of_progress",
    ),
    Mutant(
        name="what-was-never-seen-in-place-is-no-contest",
        wrong="Whoever undoes a step before our watches saw it is answered at once, for ever",
        file="rollout/situation/contest.py",
        old="    if not routes.written and _was_placed(situation, split):\n",
        new="    if False:\n",
        test=_STRANGERS + "test_who_undoes_a_step_before_it_was_seen_in_place_is_a_contest_too",
    ),
    Mutant(
        name="a-child-is-put-right-without-end",
        wrong="A child that somebody writes in a loop is put right as often as they write",
        file="shell/controller/reconciler.py",
        old="self._brake.spend(key, Cause.CHILD, child) if isinstance(write, Apply) else 0.0",
        new="0.0",
        test=_STRANGERS
        + "test_a_child_that_somebody_writes_in_a_loop_is_put_right_once_a_second[budget]",
    ),
    Mutant(
        name="a-step-waits-for-a-contest",
        wrong="What is decided anew waits as long as what somebody else wrote",
        file="rollout/situation/contest.py",
        old=("    if not is_changed(situation):\n        return -math.inf\n"),
        new="",
        test=_TRAFFIC + "test_a_step_that_is_due_is_written_in_the_middle_of_a_contest",
    ),
    Mutant(
        name="a-contest-holds-weight-to-stable-up",
        wrong="Weight that a stranger gave the canary goes back only after the longest pause",
        file="rollout/situation/contest.py",
        old="    if _goes_back(situation):\n",
        new="    if situation.canary is None:\n",
        test=_TRAFFIC + "test_weight_that_has_to_go_back_to_stable_waits_a_second_at_most",
    ),
)

WORDS = (
    Mutant(
        name="words-failed-readings-are-few-requests",
        wrong="Readings that fail are told as requests that are missing",
        file="rollout/situation/undecided.py",
        old='    if result.problems and row.get("check") != "job" and reason in _UNREADABLE:\n',
        new="    if False:\n",
        test=_UNDECIDED + "test_a_wrong_port_is_said_with_whose_it_is_and_what_was_refused",
    ),
    Mutant(
        name="words-newer-than-their-figures",
        wrong="A longer wait is told with what was counted half a minute before",
        file="rollout/report/status.py",
        old="    if saved_at is not None and told is not None and saved_at < told:\n",
        new="    if False:\n",
        test=_UNDECIDED
        + "test_a_step_that_stays_tells_what_was_counted_when_the_words_are_written",
    ),
    Mutant(
        name="nothing-seen-is-no-event",
        wrong="A step that stays for want of data is in status alone",
        file="rollout/report/events.py",
        old=(
            "    return after.status.reason in (TAKEN, WAITING) or (\n"
            "        after.status.reason in UNDECIDED and is_blind(after)\n"
            "    )\n"
        ),
        new="    return after.status.reason in (TAKEN, WAITING)\n",
        test=_UNDECIDED + "test_a_step_that_stays_without_data_is_told_by_an_event_once",
    ),
    Mutant(
        name="words-no-pods-is-ready",
        wrong="A model that a person gave no pods is called ready",
        file="rollout/situation/health.py",
        old="        return off and not idle\n",
        new="        return False\n",
        test=_SCENARIOS + "test_a_model_without_pods_that_nobody_wants_back_is_not_ready",
    ),
    Mutant(
        name="words-idle-is-not-ready",
        wrong="A model that its autoscaler would wake is called switched off",
        file="rollout/situation/health.py",
        old="        return off and not idle\n",
        new="        return off\n",
        test="tests/unit/rollout/situation/test_scaling.py::"
        "test_an_idle_model_has_no_pods_and_is_ready_to_have_some",
    ),
    Mutant(
        name="words-younger-route-wins",
        wrong="Of two routes for one host name the younger is thought to get the requests",
        file="kube/informers/claims.py",
        old="            self._ranks[claim] = sorted(self.rank(key) for key in routed)\n",
        new="            self._ranks[claim] = sorted(map(self.rank, routed))[::-1]\n",
        test="tests/unit/kube/informers/test_claims.py::"
        "test_who_has_the_older_route_has_no_rival_and_the_other_has_one",
    ),
    Mutant(
        name="hostnames-by-letters",
        wrong="An entry for all that is below a host name is for names that end with its letters",
        file="cli/objects/given.py",
        old='host[1:] if host.startswith("*.")',
        new='host[2:] if host.startswith("*.")',
        test="tests/unit/cli/commands/test_hostnames.py::"
        "test_entries_are_compared_by_whole_labels_and_segments",
    ),
    Mutant(
        name="hostnames-of-own-gateways-alone",
        wrong="Host names at a Gateway of another namespace are taken for one's own",
        file="routing/gatewayapi.py",
        old='or ref.get("namespace", namespace) != namespace\n',
        new="or not namespace\n",
        test="tests/unit/cli/commands/test_hostnames.py::"
        "test_what_is_asked_for_at_an_entrance_of_all_has_to_be_given",
    ),
    Mutant(
        name="words-names-of-other-namespaces",
        wrong="A model of another namespace is named",
        file="rollout/situation/collisions.py",
        old="    if rival.namespace == situation.observed.model.meta.namespace:\n",
        new="    if rival.namespace:\n",
        test="tests/unit/routing/test_host_names.py::"
        "test_of_another_namespace_nothing_but_the_namespace_is_said_and_of_many_only_three",
    ),
    Mutant(
        name="neighbours-of-a-wilder-name",
        wrong="A route for a wild host name is thought to get the requests of one for a name",
        file="routing/claims.py",
        old="overlaps and covers(claim.hostname, theirs.hostname)",
        new="overlaps and covers(theirs.hostname, claim.hostname)",
        test="tests/unit/kube/informers/test_neighbours.py::"
        "test_of_two_host_names_the_narrower_one_gets_the_requests",
    ),
    Mutant(
        name="neighbours-forged",
        wrong="A route with a model's label is taken for the model's, whoever owns it",
        file="kube/informers/neighbours.py",
        old="        return owned and (route.meta.namespace, name) in self._wanted\n",
        new="        return bool(name) and (owned or owner is None)\n",
        test="tests/unit/kube/informers/test_neighbours.py::test_what_only_looks_like_a_models_route_is_told",
    ),
    Mutant(
        name="words-lost-pods-are-growth",
        wrong="A pod that is lost while others are added doesn't count",
        file="rollout/report/conditions.py",
        old="    sound = 0 < had <= part.ready_replicas and "
        "situation.seen.fault(part.revision) is None\n",
        new="    sound = situation.seen.fault(part.revision) is None\n",
        test="tests/unit/rollout/report/test_headlines.py::"
        "test_a_pod_that_is_lost_while_others_are_added_still_counts",
    ),
)

AT_THE_DOOR = (
    Mutant(
        name="who-waits-keeps-the-place",
        wrong="Where there are too many connections to the operator's port, a new one is refused",
        file="shell/inbound.py",
        old="            idle = next((other for other in crowd if not other.asking), None)\n",
        new="            idle = None\n",
        test="tests/unit/shell/test_inbound.py::"
        "test_4000_idle_connections_keep_no_probe_from_being_answered[uvloop]",
    ),
    Mutant(
        name="metrics-have-no-share",
        wrong="Whoever asks for metrics and never reads them may do so as often as they like",
        file="shell/inbound.py",
        old="        if self._of.total() >= SCRAPES or self._of[address] >= SCRAPES_OF_ADDRESS:\n",
        new="        if not address:\n",
        test="tests/unit/shell/test_inbound.py::"
        "test_metrics_that_nobody_takes_have_a_share_and_an_end",
    ),
    Mutant(
        name="every-token-is-asked-for",
        wrong="The apiserver is asked for as many tokens as anybody sends",
        file="shell/reviews.py",
        old="        code = await self._ask(token) if was_let_in or self._may_ask() else 503\n",
        new="        code = await self._ask(token)\n",
        test="tests/unit/shell/test_reviews.py::"
        "test_a_flood_of_tokens_is_rationed_and_shuts_nobody_out",
    ),
)

_MADE = "tests/unit/core/test_made.py::"
WHAT_IS_OURS = (
    Mutant(
        name="whatever-is-there-is-ours",
        wrong="A Deployment or Job with our labels and owner is noted as one that we made",
        file="core/made.py",
        old="for name, uid in there.items() if uid in observed.answered}",
        new="for name, uid in there.items() if uid or observed.answered}",
        test=_MADE + "test_a_deployment_made_beforehand_with_everything_copied_is_made_anew",
    ),
    Mutant(
        name="an-upgrade-knows-nothing",
        wrong="Where no account was kept nothing is ours, and what serves is made anew",
        file="core/made.py",
        old="return there if _was_worked_on(observed) else _pick_answered(observed, there)",
        new="return _pick_answered(observed, there)",
        test=_MADE
        + "test_at_an_upgrade_and_after_a_lost_status_everything_that_serves_is_taken_over[made]",
    ),
    Mutant(
        name="new-objects-trust-what-is-there",
        wrong="What stands under the names of a model that is new is taken over",
        file="core/made.py",
        old="    return observed.model.status != Status() or bool(observed.revisions)\n",
        new="    return observed is not None\n",
        test=_MADE + "test_of_an_object_that_is_new_nothing_is_ours_whatever_is_there",
    ),
    Mutant(
        name="what-is-not-seen-is-forgotten",
        wrong="What a cache doesn't show for a moment is a stranger's when it is back",
        file="core/made.py",
        old="if there.get(n) == uid or n in expected}",
        new="if there.get(n) == uid or n in there and expected}",
        test=_MADE + "test_a_cache_that_was_blind_for_a_moment_makes_no_stranger_of_what_serves",
    ),
    Mutant(
        name="pods-by-their-labels",
        wrong="A pod with a revision's labels counts, whoever made it",
        file="core/made.py",
        old="if pod.meta.owner and pod.meta.owner.uid in ours)",
        new="if pod.meta.owner or ours)",
        test=_MADE + "test_a_pod_that_looks_like_the_canarys_and_is_not_takes_no_canary_back"
        "[of a forged Deployment's ReplicaSet]",
    ),
    Mutant(
        name="another-uid-is-taken-in",
        wrong="What has our labels, selector and owner under a name of ours is taken in",
        file="kube/writer.py",
        old="    if write.uid is not None:\n        return found.uid != write.uid\n",
        new="",
        test="tests/unit/kube/test_writer.py::"
        "test_what_has_everything_of_ours_but_the_uid_is_made_anew"
        "[Deployment-unlabelled-we made none]",
    ),
    Mutant(
        name="anybodys-child-counts",
        wrong="A child of a new kind counts as ours by its labels, whoever owns it",
        file="kube/informers/cache.py",
        old=" if r.meta.owner and r.meta.owner.uid == model.meta.uid)",
        new=" if r.meta.name or model)",
        test="tests/unit/kube/test_adding_a_kind.py::"
        "test_what_was_there_before_is_listed_and_only_what_is_ours_is_a_child",
    ),
    Mutant(
        name="more-is-asked-than-given",
        wrong="ReplicaSets are asked for one by one, for which the chart gives no right",
        file="core/kinds.py",
        old='"replicasets",\n        SEEN,\n',
        new='"replicasets",\n        READ,\n',
        test="tests/unit/kube/test_kinds.py::"
        "test_the_chart_gives_the_rights_that_the_table_asks_for_and_no_others[default]",
    ),
    Mutant(
        name="webhooks-are-fought-with",
        wrong="What a webhook makes of a Deployment within our own request is written over again",
        file="rollout/writes/children.py",
        old="    return stored not in situation.observed.accepted\n",
        new="    return bool(stored)\n",
        test="tests/simulated/test_webhooks.py::"
        "test_a_webhook_that_changes_every_deployment_is_quiet_and_nobodys_fault[images]",
    ),
    Mutant(
        name="taken-names-are-waited-for",
        wrong="A Job whose name somebody else has taken is tried under it for good",
        file="rollout/situation/jobs.py",
        old="return next((name for name in names if name not in taken), names[-1])",
        new="return next((name for name in names if taken is not None), names[-1])",
        test=_MADE + "test_a_name_of_a_job_that_somebody_has_taken_is_counted_past",
    ),
)

MUTANTS = (
    *PODS_BEFORE_TRAFFIC,
    *TRAFFIC_BEFORE_PODS,
    *EMERGENCIES,
    *STEPS_AND_TIME,
    *REJECTIONS_AND_FAULTS,
    *VERDICTS,
    *HOLDBACK,
    *EXPERIMENTS,
    *JUDGING,
    *JOBS,
    *COMMANDS,
    *CONDITIONS,
    *ORDER_OF_WRITES,
    *SOURCES,
    *SCALED_PODS,
    *SIZES,
    *USE,
    *SEEING,
    *TAKING_OVER,
    *ONE_OBJECT_ALONE,
    *BESIDE_THE_WORK,
    *OTHERS_OBJECTS,
    *ROUTES_OF_OURS,
    *WORDS,
    *AT_THE_DOOR,
    *WHAT_IS_OURS,
)
