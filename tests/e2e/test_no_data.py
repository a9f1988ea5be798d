"""Counters that cannot be read are no data: said in status, and nobody is promoted on them.

Beside them runs the same rollout with good counters, which is promoted: so the test can fail.
"""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from testbed.scenario.manifests import Json, image, make_model, probe, rollout
from testbed.scenario.scenario import Scenario, condition, get_condition, in_state, phase

pytestmark = [pytest.mark.timeout(900, func_only=True)]
SECONDS = 180.0
"Two dozen pods begin at a time."
SCRIPT = Path(__file__).with_name("metrics_server.py").read_text()
BROKEN = ("garbage", "nothing", "huge", "slow", "refused")
BOUND: Json = {"name": "error-rate", "max": "5%"}


def model(name: str, version: str, mode: str, needed: int = 0) -> Json:
    """A model whose pods have such counters; "refused" has none where they are looked for."""
    port = 9 if mode == "refused" else 8080
    terms = rollout((50, "3s"), analysis=[BOUND], guard={"duration": "0s"})
    terms["analysis"]["minRequests"] = needed  # at 0 only missing data stands in the way
    found = make_model(
        {
            "model": {"version": version},
            "server": {
                "image": image("v1"),
                "command": ["python", "-c", SCRIPT, mode],
                "metrics": {"port": port, "path": "/metrics", "profile": "MLServer"},
                "readinessProbe": probe("/", 8080),
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
        scenario.wait(phase("Healthy"), SECONDS, model=name)
    scenario.apply(*(model(name, "v2", name) for name in names))
    for name in BROKEN:
        scenario.wait(in_state("Holding"), SECONDS, model=name)

    scenario.wait(phase("Healthy"), SECONDS, model="good")

    for name in BROKEN:
        found = scenario.wait(condition("Judged", "False"), SECONDS, model=name)
        assert found["status"]["rollout"]["state"] == "Holding"
        assert found["status"]["stable"]["version"] == "v1"
        assert "rejected" not in found["status"]
        assert get_condition(found, "Judged")["message"], name


def says(pattern: str) -> Callable[[Json], bool]:
    """Whether the whole of status.message is like this."""
    whole = re.compile(pattern)
    return lambda found: bool(whole.fullmatch(str(found.get("status", {}).get("message", ""))))


def test_a_wrong_port_and_no_traffic_are_told_apart(scenario: Scenario) -> None:
    modes = ("refused", "idle")
    scenario.apply(*(model(name, "v1", "idle") for name in modes))
    for name in modes:
        scenario.wait(phase("Healthy"), SECONDS, model=name)
    scenario.apply(*(model(name, "v2", name, needed=50) for name in modes))

    where = "step 1 of 2 (w50) at 50 % stays: "
    stays = re.escape(where)
    quiet = rf"{stays}no request reached version v2 in more than \d+ s; 50 are needed"
    scenario.wait(says(quiet), SECONDS, model="idle")
    refused = "the metrics of version v2 cannot be read: connection refused on port 9"
    wrong = scenario.wait(says(rf"{stays}{refused} \(pod .*\)"), SECONDS, model="refused")

    pod = next(one for one in scenario.all_of("Pod") if is_of(one, wrong))["metadata"]["name"]
    assert wrong["status"]["message"] == f"{where}{refused} (pod {pod})"


def is_of(pod: Json, model: Json) -> bool:
    """Whether it is a pod of a model's canary."""
    labels, canary = pod["metadata"]["labels"], model["status"]["canary"]["revision"]
    name = model["metadata"]["name"]
    return (labels["canarium.dev/model"], labels["canarium.dev/revision"]) == (name, canary)
