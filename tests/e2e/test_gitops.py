"""What a sync from Git does in the middle of a rollout: nothing, unless Git says something new.

On a real control plane with simulated nodes; router Replicas. The sync is kubectl under the field
managers of the sync tools.
"""

import json
import time
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import pytest
from canarium.core.status import parse_time

from testbed.programs.processes import ClusterError, wait_until
from testbed.scenario.manifests import Json, rollout, simulated
from testbed.scenario.scenario import Scenario, get_condition, phase, serves
from testbed.scenario.syncing import SERVER_SIDE, read_entries, syncing
from testbed.witness.changes import Change, revision_of
from tests.cluster.gitops_view import judge

pytestmark = [pytest.mark.timeout(360, func_only=True)]
SECONDS = 60.0
TRIES = 5
STEPS = rollout((50, "6s"), guard={"duration": "2s"})
SYNCS = 8
"More than two statuses with counts of ready pods, which come as they may, can make a difference."
HOLD_SECONDS = 6.0
ASKED: Json = {
    "steps": [
        {"name": "half", "weight": 50, "hold": f"{HOLD_SECONDS:.0f}s"},
        {"name": "asked", "weight": 50, "approval": "Manual"},
    ],
    "guard": {"duration": "2s"},
}
"A person lets the rollout go on when there were enough syncs, however long one takes."
STATUS = "patch modeldeployments/status"
REPLACE = ("replace", "--field-manager=argocd-controller", "-f", "-")
CLIENT_SIDE = ("apply", "--field-manager=argocd-controller", "-f", "-")
APPROVED: Json = {
    "steps": [{"name": "half", "weight": 50, "approval": "Manual"}],
    "guard": {"duration": "0s"},
}


def named(name: str, manifest: Json, **annotations: str) -> Json:
    """The same model under another name."""
    return {**manifest, "metadata": {"name": name, "annotations": annotations}}


def sync(rehearsal: Scenario, manifest: Json, words: Sequence[str] = SERVER_SIDE) -> None:
    """What a sync tool does: put the manifest in Git on the cluster.

    `kubectl replace` reads the resourceVersion and then writes over it, once: when the operator's
    status comes between the two it is refused, and the sync is tried again, as the tools do.
    """
    rehearsal.models.add(manifest["metadata"]["name"])
    for left in reversed(range(TRIES)):
        try:
            rehearsal.kubectl(*words, stdin=json.dumps(manifest))
        except ClusterError as refused:
            if not left or "(Conflict)" not in str(refused):
                raise
        else:
            return


def versions_of(changes: Sequence[Change], model: str) -> list[Change]:
    """Every version of one ModelDeployment."""
    return [c for c in changes if c.kind == "ModelDeployment" and c.name == model]


def story(versions: Sequence[Change]) -> list[str]:
    """The stages in order: state, step and weights in one word."""
    stages = [describe(change.object.get("status", {})) for change in versions]
    return [stage for before, stage in pairwise(["", *stages]) if stage != before]


def describe(status: Json) -> str:
    stage = status.get("rollout", {})
    shares = (status.get(part, {}).get("weight") for part in ("stable", "canary"))
    return f"{stage.get('state')} {stage.get('step')} {'/'.join(map(str, shares))}"


def holds_of(versions: Sequence[Change]) -> list[float]:
    """When the steps began to hold, by the operator's word: one twice when it was begun anew."""
    stages = (change.object.get("status", {}).get("rollout", {}) for change in versions)
    held = (stage["stepStartedAt"] for stage in stages if stage.get("state") == "Holding")
    return [parse_time(begin) for begin in dict.fromkeys(held)]


def read_writes(rehearsal: Scenario, model: str, since: float) -> Counter[str]:
    """The operator's writes about one model that were carried out, from the audit log.

    A cluster that is used again has those of an earlier run of the same name: hence `since`.
    """
    assert rehearsal.cluster.audit_log is not None
    found: Counter[str] = Counter()
    for entry in read_entries(rehearsal.cluster.audit_log):
        about = entry.get("objectRef", {})
        reads = entry["verb"] in ("get", "list", "watch")
        ours = entry["user"]["username"] == rehearsal.account and not reads
        mine = about.get("namespace") == rehearsal.namespace
        carried_out = entry["responseStatus"]["code"] < 300
        new = parse_time(entry["stageTimestamp"]) > since
        if ours and mine and new and carried_out and about.get("name", "").startswith(model):
            found[f"{entry['verb']} {about['resource']}/{about.get('subresource', '')}"] += 1
    return found


def without_status(writes: Counter[str]) -> Counter[str]:
    """The writes of everything but the status, whose counts of ready pods come as they may."""
    return Counter({what: count for what, count in writes.items() if what != STATUS})


def wait_for_rest(rehearsal: Scenario, model: str) -> None:
    """Wait until a model is Healthy, and only one of its revisions has pods."""
    found = rehearsal.wait(phase("Healthy"), SECONDS, model=model)
    stable = found["status"]["stable"]["revision"]
    for deployment in rehearsal.all_of("Deployment"):
        name = deployment["metadata"]["name"]
        if name.startswith(f"{model}-") and revision_of(deployment) != stable:
            rehearsal.wait_for("Deployment", name, is_empty, SECONDS)


def is_empty(found: Json) -> bool:
    """a Deployment of no pods"""
    return bool(found["spec"]["replicas"] == 0)


@pytest.mark.parametrize("words", [SERVER_SIDE, CLIENT_SIDE], ids=["server-side", "client-side"])
def test_a_sync_of_the_same_manifest_during_a_rollout_changes_nothing(
    rehearsal: Scenario, words: Sequence[str]
) -> None:
    models, begun = ("quiet", "synced"), time.time()
    for tag in ("v1", "v2"):
        for name in models:
            sync(rehearsal, named(name, simulated(tag, rollout=ASKED)), words)
        for name in models if tag == "v1" else ():
            wait_for_rest(rehearsal, name)
    manifest = named("synced", simulated("v2", rollout=ASKED))
    with syncing(lambda: sync(rehearsal, manifest, words)) as done:
        canaries = [rehearsal.wait(phase("Paused"), SECONDS, model=name) for name in models]
        done.wait_for(SYNCS, SECONDS)
        for name, found in zip(models, canaries, strict=True):
            rehearsal.command("promote", found["status"]["canary"]["revision"], name)
        for name in models:
            wait_for_rest(rehearsal, name)

    def count() -> list[Counter[str]]:
        return [read_writes(rehearsal, name, begun) for name in models]

    def is_same() -> bool:  # the last of them may come after the status that says Healthy
        quietly, beside_syncs = map(without_status, count())
        return quietly == beside_syncs

    assert wait_until(is_same, SECONDS), count()
    quietly, beside_syncs = count()
    assert beside_syncs[STATUS] - quietly[STATUS] < SYNCS
    changes = rehearsal.changes()
    versions = [versions_of(changes, name) for name in models]
    quiet, synced = map(story, versions)
    assert synced == quiet
    for first, second in map(holds_of, versions):
        assert second - first >= HOLD_SECONDS
    assert [seen[-1].metadata["generation"] for seen in versions] == [2, 2]


def test_a_sync_that_strips_annotations_loses_only_pending_commands(rehearsal: Scenario) -> None:
    git = named("iris", simulated("v2", rollout=APPROVED))
    rehearsal.apply(simulated("v1", rollout=APPROVED))
    rehearsal.wait(phase("Healthy"), SECONDS)
    sync(rehearsal, git, REPLACE)
    canary = rehearsal.wait(phase("Paused"), SECONDS)["status"]["canary"]["revision"]
    assert rehearsal.operator is not None

    rehearsal.operator.stop()
    rehearsal.command("promote", canary)
    sync(rehearsal, git, REPLACE)
    rehearsal.operator.start()
    sync(rehearsal, named("iris", simulated("v2", rollout={**APPROVED, "paused": False})))
    waiting = rehearsal.wait(phase("Paused"), SECONDS)
    rehearsal.command("promote", canary)
    handled = rehearsal.wait(lambda found: "promote" in commands_of(found), SECONDS)
    sync(rehearsal, git, REPLACE)
    healthy = rehearsal.wait(phase("Healthy"), SECONDS)

    assert "promote" not in commands_of(waiting)
    assert commands_of(healthy) == commands_of(handled)
    assert "canarium.dev/promote" not in healthy["metadata"].get("annotations", {})
    assert healthy["status"]["stable"]["version"] == "v2"


def commands_of(found: Json) -> Json:
    """The commands that were acted on."""
    handled: Json = found["status"].get("lastHandledCommands", {})
    return handled


def test_replicas_in_git_are_gits(rehearsal: Scenario) -> None:
    terms = rollout((50, "6s"), guard={"duration": "0s"})
    sync(rehearsal, simulated("v1", rollout=terms))
    rehearsal.wait(phase("Healthy"), SECONDS)
    sync(rehearsal, simulated("v2", rollout=terms))
    with syncing(lambda: sync(rehearsal, simulated("v2", rollout=terms))):
        wait_for_rest(rehearsal, "iris")
    sync(rehearsal, simulated("v2", rollout=terms, scaling={"replicas": 3}))
    found = rehearsal.wait(
        lambda found: phase("Healthy")(found) and found["status"]["replicas"] == 3, SECONDS
    )

    sizes = sizes_of(rehearsal.changes())
    assert sizes.pop(found["status"]["stable"]["revision"])[-3:] == [1, 2, 3]
    assert [size[-2:] for size in sizes.values()] == [[2, 0]]
    assert all(len(size) <= 3 for size in sizes.values())
    assert owners_of_replicas(found) == {"argocd-controller"}


def sizes_of(changes: Sequence[Change]) -> dict[str, list[int]]:
    """The sizes that each revision's Deployment was given, in order."""
    found: dict[str, list[int]] = {}
    for change in changes:
        if change.kind == "Deployment" and not change.deleted:
            sizes = found.setdefault(revision_of(change.object), [])
            if (size := change.object["spec"]["replicas"]) not in sizes[-1:]:
                sizes.append(size)
    return found


def owners_of_replicas(found: Json) -> set[str]:
    """Who owns spec.scaling.replicas."""
    return {
        entry["manager"]
        for entry in found["metadata"]["managedFields"]
        if "f:scaling" in entry.get("fieldsV1", {}).get("f:spec", {})
    }


def test_a_revision_tells_where_it_came_from(rehearsal: Scenario) -> None:
    tracking = f"models:canarium.dev/ModelDeployment:{rehearsal.namespace}/iris"
    said = {
        "argocd.argoproj.io/tracking-id": tracking,
        "canarium.dev/git-revision": "main@4f0c2aa",
        "kubernetes.io/change-cause": "retrained on October",
    }
    sync(rehearsal, named("iris", simulated("v1"), **said))
    first = rehearsal.wait(phase("Healthy"), SECONDS)
    image = {"spec": {"server": {"image": "registry.example.com/iris:v2"}}}
    words = ("patch", "mdep/iris", "--type=merge", "--field-manager=kubectl-edit")
    rehearsal.kubectl(*words, "-p", json.dumps(image))
    second = rehearsal.wait(phase("Healthy"), SECONDS)

    synced, edited = (origin_of(rehearsal, found) for found in (first, second))
    assert synced.pop("writtenAt") <= edited.pop("writtenAt")
    about = {
        "changeCause": "retrained on October",
        "gitRevision": "main@4f0c2aa",
        "source": {"kind": "Application", "name": "models"},
    }
    assert synced == {
        "generation": 1,
        "manager": "argocd-controller",
        "operation": "Apply",
        **about,
    }
    assert edited == {"generation": 2, "manager": "kubectl-edit", "operation": "Update", **about}


def origin_of(rehearsal: Scenario, found: Json) -> Json:
    """The origin of the revision that serves."""
    name = f"iris-{found['status']['stable']['revision']}"
    revision = rehearsal.get("ModelRevision", name)
    assert revision is not None
    origin: Json = revision["spec"]["origin"]
    return origin


def test_no_tool_calls_a_change_done_before_it_is(rehearsal: Scenario) -> None:
    rehearsal.apply(simulated("v1", rollout=STEPS))
    rehearsal.wait(phase("Healthy"), SECONDS)
    rehearsal.apply(simulated("v2", rollout=STEPS))
    rehearsal.wait(serves("v2"), SECONDS)

    kind = {"apiVersion": "canarium.dev/v1alpha1", "kind": "ModelDeployment"}
    seen = versions_of(rehearsal.changes(), "iris")
    versions = [{**kind, **change.object} for change in seen]
    shown = judge(versions)

    done = [is_done(version) for version in versions]
    assert [view.kstatus for view in shown] == ["Current" if d else "InProgress" for d in done]
    assert [view.flux for view in shown] == ["Current" if d else "InProgress" for d in done]
    assert [view.argo for view in shown] == ["Healthy" if d else "Progressing" for d in done]
    assert [a for a, b in pairwise([*done, None]) if a != b] == [False, True, False, True]


def is_done(found: Json) -> bool:
    """Whether the spec as it is now is what serves, with all its pods."""
    seen = found.get("status", {}).get("observedGeneration") == found["metadata"]["generation"]
    wanted = ("UpToDate", "Ready")
    return seen and all(get_condition(found, kind).get("status") == "True" for kind in wanted)
