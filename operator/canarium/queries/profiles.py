"""How model servers name what they count: which series are answers, errors and durations.

A profile is data, and about one protocol: most servers count HTTP requests and gRPC calls under
names of their own. It selects the inference routes only: readiness probes and metadata are answers
too, but they would dilute the errors and make an idle canary look busy. Where each name comes from,
and what a server doesn't count, is in docs/metrics.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Literal, TypeAlias

from canarium.core.spec import Protocol

Counting: TypeAlias = Literal["All", "Successes"]
"""What the counter `requests` counts: every request, or those that went well."""

Unit: TypeAlias = Literal["Seconds", "Milliseconds", "Microseconds"]

UNITS: Mapping[Unit, int] = {"Seconds": 1, "Milliseconds": 1_000, "Microseconds": 1_000_000}
"""How many of each are a second."""

_NOT_INFERENCE = (
    r"(?i)(^|/)(health|healthy|healthz|live|liveness|livez|ready|readiness|readyz|startup|startupz"
    r"|ping|metrics|favicon\.ico|docs|redoc|openapi\.json)/?$"
)
_OPENAI = r"^/(v[0-9]+/.+|generate|invocations|score|rerank|pooling|classify|tokenize|detokenize)$"

# The codes of google.rpc.Code that are the server's fault, by name (Go spells DataLoss) and number,
# everywhere the same: those that OpenTelemetry's conventions call errors of a server. What callers
# do wrong (INVALID_ARGUMENT, NOT_FOUND, ...), give up (CANCELLED) or ask too much of
# (RESOURCE_EXHAUSTED, HTTP's 429) is none.
GRPC_ERRORS = (
    r"(?i)^(UNKNOWN|DEADLINE_?EXCEEDED|UNIMPLEMENTED|INTERNAL|UNAVAILABLE|DATA_?LOSS"
    r"|2|4|12|13|14|15)$"
)


@dataclass(frozen=True, slots=True)
class Profile:
    """The names of a server's series. Label names are tried in order; the first present counts.

    `routes` is searched for in the route label's value and has to be found, `not_routes` must
    not be; a series without any route label counts in full. `error_status` is searched for in a
    status, and `other_errors` in labels that may make an error of what the status calls good. With
    `failures` the failed requests have a counter of their own; its series count as errors, those
    with a status only when that says so. With `successes` those that went well have one: errors
    are the rest of the requests. `labels` has to match whole values, and a series without such a
    label doesn't count.
    """

    requests: str | None
    """A counter of requests; None where the server has none that tells failed ones apart."""
    duration: str | None
    """A histogram in `unit`, named without `_bucket`; None where the server has none."""
    status_labels: tuple[str, ...] = ()
    route_labels: tuple[str, ...] = ()
    routes: str = ""
    not_routes: str | None = None
    methods: tuple[str, ...] = ()
    """The methods that count; all of them when empty, or when a series has no such label."""
    error_status: str = "^5"
    other_errors: tuple[tuple[str, str], ...] = ()
    failures: str | None = None
    successes: str | None = None
    counting: Counting = "All"
    unit: Unit = "Seconds"
    labels: tuple[tuple[str, str], ...] = ()
    needle: str = ""
    """What each line that counts has in it, as a quick first look; "" looks at every line."""

    @property
    def counts_errors(self) -> bool:
        """Whether answers and errors can be counted at all: error-rate needs it."""
        tells = self.status_labels or self.failures or self.successes
        return self.requests is not None and bool(tells)


PROFILES: Mapping[str, Profile] = {
    # MLServer 1.7. The route is the template of the path, or the path itself in older versions.
    "MLServer": Profile(
        requests="rest_server_requests_total",
        duration="rest_server_request_duration_seconds",
        status_labels=("status_code",),
        route_labels=("path",),
        routes=r"^(/v2/models/.+/(infer|infer_stream|generate|generate_stream)|/invocations)$",
        methods=("POST",),
    ),
    # KServe's Python SDK 0.21 (sklearnserver and its like): histograms of each stage and nothing
    # that tells a failed request from a good one.
    "KServe": Profile(requests=None, duration="request_predict_seconds"),
    # Triton 2.72. What clients cancelled is no error. The histogram has to be turned on.
    "Triton": Profile(
        requests="nv_inference_request_success",
        counting="Successes",
        failures="nv_inference_request_failure",
        status_labels=("reason",),
        error_status="^(REJECTED|BACKEND|OTHER)$",
        duration="nv_inference_first_response_histogram_ms",
        unit="Milliseconds",
    ),
    # TorchServe 0.12. Requests are counted on arrival, 5xx answers of the whole server apart.
    "TorchServe": Profile(
        requests="ts_inference_requests_total",
        failures="Requests5XX",
        duration=None,
    ),
    # TensorFlow Serving 2.20. Durations of good answers only; their API is "Predict" by gRPC,
    # "predict" by REST, and empty for a look at a model's status.
    "TensorFlowServing": Profile(
        requests=":tensorflow:serving:request_count",
        duration=":tensorflow:serving:request_latency",
        status_labels=("status",),
        error_status=GRPC_ERRORS,
        route_labels=("API",),
        routes=r"(?i)^(predict|classify|regress|multiinference)$",
        unit="Microseconds",
    ),
    # vLLM 0.10. Answers from its HTTP server, durations from the engine.
    "VLLM": Profile(
        requests="http_requests_total",
        duration="vllm:e2e_request_latency_seconds",
        status_labels=("status",),
        route_labels=("handler",),
        routes=_OPENAI,
        not_routes=r"^/v1/models",
        methods=("POST",),
    ),
    # BentoML 1.4.
    "BentoML": Profile(
        requests="bentoml_service_request_total",
        duration="bentoml_service_request_duration_seconds",
        status_labels=("http_response_code",),
        route_labels=("endpoint",),
        not_routes=_NOT_INFERENCE,
    ),
    # Ray Serve 2.60, its HTTP proxy: `/-/healthz` and `/-/routes` are its own, and a path that no
    # application serves is an empty route.
    "RayServe": Profile(
        requests="ray_serve_num_http_requests_total",
        duration="ray_serve_http_request_latency_ms",
        status_labels=("status_code",),
        route_labels=("route",),
        routes="^/",
        not_routes="^/-/",
        unit="Milliseconds",
    ),
    # What instrumentation libraries for web frameworks commonly write.
    "Prometheus": Profile(
        requests="http_requests_total",
        duration="http_request_duration_seconds",
        status_labels=("code", "status", "status_code", "http_status"),
        route_labels=("handler", "path", "route", "endpoint", "uri", "url"),
        not_routes=_NOT_INFERENCE,
    ),
}

GRPC_PROFILES: Mapping[str, Profile] = {
    # MLServer 1.7 tells no code of a call that failed: its counter has those that went well, its
    # histogram all that ended. Both are written in one go. Streamed calls are in neither.
    "MLServer": Profile(
        requests="grpc_server_handling_seconds_count",
        successes="grpc_server_handled_total",
        duration="grpc_server_handling_seconds",
        status_labels=("grpc_code",),
        error_status=GRPC_ERRORS,
        route_labels=("grpc_method",),
        routes="^ModelInfer$",
    ),
    # One counter for both protocols, none of which can be left out.
    "KServe": PROFILES["KServe"],
    "Triton": PROFILES["Triton"],
    "TensorFlowServing": PROFILES["TensorFlowServing"],
    # Calls are counted on arrival; none of the counters of answers is by gRPC.
    "TorchServe": replace(PROFILES["TorchServe"], failures=None),
    # The route is the application's name, and empty for what the proxy itself answers.
    "RayServe": replace(
        PROFILES["RayServe"],
        requests="ray_serve_num_grpc_requests_total",
        duration="ray_serve_grpc_request_latency_ms",
        error_status=GRPC_ERRORS,
        routes=".",
        not_routes=None,
    ),
    # What the interceptors of go-grpc-middleware, and those made after them, write.
    "Prometheus": Profile(
        requests="grpc_server_handled_total",
        duration="grpc_server_handling_seconds",
        status_labels=("grpc_code", "code"),
        error_status=GRPC_ERRORS,
        route_labels=("grpc_service",),
        not_routes=r"^grpc\.(health|reflection)\.",
    ),
}
"""Of calls by gRPC. Who is missing (VLLM, BentoML) counts none."""


def find_profile(name: str, protocol: Protocol) -> Profile | None:
    """One of Canarium's own profiles for what callers speak; None where nothing is counted."""
    return (GRPC_PROFILES if protocol == "GRPC" else PROFILES).get(name)


def find_close(name: str, known: Iterable[str]) -> str:
    """The profile that a misspelt name may mean, "" for none: names are case-sensitive."""
    spelt = {each.lower(): each for each in known}
    close = get_close_matches(name.lower(), list(spelt), 1)
    return spelt[close[0]] if close else ""
