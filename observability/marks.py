"""The marks on all graphs: rollouts that began, that were promoted, and that were taken back."""

from observability.grafana import BLUE, GREEN, RED, Annotation


def make_marks(selector: str) -> tuple[Annotation, ...]:
    """Marks for the models of a selector, at the times that the metrics themselves tell."""
    ended = "canarium_deployment_timestamp_seconds"
    names = "{{namespace}}/{{model}} {{version}}"
    return (
        Annotation(
            "Rollouts begun",
            f"canarium_rollout_started_timestamp_seconds{{{selector}}} * 1000",
            BLUE,
            f"{names} is rolled out",
        ),
        Annotation(
            "Promoted",
            f'{ended}{{{selector},outcome="Stable"}} * 1000',
            GREEN,
            f"{names} is stable",
        ),
        Annotation(
            "Rolled back",
            f'{ended}{{{selector},outcome="RolledBack"}} * 1000',
            RED,
            f"{names} was taken back: {{{{reason}}}}",
        ),
    )
