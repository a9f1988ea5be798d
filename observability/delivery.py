"""The dashboard of delivery performance: DORA's four figures, from what ModelRevisions record."""

from observability.grafana import (
    BARS,
    GREEN,
    RED,
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
SINCE = "> ($__from / 1000)"
ENDED = "canarium_deployment_timestamp_seconds"
LEAD = f"canarium_deployment_lead_time_seconds{{{N}}}"
RESTORE = f"canarium_deployment_restore_seconds{{{N}}}"
ON_REVISION = "on (namespace, model, revision)"
DAY, WEEK = 86400, 604800


def ended(outcome: str = ".*") -> str:
    """Rollouts that ended so in the chosen time."""
    return f'({ENDED}{{{N},outcome=~"{outcome}"}} {SINCE})'


def ended_within(seconds: int, outcome: str = ".*") -> str:
    """Rollouts that ended so in the time before each point of a graph."""
    return f'(time() - {ENDED}{{{N},outcome=~"{outcome}"}} < {seconds})'


def lately(series: str, seconds: int) -> str:
    """A figure of those rollouts that ended in the time before each point of a graph."""
    return f"({series} and {ON_REVISION} {ended_within(seconds)})"


def stat(title: str, description: str, expr: str, unit: str, *limits: float) -> Panel:
    """One of the four; from each limit on in another colour."""
    colors = zip((*limits,), (YELLOW, RED), strict=False)
    return Panel(
        title,
        description,
        [Query(expr, instant=True)],
        "stat",
        6,
        5,
        unit,
        thresholds=((None, GREEN), *colors),
        defaults={"noValue": "none"},
    )


FOUR = (
    stat(
        "Deployments a day",
        "Deployment frequency: revisions that became stable in the chosen time (30 days at most),"
        " a day. What was rolled back is not among them.",
        f"(count({ended('Stable')}) or vector(0)) / ($__range_s / {DAY})",
        "none",
    ),
    stat(
        "Lead time for changes",
        "Median time from the change to the revision being stable: from the commit where the"
        " ModelDeployment has the annotation canarium.dev/commit-time, else from the moment when"
        " the operator first saw the revision.",
        f"quantile(0.5, {LEAD} and {ON_REVISION} {ended()})",
        "s",
    ),
    stat(
        "Change failure rate",
        "Of the rollouts that became stable or were rolled back, the share that was rolled back,"
        " by the operator or by a person.",
        f"(count({ended('RolledBack')}) or vector(0)) / count({ended()})",
        "percentunit",
        0.15,
        0.3,
    ),
    stat(
        "Time to restore",
        "Median time from the beginning of a rollout that failed until the version before served"
        " all again. It holds the whole rollout, so it is an upper bound.",
        f"quantile(0.5, {RESTORE} and {ON_REVISION} {ended()})",
        "s",
    ),
)
OVER_TIME = (
    Panel(
        "Deployments in a day",
        "In the 24 hours before each point.",
        [Query(f"count by (outcome) ({ended_within(DAY)})", "{{outcome}}")],
        width=12,
        custom=BARS,
    ),
    Panel(
        "Lead time",
        "Of the rollouts in the 7 days before each point: half, and 9 of 10, took less.",
        [
            Query(f"quantile(0.9, {lately(LEAD, WEEK)})", "9 of 10"),
            Query(f"quantile(0.5, {lately(LEAD, WEEK)})", "half"),
        ],
        width=12,
        unit="s",
    ),
    Panel(
        "Change failure rate",
        "Of the rollouts in the 7 days before each point.",
        [
            Query(
                f"(count({ended_within(WEEK, 'RolledBack')}) or vector(0))"
                f" / count({ended_within(WEEK)})",
                "rolled back",
            )
        ],
        width=12,
        unit="percentunit",
        defaults={"min": 0, "max": 1},
    ),
    Panel(
        "Time to restore",
        "Median of the rollouts that failed in the 7 days before each point.",
        [Query(f"quantile(0.5, {lately(RESTORE, WEEK)})", "half")],
        width=12,
        unit="s",
    ),
)
TABLES = (
    Panel(
        "By namespace",
        "The same figures of each team, in the chosen time (30 days at most).",
        [
            Query(f"count by (namespace) ({ended('Stable')})", table=True),
            Query(f"count by (namespace) ({ended('RolledBack')})", table=True),
            Query(f"quantile by (namespace) (0.5, {LEAD} and {ON_REVISION} {ended()})", table=True),
            Query(
                f"quantile by (namespace) (0.5, {RESTORE} and {ON_REVISION} {ended()})", table=True
            ),
        ],
        "table",
        12,
        9,
        overrides=[override("Lead time", unit="s"), override("Time to restore", unit="s")],
        transformations=[
            {"id": "merge", "options": {}},
            arrange(
                ("namespace", "Namespace"),
                ("Value #A", "Stable"),
                ("Value #B", "Rolled back"),
                ("Value #C", "Lead time"),
                ("Value #D", "Time to restore"),
            ),
        ],
    ),
    Panel(
        "Deployments",
        "Each rollout that ended in the chosen time (30 days at most), the latest first.",
        [
            Query(
                "sort_desc(max by (namespace, model, version, outcome, reason)"
                f" ({ended()})) * 1000",
                table=True,
            )
        ],
        "table",
        12,
        9,
        overrides=[
            override("Model", links=link_to_model()),
            override("Ended", unit="dateTimeAsIso"),
        ],
        transformations=[
            arrange(
                ("Value", "Ended"),
                ("namespace", "Namespace"),
                ("model", "Model"),
                ("version", "Version"),
                ("outcome", "Outcome"),
                ("reason", "Reason"),
            )
        ],
    ),
    Panel(
        "Where lead time begins",
        "How many deployments were counted from the commit, and how many from the revision's first"
        " sight.",
        [
            Query(
                f"count by (since) ({LEAD} and {ON_REVISION} {ended()})", "{{since}}", instant=True
            )
        ],
        "bargauge",
        24,
        5,
    ),
)

DELIVERY = Dashboard(
    uid="canarium-delivery",
    title="Canarium / Delivery performance",
    description="Deployment frequency, lead time for changes, change failure rate and time to"
    " restore, by DORA's definitions.",
    variables=(
        Variable(
            "namespace", "Namespace", "canarium_model_phase", "namespace", many=True, anything=True
        ),
    ),
    rows=(Row("The four figures", FOUR), Row("Over time", OVER_TIME), Row("Teams", TABLES)),
    annotations=make_marks(N),
    since="now-30d",
    refresh="5m",
)
