"""Line 15: what the operator itself may do, and how its pod runs, by every set of values."""

from __future__ import annotations

from functools import cache
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from testbed.addons.helm import render_chart
from testbed.scenario.manifests import Json
from tests.security.estate import OPERATOR, Estate, Place, is_taken

Values = dict[str, Any]
EVERYTHING: Values = {
    "routers": {"gatewayAPI": True, "traefik": True, "istio": True},
    "autoscalers": {"hpa": True, "keda": True},
}
NOTHING: Values = {
    "routers": {"gatewayAPI": False, "traefik": False, "istio": False},
    "autoscalers": {"hpa": False, "keda": False},
    "usage": {"enabled": False},
    "jobs": {"enabled": False},
}
VALUES: dict[str, Values] = {
    "plain": {},
    "everything": EVERYTHING,
    "nothing": NOTHING,
    "namespaces": {"watch": {"namespaces": ["a", "b"]}, **EVERYTHING},
}
DANGEROUS = {"*", "escalate", "bind", "impersonate", "deletecollection"}
FORBIDDEN = {"secrets", "serviceaccounts/token", "pods/exec", "nodes", "clusterroles", "roles"}


@cache
def render(name: str) -> list[Json]:
    """The chart with one of the sets of values."""
    return render_chart(VALUES[name])


def rules_of_the_operator(name: str) -> list[Json]:
    """Every rule of every role that is bound to its service account."""
    chart = render(name)
    bound = {
        (item["roleRef"]["kind"], item["roleRef"]["name"])
        for item in chart
        if item["kind"] in ("ClusterRoleBinding", "RoleBinding")
    }
    roles = [item for item in chart if (item["kind"], item["metadata"]["name"]) in bound]
    return [rule for role in roles for rule in role["rules"]]


@pytest.mark.parametrize("name", VALUES)
def test_no_rule_has_a_wildcard_or_a_right_to_more_rights(name: str) -> None:
    rules = rules_of_the_operator(name)
    assert rules
    for rule in rules:
        assert "*" not in rule["apiGroups"]
        assert not DANGEROUS & {*rule["verbs"], *rule["resources"]}
        assert not FORBIDDEN & set(rule["resources"])
    specs = [rule for rule in rules if "modeldeployments" in rule["resources"]]
    assert [rule["verbs"] for rule in specs] == [["get", "list", "watch"]] * len(specs)


def test_the_rights_follow_the_values() -> None:
    """So that the tests above look at something: what is switched on is there."""
    groups = {
        name: {group for rule in rules_of_the_operator(name) for group in rule["apiGroups"]}
        for name in VALUES
    }
    assert groups["everything"] - groups["nothing"] == {
        "apiextensions.k8s.io",  # the definitions of two kinds of routes, by name
        "autoscaling",
        "batch",
        "gateway.networking.k8s.io",
        "keda.sh",
        "metrics.k8s.io",
        "networking.istio.io",
        "traefik.io",
    }


def may(estate: Estate, verb: str, resource: str, *options: str) -> bool:
    words = ("auth", "can-i", verb, resource, f"--as={OPERATOR}", *options)
    return is_taken(lambda: estate.cluster.kubectl(*words, "-q"))


def test_the_apiserver_says_the_same(estate: Estate, place: Place) -> None:
    everywhere = ("--all-namespaces",)
    assert may(estate, "create", "deployments.apps", *everywhere)
    for verb, resource in (
        ("get", "secrets"),
        ("list", "secrets"),
        ("get", "configmaps"),
        ("update", "modeldeployments.canarium.dev"),
        ("patch", "modeldeployments.canarium.dev"),
        ("create", "pods"),
        ("create", "serviceaccounts/token"),
        ("impersonate", "serviceaccounts"),
        ("bind", "clusterroles.rbac.authorization.k8s.io"),
        ("escalate", "roles.rbac.authorization.k8s.io"),
        ("create", "rolebindings.rbac.authorization.k8s.io"),
    ):
        assert not may(estate, verb, resource, *everywhere), (verb, resource)


def test_one_secret_is_the_users_to_open(estate: Estate, place: Place) -> None:
    here = ("-n", place.namespace)
    assert not may(estate, "get", "secrets/quality", *here)
    rule = {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["quality"]}
    place.grant(OPERATOR, {**rule, "verbs": ["get"]})
    assert may(estate, "get", "secrets/quality", *here)
    assert not may(estate, "get", "secrets/other", *here)
    assert not may(estate, "list", "secrets", *here)


@pytest.mark.parametrize("name", VALUES)
def test_its_pod_has_no_power_and_a_root_that_is_read_only(name: str) -> None:
    (deployment,) = [i for i in render(name) if i["kind"] == "Deployment"]
    spec = deployment["spec"]["template"]["spec"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] > 0
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
    assert all(set(volume) <= {"name", "configMap"} for volume in spec.get("volumes", []))
    (container,) = spec["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_what_it_may_connect_to_is_what_it_needs() -> None:
    """As rendered: whether it is kept to is the network plugin's matter, and ours here has none."""
    (policy,) = [item for item in render("namespaces") if item["kind"] == "NetworkPolicy"]
    (deployment,) = [item for item in render("namespaces") if item["kind"] == "Deployment"]
    spec = policy["spec"]
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert labels.items() >= spec["podSelector"]["matchLabels"].items()
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    assert [rule["ports"] for rule in spec["ingress"]] == [[{"port": "http", "protocol": "TCP"}]]

    names, apiserver, models, *sources = spec["egress"]
    assert {port["port"] for port in names["ports"]} == {53}
    assert {port["port"] for port in apiserver["ports"]} == {443, 6443}
    blocks = [block["ipBlock"] for block in apiserver["to"]]
    assert [block["cidr"] for block in blocks] == ["0.0.0.0/0", "::/0"]
    left_out = [ip_network(network) for block in blocks for network in block["except"]]
    for metadata in ("169.254.169.254", "100.100.100.200", "fd00:ec2::254", "64:ff9b::a9fe:a9fe"):
        assert any(ip_address(metadata) in network for network in left_out)
    for block in blocks:
        inside = ip_network(block["cidr"])
        assert all(ip_network(one).subnet_of(inside) for one in block["except"])  # type: ignore[arg-type]
    ours = {"key": "canarium.dev/model", "operator": "Exists"}
    (where,) = models["to"]
    assert where["podSelector"]["matchExpressions"] == [ours]
    (namespaces,) = where["namespaceSelector"]["matchExpressions"]
    assert namespaces["values"] == ["a", "b"]
    assert all(rule["to"] for rule in sources)
