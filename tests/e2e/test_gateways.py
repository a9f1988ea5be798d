"""Gateways that are missing, that refuse, and that go away: the environment's fault, and healed.

With a real gateway, and pods that only answer one line, so that they cost next to nothing.
"""

import json
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import pytest

from testbed.scenario.manifests import PUBLIC, Json, answering, gateway, image, iris, rollout
from testbed.scenario.scenario import (
    Scenario,
    condition,
    find_revision,
    get_condition,
    phase,
    weight,
)

pytestmark = [pytest.mark.timeout(600, func_only=True)]
SECONDS = 90.0
ROUTE = "httproute.gateway.networking.k8s.io/iris"


def attached(scenario: Scenario, *parents: Json) -> Json:
    """A model that attaches to these Gateways."""
    return answering("v1", {"parentRefs": list(parents), "hostnames": [scenario.host]})


def port_of(scenario: Scenario) -> int:
    """Traefik's entry point, on which a listener of one's own can be."""
    port = urlsplit(scenario.cluster.gateway_url or "").port
    assert port is not None
    return port


def test_a_gateway_that_does_not_exist_is_named_until_it_does(scenario: Scenario) -> None:
    scenario.apply(attached(scenario, {"name": "mine"}))
    missing = scenario.wait(condition("Routed", "False", "GatewayNotFound"), SECONDS)

    scenario.apply(gateway("mine", port_of(scenario)))

    scenario.wait(phase("Healthy"), SECONDS)
    assert f"{scenario.namespace}/mine" in get_condition(missing, "Routed")["message"]
    assert "rejected" not in missing["status"]


def test_a_gateway_that_refuses_is_quoted_until_it_takes_the_route(scenario: Scenario) -> None:
    narrow = gateway("mine", port_of(scenario))
    narrow["spec"]["listeners"][0]["hostname"] = "somebody-else.example.com"
    scenario.apply(narrow, attached(scenario, {"name": "mine"}))
    refused = scenario.wait(condition("Routed", "False", "NoMatchingListenerHostname"), SECONDS)

    scenario.apply(gateway("mine", port_of(scenario)))

    scenario.wait(phase("Healthy"), SECONDS)
    route_says = get_condition(refused, "Routed")["message"]
    assert route_says.partition(": ")[2], route_says


def test_a_foreign_route_under_our_name_is_never_touched(scenario: Scenario) -> None:
    about = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute"}
    theirs = {"parentRefs": [PUBLIC], "hostnames": ["theirs.example.com"]}
    scenario.apply({**about, "metadata": {"name": "iris"}, "spec": theirs})
    before = scenario.get("HTTPRoute", "iris")

    scenario.apply(attached(scenario, PUBLIC))
    found = scenario.wait(condition("Stalled", "True", "NameConflict"), SECONDS)

    assert "HTTPRoute iris" in get_condition(found, "Stalled")["message"]
    after = scenario.get("HTTPRoute", "iris")
    assert before is not None
    assert after is not None
    assert (after["spec"], after["metadata"]["uid"]) == (before["spec"], before["metadata"]["uid"])
    scenario.kubectl("delete", ROUTE, "--wait=false")
    scenario.wait(phase("Healthy"), 2 * SECONDS)


def ask(scenario: Scenario) -> str:
    """Which version answers a request through the gateway."""
    url = scenario.cluster.gateway_url or ""
    request = Request(url, headers={"Host": scenario.host})  # noqa: S310 - a URL of our own
    with urlopen(request, timeout=30) as answer:  # noqa: S310
        return str(json.load(answer)["model_version"])


def test_of_two_models_for_one_host_name_the_younger_is_told_that_nobody_comes(
    scenario: Scenario,
) -> None:
    first, second = attached(scenario, PUBLIC), answering("v2", first_traffic(scenario))
    scenario.apply(first)
    scenario.wait(phase("Healthy"), SECONDS)
    scenario.apply({**second, "metadata": {"name": "late"}})

    late = scenario.wait(condition("Ready", "False", "HostnameTaken"), SECONDS, model="late")

    told = get_condition(late, "Ready")["message"]
    assert told.startswith(f"ModelDeployment iris has {scenario.host}/ at gateways/public already")
    assert {ask(scenario) for _ in range(10)} == {"v1"}
    held = scenario.get("ModelDeployment", "iris")
    assert held is not None
    assert get_condition(held, "Ready")["status"] == "True"

    scenario.kubectl("delete", "modeldeployment", "iris")
    scenario.wait(condition("Ready", "True", "Serving"), SECONDS, model="late")


def first_traffic(scenario: Scenario) -> Json:
    """What the other model asks for too."""
    return {"parentRefs": [PUBLIC], "hostnames": [scenario.host]}


def test_a_gateway_deleted_in_mid_rollout_and_created_again_blames_nobody(
    scenario: Scenario,
) -> None:
    mine, terms = gateway("mine", port_of(scenario)), rollout((20, "20s"), (50, "3s"))
    traffic = {"parentRefs": [{"name": "mine"}], "hostnames": [scenario.host]}
    scenario.apply(mine, iris("v1", scenario.host, rollout=terms, traffic=traffic))
    scenario.wait(phase("Healthy"), SECONDS)
    scenario.start_load()
    scenario.apply(iris("v2", scenario.host, rollout=terms, traffic=traffic))
    scenario.wait(weight(20, "Holding"), SECONDS)

    scenario.kubectl("delete", "gateway.gateway.networking.k8s.io/mine")
    unrouted = scenario.wait(condition("Routed", "False"), SECONDS)
    scenario.apply(mine)

    healthy = scenario.wait(phase("Healthy"), 2 * SECONDS)
    assert "rejected" not in unrouted["status"]
    assert "rejected" not in healthy["status"]
    report = scenario.stop_load()
    assert report.last_version == "v2"
    promoted = find_revision(scenario.changes(), image("v2"))
    assert healthy["status"]["stable"]["revision"] == promoted
