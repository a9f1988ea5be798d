"""The dashboard of one model: its traffic, its revisions side by side, and how they are judged."""

from observability.grafana import (
    AS_NAME,
    GREEN,
    ORANGE,
    RED,
    STACKED,
    STEPS,
    YELLOW,
    Dashboard,
    Panel,
    Query,
    Row,
    Variable,
    map_values,
)
from observability.marks import make_marks
from observability.server_rules import ERRORS, LATENCY, REQUESTS

M = 'namespace="$namespace",model="$model"'
BY_CHECK = "{{role}} {{version}}: {{metric}} {{check}}"
BY_REVISION = "{{role}} {{version}} ({{revision}})"
PLACE = (
    "on (namespace, model, revision) group_left (role, version)"
    " (0 * max by (namespace, model, revision, role, version)"
    f" (canarium_revision_weight_ratio{{{M}}}) + 1)"
)
VERDICTS = (
    ("Pass", 1, GREEN),
    ("Inconclusive", 2, YELLOW),
    ("NoData", 3, ORANGE),
    ("Fail", 4, RED),
)


def of_servers(record: str) -> str:
    """A recorded figure of each revision, with its place and version.

    A server may speak two profiles that read the same counter: the larger figure is the whole one.
    """
    return f"max by (namespace, model, revision) ({record}{{{M}}}) * {PLACE}"


def name(title: str, description: str, query: Query, empty: str, width: int = 4) -> Panel:
    """A label's value, in large letters."""
    defaults = {"noValue": empty}
    return Panel(title, description, [query], "stat", width, 4, options=AS_NAME, defaults=defaults)


def weight_of(role: str) -> str:
    """The weight of the revision that has a place."""
    return f'canarium_revision_weight_ratio{{{M},role="{role}"}}'


def measure(title: str, description: str, query: Query, unit: str) -> Panel:
    """A graph of one query."""
    return Panel(title, description, [query], unit=unit)


NOW = (
    name(
        "Phase",
        "Where it stands, and the one reason that matters now.",
        Query(f"canarium_model_phase{{{M}}}", "{{phase}} ({{reason}})", instant=True),
        "unknown",
        8,
    ),
    name(
        "Stable",
        "Version that serves.",
        Query(weight_of("stable"), "{{version}}", instant=True),
        "none",
    ),
    name(
        "Canary",
        "Version that is being tried.",
        Query(weight_of("canary"), "{{version}}", instant=True),
        "none",
    ),
    Panel(
        "Ready",
        "Whether it answers with the capacity that it should have.",
        [Query(f"canarium_model_ready{{{M}}}", instant=True)],
        "stat",
        4,
        4,
        defaults=map_values(**{"not ready": (0, RED), "ready": (1, GREEN)}),
    ),
    Panel(
        "Step",
        "Number of the step of the rollout; the closing one to 100 % comes last.",
        [Query(f"canarium_rollout_step{{{M}}}", instant=True)],
        "stat",
        4,
        4,
        defaults={"noValue": "at rest"},
    ),
)
TRAFFIC = (
    Panel(
        "Weights",
        "Share of the traffic that each revision is to have.",
        [Query(f"canarium_revision_weight_ratio{{{M}}}", BY_REVISION)],
        unit="percentunit",
        custom={**STACKED, **STEPS},
        defaults={"min": 0, "max": 1},
    ),
    measure(
        "Requests",
        "What the servers of each revision count themselves, by their profile, over 5 minutes.",
        Query(of_servers(REQUESTS), BY_REVISION),
        "reqps",
    ),
    measure(
        "Errors",
        "Share of failed answers, by the servers' own counters, over 5 minutes.",
        Query(f"({of_servers(ERRORS)}) / ({of_servers(REQUESTS)} > 0)", BY_REVISION),
        "percentunit",
    ),
    Panel(
        "Latency",
        "Half of the answers, and 99 of 100, came sooner: by the servers' own histograms, over"
        " 5 minutes.",
        [
            Query(of_servers(LATENCY[0.99]), f"p99 {BY_REVISION}"),
            Query(of_servers(LATENCY[0.5]), f"p50 {BY_REVISION}"),
        ],
        unit="s",
    ),
    Panel(
        "Replicas",
        "Pods that each revision should have, and those that answer.",
        [
            Query(f"canarium_revision_replicas{{{M}}}", f"wanted {BY_REVISION}"),
            Query(f"canarium_revision_ready_replicas{{{M}}}", f"ready {BY_REVISION}"),
        ],
        custom=STEPS,
        defaults={"min": 0, "decimals": 0},
    ),
    measure(
        "Mirrored",
        "Share of the requests that a revision gets copies of, while a step mirrors.",
        Query(f"canarium_revision_mirror_ratio{{{M}}}", BY_REVISION),
        "percentunit",
    ),
)
JUDGEMENT = (
    Panel(
        "Verdicts",
        "What each check of the running analysis says.",
        [
            Query(
                "max by (metric, check) ("
                + " or ".join(
                    f'{number} * canarium_analysis_verdict{{{M},verdict="{verdict}"}}'
                    for verdict, number, _ in VERDICTS
                )
                + ")",
                "{{metric}} {{check}}",
            )
        ],
        "state-timeline",
        defaults=map_values(**{word: (number, color) for word, number, color in VERDICTS}),
    ),
    measure(
        "Bad answers that were judged",
        "Share of the answers of this step that failed, were too slow, or were beyond the bound, of"
        " the canary and of stable, as the operator has read them from the pods.",
        Query(
            f"canarium_analysis_bad_answers{{{M}}} / (canarium_analysis_answers{{{M}}} > 0)",
            BY_CHECK,
        ),
        "percentunit",
    ),
    measure(
        "Answers that were judged",
        "How many answers (or readings, of a gauge) each check rests on in this step.",
        Query(f"canarium_analysis_answers{{{M}}}", BY_CHECK),
        "short",
    ),
    measure(
        "Evidence against the canary",
        "The running test's e-value as a share of the one at which the canary fails.",
        Query(
            f"canarium_analysis_evidence{{{M}}} / canarium_analysis_evidence_limit{{{M}}}",
            "{{metric}} {{check}}",
        ),
        "percentunit",
    ),
    measure(
        "Gauges that were judged",
        "Last readings of metrics that are no counts, in their own units.",
        Query(f"canarium_analysis_value{{{M}}}", BY_CHECK),
        "short",
    ),
    Panel(
        "Rollbacks",
        "Revisions of the last 30 days that were taken back, by reason.",
        [
            Query(
                "count by (version, reason)"
                f' (canarium_deployment_timestamp_seconds{{{M},outcome="RolledBack"}})',
                "{{version}}: {{reason}}",
                instant=True,
            )
        ],
        "bargauge",
        defaults={"noValue": "none"},
    ),
)
USE = (
    Panel(
        "CPU",
        "What the pods of each revision use (those that were measured), and what they request.",
        [
            Query(f"canarium_revision_cpu_used_cores{{{M}}}", "used {{version}}"),
            Query(f"canarium_revision_cpu_requested_cores{{{M}}}", "requested {{version}}"),
        ],
        width=8,
        unit="short",
    ),
    Panel(
        "Memory",
        "What the pods of each revision use (those that were measured), and what they request.",
        [
            Query(f"canarium_revision_memory_used_bytes{{{M}}}", "used {{version}}"),
            Query(f"canarium_revision_memory_requested_bytes{{{M}}}", "requested {{version}}"),
        ],
        width=8,
        unit="bytes",
    ),
    measure(
        "Cost",
        "Money per hour for what is allocated; prices have to be known.",
        Query(f"canarium_revision_cost_per_hour{{{M}}}", "{{version}}"),
        "none",
    ),
)

ONE_MODEL = Dashboard(
    uid="canarium-model",
    title="Canarium / Model",
    description="One model: weights, requests, errors and latency of stable and canary, replicas,"
    " verdicts.",
    variables=(
        Variable("namespace", "Namespace", "canarium_model_phase", "namespace"),
        Variable("model", "Model", 'canarium_model_phase{namespace="$namespace"}', "model"),
    ),
    rows=(
        Row("Now", NOW),
        Row("Stable and canary", TRAFFIC),
        Row("How the canary is judged", JUDGEMENT),
        Row("What it uses", USE),
    ),
    annotations=make_marks(M),
)
