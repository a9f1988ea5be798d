"""Admission webhooks and policies that change what we write, within our own requests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.simulated.play import Play

Json = dict[str, Any]
MIRROR = "mirror.example/"
STEPS: Json = {"steps": ((20, "10s"),), "guard": "5s"}


def rewrite_images(pods: Json) -> None:
    """As policies do that have all images pulled from a registry of the company's own."""
    for container in pods["containers"]:
        container["image"] = MIRROR + container["image"].rpartition("/")[2]


def add_what_a_mesh_needs(pods: Json) -> None:
    """A sidecar, its volume, and what lets the pods onto other nodes."""
    if all(each["name"] != "mesh" for each in pods["containers"]):
        pods["containers"] = [*pods["containers"], {"name": "mesh", "image": "mesh:1"}]
    pods["volumes"] = [{"name": "mesh", "emptyDir": {}}]
    pods["tolerations"] = [{"key": "mesh", "operator": "Exists"}]


CHANGES: dict[str, Callable[[Json], None]] = {
    "images": rewrite_images,
    "a sidecar": add_what_a_mesh_needs,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_webhook_that_changes_every_deployment_is_quiet_and_nobodys_fault(
    change: Callable[[Json], None],
) -> None:
    written: list[str] = []

    def admit(kind: str, body: Json) -> None:
        if kind == "Deployment":
            change(body["spec"]["template"]["spec"])

    with Play(**STEPS) as play:
        play.server.admission.append(admit)
        play.network.note = lambda request: written.append(str(request))
        play.want("1")
        play.until("Idle", "1")
        play.want("2")
        play.until("Idle", "2")
        play.rest()
        assert play.condition("Ready")[0] == "True"
        assert "Unaltered" not in play.end()["conditions"]
        assert play.story().count("ChildContested") == 0
        before = len(written)

        play.restart_operator()
        play.rest()
        again = [each for each in written[before:] if "Deployment fraud-" in each]
        assert len(again) == len(set(again)) <= 2, "what was stored is learned once"
        for version in ("1", "2"):
            name = f"fraud-{play.revision(version)}"
            found = play.server.get("Deployment", ("risk", name)).body
            changed = dict(found["spec"]["template"]["spec"])
            change(changed)
            assert changed == found["spec"]["template"]["spec"]
