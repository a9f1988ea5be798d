"""Models that scale on real pods under real traffic: metrics-server, KEDA, MLServer, a gateway.

Each scenario's log is held against the invariants when it is over (conftest).
"""

import time
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from testbed.addons.prometheus import run_prometheus
from testbed.cluster.fixtures import skipping
from testbed.operators.running import IRIS
from testbed.programs.cache import exclusive
from testbed.programs.processes import wait_until
from testbed.programs.progress import Progress
from testbed.scenario.manifests import PUBLIC, Json, answering, image, iris, rollout
from testbed.scenario.scaling import (
    CARRIED,
    LIMITED,
    OFFERED,
    READY_SECONDS,
    THREE,
    by_cpu,
    fall,
    largest,
    limited,
    measure_target,
    of_size,
    read_looks,
    rise,
    stable_of,
)
from testbed.scenario.scenario import (
    Scenario,
    condition,
    find_revision,
    get_condition,
    is_current,
    phase,
    serves,
)
from testbed.scenario.syncing import AUTOSCALER, count_resizers, sync_server_side, syncing
from testbed.servers.gauge import Queue, run_queue
from testbed.witness.capacity import find_dips, find_sizes
from tests.e2e.conftest import Theatre

pytestmark = [pytest.mark.timeout(900, func_only=True)]
NO_GUARD = rollout(guard={"duration": "0s"})


@pytest.fixture
def metrics_server(node: Theatre) -> None:
    """The usage of pods is served."""
    with skipping(), exclusive(node.cluster.directory / "metrics-server.lock"):
        node.cluster.install_metrics_server(Progress())


@pytest.fixture
def keda(node: Theatre) -> None:
    """KEDA runs before the operator does, which looks for it every two minutes only."""
    with skipping(), exclusive(node.cluster.directory / "keda.lock"):
        node.cluster.install_keda(Progress())


@pytest.fixture
def measured(metrics_server: None, scenario: Scenario) -> Scenario:
    """A scenario on a cluster with metrics-server."""
    return scenario


@pytest.fixture
def triggered(keda: None, scenario: Scenario) -> Scenario:
    """A scenario on a cluster with KEDA."""
    return scenario


@pytest.fixture
def queue() -> Iterator[Queue]:
    with run_queue() as found:
        yield found


@pytest.fixture
def prometheus(queue: Queue, tmp_path: Path) -> Iterator[str]:
    with run_prometheus(tmp_path, [queue.target], Progress()) as address:
        yield address


def by_queue(prometheus: str, **fields: object) -> Json:
    """Zero to three pods, one for ten in the queue, asleep soon after it is empty."""
    metric = {"name": "queue", "type": "External", "target": "10", "query": "sum(queue_length)"}
    asked = {"prometheus": {"address": prometheus}, "idleAfter": "5s"}
    return {"minReplicas": 0, "maxReplicas": 3, "metrics": [metric], **asked, **fields}


@pytest.mark.alone
def test_load_that_rises_and_falls_is_followed_while_git_syncs_and_no_request_is_lost(
    measured: Scenario,
) -> None:
    sync_server_side(measured, iris("v1", measured.host, scaling={"replicas": 1}))
    measured.wait(phase("Healthy"), READY_SECONDS)
    manifest = iris("v1", measured.host, scaling=by_cpu(measure_target(measured)))
    sync_server_side(measured, manifest)
    measured.wait(condition("Scaled", "True", "HPA"), READY_SECONDS)
    begin = time.time()

    with syncing(lambda: sync_server_side(measured, manifest), every=10.0) as done:
        risen = rise(measured)
        fall(measured)
        done.wait_for(8, READY_SECONDS)

    fallen, end = measured.stop_load(), time.time()
    for report in (risen, fallen):
        assert not report.failures, report.describe_failures()
    looks = read_looks(measured.changes())
    (_, first), *changed = find_sizes(looks, stable_of(measured))
    assert first == changed[-1][1] == 1
    assert count_resizers(measured, begin, end) == {AUTOSCALER: len(changed)}


@pytest.mark.alone
def test_a_rollout_under_load_never_has_less_than_the_load_needs(measured: Scenario) -> None:
    host = measured.host
    measured.apply(limited("v1", host, {**LIMITED, "minReplicas": THREE}))
    measured.wait(phase("Healthy"), READY_SECONDS)
    stable = stable_of(measured)
    measured.start_load(((0.0, OFFERED), (600.0, OFFERED)))
    measured.wait(condition("Scaled", "True", "HPA"), READY_SECONDS)
    measured.apply(limited("v1", host, LIMITED))
    measured.wait_for("HorizontalPodAutoscaler", f"iris-{stable}", is_free_to_shrink, READY_SECONDS)
    begin = time.time()

    measured.apply(limited("v2", host, LIMITED))
    measured.wait(serves("v2"), 2 * READY_SECONDS)

    end, report = time.time(), measured.stop_load()
    assert not report.failures, report.describe_failures()
    changes = measured.changes()
    looks, promoted = read_looks(changes), find_revision(changes, image("v2"))
    dips = find_dips(looks, lambda _: OFFERED, CARRIED, begin, end)
    assert not dips, "\n".join(map(str, dips))
    assert THREE <= largest(looks, stable, begin) < LIMITED["maxReplicas"]
    assert largest(looks, promoted, begin) >= THREE


def is_free_to_shrink(found: Json) -> bool:
    """an autoscaler by which one pod would do, and which has figures"""
    status = found.get("status", {})
    return found["spec"]["minReplicas"] == 1 and bool(status.get("currentMetrics"))


def test_an_idle_model_wakes_by_its_queue_and_goes_to_sleep_again(
    triggered: Scenario, queue: Queue, prometheus: str
) -> None:
    scaling = by_queue(prometheus, behavior={"scaleDown": {"stabilizationWindowSeconds": 0}})
    triggered.apply(iris("v1", triggered.host, scaling=scaling, rollout=NO_GUARD))
    triggered.wait(condition("Scaled", "True", "KEDA"), READY_SECONDS)
    name = f"iris-{stable_of(triggered)}"
    triggered.wait_for("Deployment", name, of_size(0), READY_SECONDS)
    asleep = triggered.wait(condition("Ready", "True", "ScaledToZero"), READY_SECONDS)
    # As docs/scaling.md says of the first request, once the last pod has answered what it had.
    assert wait_until(lambda: predict(triggered) == 503, READY_SECONDS)

    queue.length = 15
    triggered.wait_for("Deployment", name, of_size(2), READY_SECONDS)
    triggered.wait(condition("Ready", "True"), READY_SECONDS)
    assert wait_until(lambda: predict(triggered) == 200, READY_SECONDS)
    queue.length = 0
    triggered.wait_for("Deployment", name, of_size(0), READY_SECONDS)

    assert asleep["status"]["phase"] == "Healthy"
    triggered.wait(phase("Healthy"), READY_SECONDS)


def predict(scenario: Scenario) -> int:
    """The status of one prediction through the gateway."""
    url = f"{scenario.cluster.gateway_url}/v2/models/iris/infer"
    headers = {"Host": scenario.host, "Content-Type": "application/json"}
    request = Request(url, IRIS.encode(), headers)  # noqa: S310 - a URL of our own
    try:
        with urlopen(request, timeout=30) as answer:  # noqa: S310 - the same
            return int(answer.status)
    except HTTPError as refused:
        return refused.code


def test_an_idle_models_new_version_is_warmed_and_waits_for_a_person(
    triggered: Scenario, queue: Queue, prometheus: str
) -> None:
    terms = {
        "scaling": by_queue(prometheus),
        "rollout": rollout((50, "1s"), guard=NO_GUARD["guard"]),
    }
    triggered.apply(answering("v1", traffic(triggered), **terms))
    triggered.wait(condition("Scaled", "True", "KEDA"), READY_SECONDS)
    triggered.wait_for("Deployment", f"iris-{stable_of(triggered)}", of_size(0), READY_SECONDS)

    triggered.apply(answering("v2", traffic(triggered), **terms))
    waiting = triggered.wait(awaits_traffic, READY_SECONDS)
    canary = waiting["status"]["canary"]

    assert waiting["status"]["phase"] == "Paused"
    triggered.command("promote", f"{canary['revision']}:1")
    triggered.wait(phase("Healthy"), READY_SECONDS)
    assert stable_of(triggered) == canary["revision"]


def awaits_traffic(found: Json) -> bool:
    """one warm pod of the canary, and nobody who asks it"""
    status = found.get("status", {})
    warm = status.get("canary", {}).get("readyReplicas") == 1
    return is_current(found) and warm and status.get("reason") == "AwaitingTraffic"


def traffic(scenario: Scenario) -> Json:
    """A route through the public gateway."""
    return {"parentRefs": [PUBLIC], "hostnames": [scenario.host]}


def test_a_scaled_object_that_kedas_webhook_refuses_is_told_and_made_once_it_may_be(
    triggered: Scenario, queue: Queue, prometheus: str
) -> None:
    queue.length = 5
    one = {"scaling": {"replicas": 1}, "rollout": NO_GUARD}
    triggered.apply(answering("v1", traffic(triggered), **one))
    triggered.wait(phase("Healthy"), READY_SECONDS)
    name = f"iris-{stable_of(triggered)}"
    triggered.kubectl("autoscale", f"deployment/{name}", "--max=2", "--name=mine")

    scaled = {"scaling": by_queue(prometheus), "rollout": NO_GUARD}
    triggered.apply(answering("v1", traffic(triggered), **scaled))
    refused = triggered.wait(condition("Scaled", "False", "AdmissionDenied"), READY_SECONDS)
    assert "mine" in get_condition(refused, "Scaled")["message"]
    assert get_condition(refused, "Ready")["status"] == "True"
    triggered.kubectl("delete", "hpa/mine")

    triggered.wait(condition("Scaled", "True", "KEDA"), READY_SECONDS)
