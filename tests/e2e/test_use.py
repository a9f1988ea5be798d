"""What real pods use, as metrics-server measures it: in the operator's gauges and to people."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from testbed.operators.running import Operator
from testbed.programs.processes import wait_until
from testbed.programs.progress import Progress
from testbed.scenario.manifests import Json, answering
from testbed.scenario.person import Person
from testbed.scenario.scenario import Scenario, phase

pytestmark = [pytest.mark.timeout(900, func_only=True)]
SECONDS = 180.0
"The first figures of a pod come one or two looks of metrics-server, of ten seconds each, after it."
REQUESTS = {"cpu": "100m", "memory": "16Mi"}
PRICES = "{CPU: '0.03', RAM: '0.004', currencyCode: EUR}"


def make_model() -> Json:
    """Two small pods that request something; in the cluster only."""
    found = answering("v1", {}, scaling={"replicas": 2})
    server = {**found["spec"]["server"], "resources": {"requests": REQUESTS}}
    spec = {name: value for name, value in found["spec"].items() if name != "traffic"}
    return {**found, "spec": {**spec, "server": server}}


OF_ITS_ROLLOUT = {"weight_ratio", "replicas", "ready_replicas"}
"The other gauges of a revision."


def read_gauges(operator: Operator) -> dict[str, float]:
    """The gauges of the one revision, without their prefix and labels."""
    lines = operator.get("/metrics").splitlines()
    found = (line.rpartition(" ") for line in lines if line.startswith("canarium_revision_"))
    return {
        name.partition("{")[0].removeprefix("canarium_revision_"): float(value)
        for name, _, value in found
    }


def test_what_real_pods_use_is_in_the_operators_gauges_and_in_status(
    scenario: Scenario, tmp_path: Path
) -> None:
    scenario.cluster.install_metrics_server(Progress())
    prices = tmp_path / "prices.yaml"
    prices.write_text(PRICES)
    scenario.apply(make_model())
    scenario.wait(phase("Healthy"), SECONDS)
    person, told = Person(scenario), dict[str, Json]()

    def is_measured() -> bool:
        said = person.run("status", "iris", "-o", "json", "--prices", str(prices))
        told["use"] = json.loads(said.out)["revisions"][0]["use"]
        return bool(told["use"].get("measuredPods") == 2)

    assert wait_until(is_measured, SECONDS), told
    use = told["use"]
    assert use["requested"] == {
        "cpuCores": "0.2",
        "memoryBytes": str(32 * 2**20),
        "gpus": "0",
    }
    assert (0 <= float(use["usedCpuCores"]) < 0.2, float(use["usedMemoryBytes"]) > 0) == (
        True,
        True,
    )
    assert float(use["costPerHour"]) >= 0.2 * 0.03
    assert use["currency"] == "EUR"

    operator = scenario.operator
    assert operator is not None
    operator.restart()  # it measures as soon as it leads

    assert wait_until(lambda: read_gauges(operator).get("measured_pods") == 2, SECONDS)
    gauges = read_gauges(operator)
    assert gauges.keys() == OF_ITS_ROLLOUT | {
        "pods",
        "measured_pods",
        "cpu_requested_cores",
        "cpu_used_cores",
        "memory_requested_bytes",
        "memory_used_bytes",
    }
    assert (gauges["pods"], gauges["cpu_requested_cores"]) == (2, 0.2)

    scenario.kubectl("delete", "mdep/iris")

    assert wait_until(lambda: not read_gauges(operator), SECONDS)
