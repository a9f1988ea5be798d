"""That who watches sizes finds what it looks for: writes that nobody of ours would make."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from canarium.sim.controllers.autoscaling import AUTOSCALER

from tests.properties.scaled_play import Engine, ScaledPlay, make_scaling, scaled
from tests.simulated.play import KEY

Forgery = Callable[[ScaledPlay], None]
Json = dict[str, Any]
CAPACITY = "canarium-capacity"


def set_size(play: ScaledPlay, version: str, replicas: int, by: str) -> None:
    key = KEY[0], f"fraud-{play.revision(version)}"
    play.server.scale("Deployment", key, replicas, by)


def shrink_what_one_would_go_back_to(play: ScaledPlay) -> None:
    set_size(play, "1", play.replicas("1") - 1, AUTOSCALER)


def take_a_little(play: ScaledPlay) -> None:
    set_size(play, "2", play.replicas("2") - 1, CAPACITY)


def take_all(play: ScaledPlay) -> None:
    set_size(play, "2", 0, CAPACITY)


def starve_the_trial(play: ScaledPlay) -> None:
    set_size(play, "2", 2, AUTOSCALER)


@pytest.mark.parametrize("state", ["Holding", "Guarding"])
@pytest.mark.parametrize(
    ("words", "forge"),
    [
        ("peak:", shrink_what_one_would_go_back_to),
        ("hand:", take_a_little),
        ("4:", take_all),
        ("4:", starve_the_trial),
    ],
)
def test_what_must_never_happen_to_a_size_is_found(state: str, words: str, forge: Forgery) -> None:
    with scaled(load=60.0, steps=((50, "30s"),), guard="60s") as play:
        play.want("2")
        play.until(state)
        play.run(5.0)
        play.kill_operator()
        play.loop.call_later(1.0, forge, play)
        with pytest.raises(AssertionError, match=f"^{words}"):
            play.run(2.0)


def share_anew(route: Json, weights: Mapping[str, int]) -> Json:
    """The same route, whose only rule shares requests like this."""
    (rule,) = route["spec"]["rules"]
    backends = [{**found, "weight": weights[found["name"]]} for found in rule["backendRefs"]]
    return {**route, "spec": {**route["spec"], "rules": [{**rule, "backendRefs": backends}]}}


def test_a_share_without_its_pods_is_found_by_a_size_that_nobody_fixed() -> None:
    """Six pods serve, three are ready for the half that the route is about to give away."""
    with scaled(load=60.0, steps=((50, "30s"),)) as play:
        assert play.sizes() == {"1": 6}
        play.want("2")
        play.until("Holding")
        play.kill_operator()
        weights = dict(zip((f"fraud-{play.revision(v)}" for v in "12"), (40, 60), strict=True))

        def reweigh() -> None:
            play.server.write("HTTPRoute", KEY, lambda body: share_anew(body, weights), "canarium")

        play.loop.call_later(1.0, reweigh)
        with pytest.raises(AssertionError, match=r"^2: 2 was raised to 60 with 3 of 4 ready"):
            play.run(2.0)


@pytest.mark.parametrize("engine", ["HPA", "KEDA"])
def test_an_autoscaler_that_is_left_when_the_last_pod_is_taken_is_found(engine: Engine) -> None:
    with scaled(scaling=make_scaling(engine), load=60.0) as play:
        play.want("2")
        play.until("Holding")
        play.script.say("2", "Fail")
        play.run_until(lambda: play.weights.get("2", 0) == 0)
        play.kill_operator()
        play.loop.call_later(8.0, take_all, play)
        with pytest.raises(AssertionError, match=r"^left: 2 is emptied under a "):
            play.run(10.0)


def test_what_the_load_takes_at_rest_is_none_of_that() -> None:
    with scaled(load=60.0) as play:
        set_size(play, "1", 3, AUTOSCALER)
        play.run(1.0)
        assert play.sizes() == {"1": 3}
