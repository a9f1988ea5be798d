"""Rollouts that went wrong elsewhere, played in a simulated cluster: each with its number.

The observer asserts the invariants at every change of every one of these; what a test says is what
is special about its scenario.
"""

from __future__ import annotations

import pytest
from canarium.sim.apiserver import Change
from canarium.sim.controllers.pods import Behaviour
from canarium.sim.traffic import AnswerPattern

from tests.simulated.play import KEY, Play, log_changes, serving

CRASHING = Behaviour(failing="Crash")
UNREADY = Behaviour(failing="Unready")


def replicas_written(changes: list[Change], play: Play, version: str) -> list[int]:
    """Every size that a version's Deployment was given, one after the other."""
    name = f"fraud-{play.revision(version)}"
    sizes = [
        change.body["spec"]["replicas"]
        for change in changes
        if change.kind == "Deployment" and change.key[1] == name
    ]
    return [size for i, size in enumerate(sizes) if i == 0 or sizes[i - 1] != size]


def test_a_third_version_waits_until_traffic_is_back_on_a_stable_at_capacity() -> None:
    """1 (AR#3372)."""
    with serving(replicas=4) as play:
        play.want("2")
        play.until_weight(50)
        changes = log_changes(play)
        play.want("3")
        play.run_until(lambda: play.replicas("3") > 0)
        assert (play.weights, play.shares, play.replicas("1")) == ({"1": 100}, {"1": 1.0}, 4)
        play.until("Idle", "3")
        assert replicas_written(changes, play, "1") in ([], [4])
        play.rest()
        assert (play.shares, play.outcome("2"), play.traffic.lost(KEY)) == (
            {"3": 1.0}, "Canceled", 0,
        )  # fmt: skip


def test_a_superseded_revision_keeps_its_pods_until_the_gateway_has_forgotten_it() -> None:
    """2 (AR#3617)."""
    with serving() as play:
        play.gateway.manners.answer_seconds = 8.0
        play.want("2")
        play.until_weight(50)
        play.run(15.0)
        play.want("3")
        while play.replicas("2"):
            assert play.shares.get("", 0) == 0
            play.run(1.0)
        assert "2" not in play.shares
        play.until("Idle", "3")
        assert play.traffic.lost(KEY) == 0


def test_stable_keeps_its_pods_while_the_gateway_has_not_taken_the_weight() -> None:
    """3 (AR#3926, AR#4595)."""
    with serving(guard="0s") as play:
        play.want("2")
        play.until_weight(50)
        play.run(6.0)
        play.gateway.manners.answer = "Never"
        play.run(600.0)
        assert (play.weights, play.shares) == ({"2": 100}, {"1": 0.5, "2": 0.5})
        assert (play.replicas("1"), play.replicas("2")) == (3, 3)
        play.gateway.manners.answer = "Accept"
        play.gateway.catch_up()
        play.until("Idle", "2")
        play.rest()
        assert (play.replicas("1"), play.traffic.lost(KEY)) == (0, 0)


def test_a_large_stable_is_never_scaled_down_beside_an_incomplete_canary() -> None:
    """4 (AR#2050)."""
    with serving(replicas=110, guard="0s") as play:
        changes = log_changes(play)
        play.pods.behave("2", Behaviour(start_seconds=30.0))
        play.want("2")
        play.run(40.0)
        play.pods.set_quota(150)
        play.run(300.0)
        assert (play.phase, play.replicas("1")) == ("Progressing", 110)
        assert replicas_written(changes, play, "1") in ([], [110])
        play.pods.set_quota(None)
        play.until("Idle", "2", most_seconds=3000.0)
        play.rest()
        assert (play.replicas("1"), play.replicas("2")) == (0, 110)


def test_scaling_up_after_an_abort_does_not_revive_the_canary() -> None:
    """5 (AR#4973)."""
    with serving() as play:
        play.want("2")
        play.until("Holding")
        play.ask("abort", "2")
        play.until("Rejected")
        play.want("2", replicas=6)
        play.rest()
        assert (play.shares, play.replicas("1"), play.replicas("2")) == ({"1": 1.0}, 6, 0)


def test_an_abort_with_nothing_in_progress_takes_nothing_away() -> None:
    """6 (AR#1292)."""
    with serving() as play:
        changes = log_changes(play)
        play.ask("abort", "1")
        play.rest()
        assert {change.kind for change in changes} == {"ModelDeployment"}
        assert (play.phase, play.shares, play.replicas("1")) == ("Healthy", {"1": 1.0}, 3)


@pytest.mark.parametrize("paused", [False, True])
def test_an_abort_counts_in_the_guard_and_while_paused(paused: bool) -> None:
    """7 (AR#4461, AR#3756)."""
    with serving(guard="2m") as play:
        play.want("2")
        play.until("Holding" if paused else "Guarding")
        if paused:
            play.want("2", paused=True)
            play.run(30.0)
            assert play.phase == "Paused"
        play.ask("abort", "2")
        play.until("Rejected")
        play.rest()
        assert (play.shares, play.outcome("2")) == ({"1": 1.0}, "RolledBack")


@pytest.mark.parametrize(
    "kind", ["ModelDeployment", "Deployment", "Pod", "HTTPRoute", "EndpointSlice", "ModelRevision"]
)
def test_a_stale_cache_neither_counts_twice_nor_loses_a_promotion(kind: str) -> None:
    """8 (AR#720, AR#4694): each kind in turn is seen half a minute late."""
    with serving(steps=((20, "10s"),)) as play:
        play.network.lags[kind] = 30.0
        play.want("2", steps=((20, "10s"), (50, "0s")))
        play.want("2", steps=[(20, "10s"), (50, "0s")])
        play.until("Idle", "2")
        play.network.lags.clear()
        play.rest()
        assert play.end()["shares"] == {"2": 1.0}
        assert play.story().count("Promoted") == 1
        assert play.story().count("RolloutStarted") == 1
        assert play.traffic.lost(KEY) == 0


def test_a_git_sync_every_minute_changes_nothing_under_a_rollout() -> None:
    """9, and point 6 of the issue: the same manifest applied again and again."""
    with serving(guard="3m") as play:
        play.want("2", steps=((20, "2m"), (50, "2m")))
        play.until("Holding")
        generation = play.server.find("ModelDeployment", KEY)["metadata"]["generation"]  # type: ignore[index]
        while play.state(KEY) != "Idle":
            play.want("2")
            play.run(60.0)
        found = play.server.find("ModelDeployment", KEY)
        assert found is not None
        assert (found["metadata"]["generation"], play.stable) == (generation, "2")
        assert play.story().count("WeightShifted") == 3


@pytest.mark.parametrize("state", ["Scaling", "Holding", "Guarding", "Reverting"])
def test_a_git_sync_that_resets_replicas_takes_no_capacity_from_a_rollout(state: str) -> None:
    """9 (AR#3565): an autoscaler wants six, Git says two, again and again."""
    with serving(replicas=6) as play:
        changes = log_changes(play)
        if state == "Reverting":
            play.script.say("2", "Fail")
        play.want("2", replicas=6)
        play.until(state)
        for _ in range(5):
            play.want("2", replicas=2)
            play.run(4.0)
            play.want("2", replicas=6)
            play.run(4.0)
        play.run_until(lambda: play.state(KEY) in ("Idle", "Rejected"))
        play.rest()
        sizes = replicas_written(changes, play, "1")
        assert play.traffic.lost(KEY) == 0
        assert state == "Reverting" or not [size for size in sizes if 0 < size < 2]


def test_a_version_that_fails_while_it_is_promoted_is_not_what_one_goes_back_to() -> None:
    """10 (FL#1898)."""
    with serving(guard="5m") as play:
        play.want("2")
        play.until("Guarding", "2")
        play.pods.behave("2", CRASHING)
        play.until("Rejected", "1")
        play.rest()
        assert (play.shares, play.weights, play.outcome("2")) == (
            {"1": 1.0}, {"1": 100}, "RolledBack",
        )  # fmt: skip


def test_a_restarted_operator_does_not_try_a_rejected_version_again() -> None:
    """11 (AR#1665)."""
    with serving() as play:
        play.script.say("2", "Fail")
        play.want("2")
        play.until("Rejected")
        play.script.say("2", "Pass")
        play.rest()
        play.restart_operator()
        play.want("2", steps=((10, "1s"),))
        play.run(600.0)
        assert (play.state(KEY), play.shares, play.replicas("2")) == ("Rejected", {"1": 1.0}, 0)
        play.ask("retry", "2", "again")
        play.until("Idle", "2")


@pytest.mark.parametrize("verdict", ["Inconclusive", "NoData"])
def test_an_inconclusive_analysis_promotes_nothing(verdict: str) -> None:
    """12 (AR#3850)."""
    with serving() as play:
        play.script.say("2", verdict)
        play.want("2")
        play.run(3600.0)
        assert (play.state(KEY), play.weights) == ("Holding", {"1": 80, "2": 20})
        assert play.condition("Ready")[0] == "True"
        play.script.say("2", "Pass")
        play.until("Idle", "2")


def test_a_measurement_that_ends_with_the_operator_is_no_success() -> None:
    """13 (AR#1329): the operator is killed again and again before there is enough to judge by."""
    with serving(judged=True, steps=((20, "10s"),)) as play:
        play.traffic.rate = 0.5
        play.want("2", judged=True)
        play.until("Holding")
        for _ in range(10):
            play.run(12.0)
            play.restart_operator()
        assert (play.state(KEY), play.weights) == ("Holding", {"1": 80, "2": 20})
        play.traffic.rate = 20.0
        play.until("Idle", "2")


def test_a_hold_goes_on_where_it_was_when_the_operator_is_restarted() -> None:
    """13, the other way round: what was held already is not held again."""
    with serving(steps=((20, "2m"),)) as play:
        play.want("2")
        play.until("Holding")
        play.run(100.0)
        play.restart_operator()
        assert play.run_until(lambda: play.state(KEY) != "Holding") < 30.0


def test_what_an_autoscaler_may_look_at_is_stables_own_size() -> None:
    """14 (AR#2857)."""
    with serving() as play:
        play.want("2")
        play.until_weight(50)
        play.run(10.0)
        status = play.status(KEY)
        assert status["replicas"] == 3
        assert status["selector"] == (
            f"canarium.dev/model=fraud,canarium.dev/revision={play.revision('1')}"
        )


def test_waiting_by_the_observed_generation_waits_for_ones_own_change() -> None:
    """16 (kserve#6081, AR#4672)."""
    with serving() as play:
        play.want("2")
        found = play.server.find("ModelDeployment", KEY)
        assert found is not None
        wanted = found["metadata"]["generation"]
        assert play.status(KEY)["observedGeneration"] < wanted
        play.run_until(lambda: play.status(KEY)["observedGeneration"] == wanted)
        assert play.condition("UpToDate")[0] == "False"
        play.run_until(lambda: play.condition("UpToDate")[0] == "True")
        assert play.stable == "2"


def test_pods_that_crash_are_not_ready_and_a_serving_model_is_not_in_progress() -> None:
    """17 (kserve#2037, kserve#3686)."""
    with Play() as play:
        play.pods.behave("1", CRASHING)
        play.want("1")
        play.until("Broken")
        assert (play.phase, play.condition("Ready")[0]) == ("Failed", "False")
        play.pods.behave("1")
        play.until("Idle")
        play.rest()
        assert (play.phase, play.condition("Ready")[0]) == ("Healthy", "True")
        assert play.condition("Reconciling")[0] == "False"


def test_after_a_rollout_only_one_version_has_pods() -> None:
    """18 (kuberay#5088)."""
    with serving() as play:
        for version in ("2", "3", "2", "4"):
            play.want(version)
            play.until("Idle", version)
        play.rest()
        pods = [pod["metadata"]["name"] for pod in play.server.all_of("Pod")]
        assert {name.rpartition("-")[0] for name in pods} == {f"fraud-{play.revision('4')}"}


def test_an_operator_that_is_upgraded_writes_nothing() -> None:
    """20 (modelmesh-serving#486): it renders what it finds."""
    with serving() as play:
        play.want("2")
        play.until("Idle", "2")
        play.rest()
        changes, writes = log_changes(play), play.network.writes
        play.restart_operator()
        play.run(120.0)
        assert (changes, play.network.writes) == ([], writes)


def test_an_operator_that_is_upgraded_in_mid_rollout_restarts_no_pod() -> None:
    """20: the pods that were there go on, and the rollout too."""
    with serving() as play:
        play.want("2")
        play.until_weight(50)
        play.run(8.0)
        before = {pod["metadata"]["name"] for pod in play.server.all_of("Pod")}
        play.restart_operator()
        play.until("Guarding", "2")
        after = {pod["metadata"]["name"] for pod in play.server.all_of("Pod")}
        assert before <= after


def test_bad_answers_take_a_version_back_in_seconds() -> None:
    """The real judge on simulated counts: 30 % errors on 20 % of 20 requests a second."""
    with serving(judged=True) as play:
        play.traffic.answer("2", AnswerPattern(error_rate=0.3))
        play.want("2", judged=True)
        play.until_weight(20)
        play.run_until(lambda: play.shares.get("2", 0) > 0)
        assert play.run_until(lambda: play.weights == {"1": 100}) < 20.0
        play.until("Rejected")
        assert play.traffic.lost(KEY) == 0


def take_back_after_an_outage(away_seconds: float, rate: float) -> tuple[float, int]:
    """A bad canary, an operator that is killed and stays away: seconds until it is taken back after
    the next one began, and answers by which it was judged.
    """
    with serving(judged=True, steps=((20, "10m"),)) as play:
        play.traffic.rate = rate
        play.want("2")
        play.until("Holding")
        play.run_until(lambda: "counters" in play.status(KEY)["rollout"].get("tests", ""), 60.0)
        play.traffic.answer("2", AnswerPattern(error_rate=0.3))
        play.kill_operator()
        play.run(away_seconds)
        served = play.traffic.served(KEY)[play.revision("2")]
        play.start_operator()
        seconds = play.run_until(lambda: play.weights == {"1": 100}, 900.0)
        play.until("Rejected")
        return seconds, play.traffic.served(KEY)[play.revision("2")] - served


def test_what_a_bad_canary_answered_while_nobody_led_counts_against_it() -> None:
    """It kept its share for two minutes: the next leader needs no new answers to know enough."""
    seconds, answers = take_back_after_an_outage(120.0, rate=2.0)
    assert seconds < 3.0
    assert answers < 3


def test_slow_answers_take_a_version_back() -> None:
    """The same by latency."""
    metrics = [{"name": "latency-p90", "vsStable": {"maxRatio": "1.2"}}]
    analysis = {"minRequests": 20, "metrics": metrics}
    with serving(judged=True, steps=((20, "5m"),), analysis=analysis) as play:
        play.traffic.answer("2", AnswerPattern(latency_seconds=0.2))
        play.want("2")
        play.until("Rejected")
        play.rest()
        assert (play.shares, play.reason) == ({"1": 1.0}, "LatencyTooHigh")


@pytest.mark.parametrize("trouble", ["quota", "unschedulable"])
@pytest.mark.parametrize("first", [True, False])
def test_an_environment_that_heals_late_leaves_the_pods_their_time(
    trouble: str, first: bool
) -> None:
    """Nobody is rejected for a deadline that passed while pods could not come."""
    slow = Behaviour(start_seconds=30.0)
    with Play() if first else serving() as play:
        version, full = ("1", 0) if first else ("2", 3)
        if trouble == "quota":
            play.pods.set_quota(full)
            play.pods.behave(version, slow)
        else:
            play.pods.behave(version, Behaviour(failing="Unschedulable"))
        play.want(version)
        play.run(600.0)
        play.pods.set_quota(None)
        play.pods.behave(version, slow)
        play.until("Idle", version)
        play.rest()


COMPARED = {
    "minRequests": 20,
    "metrics": [{"name": "error-rate", "vsStable": {"maxIncrease": "0.5%"}}],
}
HELD_BACK = {"duration": "10m", "holdback": 5}


def test_a_regression_that_begins_in_the_guard_shows_beside_what_is_held_back() -> None:
    """There is no absolute bound, so only comparing tells."""
    with serving(judged=True, analysis=COMPARED, guard=HELD_BACK) as play:
        for version in ("1", "2"):
            play.traffic.answer(version, AnswerPattern(error_rate=0.02))
        play.traffic.rate = 100.0
        play.want("2")
        play.until("Guarding")
        play.run(60.0)
        play.traffic.answer("2", AnswerPattern(error_rate=0.15))
        assert play.shares == {"2": 0.95, "1": 0.05}
        assert play.run_until(lambda: play.weights == {"1": 100}) < 60.0
        play.until("Rejected")
        play.rest()
        assert (play.shares, play.outcome("2"), play.replicas("2")) == (
            {"1": 1.0}, "RolledBack", 0,
        )  # fmt: skip
        assert play.status(KEY)["rejected"][0]["reason"] == "ErrorRateTooHigh"
        assert play.traffic.lost(KEY) == 0


def test_a_holdback_without_a_regression_leaves_nothing_behind() -> None:
    """At the guard's end: weight, the gateway's word, and only then the pods."""
    with serving(judged=True, analysis=COMPARED, guard=HELD_BACK) as play:
        for version in ("1", "2"):
            play.traffic.answer(version, AnswerPattern(error_rate=0.02))
        changes = log_changes(play)
        play.want("2")
        play.until("Guarding")
        play.run_until(lambda: play.weights == {"2": 100}, most_seconds=700.0)
        assert (play.shares, play.replicas("1")) == ({"2": 0.95, "1": 0.05}, 3)
        play.until("Idle", "2")
        assert play.shares == {"2": 1.0}
        play.rest()
        assert replicas_written(changes, play, "1") == [0]
        assert (play.shares, play.outcome("1"), play.traffic.lost(KEY)) == (
            {"2": 1.0}, "Superseded", 0,
        )  # fmt: skip


def test_the_end_of_a_holdback_waits_for_a_gateway_that_says_nothing() -> None:
    """What it may still route by keeps its pods."""
    with serving(guard={"duration": "30s", "holdback": 20}) as play:
        play.want("2")
        play.until("Guarding")
        play.run(10.0)
        play.gateway.manners.answer = "Never"
        play.run(300.0)
        assert (play.weights, play.shares) == ({"2": 100}, {"2": 0.8, "1": 0.2})
        assert (play.state(KEY), play.replicas("1")) == ("Guarding", 3)
        play.gateway.manners.answer = "Accept"
        play.gateway.catch_up()
        play.until("Idle", "2")
        play.rest()
        assert (play.shares, play.replicas("1"), play.traffic.lost(KEY)) == ({"2": 1.0}, 0, 0)


def test_a_third_version_in_the_guard_takes_no_pods_from_what_is_held_back() -> None:
    """It begins at once, and the previous one's pods go when its first share has settled."""
    with serving(guard={"duration": "10m", "holdback": 20}) as play:
        play.want("2")
        play.until("Guarding")
        play.run(10.0)
        play.want("3")
        play.until_weight(20)
        assert play.replicas("1") == 3
        play.until("Idle", "3", most_seconds=1800.0)
        play.rest()
        assert (play.shares, play.replicas("1"), play.replicas("2")) == ({"3": 1.0}, 0, 0)
        assert play.traffic.lost(KEY) == 0


EXPERIMENT = {"metric": "clicks", "weight": 50, "minDuration": "1m", "maxDuration": "30m"}


def until_experimenting(play: Play) -> None:
    """Until both versions are side by side, and really get their shares."""
    play.run_until(lambda: play.status(KEY)["rollout"].get("stepName") == "experiment")
    play.until("Holding")
    assert play.shares == {"1": 0.5, "2": 0.5}


def test_an_experiment_promotes_the_winner() -> None:
    """Not before its time, and then as after any other step."""
    with serving(steps=((20, "10s"),), experiment=EXPERIMENT) as play:
        play.script.decide("2", "CanaryBetter")
        play.want("2")
        until_experimenting(play)
        assert 55.0 < play.run_until(lambda: play.weights == {"2": 100}) < 75.0
        play.until("Idle", "2")
        play.rest()
        assert (play.shares, play.outcome("2"), play.traffic.lost(KEY)) == (
            {"2": 1.0}, "Stable", 0,
        )  # fmt: skip


def test_an_experiment_takes_the_loser_back_with_the_evidence() -> None:
    """It may be decided at any time after the first minute."""
    with serving(steps=(), experiment=EXPERIMENT) as play:
        play.want("2")
        until_experimenting(play)
        play.run(300.0)
        play.script.decide("2", "CanaryWorse")
        play.until("Rejected")
        play.rest()
        assert (play.shares, play.reason, play.outcome("2"), play.traffic.lost(KEY)) == (
            {"1": 1.0}, "ExperimentLost", "RolledBack", 0,
        )  # fmt: skip
        record = play.server.find("ModelRevision", ("risk", f"fraud-{play.revision('2')}"))
        assert record is not None
        told = [(row["metric"], row["verdict"]) for row in record["status"]["evidence"]]
        assert told == [("error-rate", "Pass"), ("clicks", "CanaryWorse")]


def test_an_experiment_that_nobody_wins_ends_and_is_not_begun_again() -> None:
    """Half an hour, an operator that dies in it, and then a person's retry."""
    with serving(steps=(), experiment=EXPERIMENT) as play:
        play.want("2")
        until_experimenting(play)
        play.run(600.0)
        play.restart_operator()
        seconds = 600.0 + play.run_until(lambda: play.weights == {"1": 100}, most_seconds=1500.0)
        assert 1770.0 < seconds < 1830.0
        play.until("Rejected")
        play.rest()
        assert (play.shares, play.reason) == ({"1": 1.0}, "ExperimentUndecided")
        play.ask("retry", "2")
        until_experimenting(play)
        play.ask("promote", "2")
        play.until("Idle", "2")


def test_errors_end_an_experiment_at_once() -> None:
    """Whoever is winning."""
    with serving(steps=(), experiment=EXPERIMENT) as play:
        play.script.decide("2", "CanaryBetter")
        play.want("2")
        until_experimenting(play)
        play.script.say("2", "Fail")
        assert play.run_until(lambda: play.weights == {"1": 100}) < 5.0
        play.until("Rejected")
        assert play.reason == "ErrorRateTooHigh"


def test_a_place_is_made_only_once_a_late_gateway_works_by_what_was_written() -> None:
    """Half is held back on version 1 when 3 is wanted, for which there is no place."""
    guard = {"duration": "5m", "holdback": 50}
    with serving(steps=(), guard=guard) as play:
        play.want("2")
        play.until("Guarding")
        play.gateway.manners.answer = "Never"
        play.pods.set_quota(6)
        play.want("3")
        play.run(60.0)
        play.gateway.manners.answer = "Accept"
        play.gateway.catch_up()
        play.run(1.0)  # it has accepted, and routes by what was before for a while
        assert (play.shares, play.replicas("1")) == ({"1": 0.5, "2": 0.5}, 3)
        play.until("Idle", "3")
        play.rest()


def test_a_first_version_that_broke_gives_its_places_to_the_fix() -> None:
    """Its Service still leads there, to nobody who is ready."""
    with Play(gateway=False, replicas=3) as play:
        play.pods.set_quota(2)
        play.want("1")
        play.until("Shifting")
        play.pods.behave("1", CRASHING)
        play.until("Broken")
        play.want("2")
        play.until("Shifting", "2")
        assert (play.replicas("1"), play.replicas("2")) == (0, 3)
        play.pods.set_quota(None)
        play.until("Idle", "2")
        play.rest()
        assert play.shares == {"2": 1.0}


@pytest.mark.parametrize("late", [0.0, 1.0])
def test_what_somebody_else_writes_into_the_route_is_put_right_however_late_it_is_seen(
    late: float,
) -> None:
    with serving() as play:
        play.want("2")
        play.until("Holding")
        play.network.lags["HTTPRoute"] = late
        before = (play.server.find("HTTPRoute", KEY) or {})["spec"]
        edited = {**before, "hostnames": ["theirs.example.com"]}
        play.server.write("HTTPRoute", KEY, lambda body: {**body, "spec": edited}, "kubectl")
        play.run(late + 1.0)
        assert (play.server.find("HTTPRoute", KEY) or {})["spec"] == before
        assert "ExternalChangeReverted" in play.story()


def test_two_who_write_the_route_in_turns_write_ever_more_rarely() -> None:
    """A tool that syncs from elsewhere at once, as a GitOps controller with self-heal does."""
    with serving() as play:
        theirs = ["theirs.example.com"]

        def write(change: Change) -> None:
            if change.kind == "HTTPRoute" and change.by == "canarium" and play.now() < end:
                play.loop.call_later(0.05, sync)

        def sync() -> None:
            play.server.write(
                "HTTPRoute",
                KEY,
                lambda body: {**body, "spec": {**body["spec"], "hostnames": theirs}},
                "argocd-controller",
            )

        end = play.now() + 300.0
        play.observe(write)
        sync()
        play.run(300.0)
        assert play.condition("Ready") == ("False", "RouteContested")
        assert 10 <= play.story().count("ExternalChangeReverted") <= 20
        play.run(120.0)
        assert play.condition("Ready") == ("True", "Serving")


def test_what_somebody_adds_beside_our_fields_is_taken_away_and_not_fought_for_ever() -> None:
    with serving() as play:
        before = (play.server.find("HTTPRoute", KEY) or {})["spec"]
        added = {**before, "useDefaultGateways": "All"}
        play.server.write("HTTPRoute", KEY, lambda body: {**body, "spec": added}, "kubectl")
        play.run(1.0)
        assert (play.server.find("HTTPRoute", KEY) or {})["spec"] == before
        play.run(30.0)
        assert play.story().count("ExternalChangeReverted") == 1
