"""That the observer finds what it looks for: writes that no operator of ours would make."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from canarium.sim.apiserver import Change
from canarium.sim.controllers.pods import Behaviour

from testbed.witness.expectation import OURS
from tests.simulated.play import KEY, Play, serving

Json = dict[str, Any]
Forgery = Callable[[Play], None]


def backends(play: Play, **weights: int) -> list[Json]:
    names = {version: f"fraud-{play.revision(version.removeprefix('v'))}" for version in weights}
    return [{"name": names[v], "port": 80, "weight": weight} for v, weight in weights.items()]


def write_route(play: Play, **weights: int) -> None:
    def change(body: Json) -> Json:
        rule = {**body["spec"]["rules"][-1], "backendRefs": backends(play, **weights)}
        return {**body, "spec": {**body["spec"], "rules": [rule]}}

    play.server.write("HTTPRoute", KEY, change, "canarium")


def write_replicas(play: Play, version: str, replicas: int) -> None:
    body = {"spec": {"replicas": replicas}}
    key = KEY[0], f"fraud-{play.revision(version)}"
    play.server.apply("Deployment", key, body, "canarium-capacity", force=True)


def overshoot(play: Play) -> None:
    write_route(play, v1=80, v2=30)


def exceed(play: Play) -> None:
    write_route(play, v1=120, v2=-20)


def copy_all(play: Play) -> None:
    """Copies of all requests go to a canary of one pod."""
    backend = backends(play, v2=0)[0]

    def change(body: Json) -> Json:
        copies = {"type": "RequestMirror", "requestMirror": {"backendRef": backend}}
        rule = {**body["spec"]["rules"][-1], "filters": [copies]}
        return {**body, "spec": {**body["spec"], "rules": [rule]}}

    play.server.write("HTTPRoute", KEY, change, "canarium")


def name_nobody(play: Play) -> None:
    write_route(play, v1=80, v9=20)


def raise_without_pods(play: Play) -> None:
    write_route(play, v1=20, v2=80)


def fall(play: Play) -> None:
    write_route(play, v1=100, v2=0)


def release_early(play: Play) -> None:
    write_replicas(play, "1", 0)


def delete_early(play: Play) -> None:
    play.server.delete("Service", (KEY[0], f"fraud-{play.revision('1')}"), "canarium")


def lead_to_too_few(play: Play) -> None:
    selector = {"canarium.dev/model": "fraud", "canarium.dev/revision": play.revision("2")}

    def change(body: Json) -> Json:
        return {**body, "spec": {**body["spec"], "selector": selector}}

    play.server.write("Service", KEY, change, "canarium")


def write_spec(play: Play) -> None:
    body = {"spec": {"scaling": {"replicas": 9}}}
    play.server.apply("ModelDeployment", KEY, body, "canarium", force=True)


def write_elsewhere(play: Play) -> None:
    about = {"name": "fraud", "labels": {"canarium.dev/model": "fraud"}}
    play.server.create("Service", "elsewhere", {"metadata": about, "spec": {}}, "canarium")


def adopt(play: Play) -> None:
    def change(body: Json) -> Json:
        return {**body, "spec": {**body["spec"], "hostnames": ["theirs.example.com"]}}

    play.server.write("HTTPRoute", KEY, change, "canarium")


FORGERIES: dict[str, tuple[str, Forgery]] = {
    "weights that don't sum to 100": ("1:", overshoot),
    "a weight beyond 100": ("1:", exceed),
    "copies without the pods for them": ("2:", copy_all),
    "a revision that isn't there": ("1:", name_nobody),
    "a share without its pods": ("2:", raise_without_pods),
    "a Service that leads to too few": ("2:", lead_to_too_few),
    "a fall without a cause": ("3:", fall),
    "pods taken from who is routed": ("4:", release_early),
    "a Service taken from who is routed": ("4:", delete_early),
    "a spec written by us": ("6:", write_spec),
    "an object in another namespace": ("6:", write_elsewhere),
    "a host name that nobody asked for": ("10:", adopt),
}


@pytest.mark.parametrize("what", FORGERIES)
def test_what_must_never_happen_is_found(what: str) -> None:
    invariant, forge = FORGERIES[what]
    with serving() as play:
        play.want("2")
        play.until("Holding")
        play.kill_operator()
        play.loop.call_later(1.0, forge, play)
        with pytest.raises(AssertionError, match=f"^{invariant}"):
            play.run(2.0)


def test_a_third_version_with_traffic_is_found() -> None:
    """It has no pods either, which is found as well."""
    with serving() as play:
        play.want("2")
        play.until("Holding")
        play.kill_operator()
        play.observer.passed_over |= {"1 weights", "2 capacity", "4 release"}
        labels = {"canarium.dev/model": "fraud", "canarium.dev/revision": "third"}
        service = {"metadata": {"name": "fraud-third", "labels": labels}, "spec": {}}
        play.server.create("Service", KEY[0], service, "person")
        third = {"name": "fraud-third", "port": 80, "weight": 20}
        found = [*backends(play, v1=60, v2=20), third]

        def change(body: Json) -> Json:
            rule = {**body["spec"]["rules"][-1], "backendRefs": found}
            return {**body, "spec": {**body["spec"], "rules": [rule]}}

        play.loop.call_later(1.0, play.server.write, "HTTPRoute", KEY, change, "canarium")
        with pytest.raises(AssertionError, match=r"^5: traffic for .* third"):
            play.run(2.0)


def test_a_rejected_version_that_gets_pods_again_is_found() -> None:
    with serving() as play:
        play.pods.behave("2", Behaviour(failing="Crash"))
        play.want("2")
        play.until("Rejected")
        play.run(10.0)
        play.kill_operator()
        play.loop.call_later(1.0, write_replicas, play, "2", 1)
        with pytest.raises(AssertionError, match=r"^5:"):
            play.run(2.0)


def test_capacity_taken_by_what_the_gateway_does_in_truth_is_found() -> None:
    """The live route says 100 for the other, and the gateway has not taken it yet."""
    with serving() as play:
        play.want("2")
        play.until("Holding")
        play.kill_operator()
        play.gateway.manners.answer = "Never"
        play.loop.call_later(0.5, play.pods.evict_all, "2")
        play.loop.call_later(1.0, fall, play)
        play.loop.call_later(2.0, write_replicas, play, "2", 0)
        with pytest.raises(AssertionError, match=r"^4:"):
            play.run(3.0)


def test_an_observer_that_breaks_ends_the_play() -> None:
    """It looks on while the operator writes, which takes an error there for a write that failed."""

    def break_down(change: Change) -> None:
        if change.by in OURS:
            raise KeyError(change.kind)

    with serving() as play:
        play.want("2")
        play.observe(break_down)
        with pytest.raises(KeyError):
            play.run(20.0)
