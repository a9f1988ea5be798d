"""Argo CD's own controller and repo server sync a model from Git, on real pods under real traffic.

`make e2e-argocd` runs it; `make test` does not, since building it takes longer than anything else.
What it showed is written down in docs/gitops/README.md.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from testbed.addons.argo_cd import NAMESPACE
from testbed.addons.argo_cd import install as install_argo_cd
from testbed.addons.git_repository import BRANCH, GitRepository, serve_repository
from testbed.addons.helm import CHART, RELEASE, use_image
from testbed.cluster.cluster import Cluster, make_manifest
from testbed.operators.account import HOME
from testbed.operators.installed import make_values
from testbed.programs.cache import exclusive
from testbed.programs.progress import Progress
from testbed.scenario.manifests import Json
from testbed.scenario.scenario import Scenario
from testbed.witness.following import Followed, version_of
from tests.e2e.conftest import Place, Theatre, play, set_up
from tests.e2e.git_story import PATH, SECONDS, Story, keep_something
from tests.e2e.synced_operator import SyncedOperator, upgrade_in_a_rollout
from tests.e2e.test_upgrade import EARLIER, load_earlier

pytestmark = [pytest.mark.by_hand, pytest.mark.timeout(600, func_only=True)]
API = "argoproj.io/v1alpha1"
APPLICATIONS = f"/apis/{API}/namespaces/{NAMESPACE}/applications"
IN_CLUSTER = "https://kubernetes.default.svc"
WAVE = "argocd.argoproj.io/sync-wave"
ANNOUNCED = "announced"
IRIS: Json = {"group": "canarium.dev", "kind": "ModelDeployment", "name": "iris"}
AUTOMATED: Json = {"automated": {"prune": True, "selfHeal": True}}


class Application:
    """One Application, and everything that it has shown."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        self._cluster, self._name = cluster, name
        self.followed = Followed(cluster.kubeconfig, APPLICATIONS, name)

    def apply(self, source: Json, namespace: str, policy: Json) -> None:
        """Have Argo CD follow a folder."""
        spec = {
            "project": "default",
            "source": {"targetRevision": BRANCH, **source},
            "destination": {"server": IN_CLUSTER, "namespace": namespace},
            "syncPolicy": policy,
        }
        found = make_manifest(API, "Application", self._name, namespace=NAMESPACE, spec=spec)
        self._cluster.kubectl("apply", "-f", "-", stdin=json.dumps(found))

    def wait_shown(self, commit: str, health: str, sync: str = "Synced") -> Json:
        """Wait until it shows this of a commit."""
        return self.followed.wait(
            lambda found: shows(found, commit, health, sync), SECONDS, f"{health} at {commit}"
        )

    def merge(self, patch: Json) -> None:
        """Merge-patch the Application, as its own commands do."""
        words = ("patch", f"application/{self._name}", "--type=merge", "-p", json.dumps(patch))
        self._cluster.kubectl("-n", NAMESPACE, *words)

    def terminate(self) -> None:
        """`argocd app terminate-op`."""
        self.merge({"status": {"operationState": {"phase": "Terminating"}}})

    def sync(self, resources: list[Json]) -> None:
        """`argocd app sync`, of these objects or of all; returns when everything was applied."""
        if phase_of(self.seen) == "Running" and is_on_its_way(self.seen):
            self.terminate()
        self.followed.wait(is_over, SECONDS, "the end of its operation")
        before = self.seen["status"].get("operationState", {}).get("startedAt")
        asked: Json = {"syncStrategy": {"apply": {}}}
        if resources:
            asked["resources"] = resources
        time.sleep(1.0)  # times are whole seconds: the next one has to begin later than the last
        self.merge({"operation": {"initiatedBy": {"username": "person"}, "sync": asked}})
        self.followed.wait(lambda found: has_synced(found, before), SECONDS, "another sync")

    @property
    def seen(self) -> Json:
        """What it showed last."""
        return self.followed.seen[-1]

    def delete(self) -> None:
        """Have Argo CD follow it no more, and leave what it synced."""
        self.followed.end()
        words = ("delete", f"application/{self._name}", "--timeout=30s")
        self._cluster.kubectl("-n", NAMESPACE, *words)


def phase_of(found: Json) -> str:
    """How the last operation went, or that it still does."""
    return str(found.get("status", {}).get("operationState", {}).get("phase", ""))


def is_on_its_way(found: Json) -> bool:
    """Whether an operation may wait long, for something that isn't healthy yet."""
    health = found.get("status", {}).get("health", {}).get("status")
    return health in ("Progressing", "Suspended")


def is_over(found: Json) -> bool:
    """Whether no operation runs, or is about to."""
    return "operation" not in found and phase_of(found) not in ("Running", "Terminating")


def shows(found: Json, commit: str, health: str, sync: str = "Synced") -> bool:
    """Whether an Application shows this of a commit."""
    status = found.get("status", {})
    has = status.get("sync", {})
    compared = (has.get("status"), has.get("revision")) == (sync, commit)
    return compared and status.get("health", {}).get("status") == health


def has_synced(found: Json, before: str | None) -> bool:
    """Whether an operation that began after another one has applied the model."""
    state = found.get("status", {}).get("operationState", {})
    if state.get("startedAt") in (None, before):
        return False
    results = state.get("syncResult", {}).get("resources") or []
    return any(row["kind"] == IRIS["kind"] and row.get("status") == "Synced" for row in results)


class ArgoCD:
    """An Application of the models; what depends on them is in a later wave of it."""

    def __init__(self, scenario: Scenario, git: GitRepository) -> None:
        self.scenario = scenario
        self.application = Application(scenario.cluster, scenario.namespace)
        # Otherwise what is in a later wave is applied anew with each commit, and waits each time.
        policy = {**AUTOMATED, "syncOptions": ["ApplyOutOfSyncOnly=true"]}
        source = {"repoURL": git.url, "path": PATH}
        self.application.apply(source, scenario.namespace, policy)

    def wait_done(self, commit: str) -> None:
        """Synced and Healthy."""
        self.application.wait_shown(commit, "Healthy")

    def wait_failed(self, commit: str) -> None:
        """Synced and Degraded."""
        self.application.wait_shown(commit, "Degraded")

    def wait_refused(self, commit: str, why: str) -> None:
        """Its operation has failed, in the apiserver's words."""

        def holds(found: Json) -> bool:
            state = found.get("status", {}).get("operationState", {})
            result = state.get("syncResult", {})
            return result.get("revision") == commit and why in json.dumps(state)

        self.application.followed.wait(holds, SECONDS, f"a refusal of {commit}")

    def wait_paused(self, commit: str) -> None:
        """Suspended, and its operation waits before the later wave."""
        found = self.application.wait_shown(commit, "Suspended", sync="OutOfSync")
        assert phase_of(found) == "Running"

    def begin_of_done(self, commit: str) -> int:
        """The version at which it was Synced and Healthy at this commit for the first time."""
        seen = self.application.followed.seen
        return next(version_of(found) for found in seen if shows(found, commit, "Healthy"))

    def sync(self, times: int) -> None:
        """Sync so many times: what is Degraded without the later wave, which would wait for it."""
        for _ in range(times):
            degraded = self.application.seen["status"].get("health", {}).get("status") == "Degraded"
            self.application.sync([IRIS] if degraded else [])

    def end_wait(self) -> None:
        """`argocd app terminate-op`: while an operation waits before a wave, no other begins."""
        self.application.terminate()

    def announced(self) -> str:
        """What the later wave has applied."""
        words = ("get", "configmap", ANNOUNCED, "--ignore-not-found", "-o")
        return self.scenario.kubectl(*words, "jsonpath={.data.version}").strip()

    def announcement(self, version: str) -> Mapping[str, str]:
        """A ConfigMap in a later wave; none of a version that isn't meant to get there."""
        if version == "v3":
            return {}
        data, later = {"version": version}, {WAVE: "1"}
        found = make_manifest("v1", "ConfigMap", ANNOUNCED, annotations=later, data=data)
        return {f"{PATH}/announced.yaml": yaml.safe_dump(found)}


@pytest.fixture
def argo_cd(node: Theatre) -> None:
    """Argo CD runs beside the cluster."""
    with exclusive(node.cluster.directory / "argo-cd.lock"):
        install_argo_cd(node.cluster, Progress())


@pytest.fixture
def story(argo_cd: None, scenario: Scenario, tmp_path: Path) -> Iterator[Story]:
    """A model in Git that Argo CD follows."""
    with serve_repository(tmp_path) as git:
        keep_something(git)
        tool = ArgoCD(scenario, git)
        yield Story(scenario, git, tool)
        tool.application.delete()


def test_argo_cd_follows_a_model_through_its_life(story: Story) -> None:
    story.sync_an_example()
    story.change_the_mind()
    story.roll_out_with_an_approval()
    story.refuse_a_bad_version()
    story.revert()
    story.roll_back_by_hand()
    story.leave_replicas_out()
    story.prune()


@dataclass
class SyncedByArgoCD:
    """An Application of the operator's chart, as examples/install/argo-cd.yaml has it."""

    cluster: Cluster
    git: GitRepository
    home: str
    application: Application | None = None

    def publish(self, values: Json) -> None:
        """Commit the chart with these values, and wait for the sync of it."""
        chart = {
            f"canarium/{path.relative_to(CHART)}": path.read_text()
            for path in sorted(CHART.rglob("*"))
            if path.is_file()
        }
        chosen = {"canarium/chosen.yaml": yaml.safe_dump(use_image(dict(values)))}
        commit = self.git.commit("the operator", {**chart, **chosen})
        if self.application is None:
            self.application = self._begin()
        self.application.wait_shown(commit, "Healthy")

    def leave(self) -> None:
        """Have Argo CD leave the operator as it is."""
        assert self.application is not None
        self.application.delete()

    def _begin(self) -> Application:
        application = Application(self.cluster, self.home)
        helm = {"releaseName": RELEASE, "valueFiles": ["chosen.yaml"]}
        policy = {**AUTOMATED, "syncOptions": ["CreateNamespace=true", "ServerSideApply=true"]}
        application.apply(
            {"repoURL": self.git.url, "path": "canarium", "helm": helm}, self.home, policy
        )
        return application


@pytest.fixture
def upgraded(
    argo_cd: None, node: Theatre, slot: Place, request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[Scenario]:
    """A scenario whose operator is the earlier version, and comes from Git by Argo CD."""
    load_earlier(node)
    found = set_up(node, tmp_path, request.node.name)
    home, values = found.namespace + HOME, {**make_values(found.namespace), **EARLIER}
    with serve_repository(tmp_path) as git:
        synced = SyncedByArgoCD(node.cluster, git, home)
        operator = SyncedOperator(
            node.cluster, node.apiserver, home, values, False, synced.publish, synced.leave
        )
        yield from play(found, operator, slot)


def test_argo_cd_upgrades_the_operator_in_a_rollout_and_no_request_is_lost(
    upgraded: Scenario,
) -> None:
    upgrade_in_a_rollout(upgraded)
