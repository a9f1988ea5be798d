"""What a rollout does to a model that is sized by its load, told case by case in a simulation.

The observer asserts at every change; what a test says is what is special about its case.
"""

from __future__ import annotations

import pytest
from canarium.errors import ApiError
from canarium.sim.apiserver import Change, is_deleting, is_ready
from canarium.sim.controllers.autoscaling import KIND as HPA
from canarium.sim.controllers.draining import EVICTION
from canarium.sim.controllers.pods import NODES, UNSCHEDULABLE
from canarium.sim.fields import Json

from tests.properties.scaled_play import (
    Engine,
    ScaledPlay,
    log_sizes,
    make_foreign_autoscaler,
    make_scaling,
    scaled,
)
from tests.simulated.play import KEY

BY_BOTH = pytest.mark.parametrize("engine", ["HPA", "KEDA"])
REFUSAL = (
    'admission webhook "vscaledobject.kb.io" denied the request: the workload is already managed '
    "by the hpa 'mine'"
)


def sizes_of(log: list[tuple[float, str, int, str]], version: str) -> list[int]:
    """Every size that one version was given, by whomever."""
    return [size for _, whose, size, _ in log if whose == version]


def whole(play: ScaledPlay, kind: str) -> tuple[str, str, str]:
    """A condition's status, reason and message."""
    found = play.status(KEY)["conditions"]
    return next((c["status"], c["reason"], c["message"]) for c in found if c["type"] == kind)


def count_left_by_evictions(play: ScaledPlay) -> list[int]:
    """By how many ready pods more than it has to the model stands after each eviction from now."""
    found: list[int] = []

    def look(change: Change) -> None:
        if change.kind == "Pod" and change.by == EVICTION:
            budget = play.server.get("PodDisruptionBudget", KEY).body
            found.append(play.drain.count_allowed(budget))

    play.observe(look)
    return found


@BY_BOTH
def test_stable_never_grows_because_a_canary_exists(engine: Engine) -> None:
    """14 (AR#2857)."""
    with scaled(scaling=make_scaling(engine), load=57.0) as play:
        log, size = log_sizes(play), play.replicas("1")
        play.want("2")
        play.until("Idle", "2")
        play.run(10.0)
        assert sizes_of(log, "1") == [0]
        assert max(sizes_of(log, "2")) == size
        assert play.traffic.lost(KEY) == 0


@BY_BOTH
def test_the_new_one_stands_at_full_size_and_after_the_guard_the_load_decides(
    engine: Engine,
) -> None:
    with scaled(scaling=make_scaling(engine), load=57.0, guard="60s") as play:
        size = play.replicas("1")
        play.want("2")
        play.until("Guarding")
        play.load.offer(KEY, 21.0)
        play.run(55.0)
        assert play.sizes() == {"1": size, "2": size}
        assert play.scalers() == {"1": (size, 20), "2": (size, 20)}
        play.until("Idle", "2")
        play.run(90.0)
        assert (play.sizes(), play.scalers()) == ({"2": 3}, {"2": (2, 20)})
        play.rest()


@BY_BOTH
def test_after_a_rollback_the_floors_go_and_the_load_decides(engine: Engine) -> None:
    with scaled(scaling=make_scaling(engine), load=57.0) as play:
        size = play.replicas("1")
        play.want("2")
        play.until("Holding")
        play.load.offer(KEY, 5.0)
        play.script.say("2", "Fail")
        play.until("Rejected")
        assert play.replicas("1") == size
        play.run(90.0)
        assert (play.sizes(), play.scalers()) == ({"1": 2}, {"1": (2, 20)})
        play.rest()


@BY_BOTH
def test_a_rollout_grows_with_the_load_and_what_one_would_go_back_to_does_too(
    engine: Engine,
) -> None:
    steps = ((20, "60s"), (50, "60s"))
    with scaled(scaling=make_scaling(engine), load=40.0, steps=steps, guard="60s") as play:
        before = play.replicas("1")
        play.want("2")
        play.until("Holding")
        play.load.offer(KEY, 140.0)
        play.until("Guarding")
        play.run(40.0)
        assert before < play.replicas("1") <= play.replicas("2")
        play.script.say("2", "Fail")
        play.until("Rejected")
        play.rest()
        assert play.traffic.lost(KEY) == 0


@BY_BOTH
def test_in_the_guard_the_previous_one_grows_along_so_that_it_can_take_everything_back(
    engine: Engine,
) -> None:
    with scaled(scaling=make_scaling(engine), load=57.0, guard="3m") as play:
        play.want("2")
        play.until("Guarding")
        play.load.offer(KEY, 110.0)
        play.run(60.0)
        assert play.sizes() == {"1": 11, "2": 11}
        play.script.say("2", "Fail")
        play.until("Rejected")
        assert (play.replicas("1"), play.traffic.lost(KEY)) == (11, 0)


@BY_BOTH
def test_a_git_sync_moves_nothing(engine: Engine) -> None:
    """9 (AR#3565): the same history with a sync every ten seconds, and without one."""

    def play_one(*, synced: bool) -> list[tuple[float, str, int, str]]:
        options: Json = {"steps": ((20, "60s"), (50, "60s")), "guard": "60s", "seed": 7}
        with scaled(scaling=make_scaling(engine), load=57.0, **options) as play:
            log = log_sizes(play)
            play.load.walk(KEY, 20.0, 120.0)
            for seconds in range(0, 600, 10):
                if seconds == 100:
                    play.want("2")
                if synced:
                    play.sync("2" if seconds >= 100 else "1")
                play.run(10.0)
            return log

    without = play_one(synced=False)
    assert play_one(synced=True) == without
    assert {by for _, _, _, by in without} >= {"canarium-capacity", "horizontal-pod-autoscaler"}


def test_while_the_operator_is_away_the_floors_hold() -> None:
    with scaled(load=57.0, steps=((50, "30s"),)) as play:
        size = play.replicas("1")
        play.want("2")
        play.until("Holding")
        play.kill_operator()
        play.load.offer(KEY, 1.0)
        play.run(900.0)
        assert play.sizes() == {"1": size, "2": 3}
        play.start_operator()
        play.until("Idle", "2")
        play.run(120.0)
        assert play.sizes() == {"2": 2}


def test_without_a_working_autoscaler_a_rollout_goes_on() -> None:
    with scaled(load=57.0) as play:
        play.autoscaler.working = False
        play.want("2")
        play.until("Idle", "2")
        play.run(10.0)
        assert (play.sizes(), play.traffic.lost(KEY)) == ({"2": 6}, 0)


@pytest.mark.parametrize("engines", [("HPA", "KEDA"), ("KEDA", "HPA"), ("HPA", "None")])
@pytest.mark.parametrize("state", ["Idle", "Holding", "Guarding"])
def test_another_engine_takes_over_and_no_size_falls(
    engines: tuple[Engine, Engine], state: str
) -> None:
    options: Json = {"steps": ((50, "60s"),), "guard": "60s"}
    with scaled(scaling=make_scaling(engines[0]), load=57.0, **options) as play:
        if state != "Idle":
            play.want("2")
            play.until(state)
        log, before = log_sizes(play), play.sizes()
        play.want("1" if state == "Idle" else "2", scaling=make_scaling(engines[1]))
        play.run(30.0)
        assert [size for _, whose, size, _ in log if size < before[whose]] == []
        assert len(play.scalers()) == (0 if engines[1] == "None" else len(before))


@pytest.mark.parametrize("gone", ["engine", "rights"])
def test_what_an_autoscaler_has_made_of_a_canary_stays_when_there_is_none_any_more(
    gone: str,
) -> None:
    with scaled(load=57.0, steps=((50, "10m"),)) as play:
        play.want("2")
        play.until("Holding")
        play.load.offer(KEY, 140.0)
        play.run(60.0)
        grown = play.sizes()
        assert grown["2"] > 3
        if gone == "engine":
            play.want("2", scaling=make_scaling("None"))
        else:
            play.network.forbidden.add(HPA)
            play.cut_watch(HPA)
        play.run(60.0)
        assert play.condition("Scaled")[0] == "False"
        assert play.sizes() == grown


def test_stable_can_take_everything_back_when_the_load_grew_under_a_canary_with_most_of_it() -> (
    None
):
    with scaled(load=10.0, steps=((99, "5m"),)) as play:
        assert play.sizes() == {"1": 2}
        play.want("2")
        play.until("Holding")
        play.load.offer(KEY, 57.0)
        play.run(60.0)
        assert play.sizes() == {"1": 7, "2": 6}
        play.script.say("2", "Fail")
        play.until("Rejected")
        assert play.traffic.lost(KEY) == 0


@pytest.mark.parametrize("state", ["Idle", "Holding"])
def test_a_fixed_size_is_handed_to_an_autoscaler_and_back_without_a_dip(state: str) -> None:
    with ScaledPlay(scaling={"replicas": 4}, load=57.0, steps=((50, "10m"),)) as play:
        play.want("1")
        play.until("Idle")
        if state != "Idle":
            play.want("2")
            play.until(state)
        log, version = log_sizes(play), "1" if state == "Idle" else "2"
        play.want(version, scaling=make_scaling())
        play.run(45.0)
        play.want(version, scaling={"replicas": 9})
        play.run(45.0)
        grown = sizes_of(log, "1")
        assert grown == sorted(grown)
        assert (play.replicas("1"), play.scalers()) == (9, {})


def watch_ready(play: ScaledPlay) -> list[int]:
    """How many pods of all revisions are ready, after each change of a pod from now on."""
    found: list[int] = []

    def look(change: Change) -> None:
        if change.kind == "Pod":
            pods = play.server.all_of("Pod")
            found.append(sum(is_ready(pod) and not is_deleting(pod) for pod in pods))

    play.observe(look)
    return found


@pytest.mark.parametrize("room", [4, 5])
@pytest.mark.parametrize("gateway", [True, False])
def test_without_room_for_a_second_copy_pods_are_replaced_one_by_one(
    room: int, gateway: bool
) -> None:
    options: Json = {"scaling": {"replicas": 4}, "capacity": "InPlace", "gateway": gateway}
    with ScaledPlay(**options) as play:
        play.want("1")
        play.until("Idle")
        play.pods.set_room(room)
        ready = watch_ready(play)
        play.want("2")
        play.until("Idle", "2")
        play.run(60.0)
        assert (play.sizes(), min(ready), play.traffic.lost(KEY)) == ({"2": 4}, 3, 0)
        play.rest()


@pytest.mark.parametrize("gateway", [True, False])
def test_a_rollback_in_place_gives_the_places_back_one_by_one(gateway: bool) -> None:
    options: Json = {"scaling": {"replicas": 4}, "capacity": "InPlace", "gateway": gateway}
    with ScaledPlay(**options) as play:
        play.want("1")
        play.until("Idle")
        play.pods.set_room(4)
        ready = watch_ready(play)
        play.want("2")
        play.run_until(lambda: play.replicas("1") <= 2)
        play.script.say("2", "Fail")
        play.until("Rejected")
        play.run(60.0)
        assert (play.sizes(), min(ready), play.traffic.lost(KEY)) == ({"1": 4}, 3, 0)
        play.rest()


@BY_BOTH
def test_in_place_an_autoscaler_goes_on_where_the_rollout_ends(engine: Engine) -> None:
    with scaled(scaling=make_scaling(engine), load=57.0, capacity="InPlace") as play:
        play.pods.set_room(6)
        ready = watch_ready(play)
        play.want("2")
        play.until("Idle", "2")
        play.pods.set_room(None)
        assert (min(ready), play.traffic.lost(KEY)) == (5, 0)
        play.load.offer(KEY, 95.0)
        play.run(120.0)
        assert play.sizes() == {"2": 10}
        play.rest()


def test_a_budget_holds_while_a_node_is_drained_in_a_rollout_which_finishes() -> None:
    with scaled(load=95.0, steps=((20, "20s"), (50, "20s"))) as play:
        evicted = count_left_by_evictions(play)
        play.want("2")
        play.until("Holding")
        play.drain.begin(NODES[0])
        play.run_until(lambda: play.drain.is_empty(NODES[0]))
        play.until("Idle", "2")
        assert (len(evicted) > 1, min(evicted) >= 0, play.drain.refused > 0) == (True, True, True)
        assert play.traffic.lost(KEY) == 0


def test_where_there_is_no_room_it_is_said_in_the_schedulers_words_and_nobody_is_rejected() -> None:
    with scaled(load=57.0) as play:
        play.pods.set_room(6)
        play.want("2")
        play.run(30.0)
        assert (play.state(KEY), play.shares) == ("Scaling", {"1": 1.0})
        assert UNSCHEDULABLE in str(play.status(KEY)["conditions"])
        play.run(300.0)
        assert "rejected" not in play.status(KEY)
        play.pods.set_room(None)
        play.until("Idle", "2")


def test_somebodys_autoscaler_of_a_revision_is_named_and_serving_goes_on() -> None:
    with scaled(load=57.0) as play:
        target = f"fraud-{play.revision('1')}"
        play.server.create(HPA, KEY[0], make_foreign_autoscaler(target), "kubectl")
        play.run(60.0)
        status, reason, message = whole(play, "Scaled")
        assert (status, reason) == ("False", "ScalerConflict")
        assert "HorizontalPodAutoscaler somebodys" in message
        assert (play.condition("Ready")[0], play.shares) == ("True", {"1": 1.0})
        play.want("2")
        play.until("Idle", "2")
        play.server.delete(HPA, (KEY[0], "somebodys"), "kubectl")
        play.run(60.0)
        assert play.condition("Scaled") == ("True", "HPA")


def test_what_kedas_webhook_refuses_is_said_in_its_words_and_serving_goes_on() -> None:
    def refuse(kind: str, _body: Json) -> None:
        if kind == "ScaledObject":
            raise ApiError(403, "Forbidden", REFUSAL)

    with ScaledPlay(scaling=make_scaling("KEDA"), load=57.0) as play:
        play.server.admission.append(refuse)
        play.want("1")
        play.until("Idle")
        play.run(60.0)
        status, reason, message = whole(play, "Scaled")
        assert (status, reason, REFUSAL in message) == ("False", "AdmissionDenied", True)
        play.want("2")
        play.until("Idle", "2")
        play.run(10.0)
        assert (play.shares, play.sizes()) == ({"2": 1.0}, {"2": 2})
        play.server.admission.remove(refuse)
        play.run(300.0)
        assert play.condition("Scaled") == ("True", "KEDA")
        assert play.replicas("2") == 6


def test_without_keda_the_object_says_so_and_runs_at_its_smallest_size() -> None:
    with ScaledPlay(scaling=make_scaling("KEDA", least=3), load=57.0) as play:
        play.server.absent.add("ScaledObject")
        play.want("1")
        play.until("Idle")
        play.run(60.0)
        assert whole(play, "Scaled")[:2] == ("False", "KEDANotInstalled")
        assert play.sizes() == {"1": 3}
        play.server.absent.discard("ScaledObject")
        play.run(300.0)
        assert (play.condition("Scaled"), play.replicas("1")) == (("True", "KEDA"), 6)


def test_an_idle_model_goes_to_no_pods_and_comes_back_with_its_load() -> None:
    scaling = make_scaling("KEDA", least=0, idleAfter="60s")
    with scaled(scaling=scaling, load=15.0) as play:
        assert play.sizes() == {"1": 2}
        play.load.offer(KEY, 0.0)
        play.run(200.0)
        assert (play.sizes(), play.condition("Ready")) == ({}, ("True", "ScaledToZero"))
        play.rest()
        play.load.offer(KEY, 15.0)
        play.run(60.0)
        assert (play.sizes(), play.condition("Ready")) == ({"1": 2}, ("True", "Serving"))


def test_a_rollout_of_an_idle_model_warms_the_canary_and_waits_for_traffic() -> None:
    scaling = make_scaling("KEDA", least=0, idleAfter="60s")
    with scaled(scaling=scaling, load=0.0) as play:
        play.run(200.0)
        assert play.sizes() == {}
        play.want("2")
        play.run(600.0)
        assert (play.state(KEY), play.phase, play.replicas("2")) == ("Scaling", "Paused", 1)
        play.load.offer(KEY, 15.0)
        play.until("Idle", "2")
        play.run(120.0)
        assert play.sizes() == {"2": 2}


def test_a_persons_own_autoscaler_may_size_the_object_through_its_scale() -> None:
    with ScaledPlay(scaling={"replicas": 2}, load=57.0) as play:
        play.want("1")
        play.until("Idle")
        target = {"apiVersion": "canarium.dev/v1alpha1", "kind": "ModelDeployment", "name": KEY[1]}
        body = make_foreign_autoscaler("")
        body["spec"] |= {"scaleTargetRef": target, "maxReplicas": 10}
        play.server.create(HPA, KEY[0], body, "kubectl")
        play.run(120.0)
        assert (play.replicas("1"), play.scalers()) == (6, {})
        assert play.condition("Scaled")[0] == "True"
        play.edit(model={"version": "2"})
        play.until("Idle", "2")
        assert play.replicas("2") == 6


def test_in_place_callers_in_the_cluster_are_led_to_the_new_one_with_the_last_share() -> None:
    options: Json = {"scaling": {"replicas": 6}, "capacity": "InPlace", "steps": ((20, "5s"),)}
    with ScaledPlay(**options) as play:
        play.want("1")
        play.until("Idle")
        play.want("2")
        play.until("Holding")
        play.pods.set_quota(6)
        play.until("Idle", "2")
        assert play.traffic.lost(KEY) == 0
