"""What a user does so that the operator may read one Secret of theirs."""

import base64

from testbed.operators.account import make_subject, wait_for_rights
from testbed.scenario.scenario import Scenario

RBAC = "rbac.authorization.k8s.io"


def grant(rehearsal: Scenario, name: str, **data: str) -> None:
    """What a user does: a Secret, and a Role by which the operator may get that one.

    It may when this returns.
    """
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    about = {"metadata": {"name": name}}
    rule = {"apiGroups": [""], "resources": ["secrets"], "resourceNames": [name], "verbs": ["get"]}
    role = {"apiGroup": RBAC, "kind": "Role", "name": name}
    assert rehearsal.operator is not None
    subjects = [make_subject(rehearsal.operator.namespace)]
    version, home = f"{RBAC}/v1", {"name": name, "namespace": rehearsal.namespace}
    given = {"apiVersion": version, "kind": "Role", **about, "rules": [rule]}
    bound = {
        "apiVersion": version,
        "kind": "RoleBinding",
        "metadata": home,
        "roleRef": role,
        "subjects": subjects,
    }
    secret = {"apiVersion": "v1", "kind": "Secret", **about, "data": encoded}
    rehearsal.apply(secret, given, bound)
    wait_for_rights(rehearsal.apiserver, [given, bound])
