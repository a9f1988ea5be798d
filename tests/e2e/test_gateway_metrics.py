"""A version that is judged by what the gateway counts, with real models under real traffic."""

import pytest

from testbed.scenario.manifests import image, iris, rollout
from testbed.scenario.plays import READY_SECONDS
from testbed.scenario.scenario import Scenario, has_evidence, phase

pytestmark = [pytest.mark.timeout(420, func_only=True)]


def test_what_the_gateway_counts_takes_a_bad_version_back(scenario: Scenario) -> None:
    address = scenario.cluster.gateway_metrics_url
    metric = {"name": "error-rate", "source": "Gateway", "max": "5%"}
    terms = rollout((20, "120s"), analysis=[metric])
    terms["analysis"]["gateway"] = {"address": address}
    scenario.blamed.add(image("v3"))
    scenario.apply(iris("v1", scenario.host, rollout=terms))
    scenario.wait(phase("Healthy"), READY_SECONDS)
    scenario.start_load()
    scenario.apply(iris("v3", scenario.host, rollout=terms))
    judged = scenario.wait(phase("RolledBack"), 180)
    report = scenario.stop_load()

    assert judged["status"]["reason"] == "ErrorRateTooHigh"
    assert judged["status"]["stable"]["version"] == "v1"
    name = f"iris-{judged['status']['rejected'][0]['revision']}"
    record = scenario.wait_for("ModelRevision", name, has_evidence, 30)
    rows = {row["metric"]: row for row in record["status"]["evidence"]}
    assert (rows["error-rate"]["source"], rows["error-rate"]["verdict"]) == ("Gateway", "Fail")
    # Also those whose answer came too late for the client: the gateway may have counted them.
    failed = sum(not answer.ok for answer in report.sent)
    assert 0 < rows["error-rate"]["canaryBad"] <= failed
