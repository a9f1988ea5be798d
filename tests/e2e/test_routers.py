"""The routers on a real gateway: Traefik by its own kinds, and by Gateway API's what it can of it.

Every test's log is held against the invariants when it is over (conftest), and every client
sends 20 requests a second without a retry.
"""

import re
import time
from collections.abc import Callable
from urllib.request import Request, urlopen

import pytest

from testbed.load.traffic import Report, read_version
from testbed.programs.processes import wait_until
from testbed.scenario.manifests import PUBLIC, Json, answering, image, iris, rollout
from testbed.scenario.scenario import (
    Scenario,
    find_revision,
    get_condition,
    in_state,
    phase,
    serves,
)
from testbed.witness.changes import REVISION_LABEL
from testbed.witness.expectation import SETTLE_SECONDS
from testbed.witness.readings import find_stands, find_worst_split

pytestmark = [pytest.mark.timeout(600, func_only=True)]
SECONDS = 120.0
GUARD = {"duration": "4s"}
STILL_SECONDS = 3.0
COUNTED = 100
"Requests of which the copies are counted, with nothing under way before and after."
METRICS_PORT = 8082
PREDICTIONS = re.compile(r"^rest_server_requests_total\{.*/infer.*\} ([0-9.e+]+)$", re.MULTILINE)


def by_traefik(scenario: Scenario) -> Json:
    """Traefik's own kinds: no Gateway is named."""
    return {"router": "Traefik", "hostnames": [scenario.host]}


def by_gateway(scenario: Scenario) -> Json:
    """Gateway API's kinds, on the cluster's Gateway."""
    return {"router": "GatewayAPI", "parentRefs": [PUBLIC], "hostnames": [scenario.host]}


def deploy(scenario: Scenario, version: str, terms: Json) -> None:
    """Apply a version of the iris model, one pod of it, by Traefik's own kinds."""
    size, traffic = {"replicas": 1}, by_traefik(scenario)
    scenario.apply(
        iris(version, scenario.host, rollout=terms, scaling=size, traffic=traffic),
    )


def assert_all_answered(report: Report) -> None:
    """No request was lost, and the last was answered by v2."""
    assert not report.failures, report.describe_failures()
    assert report.last_version == "v2"


def test_traefik_shares_as_weighted_and_loses_no_request(scenario: Scenario) -> None:
    terms = rollout((10, "10s"), (50, "10s"), guard=GUARD)
    deploy(scenario, "v1", terms)
    routed = get_condition(scenario.wait(phase("Healthy"), SECONDS), "Routed")
    scenario.start_load()

    deploy(scenario, "v2", terms)
    scenario.wait(phase("Healthy"), SECONDS)

    report, changes = scenario.stop_load(), scenario.changes()
    assert_all_answered(report)
    stable, canary = (find_revision(changes, image(version)) for version in ("v1", "v2"))
    stands = find_stands(changes, "iris", SETTLE_SECONDS)
    assert [stand.shares for stand in stands if 0 < stand.shares.get(canary, 0) < 100] == [
        {stable: 90, canary: 10},
        {stable: 50, canary: 50},
    ]
    assert find_worst_split(changes, report, canary, "v2") <= 5
    assert "Traefik does not say what it took" in routed["message"]
    assert scenario.all_of("HTTPRoute") == []


def test_traefik_sends_copies_to_the_canary_and_stables_answers_to_people(
    scenario: Scenario,
) -> None:
    shadow = {"name": "shadow", "mirror": {"percent": 50}, "approval": "Manual"}
    terms = {"steps": [shadow], "guard": GUARD}
    deploy(scenario, "v1", terms)
    scenario.wait(phase("Healthy"), SECONDS)
    scenario.start_load()
    deploy(scenario, "v2", terms)
    mirrored = scenario.wait(in_state("Holding"), SECONDS)
    canary = mirrored["status"]["canary"]["revision"]
    assert wait_until(lambda: count_predictions(scenario, canary) > 0, SECONDS)

    until_mirrored = scenario.stop_load()
    before = count_when_still(scenario, canary)
    scenario.start_load()
    await_answers(scenario, COUNTED)
    while_mirrored = scenario.stop_load()
    copies = count_when_still(scenario, canary) - before
    scenario.start_load()
    await_answers(scenario, 20)
    scenario.command("promote", canary)
    scenario.wait(phase("Healthy"), SECONDS)

    assert abs(100 * copies / len(while_mirrored.sent) - 50) <= 5
    for report in (until_mirrored, while_mirrored):
        assert (report.failures, report.shares()) == ((), {"v1": 1.0})
    assert_all_answered(scenario.stop_load())
    assert [route["metadata"]["name"] for route in scenario.all_of("TraefikService")] == ["iris"]


def count_predictions(scenario: Scenario, revision: str) -> int:
    """How many predictions the one pod of a revision has made, by its own counter."""
    pods = scenario.kubectl("get", "pods", "-l", f"{REVISION_LABEL}={revision}", "-o", "name")
    pod = pods.strip().removeprefix("pod/")
    path = f"/api/v1/namespaces/{scenario.namespace}/pods/{pod}:{METRICS_PORT}/proxy/metrics"
    text = scenario.kubectl("get", "--raw", path)
    return round(sum(float(number) for number in PREDICTIONS.findall(text)))


def count_when_still(scenario: Scenario, revision: str) -> int:
    """The same once it has not grown for a while: a copy may come after its request's answer."""
    counted, since = count_predictions(scenario, revision), time.monotonic()
    deadline = since + SECONDS
    while time.monotonic() < since + STILL_SECONDS:
        assert time.monotonic() < deadline, scenario.tell()
        time.sleep(0.5)
        if (now := count_predictions(scenario, revision)) != counted:
            counted, since = now, time.monotonic()
    return counted


@pytest.mark.parametrize("route", [by_gateway, by_traefik])
def test_a_blue_green_preview_is_seen_by_header_alone_until_it_is_promoted(
    scenario: Scenario, route: Callable[[Scenario], Json]
) -> None:
    terms = {"strategy": "BlueGreen", "guard": GUARD}
    scenario.apply(answering("v1", route(scenario), rollout=terms))
    scenario.wait(phase("Healthy"), SECONDS)
    scenario.start_load()
    scenario.apply(answering("v2", route(scenario), rollout=terms))
    held = scenario.wait(phase("Paused"), SECONDS)
    await_answers(scenario, 20)
    assert wait_until(lambda: ask(scenario, {"x-canary": "1"}) == "v2", SECONDS)

    previews = {ask(scenario, {"x-canary": "1"}) for _ in range(20)}
    others = {ask(scenario, {"x-canary": "2"}) for _ in range(20)}
    before = scenario.load_so_far()
    scenario.command("promote", held["status"]["canary"]["revision"])
    scenario.wait(phase("Healthy"), SECONDS)

    assert (previews, others) == ({"v2"}, {"v1"})
    assert before.shares() == {"v1": 1.0}
    assert_all_answered(scenario.stop_load())
    assert ask(scenario, {"x-canary": "1"}) == "v2"


def ask(scenario: Scenario, headers: dict[str, str]) -> str:
    """The version that answers one request with these headers."""
    url = f"{scenario.cluster.gateway_url}/"
    request = Request(url, headers={"Host": scenario.host, **headers})  # noqa: S310 - our own URL
    with urlopen(request, timeout=SECONDS) as answer:  # noqa: S310 - our own URL
        return read_version(answer.read().decode())


def test_a_model_that_changes_its_router_leaves_no_route_of_the_last_one(
    scenario: Scenario,
) -> None:
    terms = rollout((50, "1s"), guard={"duration": "0s"})
    called = {**by_gateway(scenario), "protocol": "GRPC"}
    for version in ("v1", "v2"):
        speaking = answering(version, called, rollout=terms)
        speaking["spec"]["server"]["grpcPort"] = 8081
        scenario.apply(speaking)
        scenario.wait(serves(version), SECONDS)
    assert kinds_of_routes(scenario) == {"GRPCRoute"}

    answered = {**by_gateway(scenario), "hostnames": [f"http.{scenario.host}"]}
    for traffic, kind in (
        (answered, "GRPCRoute"),
        (by_traefik(scenario), "HTTPRoute"),
        ({"router": "Replicas"}, "IngressRoute"),
    ):
        speaking["spec"]["traffic"] = traffic
        scenario.apply(speaking)
        scenario.wait_gone(kind, "iris", SECONDS)
        scenario.wait(serves("v2"), SECONDS)
    scenario.wait_gone("TraefikService", "iris", SECONDS)
    assert kinds_of_routes(scenario) == set()


def kinds_of_routes(scenario: Scenario) -> set[str]:
    """The kinds of routes that the namespace has."""
    kinds = ("HTTPRoute", "GRPCRoute", "IngressRoute", "TraefikService")
    return {kind for kind in kinds if scenario.all_of(kind)}


def test_a_mirror_that_the_gateway_cannot_make_is_refused_before_anything_moves(
    scenario: Scenario,
) -> None:
    traffic = by_gateway(scenario)
    scenario.apply(answering("v1", traffic))
    scenario.wait(phase("Healthy"), SECONDS)
    scenario.start_load()
    await_answers(scenario, 20)
    before = state_of(scenario)

    scenario.apply(answering("v2", traffic, rollout={"strategy": "Shadow"}))
    refused = scenario.wait(phase("Invalid"), SECONDS)
    await_answers(scenario, 60)

    assert state_of(scenario) == before
    words = get_condition(refused, "Stalled")["message"]
    assert words.startswith("spec.rollout.strategy: step sample: the GatewayClass traefik")
    assert "write a weight or headers instead of mirror" in words
    assert get_condition(refused, "Ready")["status"] == "True"
    report = scenario.stop_load()
    assert (report.failures, report.shares()) == ((), {"v1": 1.0})


def await_answers(scenario: Scenario, more: int) -> None:
    """Wait until so many more requests were answered."""
    before = len(scenario.load_so_far().sent)
    assert wait_until(lambda: len(scenario.load_so_far().sent) >= before + more, SECONDS)


def state_of(scenario: Scenario) -> Json:
    """Everything that a rollout would change, by name and generation."""
    kinds = ("ModelRevision", "Deployment", "HTTPRoute")
    found = {kind: [item["metadata"] for item in scenario.all_of(kind)] for kind in kinds}
    services = [item["spec"]["selector"] for item in scenario.all_of("Service")]
    named = {kind: [(m["name"], m["generation"]) for m in found[kind]] for kind in kinds}
    return {**named, "Service": services}
