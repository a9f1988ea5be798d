"""Line 7, Gateway API: nobody takes the host name of another namespace's model.

Gateways that take routes of all namespaces give a request to the route with the longer path. So
who gives a model a route could make one without a model, or uses host names of the namespace.
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from canarium.cli.main import main
from canarium.cli.objects.given import list_given, list_missing, read_policy

from testbed.addons.helm import RELEASE
from testbed.scenario.manifests import Json, simulated
from tests.security.estate import (
    HOSTNAMES,
    POLICY_SECONDS,
    RBAC,
    TENANT,
    Estate,
    Place,
    apply_all,
    is_taken,
    make_namespace,
    refusal,
    until,
)

pytestmark = [pytest.mark.timeout(600, func_only=True)]
GATEWAY = {"name": "public", "namespace": "gateways"}
PAY = "pay.example.com"
GROUP = "gateway.networking.k8s.io"
ROUTES = f"{RELEASE}-routes"
FORBIDDEN = "denied request: spec.traffic: the namespace "


def claim(*hostnames: str, paths: tuple[str, ...] = (), **fields: Any) -> Json:
    """A model that asks for host names and paths at a Gateway that takes routes of all."""
    traffic: Json = {"parentRefs": [GATEWAY], **fields}
    if hostnames:
        traffic["hostnames"] = list(hostnames)
    if paths:
        traffic["paths"] = [{"value": path} for path in paths]
    body = simulated("v1", traffic=traffic)
    body["spec"]["server"]["grpcPort"] = 8081
    return body


def at(*parents: Json, hostnames: tuple[str, ...] = (PAY,)) -> Json:
    return claim(*hostnames, parentRefs=list(parents))


def service(name: str, namespace: str | None = None) -> Json:
    about = {"group": "", "kind": "Service", "name": name}
    return about if namespace is None else {**about, "namespace": namespace}


def takes(place: Place, body: Json) -> bool:
    return is_taken(lambda: place.write(body, "--dry-run=server"))


def wait_taken(place: Place, body: Json) -> None:
    until(partial(takes, place, body), POLICY_SECONDS, f"a yes to {body['spec']['traffic']}")


def wait_refused(place: Place, body: Json) -> None:
    until(lambda: not takes(place, body), POLICY_SECONDS, f"a no to {body['spec'].get('traffic')}")


THEFTS = {
    "the-same": claim(PAY),
    "a-longer-path": claim(PAY, paths=("/v2/models/fraud/infer",)),
    "grpc": claim(PAY, protocol="GRPC"),
    "every-host-name": claim(),
    "every-host-name-with-a-longer-path": claim(paths=("/v2/models/fraud/infer",)),
    "a-wildcard": claim("*.example.com"),
    "a-listener-set": at({**GATEWAY, "group": GROUP, "kind": "ListenerSet"}),
    "one-of-two-gateways": at({"name": "own"}, GATEWAY),
    "named-router": claim(PAY, router="GatewayAPI"),
}


def test_a_host_name_of_others_is_not_to_be_had(estate: Estate, place: Place) -> None:
    with estate.without("routes"):
        wait_taken(place, THEFTS["a-longer-path"])
        assert [name for name, body in THEFTS.items() if not takes(place, body)] == []

    wait_refused(place, THEFTS["a-longer-path"])
    for name, body in THEFTS.items():
        said = place.refusal(body)
        kind = "grpcroutes" if name == "grpc" else "httproutes"
        assert f"{FORBIDDEN}{place.namespace} was not given " in said
        assert f", and you may not create {kind}.{GROUP} in it; it has no host names; " in said
        assert said.endswith(
            "have an administrator add yours to the annotation canarium.dev/hostnames of the"
            " Namespace, or give you that right by a Role"
        )


GIVEN = (
    "*.risk.example.com",
    "models.example.com/risk",
    "shared.example.com/a/b/",
    "Pay.Example.com",
)
COVERED = (
    claim("a.risk.example.com"),
    claim("a.b.risk.example.com", paths=("/",)),
    claim("*.risk.example.com"),
    claim("*.b.risk.example.com", PAY, protocol="GRPC"),
    claim(PAY, paths=("/anything", "/")),
    claim("models.example.com", paths=("/risk", "/risk/a", "/risk/")),
    claim("models.example.com", "a.risk.example.com", paths=("/risk",)),
    claim("shared.example.com", paths=("/a/b", "/a/b/c")),
    claim("models.example.com", parentRefs=[GATEWAY], paths=("/risk",), router="GatewayAPI"),
)
UNCOVERED = {
    "risk.example.com/": claim("risk.example.com"),
    "arisk.example.com/": claim("arisk.example.com"),
    "*.example.com/": claim("*.example.com"),
    "a.pay.example.com/": claim("a.pay.example.com"),
    "models.example.com/": claim("models.example.com"),
    "models.example.com/riskier": claim("models.example.com", paths=("/risk", "/riskier")),
    "models.example.com/Risk": claim("models.example.com", paths=("/Risk",)),
    "models.example.com/%72isk": claim("models.example.com", paths=("/%72isk",)),
    "shared.example.com/a": claim("shared.example.com", paths=("/a",)),
    "fraud.example.com/risk": claim("a.risk.example.com", "fraud.example.com", paths=("/risk",)),
    "every host name (spec.traffic.hostnames is empty)": claim(paths=("/risk",)),
}


def test_entries_are_compared_by_whole_labels_and_segments(place: Place) -> None:
    place.give(*GIVEN)
    wait_taken(place, claim(PAY))

    assert [body["spec"]["traffic"] for body in COVERED if not takes(place, body)] == []
    assert [name for body in COVERED for name in list_without(place, body)] == []
    listed = "; its host names: " + ", ".join(GIVEN)
    for missing, body in UNCOVERED.items():
        said = place.refusal(body)
        assert f" was not given {missing}, and you may not" in said
        assert list_without(place, body) == (missing.partition(" (")[0],)
        assert listed in said
    grpc = claim("models.example.com", protocol="GRPC")
    assert "was not given models.example.com/, and you may not create grpc" in place.refusal(grpc)


def list_without(place: Place, body: Json) -> tuple[str, ...]:
    """What `canarium hostnames` says is missing: its rules are written twice."""
    policy = next(item for item in place.estate.chart if item["metadata"]["name"] == ROUTES)
    asked = read_policy(policy)
    assert asked is not None
    namespace = json.loads(place.admin("get", "namespace", place.namespace, "-o", "json"))
    stored = {**body, "metadata": {**body["metadata"], "namespace": place.namespace}}
    return list_missing(stored, asked, list_given(asked, namespace))


def test_a_star_is_for_everything_and_only_by_itself(estate: Estate, place: Place) -> None:
    place.give("*")
    for body in THEFTS.values():
        wait_taken(place, body)

    with estate.without("hostnames"):  # or it could not be written
        until(lambda: is_taken(lambda: place.give("*/risk", "*.")), POLICY_SECONDS, "the odd one")
    wait_refused(place, claim(PAY))
    assert not takes(place, claim(PAY, paths=("/risk",)))
    assert not takes(place, claim(paths=("/risk",)))


def test_who_could_make_such_a_route_may_let_a_model_have_it(place: Place) -> None:
    rule = {"apiGroups": [GROUP], "verbs": ["create"]}
    assert not takes(place, claim(PAY))
    place.grant(TENANT, {**rule, "resources": ["httproutes"]})
    wait_taken(place, claim(PAY, paths=("/longer",)))

    assert f"you may not create grpcroutes.{GROUP}" in place.refusal(claim(PAY, protocol="GRPC"))
    place.grant(TENANT, {**rule, "resources": ["grpcroutes"]}, name="grpc")
    wait_taken(place, claim(PAY, protocol="GRPC"))


def test_a_gateway_of_ones_own_namespace_needs_nothing(place: Place) -> None:
    own = {"name": "own"}
    listeners = {"group": GROUP, "kind": "ListenerSet", "name": "own"}
    for parent in (own, {**own, "namespace": place.namespace}, listeners):
        place.write(at(parent), "--dry-run=server")
    assert not takes(place, at({**own, "namespace": "gateways"}))


def test_a_route_of_a_service_needs_the_right_to_change_that_service(place: Place) -> None:
    """Beside the host names; and each of eight Services is asked about."""
    theirs = make_namespace(f"{place.namespace}-x")
    apply_all(place.estate.cluster, [theirs])
    other = theirs["metadata"]["name"]
    parents = [*(service(f"s{number}") for number in range(7)), service("pay", other)]
    body = at(*parents, hostnames=())
    assert "was not given every host name" in place.refusal(body)
    place.give("*")
    until(lambda: needs_update("s0", place.namespace) in place.refusal(body), POLICY_SECONDS, "s0")

    rule = {"apiGroups": [""], "resources": ["services"], "verbs": ["update"]}
    place.grant(TENANT, {**rule, "resourceNames": [f"s{number}" for number in range(7)]})
    until(lambda: needs_update("pay", other) in place.refusal(body), POLICY_SECONDS, "the last")
    grant_elsewhere(place, other, {**rule, "resourceNames": ["pay"]})
    wait_taken(place, body)
    assert needs_update("payments", other) in place.refusal(at(service("payments", other)))
    place.estate.cluster.kubectl("delete", "namespace", other, "--wait=false")


def needs_update(name: str, namespace: str) -> str:
    return f"so it needs the verb update on services/{name} in the namespace {namespace}; be given"


def grant_elsewhere(place: Place, namespace: str, *rules: Json) -> None:
    """A Role for the tenant in another namespace."""
    api = f"{RBAC}/v1"
    about = {"name": "granted", "namespace": namespace}
    role = {"apiVersion": api, "kind": "Role", "metadata": about, "rules": list(rules)}
    subject = {"apiGroup": RBAC, "kind": "User", "name": TENANT}
    refers = {"apiGroup": RBAC, "kind": "Role", "name": "granted"}
    bound = {"apiVersion": api, "kind": "RoleBinding", "metadata": about, "subjects": [subject]}
    apply_all(place.estate.cluster, [role, {**bound, "roleRef": refers}])
    place.estate.wait_for_right(TENANT, rules[-1], namespace)


def test_what_is_stored_stays_and_is_asked_about_when_the_traffic_changes(place: Place) -> None:
    place.apply(claim(PAY))

    place.tenant("scale", "mdep", "iris", "--replicas=3")
    place.tenant("annotate", "mdep", "iris", "canarium.dev/abort=x@1", "team=risk")
    patch(place, {"rollout": {"paused": True}, "model": {"version": "v2"}})
    for change in (
        {"paths": [{"value": "/longer"}]},
        {"protocol": "GRPC"},
        {"hostnames": [PAY, "a.example.com"]},
        {"parentRefs": [{**GATEWAY, "sectionName": "https"}]},
    ):
        said = refusal(partial(patch, place, {"traffic": change}))
        assert FORBIDDEN in said
    patch(place, {"traffic": None})
    assert FORBIDDEN in refusal(partial(patch, place, claim(PAY)["spec"]))


def patch(place: Place, spec: Json) -> None:
    place.tenant("patch", "mdep", "iris", "--type=merge", "-p", json.dumps({"spec": spec}))


def test_one_value_gives_every_namespace_host_names_of_its_own(
    estate: Estate, place: Place
) -> None:
    """For people, for Argo CD and Flux, whether they act for the team or for the cluster."""
    ours = claim(f"iris.{place.namespace}.models.example.com")
    by_path = claim("models.example.com", paths=(f"/{place.namespace}/iris",))
    assert not takes(place, ours)
    flux = f"system:serviceaccount:{place.namespace}:flux"
    rule = {"apiGroups": ["canarium.dev"], "resources": ["modeldeployments"]}
    place.grant(flux, {**rule, "verbs": ["get", "create", "patch"]}, name="flux")
    given = ["*.{namespace}.models.example.com", "models.example.com/{namespace}"]
    with estate.with_values({"admissionPolicies": {"hostnames": given}}):
        wait_taken(place, ours)
        wait_taken(place, by_path)
        theirs = claim("iris.others.models.example.com"), claim("models.example.com", paths=("/x",))
        assert [takes(place, body) for body in theirs] == [False, False]
        assert write_as(place, flux, ours)
        assert not write_as(place, flux, theirs[0])

        place.give(PAY)
        wait_taken(place, claim(PAY))
        assert takes(place, ours)
    wait_refused(place, ours)


def write_as(place: Place, user: str, body: Json) -> bool:
    words = ("apply", "--dry-run=server", f"--as={user}", "-f", "-")
    return is_taken(lambda: place.admin(*words, stdin=json.dumps(body)))


def test_where_host_names_alone_count_the_right_to_create_tells_nothing(
    estate: Estate, place: Place
) -> None:
    def may(body: Json) -> bool:
        return is_taken(
            lambda: place.admin("apply", "--dry-run=server", "-f", "-", stdin=json.dumps(body))
        )

    assert may(claim(PAY))
    with estate.with_values({"admissionPolicies": {"routes": "HostnamesOnly"}}):
        until(lambda: not may(claim(PAY)), POLICY_SECONDS, "a policy in force")
        said = place.refusal(claim(PAY))
        assert f"{place.namespace} was not given {PAY}/; it has no host names; have an" in said
        assert said.endswith("canarium.dev/hostnames of the Namespace")
        place.give(PAY)
        until(lambda: may(claim(PAY)), POLICY_SECONDS, "a host name that was given")
        assert takes(place, claim(PAY))
        assert not may(claim())
    assert may(claim())


def test_the_largest_lists_are_compared_and_do_not_end_in_a_budget(
    estate: Estate, place: Place
) -> None:
    """128 entries that fit all of sixteen host names, sixteen paths; the last entry is for them."""
    suffix = "a-team-with-a-rather-long-name.models.example.com"
    ours = "/v2/models/of-a-team/that-has-a-long-name"
    hostnames = [f"model-{number}.{suffix}" for number in range(16)]
    body = claim(*hostnames, paths=tuple(f"{ours}/{number}" for number in range(16)))
    prefix = f"*.{suffix}{ours}s"
    values = {"admissionPolicies": {"hostnames": [f"{prefix}/a{number}" for number in range(64)]}}
    with estate.with_values(values):
        place.give(*(f"{prefix}/b{number}" for number in range(63)), f"*.{suffix}{ours}")
        wait_taken(place, body)
        place.give(*(f"{prefix}/b{number}" for number in range(64)))
        wait_refused(place, body)
        assert f"was not given {hostnames[0]}{ours}/0, {hostnames[1]}" in place.refusal(body)
        with_more = [f"{prefix}/c{number}" for number in range(65)]
        assert "write 64 entries at most" in refusal(lambda: place.give(*with_more))
    wait_refused(place, body)


def test_people_hear_before_they_apply_and_administrators_what_is_stored(
    place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "fraud.yaml"
    file.write_text(json.dumps(claim(PAY, paths=("/longer",))))
    cluster = place.estate.cluster
    here = ["-n", place.namespace, "--kubeconfig"]
    explain = ["explain", str(file), "--dry-run", *here, str(cluster.kubeconfig_for(TENANT))]
    hostnames = ["hostnames", *here, str(cluster.kubeconfig)]

    assert main(explain) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"{file}: iris: spec.traffic: the namespace {place.namespace} was not")
    assert place.admin("get", "mdep", "-o", "name") == ""

    place.apply(claim(PAY, paths=("/longer",)))
    assert main(explain) == 0  # it is stored so, and stays
    assert main(hostnames) == 1
    assert capsys.readouterr().out.splitlines()[-1].split() == [
        place.namespace,
        "iris",
        f"{PAY}/longer",
    ]
    place.give(f"{PAY}/longer")
    assert main(hostnames) == 0


# --- who gives host names


@pytest.fixture
def namespaced(place: Place) -> Place:
    """The tenant may write the Namespace itself, as some admins of namespaces may."""
    rule = {"apiGroups": [""], "resources": ["namespaces", "namespaces/status"]}
    place.grant(TENANT, {**rule, "verbs": ["get", "update", "patch"]})
    until(
        lambda: is_taken(lambda: annotate(place, "team=risk")), POLICY_SECONDS, "a right to write"
    )
    return place


def annotate(place: Place, *words: str) -> None:
    place.tenant("annotate", "--overwrite", "namespace", place.namespace, *words)


ONLY = (
    f"{HOSTNAMES}: the annotation gives host names to a namespace, so only who may update all"
    " namespaces writes it"
)


def test_nobody_gives_host_names_to_the_namespace_that_is_their_own(
    estate: Estate, namespaced: Place
) -> None:
    def take(*words: str) -> str:
        body = json.dumps({"metadata": {"annotations": {HOSTNAMES: "*"}}})
        about = ("patch", "namespace", namespaced.namespace, "--type=merge", "-p", body)
        return namespaced.tenant(*about, "--dry-run=server", *words)

    with estate.without("hostnames"):
        until(lambda: is_taken(take), POLICY_SECONDS, "a lifted policy")
        take("--subresource=status")
    until(lambda: not is_taken(take), POLICY_SECONDS, "a policy in force")
    assert ONLY in refusal(take)
    assert ONLY in refusal(lambda: take("--subresource=status"))

    namespaced.give(PAY)
    annotate(namespaced, "team=fraud")
    assert ONLY in refusal(lambda: annotate(namespaced, f"{HOSTNAMES}-"))


def test_nobody_makes_a_namespace_with_host_names_who_may_not_update_all(
    estate: Estate, place: Place
) -> None:
    """As where people make namespaces for themselves."""
    user, api = "maker", f"{RBAC}/v1"
    about = {"name": f"{place.namespace}-maker"}
    rule = {"apiGroups": [""], "resources": ["namespaces"]}
    subject = {"apiGroup": RBAC, "kind": "User", "name": user}

    def allow(*verbs: str) -> None:
        role = {"apiVersion": api, "kind": "ClusterRole", "metadata": about}
        apply_all(estate.cluster, [{**role, "rules": [{**rule, "verbs": list(verbs)}]}])

    def make(**annotations: str) -> str:
        body = make_namespace(f"{place.namespace}-new")
        body["metadata"]["annotations"] = annotations
        words = ("create", "--dry-run=server", f"--as={user}", "-f", "-")
        return place.admin(*words, stdin=json.dumps(body))

    allow("create")
    refers = {"apiGroup": RBAC, "kind": "ClusterRole", **about}
    bound = {"apiVersion": api, "kind": "ClusterRoleBinding", "metadata": about}
    apply_all(estate.cluster, [{**bound, "subjects": [subject], "roleRef": refers}])
    until(lambda: is_taken(make), POLICY_SECONDS, "a right to create")
    assert ONLY in refusal(lambda: make(**{HOSTNAMES: "*"}))

    allow("create", "update")
    until(lambda: is_taken(lambda: make(**{HOSTNAMES: "*"})), POLICY_SECONDS, "a right to update")
    for kind in ("clusterrolebinding", "clusterrole"):
        estate.cluster.kubectl("delete", kind, about["name"])


@pytest.mark.parametrize(
    "entry",
    ["*risk.example.com", "a..b", "*/risk", "a.example.com/*", "https://a.example.com", "-"],
)
def test_an_entry_that_says_nothing_is_refused_with_what_to_write(place: Place, entry: str) -> None:
    said = refusal(lambda: place.give(PAY, entry))
    assert f"{HOSTNAMES}: {entry} will not do; write host names such as fraud.example.com" in said
