"""Whose fault it is, in a simulated cluster: what may still come is waited for, in words."""

from __future__ import annotations

from typing import Any

import pytest
from canarium.sim.apiserver import is_ready
from canarium.sim.controllers.pods import NODES, Behaviour, Failing

from tests.simulated.play import KEY, Play, serving

Json = dict[str, Any]


def rejected(play: Play) -> list[tuple[str, str]]:
    """Version and reason of each rejection."""
    found = play.status(KEY).get("rejected", [])
    return [(each["version"], each["reason"]) for each in found]


@pytest.mark.parametrize(
    ("failing", "reason"),
    [("NoSecret", "CreateContainerConfigError"), ("RegistryBusy", "ErrImagePull")],
)
def test_what_comes_some_seconds_later_is_waited_for_in_words(
    failing: Failing, reason: str
) -> None:
    with serving() as play:
        play.pods.behave("2", Behaviour(failing=failing))
        play.want("2")
        play.run(10.0)
        assert (play.phase, play.reason, rejected(play)) == ("Progressing", reason, [])
        assert "waited for until progressDeadline" in play.status(KEY)["message"]
        play.pods.behave("2")
        play.until("Idle", "2")
        assert (rejected(play), play.traffic.lost(KEY)) == ([], 0)


@pytest.mark.parametrize("failing", ["NoSecret", "RegistryBusy"])
def test_what_never_comes_is_the_revisions_fault_at_the_deadline(failing: Failing) -> None:
    with serving() as play:
        play.pods.behave("2", Behaviour(failing=failing))
        play.want("2")
        play.run(50.0)
        assert rejected(play) == []
        play.until("Rejected")
        assert rejected(play) == [("2", "ProgressDeadlineExceeded")]
        assert "container server" in play.status(KEY)["message"]
        play.rest()


def test_an_image_that_nobody_pushed_is_rejected_at_once() -> None:
    with serving() as play:
        play.pods.behave("2", Behaviour(failing="ImagePull"))
        play.want("2")
        play.until("Rejected", most_seconds=10.0)
        assert rejected(play) == [("2", "ImagePullBackOff")]


def test_what_was_said_of_a_registry_is_forgotten_when_it_works_again() -> None:
    """KN#15466: a revision stays ContainerMissing for ever after a 401 that lasted a minute."""
    with serving(progressDeadline="5m") as play:
        play.pods.behave("2", Behaviour(failing="Unauthorized"))
        play.want("2")
        play.run(60.0)
        assert (play.phase, play.reason, rejected(play)) == ("Progressing", "ErrImagePull", [])
        play.pods.behave("2")
        play.until("Idle", "2")
        assert (rejected(play), "401" in play.status(KEY)["message"]) == ([], False)


def test_pods_that_are_lost_at_rest_degrade_no_version_however_long_it_takes() -> None:
    """AR#1624: with progressDeadlineAbort, a Rollout at rest is aborted when its pods come late."""
    with serving() as play:
        play.pods.behave("1", Behaviour(failing="Unready"))
        play.pods.evict_all("1")
        play.run(300.0)
        assert (play.state(KEY), play.reason, rejected(play)) == ("Idle", "TooFewReplicas", [])
        play.pods.behave("1")
        play.run(30.0)
        assert (play.state(KEY), play.reason) == ("Idle", "Serving")


@pytest.mark.parametrize("replicas", [1, 20])
def test_pods_that_crash_after_a_while_end_a_rollout_before_its_deadline(replicas: int) -> None:
    """AR#3765 FG#1578: ready pods go up and down, which counts as progress, for a day."""
    with serving(replicas=replicas, progressDeadline="10m") as play:
        play.pods.behave("2", Behaviour(failing="Crash", works_seconds=4.0))
        play.want("2")
        play.until("Rejected", most_seconds=600.0)
        assert play.shares == {"1": 1.0}


def test_in_the_guard_one_pod_that_a_busy_registry_keeps_from_starting_rejects_nobody() -> None:
    with serving(guard="2m") as play:
        play.want("2")
        play.until("Guarding", "2")
        for node in NODES:
            play.pods.cut_off(node)
        play.pods.delete(play.pods.on_node(NODES[0])[-1])
        play.run(60.0)
        assert play.status(KEY)["stable"]["readyReplicas"] == 2
        assert (play.state(KEY), rejected(play)) == ("Guarding", [])
        for node in NODES:
            play.pods.cut_off(node, off=False)
        play.until("Idle", "2")
        assert rejected(play) == []


def test_pods_that_others_keep_taking_are_no_want_of_progress() -> None:
    """AR#4365: one pod of ten is always new, as nodes are consolidated; none was ever stuck."""
    with serving(replicas=10, steps=((50, "5s"),), progressDeadline="2m", guard="5s") as play:
        play.pods.behave("2", Behaviour(start_seconds=30.0))
        play.want("2")
        play.until_weight(50)
        for _ in range(12):
            play.run(25.0)
            names = (f"fraud-{play.revision('2')}", "risk")
            ready = [b for b in play.server.all_of("Pod") if _is_of(b, names[0]) and is_ready(b)]
            if ready:
                play.pods.delete(("risk", ready[0]["metadata"]["name"]))
        assert play.state(KEY) == "Scaling"
        play.until("Idle", "2")


def _is_of(pod: Json, name: str) -> bool:
    meta = pod["metadata"]
    return meta["name"].startswith(name) and "deletionTimestamp" not in meta
