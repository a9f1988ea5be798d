"""What is raised about one object is counted from 0 on, in each part that may raise it."""

import ast
from pathlib import Path

import canarium
from canarium.kube.boundary import Boundary
from canarium.telemetry.metrics import Metrics

PACKAGE = Path(canarium.__file__).parent


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


def test_whatever_is_caught_is_told_of_and_nothing_is_passed_over() -> None:
    """Who catches any exception does something with it: notes it, logs it, or raises another."""
    unnamed = {
        f"{path.relative_to(PACKAGE).as_posix()}: {ast.unparse(node.body[0])}"
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ExceptHandler) and catches_all(node) and not tells(node)
    }

    # Whose fault it is, is found out there by making each model's samples alone.
    assert unnamed == {"telemetry/metrics.py: samples = _find_each(family, views, now, note)"}


def catches_all(handler: ast.ExceptHandler) -> bool:
    """Whether it takes exceptions that nobody expected."""
    return (
        handler.type is None
        or {"Exception", "BaseException"}
        & {node.id for node in ast.walk(handler.type) if isinstance(node, ast.Name)}
        != set()
    )


def tells(handler: ast.ExceptHandler) -> bool:
    """Whether it uses what was raised, raises it again, or has it logged."""
    nodes = [node for statement in handler.body for node in ast.walk(statement)]
    named = {node.id for node in nodes if isinstance(node, ast.Name)}
    called = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    return (
        handler.name in named
        or "exception" in called
        or any(isinstance(node, ast.Raise) and node.exc is None for node in nodes)
    )
