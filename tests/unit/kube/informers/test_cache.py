from dataclasses import replace
from typing import Any

import pytest
from canarium.core.observed import Observed, ReplicaSetRecord
from canarium.kube.informers.cache import Cache
from canarium.kube.informers.projections.autoscalers import make_scaler_projection
from canarium.kube.informers.projections.children import project_child
from canarium.kube.informers.projections.models import project_model
from canarium.kube.informers.projections.pods import project_pod
from canarium.kube.informers.projections.workloads import project_replica_set
from canarium.kube.informers.reflector import Reflector
from canarium.kube.informers.watched import make_reflectors

from tests.unit.kube.fake import FakeClient
from tests.unit.kube.wire import REVISION, Json, dump, make_model, make_object, owned_by
from tests.unit.routing.routing import make_definition

FRAUD = project_model(make_model())
HPA, SCALED_OBJECT = "HorizontalPodAutoscaler", "ScaledObject"
BUDGET = "PodDisruptionBudget"
EVERYWHERE = frozenset({None})


def make_cache(**options: Any) -> Cache:
    cache = Cache(lambda _key: None, **options)
    cache.models.put(FRAUD)
    return cache


def observe(cache: Cache) -> Observed:
    return cache.observe(FRAUD)


def make_scaler(kind: str) -> Json:
    target = {"kind": "Deployment", "name": f"fraud-{REVISION}"}
    return make_object(kind, f"fraud-{REVISION}", spec={"scaleTargetRef": target})


def find(reflectors: list[Reflector], kind: str, namespace: str | None = None) -> Reflector:
    (found,) = (r for r in reflectors if (r.resource.kind, r.namespace) == (kind, namespace))
    return found


def test_a_model_is_observed_with_the_autoscalers_of_every_kind_and_its_budget() -> None:
    cache = make_cache(prometheus_url="http://prometheus.monitoring:9090")
    cache.set_seen({HPA: EVERYWHERE, SCALED_OBJECT: EVERYWHERE, BUDGET: EVERYWHERE})
    scalers = [make_scaler_projection(kind)(dump(make_scaler(kind))) for kind in cache.scalers]
    budget = project_child(dump(make_object(BUDGET, "fraud", spec={})))
    for scaler in scalers:
        cache.children(scaler.kind).put(scaler)
    cache.children(BUDGET).put(budget)
    observed = observe(cache)
    assert observed.scalers == tuple(scalers)
    assert observed.scaler_kinds == {HPA, SCALED_OBJECT}
    assert observed.budgets == (budget,)
    assert observed.prometheus_url == "http://prometheus.monitoring:9090"


def test_what_may_not_be_seen_is_told_from_what_is_not_there() -> None:
    cache = make_cache()
    unseen = observe(cache)
    cache.set_seen({"Job": EVERYWHERE, BUDGET: EVERYWHERE})
    seen = observe(cache)
    assert (unseen.jobs, unseen.budgets) == (None, None)
    assert (seen.jobs, seen.budgets, seen.scaler_kinds) == ((), (), frozenset())


@pytest.mark.parametrize("kind", [HPA, SCALED_OBJECT])
async def test_autoscalers_are_used_where_they_are_served_and_may_be_seen(kind: str) -> None:
    cache = make_cache()
    reflectors = make_reflectors(FakeClient(), cache, ["other", "risk"])
    find(reflectors, kind, "other")._enter("synced")
    assert observe(cache).scaler_kinds == frozenset()
    find(reflectors, kind, "risk")._enter("synced")
    assert observe(cache).scaler_kinds == {kind}
    find(reflectors, kind, "risk")._enter("absent")
    assert observe(cache).scaler_kinds == frozenset()


async def test_a_change_of_what_may_be_seen_concerns_every_object() -> None:
    woken: list[Any] = []
    cache = Cache(woken.append)
    cache.models.put(FRAUD)
    reflectors = make_reflectors(FakeClient(), cache)
    woken.clear()
    find(reflectors, BUDGET)._enter("synced")
    find(reflectors, "Deployment")._enter("synced")
    assert woken == [("risk", "fraud")]


async def test_autoscalers_of_everybody_are_watched_and_only_our_own_budgets() -> None:
    reflectors = make_reflectors(FakeClient(), make_cache())
    selectors = [find(reflectors, kind)._selector for kind in (HPA, SCALED_OBJECT, BUDGET)]
    assert selectors == ["", "", "canarium.dev/model"]


async def test_the_operator_works_without_a_right_to_see_autoscalers_and_budgets() -> None:
    reflectors = make_reflectors(FakeClient(), make_cache())
    assert all(find(reflectors, kind)._optional for kind in (HPA, SCALED_OBJECT, BUDGET))


def test_what_is_switched_off_is_not_looked_for() -> None:
    every = {reflector.resource.kind for reflector in make_reflectors(FakeClient(), make_cache())}
    some = make_reflectors(FakeClient(), make_cache(), disabled=("GatewayAPI", "KEDA", "Jobs"))
    off = {"HTTPRoute", "GRPCRoute", "Gateway", "GatewayClass", "ScaledObject", "Job"}
    off.add("CustomResourceDefinition")
    assert every - {reflector.resource.kind for reflector in some} == off


def test_definitions_of_routes_are_seen_and_a_change_of_them_concerns_every_object() -> None:
    woken: list[Any] = []
    cache = Cache(woken.append)
    cache.models.put(FRAUD)
    woken.clear()
    definition = make_definition("name")
    cache.definitions["HTTPRoute"].put(definition)
    assert woken == [("risk", "fraud")]
    assert observe(cache).definitions == (definition,)


DEPLOYMENT_UID = "uid-of-the-deployment"
MADE = {f"Deployment/fraud-{REVISION}": DEPLOYMENT_UID}


def make_set(owner: str, *, version: int = 1, replicas: int = 1, generation: int = 1) -> Json:
    owners = owned_by(owner, kind="Deployment", name=f"fraud-{REVISION}")
    about = {"ownerReferences": owners, "generation": generation}
    spec = {"replicas": replicas, "template": {"spec": {"containers": [{"name": "server"}]}}}
    return make_object("ReplicaSet", f"set-of-{owner}", version=version, metadata=about, spec=spec)


def project_set(body: Json) -> ReplicaSetRecord:
    record = project_replica_set(dump(body))
    assert record is not None
    return record


def make_pod_of(owner: str) -> Json:
    owners = owned_by(f"uid-of-set-of-{owner}", kind="ReplicaSet", name=f"set-of-{owner}")
    return make_object("Pod", f"pod-of-{owner}", metadata={"ownerReferences": owners}, spec={})


def make_linked_cache(made: dict[str, str] | None) -> Cache:
    """Two Deployments with a ReplicaSet and a pod each, of which status names one."""
    cache = make_cache()
    status = replace(FRAUD.status, made=made)
    cache.models.put(replace(FRAUD, status=status, meta=replace(FRAUD.meta, resource_version="2")))
    for owner in (DEPLOYMENT_UID, "uid-of-theirs"):
        cache.replica_sets.put(project_set(make_set(owner)))
        cache.pods.put(project_pod(dump(make_pod_of(owner))))
    return cache


def count(cache: Cache) -> list[str]:
    return [pod.meta.name for pod in cache.counted_pods(("risk", "fraud"))]


def test_pods_are_measured_that_belong_to_what_we_made_from_uid_to_uid() -> None:
    cache = make_linked_cache(MADE)
    cache.set_seen({"ReplicaSet": EVERYWHERE})
    assert count(cache) == [f"pod-of-{DEPLOYMENT_UID}"]
    assert len(observe(cache).replica_sets or ()) == 2


@pytest.mark.parametrize(
    ("made", "seen"), [(MADE, {}), (None, {"ReplicaSet": EVERYWHERE})], ids=["unseen", "no account"]
)
def test_where_uids_tell_nothing_all_pods_with_our_labels_are_measured(
    made: dict[str, str] | None, seen: dict[str, frozenset[str | None]]
) -> None:
    cache = make_linked_cache(made)
    cache.set_seen(seen)
    assert len(count(cache)) == 2
    if not seen:
        assert observe(cache).replica_sets is None


async def test_replicasets_are_looked_at_where_the_operator_may_see_them() -> None:
    cache = make_linked_cache(MADE)
    reflector = find(make_reflectors(FakeClient(), cache), "ReplicaSet")
    reflector._enter("synced")
    assert count(cache) == [f"pod-of-{DEPLOYMENT_UID}"]
    reflector._enter("absent")
    assert len(count(cache)) == 2


def test_a_replicaset_wakes_its_model_when_it_comes_and_not_when_its_pods_do() -> None:
    woken: list[tuple[str, str]] = []
    cache = Cache(lambda _key: None, woken.append)
    cache.replica_sets.put(project_set(make_set(DEPLOYMENT_UID)))
    assert woken == [("risk", "fraud")]
    grown = make_set(DEPLOYMENT_UID, version=2, replicas=5, generation=2)
    cache.replica_sets.put(project_set(grown))
    assert woken == [("risk", "fraud")]


def test_a_replicaset_without_pods_takes_no_room() -> None:
    """As each revision of the history has one. While its last pods go, it says whose they are."""
    empty = make_set(DEPLOYMENT_UID, replicas=0)
    assert project_replica_set(dump(empty)) is None
    assert project_replica_set(dump({**empty, "status": {"replicas": 0}})) is None
    assert project_set({**empty, "status": {"replicas": 1}}).deployment == DEPLOYMENT_UID
