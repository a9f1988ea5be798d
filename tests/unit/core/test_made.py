"""Deployments and Jobs that look like ours, labels, selector, owner and all, and aren't.

Whoever may make Deployments can write all of that; only the uid that the apiserver gave is
nobody's.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace

import pytest
from canarium.core.made import pick_pods
from canarium.core.names import REVISION_LABEL
from canarium.core.observed import (
    Addition,
    ContainerState,
    DeploymentRecord,
    JobRecord,
    Meta,
    Observed,
    Owner,
    PodRecord,
    ReplicaSetRecord,
    WriteFailure,
)
from canarium.core.plan import Create, Delete, Ref
from canarium.core.status import Condition, parse
from canarium.resources.diff import fingerprint
from canarium.rollout.plan import plan
from canarium.rollout.situation.situation import make_situation

from tests.properties.world import UID, World, make_rollout, make_spec, serving
from tests.unit.rollout.situation.test_step_jobs import ALONE, JobWorld, holding, terms
from tests.unit.rollout.situation.test_step_jobs import serving as serving_with_jobs

FORGED = "uid-of-the-forged"
EVIL = b'{"spec": {"hostNetwork": true}}'


def foresee(version: str) -> DeploymentRecord:
    """The Deployment that a version of the model will have: everybody can compute its name."""
    twin = serving()
    if version != "1":
        twin.apply(make_spec(version))
        twin.run_until("Guarding")
    return next(d for d in twin.deployments.values() if twin.version_of(d.revision) == version)


def forge(world: World, version: str, replicas: int = 1) -> str:
    """Make the Deployment of a version before the operator does, with everything but its uid."""
    genuine = foresee(version)
    meta = replace(genuine.meta, uid=FORGED, resource_version=str(world._next()))
    world.deployments[meta.name] = replace(genuine, meta=meta, template=EVIL, replicas=replicas)
    return meta.name


def forget(world: World) -> None:
    """As if an operator that kept no account had written the status."""
    world.status_raw = {key: value for key, value in world.status_raw.items() if key != "made"}


def uids(world: World) -> dict[str, str]:
    """Of the Deployments that are there, as status names them."""
    return {f"Deployment/{name}": each.meta.uid for name, each in world.deployments.items()}


def test_a_deployment_made_beforehand_with_everything_copied_is_made_anew() -> None:
    world = serving()
    name = forge(world, "2")
    assert world.deployments[name].meta.owner == Owner("ModelDeployment", "fraud", UID)
    world.apply(make_spec("2"))
    world.run_until("Guarding")

    assert world.stable == "2"
    assert world.deployments[name].meta.uid != FORGED
    assert world.deployments[name].template != EVIL
    assert world.status.made == uids(world)


def test_without_an_account_of_what_was_made_it_would_be_taken_for_ours() -> None:
    """The other half, and an upgrade: an operator that kept none has left objects behind."""
    world = serving()
    name = forge(world, "2")
    forget(world)
    world.apply(make_spec("2"))
    world.run_until("Guarding")

    assert world.deployments[name].meta.uid == FORGED
    assert world.status.made == uids(world)


def test_of_an_object_that_is_new_nothing_is_ours_whatever_is_there() -> None:
    world = World(make_spec("1"))
    name = forge(world, "1")
    world.run_until("Idle")
    assert world.deployments[name].meta.uid != FORGED
    assert world.status.made == uids(world)


@pytest.mark.parametrize("lost", ["made", "all"])
def test_at_an_upgrade_and_after_a_lost_status_everything_that_serves_is_taken_over(
    lost: str,
) -> None:
    world = serving()
    world.apply(make_spec("2"))
    world.run_until("Guarding")
    before = uids(world)
    world.status_raw = {k: v for k, v in world.status_raw.items() if lost == "made" and k != "made"}
    writes = len(world.writes)
    world.settle()

    assert uids(world) == before
    assert world.status.made == before
    if lost == "made":
        assert world.writes[writes:] == ["status"]


def test_what_was_made_and_could_not_be_noted_is_made_anew_and_never_carried_a_request() -> None:
    world = serving()
    world.apply(make_spec("2"))
    while len(world.deployments) < 2:
        world.step()
    (lost,) = set(uids(world)) - set(world.status.made or {})
    uid = uids(world)[lost]
    world.answered.clear()  # killed, and started again
    world.run_until("Guarding")

    assert world.stable == "2"
    assert uids(world)[lost] != uid
    assert world.status.made == uids(world)


def test_what_was_made_is_noted_before_anything_else_is_written_of_it() -> None:
    world = serving()
    world.apply(make_spec("2"))
    while len(world.deployments) < 2:
        world.step()
    made = world.step()
    assert made.status is not None
    assert parse(type(world.status), made.status).made == uids(world)
    assert not [write for write in made.writes if isinstance(write, Create)]


def test_who_takes_the_labels_off_a_deployment_takes_no_pods_with_them() -> None:
    """It isn't seen any more, and has its labels again by the uid that is remembered."""
    world = serving()
    ((name, hidden),) = world.deployments.items()
    del world.deployments[name]
    (write,) = world.step().writes
    assert isinstance(write, Create)
    assert (write.ref, write.uid) == (Ref("Deployment", name), hidden.meta.uid)


def test_a_deployment_that_somebody_deleted_is_made_again_and_noted_in_its_place() -> None:
    world = serving()
    ((name, gone),) = world.deployments.items()
    del world.deployments[name]
    world.run(30.0)
    assert world.deployments[name].meta.uid != gone.meta.uid
    assert world.status.made == uids(world)


def test_a_cache_that_was_blind_for_a_moment_makes_no_stranger_of_what_serves() -> None:
    world = serving()
    before, seen = uids(world), world.observe()
    blind = replace(seen, deployments=(), revisions=(), pods=())
    made = plan(blind, world.clock)
    status = world.status if made.status is None else parse(type(world.status), made.status)
    assert status.made == before


def test_what_nobody_uses_and_we_have_not_made_goes_when_the_rollout_rests() -> None:
    """A killed operator leaves it behind, with a pod, for a revision that nobody wants any more."""
    world = serving()
    name = forge(world, "2")
    world.run(30.0)
    assert name not in world.deployments
    world.settle()
    assert world.last_plan.writes == ()


def test_under_another_name_than_a_revisions_it_is_not_ours_to_delete_and_counts_for_nothing() -> (
    None
):
    world = serving()
    genuine = foresee("2")
    meta = replace(genuine.meta, name="fraud-copy", uid=FORGED)
    world.deployments["fraud-copy"] = replace(genuine, meta=meta, template=EVIL)
    world.apply(make_spec("2"))
    world.run_until("Guarding")
    assert world.stable == "2"
    assert world.deployments["fraud-copy"].meta.uid == FORGED
    assert FORGED not in (world.status.made or {}).values()


def test_the_account_is_as_long_as_what_there_is_of_it() -> None:
    world = serving()
    for version in range(2, 30):
        world.apply(make_spec(str(version), rollout=make_rollout(guard=0.0, history=3)))
        world.run(60.0)
    assert world.status.made == uids(world)
    assert len(world.deployments) < 6


# --- Jobs


def forge_job(world: JobWorld, name: str, revision: str) -> None:
    labels = {"canarium.dev/model": "fraud", REVISION_LABEL: revision}
    owner = Owner("ModelDeployment", "fraud", UID)
    meta = Meta("risk", name, FORGED, "1", labels=labels, owner=owner)
    world.jobs[name] = JobRecord(meta, outcome="Complete", has_run=True)


def foresee_job() -> tuple[JobWorld, str]:
    """A world that is about to make its step's Job, and its name: whoever reads status knows it."""
    world = serving_with_jobs()
    world.apply(make_spec("2", rollout=terms()))
    while not world.jobs:
        before = json.loads(json.dumps(world.status_raw))
        made = world.step()
        world.tick(0.5)
    (name,) = world.jobs
    assert made
    world.jobs.clear()
    world.answered.clear()
    world.status_raw = before
    return world, name


def test_a_job_made_beforehand_with_a_copied_owner_says_nothing() -> None:
    world, name = foresee_job()
    revision = world.revision("2")
    forge_job(world, name, revision)
    world.run(5.0)

    assert world.jobs[name].meta.uid != FORGED
    assert world.rows == [("smoke", "Inconclusive", "JobRunning")]
    assert (world.status.made or {})[f"Job/{name}"] == world.jobs[name].meta.uid


def test_without_an_account_its_word_would_count() -> None:
    """The other half: it is the account that keeps a false pass out."""
    world, name = foresee_job()
    forge_job(world, name, world.revision("2"))
    forget(world)
    world.run(3.0)
    assert world.rows == [("smoke", "Pass", "")]


def test_a_job_that_nobody_wants_and_that_we_have_not_made_goes() -> None:
    world = holding()
    forge_job(world, "fraud-smoke-other", world.revision("2"))
    made = world.step()
    (write,) = [write for write in made.writes if isinstance(write, Delete)]
    assert (write.ref.name, write.uid) == ("fraud-smoke-other", FORGED)


def test_jobs_that_cannot_be_seen_for_a_while_are_not_forgotten() -> None:
    world = holding()
    before = world.status.made
    world.sees_jobs = False
    world.run(3.0)
    assert world.status.made == before
    world.sees_jobs = True
    world.run(3.0)
    assert len(world.bodies) == 1


def take(world: JobWorld, name: str) -> None:
    """Somebody has a Job of that name, with no owner: it is refused and left alone."""
    words = f"the name is taken: Job {name} has no owner"
    world.failures = (WriteFailure("Job", name, "NameConflict", words),)


def test_a_name_of_a_job_that_somebody_has_taken_is_counted_past() -> None:
    world, name = foresee_job()
    take(world, name)
    made = world.step()
    (write,) = [write for write in made.writes if isinstance(write, Create)]
    assert write.ref.name != name
    assert made.status is not None
    assert made.status["rollout"]["takenNames"] == [name]
    world.failures = ()
    world.run(2.0)
    assert list(world.jobs) == [write.ref.name]
    world.end("Complete")
    world.run(60.0)
    assert world.step_number == 2
    (later,) = set(world.jobs) - {write.ref.name}
    assert later not in (name, write.ref.name)


def test_with_no_data_for_a_rollback_a_taken_name_takes_nobody_back() -> None:
    analysis = replace(ALONE, on_no_data="Rollback")
    world = serving_with_jobs()
    world.apply(make_spec("2", rollout=terms(analysis=analysis)))
    while not world.jobs:
        before = world.status_raw
        world.step()
        world.tick(0.5)
    (name,) = world.jobs
    world.jobs.clear()
    world.answered.clear()
    world.status_raw = before
    take(world, name)
    world.step()
    assert (world.state, world.status.rejected) == ("Holding", ())


def test_who_takes_one_name_after_the_other_is_waited_for_and_named() -> None:
    world, name = foresee_job()
    seen = []
    for _ in range(6):
        seen.append(name)
        take(world, name)
        (write,) = [w for w in world.step().writes if isinstance(w, Create)]
        world.jobs.clear()
        world.answered.clear()
        name = write.ref.name
    assert len(set(seen)) == 4
    assert world.rows == [("smoke", "NoData", "NameConflict")]
    assert world.status.rollout is not None
    assert len(world.status.rollout.taken_names) == 3


# --- Pods: Kubernetes adopts them by labels, so whose they are is followed from uid to uid


def own(kind: str, uid: str) -> Owner:
    return Owner(kind, f"name-of-{uid}", uid)


def link(observed: Observed, sets: dict[str, str]) -> Observed:
    """Give the Deployments their ReplicaSets, and the pods of each revision theirs by its uid."""
    deployments = {each.revision: each.meta.uid for each in observed.deployments}
    every = {f"set-of-{revision}": uid for revision, uid in deployments.items()} | sets
    meta = Meta("risk", "set", "", "1")
    replica_sets = tuple(
        ReplicaSetRecord(replace(meta, name=uid, uid=uid), owner) for uid, owner in every.items()
    )
    linked = tuple(
        replace(pod, meta=replace(pod.meta, owner=own("ReplicaSet", f"set-of-{pod.revision}")))
        if pod.meta.owner is None
        else pod
        for pod in observed.pods
    )
    return replace(observed, replica_sets=replica_sets, pods=linked)


@dataclass
class LinkedWorld(World):
    """The small world with ReplicaSets, and pods of others that bear a revision's labels."""

    strange: dict[str, PodRecord] = field(default_factory=dict)
    sets: dict[str, str] = field(default_factory=dict)

    def observe(self) -> Observed:
        observed = super().observe()
        every = (*observed.pods, *self.strange.values())
        return link(replace(observed, pods=every), self.sets)

    def add_stranger(self, version: str, owner: Owner | None, *states: ContainerState) -> None:
        meta = Meta("risk", "stranger", "uid-of-a-stranger", "1", owner=owner)
        ready = not states
        states = states or (ContainerState("server", ready=True),)
        self.strange["stranger"] = PodRecord(
            meta,
            self.revision(version),
            "Running",
            "198.18.0.66",
            "node-a",
            ready,
            True,
            "",
            "",
            states,
        )


CRASHES = ContainerState(
    "server", restarts=7, waiting_reason="CrashLoopBackOff", terminated_exit_code=1
)
OWNERS = {
    "of nobody's": Owner("Job", "mine", "uid-of-a-job"),
    "of a ReplicaSet that nobody knows": own("ReplicaSet", "unheard-of"),
    "of an orphaned ReplicaSet": own("ReplicaSet", "orphan"),
    "of a forged Deployment's ReplicaSet": own("ReplicaSet", "their-set"),
}


@pytest.mark.parametrize("owner", OWNERS.values(), ids=OWNERS)
def test_a_pod_that_looks_like_the_canarys_and_is_not_takes_no_canary_back(owner: Owner) -> None:
    world = LinkedWorld(make_spec("1"), sets={"orphan": "", "their-set": FORGED})
    world.run_until("Idle")
    world.apply(make_spec("2"))
    world.run_until("Holding")
    world.add_stranger("2", owner, CRASHES)
    world.run(60.0)
    assert (world.stable, world.status.rejected) == ("2", ())


def test_a_pod_that_kubernetes_has_adopted_does() -> None:
    """The other half, and what the policies are for: no uid tells whether it was adopted."""
    world = LinkedWorld(make_spec("1"))
    world.run_until("Idle")
    world.apply(make_spec("2"))
    world.run_until("Holding")
    world.add_stranger("2", own("ReplicaSet", f"set-of-{world.revision('2')}"), CRASHES)
    world.run_until("Rejected")
    assert world.status.rejected[0].reason == "CrashLoopBackOff"


@pytest.mark.parametrize("owner", OWNERS.values(), ids=OWNERS)
def test_a_pod_that_is_not_of_ours_is_no_capacity(owner: Owner) -> None:
    """A false pass: the canary would get traffic for which it has no pod."""
    world = LinkedWorld(make_spec("1"), sets={"orphan": "", "their-set": FORGED})
    world.run_until("Idle")
    world.unready.add("2")
    world.apply(make_spec("2"))
    world.run_until("Scaling")
    world.settle()
    world.add_stranger("2", owner)
    name = next(n for n, d in world.deployments.items() if d.revision == world.revision("2"))
    world.deployments[name] = replace(world.deployments[name], ready_replicas=1)
    situation = make_situation(world.observe(), world.clock)
    assert situation.with_status(world.status).capacity.ready(world.revision("2")) == 0
    assert not situation.seen.pods(world.revision("2")) or not any(
        pod.ready for pod in situation.seen.pods(world.revision("2"))
    )


def test_pods_of_a_replicaset_that_our_deployment_adopted_count() -> None:
    """As after a Deployment that was deleted without its pods: the new one takes them over."""
    world = LinkedWorld(make_spec("1"))
    world.run_until("Idle")
    ((name, gone),) = world.deployments.items()
    del world.deployments[name]
    world.settle()
    (anew,) = world.deployments.values()
    assert anew.meta.uid != gone.meta.uid
    world.run(30.0)
    assert (world.state, world.stable) == ("Idle", "1")
    revision = world.revision("1")
    situation = make_situation(world.observe(), world.clock).with_status(world.status)
    assert situation.capacity.ready(revision) == 2


def test_where_no_replicasets_can_be_seen_pods_are_known_by_their_labels() -> None:
    world = serving()
    assert world.observe().replica_sets is None
    pods = world.observe().pods
    assert pick_pods(pods, None, {}) == pods
    assert pick_pods(pods, (), world.status.made or {}) == ()


# --- What others add to what we made


EXTRA = (Addition("containers[extra]", "kubectl-edit"), Addition("tolerations", "webhook"))


def add(world: World, version: str, additions: tuple[Addition, ...]) -> str:
    """Somebody adds to a version's Deployment."""
    revision = world.revision(version)
    name = next(n for n, d in world.deployments.items() if d.revision == revision)
    world.deployments[name] = replace(world.deployments[name], additions=additions)
    return name


def find_condition(world: World, kind: str) -> Condition | None:
    return next((each for each in world.status.conditions if each.type == kind), None)


def test_what_others_added_is_told_by_field_and_manager_and_changes_nothing_else() -> None:
    world = serving()
    assert find_condition(world, "Unaltered") is None
    before = replace(world.status, conditions=())
    name = add(world, "1", EXTRA)
    world.settle()

    found = find_condition(world, "Unaltered")
    assert found is not None
    assert (found.status, found.reason) == ("False", "AddedByOthers")
    told = "containers[extra] (by kubectl-edit), tolerations (by webhook)"
    assert f"Deployment {name} has more than was written: {told}" in found.message
    assert replace(world.status, conditions=()) == before
    assert world.condition("Ready")[0] == "True"
    add(world, "1", ())
    world.settle()
    assert find_condition(world, "Unaltered") is None


def test_what_was_added_to_a_canary_rejects_nobody() -> None:
    world = serving()
    world.apply(make_spec("2"))
    world.run_until("Holding")
    add(world, "2", EXTRA)
    world.settle()
    assert find_condition(world, "Unaltered") is not None
    world.run_until("Guarding")
    assert (world.stable, world.status.rejected) == ("2", ())


def test_while_what_we_wrote_is_to_be_written_again_nothing_is_told() -> None:
    """Whoever wrote over a field of ours has it until then, and it is no addition."""
    world = serving()
    name = add(world, "1", EXTRA)
    world.deployments[name] = replace(world.deployments[name], template=b"{}")
    made = world.step()
    assert [write.ref for write in made.writes] == [Ref("Deployment", name)]
    assert find_condition(world, "Unaltered") is None


def test_what_the_apiserver_makes_of_our_write_is_not_written_again() -> None:
    """A webhook that changes a field of ours would be fought with in every pass."""
    world = serving()
    ((name, deployment),) = world.deployments.items()
    changed = deployment.template.replace(b"registry.example/", b"mirror.example/")
    world.deployments[name] = replace(deployment, template=changed)
    observed = world.observe()
    (write,) = plan(observed, world.clock).writes
    assert write.ref == Ref("Deployment", name)

    stored = deployment.meta.uid, fingerprint(changed)
    assert plan(replace(observed, accepted=frozenset({stored})), world.clock).writes == ()
    for other in (("uid-of-another", stored[1]), (stored[0], fingerprint(b"{}"))):
        again = plan(replace(observed, accepted=frozenset({other})), world.clock)
        assert again.writes == (write,)
