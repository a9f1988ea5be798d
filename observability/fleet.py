"""The dashboard of all models: what is under way, what went wrong, who waits for a person."""

from observability.grafana import (
    BARS,
    BLUE,
    GREEN,
    RED,
    STACKED,
    YELLOW,
    Dashboard,
    Panel,
    Query,
    Row,
    Variable,
    arrange,
    link_to_model,
    override,
)
from observability.marks import make_marks

N = 'namespace=~"$namespace"'
ON_MODEL = "on (namespace, model, revision)"
STARTED = f"canarium_rollout_started_timestamp_seconds{{{N}}}"
SINCE = "> ($__from / 1000)"
LINKED = [override("Model", links=link_to_model())]


def ended(outcome: str = ".*") -> str:
    """Rollouts that ended so in the chosen time."""
    return f'canarium_deployment_timestamp_seconds{{{N},outcome=~"{outcome}"}} {SINCE}'


def in_phase(*phases: str) -> str:
    """The models that are in one of these phases."""
    return f'canarium_model_phase{{{N},phase=~"{"|".join(phases)}"}}'


def count(title: str, description: str, series: str, color: str = GREEN) -> Panel:
    """How many there are; from one on in this colour."""
    query = Query(f"count({series}) or vector(0)", instant=True)
    thresholds = ((None, GREEN), (1.0, color))
    return Panel(title, description, [query], "stat", 4, 4, thresholds=thresholds)


STATS = (
    count("Models", "ModelDeployments that there are.", f"canarium_model_phase{{{N}}}"),
    count("Rollouts under way", "Revisions that are being tried, guards included.", STARTED, BLUE),
    count(
        "Not ready",
        "Models without the capacity that they should have.",
        f"canarium_model_ready{{{N}}} == 0",
        RED,
    ),
    count(
        "Rolled back",
        "Models whose newest version was taken back and not replaced since.",
        in_phase("RolledBack"),
        RED,
    ),
    count(
        "Waiting for a person",
        "Rollouts that are paused, or whose step asks for an approval.",
        in_phase("Paused"),
        YELLOW,
    ),
    Panel(
        "Success rate",
        "Of the rollouts that ended in the chosen time (30 days at most), the share that became"
        " stable. Cancelled ones don't count.",
        [Query(f"(count({ended('Stable')}) or vector(0)) / count({ended()})", instant=True)],
        "stat",
        4,
        4,
        "percentunit",
        thresholds=((None, RED), (0.8, YELLOW), (0.95, GREEN)),
    ),
)
OVER_TIME = (
    Panel(
        "Phases",
        "How many models are in each phase. Healthy is the phase of rest.",
        [Query(f"count by (phase) (canarium_model_phase{{{N}}})", "{{phase}}")],
        width=12,
        custom=STACKED,
    ),
    Panel(
        "Rollouts under way, by namespace",
        "Revisions that are being tried, guards included.",
        [Query(f"count by (namespace) ({STARTED})", "{{namespace}}")],
        width=12,
        custom=STACKED,
    ),
    Panel(
        "Rollouts that ended",
        "Counted by the operator as they end, over all namespaces: Stable, RolledBack, Canceled"
        " (another version came), Superseded (a stable one was followed by the next).",
        [Query("sum by (outcome) (increase(canarium_rollouts_total[$__rate_interval]))",
               "{{outcome}}")],
        width=12,
        custom=BARS,
    ),
    Panel(
        "Rollbacks by reason",
        "Of the rollouts that were rolled back in the chosen time (30 days at most): what for.",
        [Query(f"count by (reason) ({ended('RolledBack')})", "{{reason}}", instant=True)],
        "bargauge",
        12,
    ),
)  # fmt: skip
TABLES = (
    Panel(
        "Models that need a person",
        "Rolled back, failed, invalid, or waiting. A model's name leads to its own dashboard.",
        [
            Query(
                "max by (namespace, model, phase, reason)"
                f" ({in_phase('RolledBack', 'Failed', 'Invalid', 'Paused')})",
                table=True,
            )
        ],
        "table",
        12,
        9,
        overrides=LINKED,
        transformations=[
            arrange(
                ("namespace", "Namespace"),
                ("model", "Model"),
                ("phase", "Phase"),
                ("reason", "Reason"),
                hidden=("Value",),
            )
        ],
    ),
    Panel(
        "Rollouts under way",
        "Which step each is in, the weight of what is being tried, and for how long it has been.",
        [
            Query(
                f"max by (namespace, model, revision, version) (canarium_rollout_step{{{N}}})",
                table=True,
            ),
            Query(
                "max by (namespace, model, revision, version)"
                f" (canarium_revision_weight_ratio{{{N}}} and {ON_MODEL} {STARTED})",
                table=True,
            ),
            Query(f"max by (namespace, model, revision, version) (time() - {STARTED})", table=True),
        ],
        "table",
        12,
        9,
        overrides=[
            *LINKED,
            override("Weight", unit="percentunit"),
            override("Under way for", unit="s"),
        ],
        transformations=[
            {"id": "merge", "options": {}},
            arrange(
                ("namespace", "Namespace"),
                ("model", "Model"),
                ("version", "Version"),
                ("revision", "Revision"),
                ("Value #A", "Step"),
                ("Value #B", "Weight"),
                ("Value #C", "Under way for"),
            ),
        ],
    ),
)

FLEET = Dashboard(
    uid="canarium-fleet",
    title="Canarium / Fleet",
    description="All models: phases, rollouts under way, what was rolled back and why.",
    variables=(
        Variable(
            "namespace", "Namespace", "canarium_model_phase", "namespace", many=True, anything=True
        ),
    ),
    rows=(Row("Now", STATS), Row("Over time", OVER_TIME), Row("Who needs attention", TABLES)),
    annotations=make_marks(N),
    since="now-24h",
)
