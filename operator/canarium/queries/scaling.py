"""What Prometheus is asked for the load of one revision, of which pods are to have a share each.

Pure. Series are found by the labels `namespace` and `pod`, which whoever scrapes pods gives them.
No answer is no load of 0: it is 0 only where pods are scraped and have counted nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from canarium.core.names import child_name, pod_names
from canarium.core.spec import Protocol, ScalingMetric
from canarium.memo import remember
from canarium.queries.inference_series import select_inference
from canarium.queries.profiles import PROFILES, UNITS, Profile, find_profile
from canarium.queries.promql import ArgumentType, Pattern, Template

WINDOW = "1m"
"What rates are taken over: two scrapes at least have to lie in it."

EXTERNAL: dict[str, ArgumentType] = {
    "namespace": "String",
    "model": "String",
    "revision": "String",
    "service": "String",
    "pods": "Pattern",
}
"""The placeholders of an External metric's query; service is the name of the revision's Service,
and pods a regular expression for the names of its pods."""

GPU_SERIES = "DCGM_FI_DEV_GPU_UTIL"
"How busy a GPU is, in percent: NVIDIA's dcgm-exporter."

_PODS = Template('{namespace="{{namespace}}",pod=~"{{pods}}"}')
_PODS_OF_EXPORTER = Template('{exported_namespace="{{namespace}}",exported_pod=~"{{pods}}"}')


@remember()
def make_query(
    metric: ScalingMetric,
    profile: str,
    *,
    namespace: str,
    model: str,
    revision: str,
    protocol: Protocol = "HTTP",
) -> str:
    """PromQL for the load of all pods of a revision together, in the unit of the metric's target.

    `profile` is the name of one of Canarium's own, for RequestsPerSecond and Concurrency, which
    count what callers send by `protocol`. Raises ValueError, with what to write instead, for what
    cannot be asked.
    """
    service = child_name(model, revision)
    values = {
        "namespace": namespace,
        "model": model,
        "revision": revision,
        "service": service,
        "pods": Pattern(pod_names(service)),
    }
    if metric.type == "External":
        return Template(metric.query).render(values)
    pods = _PODS.render(values)
    if metric.type == "GPU":
        return _make_gpu_query(pods, _PODS_OF_EXPORTER.render(values))
    if metric.type == "RequestsPerSecond":
        return _make_rate_query(_find(profile, protocol), pods)
    if metric.type == "Concurrency":
        return _make_concurrency_query(_find(profile, protocol), profile, pods)
    raise ValueError(f"{metric.type} is not asked of Prometheus")


def find_problem(query: str) -> str:
    """What is wrong with an External metric's query, with what to write instead; "" if nothing."""
    try:
        return "; ".join(Template(query).check(EXTERNAL))
    except ValueError as error:
        return str(error)


def _find(name: str, protocol: Protocol) -> Profile:
    if name not in PROFILES:
        raise ValueError(f"profile {name or 'none'} is not one of Canarium's own: write External")
    profile = find_profile(name, protocol)
    if profile is None:
        raise ValueError(f"profile {name} counts no calls by gRPC: write External")
    return profile


def _make_gpu_query(pods: str, pods_of_exporter: str) -> str:
    """Percent of one GPU, on average over a pod's, added up over pods.

    Scraped without honor_labels, the exporter's own pod takes the labels, and theirs are renamed.
    """
    renamed = f"sum(avg by (exported_pod) ({GPU_SERIES}{pods_of_exporter}))"
    return f"{renamed} or sum(avg by (pod) ({GPU_SERIES}{pods}))"


def _make_rate_query(profile: Profile, pods: str) -> str:
    """Requests a second; failures are added where they are not among the requests."""
    counter = _counter_of(profile)
    asked = _sum_rates(profile, counter, pods)
    if profile.failures and profile.counting == "Successes":
        failed = _sum_rates(profile, profile.failures, pods)
        # Under a name of its own, or one sum would hide the other.
        asked = f'sum({asked} or label_replace({failed}, "counter", "failures", "", ""))'
    return f"{asked} or 0 * sum(up{pods} == 1)"


def _make_concurrency_query(profile: Profile, name: str, pods: str) -> str:
    """Requests under way by Little's law, L = lambda * W: seconds spent on requests in a second.

    J. D. C. Little, A Proof for the Queuing Formula, Operations Research 9 (1961). A server that
    answers but tells no durations at all gives no answer: it may be busy.
    """
    if profile.duration is None:
        raise ValueError(f"profile {name} has no histogram of durations: write RequestsPerSecond")
    series = f"{profile.duration}_sum"
    spent, per_second = _sum_rates(profile, series, pods), UNITS[profile.unit]
    seconds = spent if per_second == 1 else f"({spent}) / {per_second}"
    others_only = f"0 * sum({_select(series, pods)})"
    answered = f"sum(rate({_select(_counter_of(profile), pods)}[{WINDOW}])) > 0"
    return f"{seconds} or {others_only} or 0 * sum(up{pods} == 1) unless {answered}"


def _counter_of(profile: Profile) -> str:
    """What counts requests; a histogram does where nothing else."""
    return profile.requests or f"{profile.duration}_count"


def _sum_rates(profile: Profile, series: str, pods: str) -> str:
    """The sum of the series of inference; of those without a route, where none has one."""
    selection = select_inference(profile)
    sums = (
        " or ".join(f"rate({_select(series, pods, matchers)}[{WINDOW}])" for matchers in union)
        for union in (selection.routed, selection.unrouted)
        if union
    )
    return " or ".join(f"sum({rates})" for rates in sums)


def _select(series: str, pods: str, matchers: Sequence[str] = ()) -> str:
    """One series; its name goes into the braces, for TensorFlow Serving's begins with a colon."""
    return "{" + ",".join([f'__name__="{series}"', pods[1:-1], *matchers]) + "}"
