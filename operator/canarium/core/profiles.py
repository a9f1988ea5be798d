"""How model servers name what they count: which series are answers, errors and durations.

A profile is data. It selects the inference routes only: readiness probes and metadata are answers
too, but they would dilute the errors and make an idle canary look busy. Where each name comes from,
and what a server doesn't count, is in docs/metrics.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

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

# The codes of google.rpc.Code that stand for 5xx, by name and by number.
_GRPC_ERRORS = r"^(UNKNOWN|DEADLINE_EXCEEDED|UNIMPLEMENTED|INTERNAL|UNAVAILABLE|DATA_LOSS)$"
_HTTP_OR_GRPC_ERRORS = r"^(5\d\d|2|4|12|13|14|15)$"


@dataclass(frozen=True, slots=True)
class Profile:
    """The names of a server's series. Label names are tried in order; the first present counts.

    `routes` is searched for in the route label's value and has to be found, `not_routes` must
    not be; a series without any route label counts in full. `error_status` is searched for in a
    status. With `failures` the failed requests have a counter of their own; its series count as
    errors, those with a status only when that says so. `labels` has to match whole values, and a
    series without such a label doesn't count.
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
    failures: str | None = None
    counting: Counting = "All"
    unit: Unit = "Seconds"
    labels: tuple[tuple[str, str], ...] = ()
    needle: str = ""
    """What each line that counts has in it, as a quick first look; "" looks at every line."""

    @property
    def counts_errors(self) -> bool:
        """Whether answers and errors can be counted at all: error-rate needs it."""
        return self.requests is not None and bool(self.status_labels or self.failures)


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
        error_status=_GRPC_ERRORS,
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

TRAEFIK = Profile(
    requests="traefik_service_requests_total",
    duration="traefik_service_request_duration_seconds",
    status_labels=("code",),
    error_status=_HTTP_OR_GRPC_ERRORS,
)
"""Traefik 3.7; of gRPC calls `code` is gRPC's number."""

ISTIO = Profile(
    requests="istio_requests_total",
    duration="istio_request_duration_milliseconds",
    status_labels=("response_code",),
    error_status=r"^5\d\d$",
    unit="Milliseconds",
    labels=(("reporter", "source"),),
)
"""Istio 1.32's gateways, which report as the source of what they send on."""
