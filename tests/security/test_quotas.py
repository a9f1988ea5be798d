"""Quotas of a tenant's namespace: the one that the documents show, and those without room."""

from __future__ import annotations

import json
import re
import time
from functools import partial
from pathlib import Path

import pytest
import yaml
from canarium.core.quantities import parse_quantity

from testbed.scenario.manifests import Json, simulated
from testbed.scenario.scenario import Holds, is_current, named, phase
from tests.security.estate import Place, refusal, until

pytestmark = [pytest.mark.timeout(900, func_only=True)]
SECONDS = 240.0
COUNTED_SECONDS = 5.0
"In which a quota is counted whose kinds the controller knows."
PAGE = Path(__file__).parents[2] / "docs" / "security.md"
MODELS = "count/modeldeployments.canarium.dev"


def reason(wanted: str) -> Holds:
    """Holds of a ModelDeployment whose short reason is this one."""

    def holds(found: Json) -> bool:
        return is_current(found) and found.get("status", {}).get("reason") == wanted

    return named(holds, f"reason {wanted}")


def read_quota() -> Json:
    """The quota that docs/security.md shows."""
    (text,) = re.findall(
        r"```yaml\n(apiVersion: v1\nkind: ResourceQuota\n.*?)```", PAGE.read_text(), re.DOTALL
    )
    found: Json = yaml.safe_load(text)
    return found


def make_quota(**hard: str) -> Json:
    about = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "models"}}
    return {**about, "spec": {"hard": hard}}


def apply(place: Place, quota: Json) -> None:
    """Apply a quota, and wait until all that it bounds was counted.

    The controller that counts looks for new kinds every 30 s. What it doesn't know when a quota is
    made it counts at its next round, after minutes, so the quota is made anew until then.
    """
    until(partial(is_made_and_counted, place, quota), SECONDS, "a quota that was counted")


def is_made_and_counted(place: Place, quota: Json) -> bool:
    place.admin("delete", "resourcequota", "models", "--ignore-not-found")
    place.apply(quota)
    end = time.monotonic() + COUNTED_SECONDS
    while not is_counted(place, quota):
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True


def is_counted(place: Place, quota: Json) -> bool:
    found = json.loads(place.admin("get", "resourcequota", "models", "-o", "json"))
    status = found.get("status", {})
    return bool(
        status.get("hard") == found["spec"]["hard"]
        and set(status.get("used", {})) == set(quota["spec"]["hard"])
    )


def read_used(place: Place) -> dict[str, str]:
    found = json.loads(place.admin("get", "resourcequota", "models", "-o", "json"))
    used: dict[str, str] = found["status"]["used"]
    return used


def make_model(tag: str = "v1", **fields: str) -> Json:
    """A model of two pods that asks for what they take."""
    server = {
        "image": f"registry.example.com/iris:{tag}",
        "resources": {"requests": {"cpu": "100m", "memory": "64Mi", **fields}},
    }
    return simulated(tag, server=server)


def test_the_quota_of_the_documents_counts_what_they_say_and_a_model_works_within_it(
    served: Place,
) -> None:
    quota = read_quota()
    apply(served, quota)
    served.write(make_model())
    served.scenario.wait(phase("Healthy"), SECONDS)
    served.write(make_model("v2"))
    served.scenario.wait(phase("Healthy"), SECONDS)

    want = {
        MODELS: 1,
        "count/modelrevisions.canarium.dev": 2,  # the one before is history
        "count/deployments.apps": 2,
        "count/services": 1,
        "count/jobs.batch": 0,
        "pods": 2,
        "requests.cpu": 0.2,
        "requests.memory": 2 * 64 * 1024 * 1024,
    }
    until(lambda: read(read_used(served)) == want, SECONDS, f"{want}")


def read(used: dict[str, str]) -> dict[str, float]:
    return {name: float(parse_quantity(amount)) for name, amount in used.items()}


def test_one_model_more_than_a_quota_allows_is_refused_where_it_is_applied(place: Place) -> None:
    apply(place, make_quota(**{MODELS: "1"}))
    place.write(simulated("v1"))
    other = simulated("v1")
    other["metadata"]["name"] = "second"
    until(lambda: read_used(place)[MODELS] == "1", SECONDS, "a model that was counted")
    assert f"exceeded quota: models, requested: {MODELS}=1" in refusal(partial(place.write, other))


@pytest.mark.parametrize(
    ("hard", "words"),
    [
        ({"count/services": "0"}, "exceeded quota: models, requested: count/services=1"),
        ({"pods": "0"}, "exceeded quota: models, requested: pods=1"),
        ({"requests.cpu": "9", "limits.memory": "1Gi"}, "must specify limits.memory"),
    ],
    ids=lambda given: next(iter(given)) if isinstance(given, dict) else "",
)
def test_what_a_quota_has_no_room_for_is_said_and_heals(
    served: Place, hard: dict[str, str], words: str
) -> None:
    apply(served, make_quota(**hard))
    served.write(make_model())
    refused = served.scenario.wait(reason("QuotaExceeded"), SECONDS)
    assert words in refused["status"]["message"]
    assert "rejected" not in refused["status"]
    served.admin("delete", "resourcequota", "models")
    served.scenario.wait(phase("Healthy"), SECONDS)
