"""How model servers name what they count: which series are answers, errors and durations.

A profile is data. It selects the inference routes only: readiness probes and metadata are answers
too, but they would dilute the errors and make an idle canary look busy.
"""

from dataclasses import dataclass

_NOT_INFERENCE = (
    r"(?i)(^|/)(health|healthy|healthz|live|liveness|livez|ready|readiness|readyz|startup|startupz"
    r"|ping|metrics|favicon\.ico|docs|redoc|openapi\.json)/?$"
)


@dataclass(frozen=True, slots=True)
class Profile:
    """The names of a server's series. Label names are tried in order; the first present counts.

    `routes` is searched for in the route label's value and has to be found, `not_routes` must
    not be; a series without any route label counts in full. A status that starts with a 5 is an
    error of the server.
    """

    requests: str
    """A counter of finished requests with a status label."""
    duration: str | None
    """A histogram in seconds, named without `_bucket`."""
    status_labels: tuple[str, ...]
    route_labels: tuple[str, ...]
    routes: str = ""
    not_routes: str | None = None
    methods: tuple[str, ...] = ()
    """The methods that count; all of them when empty, or when a series has no such label."""


PROFILES = {
    # The route is the template of the path, or the path itself in older versions.
    "MLServer": Profile(
        requests="rest_server_requests_total",
        duration="rest_server_request_duration_seconds",
        status_labels=("status_code",),
        route_labels=("path",),
        routes=r"^(/v2/models/.+/(infer|infer_stream|generate|generate_stream)|/invocations)$",
        methods=("POST",),
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
