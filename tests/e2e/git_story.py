"""The life of a model in Git: what a person commits, and what has to come of it, whatever syncs it.

Real pods under real traffic. Each sync tool plays it with its own words for what it shows
(test_flux.py, test_argo_cd.py).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Protocol

import yaml

from testbed.addons.git_repository import GitRepository
from testbed.cluster.cluster import make_manifest
from testbed.programs.processes import wait_until
from testbed.scenario.manifests import METRICS, Json, image, iris
from testbed.scenario.person import Person
from testbed.scenario.scenario import (
    Holds,
    Scenario,
    condition,
    get_condition,
    named,
    phase,
    serves,
    weight,
)
from testbed.witness.changes import revision_of

SECONDS = 120.0
PATH = "production"
MODEL = f"{PATH}/iris.yaml"
ONE: Json = {"replicas": 1}
TERMS: Json = {
    "steps": [
        {"name": "fifth", "weight": 20, "hold": "8s"},
        {"name": "half", "weight": 50, "approval": "Manual"},
    ],
    "analysis": {"metrics": METRICS, "minRequests": 20},
    "guard": {"duration": "3s"},
}
CURE = "kubectl scale --replicas=1 takes"
BY_CPU: Json = {
    "minReplicas": 2,
    "maxReplicas": 3,
    "metrics": [{"name": "cpu", "type": "CPU", "target": "70%"}],
}


def keep_something(git: GitRepository) -> None:
    """Begin with a file that stays: a folder of Git's is never empty."""
    kept = make_manifest("v1", "ConfigMap", "kept", data={"why": "it stays when models go"})
    git.commit("something beside the models", {f"{PATH}/kept.yaml": yaml.safe_dump(kept)})


class Tool(Protocol):
    """What syncs the folder `production` of the repository into the scenario's namespace."""

    def wait_done(self, commit: str) -> None:
        """Wait until it calls a commit done."""

    def wait_failed(self, commit: str) -> None:
        """Wait until it calls a commit failed, and names the model as what has failed."""

    def wait_refused(self, commit: str, why: str) -> None:
        """Wait until it says that the apiserver refuses a commit, in these words of it."""

    def wait_paused(self, commit: str) -> None:
        """Wait until it shows of a commit what it has for something that waits for a person."""

    def begin_of_done(self, commit: str) -> int:
        """The resourceVersion at which it first called a commit done."""

    def sync(self, times: int) -> None:
        """Have it apply what it has, so many times, and wait for each."""

    def end_wait(self) -> None:
        """What a person has to do so that a new commit is applied while the one before waits."""

    def announced(self) -> str:
        """The version that was announced by what waits for the model."""

    def announcement(self, version: str) -> Mapping[str, str]:
        """The file that announces a version once the model is done."""


@dataclass
class Story:
    """The person, the repository, the tool; each method is a chapter that leaves all at rest."""

    scenario: Scenario
    git: GitRepository
    tool: Tool
    stable: dict[str, str] = field(default_factory=dict)
    "The revision of each version that served."

    def commit(self, version: str, **spec: object) -> str:
        """Commit the example's manifest of a version and the announcement of it."""
        found = iris(version, self.scenario.host, **{"rollout": TERMS, "scaling": ONE, **spec})
        if found["spec"]["scaling"] is None:
            del found["spec"]["scaling"]
        self.scenario.models.add("iris")
        text = yaml.safe_dump(found, sort_keys=False)
        return self.git.commit(f"iris {version}", {MODEL: text, **self.tool.announcement(version)})

    def is_announced(self, version: str) -> bool:
        """Whether what waits for the model has gone on to a version."""
        return wait_until(lambda: self.tool.announced() == version, SECONDS)

    def edit(self, patch: Json) -> None:
        """`kubectl edit` of the live object by somebody who doesn't know of Git."""
        words = ("patch", "mdep/iris", "--type=merge", "--field-manager=kubectl-edit")
        self.scenario.kubectl(*words, "-p", json.dumps(patch))

    def sync_an_example(self) -> None:
        """The first version comes from Git, and serves."""
        commit = self.commit("v1")
        found = self.scenario.wait(serves("v1"), SECONDS)
        self.stable["v1"] = found["status"]["stable"]["revision"]
        self.tool.wait_done(commit)
        assert self.is_announced("v1")
        self.scenario.start_load()

    def change_the_mind(self) -> None:
        """`git revert` in the middle of a step: cancelled, and nobody is rejected."""
        self.commit("v2")
        self.scenario.wait(weight(20, "Holding"), SECONDS)
        commit = self.git.revert()
        self.tool.end_wait()
        found = self.scenario.wait(serves("v1"), SECONDS)
        self.tool.wait_done(commit)
        assert "rejected" not in found["status"]
        assert self.tool.announced() == "v1"

    def roll_out_with_an_approval(self) -> None:
        """v2: syncs in mid-step change nothing, and what depends on it waits for an approval."""
        earlier = self.beginnings(20)
        commit = self.commit("v2")
        held = self.scenario.wait(weight(20, "Holding"), SECONDS)
        self.tool.sync(times=3)
        waiting = self.scenario.wait(condition("UpToDate", "False", "AwaitingApproval"), SECONDS)
        self.tool.wait_paused(commit)
        self.tool.sync(times=1)
        self.tool.wait_paused(commit)
        assert self.tool.announced() == "v1"
        assert waiting["metadata"]["generation"] == held["metadata"]["generation"]
        assert len(self.beginnings(20) - earlier) == 1, "no sync began the step anew"

        self.person("promote", "iris")
        done = self.scenario.wait(serves("v2"), SECONDS)
        self.stable["v2"] = done["status"]["stable"]["revision"]
        self.tool.wait_done(commit)
        assert self.is_announced("v2")
        assert self.tool.begin_of_done(commit) > self.begin_of_promoted("v2")

    def refuse_a_bad_version(self) -> None:
        """v3 is taken back; neither ten syncs nor the healing of an edit have it tried again."""
        self.scenario.blamed = {image("v3")}
        commit = self.commit("v3")
        found = self.scenario.wait(phase("RolledBack"), SECONDS)
        (rejected,) = found["status"]["rejected"]
        assert rejected["reason"] == "ErrorRateTooHigh"
        self.tool.wait_failed(commit)

        self.tool.sync(times=10)
        # A field that Git has too: what Git doesn't say is no difference to Argo CD.
        self.edit({"spec": {"rollout": {"guard": {"duration": "77s"}}}})
        self.scenario.wait(is_guarded_for(TERMS["guard"]["duration"]), SECONDS)
        healed = self.scenario.wait(phase("RolledBack"), SECONDS)

        self.tool.wait_failed(commit)
        assert healed["status"]["rejected"] == [rejected]
        assert healed["metadata"]["generation"] == found["metadata"]["generation"] + 2
        assert self.count_tried(rejected["revision"]) == 1
        assert self.tool.announced() == "v2"

    def revert(self) -> None:
        """`git revert` of the bad version: nothing is rolled out, and the tool is content."""
        commit = self.git.revert()
        found = self.scenario.wait(serves("v2"), SECONDS)
        self.tool.wait_done(commit)
        assert found["status"]["stable"]["revision"] == self.stable["v2"]

    def roll_back_by_hand(self) -> None:
        """`kubectl canarium rollback` in the night: syncs leave it, and it is shown as it is."""
        self.person("rollback", "iris", "--to", self.stable["v1"])
        found = self.scenario.wait(condition("UpToDate", "False", "Overridden"), SECONDS)
        commit = self.git.head()
        self.tool.wait_failed(commit)
        self.tool.sync(times=3)
        after = self.scenario.wait(phase("RolledBack"), SECONDS)
        assert after["status"]["stable"]["revision"] == self.stable["v1"]
        assert after["metadata"]["generation"] == found["metadata"]["generation"]

        self.person("retry", "iris")
        self.scenario.wait(serves("v2"), SECONDS)
        self.tool.wait_done(commit)

    def leave_replicas_out(self) -> None:
        """Without `scaling` in Git, sizes are whose who sets them; then an autoscaler's.

        Bounds beside a size that somebody has set are refused with the cure (docs/scaling.md).
        """
        self.tool.wait_done(self.commit("v2", scaling=None))
        self.scenario.kubectl("scale", "mdep/iris", "--replicas=2")
        self.scenario.wait(is_of_size(2), SECONDS)
        self.tool.sync(times=3)
        assert is_of_size(2)(self.scenario.wait(phase("Healthy"), SECONDS))

        bounds = self.commit("v2", scaling=BY_CPU)
        self.tool.wait_refused(bounds, CURE)
        self.scenario.kubectl("scale", "mdep/iris", "--replicas=1")
        self.tool.sync(times=1)
        self.tool.wait_done(bounds)
        name = f"iris-{self.stable['v2']}"
        # Its two pods of before may still be there, and within the bounds: it has to have acted.
        scaler = self.scenario.wait_for("HorizontalPodAutoscaler", name, wants(2), SECONDS)
        self.scenario.wait_for("Deployment", name, is_asked_for(2), SECONDS)
        self.scenario.wait(is_scaled_within(2, 3), SECONDS)
        handed_over = len(self.sizes("v2")) - 1
        self.tool.sync(times=3)
        assert scaler["spec"]["minReplicas"] == 2
        after = self.scenario.get("HorizontalPodAutoscaler", name)
        assert after is not None
        assert after["spec"] == scaler["spec"]
        # How many of its two or three pods the autoscaler wants depends on how busy the machine is.
        # A sync that had a say in it would have put back the one pod that was there before.
        assert set(self.sizes("v2")[handed_over:]) <= {2, 3}

    def prune(self) -> None:
        """The file goes from Git, and the model with all that was made for it."""
        report = self.scenario.stop_load()
        assert {answer.version for answer in report.failures} <= {"v3", ""}
        assert {answer.status for answer in report.failures} <= {500}, report.describe_failures()
        made = [
            (kind, found["metadata"]["name"])
            for kind in ("Deployment", "Service", "HTTPRoute", "ModelRevision")
            for found in self.scenario.all_of(kind)
        ]
        assert made
        self.tool.wait_done(self.git.commit("no more iris", {MODEL: None}))
        self.scenario.wait_gone("ModelDeployment", "iris", SECONDS)
        for kind, name in made:
            self.scenario.wait_gone(kind, name, SECONDS)

    def person(self, *words: str) -> None:
        """`kubectl canarium …`, which has to succeed."""
        said = Person(self.scenario).run(*words)
        assert said.code == 0, said.err or said.out

    def statuses(self) -> list[tuple[int, Json]]:
        """What the model's status said at which resourceVersion, by the witness."""
        return [
            (change.version, dict(change.object.get("status", {})))
            for change in self.scenario.changes()
            if change.kind == "ModelDeployment" and change.name == "iris"
        ]

    def beginnings(self, share: int) -> set[str]:
        """When steps began in which a canary held this share: another time when begun anew."""
        return {
            str(status["rollout"]["stepStartedAt"])
            for _, status in self.statuses()
            if (share_of(status), state_of(status)) == (share, "Holding")
        }

    def begin_of_promoted(self, version: str) -> int:
        """The resourceVersion at which a version was UpToDate for the first time."""
        return next(
            number
            for number, status in self.statuses()
            if status.get("stable", {}).get("version") == version
            and get_condition({"status": status}, "UpToDate").get("status") == "True"
        )

    def count_tried(self, revision: str) -> int:
        """How often a revision began to get traffic."""
        tried = [
            share_of(status) > 0 and status["canary"]["revision"] == revision
            for _, status in self.statuses()
        ]
        return sum(now and not before for before, now in pairwise([False, *tried]))

    def sizes(self, version: str) -> list[int]:
        """The sizes that a version's Deployment was given, in order, by the witness."""
        return [
            int(change.object["spec"]["replicas"])
            for change in self.scenario.changes()
            if change.kind == "Deployment"
            and not change.deleted
            and revision_of(change.object) == self.stable[version]
        ]


def share_of(status: Json) -> int:
    """The canary's share of the traffic, in percent."""
    return int(status.get("canary", {}).get("weight", 0))


def state_of(status: Json) -> str:
    """The state of the rollout."""
    return str(status.get("rollout", {}).get("state", ""))


def is_of_size(size: int) -> Holds:
    """Holds of a model at rest that has so many pods."""

    def holds(found: Json) -> bool:
        return phase("Healthy")(found) and found["status"].get("replicas") == size

    return named(holds, f"{size} pods at rest")


def wants(least: int) -> Holds:
    """Holds of an autoscaler that has found or chosen so many pods or more."""

    def holds(found: Json) -> bool:
        status = found.get("status", {})
        sizes = (int(status.get(name, 0)) for name in ("currentReplicas", "desiredReplicas"))
        return max(sizes) >= least

    return named(holds, f"{least} pods or more wanted")


def is_asked_for(least: int) -> Holds:
    """Holds of a Deployment that is asked for so many pods or more."""
    return named(lambda found: int(found["spec"]["replicas"]) >= least, f"{least} pods asked for")


def is_scaled_within(least: int, most: int) -> Holds:
    """Holds of a model at rest that has a size within these bounds."""

    def holds(found: Json) -> bool:
        return phase("Healthy")(found) and least <= found["status"].get("replicas", 0) <= most

    return named(holds, f"{least} to {most} pods at rest")


def is_guarded_for(duration: str) -> Holds:
    """Holds of a model whose spec says this of the guard."""
    return named(
        lambda found: found["spec"]["rollout"]["guard"]["duration"] == duration,
        f"a guard of {duration}",
    )
