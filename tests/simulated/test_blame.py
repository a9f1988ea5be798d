"""Whose fault it is, in a simulated cluster: what may still come is waited for, in words."""

from __future__ import annotations

import pytest
from canarium.sim.pods import NODES, Behaviour, Failing

from tests.simulated.play import KEY, Play, serving


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
