"""Lines 7, 9 and 10: gateways of others, addresses that lead inside, queries that are bent."""

from __future__ import annotations

import json
import re
from functools import partial
from urllib.parse import urlsplit

import pytest
from canarium.failures import NO_HTTP

from testbed.cluster.cluster import Cluster
from testbed.programs.progress import Progress
from testbed.scenario.manifests import Json, gateway, rollout, simulated
from testbed.scenario.scenario import Holds, condition, get_condition, named, phase
from tests.security.estate import (
    OPERATOR,
    Estate,
    Place,
    apply_all,
    is_taken,
    make_namespace,
    until,
)
from tests.security.inner import OPEN, inner, score, speaking, try_out

pytestmark = [pytest.mark.timeout(600, func_only=True)]
SECONDS = 120.0
WORDS = "AKIA-what-an-inner-server-answers"


@pytest.mark.parametrize("source", ["web", "prometheus"])
def test_an_address_that_leads_inside_is_asked_only_where_an_operator_opened_it(
    place: Place, source: str
) -> None:
    vector = {"resultType": "vector", "result": [{"metric": {}, "value": [0, "1"]}]}
    body = json.dumps({"score": 1, "status": "success", "data": vector})
    with inner(body=body) as server:
        asked = {"min": "1", "prometheus": {"address": server.url, "query": "up"}}
        metric = score(server.url) if source == "web" else asked
        place.operator.start()
        found = try_out(place, **metric)
        words = "score: cannot connect: 127.0.0.1 is not connected to: loopback address"
        assert get_condition(found, "Judged")["message"] == words
        assert server.asked == []
        place.operator.stop()

        place.operator.start(*OPEN)
        place.scenario.wait(phase("Healthy"), 240)
    assert server.asked
    assert not any("Authorization" in headers for headers in server.headers)


def test_a_webhook_that_leads_inside_is_told_only_where_an_operator_opened_it(
    place: Place,
) -> None:
    """And what it answers, or that it leads on, is in no status, event or log."""
    reads = {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}
    place.grant(OPERATOR, reads)
    receiver = {"name": "team", "type": "Webhook", "secretRef": {"name": "hook"}}
    with inner(body=WORDS) as secret, inner(302, WORDS, Location=secret.url) as front:
        address = {"url": f"{front.url}/hook"}
        about = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "hook"}}
        place.apply({**about, "stringData": address})
        terms = rollout((50, "1s"), guard={"duration": "0s"})
        place.operator.start()
        place.write(simulated("v1"))
        place.scenario.wait(phase("Healthy"), SECONDS)
        for version, options, words in (
            ("v2", (), "its address is not connected to: loopback address"),
            ("v3", OPEN, "HTTP status 302: redirects are not followed"),
        ):
            place.operator.start(*options)
            place.write(simulated(version, notifications=[receiver], rollout=terms))
            until(partial(has_said, place, words), SECONDS, words)
            assert bool(front.asked) == bool(options)
            place.scenario.wait(phase("Healthy"), SECONDS)
        assert set(front.asked) == {"/hook"}
        assert secret.asked == []
        assert not any("Authorization" in headers for headers in front.headers)
    events = place.admin("get", "events,mdep", "-o", "json")
    assert WORDS not in events + place.operator.log.read_text()


def has_said(place: Place, words: str) -> bool:
    """Whether the operator's log has these words."""
    return words in place.operator.log.read_text()


REFUSED = r"cannot connect: \S+ is not connected to: {} address"
INSIDE = {
    "http://169.254.169.254/": REFUSED.format("link-local"),
    "http://[::ffff:169.254.169.254]/": REFUSED.format("link-local"),
    "http://localhost:8080/metrics": "there is no such Service localhost in namespace .+",
    "http://2130706433/": "there is no such Service 2130706433 in namespace .+",
    "http://0x7f.1/": r"addresses\.allow lacks 0x7f\.1:80: it is no Service of namespace .+",
    "http://[::1]:8080/": REFUSED.format("loopback"),
    "http://100.100.100.200/": REFUSED.format("metadata"),
}


ADD = "addresses.allow lacks {}: it is no Service of namespace "
SERVICES = {
    "http://own:9090": "",
    "http://alias:9090": "addresses.allow lacks alias.",
    "http://by-hand:9090": "addresses.allow lacks by-hand.",
    "http://kubernetes.default.svc:443": ADD.format("kubernetes.default.svc:443"),
    "http://10.96.0.1:443": ADD.format("10.96.0.1:443"),
}


def test_of_services_those_that_lead_to_pods_of_ones_own_namespace_alone_are_asked(
    served: Place,
) -> None:
    """The other half is the first one: it is dialled, and nobody is behind it."""
    about = {"apiVersion": "v1", "kind": "Service"}
    ports = {"ports": [{"port": 9090}]}
    for name, spec in {
        "own": {"selector": {"app": "nobody"}, **ports},
        "alias": {"type": "ExternalName", "externalName": "kubernetes.default.svc"},
        "by-hand": ports,
    }.items():
        served.apply({**about, "metadata": {"name": name}, "spec": spec})
    served.write(simulated("v1"))
    served.scenario.wait(phase("Healthy"), SECONDS)
    metrics = [{"name": f"m{n}", "interval": "1s", **score(url)} for n, url in enumerate(SERVICES)]
    served.write(simulated("v2", rollout=rollout((50, "2s"), analysis=metrics)))
    found = served.scenario.wait(tells_of(len(SERVICES)), SECONDS)
    told = sorted(get_condition(found, "Judged")["message"].split("; "))
    assert not re.search("Service|lacks", told[0]), "it is dialled"
    for number, (said, wanted) in enumerate(zip(told, SERVICES.values(), strict=True)):
        assert said.startswith(f"m{number}: {wanted}"), said


def test_the_apiserver_is_asked_for_nobody_whatever_an_administrator_lists(
    place: Place, estate: Estate
) -> None:
    """The other half: a server beside it is asked by the same list."""
    server = urlsplit(read_server(estate.cluster))
    place.operator.start(*OPEN, "--allow-address", "*")
    with inner() as beside:
        found = try_out(place, **score(f"https://{server.netloc}/version"))
        words = "score: that is the apiserver, which is asked for nobody"
        assert get_condition(found, "Judged")["message"] == words
        place.write(judged_by(score(beside.url)))
        place.scenario.wait(phase("Healthy"), 90)
    assert beside.asked


def read_server(cluster: Cluster) -> str:
    clusters = json.loads(cluster.kubeconfig.read_text())["clusters"]
    return str(clusters[0]["cluster"]["server"])


def test_every_spelling_of_an_inner_address_is_refused(served: Place) -> None:
    """At once, each a metric of its own; what they lead to needn't be there to be refused.

    Of one model's troubles only so many are told, hence two models.
    """
    urls = list(INSIDE)
    models = {"odd": urls[1::2], "even": urls[::2]}
    for name in models:
        served.write(called(name, simulated("v1")))
    for name, some in models.items():
        served.scenario.wait(phase("Healthy"), SECONDS, model=name)
        metrics = [{"name": f"m{n}", "interval": "1s", **score(url)} for n, url in enumerate(some)]
        terms = rollout((50, "2s"), analysis=metrics, guard={"duration": "0s"})
        served.write(called(name, simulated("v2", rollout=terms)))

    for name, some in models.items():
        found = served.scenario.wait(tells_of(len(some)), SECONDS, model=name)
        told = get_condition(found, "Judged")["message"].split("; ")
        refused = zip(sorted(told), (INSIDE[url] for url in some), strict=True)
        assert [words for words, so in refused if not re.fullmatch(rf"m\d: {so}", words)] == []


def called(name: str, body: Json) -> Json:
    return {**body, "metadata": {"name": name}}


def tells_of(metrics: int) -> Holds:
    def holds(found: Json) -> bool:
        told = get_condition(found, "Judged").get("message", "")
        return all(f"m{number}: " in told for number in range(metrics))

    return named(holds, f"a word on each of {metrics} metrics")


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://a.example", "http://u:p@a.example"])
def test_what_is_no_web_address_is_refused_as_it_is_written(place: Place, url: str) -> None:
    body = simulated("v1", rollout={"analysis": {"metrics": [{"name": "score", **score(url)}]}})
    assert place.accepted_without_guards(body)
    assert "spec.rollout.analysis.metrics[0].web" in place.refusal(body)


def test_a_redirect_inside_is_not_followed_and_answers_are_not_repeated(place: Place) -> None:
    """The other half is the first server: what it answers itself does arrive."""
    place.operator.start(*OPEN)
    with inner() as secret, inner(302, WORDS, Location=secret.url) as front:
        found = try_out(place, **score(front.url))
        words = "score: HTTP status 302: redirects are not followed"
        assert get_condition(found, "Judged")["message"] == words
        assert front.asked
        assert secret.asked == []


@pytest.mark.parametrize(
    ("status", "body"),
    [(500, WORDS), (200, WORDS), (200, json.dumps({"score": WORDS}))],
    ids=["error", "no-json", "no-number"],
)
def test_what_an_inner_server_answers_is_in_no_status_event_or_log(
    place: Place, status: int, body: str
) -> None:
    place.operator.start(*OPEN)
    with inner(status, body) as server:
        found = try_out(place, **score(server.url))
        assert server.asked
    assert get_condition(found, "Judged")["reason"] == "NoData"
    events = place.admin("get", "events", "-o", "json")
    everywhere = json.dumps(found) + events + place.operator.log.read_text()
    assert WORDS not in everywhere


def test_no_argument_leads_a_templates_address_up(place: Place) -> None:
    """The other half: the same template with an argument that leads nowhere else."""
    about = {"apiVersion": "canarium.dev/v1alpha1", "kind": "MetricTemplate"}
    place.operator.start(*OPEN)
    with inner() as server:
        web = {"url": f"{server.url}/teams/{{{{team}}}}/score", "value": "$.score"}
        spec = {"arguments": [{"name": "team"}], "web": web}
        place.apply({**about, "metadata": {"name": "score"}, "spec": spec})
        asked = {"min": "1", "templateRef": {"name": "score"}}
        found = try_out(place, **asked, arguments=[{"name": "team", "value": ".."}])
        words = "score: a URL whose path has a part . or .., which leads elsewhere: leave it out"
        assert get_condition(found, "Judged")["message"] == words
        assert server.asked == []
        place.write(judged_by({**asked, "arguments": [{"name": "team", "value": "risk"}]}))
        place.scenario.wait(phase("Healthy"), 240)
    assert set(server.asked) == {"/teams/risk/score"}


def judged_by(metric: Json, version: str = "v3") -> Json:
    terms = rollout(
        (50, "2s"),
        analysis=[{"name": "score", "interval": "1s", **metric}],
        guard={"duration": "0s"},
    )
    analysis = {**terms["analysis"], "minRequests": 0}
    return simulated(version, rollout={**terms, "analysis": analysis})


_SAID = json.dumps({"status": "error", "errorType": "bad_data", "error": WORDS})
SPOKEN = {
    "banner": (f"db-password={WORDS}\n", NO_HTTP),
    "redis": (f"-ERR wrong number of arguments for '{WORDS}'\r\n", NO_HTTP),
    "header": (f"HTTP/1.1 200 OK\r\n{WORDS}\r\n\r\n", NO_HTTP),
    "prometheus": (
        f"HTTP/1.1 400 {WORDS}\r\nContent-Length: {len(_SAID)}\r\n\r\n{_SAID}",
        "the query was refused: it makes no sense; ask Prometheus itself why",
    ),
}


@pytest.mark.parametrize("spoken", SPOKEN)
def test_what_speaks_no_http_or_says_why_it_refuses_is_not_repeated(
    place: Place, spoken: str
) -> None:
    """The other half: the operator did ask there, and says in its own words what came of it."""
    said, words = SPOKEN[spoken]
    place.operator.start(*OPEN)
    with speaking(said.encode()) as url:
        asked = {"min": "1", "prometheus": {"address": url, "query": "up"}}
        found = try_out(place, **(asked if spoken == "prometheus" else score(url)))
    assert get_condition(found, "Judged")["message"] == f"score: {words}"
    events = place.admin("get", "events", "-o", "json")
    assert WORDS not in json.dumps(found) + events + place.operator.log.read_text()


def test_no_version_changes_a_query(place: Place) -> None:
    """The other half: what simple replacement would have made of the same version."""
    hostile, query = 'v2"} or vector(1) or up{a="', 'errors{version="{{version}}"}'
    assert query.replace("{{version}}", hostile) == (
        'errors{version="v2"} or vector(1) or up{a=""}'
    )
    body = simulated("v2", model={"version": hostile})
    assert place.accepted_without_guards(body)
    assert "spec.model.version" in place.refusal(body)

    place.operator.start(*OPEN)
    vector = {"resultType": "vector", "result": [{"metric": {}, "value": [0, "1"]}]}
    with inner(body=json.dumps({"status": "success", "data": vector})) as server:
        template = {
            "apiVersion": "canarium.dev/v1alpha1",
            "kind": "MetricTemplate",
            "metadata": {"name": "errors"},
            "spec": {
                "prometheus": {"address": server.url, "query": 'errors{version="{{set}}"}'},
                "arguments": [{"name": "set"}],
                "interval": "1s",
            },
        }
        place.write(template)
        arguments = [{"name": "set", "value": hostile}]
        try_out(place, min="1", templateRef={"name": "errors"}, arguments=arguments)
        assert set(server.asked) == {'errors{version="v2\\"} or vector(1) or up{a=\\""}'}


def test_the_operators_prometheus_is_lent_for_the_own_namespace_alone(place: Place) -> None:
    """The other half: what the same query asks where an administrator lets tenants ask anything."""
    vector = {"resultType": "vector", "result": [{"metric": {}, "value": [0, "1"]}]}
    body = json.dumps({"status": "success", "data": vector})
    query = 'sum(secrets_total{namespace=~".*"}) or count({__name__=~".+"}) # {x}'
    own = f'namespace="{place.namespace}"'
    with inner(body=body) as shared, inner(body=body) as another:
        place.operator.start(*OPEN, "--prometheus-url", shared.url)
        try_out(place, min="1", prometheus={"query": query})
        place.scenario.wait(phase("Healthy"), 240)
        kept = f'sum(secrets_total{{namespace=~".*",{own}}}) or count({{__name__=~".+",{own}}})'
        assert {each for each in shared.asked if "secrets" in each} == {kept}

        place.write(judged_by({"min": "1", "prometheus": {"address": another.url, "query": query}}))
        until(lambda: bool(another.asked), SECONDS, "a question")
        place.scenario.wait(phase("Healthy"), 240)
        assert set(another.asked) == {query}, "a Prometheus of one's own is asked as it is written"
        place.operator.stop()

        shared.asked.clear()
        place.operator.start(*OPEN, "--prometheus-url", shared.url, "--tenant-queries", "Any")
        place.write(judged_by({"min": "1", "prometheus": {"query": query}}, "v4"))
        until(lambda: query in shared.asked, SECONDS, "a question")


def test_a_query_has_bounds(place: Place) -> None:
    """Length, how often it is asked, and how long an answer may take."""
    long = {"min": "1", "prometheus": {"address": "http://a.example", "query": "a" * 10_001}}
    often = {"interval": "0s", **score("http://a.example")}
    slow = {"min": "1", "web": {**score("http://a.example")["web"], "timeout": "1h"}}
    for metric, words in (
        (long, "prometheus.query: Too long"),
        (often, 'interval: Invalid value: "0s": must be at least 1s'),
        (slow, 'web.timeout: Invalid value: "1h": must be at most 60s'),
    ):
        body = simulated("v1", rollout={"analysis": {"metrics": [{"name": "score", **metric}]}})
        assert place.accepted_without_guards(body)
        assert f"spec.rollout.analysis.metrics[0].{words}" in place.refusal(body)


# --- gateways


@pytest.fixture(scope="module")
def gateways(estate: Estate) -> Cluster:
    """The cluster with a real gateway, which says itself from where it takes routes."""
    estate.cluster.install_gateway(Progress())
    return estate.cluster


def test_a_gateway_of_others_takes_the_route_only_if_it_says_so(
    gateways: Cluster, served: Place
) -> None:
    port = urlsplit(gateways.gateway_url or "").port
    assert port is not None
    theirs = gateway("theirs", port)
    theirs["metadata"]["namespace"] = "gateway-owners"
    apply_all(gateways, [make_namespace("gateway-owners"), theirs])
    parents = [{"name": "theirs", "namespace": "gateway-owners"}]
    body = simulated("v1", traffic={"parentRefs": parents, "hostnames": ["pay.example.com"]})
    served.give("pay.example.com")
    until(lambda: is_taken(lambda: served.write(body)), SECONDS, "a given host name")

    served.scenario.wait(condition("Routed", "False", "NotAllowedByListeners"), SECONDS)

    # The other half: the same route, once its owner lets everybody's in.
    theirs["spec"]["listeners"][0]["allowedRoutes"] = {"namespaces": {"from": "All"}}
    apply_all(gateways, [theirs])
    served.scenario.wait(condition("Routed", "True"), SECONDS)
    (route,) = served.scenario.all_of("HTTPRoute")
    backends = [each for rule in route["spec"]["rules"] for each in rule["backendRefs"]]
    assert backends
    assert not any("namespace" in backend for backend in backends)


def test_a_route_of_another_namespace_that_takes_a_part_is_told_without_its_name(
    gateways: Cluster, served: Place
) -> None:
    port = urlsplit(gateways.gateway_url or "").port
    assert port is not None
    shared, theirs = gateway("shared", port), f"{served.namespace}-x"
    shared["metadata"]["namespace"] = served.namespace
    shared["spec"]["listeners"][0]["allowedRoutes"] = {"namespaces": {"from": "All"}}
    apply_all(gateways, [make_namespace(theirs), shared])
    parents, hostnames = [{"name": "shared"}], ["fraud.example.com"]
    served.write(simulated("v1", traffic={"parentRefs": parents, "hostnames": hostnames}))
    served.scenario.wait(condition("Routed", "True", "Accepted"), SECONDS)

    match = {"path": {"type": "PathPrefix", "value": "/v2/models/fraud"}}
    asked = {
        "parentRefs": [{**parents[0], "namespace": served.namespace}],
        "hostnames": hostnames,
        "rules": [{"matches": [match]}],
    }
    about = {"name": "secret-plan", "namespace": theirs}
    kind = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute"}
    apply_all(gateways, [{**kind, "metadata": about, "spec": asked}])
    model = served.scenario.wait(condition("Routed", "True", "HostnameShared"), SECONDS)
    said = get_condition(model, "Routed")["message"]
    assert f"an HTTPRoute of namespace {theirs} has a part of the requests" in said
    assert "secret-plan" not in json.dumps(model["status"])
    assert get_condition(model, "Ready")["status"] == "True"

    gateways.kubectl("-n", theirs, "delete", "httproute", "secret-plan")
    served.scenario.wait(condition("Routed", "True", "Accepted"), SECONDS)
    gateways.kubectl("delete", "namespace", theirs, "--wait=false")


def test_no_backend_of_ones_own_choice_can_be_named(place: Place) -> None:
    backends = [{"name": "payments", "namespace": "others", "port": 80}]
    body = simulated("v1", traffic={"parentRefs": [{"name": "public"}], "backendRefs": backends})
    assert place.accepted_without_guards(body)
    assert 'unknown field "spec.traffic.backendRefs"' in place.refusal(body)
