"""What is raised about one object is counted from 0 on, in each part that may raise it."""

from canarium.kube.boundary import Boundary
from canarium.kube.metrics import Metrics


def read_counts(metrics: Metrics) -> dict[str, float]:
    """How often what was raised, by part."""
    return {
        sample.labels["part"]: sample.value
        for family in metrics.internal_errors.collect()
        for sample in family.samples
        if sample.name.endswith("_total")
    }


def test_an_alert_sees_the_first_error_since_each_part_is_counted_from_0_on() -> None:
    metrics = Metrics()
    boundary = Boundary(metrics)
    before = read_counts(metrics)

    boundary.note("Planning", "risk/fraud", ValueError("hunter2"))

    assert set(before.values()) == {0.0}
    assert read_counts(metrics) == {**before, "Planning": 1.0}
