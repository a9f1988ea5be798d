"""The admission policies by the chart's values: off, for single namespaces, with exceptions."""

from __future__ import annotations

import json
import re
from typing import Any

from tests.cluster.helm import render_chart

POLICY = "ValidatingAdmissionPolicy"


def render(**values: Any) -> dict[str, dict[str, Any]]:
    """The policies and bindings, by kind and name."""
    found = [item for item in render_chart(values) if item["kind"].startswith(POLICY)]
    return {f"{item['kind']}/{item['metadata']['name']}": item["spec"] for item in found}


def test_they_can_be_left_out() -> None:
    assert render(admissionPolicies={"enabled": False}) == {}


def test_each_denies_and_fails_closed() -> None:
    found = render()
    names = {f"canarium-{policy}" for policy in ("service-accounts", "status", "revisions")}
    assert set(found) == {
        f"{kind}/{name}" for kind in (POLICY, f"{POLICY}Binding") for name in names
    }
    for name in names:
        assert found[f"{POLICY}/{name}"]["failurePolicy"] == "Fail"
        rules = found[f"{POLICY}/{name}"]["matchConstraints"]["resourceRules"]
        assert [rule["apiGroups"] for rule in rules] == [["canarium.dev"]]
        assert found[f"{POLICY}Binding/{name}"] == {
            "policyName": name,
            "validationActions": ["Deny"],
        }


def test_an_operator_of_single_namespaces_leaves_the_others_to_others() -> None:
    found = render(watch={"namespaces": ["a", "b"]})
    chosen = {
        "key": "kubernetes.io/metadata.name",
        "operator": "In",
        "values": ["a", "b"],
    }
    bindings = [spec for name, spec in found.items() if name.startswith(f"{POLICY}Binding")]
    selectors = [spec["matchResources"]["namespaceSelector"] for spec in bindings]
    assert selectors == [{"matchExpressions": [chosen]}] * 3
    status = found[f"{POLICY}/canarium-canarium-status"]["matchConstraints"]["resourceRules"]
    assert "clustermetrictemplates/status" not in status[0]["resources"]


def test_routes_are_guarded_where_a_router_shares_its_entry_points() -> None:
    found = {name: list_asked(**{name: True}) for name in ("traefik", "istio")}
    assert found == {"traefik": ["ingressroutes"], "istio": ["virtualservices"]}
    assert list_asked(traefik=True, istio=True) == ["ingressroutes", "virtualservices"]


def list_asked(**routers: bool) -> list[str]:
    """The kinds of route that the policy asks the right to create for, with these routers on."""
    spec = render(routers=routers)[f"{POLICY}/canarium-routes"]
    words = " ".join(validation["expression"] for validation in spec["validations"])
    return re.findall(r"resource\('(\w+)'\)", words)


def test_exceptions_are_written_as_lists_of_texts_whatever_they_hold() -> None:
    hostile = "x\"] || true || request.userInfo.username in ['"
    found = render(admissionPolicies={"trustedUsers": [hostile], "trustedGroups": []})
    conditions = found[f"{POLICY}/canarium-status"]["matchConditions"]
    users = json.dumps(["system:serviceaccount:canarium:canarium", hostile], separators=(",", ":"))
    assert [condition["expression"] for condition in conditions] == [
        f"!(request.userInfo.username in {users})",
        "!request.userInfo.groups.exists(group, group in [])",
    ]
