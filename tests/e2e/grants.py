"""What a user does so that the operator may read one Secret of theirs."""

import base64

from tests.e2e.rights import USER
from tests.e2e.scenario import Scenario

RBAC = "rbac.authorization.k8s.io"


def grant(rehearsal: Scenario, name: str, **data: str) -> None:
    """What a user does: a Secret, and a Role by which the operator may get that one."""
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    about = {"metadata": {"name": name}}
    rule = {"apiGroups": [""], "resources": ["secrets"], "resourceNames": [name], "verbs": ["get"]}
    role = {"apiGroup": RBAC, "kind": "Role", "name": name}
    subjects = [{"apiGroup": RBAC, "kind": "User", "name": USER}]
    version = f"{RBAC}/v1"
    rehearsal.apply(
        {"apiVersion": "v1", "kind": "Secret", **about, "data": encoded},
        {"apiVersion": version, "kind": "Role", **about, "rules": [rule]},
        {
            "apiVersion": version,
            "kind": "RoleBinding",
            **about,
            "roleRef": role,
            "subjects": subjects,
        },
    )
