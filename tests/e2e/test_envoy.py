"""Rollouts through Envoy Gateway, which really mirrors: real models under real traffic.

The gateway is brought up by the first test that asks for it. What the canary was sent is read from
the canary's own counters, what clients got from the clients.
"""

import time
from dataclasses import dataclass
from typing import Any

import pytest

from testbed.programs.processes import wait_until
from testbed.programs.progress import Progress
from testbed.scenario.manifests import METRICS, Json, image, iris, rollout
from testbed.scenario.plays import JUDGED, READY_SECONDS
from testbed.scenario.scenario import Scenario, find_revision, get_condition, in_state, phase
from testbed.witness.expectation import SETTLE_SECONDS
from testbed.witness.readings import find_stands, find_worst_split

pytestmark = [pytest.mark.timeout(600, func_only=True)]
ENVOY: Json = {"name": "envoy", "namespace": "gateways", "sectionName": "http"}
SHADOW: Json = {"name": "shadow", "mirror": {"percent": 20}}
OBSERVED_REQUESTS = 300


@pytest.fixture
def envoy(scenario: Scenario) -> Scenario:
    """A scenario whose clients come in through Envoy."""
    scenario.entrance = scenario.cluster.install_envoy_gateway(Progress())
    return scenario


def apply(envoy: Scenario, version: str, terms: Json) -> None:
    """Apply the example's manifest of a version, two pods behind Envoy."""
    traffic = {"parentRefs": [ENVOY], "hostnames": [envoy.host]}
    size = {"replicas": 2}
    envoy.apply(iris(version, envoy.host, traffic=traffic, scaling=size, rollout=terms))


def serve(envoy: Scenario, version: str, terms: Json) -> None:
    """Have a first version serve, and begin to send."""
    apply(envoy, version, terms)
    envoy.wait(phase("Healthy"), READY_SECONDS)
    envoy.start_load()


def shadowed(*later: Json, **shadow: Any) -> Json:
    """A rollout that begins with copies of a fifth of the requests."""
    return {**rollout(analysis=METRICS), "steps": [{**SHADOW, **shadow}, *later]}


@dataclass(frozen=True, slots=True)
class Count:
    """So many predictions were counted at some time within these, in seconds since 1970."""

    inferences: int
    begin: float
    end: float


def count(envoy: Scenario, version: str) -> Count:
    """What the pods of a version have counted, and how long it took to ask them all."""
    begin = time.time()
    return Count(count_inferences(envoy, version), begin, time.time())


def count_inferences(envoy: Scenario, version: str) -> int:
    """How many requests for a prediction the pods of a version have counted themselves."""
    names = [pod["metadata"]["name"] for pod in envoy.all_of("Pod") if runs(pod, version)]
    pods = f"/api/v1/namespaces/{envoy.namespace}/pods"
    pages = (envoy.kubectl("get", "--raw", f"{pods}/{name}:8082/proxy/metrics") for name in names)
    return sum(int(float(line.split()[-1])) for page in pages for line in find_counters(page))


def runs(pod: Json, version: str) -> bool:
    return any(part["image"] == image(version) for part in pod["spec"]["containers"])


def find_counters(page: str) -> list[str]:
    """The lines of MLServer's metrics that count finished predictions."""
    lines = [line for line in page.splitlines() if line.startswith("rest_server_requests_total")]
    return [line for line in lines if '/infer"' in line]


def test_a_promotion_through_envoy_shares_as_weighted_and_loses_nothing(envoy: Scenario) -> None:
    serve(envoy, "v1", JUDGED)

    apply(envoy, "v2", JUDGED)

    envoy.wait(phase("Healthy"), 240)
    report, changes = envoy.stop_load(), envoy.changes()
    assert not report.failures, report.describe_failures()
    stable, canary = (find_revision(changes, image(version)) for version in ("v1", "v2"))
    stands = find_stands(changes, "iris", SETTLE_SECONDS)
    stood = [stand.shares for stand in stands if 0 < stand.shares.get(canary, 0) < 100]
    assert stood == [{stable: 80, canary: 20}, {stable: 50, canary: 50}]
    assert find_worst_split(changes, report, canary, "v2") <= 5
    assert report.last_version == "v2"


def test_a_mirror_step_sends_copies_whose_answers_nobody_gets(envoy: Scenario) -> None:
    half = {"name": "half", "weight": 50, "hold": "5s"}
    terms = shadowed(half, hold="1s", approval="Manual")
    serve(envoy, "v1", terms)
    apply(envoy, "v2", terms)
    found = envoy.wait(in_state("Holding"), 150)
    first = count(envoy, "v2")
    assert envoy.load is not None
    load = envoy.load

    def sent() -> int:
        return len(load.report().between(first.end, time.time()).sent)

    assert wait_until(lambda: sent() >= OBSERVED_REQUESTS, 90)
    last = count(envoy, "v2")
    envoy.command("promote", found["status"]["canary"]["revision"])
    envoy.wait(phase("Healthy"), 180)

    report = envoy.stop_load()
    assert not report.failures, report.describe_failures()
    most, least = report.between(first.begin, last.end), report.between(first.end, last.begin)
    assert most.shares() == {"v1": 1.0}
    # Lots are drawn for each request: of 300 a fifth is 60, and 30 is four deviations off. Which
    # requests were counted is known but for those that were sent while somebody counted.
    copies = last.inferences - first.inferences
    assert copies / len(most.sent) <= 0.3
    assert copies / len(least.sent) >= 0.1
    assert report.last_version == "v2"


def test_a_version_that_fails_in_the_shadow_is_taken_back_and_no_client_saw_it(
    envoy: Scenario,
) -> None:
    envoy.blamed = {image("v3")}
    terms = shadowed({"name": "half", "weight": 50}, hold="60s")
    serve(envoy, "v2", terms)

    apply(envoy, "v3", terms)

    found = envoy.wait(phase("RolledBack"), 180)
    assert get_condition(found, "Stalled")["reason"] == "ErrorRateTooHigh"
    report = envoy.stop_load()
    assert not report.failures, report.describe_failures()
    assert report.shares() == {"v2": 1.0}
