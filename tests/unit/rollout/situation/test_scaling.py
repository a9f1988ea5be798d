"""Autoscalers beside rollouts: floors, handing sizes over, idle models, and what is said of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import pytest
from canarium.core.allowed_addresses import EVERYTHING, Allowed, parse_allowed
from canarium.core.lending import TenantQueries
from canarium.core.observed import Meta, Owner, ScalerCondition, ScalerRecord, WriteFailure
from canarium.core.plan import ScalerKind
from canarium.core.spec import Scaling, ScalingMetric
from canarium.rollout.situation.scaling import CEILING_FIELDS, FLOOR_FIELDS

from tests.properties.world import NAME, NAMESPACE, World, make_rollout, make_spec

CPU = ScalingMetric("cpu", "CPU", utilization=70)
QUEUE = ScalingMetric("queue", "External", average="30", query="sum(queue_length)")
TWO_TO_TEN = Scaling(2, 10, (CPU,))
MAY_IDLE = Scaling(0, 10, (QUEUE,))


def scaled(load: int = 2, scaling: Scaling = TWO_TO_TEN, **options: object) -> World:
    """A world in which version 1 serves, and has as many pods as its load asks for."""
    world = World(make_spec("1", scaling=scaling, **options))  # type: ignore[arg-type]
    world.run_until("Idle")
    world.loads["1"] = load
    world.run(5.0)
    return world


def roll(world: World, to: str, scaling: Scaling = TWO_TO_TEN) -> None:
    world.apply(make_spec("2", scaling=scaling, rollout=make_rollout(20, 50)))
    world.run_until(to)
    world.settle()


def bounds(world: World) -> dict[str, tuple[int, int]]:
    """Between how many pods each version's autoscaler may choose."""
    found = {}
    for scaler in world.scalers.values():
        spec, revision = json.loads(scaler.spec), scaler.meta.labels["canarium.dev/revision"]
        ends = spec[FLOOR_FIELDS[scaler.kind]], spec[CEILING_FIELDS[scaler.kind]]
        found[world.version_of(revision)] = ends
    return found


def sizes(world: World) -> dict[str, int]:
    return {world.version_of(d.revision): d.replicas for d in world.deployments.values()}


def watch(world: World, seconds: float) -> Iterator[dict[str, int]]:
    """The sizes after every pass and every second."""
    for _ in range(int(seconds)):
        world.settle()
        yield sizes(world)
        world.tick(1.0)
        yield sizes(world)


def test_an_autoscaler_is_made_once_its_deployment_has_the_smallest_size() -> None:
    world = scaled()
    (scaler,) = world.scalers.values()
    revision = world.revision("1")
    assert (scaler.kind, scaler.meta.name) == ("HorizontalPodAutoscaler", f"{NAME}-{revision}")
    assert (bounds(world), sizes(world)) == ({"1": (2, 10)}, {"1": 2})


def test_at_rest_the_load_says_how_many_pods_there_are() -> None:
    world = scaled(load=6)
    assert (sizes(world), world.status.stable and world.status.stable.replicas) == ({"1": 6}, 6)
    world.loads["1"] = 3
    world.run(5.0)
    assert (sizes(world), bounds(world)) == ({"1": 3}, {"1": (2, 10)})
    assert world.condition("Ready") == ("True", "Serving")


def test_pods_that_an_autoscaler_has_just_added_leave_a_model_ready() -> None:
    world = scaled(load=2)
    world.loads["1"] = 8
    world.unready.add("1")
    ready = [pod for pod in world.pods.values() if pod.ready]
    world.scale()
    world.settle()
    assert (len(ready), sizes(world)) == (2, {"1": 8})
    assert world.condition("Ready") == ("True", "Serving")


def test_a_rollout_is_reckoned_from_the_size_that_the_load_has_made() -> None:
    world = scaled(load=6)
    roll(world, "Holding")
    assert world.status.rollout is not None
    assert world.status.rollout.peak_replicas == 6
    assert (sizes(world), bounds(world)) == ({"1": 6, "2": 2}, {"1": (6, 10), "2": (2, 10)})


def test_what_one_would_go_back_to_never_shrinks_until_the_guard_ends() -> None:
    world = scaled(load=6)
    roll(world, "Holding")
    world.loads |= {"1": 2, "2": 2}
    seen = [size["1"] for size in watch(world, 40.0) if world.state != "Idle"]
    assert set(seen) == {6}
    world.run_until("Idle")
    world.run(5.0)
    assert (sizes(world), bounds(world)) == ({"1": 0, "2": 2}, {"2": (2, 10)})


def test_stable_may_grow_in_a_rollout_and_the_next_step_is_reckoned_from_that() -> None:
    world = scaled(load=4)
    roll(world, "Holding")
    world.loads["1"] = 8
    world.run(2.0)
    assert bounds(world)["1"] == (8, 10)
    assert sizes(world) == {"1": 8, "2": 1}
    world.loads["1"] = 3
    while world.status.rollout and world.status.rollout.step_name != "step-50":
        world.settle()
        world.tick(1.0)
    world.run(2.0)
    assert (sizes(world), bounds(world)["2"]) == ({"1": 8, "2": 4}, (4, 10))


def test_the_canary_grows_by_its_own_load_and_keeps_what_its_step_needs() -> None:
    world = scaled(load=5)
    roll(world, "Holding")
    world.loads["2"] = 3
    world.run(2.0)
    grown = sizes(world)["2"]
    world.loads["2"] = 1
    world.run(2.0)
    assert (grown, sizes(world)["2"], bounds(world)["2"]) == (3, 1, (1, 10))


def test_at_promotion_the_new_one_stands_at_the_size_of_the_old_one() -> None:
    world = scaled(load=6)
    roll(world, "Guarding")
    assert (sizes(world), bounds(world)) == ({"1": 6, "2": 6}, {"1": (6, 10), "2": (6, 10)})


def test_in_the_guard_the_previous_revision_grows_along() -> None:
    world = scaled(load=4)
    roll(world, "Guarding")
    world.loads["2"] = 7
    world.run(5.0)
    assert (world.state, sizes(world)) == ("Guarding", {"1": 7, "2": 7})


def test_an_autoscaler_goes_before_the_pods_of_its_revision() -> None:
    world = scaled(load=4)
    roll(world, "Guarding")
    world.tick(60.0)
    seen: list[tuple[int, bool]] = []
    while sizes(world)["1"]:
        seen.append((sizes(world)["1"], "1" in bounds(world)))
        world.step()
    assert list(dict.fromkeys(seen)) == [(4, True), (4, False)]


def test_after_a_rollback_the_floors_go_and_the_load_decides() -> None:
    world = scaled(load=6)
    roll(world, "Holding")
    world.loads["1"] = 3
    world.crashing.add("2")
    world.run_until("Rejected")
    world.run(10.0)
    assert (sizes(world), bounds(world)) == ({"1": 3, "2": 0}, {"1": (2, 10)})


def test_sizes_pass_from_the_spec_to_an_autoscaler_and_back_without_a_dip() -> None:
    world = World(make_spec("1", replicas=6))
    world.run_until("Idle")
    world.loads["1"] = 6
    world.apply(make_spec("1", scaling=TWO_TO_TEN))
    forth = [size["1"] for size in watch(world, 5.0)]
    world.loads["1"] = 9
    world.run(3.0)
    world.apply(make_spec("1", replicas=9))
    world.step()
    assert all(condition.type != "Scaled" for condition in world.status.conditions)
    back = [size["1"] for size in watch(world, 5.0)]
    assert (set(forth), set(back), world.scalers) == ({6}, {9}, {})


def test_another_engine_takes_over_without_two_at_once() -> None:
    world = scaled(load=5)
    world.apply(make_spec("1", scaling=replace(TWO_TO_TEN, engine="KEDA")))
    kinds: list[list[ScalerKind]] = []
    for size in watch(world, 5.0):
        assert size == {"1": 5}
        found = [scaler.kind for scaler in world.scalers.values()]
        if found not in kinds[-1:]:
            kinds.append(found)
    assert all(len(found) <= 1 for found in kinds)
    assert kinds[-1] == ["ScaledObject"]


def test_a_smaller_maximum_waits_for_the_end_of_the_rollout() -> None:
    world = scaled(load=6)
    roll(world, "Holding")
    smaller = replace(TWO_TO_TEN, max_replicas=4)
    world.apply(make_spec("2", scaling=smaller, rollout=make_rollout(20, 50)))
    world.run(3.0)
    assert bounds(world) == {"1": (6, 6), "2": (2, 4)}
    world.run_until("Idle")
    world.run(5.0)
    assert bounds(world) == {"2": (2, 4)}


def test_a_sync_of_the_same_spec_moves_nothing() -> None:
    world = scaled(load=6)
    world.apply(make_spec("1", scaling=TWO_TO_TEN))
    world.settle()
    assert [size["1"] for size in watch(world, 5.0)] == [6] * 10


def test_a_spec_of_no_use_leaves_autoscalers_as_they_are() -> None:
    world = scaled(load=6)
    world.apply(None)
    world.run(5.0)
    assert (sizes(world), bounds(world)) == ({"1": 6}, {"1": (2, 10)})
    world.loads["1"] = 8
    world.run(5.0)
    assert sizes(world) == {"1": 8}


def test_without_keda_it_says_what_is_missing_and_runs_at_the_smallest_size() -> None:
    scaling = Scaling(2, 10, (QUEUE,))
    world = World(make_spec("1", scaling=scaling), scaler_kinds=frozenset())
    world.run_until("Idle")
    world.settle()
    condition = next(c for c in world.status.conditions if c.type == "Scaled")
    assert (condition.status, condition.reason) == ("False", "KEDANotInstalled")
    assert condition.message == (
        "metrics queue needs KEDA, which is not installed (or the operator may not see "
        "ScaledObjects): install it, or scale by CPU and Memory"
    )
    assert (sizes(world), world.status.phase) == ({"1": 2}, "Healthy")


def test_what_ran_with_more_pods_keeps_them_when_its_autoscaler_cannot_be_had() -> None:
    world = scaled(load=7, scaling=Scaling(2, 10, (QUEUE,)))
    world.scaler_kinds = frozenset()
    world.run(5.0)
    assert (sizes(world), world.condition("Scaled")) == ({"1": 7}, ("False", "KEDANotInstalled"))


def test_nothing_to_ask_is_said_with_what_to_set() -> None:
    world = World(make_spec("1", scaling=Scaling(1, 3, (QUEUE,))))
    observed = replace(world.observe(), prometheus_url="")
    world.observe = lambda: observed  # type: ignore[method-assign]
    world.step()
    assert world.condition("Scaled") == ("False", "NoPrometheus")


SHARED = "http://prometheus.example:9090"  # the world's own setting


def triggers(world: World) -> dict[str, str]:
    """What KEDA is to ask, by the metric's name."""
    (scaler,) = world.scalers.values()
    asked = (each for each in json.loads(scaler.spec)["triggers"] if each["type"] == "prometheus")
    return {each["name"]: each["metadata"]["query"] for each in asked}


@pytest.mark.parametrize(
    ("address", "tenants", "wanted"),
    [
        ("", "OwnNamespace", f'sum(queue_length{{namespace="{NAMESPACE}"}})'),
        (f"{SHARED}/x", "OwnNamespace", f'sum(queue_length{{namespace="{NAMESPACE}"}})'),
        ("", "Any", "sum(queue_length)"),
        ("http://prometheus.of-ours:9090", "OwnNamespace", "sum(queue_length)"),
    ],
)
def test_keda_is_given_a_query_of_the_shared_prometheus_for_the_own_namespace_alone(
    address: str, tenants: TenantQueries, wanted: str
) -> None:
    world = World(make_spec("1", scaling=Scaling(1, 3, (QUEUE,), prometheus_url=address)))
    observe = world.observe
    world.observe = lambda: replace(observe(), tenant_queries=tenants)  # type: ignore[method-assign]
    world.run_until("Idle")
    world.settle()
    assert triggers(world) == {"queue": wanted}


def addressed(address: str, **observed: object) -> World:
    """A model whose autoscaler is to ask at this address, by default with nothing listed."""
    scaling = Scaling(1, 3, (QUEUE,), prometheus_url=address)
    world = World(make_spec("1", scaling=scaling, rollout=make_rollout(50)))
    find_otherwise(world, **{"addresses": Allowed(), **observed})
    world.run_until("Idle")
    world.settle()
    return world


def find_otherwise(world: World, **observed: object) -> None:
    """Have this found from now on."""
    observe = world.observe
    world.observe = lambda: replace(observe(), **observed)  # type: ignore[method-assign,arg-type]


@pytest.mark.parametrize(
    ("address", "listed", "given"),
    [
        ("http://prometheus:9090", (), f"http://prometheus.{NAMESPACE}.svc:9090"),
        (f"http://prometheus.{NAMESPACE}", (), f"http://prometheus.{NAMESPACE}.svc:80"),
        ("http://prometheus.monitoring:9090", ("*.monitoring",), None),
        ("http://10.1.2.3:9090", ("10.0.0.0/8",), None),
        (SHARED, (), None),
    ],
)
def test_keda_is_given_a_service_of_the_own_namespace_in_full_and_what_is_listed(
    address: str, listed: tuple[str, ...], given: str | None
) -> None:
    (scaler,) = addressed(address, addresses=parse_allowed(listed)).scalers.values()
    (trigger,) = json.loads(scaler.spec)["triggers"]
    assert trigger["metadata"]["serverAddress"] == (given or address)


@pytest.mark.parametrize(
    ("address", "objection", "words"),
    [
        (
            "http://prometheus.monitoring:9090",
            "",
            "addresses.allow lacks prometheus.monitoring:9090: it is no Service of namespace ",
        ),
        ("https://prometheus.example.com", "", "addresses.allow lacks prometheus.example.com:443"),
        (
            "http://prometheus.example.svc.evil.example:9090",
            "",
            "lacks prometheus.example.svc.",
        ),
        ("http://10.1.2.3:9090", "", "addresses.allow lacks 10.1.2.3:9090"),
        ("http://prometheus:9090", "is an alias", "queue: its Service is an alias: list it"),
    ],
)
def test_an_address_that_is_not_listed_is_not_given_to_keda(
    address: str, objection: str, words: str
) -> None:
    world = addressed(address, scaling_service=objection)
    assert world.scalers == {}
    assert world.condition("Scaled") == ("False", "AddressRefused")
    assert words in next(c.message for c in world.status.conditions if c.type == "Scaled")


def test_what_scales_already_goes_on_where_its_address_is_refused_from_now_on() -> None:
    """As after an upgrade: nothing new is asked there, and nothing loses its size or its floor."""
    world = addressed("http://prometheus.monitoring:9090", addresses=EVERYTHING)
    (before,) = world.scalers.values()
    world.loads["1"] = 3
    find_otherwise(world, addresses=Allowed())
    world.settle()
    (after,) = world.scalers.values()
    assert after == before
    assert world.condition("Scaled") == ("False", "AddressRefused")
    assert world.spec is not None
    world.apply(make_spec("2", scaling=world.spec.scaling, rollout=world.spec.rollout))
    world.run_until("Holding")
    (during,) = world.scalers.values()
    assert during.meta.name == before.meta.name
    spec = json.loads(during.spec)
    assert spec["triggers"] == json.loads(before.spec)["triggers"]
    assert spec["minReplicaCount"] == 3, "what the rollout needs is kept"
    world.run_until("Idle")
    world.settle()
    assert world.scalers == {}, "the next revision is given none"


def test_what_asks_a_service_that_became_an_alias_ends() -> None:
    world = addressed("http://prometheus:9090")
    assert world.scalers
    find_otherwise(world, scaling_service="is an alias")
    world.settle()
    assert world.scalers == {}
    assert world.condition("Scaled") == ("False", "AddressRefused")


def test_a_query_that_cannot_be_kept_to_its_namespace_is_given_to_nobody() -> None:
    odd = replace(QUEUE, query='sum(queue_length{a="b" or c="d"})')
    world = World(make_spec("1", scaling=Scaling(1, 3, (odd,))))
    world.run_until("Idle")
    world.settle()
    assert world.scalers == {}
    message = next(c.message for c in world.status.conditions if c.type == "Scaled")
    assert "the query cannot be kept to its namespace: 'or' is not understood" in message


def condition(kind: str, status: str, reason: str, message: str = "") -> ScalerCondition:
    return ScalerCondition(kind, status, reason, message)


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        ((), ("Unknown", "Waiting")),
        ((condition("AbleToScale", "True", "ReadyForNewScale"),), ("True", "HPA")),
        ((condition("ScalingActive", "False", "ScalingDisabled"),), ("True", "HPA")),
        (
            (condition("ScalingActive", "False", "FailedGetContainerResourceMetric", "none"),),
            ("False", "FailedGetContainerResourceMetric"),
        ),
    ],
)
def test_what_the_autoscaler_says_is_in_the_condition(
    said: tuple[ScalerCondition, ...], wanted: tuple[str, str]
) -> None:
    world = scaled()
    world.scalers = {name: replace(s, conditions=said) for name, s in world.scalers.items()}
    world.settle()
    assert world.condition("Scaled") == wanted


def test_a_missing_metrics_server_is_named() -> None:
    world = scaled()
    words = "unable to fetch metrics from resource metrics API"
    said = (condition("ScalingActive", "False", "FailedGetContainerResourceMetric", words),)
    world.scalers = {name: replace(s, conditions=said) for name, s in world.scalers.items()}
    world.settle()
    message = next(c.message for c in world.status.conditions if c.type == "Scaled")
    assert "is metrics-server installed" in message


def test_what_answers_at_a_scalers_address_is_not_repeated() -> None:
    world = scaled()
    words = "unable to fetch metrics: prometheus query api returned error: db-password=hunter2"
    said = (condition("ScalingActive", "False", "FailedGetExternalMetric", words),)
    world.scalers = {name: replace(s, conditions=said) for name, s in world.scalers.items()}
    world.settle()
    message = next(c.message for c in world.status.conditions if c.type == "Scaled")
    assert "the metric that it scales by cannot be read; see kubectl describe" in message
    assert "hunter2" not in message


def somebodys(kind: str, name: str, uid: str = "uid-somebody") -> ScalerRecord:
    meta = Meta(NAMESPACE, "mine", uid, "7")
    return ScalerRecord(meta, "HorizontalPodAutoscaler", kind, name, b"{}")


def test_somebodys_autoscaler_of_a_revision_is_said_with_what_to_do() -> None:
    world = World(make_spec("1"))
    world.run_until("Idle")
    name = f"{NAME}-{world.revision('1')}"
    world.scalers["mine"] = replace(
        somebodys("Deployment", name), spec=b'{"minReplicas": 2, "maxReplicas": 2}'
    )
    world.settle()
    condition = next(c for c in world.status.conditions if c.type == "Scaled")
    assert (condition.status, condition.reason) == ("False", "ScalerConflict")
    assert condition.message == (
        f"HorizontalPodAutoscaler mine sizes {name}, which Canarium does: delete it and use "
        "spec.scaling.maxReplicas, or point it at this ModelDeployment"
    )
    assert world.status.phase == "Healthy"


def test_two_autoscalers_of_one_model_are_a_conflict_and_one_that_sets_its_size_is_none() -> None:
    fixed, automatic = World(make_spec("1")), World(make_spec("1", scaling=TWO_TO_TEN))
    for world in (fixed, automatic):
        world.run_until("Idle")
        world.scalers["mine"] = somebodys("ModelDeployment", NAME)
        world.settle()
    assert fixed.condition("Scaled") == ("True", "ScaleSubresource")
    assert automatic.condition("Scaled") == ("False", "ScalerConflict")


def test_kedas_own_autoscaler_is_nobody_elses() -> None:
    world = scaled(scaling=Scaling(1, 10, (QUEUE,)))
    (ours,) = world.scalers.values()
    keda = somebodys("Deployment", ours.target_name, "uid-keda-hpa")
    owner = Owner("ScaledObject", ours.meta.name, ours.meta.uid)
    said = (condition("Ready", "True", "ScaledObjectReady"),)
    hpa = replace(
        keda, meta=replace(keda.meta, owner=owner), spec=b'{"minReplicas": 1, "maxReplicas": 1}'
    )
    world.scalers = {ours.meta.name: replace(ours, conditions=said), "keda-hpa": hpa}
    world.settle()
    assert world.condition("Scaled") == ("True", "KEDA")


def test_an_autoscaler_that_is_refused_keeps_nothing_from_going_on() -> None:
    world = scaled(load=4)
    words = 'admission webhook "vscaledobject.kb.io" denied the request: no'
    world.failures = (WriteFailure("ScaledObject", f"{NAME}-x", "Forbidden", words),)
    roll(world, "Guarding")
    assert (world.stable, world.condition("Scaled")) == ("2", ("False", "Forbidden"))


def asleep() -> World:
    world = scaled(load=1, scaling=MAY_IDLE)
    world.loads["1"] = 0
    world.run(5.0)
    return world


def test_an_idle_model_has_no_pods_and_is_ready_to_have_some() -> None:
    world = asleep()
    assert (sizes(world), world.status.phase) == ({"1": 0}, "Healthy")
    assert (world.condition("Ready"), world.status.reason) == (
        ("True", "ScaledToZero"),
        "ScaledToZero",
    )
    world.loads["1"] = 3
    world.run(5.0)
    assert (sizes(world), world.condition("Ready")) == ({"1": 3}, ("True", "Serving"))


def test_an_idle_model_stays_ready_while_its_spec_is_of_no_use_and_while_a_canary_waits() -> None:
    world = asleep()
    world.apply(None)
    world.settle()
    assert (world.status.phase, world.condition("Ready")) == ("Invalid", ("True", "ScaledToZero"))
    world.apply(make_spec("2", scaling=MAY_IDLE, rollout=make_rollout(20, 50)))
    world.run(60.0)
    assert (world.status.reason, world.condition("Ready")) == (
        "AwaitingTraffic",
        ("True", "ScaledToZero"),
    )


def test_a_rollout_of_an_idle_model_warms_the_canary_and_waits() -> None:
    world = asleep()
    world.apply(make_spec("2", scaling=MAY_IDLE, rollout=make_rollout(20, 50)))
    world.run(60.0)
    assert (world.state, sizes(world), world.routed()) == (
        "Scaling",
        {"1": 0, "2": 1},
        {world.revision("1"): 100},
    )
    assert (world.status.phase, world.status.reason) == ("Paused", "AwaitingTraffic")


def test_a_rollout_of_an_idle_model_goes_on_with_traffic() -> None:
    world = asleep()
    world.apply(make_spec("2", scaling=MAY_IDLE, rollout=make_rollout(20, 50)))
    world.run(10.0)
    world.unready.add("1")
    world.loads["1"] = 2
    world.run(3.0)
    waking = world.status.rollout and world.status.rollout.step_name
    world.unready.clear()
    world.run_until("Holding")
    assert (waking, world.canary_weight, sizes(world)["1"]) == ("step-20", 20, 2)


def test_a_person_promotes_a_warm_canary_of_an_idle_model_all_the_way() -> None:
    world = asleep()
    world.apply(make_spec("2", scaling=MAY_IDLE, rollout=make_rollout(20, 50)))
    world.run(10.0)
    world.command("promote", "2")
    world.run_until("Idle")
    world.loads["2"] = 0
    world.run(10.0)
    assert (world.stable, sizes(world)) == ("2", {"1": 0, "2": 0})


def test_the_canary_of_an_idle_model_that_cannot_run_is_refused() -> None:
    world = asleep()
    world.crashing.add("2")
    world.apply(make_spec("2", scaling=MAY_IDLE, rollout=make_rollout(20, 50)))
    world.run_until("Rejected")
    world.run(10.0)
    assert (world.stable, sizes(world)) == ("1", {"1": 0, "2": 0})


def test_a_budget_is_for_models_of_two_pods_or_more() -> None:
    many, one = scaled(), World(make_spec("1", replicas=1))
    one.run_until("Idle")
    (budget,) = many.budgets.values()
    assert json.loads(budget.spec)["selector"] == {"matchLabels": {"canarium.dev/model": NAME}}
    assert one.budgets == {}
    many.apply(make_spec("1", replicas=1))
    many.run(5.0)
    assert many.budgets == {}


def test_every_size_in_a_rollout_under_load_is_at_least_the_one_before() -> None:
    world = scaled(load=3)
    roll(world, "Holding")
    seen = [size["2"] for size in watch(world, 60.0) if world.state != "Idle"]
    assert all(a <= b for a, b in pairwise(seen))


def test_an_autoscaler_goes_before_a_size_is_set_that_is_not_its_own() -> None:
    world = scaled(load=4)
    roll(world, "Holding")
    world.apply(make_spec("2", replicas=9, rollout=make_rollout(20, 50)))
    while not world.last_plan.writes:
        world.step()
    kinds = [(type(write).__name__, write.ref.kind) for write in world.last_plan.writes]
    assert kinds[:3] == [
        ("Delete", "HorizontalPodAutoscaler"),
        ("Delete", "HorizontalPodAutoscaler"),
        ("Apply", "Deployment"),
    ]


def test_an_autoscaler_that_is_refused_is_no_fault_of_its_revision() -> None:
    world = scaled(load=4)
    name = f"{NAME}-{world.revision('1')}"
    world.failures = (WriteFailure("HorizontalPodAutoscaler", name, "Forbidden", "no"),)
    world.settle()
    assert (world.status.reason, world.condition("Scaled")) == ("Serving", ("False", "Forbidden"))


def test_a_load_that_grows_on_the_canary_makes_stable_large_enough_to_go_back_to() -> None:
    world = World(make_spec("1", scaling=TWO_TO_TEN))
    world.run_until("Idle")
    world.apply(make_spec("2", scaling=TWO_TO_TEN, rollout=make_rollout(50)))
    world.run_until("Holding")
    world.loads |= {"1": 2, "2": 4}
    world.run(5.0)
    assert sizes(world) == {"1": 8, "2": 4}


def test_what_has_grown_stays_in_a_rollout_when_its_autoscaler_cannot_be_had() -> None:
    world = World(make_spec("1", scaling=TWO_TO_TEN))
    world.run_until("Idle")
    world.apply(make_spec("2", scaling=TWO_TO_TEN, rollout=make_rollout(20)))
    world.run_until("Holding")
    world.loads["2"] = 3
    world.run(2.0)
    world.scaler_kinds = frozenset()
    world.scalers.clear()
    world.settle()
    assert sizes(world) == {"1": 2, "2": 3}
