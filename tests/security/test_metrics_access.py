"""Who may read /metrics where the chart's value guards them, by a real apiserver's word."""

from __future__ import annotations

from collections.abc import Iterator
from http.client import HTTPConnection

import pytest

from testbed.addons.helm import NAMESPACE, RELEASE, render_chart
from testbed.operators.account import find_rights
from testbed.rights.ledger import note_spared
from testbed.scenario.manifests import Json
from tests.security.estate import OPERATOR, POLICY_SECONDS, RBAC, Estate, Place, apply_all, until

pytestmark = [pytest.mark.timeout(600, func_only=True)]
READER = f"{RELEASE}-metrics"
ASKS: tuple[Json, ...] = (
    {
        "apiGroups": ["authentication.k8s.io"],
        "resources": ["tokenreviews"],
        "verbs": ["create"],
    },
    {
        "apiGroups": ["authorization.k8s.io"],
        "resources": ["subjectaccessreviews"],
        "verbs": ["create"],
    },
)
"What that value gives the operator."


@pytest.fixture
def guarded(estate: Estate, place: Place) -> Iterator[Place]:
    """The operator with that value and its rights, and two accounts in the test's namespace."""
    rendered = render_chart({"metrics": {"authentication": True}})
    note_spared(estate.cluster, find_rights(rendered))
    kinds = ("ClusterRole", "ClusterRoleBinding")
    apply_all(estate.cluster, [item for item in rendered if item["kind"] in kinds])
    for rule in ASKS:
        estate.wait_for_right(OPERATOR, rule, "")
    accounts = ({"name": name} for name in ("prometheus", "curious"))
    place.apply(
        *({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": each} for each in accounts)
    )
    place.operator.start("--protect-metrics")
    yield place
    place.operator.stop()
    estate.cluster.kubectl("delete", "clusterrole", READER)
    estate.cluster.kubectl("delete", "clusterrolebinding", READER, "--ignore-not-found")
    apply_all(estate.cluster, [item for item in estate.chart if item["kind"] in kinds])


def read(place: Place, path: str, token: str = "") -> tuple[int, str]:
    connection = HTTPConnection(place.operator.address, timeout=60)
    try:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def make_token(place: Place, account: str) -> str:
    return place.admin("create", "token", account)


def test_metrics_are_for_accounts_that_may_get_them_and_probes_for_all(
    estate: Estate, guarded: Place
) -> None:
    token = make_token(guarded, "prometheus")
    assert read(guarded, "/metrics")[0] == 401
    assert read(guarded, "/metrics", "made-up")[0] == 401
    assert read(guarded, "/metrics", make_token(guarded, "curious"))[0] == 403
    assert [read(guarded, path)[0] for path in ("/livez", "/readyz")] == [200, 200]

    subject = {"kind": "ServiceAccount", "name": "prometheus", "namespace": guarded.namespace}
    binding: Json = {
        "apiVersion": f"{RBAC}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": READER},
        "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": READER},
        "subjects": [subject],
    }
    apply_all(estate.cluster, [binding])
    until(
        lambda: read(guarded, "/metrics", make_token(guarded, "prometheus"))[0] == 200,
        POLICY_SECONDS,
        "a right in force",
    )
    code, page = read(guarded, "/metrics", make_token(guarded, "prometheus"))
    assert code == 200
    assert "canarium_queue_depth" in page
    assert token not in guarded.operator.log.read_text()


def test_without_the_value_they_are_for_whoever_reaches_the_port(served: Place) -> None:
    """The other half, which docs/security.md says: names of namespaces and models."""
    code, page = read(served, "/metrics")
    assert code == 200
    assert "canarium_queue_depth" in page


def test_the_service_monitor_sends_a_token_where_one_is_asked_for() -> None:
    def endpoint(**values: Json) -> Json:
        given = {"serviceMonitor": {"enabled": True}, **values}
        (found,) = (o for o in render_chart(given) if o["kind"] == "ServiceMonitor")
        (one,) = found["spec"]["endpoints"]
        return dict(one)

    plain = endpoint()
    own = endpoint(metrics={"authentication": True})
    secret = endpoint(
        metrics={"authentication": True},
        serviceMonitor={"enabled": True, "tokenSecret": "scrape-token"},
    )
    where = "/var/run/secrets/kubernetes.io/serviceaccount/token"
    assert own == {**plain, "bearerTokenFile": where}
    credentials = {"name": "scrape-token", "key": "token"}
    assert secret == {**plain, "authorization": {"credentials": credentials}}


def test_the_right_to_ask_comes_with_the_value_alone() -> None:
    def find_resources(**values: Json) -> set[str]:
        rights = find_rights(render_chart(values, NAMESPACE))
        rules = [rule for item in rights for rule in item.get("rules", ())]
        return {name for rule in rules for name in rule.get("resources", ())}

    asked = find_resources(metrics={"authentication": True}) - find_resources()
    assert asked == {"tokenreviews", "subjectaccessreviews"}
