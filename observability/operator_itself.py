"""The dashboard of the operator: whether it acts, how quickly, and what the apiserver says."""

from observability.grafana import (
    BARS,
    GRAY,
    GREEN,
    RED,
    STEPS,
    YELLOW,
    Dashboard,
    Panel,
    Query,
    Row,
    Variable,
    map_values,
)

I = 'instance=~"$instance"'  # noqa: E741 - as in the queries of everybody's dashboards
RATE = "[$__rate_interval]"


def quantiles(metric: str, by: str = "") -> list[Query]:
    """Half, and 99 of 100, were quicker."""
    grouped, legend = (f"le, {by}", f" {{{{{by}}}}}") if by else ("le", "")
    rates = f"sum by ({grouped}) (rate({metric}_bucket{{{I}}}{RATE}))"
    return [
        Query(f"histogram_quantile({share}, {rates})", f"p{round(share * 100)}{legend}")
        for share in (0.99, 0.5)
    ]


def rate(metric: str, by: str, also: str = "") -> list[Query]:
    """How many there are a second, by a label; nothing is shown as 0."""
    legend = " ".join(f"{{{{{label.strip()}}}}}" for label in by.split(","))
    return [Query(f"sum by ({by}) (rate({metric}{{{I}{also}}}{RATE}))", legend)]


NOW = (
    Panel(
        "Leaders",
        "Processes that act: one, wherever there is one lease.",
        [Query(f"sum(canarium_leader{{{I}}})", instant=True)],
        "stat",
        4,
        4,
        thresholds=((None, RED), (1.0, GREEN), (2.0, RED)),
    ),
    Panel(
        "Versions",
        "Versions of the operator that run, and in how many processes.",
        [Query(f"count by (version) (canarium_build_info{{{I}}})", "{{version}}", instant=True)],
        "stat",
        4,
        4,
    ),
    Panel(
        "Who acts",
        "The process that holds the lease. A gap is time without a leader.",
        [Query(f"canarium_leader{{{I}}}", "{{instance}}")],
        "state-timeline",
        16,
        4,
        defaults=map_values(standby=(0, GRAY), acts=(1, GREEN)),
    ),
)
WORK = (
    Panel(
        "Queue",
        "Objects that wait to be worked on. It is empty at rest.",
        [Query(f"canarium_queue_depth{{{I}}}", "{{instance}}")],
    ),
    Panel(
        "Wait",
        "Time from the first news of an object until work on it began.",
        quantiles("canarium_queue_wait_seconds"),
        unit="s",
    ),
    Panel(
        "Passes",
        "Passes over one object a second, those that failed and are tried again, and those that"
        " had to wait, since the object's status changed too often.",
        [
            Query(f"sum(rate(canarium_reconcile_duration_seconds_count{{{I}}}{RATE}))", "passes"),
            Query(f"sum(rate(canarium_reconcile_errors_total{{{I}}}{RATE}))", "failed"),
            Query(f"sum(rate(canarium_status_writes_delayed_total{{{I}}}{RATE}))", "delayed"),
        ],
        unit="ops",
    ),
    Panel(
        "Time of a pass",
        "Half of the passes, and 99 of 100, were over sooner.",
        quantiles("canarium_reconcile_duration_seconds"),
        unit="s",
    ),
    Panel(
        "Refused writes",
        "Writes of children that the cluster refuses now, by kind and reason, over all models.",
        [
            Query(
                "count by (kind, reason) (canarium_model_write_refused) or vector(0)",
                "{{kind}} {{reason}}",
            )
        ],
        custom=STEPS,
    ),
    Panel(
        "Events that were lost",
        "Events that could not be sent to the apiserver.",
        [Query(f"sum(increase(canarium_events_dropped_total{{{I}}}{RATE}))", "lost")],
        custom=BARS,
    ),
    Panel(
        "Notifications",
        "People who were told of rollouts, by kind of receiver and how it ended.",
        [
            Query(
                f"sum by (type, outcome) (increase(canarium_notifications_total{{{I}}}{RATE}))"
                " or vector(0)",
                "{{type}} {{outcome}}",
            )
        ],
        width=24,
        custom=BARS,
    ),
)
APISERVER = (
    Panel(
        "Requests by verb",
        "Requests to the apiserver a second. At rest there are those for the lease alone.",
        rate("canarium_api_requests_total", "verb"),
        unit="reqps",
    ),
    Panel(
        "Answers by code",
        "409 is a race that is tried again; 403 is a missing right; 0 is no answer at all.",
        rate("canarium_api_requests_total", "code"),
        unit="reqps",
    ),
    Panel(
        "Time until the answer",
        "By verb; of a watch, until it began.",
        quantiles("canarium_api_request_duration_seconds", "verb"),
        unit="s",
    ),
    Panel(
        "Age of the caches",
        "Time since the apiserver last said anything about a kind. It says something each minute;"
        " after 150 s the cache counts as stale.",
        [Query(f"max by (resource) (canarium_cache_age_seconds{{{I}}})", "{{resource}}")],
        unit="s",
        width=24,
        thresholds=((None, GREEN), (90.0, YELLOW), (150.0, RED)),
    ),
)
PROCESS = (
    Panel(
        "Memory",
        "Resident memory of each process.",
        [Query(f"process_resident_memory_bytes{{{I}}}", "{{instance}}")],
        unit="bytes",
    ),
    Panel(
        "CPU",
        "Cores that each process keeps busy.",
        [Query(f"rate(process_cpu_seconds_total{{{I}}}{RATE})", "{{instance}}")],
    ),
    Panel(
        "Open files",
        "Connections and files that each process holds.",
        [Query(f"process_open_fds{{{I}}}", "{{instance}}")],
    ),
)

OPERATOR = Dashboard(
    uid="canarium-operator",
    title="Canarium / Operator",
    description="The operator itself: who acts, the queue, passes, requests to the apiserver,"
    " caches, memory.",
    variables=(Variable("instance", "Instance", "canarium_leader", "instance", many=True),),
    rows=(
        Row("Now", NOW),
        Row("Work", WORK),
        Row("The apiserver", APISERVER),
        Row("The process", PROCESS),
    ),
)
