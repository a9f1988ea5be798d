"""Metrics that are read through a namespace's own Services, on a node without a name server."""

import pytest

from testbed.scenario.manifests import Json, answering, iris, rollout
from testbed.scenario.scenario import Scenario, condition, get_condition, phase

pytestmark = [pytest.mark.timeout(300, func_only=True)]

READY_SECONDS = 90.0


def make_headless(name: str) -> Json:
    """A Service without an address of its own, which leads to all pods of the model."""
    spec = {"clusterIP": "None", "selector": {"canarium.dev/model": "iris"}}
    about = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}}
    return {**about, "spec": {**spec, "ports": [{"port": 8080}]}}


def read_through(name: str, place: str) -> Json:
    """A metric that is the version of whichever pod answers."""
    web = {"url": f"http://{place}/", "value": "$.model_version"}
    return {"name": name, "web": web, "min": "1", "interval": "1s"}


def is_undecided(found: Json) -> bool:
    """Whether its hold is over without data: then it stays, or is taken back for that."""
    return found.get("status", {}).get("reason") in ("NoData", "Inconclusive")


def test_a_version_is_judged_through_services_of_its_namespace_and_no_others(
    scenario: Scenario,
) -> None:
    traffic = iris("v1", scenario.host)["spec"]["traffic"]
    own = [
        read_through("leading", "iris"),
        read_through("pods", f"every.{scenario.namespace}.svc:8080"),
    ]
    terms = rollout((50, "3s"), analysis=own)
    scenario.apply(make_headless("every"), answering("1", traffic, rollout=terms))
    scenario.wait(phase("Healthy"), READY_SECONDS)

    scenario.apply(answering("2", traffic, rollout=terms))
    scenario.wait(phase("Healthy"), READY_SECONDS)

    metric = {**read_through("foreign", "iris.default:8080"), "interval": "10s"}
    foreign = rollout((50, "1s"), analysis=[metric])
    foreign["analysis"]["onNoData"] = "Rollback"
    scenario.apply(answering("3", traffic, rollout=foreign))
    found = scenario.wait(condition("Judged", "False", "NoData"), READY_SECONDS)
    words = "foreign: addresses.allow lacks iris.default:8080: it is no Service of namespace "
    assert get_condition(found, "Judged")["message"].startswith(words)
    found = scenario.wait(is_undecided, READY_SECONDS)
    status = found["status"]
    told = status["reason"], status["stable"]["version"], status["rollout"]["state"]
    assert told == ("NoData", "2", "Holding")
    assert "rejected" not in status
