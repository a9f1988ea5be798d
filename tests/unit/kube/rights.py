"""The rights that the table of kinds asks for, and those that a rendered chart gives."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from canarium.core.kinds import Row

Json = dict[str, Any]
OWNER = "rbac.ownerReferencesPermissionEnforcement"
"""Where the apiserver enforces who may block a deletion, whoever makes a child that names its owner
has to be able to update the owner's finalizers."""


class Right(NamedTuple):
    """One verb on one resource, where; `name` is "" for all objects."""

    role: str
    namespace: str
    group: str
    resource: str
    verb: str
    name: str = ""


def list_needed(
    rows: Iterable[Row], values: Mapping[str, Any], switches: Mapping[str, str]
) -> set[Right]:
    """What the operator needs by these rows, where the chart has these values."""
    return {
        Right(role, namespace, row.group, resource, verb, name)
        for row in rows
        if _is_given(switches.get(row.feature, row.value), values)
        for role, namespace in _list_places(row, values)
        for resource, verb in _list_verbs(row, values)
        for name in _list_names(row, verb)
    }


def list_given(objects: Iterable[Json], accounts_roles: Iterable[str]) -> set[Right]:
    """What these objects give by the roles of these names."""
    return {
        Right(item["kind"], item["metadata"].get("namespace", ""), group, resource, verb, name)
        for item in objects
        if item["kind"] in ("ClusterRole", "Role") and item["metadata"]["name"] in accounts_roles
        for rule in item["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
        for name in rule.get("resourceNames", [""])
    }


def _is_given(switch: str, values: Mapping[str, Any]) -> bool:
    found: Any = values
    for part in switch.split(".") if switch else ():
        found = found.get(part, False)
    return bool(found)


def _list_places(row: Row, values: Mapping[str, Any]) -> list[tuple[str, str]]:
    served = [("Role", name) for name in values["watch"]["namespaces"]]
    places = {
        "Served": served or [("ClusterRole", "")],
        "Cluster": [("ClusterRole", "")],
        "Operator": [("Role", "canarium")],
        "Opened": [],
    }
    return places[row.scope]


def _list_verbs(row: Row, values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield from ((row.plural, verb) for verb in row.verbs)
    if row.writes_status:
        yield f"{row.plural}/status", "patch"
    if row.kind == "ModelDeployment" and _is_given(OWNER, values):
        yield f"{row.plural}/finalizers", "update"


def _list_names(row: Row, verb: str) -> tuple[str, ...]:
    """A right to create cannot be narrowed to a name."""
    if row.kind == "Lease":
        return ("",) if verb == "create" else ("canarium-operator",)
    return row.only or ("",)
