"""Recording rules for what model servers count themselves: the same series for every profile.

One rule a profile and figure, all under the same name, so that graphs and alerts need not know what
a server calls its counters. Whoever scrapes pods has to give series the label `namespace`, and the
pods' labels of the model and the revision as Prometheus writes their names. Names of pods tell
neither for sure: Kubernetes cuts them at 63 characters.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from canarium.core.names import MODEL_LABEL, REVISION_LABEL
from canarium.queries.inference_series import Matchers, select_inference
from canarium.queries.profiles import GRPC_PROFILES, PROFILES, UNITS, Profile

from observability.rules import Record

WINDOW = "5m"
LABELS = {
    name: label.replace(".", "_").replace("/", "_")
    for name, label in (("model", MODEL_LABEL), ("revision", REVISION_LABEL))
}
"What scrapers make of a pod's labels: canarium.dev/model becomes canarium_dev_model."
OWN = "namespace, model, revision"

REQUESTS = "canarium:server_requests:rate5m"
ERRORS = "canarium:server_errors:rate5m"
LATENCY = {
    0.5: "canarium:server_latency_seconds:p50_5m",
    0.99: "canarium:server_latency_seconds:p99_5m",
}


_SERVICE = r"inference\.GRPCInferenceService"
"MLServer's. Its series have the names that interceptors in general write, but not their meaning."
_CALLED = {
    **GRPC_PROFILES,
    "MLServer": replace(GRPC_PROFILES["MLServer"], labels=(("grpc_service", _SERVICE),)),
    "Prometheus": replace(
        GRPC_PROFILES["Prometheus"],
        not_routes=f"{GRPC_PROFILES['Prometheus'].not_routes}|^{_SERVICE}$",
    ),
}
SERVERS = {
    **PROFILES,
    **{
        f"{name}-gRPC": profile
        for name, profile in _CALLED.items()
        if profile.requests != PROFILES[name].requests
    },
}
"All profiles, those that count gRPC by itself under a name of their own."


def make_server_rules() -> Iterator[Record]:
    """Requests, errors and latency of each revision, by every profile that tells them."""
    for name, profile in SERVERS.items():
        yield Record(REQUESTS, make_requests(profile), {"profile": name})
    for name, profile in SERVERS.items():
        if profile.counts_errors:
            yield Record(ERRORS, make_errors(name, profile), {"profile": name})
    for quantile, record in LATENCY.items():
        for name, profile in SERVERS.items():
            if profile.duration is not None:
                yield Record(record, make_latency(profile, quantile), {"profile": name})


def make_requests(profile: Profile) -> str:
    """Requests a second of each revision; of a server without a counter, by its histogram."""
    rates = list_rates(profile, profile.requests or f"{profile.duration}_count")
    if profile.failures and profile.counting == "Successes":
        failed = list_rates(profile, profile.failures)
        rates += [f'label_replace({rate}, "counter", "failures", "", "")' for rate in failed]
    return sum_by_revision(rates)


def make_errors(name: str, profile: Profile) -> str:
    """Failed requests a second of each revision; 0 where requests are counted and none failed."""
    if profile.successes:
        return _leave_over(profile)
    found = sum_by_revision([*_list_failures(profile)])
    return f'{found} or 0 * sum by ({OWN}) ({REQUESTS}{{profile="{name}"}})'


def _leave_over(profile: Profile) -> str:
    """What of all requests is not among those that went well."""
    failed = escape(f".*(?:{profile.error_status}).*")
    well = [f'{label}!~"{failed}"' for label in profile.status_labels]
    asked = make_requests(profile)
    good = sum_by_revision(list_rates(profile, str(profile.successes), well))
    return f"clamp_min({asked} - ({good} or 0 * {asked}), 0)"


def _list_failures(profile: Profile) -> Iterator[str]:
    status = escape(f".*(?:{profile.error_status}).*")
    if profile.failures:
        told = [f'{label}=~"{status}|"' for label in profile.status_labels]
        yield from list_rates(profile, profile.failures, told)
        return
    for label in profile.status_labels:
        yield from list_rates(profile, str(profile.requests), [f'{label}=~"{status}"'])


def make_latency(profile: Profile, quantile: float) -> str:
    """A quantile of the durations of each revision's answers, in seconds."""
    buckets = sum_by_revision(list_rates(profile, f"{profile.duration}_bucket"), "le")
    found, unit = f"histogram_quantile({quantile}, {buckets})", UNITS[profile.unit]
    return found if unit == 1 else f"{found} / {unit}"


def list_rates(profile: Profile, series: str, more: Matchers = ()) -> list[str]:
    """The rates of inference; series that have no route at all count in full."""
    selection = select_inference(profile)
    ours = [f'__name__="{series}"', *(f'{label}!=""' for label in LABELS.values())]
    return [
        f"rate({{{','.join([*ours, *more, *matchers])}}}[{WINDOW}])"
        for matchers in (*selection.routed, *selection.unrouted)
    ]


def sum_by_revision(rates: list[str], *labels: str) -> str:
    """The sum over a revision's pods of a union of rates."""
    named = " or ".join(rates)
    for name, label in LABELS.items():
        named = f'label_replace({named}, "{name}", "$1", "{label}", "(.+)")'
    return f"sum by ({', '.join([OWN, *labels])}) ({named})"


def escape(pattern: str) -> str:
    """A regular expression as it is written in a string of PromQL."""
    return pattern.replace("\\", "\\\\")
