"""Somebody makes the next revision's Deployment first, with everything that ours will have."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from canarium.sim.controllers.pods import Behaviour, Failing

from tests.simulated.play import Play, serving

Json = dict[str, Any]
TERMS: Json = {"steps": ((20, "10s"),), "guard": "5s"}
STRANGER = "kubectl-create"


def foresee() -> Json:
    """The Deployment of version 2 as it will be: its name follows from the source."""
    with serving(**TERMS) as twin:
        twin.want("2")
        twin.until("Guarding", "2")
        name = f"fraud-{twin.revision('2')}"
        return copy.deepcopy(twin.server.get("Deployment", ("risk", name)).body)


def forge(play: Play, genuine: Json) -> str:
    """Make it with other containers, owned by the model; its uid."""
    (model,) = play.server.all_of("ModelDeployment")
    meta = genuine["metadata"]
    owners = [{**owner, "uid": model["metadata"]["uid"]} for owner in meta["ownerReferences"]]
    about = {"name": meta["name"], "labels": meta["labels"], "ownerReferences": owners}
    spec = copy.deepcopy(genuine["spec"])
    spec["replicas"] = 3
    spec["template"]["spec"]["containers"][0]["image"] = "registry.example/fraud:evil"
    body = {"apiVersion": "apps/v1", "metadata": about, "spec": spec}
    made = play.server.create("Deployment", "risk", body, STRANGER).body
    return str(made["metadata"]["uid"])


@pytest.mark.parametrize("failing", ["Crash", ""])
@pytest.mark.parametrize("lag_seconds", [0.02, 2.0])
def test_what_it_was_and_its_pods_say_nothing_of_the_version(
    failing: Failing, lag_seconds: float
) -> None:
    """Neither a false fail, though its pods crash by then, nor a false pass, though they work."""
    genuine = foresee()
    with serving(**TERMS) as play:
        play.pods.behave("evil", Behaviour(failing=failing))
        play.pods.behave("2", Behaviour(start_seconds=20.0))
        play.network.lags["ReplicaSet"] = lag_seconds
        play.kill_operator()
        theirs = forge(play, genuine)
        play.want("2")
        play.run(60.0)
        began = play.loop.time()
        play.start_operator()
        play.until("Shifting")
        assert play.loop.time() - began >= 20.0
        name = genuine["metadata"]["name"]
        found = play.server.get("Deployment", ("risk", name)).body
        assert found["metadata"]["uid"] != theirs
        play.until("Idle", "2")
        play.rest()
        assert play.end()["rejected"] == []
        assert theirs not in play.status(("risk", "fraud"))["made"].values()


def test_at_rest_it_is_taken_away_without_any_version_to_come() -> None:
    genuine = foresee()
    with serving(**TERMS) as play:
        theirs = forge(play, genuine)
        play.rest()
        assert theirs not in {each["metadata"]["uid"] for each in play.server.all_of("Deployment")}
