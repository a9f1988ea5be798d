"""Somebody else writes what is ours again and again, and is quicker than our watches."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from canarium.core.plan import CAPACITY_MANAGER, OWNER_MANAGER
from canarium.sim.apiserver import Change
from canarium.sim.fields import put

from tests.simulated.play import KEY, Play, serving

Json = dict[str, Any]
OURS = (OWNER_MANAGER, CAPACITY_MANAGER)
CONTAINERS = ("spec", "template", "spec", "containers")
ONE_STEP: Json = {"steps": ((20, "10s"),), "guard": "5s"}


class Stranger:
    """Somebody who writes an object again in the moment in which we have put it right."""

    def __init__(self, play: Play, kind: str, name: str, edit: Callable[[Json], Json]) -> None:
        self._play, self._kind, self._name, self._edit = play, kind, name, edit
        self.goes_on = True
        self.put_right = 0
        play.observe(self._look)

    def write(self) -> None:
        key = KEY[0], self._name
        self._play.server.write(self._kind, key, self._edit, "another-controller")

    def _look(self, change: Change) -> None:
        if (change.kind, change.key[1]) != (self._kind, self._name) or change.by not in OURS:
            return
        if change.type == "MODIFIED" and self.goes_on:
            self.put_right += 1
            self._play.loop.call_soon(self.write)


def _edit_image(deployment: Json) -> Json:
    (first, *others) = deployment["spec"]["template"]["spec"]["containers"]
    return put(deployment, CONTAINERS, [{**first, "image": "registry.example/theirs"}, *others])


EDITS: dict[str, tuple[str, Callable[[Json], Json]]] = {
    "image": ("Deployment", _edit_image),
    "selector": ("Service", partial(put, path=("spec", "selector"), value={"app": "theirs"})),
    "budget": ("PodDisruptionBudget", partial(put, path=("spec", "maxUnavailable"), value=3)),
}


def test_who_undoes_a_step_before_it_was_seen_in_place_is_a_contest_too() -> None:
    """What our write brought about has never been seen, so nothing says that it was ever there."""
    with serving(**ONE_STEP) as play:
        play.network.lag_seconds = 0.001
        hosts = partial(put, path=("spec", "hostnames"), value=["theirs.example.com"])
        stranger = Stranger(play, "HTTPRoute", "fraud", hosts)
        play.want("2")
        play.run(60.0)
        assert stranger.put_right <= 12
        assert play.condition("Ready") == ("False", "RouteContested")
        assert play.story().count("RouteContested") == 1
        stranger.goes_on = False
        play.until("Idle", "2")


@pytest.mark.parametrize("what", EDITS)
def test_a_child_that_somebody_writes_in_a_loop_is_put_right_once_a_second(what: str) -> None:
    kind, edit = EDITS[what]
    with serving(**ONE_STEP) as play:
        name = "fraud" if what == "budget" else f"fraud-{play.revision('1')}"
        stranger = Stranger(play, kind, name, edit)
        stranger.write()
        play.run(60.0)
        assert 60 <= stranger.put_right <= 85
        assert play.story().count("ChildContested") == 1
        stranger.goes_on = False
        play.rest()


def test_a_child_that_is_contested_keeps_no_rollback_waiting() -> None:
    with serving(**ONE_STEP) as play:
        kind, edit = EDITS["budget"]
        play.want("2")
        play.until("Holding")
        stranger = Stranger(play, kind, "fraud", edit)
        stranger.write()
        play.run(3.0)
        play.ask("abort", "2")
        play.run(3.0)
        assert play.weights == {"1": 100}


def test_a_route_that_lost_its_owner_in_a_contest_says_what_helps_and_is_no_contest_for_ever() -> (
    None
):
    """Our writes are refused then, so nobody undoes them."""
    with serving() as play:
        hosts = partial(put, path=("spec", "hostnames"), value=["theirs.example.com"])
        for _ in range(3):
            play.server.write("HTTPRoute", KEY, hosts, "kubectl")
            play.run(2.0)
        disown = partial(put, path=("metadata", "ownerReferences"), value=[])
        play.server.write("HTTPRoute", KEY, disown, "kubectl")
        play.run(120.0)
        put_right = play.story().count("ExternalChangeReverted")
        for _ in range(60):
            play.run(2.0)
            assert play.condition("Ready") == ("False", "NameConflict")
        assert play.story().count("ExternalChangeReverted") == put_right
        play.server.delete("HTTPRoute", KEY, "kubectl")
        play.run(90.0)
        assert play.condition("Ready") == ("True", "Serving")


@pytest.mark.parametrize("whose", ["1", "2", ""])
def test_a_protocol_that_somebody_gives_our_port_is_put_right(whose: str) -> None:
    """Gateways would speak TLS to pods that don't: all requests would fail, and nobody say so."""
    with serving(**ONE_STEP) as play:
        play.want("2")
        play.until("Holding")
        name = f"fraud-{play.revision(whose)}" if whose else "fraud"

        def find() -> Json:
            service: Json = play.server.find("Service", (KEY[0], name)) or {}
            return dict(service["spec"]["ports"][0])

        wrong = [{**find(), "appProtocol": "https"}]
        edit = partial(put, path=("spec", "ports"), value=wrong)
        play.server.write("Service", (KEY[0], name), edit, "kubectl")
        assert find()["appProtocol"] == "https"
        play.run(3.0)
        assert find().get("appProtocol", "http") == "http"
        play.until("Idle", "2")
        play.rest()
