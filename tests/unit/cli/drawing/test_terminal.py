"""Ages, columns, colours, and lines for logs."""

from __future__ import annotations

import io

import pytest
from canarium.cli.commands.get import make_rows
from canarium.cli.commands.pausing import find_tools
from canarium.cli.drawing.status_line import Narrator
from canarium.cli.drawing.terminal import align, format_age, make_console, phase
from canarium.cli.drawing.verdicts import describe_bound
from rich.console import Console

from tests.unit.cli import objects
from tests.unit.cli.golden import printed
from tests.unit.cli.objects import NOW, Json


@pytest.mark.parametrize(
    ("seconds", "want"),
    [
        (None, ""),
        (-3, "0s"),
        (0, "0s"),
        (1, "1s"),
        (119, "119s"),
        (120, "2m"),
        (192, "3m12s"),
        (600, "10m"),
        (7199, "119m"),
        (7200, "2h"),
        (9000, "2h30m"),
        (36000, "10h"),
        (172800, "2d"),
        (86400 * 4.5, "4d12h"),
        (86400 * 400, "400d"),
        (86400 * 800, "2y70d"),
    ],
)
def test_an_age_is_told_in_one_unit_or_two(seconds: float | None, want: str) -> None:
    assert format_age(seconds) == want


def test_columns_stand_below_each_other_and_empty_ones_are_left_out() -> None:
    rows = align([["a", "", phase("Healthy")], ["bbb", "", "c"]])
    assert [row.plain for row in rows] == ["a    Healthy", "bbb  c"]


def test_a_table_of_all_namespaces_names_them() -> None:
    rows = make_rows([objects.HOLDING, objects.UNSEEN], NOW, everywhere=True)
    assert printed(align(rows, gap=3)) == (
        "NAMESPACE   NAME    READY     PHASE         STABLE   CANARY   WEIGHT   REASON    AGE\n"
        "risk        fraud   True      Progressing   v6       v7       5        Holding   3d\n"
        "risk        fraud   Unknown   Unknown                                            3d\n"
    )


@pytest.mark.parametrize(
    ("no_color", "want"), [("", "\x1b[32mHealthy\x1b[0m\n"), ("1", "Healthy\n")]
)
def test_colours_are_for_terminals_that_want_them(
    no_color: str, want: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("NO_COLOR", no_color)
    console = Console(file=io.StringIO(), force_terminal=True, color_system="standard")
    console.print(phase("Healthy"))
    assert console.file.getvalue() == want  # type: ignore[attr-defined]


def test_a_file_gets_no_colours() -> None:
    console = make_console(io.StringIO())
    console.print(phase("Healthy"))
    assert console.file.getvalue() == "Healthy\n"  # type: ignore[attr-defined]


def test_a_log_gets_a_line_for_each_change_and_none_twice() -> None:
    narrator = Narrator()
    models = [objects.SCALING, objects.SCALING, objects.HOLDING, objects.GUARDING, objects.UNSEEN]
    assert [narrator.tell(model, NOW) for model in models] == [
        (
            "12:00:00  Progressing  v7 at 0 %: step 1 of 3 (five) at 5 %:"
            " waits for 1 ready canary pods"
        ),
        "",
        "12:00:00  Progressing  v7 at 5 %: step 1 of 3 (five) at 5 % for 5 min",
        "12:00:00  Guarding     version v7 serves all; the previous revision stays warm for 15 min",
        "12:00:00  Pending      ",
    ]


@pytest.mark.parametrize(
    ("metric", "check", "bound", "want"),
    [
        ("error-rate", "max", "0.05", "max 5%"),
        ("error-rate", "vsStable", "0.005", "stable + 0.5%"),
        ("error-rate", "vsStable", "1.5", "stable x 1.5"),
        ("latency-p99", "max", "0.25", "max 250ms"),
        ("latency-p99", "max", "1.5", "max 1.5s"),
        ("latency-p90", "vsStable", "1.2", "stable x 1.2"),
        ("error-rate", "max", "odd", "max odd"),
        ("error-rate", "max", "", "max"),
    ],
)
def test_a_bound_is_told_in_the_units_of_its_metric(
    metric: str, check: str, bound: str, want: str
) -> None:
    assert describe_bound({"metric": metric, "check": check, "bound": bound}) == want


@pytest.mark.parametrize(
    ("metadata", "want"),
    [
        ({}, set()),
        ({"labels": {"argocd.argoproj.io/instance": "models"}}, {"Argo CD"}),
        ({"annotations": {"argocd.argoproj.io/tracking-id": "x"}}, {"Argo CD"}),
        ({"labels": {"helm.toolkit.fluxcd.io/name": "models"}}, {"Flux"}),
        ({"annotations": {"meta.helm.sh/release-name": "models"}}, {"Helm"}),
        ({"managedFields": [{"manager": "kustomize-controller"}]}, {"Flux"}),
        ({"managedFields": [{"manager": "argocd-controller"}]}, {"Argo CD"}),
        ({"managedFields": [{"manager": "kubectl-client-side-apply"}]}, set()),
    ],
)
def test_who_applies_an_object_is_seen_by_what_it_leaves(metadata: Json, want: set[str]) -> None:
    assert set(find_tools({"metadata": metadata})) == want
