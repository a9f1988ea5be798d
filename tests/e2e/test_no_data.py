"""Counters that cannot be read are no data: said in status, and nobody is promoted on them.

Beside them runs the same rollout with good counters, which is promoted: so the test can fail.
"""

from pathlib import Path

import pytest

from tests.e2e.manifests import Json, image, make_model, rollout
from tests.e2e.scenario import Scenario, condition, get_condition, in_state, phase

pytestmark = [pytest.mark.timeout(300, func_only=True)]
SCRIPT = Path(__file__).with_name("metrics_server.py").read_text()
BROKEN = ("garbage", "nothing", "huge", "slow", "refused")
BOUND: Json = {"name": "error-rate", "max": "5%"}


def model(name: str, version: str, mode: str) -> Json:
    """A model whose pods have such counters; "refused" has none where they are looked for."""
    port = 9 if mode == "refused" else 8080
    terms = rollout((50, "3s"), analysis=[BOUND], guard={"duration": "0s"})
    terms["analysis"]["minRequests"] = 0  # nothing but the missing data stands in the way
    found = make_model(
        {
            "model": {"version": version},
            "server": {
                "image": image("v1"),
                "command": ["python", "-c", SCRIPT, mode],
                "metrics": {"port": port, "path": "/metrics", "profile": "MLServer"},
                "readinessProbe": {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1},
            },
            "scaling": {"replicas": 2},
            "rollout": terms,
        }
    )
    return {**found, "metadata": {"name": name}}


def test_what_cannot_be_read_promotes_nobody(scenario: Scenario) -> None:
    names = ("good", *BROKEN)
    scenario.apply(*(model(name, "v1", "good") for name in names))
    for name in names:
        scenario.wait(phase("Healthy"), 60, model=name)
    scenario.apply(*(model(name, "v2", name) for name in names))
    for name in BROKEN:
        scenario.wait(in_state("Holding"), 60, model=name)

    scenario.wait(phase("Healthy"), 60, model="good")

    for name in BROKEN:
        found = scenario.wait(condition("Judged", "False"), 20, model=name)
        assert found["status"]["rollout"]["state"] == "Holding"
        assert found["status"]["stable"]["version"] == "v1"
        assert "rejected" not in found["status"]
        assert get_condition(found, "Judged")["message"], name
