"""Models that are called by gRPC: judged and scaled by their calls, through Traefik and Envoy.

Real models, real calls, and a Prometheus that scrapes the pods as people's do. Each scenario's log
is held against the invariants when it is over (conftest).
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from testbed.addons.prometheus import run_prometheus
from testbed.cluster.fixtures import skipping
from testbed.operators.running import start_load
from testbed.programs.cache import exclusive
from testbed.programs.progress import Progress
from testbed.scenario.manifests import PUBLIC, Json, image, iris, read_example, rollout
from testbed.scenario.scaling import QUICKLY_DOWN, READY_SECONDS, larger_than, of_size, stable_of
from testbed.scenario.scenario import (
    Holds,
    Scenario,
    condition,
    get_condition,
    has_evidence,
    named,
    phase,
)
from testbed.scenario.syncing import syncing
from tests.e2e.conftest import Theatre

pytestmark = [pytest.mark.timeout(900, func_only=True)]
SCALED_SECONDS = 240.0
"""For a Prometheus' rates, KEDA's looks and the autoscaler's, and pods that start side by side on a
busy machine."""
ENVOY: Json = {"name": "envoy", "namespace": "gateways", "sectionName": "http"}
CALLS_PER_SECOND = 30.0
STEADY = ((0.0, CALLS_PER_SECOND), (600.0, CALLS_PER_SECOND))
ERRORS: Json = {"name": "error-rate", "max": "5%", "vsStable": {"maxIncrease": "1%"}}
JUDGED = rollout((50, "10s"), analysis=[ERRORS], guard={"duration": "5s"})


@pytest.fixture
def keda(node: Theatre) -> None:
    """KEDA runs before the operator does, which looks for it every two minutes only."""
    with skipping(), exclusive(node.cluster.directory / "keda.lock"):
        node.cluster.install_keda(Progress())


@pytest.fixture(params=["Traefik", "Envoy Gateway"])
def called(scenario: Scenario, request: pytest.FixtureRequest) -> Scenario:
    """A scenario whose callers come in through one of the gateways."""
    if request.param == "Envoy Gateway":
        scenario.entrance = scenario.cluster.install_envoy_gateway(Progress())
    return scenario


@pytest.fixture
def triggered(keda: None, called: Scenario) -> Scenario:
    """Such a one on a cluster with KEDA."""
    return called


def speaking(scenario: Scenario, version: str, **spec: Any) -> Json:
    """The example, called by gRPC; MLServer listens for it on 8081."""
    parent = ENVOY if scenario.entrance else PUBLIC
    traffic = {"protocol": "GRPC", "parentRefs": [parent], "hostnames": [scenario.host]}
    server = {**read_example(version)["spec"]["server"], "grpcPort": 8081}
    return iris(version, scenario.host, server=server, traffic=traffic, **spec)


def call(scenario: Scenario) -> None:
    """Begin to call."""
    entrance = scenario.entrance or scenario.cluster.gateway_url
    assert entrance is not None
    client = "testbed.load.grpc_traffic"
    scenario.load = start_load(entrance, scenario.host, scenario.directory, STEADY, client)


@contextmanager
def scraping(scenario: Scenario, directory: Path) -> Iterator[str]:
    """A Prometheus that scrapes the model's pods, with the labels that discovery gives them.

    Debian's knows no discovery but by files.
    """
    directory.mkdir()
    targets = directory / "pods.json"
    write_targets(scenario, targets)
    job = {"job_name": "pods", "file_sd_configs": [{"files": [str(targets)]}]}
    often = {"scrape_interval": "2s", "scrape_timeout": "2s"}
    more = {"global": often, "scrape_configs": [job]}
    with (
        run_prometheus(directory, [], Progress(), more=more) as address,
        syncing(lambda: write_targets(scenario, targets), every=2.0),
    ):
        yield address


def write_targets(scenario: Scenario, targets: Path) -> None:
    """Write down the pods that have an address by now."""
    pods = json.loads(scenario.kubectl("get", "pods", "-o", "json"))["items"]
    labelled = [
        {
            "targets": [f"{pod['status']['podIP']}:8082"],
            "labels": {"namespace": scenario.namespace, "pod": pod["metadata"]["name"]},
        }
        for pod in pods
        if pod["status"].get("podIP") and pod["metadata"]["name"].startswith("iris-")
    ]
    written = targets.with_suffix(".new")
    written.write_text(json.dumps(labelled))
    written.replace(targets)


def by_calls(prometheus: str) -> Json:
    """One to four pods, one for ten calls a second."""
    metric = {"name": "calls", "type": "RequestsPerSecond", "target": "10"}
    asked = {"prometheus": {"address": prometheus}, "behavior": QUICKLY_DOWN}
    return {"minReplicas": 1, "maxReplicas": 4, "metrics": [metric], **asked}


def test_by_its_calls_a_good_version_is_promoted_and_a_bad_one_taken_back(
    called: Scenario,
) -> None:
    called.blamed.add(image("v3"))
    terms: Json = {"scaling": {"replicas": 1}, "rollout": JUDGED}
    called.apply(speaking(called, "v1", **terms))
    called.wait(phase("Healthy"), READY_SECONDS)
    call(called)

    called.apply(speaking(called, "v2", **terms))
    called.wait(has_passed("v2"), 240)
    promoted = called.wait(phase("Healthy"), 240)
    good = called.load_so_far()
    called.apply(speaking(called, "v3", **terms))
    refused = called.wait(phase("RolledBack"), 240)
    report = called.stop_load()

    assert promoted["status"]["stable"]["version"] == "v2"
    assert not good.failures, good.describe_failures()
    assert good.shares().keys() == {"v1", "v2"}
    assert refused["status"]["stable"]["version"] == "v2"
    assert get_condition(refused, "Stalled")["reason"] == "ErrorRateTooHigh"
    failed = find_failed(called, "v3")
    assert (failed["metric"], failed["source"]) == ("error-rate", "Pods")
    # What its callers saw was counted, and nothing else: of a call that failed they have a code.
    assert {answer.error for answer in report.failures} == {"INTERNAL"}
    # A call that went out of time when the machine stood still may have been counted, too.
    assert 0 < failed["canaryBad"] <= sum(not answer.ok for answer in report.sent)
    assert failed["canaryBad"] < failed["canaryTotal"]


def test_a_busy_model_has_the_pods_that_its_calls_need(triggered: Scenario, tmp_path: Path) -> None:
    with scraping(triggered, tmp_path / "prometheus") as prometheus:
        terms = {"scaling": by_calls(prometheus), "rollout": JUDGED}
        triggered.apply(speaking(triggered, "v1", **terms))
        triggered.wait(phase("Healthy"), READY_SECONDS)
        triggered.wait(condition("Scaled", "True", "KEDA"), READY_SECONDS)
        call(triggered)

        name = f"iris-{stable_of(triggered)}"
        triggered.wait_for("Deployment", name, larger_than(2), SCALED_SECONDS)

        report = triggered.stop_load()
        triggered.wait_for("Deployment", name, of_size(1), SCALED_SECONDS)
    assert not report.failures, report.describe_failures()


def has_passed(version: str) -> Holds:
    """Holds while a canary's errors are judged, by its pods, to be none among enough calls."""

    def holds(found: Json) -> bool:
        canary = found.get("status", {}).get("canary", {})
        rows = [row for row in canary.get("analysis", []) if row["check"] == "max"]
        return canary.get("version") == version and any(map(is_good, rows))

    return named(holds, f"{version} without an error among 20 calls")


def is_good(row: Json) -> bool:
    counted = row["canaryBad"] == 0 and row["canaryTotal"] >= 20
    return counted and (row["source"], row["verdict"]) == ("Pods", "Pass")


def find_failed(scenario: Scenario, version: str) -> Json:
    """The check that a version was refused by, as its ModelRevision has it: each may be first."""
    (name,) = [
        each["metadata"]["name"]
        for each in scenario.all_of("ModelRevision")
        if each["spec"]["source"]["model"]["version"] == version
    ]
    record = scenario.wait_for("ModelRevision", name, has_evidence, 30)
    rows: list[Json] = record["status"]["evidence"]
    return next(row for row in rows if row["verdict"] == "Fail")
