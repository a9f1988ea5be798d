"""Defaults of a cluster that change while a rollout is under way, in a simulated cluster."""

from typing import Any

from canarium.api.modeldeployment.defaults import Defaults, parse_defaults

from tests.simulated.play import KEY, Play, make_manifest

TWO_STEPS = {
    "steps": [
        {"name": "ten", "weight": 10, "hold": "1m"},
        {"name": "half", "weight": 50, "hold": "1m"},
    ],
    "guard": {"duration": "2m"},
}
ONE_STEP = {"steps": [{"name": "most", "weight": 90, "hold": "10m"}], "guard": {"duration": "1h"}}


def restart_with(play: Play, defaults: dict[str, Any]) -> None:
    play.defaults = parse_defaults(defaults)
    play.restart_operator()
    play.run(10.0)


def want(play: Play, version: str, **rollout: Any) -> None:
    """A version of a model that says nothing of how it is rolled out, but for this."""
    manifest = make_manifest(version)
    manifest["spec"]["rollout"] = rollout
    play.apply(manifest)


def begin(play: Play, defaults: dict[str, Any]) -> None:
    restart_with(play, defaults)
    want(play, "1")
    play.until("Idle")
    want(play, "2")
    play.until("Holding")


def terms(play: Play, version: str) -> dict[str, Any]:
    """What the ModelRevision's rollout goes by."""
    record = play.server.find("ModelRevision", ("risk", f"fraud-{play.revision(version)}"))
    assert record is not None
    return dict((record.get("status") or {}).get("rollout") or record["spec"]["rollout"])


def test_a_rollout_goes_on_by_the_defaults_that_it_began_with() -> None:
    with Play() as play:
        begin(play, TWO_STEPS)
        assert play.weights == {"1": 90, "2": 10}
        restart_with(play, ONE_STEP)
        assert play.weights == {"1": 90, "2": 10}
        play.until_weight(50)
        restart_with(play, {})
        play.until("Guarding")
        restart_with(play, ONE_STEP)
        play.until("Idle", "2", most_seconds=200.0)
        assert terms(play, "2") == {**TWO_STEPS, "defaulted": ["steps", "guard"]}


def test_defaults_that_appear_midway_are_for_the_next_rollout() -> None:
    with Play() as play:
        restart_with(play, {})
        want(play, "1")
        play.until("Idle")
        want(play, "2", steps=TWO_STEPS["steps"])
        play.until_weight(10)
        restart_with(play, {"guard": {"duration": "1m"}, "analysis": None})
        play.until("Guarding", most_seconds=300.0)
        assert "guard" not in terms(play, "2")
        play.run(600.0)
        assert play.state(KEY) == "Guarding"
        play.until("Idle", "2", most_seconds=600.0)
        want(play, "3")
        play.until("Guarding")
        play.until("Idle", "3", most_seconds=90.0)


def test_a_persons_edit_midway_holds_over_the_defaults() -> None:
    with Play() as play:
        begin(play, TWO_STEPS)
        want(play, "2", guard={"duration": "5s"})
        play.until("Guarding", most_seconds=300.0)
        play.until("Idle", "2", most_seconds=30.0)
        assert terms(play, "2") == {
            **TWO_STEPS,
            "guard": {"duration": "5s"},
            "defaulted": ["steps"],
        }


def test_an_operator_with_other_defaults_makes_no_revision_and_writes_nothing() -> None:
    with Play() as play:
        begin(play, TWO_STEPS)
        play.until("Idle", "2", most_seconds=600.0)
        play.rest()
        names = sorted(play.versions())
        writes = play.network.writes
        for defaults in (ONE_STEP, {}):
            restart_with(play, defaults)
            play.run(600.0)
        assert (sorted(play.versions()), play.network.writes) == (names, writes)


def test_no_defaults_are_nothing() -> None:
    assert parse_defaults(None) == Defaults()
