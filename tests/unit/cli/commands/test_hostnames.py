"""`canarium hostnames`, and its rules, which are those of the chart's policy.

That the policy's CEL says the same is shown on a real apiserver, in tests/security.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from canarium.cli.main import main
from canarium.cli.objects.given import (
    Policy,
    list_given,
    list_missing,
    list_services,
    read_policy,
)

from tests.unit.cli.fake_apiserver import FakeApiserver, serve

Json = dict[str, Any]
FOREIGN = [{"name": "public", "namespace": "gateways"}]
ALL = Policy((), frozenset({"GatewayAPI", "Traefik", "Istio"}), frozenset())
PAY = "pay.example.com"


def make_model(name: str = "fraud", namespace: str = "risk", **traffic: Any) -> Json:
    about = {"name": name, "namespace": namespace}
    return {"metadata": about, "spec": {"traffic": traffic} if traffic else {}}


def make_namespace(name: str, given: str | None = None) -> Json:
    annotations = {} if given is None else {"canarium.dev/hostnames": given}
    return {"metadata": {"name": name, "annotations": annotations}}


def make_policy(**annotations: str) -> Json:
    found = {f"canarium.dev/{key}": value for key, value in annotations.items()}
    return {"metadata": {"name": "canarium-routes", "annotations": found}}


@pytest.mark.parametrize(
    ("traffic", "missing"),
    [
        ({}, ()),
        ({"router": "Replicas"}, ()),
        ({"parentRefs": [{"name": "own"}], "hostnames": [PAY]}, ()),
        ({"parentRefs": [{"name": "own", "namespace": "risk"}], "hostnames": [PAY]}, ()),
        ({"parentRefs": FOREIGN, "hostnames": [PAY]}, (f"{PAY}/",)),
        ({"parentRefs": FOREIGN, "hostnames": [PAY], "router": "Istio"}, (f"{PAY}/",)),
        ({"router": "Istio", "hostnames": [PAY]}, ()),
        ({"router": "Traefik", "hostnames": [PAY]}, (f"{PAY}/",)),
        ({"hostnames": [PAY]}, (f"{PAY}/",)),
        ({"paths": [{"value": "/a"}]}, ("every host name",)),
        ({"parentRefs": FOREIGN}, ("every host name",)),
        ({"parentRefs": [{"kind": "Service", "group": "", "name": "a"}]}, ("every host name",)),
    ],
)
def test_what_is_asked_for_at_an_entrance_of_all_has_to_be_given(
    traffic: Json, missing: tuple[str, ...]
) -> None:
    assert list_missing(make_model(**traffic), ALL, ()) == missing
    assert list_missing(make_model(**traffic), ALL, ("*",)) == ()
    nothing_on = Policy((), frozenset(), frozenset())
    assert list_missing(make_model(**traffic), nothing_on, ()) == ()


GIVEN = ("*.risk.example.com", "models.example.com/risk", "A.example.com/b/", "*/c", "*.")


@pytest.mark.parametrize(
    ("hostname", "path", "missing"),
    [
        ("a.risk.example.com", "/", ()),
        ("*.b.risk.example.com", "/x", ()),
        ("arisk.example.com", "/", ("arisk.example.com/",)),
        ("risk.example.com", "/", ("risk.example.com/",)),
        ("models.example.com", "/risk", ()),
        ("models.example.com", "/risk/a", ()),
        ("models.example.com", "/riskier", ("models.example.com/riskier",)),
        ("models.example.com", "/", ("models.example.com/",)),
        ("a.example.com", "/b", ()),
        ("a.example.com", "/b/c", ()),
        ("a.example.com", "/c", ("a.example.com/c",)),
    ],
)
def test_entries_are_compared_by_whole_labels_and_segments(
    hostname: str, path: str, missing: tuple[str, ...]
) -> None:
    model = make_model(parentRefs=FOREIGN, hostnames=[hostname], paths=[{"value": path}])
    assert list_missing(model, ALL, GIVEN) == missing


def test_a_service_is_named_with_its_namespace() -> None:
    refs = [{"kind": "Service", "name": "a"}, {"kind": "Service", "name": "b", "namespace": "x"}]
    assert list_services(make_model(parentRefs=refs), ALL) == ("risk/a", "x/b")
    assert list_services(make_model(parentRefs=FOREIGN), ALL) == ()
    assert list_services(make_model(), ALL) == ()


def test_entries_are_of_the_chart_and_of_the_namespace_and_only_so_many() -> None:
    policy = read_policy(
        make_policy(routers="GatewayAPI", hostnames="*.{namespace}.a,b/{namespace}")
    )
    assert policy is not None
    assert list_given(policy, make_namespace("x")) == ("*.x.a", "b/x")
    assert list_given(policy, make_namespace("x", " c ,d\n e")) == ("*.x.a", "b/x", "c", "d", "e")
    many = ",".join(f"h{number}" for number in range(70))
    assert list_given(policy, make_namespace("x", many))[-1] == "h63"
    assert read_policy(make_policy()) is None
    assert read_policy({"metadata": {"name": "canarium-status"}}) is None


POLICIES = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies"
EVERYWHERE = "/apis/canarium.dev/v1alpha1/modeldeployments"


def list_of(*items: Json) -> tuple[int, Json | str]:
    return 200, {"metadata": {"resourceVersion": "1"}, "items": list(items)}


def serve_all(models: list[Json], *policies: Json) -> FakeApiserver:
    namespaces = [make_namespace("risk", "*.risk.example.com"), make_namespace("x")]
    answers: dict[str, list[tuple[int, Json | str]]] = {
        f"GET {POLICIES}": [list_of(*policies)],
        f"GET {EVERYWHERE}": [list_of(*models)],
        "GET /api/v1/namespaces": [list_of(*namespaces)],
        "GET /api/v1/namespaces/risk": [(200, namespaces[0])],
    }
    return FakeApiserver(models[0], refusals=answers)


STORED = [
    make_model(parentRefs=FOREIGN, hostnames=["a.risk.example.com"]),
    make_model("pay", "x", parentRefs=FOREIGN, hostnames=["b.x.example.com", PAY]),
    make_model("gone", "deleted-meanwhile", parentRefs=FOREIGN),
]


def test_what_would_be_refused_is_listed_for_eyes_and_programs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    policy = make_policy(routers="GatewayAPI", hostnames="*.{namespace}.example.com")
    words = ["hostnames", "-A", "--kubeconfig"]
    with serve(serve_all(STORED, policy), tmp_path) as config:
        assert main([*words, str(config)]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "NAMESPACE   NAME   NOT GIVEN",
        "x           pay    pay.example.com/",
    ]
    with serve(serve_all(STORED, policy), tmp_path) as config:
        assert main([*words, str(config), "-o", "json"]) == 1
    about = {"namespace": "x", "name": "pay", "notGiven": ["pay.example.com/"], "services": []}
    assert json.loads(capsys.readouterr().out) == [about]


def test_a_route_of_a_service_is_listed_with_the_right_that_it_needs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refs = [{"group": "", "kind": "Service", "name": "pay", "namespace": "x"}]
    model = make_model(parentRefs=refs, hostnames=["a.risk.example.com"])
    with serve(serve_all([model], make_policy(routers="GatewayAPI")), tmp_path) as config:
        assert main(["hostnames", "--kubeconfig", str(config)]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "NAMESPACE   NAME    NOT GIVEN   NEEDS UPDATE ON SERVICES",
        "risk        fraud               x/pay",
    ]


@pytest.mark.parametrize(
    ("policies", "said"),
    [
        ([], "no policy asks about routes: admissionPolicies.routes of the chart is Off\n"),
        ([make_policy(routers="GatewayAPI", namespaces="other,risk")], ""),
    ],
)
def test_nothing_is_refused_where_no_policy_asks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], policies: list[Json], said: str
) -> None:
    with serve(serve_all(STORED, *policies), tmp_path) as config:
        assert main(["hostnames", "-A", "--kubeconfig", str(config)]) == 0
    out, err = capsys.readouterr()
    assert (out, err) == ("no ModelDeployment would be refused for its host names\n", said)
