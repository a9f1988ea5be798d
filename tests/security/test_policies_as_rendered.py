"""The admission policies by the chart's values: off, for single namespaces, with exceptions."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from testbed.addons.helm import render_chart

POLICY = "ValidatingAdmissionPolicy"
OF_THE_OPERATOR = ("operator", "operator-pods")


def render(**values: Any) -> dict[str, dict[str, Any]]:
    """The policies and bindings, by kind and name."""
    found = [item for item in render_chart(values) if item["kind"].startswith(POLICY)]
    return {f"{item['kind']}/{item['metadata']['name']}": item["spec"] for item in found}


def test_they_can_be_left_out() -> None:
    assert render(admissionPolicies={"enabled": False}) == {}


GROUPS = {
    "service-accounts": "canarium.dev",
    "status": "canarium.dev",
    "revisions": "canarium.dev",
    "routes": "canarium.dev",
    "hostnames": "",
    "power": "canarium.dev",
}
OF_PODS = ("pods", "job-pods", "workloads")


def test_each_denies_and_fails_closed() -> None:
    found = render()
    names = {f"canarium-{policy}" for policy in (*GROUPS, *OF_THE_OPERATOR, *OF_PODS)}
    assert set(found) == {
        f"{kind}/{name}" for kind in (POLICY, f"{POLICY}Binding") for name in names
    }
    for name in names:
        assert found[f"{POLICY}/{name}"]["failurePolicy"] == "Fail"
        assert found[f"{POLICY}Binding/{name}"] == {
            "policyName": name,
            "validationActions": ["Deny"],
        }


def test_what_others_write_is_no_matter_of_ours() -> None:
    """Those of people look at our kinds alone, and the others at what the operator writes.

    Of pods those with our labels are looked at; what makes pods may have them in its template.
    """
    found = render()
    for name, key in (("pods", "model"), ("job-pods", "judged-model")):
        looked_at = found[f"{POLICY}/canarium-{name}"]["matchConstraints"]
        exists = {"key": f"canarium.dev/{key}", "operator": "Exists"}
        assert looked_at["objectSelector"] == {"matchExpressions": [exists]}
        assert [rule["resources"] for rule in looked_at["resourceRules"]] == [["pods"]]
    looked_at = found[f"{POLICY}/canarium-workloads"]
    ours, *_ = looked_at["matchConditions"]
    assert ours["name"] == "a-models-before-or-after"
    for name, group in GROUPS.items():
        rules = found[f"{POLICY}/canarium-{name}"]["matchConstraints"]["resourceRules"]
        assert [rule["apiGroups"] for rule in rules] == [[group]]
    operator = "request.userInfo.username == 'system:serviceaccount:canarium:canarium'"
    for name in OF_THE_OPERATOR:
        (condition,) = found[f"{POLICY}/canarium-{name}"]["matchConditions"]
        assert condition["expression"] == operator


def test_an_operator_of_single_namespaces_leaves_the_others_to_others() -> None:
    found = render(watch={"namespaces": ["a", "b"]})
    chosen = {
        "key": "kubernetes.io/metadata.name",
        "operator": "In",
        "values": ["a", "b"],
    }
    for name in (*GROUPS, *OF_PODS):
        resources = found[f"{POLICY}Binding/canarium-canarium-{name}"]["matchResources"]
        assert resources == {"namespaceSelector": {"matchExpressions": [chosen]}}
    for name in OF_THE_OPERATOR:
        assert "matchResources" not in found[f"{POLICY}Binding/canarium-canarium-{name}"]
    status = found[f"{POLICY}/canarium-canarium-status"]["matchConstraints"]["resourceRules"]
    assert "clustermetrictemplates/status" not in status[0]["resources"]


def test_routes_are_guarded_of_the_routers_that_are_on() -> None:
    off = {"gatewayAPI": False}
    gateway_api = ["grpcroutes", "httproutes"]
    assert list_routes() == gateway_api
    assert list_routes(**off, traefik=True) == ["ingressroutes"]
    assert list_routes(**off, istio=True) == ["virtualservices"]
    everything = [*gateway_api, "ingressroutes", "virtualservices"]
    assert list_routes(traefik=True, istio=True) == everything
    assert not {f"{POLICY}/canarium-{name}" for name in ("routes", "hostnames")} & set(
        render(routers=off)
    )


def list_routes(**routers: bool) -> list[str]:
    """The kinds of route that the policy asks the right to create for, with these routers on."""
    spec = render(routers=routers)[f"{POLICY}/canarium-routes"]
    (route,) = (each["expression"] for each in spec["variables"] if each["name"] == "route")
    return sorted(re.findall(r"'(\w+s)'", route), key=route.index)


@pytest.mark.parametrize("off", ["Off", False])
def test_what_a_route_needs_can_be_nothing_however_yaml_reads_off(off: object) -> None:
    found = render(admissionPolicies={"routes": off})
    every = {*GROUPS, *OF_THE_OPERATOR, *OF_PODS}
    assert {name.partition("/canarium-")[2] for name in found} == every - {"routes", "hostnames"}


def test_what_looks_like_a_models_can_be_anybodys() -> None:
    found = render(admissionPolicies={"guardPods": False})
    every = {*GROUPS, *OF_THE_OPERATOR}
    assert {name.partition("/canarium-")[2] for name in found} == every


def test_the_operator_makes_models_deployments_under_whatever_name_it_runs() -> None:
    found = render(serviceAccount={"create": False, "name": "other"})
    first, _, changed, _ = found[f"{POLICY}/canarium-workloads"]["validations"]
    account = '"system:serviceaccount:canarium:other"'
    assert first["expression"].endswith(f"variables.user == {account}")
    assert f"variables.user == {account}" in changed["expression"]


def test_each_question_to_the_authorizer_is_a_variable_of_its_own() -> None:
    """An expression that asks oftener than twice is over its budget, and refuses everybody."""
    spec = render(routers={"traefik": True, "istio": True})[f"{POLICY}/canarium-routes"]
    asked = [each["expression"].count("authorizer.") for each in spec["variables"]]
    assert (max(asked), sum(asked)) == (1, 9)  # one for the route, one for each of eight Services
    assert not any("authorizer." in each["expression"] for each in spec["validations"])


def test_the_right_to_create_tells_nothing_where_host_names_alone_count() -> None:
    spec = render(admissionPolicies={"routes": "HostnamesOnly"})[f"{POLICY}/canarium-routes"]
    assert "'create'" not in json.dumps(spec)
    assert "you may not create" not in json.dumps(spec)


def test_exceptions_are_written_as_lists_of_texts_whatever_they_hold() -> None:
    hostile = "x\"] || true || request.userInfo.username in ['"
    found = render(admissionPolicies={"trustedUsers": [hostile], "trustedGroups": []})
    conditions = found[f"{POLICY}/canarium-status"]["matchConditions"]
    users = json.dumps(["system:serviceaccount:canarium:canarium", hostile], separators=(",", ":"))
    assert [condition["expression"] for condition in conditions] == [
        f"!(request.userInfo.username in {users})",
        "!request.userInfo.groups.exists(group, group in [])",
    ]
