"""Flux's own controllers sync a model from a Git repository, on real pods under real traffic.

source-controller and kustomize-controller as their makers build them, with the settings that
docs/gitops/flux.md shows, but for intervals of a second.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from testbed.addons.flux import install as install_flux
from testbed.addons.git_repository import BRANCH, GitRepository, serve_repository
from testbed.cluster.cluster import make_manifest
from testbed.cluster.fixtures import skipping
from testbed.operators.account import HOME
from testbed.operators.installed import make_values
from testbed.programs.cache import exclusive
from testbed.programs.progress import Progress
from testbed.scenario.manifests import Json
from testbed.scenario.scenario import Scenario, get_condition
from testbed.witness.following import Followed, version_of
from tests.e2e.conftest import Place, Theatre, play, set_up
from tests.e2e.git_story import PATH, SECONDS, Story, keep_something
from tests.e2e.synced_operator import SyncedOperator, render_operator, upgrade_in_a_rollout
from tests.e2e.test_upgrade import EARLIER, load_earlier
from tests.unit.gitops.recordings import read_blocks

pytestmark = [pytest.mark.timeout(1200, func_only=True)]
KUSTOMIZATIONS = "/apis/kustomize.toolkit.fluxcd.io/v1/namespaces/{}/kustomizations"
REQUESTED = "reconcile.fluxcd.io/requestedAt"
AFTER = "after"
ANNOUNCED = "announced"


@dataclass
class Flux:
    """A Kustomization of the models, and one of what depends on it, in the scenario's namespace."""

    scenario: Scenario
    git: GitRepository
    followed: Followed = field(init=False)

    def __post_init__(self) -> None:
        (shown, _lenient) = read_blocks("flux.md")
        spec = {**shown["spec"], "path": f"./{PATH}", "timeout": "90s", **self._quick()}
        source = {"interval": "1s", "url": self.git.url, "ref": {"branch": BRANCH}}
        dependent = {"path": f"./{AFTER}", "prune": True, **self._quick()}
        dependent["dependsOn"] = [{"name": "models"}]
        self.followed = Followed(
            self.scenario.cluster.kubeconfig,
            KUSTOMIZATIONS.format(self.scenario.namespace),
            "models",
        )
        self._apply("source.toolkit.fluxcd.io/v1", "GitRepository", "models", source)
        self._apply("kustomize.toolkit.fluxcd.io/v1", "Kustomization", "models", spec)
        self._apply("kustomize.toolkit.fluxcd.io/v1", "Kustomization", AFTER, dependent)

    def _quick(self) -> Json:
        return {
            "interval": "1s",
            "retryInterval": "1s",
            "targetNamespace": self.scenario.namespace,
            "sourceRef": {"kind": "GitRepository", "name": "models"},
        }

    def _apply(self, version: str, kind: str, name: str, spec: Json) -> None:
        found = make_manifest(version, kind, name, namespace=self.scenario.namespace, spec=spec)
        self.scenario.kubectl("apply", "-f", "-", stdin=json.dumps(found))

    def wait_done(self, commit: str) -> None:
        """Ready, of this commit."""
        self.followed.wait(lambda found: is_done(found, commit), SECONDS, f"Ready at {commit}")

    def wait_failed(self, commit: str) -> None:
        """Its health check has failed at this commit, at once, and names the model.

        One before that may have run out of time where the machine is slow.
        """
        model = f"ModelDeployment/{self.scenario.namespace}/iris"
        said = f"failed early due to stalled resources: [{model} status: 'Failed']"

        def holds(found: Json) -> bool:
            ready = get_condition(found, "Ready")
            failed = ready.get("reason") == "HealthCheckFailed" and said in ready["message"]
            return is_tried(found, commit) and failed

        self.followed.wait(holds, SECONDS, f"a failed health check at {commit}")

    def wait_refused(self, commit: str, why: str) -> None:
        """It could not apply this commit, and says why."""

        def holds(found: Json) -> bool:
            ready = get_condition(found, "Ready")
            return is_tried(found, commit) and why in ready.get("message", "")

        self.followed.wait(holds, SECONDS, f"a refusal of {commit}")

    def wait_paused(self, commit: str) -> None:
        """It waits for the health of this commit: kstatus has no other word for a pause."""

        def holds(found: Json) -> bool:
            ready, healthy = get_condition(found, "Ready"), get_condition(found, "Healthy")
            waits = (ready.get("status"), healthy.get("status")) == ("Unknown", "Unknown")
            return is_tried(found, commit) and waits

        self.followed.wait(holds, SECONDS, f"waiting at {commit}")

    def begin_of_done(self, commit: str) -> int:
        """The version at which it was Ready at this commit for the first time."""
        return next(version_of(found) for found in self.followed.seen if is_done(found, commit))

    def sync(self, times: int) -> None:
        """`flux reconcile kustomization models`, so many times."""
        for _ in range(times):
            asked = str(time.time_ns())
            words = ("annotate", "--overwrite", "kustomization/models")
            before = self.followed.mark()  # a sync may be over before kubectl is
            self.scenario.kubectl(*words, f"{REQUESTED}={asked}")
            self.followed.wait(Sync(asked), SECONDS, f"a sync at {asked}", since=before)

    def end_wait(self) -> None:
        """Nothing: with CancelHealthCheckOnNewRevision a new commit does it."""

    def announced(self) -> str:
        """What the Kustomization that depends on the models has applied."""
        found = self.scenario.kubectl(
            "get", "configmap", ANNOUNCED, "--ignore-not-found", "-o", "jsonpath={.data.version}"
        )
        return found.strip()

    def announcement(self, version: str) -> Mapping[str, str]:
        """A ConfigMap in the folder of what depends on the models."""
        found = make_manifest("v1", "ConfigMap", ANNOUNCED, data={"version": version})
        return {f"{AFTER}/announced.yaml": yaml.safe_dump(found)}


def is_tried(found: Json, commit: str) -> bool:
    """Whether this commit is the one that a Kustomization tried last."""
    return str(found.get("status", {}).get("lastAttemptedRevision", "")).endswith(commit)


def is_done(found: Json, commit: str) -> bool:
    """Whether a Kustomization is Ready and has applied this commit."""
    applied = str(found.get("status", {}).get("lastAppliedRevision", "")).endswith(commit)
    return applied and get_condition(found, "Ready").get("status") == "True"


class Sync:
    """Whether a sync that was asked for has applied everything; it sees the versions in order.

    `lastHandledReconcileAt` comes when health is known too, which can be long after.
    """

    def __init__(self, asked: str) -> None:
        self._asked, self._begun = asked, False

    def __call__(self, found: Json) -> bool:
        said = get_condition(found, "Reconciling").get("message", "")
        mine = found["metadata"].get("annotations", {}).get(REQUESTED) == self._asked
        self._begun |= mine and said.startswith("Building manifests")
        handled = found.get("status", {}).get("lastHandledReconcileAt") == self._asked
        return handled or (self._begun and said.startswith("Running health checks"))


@pytest.fixture
def flux(node: Theatre) -> None:
    """Flux runs beside the cluster."""
    with skipping(), exclusive(node.cluster.directory / "flux.lock"):
        install_flux(node.cluster, Progress())


@pytest.fixture
def story(flux: None, scenario: Scenario, tmp_path: Path) -> Iterator[Story]:
    """A model in Git that Flux follows."""
    with serve_repository(tmp_path) as git:
        keep_something(git)
        tool = Flux(scenario, git)
        yield Story(scenario, git, tool)
        tool.followed.end()
        scenario.kubectl("delete", "kustomizations,gitrepositories", "--all", "--timeout=120s")


def test_flux_follows_a_model_through_its_life(story: Story) -> None:
    story.sync_an_example()
    story.change_the_mind()
    story.roll_out_with_an_approval()
    story.refuse_a_bad_version()
    story.revert()
    story.roll_back_by_hand()
    story.leave_replicas_out()
    story.prune()


@pytest.fixture
def upgraded(
    flux: None, node: Theatre, slot: Place, request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[Scenario]:
    """A scenario whose operator is the earlier version, and comes from Git by Flux."""
    load_earlier(node)
    found = set_up(node, tmp_path, request.node.name)
    home, values = found.namespace + HOME, {**make_values(found.namespace), **EARLIER}
    with serve_repository(tmp_path) as git:
        synced = SyncedByFlux(node, git, home)
        operator = SyncedOperator(
            node.cluster, node.apiserver, home, values, False, synced.publish, synced.suspend
        )
        yield from play(found, operator, slot)


@dataclass
class SyncedByFlux:
    """A Kustomization of the operator's manifests, in the operator's namespace."""

    node: Theatre
    git: GitRepository
    home: str
    followed: Followed | None = None

    def publish(self, values: Json) -> None:
        """Commit the chart as it is rendered with these values, and wait for the sync of it."""
        text = yaml.safe_dump_all(render_operator(values, self.home))
        commit = self.git.commit("the operator", {"operator/operator.yaml": text})
        if self.followed is None:
            self.followed = self._begin()
        self.followed.wait(lambda found: is_done(found, commit), SECONDS, f"Ready at {commit}")

    def suspend(self) -> None:
        """Have Flux leave the operator as it is."""
        assert self.followed is not None
        self.followed.end()
        patch = json.dumps({"spec": {"suspend": True}})
        self._kubectl("patch", "kustomization/operator", "--type=merge", "-p", patch)
        self._kubectl("delete", "kustomizations,gitrepositories", "--all", "--timeout=120s")

    def _begin(self) -> Followed:
        source = {"interval": "1s", "url": self.git.url, "ref": {"branch": BRANCH}}
        spec = {
            "interval": "1s",
            "path": "./operator",
            "prune": True,
            "wait": True,
            "timeout": "90s",
            "sourceRef": {"kind": "GitRepository", "name": "operator"},
        }
        for version, kind, said in (
            ("source.toolkit.fluxcd.io/v1", "GitRepository", source),
            ("kustomize.toolkit.fluxcd.io/v1", "Kustomization", spec),
        ):
            found = make_manifest(version, kind, "operator", namespace=self.home, spec=said)
            self._kubectl("apply", "-f", "-", stdin=json.dumps(found))
        path = KUSTOMIZATIONS.format(self.home)
        return Followed(self.node.cluster.kubeconfig, path, "operator")

    def _kubectl(self, *words: str, stdin: str | None = None) -> None:
        self.node.cluster.kubectl("-n", self.home, *words, stdin=stdin)


def test_flux_upgrades_the_operator_in_a_rollout_and_no_request_is_lost(
    upgraded: Scenario,
) -> None:
    upgrade_in_a_rollout(upgraded)
