"""Two versions side by side, until one is better by what counts, or time is up."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from canarium.core.observed import ExperimentVerdict, GatewayClassRecord, Meta, Observed
from canarium.core.spec import ExperimentSpec, HeaderMatch, RolloutSpec, Sticky, Traffic

from tests.properties.world import GATEWAY_TRAFFIC, World, make_rollout, make_spec, serving
from tests.unit.routing.routing import make_definition

ENVOY = GatewayClassRecord(
    Meta("", "traefik", "uid-of-the-class", "1"),
    "gateway.envoyproxy.io/gatewayclass-controller",
    accepted=True,
)
EXPERIMENT = ExperimentSpec("error-rate", weight=50, min_seconds=60.0, max_seconds=3600.0)
DAY = 24 * 3600


@dataclass
class StickyWorld(World):
    """The small world with a gateway that keeps people by a cookie."""

    controller: str = ENVOY.controller

    def observe(self) -> Observed:
        definitions = (make_definition("name", "sessionPersistence.sessionName"),)
        return replace(super().observe(), gateway_classes=(ENVOY,), definitions=definitions)


def terms(experiment: ExperimentSpec = EXPERIMENT, **options: object) -> RolloutSpec:
    return make_rollout(20, analysis=True, experiment=experiment, **options)  # type: ignore[arg-type]


def experimenting(experiment: ExperimentSpec = EXPERIMENT, **options: object) -> World:
    """A world in which version 2 is on trial beside version 1."""
    world = serving()
    world.apply(make_spec("2", rollout=terms(experiment, **options)))
    while (world.state, step_of(world)) != ("Holding", "experiment"):
        world.settle()
        world.tick(1.0)
    world.settle()
    return world


def step_of(world: World) -> str:
    return world.status.rollout.step_name if world.status.rollout else ""


def shares(world: World) -> dict[str, int]:
    return {world.version_of(revision): weight for revision, weight in world.routed().items()}


def end_of(world: World) -> tuple[str, str, dict[str, int], list[tuple[str, str]]]:
    refused = [(rejection.version, rejection.reason) for rejection in world.status.rejected]
    return world.state, world.stable, shares(world), refused


def test_an_experiment_follows_the_steps_by_itself() -> None:
    world = experimenting()
    measure = world.last_plan.measure
    assert measure is not None
    assert (shares(world), measure.experiment) == ({"1": 50, "2": 50}, "error-rate")
    assert world.status.rollout is not None
    assert (world.status.rollout.step, world.status.phase) == (2, "Progressing")
    where, until = "step 2 of 3 (experiment) at 50 %", "until one version is better by error-rate"
    assert world.status.message == f"{where} {until}, at most 1 h"
    assert world.status.reason == "Experimenting"


def test_the_winner_goes_on_to_100_and_into_the_guard() -> None:
    world = experimenting()
    world.outcomes["2"] = "CanaryBetter"
    world.run(50.0)
    assert (world.state, shares(world)) == ("Holding", {"1": 50, "2": 50})
    world.run(20.0)
    assert (world.state, world.stable, shares(world)) == ("Guarding", "2", {"2": 100})


def test_the_loser_is_rolled_back_with_the_evidence() -> None:
    world = experimenting()
    world.outcomes["2"] = "CanaryWorse"
    world.run(50.0)
    assert world.state == "Holding"
    world.run(30.0)
    assert end_of(world) == ("Rejected", "1", {"1": 100}, [("2", "ExperimentLost")])
    assert world.status.message == "error-rate: 40 of 400 against 41 of 401"
    assert {r.version: r.outcome for r in world.revisions.values()}["2"] == "RolledBack"


def test_what_nobody_can_tell_apart_goes_back_when_time_is_up_and_stays_back() -> None:
    world = experimenting()
    world.run(3500.0, tick=10.0)
    assert (world.state, shares(world)) == ("Holding", {"1": 50, "2": 50})
    world.run(3600.0, tick=10.0)
    assert end_of(world) == ("Rejected", "1", {"1": 100}, [("2", "ExperimentUndecided")])
    assert world.status.message == (
        "nothing was decided in 1 h; error-rate: 40 of 400 against 41 of 401"
    )
    world.command("retry", "2")
    world.run_until("Holding")
    assert world.canary == "2"


def test_what_was_not_asked_decides_nothing() -> None:
    world = experimenting()
    world.findings["2"] = {"withheld": True}
    world.run(7200.0, tick=60.0)
    assert (world.state, shares(world)) == ("Holding", {"1": 50, "2": 50})


def test_the_operator_wakes_up_when_time_is_up() -> None:
    world = experimenting()
    world.run(700.0)
    rollout = world.status.rollout
    assert rollout is not None
    assert rollout.verified_at is not None
    assert world.step().wake_at == rollout.verified_at + 3600.0


@pytest.mark.parametrize("verdict", ["Inconclusive", "NoData"])
def test_a_winner_whose_errors_are_not_known_waits(verdict: str) -> None:
    world = experimenting()
    world.outcomes["2"], world.verdicts["2"] = "CanaryBetter", verdict
    world.run(120.0)
    assert (world.state, step_of(world), world.status.reason) == ("Holding", "experiment", verdict)


def test_errors_take_a_winner_back_at_once() -> None:
    world = experimenting()
    world.outcomes["2"], world.verdicts["2"] = "CanaryBetter", "Fail"
    world.run(10.0)
    assert end_of(world) == ("Rejected", "1", {"1": 100}, [("2", "ErrorRateTooHigh")])


@pytest.mark.parametrize(("verb", "state"), [("promote", "Guarding"), ("abort", "Rejected")])
def test_a_person_decides_as_in_any_step(verb: str, state: str) -> None:
    world = experimenting()
    world.command(verb, "2", step="experiment" if verb == "promote" else "")
    world.run(10.0)
    assert world.state == state


def test_a_pause_stops_the_clock_of_an_experiment() -> None:
    world = experimenting()
    world.apply(make_spec("2", rollout=terms(paused=True)))
    world.run(7200.0, tick=60.0)
    assert (world.state, step_of(world), world.status.phase) == ("Holding", "experiment", "Paused")


def test_an_earlier_version_goes_back_without_an_experiment() -> None:
    world = experimenting()
    world.outcomes["2"] = "CanaryBetter"
    world.run_until("Idle")
    world.apply(make_spec("1", rollout=terms()))
    world.run_until("Guarding")
    assert world.stable == "1"


def test_an_experiment_that_is_edited_begins_its_count_anew() -> None:
    world = experimenting()
    before = world.last_plan.measure
    world.apply(make_spec("2", rollout=terms(replace(EXPERIMENT, metric="conversion"))))
    world.run(2.0)
    after = world.last_plan.measure
    assert before is not None
    assert after is not None
    assert (after.experiment, after.key == before.key) == ("conversion", False)
    assert (world.state, step_of(world)) == ("Holding", "experiment")


def test_an_experiment_that_is_taken_away_lets_the_rollout_go_on() -> None:
    world = experimenting()
    world.apply(make_spec("2", rollout=make_rollout(20, analysis=True)))
    world.run_until("Guarding")
    assert world.stable == "2"


def test_a_cookie_keeps_people_while_the_experiment_lasts_and_no_longer() -> None:
    sticky = replace(EXPERIMENT, cookie="canarium-variant", max_seconds=14.0 * DAY)
    world = StickyWorld(make_spec("1"))
    world.run_until("Idle")
    world.apply(make_spec("2", rollout=terms(sticky)))
    kept = {}
    while world.state != "Guarding":
        world.outcomes["2"] = "CanaryBetter"
        world.settle()
        kept[world.canary_weight] = world._rules()[-1].get("sessionPersistence")
        world.tick(1.0)
    persistence = {
        "sessionName": "canarium-variant",
        "type": "Cookie",
        "absoluteTimeout": "336h0s",
        "cookieConfig": {"lifetimeType": "Permanent"},
    }
    assert (kept[20], kept[50], kept[100]) == (None, persistence, None)
    assert world.status.stable is not None
    assert world.status.stable.sticky is None


def test_a_cookie_is_forgotten_with_the_canary_that_is_taken_back() -> None:
    world = StickyWorld(make_spec("1"))
    world.run_until("Idle")
    world.apply(make_spec("2", rollout=terms(replace(EXPERIMENT, cookie="variant"))))
    while step_of(world) != "experiment" or world.state != "Holding":
        world.settle()
        world.tick(1.0)
    assert world.status.canary is not None
    assert world.status.canary.sticky == Sticky("variant", 3600)
    world.crashing.add("2")
    world.make_pods()
    world.run(10.0)
    assert (world.state, shares(world)) == ("Rejected", {"1": 100})
    assert "sessionPersistence" not in world._rules()[-1]


def test_a_front_end_that_deals_people_out_is_a_fair_sample() -> None:
    by_header = replace(EXPERIMENT, headers=(HeaderMatch("x-variant", "b"),))
    world = serving(replicas=4)
    rollout = make_rollout(analysis=True, experiment=by_header)
    world.apply(make_spec("2", replicas=4, rollout=rollout))
    world.run_until("Holding")
    world.settle()
    assert (shares(world), world.led_by_header()) == ({"1": 100}, {world.revision("2")})
    assert world.replicas("2") == 2
    measure = world.last_plan.measure
    assert measure is not None
    assert (world.version_of(measure.stable or ""), measure.share) == ("1", None)


@pytest.mark.parametrize(
    ("experiment", "settled"),
    [(EXPERIMENT, 0.5), (replace(EXPERIMENT, cookie="variant"), None)],
    ids=["requests", "people"],
)
def test_the_canarys_share_of_single_requests_is_told_where_it_is_one(
    experiment: ExperimentSpec, settled: float | None
) -> None:
    world = StickyWorld(make_spec("1"))
    world.run_until("Idle")
    world.apply(make_spec("2", rollout=terms(experiment)))
    told = {}
    while (world.state, step_of(world)) != ("Holding", "experiment"):
        world.settle()
        if (measure := world.last_plan.measure) is not None:
            told[world.state, step_of(world)] = measure.share
        world.tick(1.0)
    world.settle()
    assert world.last_plan.measure is not None
    told["Holding", "experiment"] = world.last_plan.measure.share
    assert told["Holding", "step-20"] == 0.2
    assert told["Shifting", "experiment"] is None
    assert told["Holding", "experiment"] == settled


@pytest.mark.parametrize(
    ("traffic", "says"),
    [
        (GATEWAY_TRAFFIC, ""),
        (Traffic(), "router Replicas shares whole pods and cannot deliver sticky"),
    ],
)
def test_a_cookie_that_the_router_cannot_keep_is_refused_before_anything_moves(
    traffic: Traffic, says: str
) -> None:
    world = StickyWorld(make_spec("1", traffic=traffic))
    world.run_until("Idle")
    sticky = replace(EXPERIMENT, cookie="variant")
    world.apply(make_spec("2", traffic=traffic, rollout=terms(sticky)))
    world.settle()
    refused = world.status.phase == "Invalid"
    assert (refused, world.canary) == (bool(says), "" if says else "2")
    begins = f"spec.rollout.experiment.sticky: step experiment: {says}" if refused else "step 1"
    assert world.status.message.startswith(begins)


OUTCOMES: tuple[ExperimentVerdict, ...] = ("CanaryBetter", "CanaryWorse", "Undecided", "")


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_nothing_is_decided_before_its_time(outcome: ExperimentVerdict) -> None:
    world = experimenting()
    world.outcomes["2"] = outcome
    world.run(55.0)
    assert (world.state, step_of(world)) == ("Holding", "experiment")
