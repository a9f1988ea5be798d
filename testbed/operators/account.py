"""The operator's account in the tests: the chart's ServiceAccount with the chart's own rules.

Where the chart is installed, it has made them. Where nodes are simulated nothing runs in pods, so
the chart is rendered, its rules are applied, and the operator runs as a process with a token of
that account: with the same rights either way.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import yaml

from testbed.addons.helm import render_chart
from testbed.cluster.cluster import Cluster
from testbed.cluster.credentials import write_private
from testbed.operators.apiserver import COLLECTIONS, Apiserver
from testbed.programs.processes import wait_until
from testbed.rights.ledger import note_granted

Json = dict[str, Any]
ACCOUNT = "canarium"
"The chart's ServiceAccount, and its release."
RIGHTS = frozenset({"ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"})
SWITCHED_ON: Json = {
    "routers": {"gatewayAPI": True, "traefik": True, "istio": False},
    "autoscalers": {"hpa": True, "keda": True},
    "usage": {"enabled": True},
    "jobs": {"enabled": True},
}
"""The values under test. Istio is off: no cluster of ours has it, so its rules could not be shown
to be needed. A process is told so by `running.DISABLED`, as the chart tells its pods."""
HOME = "-op"
"What the namespace of an operator for one other namespace ends in."
SOMEWHERE, SERVED = "rendered-for-somewhere", "rendered-to-serve"
TOKEN_SECONDS = 24 * 3600
RIGHTS_SECONDS = 60.0
ROLES = ("Role", "ClusterRole")
REVIEWS = "authorization.k8s.io"


def name_account(namespace: str) -> str:
    """The user that the account in a namespace is, as audit logs and bindings have it."""
    return f"system:serviceaccount:{namespace}:{ACCOUNT}"


def make_subject(namespace: str) -> Json:
    """The account as a subject of somebody's RoleBinding."""
    return {"kind": "ServiceAccount", "name": ACCOUNT, "namespace": namespace}


def render_rights(namespace: str, watched: Sequence[str] | None = None) -> list[Json]:
    """What the chart gives the operator's account when it is installed in a namespace.

    It serves the namespaces `watched`, all of them when there is none, and this one unless told.
    """
    served = [namespace] if watched is None else list(watched)
    asked = tuple(f"{SERVED}-{number}" for number, _ in enumerate(served))
    text = _render(asked).replace(SOMEWHERE, namespace)
    for placeholder, name in zip(asked, served, strict=True):
        text = text.replace(placeholder, name)
    return list(json.loads(text))


@cache
def _render(watched: tuple[str, ...]) -> str:
    """Rendered once a process, since Helm takes a fifth of a second of processor time."""
    objects = render_chart({**SWITCHED_ON, "watch": {"namespaces": list(watched)}}, SOMEWHERE)
    return json.dumps(find_rights(objects))


def find_rights(objects: Sequence[Json]) -> list[Json]:
    """Of the chart's objects, the account and what gives it something."""
    return [found for found in objects if _is_of_the_account(found, objects)]


def _is_of_the_account(found: Mapping[str, Any], objects: Sequence[Mapping[str, Any]]) -> bool:
    """Whether it is the account or gives it something; the roles for users don't."""
    if found["kind"] in ROLES:
        return any(_refers(other, found) for other in objects)
    return found["kind"] in RIGHTS


def _refers(binding: Mapping[str, Any], role: Mapping[str, Any]) -> bool:
    ref = binding.get("roleRef", {})
    return (ref.get("kind"), ref.get("name")) == (role["kind"], role["metadata"]["name"])


def give_account(
    cluster: Cluster, namespace: str, directory: Path, watched: Sequence[str] | None = None
) -> Path:
    """Give the operator its account in a namespace; the kubeconfig of it.

    `watched` as in `render_rights`. All these namespaces have to exist. The rights are in force
    when this returns.
    """
    rights, apiserver = render_rights(namespace, watched), Apiserver(cluster.kubeconfig)
    for found in rights:
        about = found["metadata"]
        path = COLLECTIONS[found["kind"]].path(about.get("namespace"), about["name"])
        apiserver.apply(path, found)
    wait_for_rights(apiserver, rights)
    note_granted(cluster, rights)
    token = fetch_token(apiserver, namespace)
    return write_kubeconfig(cluster, token, directory / f"{namespace}-operator.yaml")


def wait_for_rights(apiserver: Apiserver, objects: Sequence[Json]) -> None:
    """Wait until the authorizer has heard of all roles and bindings among these objects.

    It does a moment after they were written; what is asked for in between is refused.
    """
    bindings = [found for found in objects if "roleRef" in found]
    roles = {id(each): _find_role(each, objects) for each in bindings}
    for binding in bindings:
        others = [roles[id(each)]["rules"] for each in bindings if each is not binding]
        rule = _find_own(roles[id(binding)]["rules"], [rule for rules in others for rule in rules])
        (subject,) = binding["subjects"]
        user = name_account(subject["namespace"])
        namespace = str(binding["metadata"].get("namespace", ""))
        if not wait_until(partial(may, apiserver, user, rule, namespace), RIGHTS_SECONDS):
            raise AssertionError(f"{binding['metadata']['name']} is not in force")


def _find_role(binding: Json, objects: Sequence[Json]) -> Json:
    return next(found for found in objects if found["kind"] in ROLES and _refers(binding, found))


def _find_own(rules: Sequence[Json], others: Sequence[Json]) -> Json:
    """A rule that nobody else has, if there is any."""
    asked = [rule for rule in rules if rule.get("resources")]
    return next((rule for rule in asked if rule not in others), asked[0])


def may(apiserver: Apiserver, user: str, rule: Mapping[str, Any], namespace: str) -> bool:
    """Whether the authorizer lets a user do the last that a rule allows."""
    resource, _, subresource = rule["resources"][-1].partition("/")
    asked = {
        "namespace": namespace,
        "group": rule["apiGroups"][-1],
        "resource": resource,
        "subresource": subresource,
        "verb": rule["verbs"][-1],
        "name": rule.get("resourceNames", [""])[-1],
    }
    spec = {"user": user, "resourceAttributes": {k: v for k, v in asked.items() if v}}
    about = {"apiVersion": f"{REVIEWS}/v1", "kind": "SubjectAccessReview"}
    path = f"/apis/{REVIEWS}/v1/subjectaccessreviews"
    return bool(apiserver.create(path, {**about, "spec": spec})["status"]["allowed"])


def fetch_token(apiserver: Apiserver, namespace: str) -> str:
    """A token of the account, as the kubelet would mount it into the operator's pod."""
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{ACCOUNT}/token"
    asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest"}
    found = apiserver.create(path, {**asked, "spec": {"expirationSeconds": TOKEN_SECONDS}})
    return str(found["status"]["token"])


def write_kubeconfig(cluster: Cluster, token: str, path: Path) -> Path:
    """The cluster's kubeconfig with somebody's token in place of the admin's credentials."""
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    (user,) = config["users"]
    user["user"] = {"token": token}
    write_private(path, json.dumps(config, indent=1) + "\n")
    return path
