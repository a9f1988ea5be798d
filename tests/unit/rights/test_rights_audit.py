"""Audit logs as rights that were used or refused, and what is said when they don't fit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from testbed.failed import RUN
from testbed.rights.__main__ import main
from testbed.rights.judging import find_problems
from testbed.rights.ledger import Expected, Page, find_granted
from testbed.rights.requests import Asked, Refusal, Right, count_asked

ACCOUNT = "system:serviceaccount:risk:canarium"
LIST_PODS = Right("", "pods", "list")
PATCH_STATUS = Right("canarium.dev", "modeldeployments/status", "patch")
GET_SECRET = Right("", "secrets", "get")


def entry(right: Right, **fields: Any) -> bytes:
    """One line of an audit log: a request that was allowed, in namespace risk, unless told."""
    resource, _, subresource = right.resource.partition("/")
    ref = {"resource": resource, "namespace": "risk", "apiGroup": right.group}
    line = {
        "stage": "ResponseComplete",
        "verb": right.verb,
        "user": {"username": ACCOUNT},
        "requestURI": "/",
        "objectRef": ref | ({"subresource": subresource} if subresource else {}),
        "annotations": {"authorization.k8s.io/decision": "allow"},
    }
    return json.dumps(line | fields).encode()


FORBIDDEN = {"annotations": {"authorization.k8s.io/decision": "forbid"}}


def refuse(right: Right, namespace: str = "risk") -> Refusal:
    return Refusal(ACCOUNT, right, namespace)


def page(**fields: Any) -> Page:
    """A cluster where what was given is what was used."""
    fitting: dict[str, Any] = {
        "cluster": "node",
        "granted": [LIST_PODS],
        "expected": [],
        "used": [(LIST_PODS, 3)],
        "refused": [],
    }
    return Page(**(fitting | fields))


def test_what_was_allowed_is_counted_by_group_resource_with_subresource_and_verb() -> None:
    lines = [entry(LIST_PODS), entry(LIST_PODS), entry(PATCH_STATUS)]
    assert count_asked(lines) == Asked(used={LIST_PODS: 2, PATCH_STATUS: 1})


def test_a_refusal_of_rbac_is_no_use_and_says_where() -> None:
    assert count_asked([entry(GET_SECRET, **FORBIDDEN)]) == Asked(refused={refuse(GET_SECRET): 1})


def test_a_403_that_came_after_rbac_had_allowed_it_is_a_use() -> None:
    quota = entry(LIST_PODS, responseStatus={"code": 403})
    assert count_asked([quota]) == Asked(used={LIST_PODS: 1})


def test_an_apply_that_made_the_object_used_the_right_to_create_it_too() -> None:
    apply = Right("apps", "deployments", "patch")
    lines = [entry(apply, responseStatus={"code": code}) for code in (200, 201)]
    assert count_asked(lines).used == {apply: 2, Right("apps", "deployments", "create"): 1}


def test_what_is_no_resource_is_told_by_its_path_when_it_is_refused() -> None:
    line = entry(LIST_PODS, objectRef=None, requestURI="/metrics?x=1", verb="get", **FORBIDDEN)
    refusal = Refusal(ACCOUNT, Right("", "/metrics", "get"))
    assert count_asked([line]) == Asked(refused={refusal: 1})


@pytest.mark.parametrize(
    "user",
    [
        "system:serviceaccount:canarium:default",
        "system:serviceaccount:kube-system:canarium-other",
        "canarium",
        "person",
    ],
)
def test_nobody_elses_requests_count(user: str) -> None:
    assert count_asked([entry(LIST_PODS, user={"username": user})]) == Asked()


def test_a_request_counts_when_it_was_answered_and_not_when_it_came() -> None:
    assert count_asked([entry(LIST_PODS, stage="RequestReceived")]) == Asked()


def test_every_group_resource_and_verb_of_a_rule_is_a_right() -> None:
    rule = {"apiGroups": ["", "apps"], "resources": ["pods"], "verbs": ["list", "watch"]}
    objects: list[dict[str, Any]] = [
        {"kind": "ClusterRole", "rules": [rule]},
        {"kind": "Service"},
        {"kind": "Role"},
    ]
    assert find_granted(objects) == {
        Right(group, "pods", verb) for group in ("", "apps") for verb in ("list", "watch")
    }


def test_rights_that_are_all_used_and_suffice_are_no_problem() -> None:
    assert find_problems([page()]) == []


def test_what_one_cluster_alone_used_is_used() -> None:
    given = page(granted=[LIST_PODS, PATCH_STATUS])
    other = page(cluster="other", granted=[PATCH_STATUS], used=[(PATCH_STATUS, 1)])
    assert find_problems([given, other]) == []


def test_a_rule_that_nothing_used_is_a_problem() -> None:
    assert find_problems([page(granted=[LIST_PODS, PATCH_STATUS])]) == [
        "granted and never used: patch modeldeployments/status.canarium.dev"
    ]


def test_where_a_cluster_keeps_no_log_nobody_says_what_was_not_used() -> None:
    expected = [Expected(namespace="risk", right=GET_SECRET, why="no Role yet")]
    silent = page(granted=[PATCH_STATUS], expected=expected, used=[], audited=False)
    assert find_problems([page(), silent]) == []


def test_a_right_from_elsewhere_is_a_problem_unless_people_give_it() -> None:
    used = [(LIST_PODS, 1), (GET_SECRET, 1), (PATCH_STATUS, 1)]
    assert find_problems([page(used=used)]) == [
        "used, and not granted by the chart: patch modeldeployments/status.canarium.dev"
    ]


def test_a_right_of_values_that_are_not_under_test_may_be_used_and_need_not_be() -> None:
    spared = [GET_SECRET, PATCH_STATUS]
    assert find_problems([page(spared=spared, used=[(LIST_PODS, 1), (PATCH_STATUS, 1)])]) == []


def test_a_refusal_is_a_problem_unless_it_was_to_come_in_that_namespace() -> None:
    expected = [Expected(namespace="risk", right=GET_SECRET, why="no Role yet")]
    refused = [(refuse(GET_SECRET), 2), (refuse(GET_SECRET, "other"), 1)]
    assert find_problems([page(expected=expected, refused=refused)]) == [
        f"refused 1 times on node: {ACCOUNT} may not get secrets in namespace other"
    ]


def test_an_account_that_goes_before_its_operator_may_be_refused_anything() -> None:
    refused = [(refuse(PATCH_STATUS), 1)]
    assert find_problems([page(refused=refused, uninstalled=[ACCOUNT])]) == []
    assert len(find_problems([page(refused=refused, uninstalled=["somebody"])])) == 1


def test_a_refusal_that_was_to_come_and_did_not_is_a_problem() -> None:
    expected = [Expected(namespace="risk", right=GET_SECRET, why="no Role yet")]
    assert find_problems([page(expected=expected)]) == [
        "to be refused on node (no Role yet) and never was: get secrets in namespace risk"
    ]


@pytest.mark.parametrize("pages", [[], [page(used=[])]])
def test_a_run_that_asked_for_nothing_shows_nothing(pages: list[Page]) -> None:
    (problem,) = find_problems(pages)
    assert problem.startswith("no request of the operator's was handed in")


@pytest.mark.parametrize(("granted", "code"), [([LIST_PODS], 0), ([LIST_PODS, GET_SECRET], 1)])
def test_the_step_fails_when_there_is_a_problem(
    tmp_path: Path,
    granted: list[Right],
    code: int,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    noted = tmp_path / "noted"
    noted.touch()
    monkeypatch.setenv(RUN, str(noted))
    (tmp_path / "node.json").write_bytes(msgspec.json.encode(page(granted=granted)))
    assert main([str(tmp_path)]) == code
    for said in (capsys.readouterr().out, noted.read_text()):
        assert ("never used: get secrets" in said) == bool(code)
