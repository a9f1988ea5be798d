"""What Prometheus is asked for a revision's load; what it answers is in tests/cluster."""

from urllib.parse import quote

import pytest
from canarium.core.spec import Protocol, ScalingMetric, ScalingType
from canarium.queries.profiles import PROFILES
from canarium.queries.scaling import find_problem, make_query

PODS = 'namespace="risk",pod=~"(?:fraud-5d8f7c9b64-[a-z0-9]{1,10}-[a-z0-9]{5})"'


def ask(
    kind: ScalingType, profile: str = "MLServer", query: str = "", protocol: Protocol = "HTTP"
) -> str:
    metric = ScalingMetric("load", kind, average="20", query=query)
    where = {"namespace": "risk", "model": "fraud", "revision": "5d8f7c9b64"}
    return make_query(metric, profile, protocol=protocol, **where)


def test_requests_are_those_for_inference_and_zero_where_there_were_none() -> None:
    counter = f'{{__name__="rest_server_requests_total",{PODS},method=~"POST|"'
    inference = "^(/v2/models/.+/(infer|infer_stream|generate|generate_stream)|/invocations)$"
    assert ask("RequestsPerSecond") == (
        f'sum(rate({counter},path!="",path=~".*(?:{inference}).*"}}[1m]))'
        f' or sum(rate({counter},path=""}}[1m]))'
        f" or 0 * sum(up{{{PODS}}} == 1)"
    )


def test_failures_are_added_where_only_successes_are_counted() -> None:
    success, failure = (
        f'sum(rate({{__name__="nv_inference_request_{end}",{PODS}}}[1m]))'
        for end in ("success", "failure")
    )
    assert ask("RequestsPerSecond", "Triton") == (
        f'sum({success} or label_replace({failure}, "counter", "failures", "", ""))'
        f" or 0 * sum(up{{{PODS}}} == 1)"
    )


def test_durations_are_added_up_in_seconds() -> None:
    spent = f'{{__name__="nv_inference_first_response_histogram_ms_sum",{PODS}}}'
    answered = f'{{__name__="nv_inference_request_success",{PODS}}}'
    assert ask("Concurrency", "Triton") == (
        f"(sum(rate({spent}[1m]))) / 1000 or 0 * sum({spent})"
        f" or 0 * sum(up{{{PODS}}} == 1) unless sum(rate({answered}[1m])) > 0"
    )


def test_calls_by_grpc_are_asked_for_where_callers_speak_it() -> None:
    """Those that failed too: MLServer's counter has none of them, its histogram all."""
    ended = f'{{__name__="grpc_server_handling_seconds_count",{PODS}'
    assert ask("RequestsPerSecond", protocol="GRPC") == (
        f'sum(rate({ended},grpc_method!="",grpc_method=~".*(?:^ModelInfer$).*"}}[1m]))'
        f' or sum(rate({ended},grpc_method=""}}[1m]))'
        f" or 0 * sum(up{{{PODS}}} == 1)"
    )
    spent = f'{{__name__="grpc_server_handling_seconds_sum",{PODS}'
    assert ask("Concurrency", protocol="GRPC").startswith(
        f'sum(rate({spent},grpc_method!="",grpc_method=~".*(?:^ModelInfer$).*"}}[1m]))'
    )


@pytest.mark.parametrize("kind", ["RequestsPerSecond", "Concurrency"])
@pytest.mark.parametrize("profile", ["VLLM", "BentoML"])
def test_what_counts_no_calls_by_grpc_is_not_taken_for_idle(
    kind: ScalingType, profile: str
) -> None:
    with pytest.raises(ValueError, match=f"profile {profile} counts no calls by gRPC: write Ext"):
        ask(kind, profile, protocol="GRPC")


def test_a_query_of_ones_own_is_told_whose_load_it_is_asked_for() -> None:
    query = 'sum(queued{ns="{{namespace}}",model="{{model}}",of=~"{{service}}|{{revision}}"})'
    assert ask("External", query=query) == (
        'sum(queued{ns="risk",model="fraud",of=~"(?:fraud\\\\-5d8f7c9b64)|(?:5d8f7c9b64)"})'
    )


def test_a_query_of_ones_own_may_ask_for_the_pods() -> None:
    asked = ask("External", query='sum(queued{pod=~"{{pods}}"})')
    assert asked == f"sum(queued{{{PODS.partition(',')[2]}}})"


@pytest.mark.parametrize("kind", ["RequestsPerSecond", "Concurrency"])
@pytest.mark.parametrize("profile", sorted(set(PROFILES) - {"TorchServe"}))
def test_a_query_fits_into_what_proxies_take_of_a_url(kind: ScalingType, profile: str) -> None:
    assert len(quote(ask(kind, profile))) < 5000


@pytest.mark.parametrize(
    ("kind", "profile", "says"),
    [
        ("Concurrency", "TorchServe", "profile TorchServe has no histogram of durations: "),
        ("RequestsPerSecond", "ours", "profile ours is not one of Canarium's own: write External"),
        ("Concurrency", "", "profile none is not one of Canarium's own: write External"),
        ("CPU", "MLServer", "CPU is not asked of Prometheus"),
    ],
)
def test_what_cannot_be_asked_is_refused(kind: ScalingType, profile: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        ask(kind, profile)


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ('sum(queued{model="{{model}}"})', ""),
        ("sum(queued)", ""),
        ('queued{pod="{{pods}}"}', "{{pods}} is a regular expression: write it after =~ or !~"),
        ("queued > {{pods}}", "{{pods}} is a regular expression: write it after =~ or !~"),
        ('queued{version="{{version}}"}', "{{version}} is not an argument; there are: model,"),
        ("queued > {{model}}", "{{model}} is a String, which goes into a label's value in quotes"),
        ('queued{model="{{model}}', "a quote that isn't closed"),
        (" ", "a query has 1 to 10000 characters"),
    ],
)
def test_a_query_that_cannot_be_filled_in_says_why(query: str, problem: str) -> None:
    assert find_problem(query)[: len(problem) or None] == problem
