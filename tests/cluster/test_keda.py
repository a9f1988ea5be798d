"""KEDA on a control plane with simulated pods: what a trigger asks for happens, bad objects don't.

The trigger asks a real Prometheus, which scrapes a gauge of the test's own.
"""

import json
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from testbed.addons.prometheus import run_prometheus
from testbed.cluster.cluster import Cluster, make_list, make_manifest
from testbed.cluster.fixtures import own_cluster
from testbed.programs.processes import ClusterError, wait_until
from testbed.programs.progress import Progress
from testbed.servers.gauge import Queue, run_queue

pytestmark = [pytest.mark.timeout(1200), pytest.mark.xdist_group("control-plane")]
SECONDS = 180.0
Object = dict[str, Any]


@pytest.fixture(scope="module")
def plane() -> Iterator[Cluster]:
    with own_cluster("control-plane") as cluster:
        cluster.install_keda(Progress())
        yield cluster


@pytest.fixture
def queue() -> Iterator[Queue]:
    with run_queue() as found:
        yield found


@pytest.fixture
def prometheus(queue: Queue, tmp_path: Path) -> Iterator[str]:
    with run_prometheus(tmp_path, [queue.target], Progress()) as address:
        yield address


def make_scaled_object(name: str, target: str, prometheus: str, **fields: Any) -> Object:
    """Zero to five replicas, one for ten in the queue, looked at every second."""
    metadata = {"serverAddress": prometheus, "query": "sum(queue_length)", "threshold": "10"}
    trigger = {"type": "prometheus", "metricType": "AverageValue", "metadata": metadata}
    spec = {
        "scaleTargetRef": {"name": target},
        "minReplicaCount": 0,
        "maxReplicaCount": 5,
        "pollingInterval": 1,
        "cooldownPeriod": 1,
        "triggers": [trigger],
        **fields,
    }
    return make_manifest("keda.sh/v1alpha1", "ScaledObject", name, namespace="default", spec=spec)


def apply(cluster: Cluster, *objects: Object) -> None:
    cluster.kubectl("apply", "--server-side", "-f", "-", stdin=make_list(list(objects)))


def count_ready(cluster: Cluster, deployment: str) -> int:
    said = cluster.kubectl("get", f"deployment/{deployment}", "-o", "json")
    return int(json.loads(said)["status"].get("readyReplicas", 0))


def read_condition(cluster: Cluster, name: str, kind: str) -> str:
    said = json.loads(cluster.kubectl("get", f"scaledobject/{name}", "-o", "json"))
    conditions = said.get("status", {}).get("conditions", [])
    return next((c["status"] for c in conditions if c["type"] == kind), "")


def test_an_idle_deployment_wakes_by_its_trigger_follows_it_and_goes_to_sleep_again(
    plane: Cluster, queue: Queue, prometheus: str
) -> None:
    plane.kubectl("create", "deployment", "sleeper", "--image=none", "--replicas=1")
    apply(plane, make_scaled_object("sleeper", "sleeper", prometheus))
    assert wait_until(lambda: count_ready(plane, "sleeper") == 0, SECONDS)

    queue.length = 1
    assert wait_until(lambda: count_ready(plane, "sleeper") == 1, SECONDS)
    queue.length = 30
    assert wait_until(lambda: count_ready(plane, "sleeper") == 3, SECONDS)
    queue.length = 0
    assert wait_until(lambda: count_ready(plane, "sleeper") == 0, SECONDS)


def test_keda_says_that_it_made_an_autoscaler_of_its_own(
    plane: Cluster, queue: Queue, prometheus: str
) -> None:
    plane.kubectl("create", "deployment", "owned", "--image=none")
    apply(plane, make_scaled_object("owned", "owned", prometheus))

    assert wait_until(lambda: read_condition(plane, "owned", "Ready") == "True", SECONDS)
    made = json.loads(plane.kubectl("get", "hpa/keda-hpa-owned", "-o", "json"))
    assert [owner["kind"] for owner in made["metadata"]["ownerReferences"]] == ["ScaledObject"]


def test_a_second_scaler_for_one_deployment_is_refused_by_the_webhook(
    plane: Cluster, queue: Queue, prometheus: str
) -> None:
    plane.kubectl("create", "deployment", "wanted", "--image=none")
    apply(plane, make_scaled_object("first", "wanted", prometheus))

    tried = count()

    def is_refused() -> bool:
        """The webhook reads what there is from a cache, which hears of the first one later."""
        try:
            apply(plane, make_scaled_object(f"second-{next(tried)}", "wanted", prometheus))
        except ClusterError as error:
            return 'admission webhook "vscaledobject.kb.io" denied' in str(error)
        return False

    assert wait_until(is_refused, SECONDS)


def test_a_source_that_cannot_be_asked_is_told_in_the_objects_condition(
    plane: Cluster, tmp_path: Path
) -> None:
    plane.kubectl("create", "deployment", "blind", "--image=none")
    nowhere = "http://127.0.0.1:1"
    apply(plane, make_scaled_object("blind", "blind", nowhere))

    assert wait_until(lambda: read_condition(plane, "blind", "Ready") == "False", SECONDS)
