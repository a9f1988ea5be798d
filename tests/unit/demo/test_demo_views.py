"""Scenes as pictures and as lines; the pictures are kept as golden files.

`CANARIUM_GOLDEN=write` writes them anew; look at the difference before keeping it.
"""

import dataclasses
import os
import shlex
from collections.abc import Sequence
from pathlib import Path

import pytest

from testbed.cluster.__main__ import make_parser
from testbed.demo.closing import Kept, describe_problems, render_figures, render_next
from testbed.demo.figures import Figures, Promotion, Split, TakingBack
from testbed.demo.live import WIDTH, render
from testbed.demo.plain import narrate
from testbed.demo.scene import Notice, Pulse, Row, Scene
from testbed.load.traffic import parse_arguments

GOLDEN = Path(__file__).parents[2] / "golden" / "demo"

START = Scene(elapsed=0.4, chapter="1/3 v1 is served", name="demo/iris")
CANARY = Scene(
    elapsed=83.2,
    chapter="2/3 v2 is rolled out in steps and promoted",
    name="demo/iris",
    phase="Progressing",
    reason="Holding",
    message="step 1 of 3 (fifth) at 20 % for 20 s",
    step="Holding, step 1 (fifth)",
    conditions=(
        ("Ready", "True"),
        ("UpToDate", "False"),
        ("Stalled", "False"),
        ("Routed", "Unknown"),
        ("Judged", "Unknown"),
    ),
    rows=(
        Row("stable", "v1", 80, 2, 2, Pulse(16.1, 0.0, 0.0214, 0.0262)),
        Row("canary", "v2", 20, 1, 1, Pulse(3.9, 0.0, 0.0211, 0.0249)),
    ),
    client=Pulse(20.0, 0.0, 0.0213, 0.0261),
    sent=1640,
    notices=(
        Notice(31.0, False, "Healthy", "version v1 (0f336a1ab5) serves all"),
        Notice(71.9, False, "RolloutStarted", "rolling out version v2 (7b9d6f5c88)"),
        Notice(80.1, False, "WeightShifted", "step 1 of 3: 20 % to version v2 (7b9d6f5c88)"),
    ),
)
REFUSED = dataclasses.replace(
    CANARY,
    elapsed=201.7,
    chapter="3/3 v3 answers 30 % with 500 and is taken back",
    phase="RolledBack",
    reason="ErrorRateTooHigh",
    message="error rate 31.0 % (9 of 29) is above the bound of 5 %, and stable's is 0.0 %"
    " (0 of 116) over the same seconds",
    step="Rejected",
    conditions=(("Ready", "True"), ("UpToDate", "False"), ("Stalled", "True")),
    rows=(
        Row("stable", "v2", 100, 2, 2, Pulse(16.1, 0.0, 0.021, 0.026)),
        Row("canary", "v3", 0, 1, 1, Pulse(3.4, 0.31, 0.021, None)),
    ),
    client=Pulse(20.0, 0.061, 0.021, 0.026),
    sent=4010,
    failed=9,
    notices=(
        *(Notice(100.0 + n, False, "WeightShifted", f"number {n}") for n in range(9)),
        Notice(200.9, True, "ErrorRateTooHigh", "taking version v3 back: " + "evidence " * 12),
    ),
)
SCENES = {"start": START, "canary": CANARY, "refused": REFUSED}
FIGURES = Figures(
    Promotion(
        seconds_to_full=59.31,
        seconds_to_healthy=124.02,
        sent=2480,
        failed=0,
        splits=(Split(20, 0.199, 351), Split(50, 0.502, 348), Split(100, 1.0, 1210)),
    ),
    TakingBack(
        seconds_to_zero=3.22,
        seconds_to_last_failure=3.41,
        sent=612,
        failed=9,
        ready_throughout=True,
        reason="ErrorRateTooHigh",
    ),
)
KEPT = Kept(
    name="demo",
    namespace="demo",
    kubeconfig=Path("/cache/clusters/demo/kubeconfigs/admin.yaml"),
    kubectl=Path("/cache/clusters/demo/bin/kubectl"),
    url="http://127.0.0.1:20080/v2/models/iris/infer",
    host="iris.example.com",
    body='{"inputs":[]}',
)


def compare_with_golden(name: str, lines: list[str]) -> None:
    path, text = GOLDEN / f"{name}.txt", "\n".join(line.rstrip() for line in lines) + "\n"
    if os.environ.get("CANARIUM_GOLDEN") == "write":
        path.write_text(text)
    assert text == path.read_text()


@pytest.mark.parametrize("name", SCENES)
def test_the_picture_of_a_scene(name: str) -> None:
    compare_with_golden(f"live-{name}", render(SCENES[name]).plain.split("\n"))


@pytest.mark.parametrize("name", SCENES)
def test_the_picture_fits_80_columns_and_24_rows(name: str) -> None:
    lines = render(SCENES[name]).plain.split("\n")
    assert max(len(line) for line in lines) <= WIDTH == 80
    assert len(lines) < 24


def test_the_lines_of_a_whole_story() -> None:
    later = dataclasses.replace(CANARY, elapsed=85.1)
    scenes = [START, CANARY, later, REFUSED]
    lines = [
        line
        for before, now in zip([None, *scenes], scenes, strict=False)
        for line in narrate(before, now)
    ]
    compare_with_golden("plain-story", lines)


def test_nothing_is_said_while_nothing_changes() -> None:
    later = dataclasses.replace(CANARY, elapsed=84.9)
    assert narrate(CANARY, later) == []


def test_an_event_is_told_once() -> None:
    later = dataclasses.replace(
        CANARY, elapsed=84.0, notices=(*CANARY.notices, Notice(83.9, True, "Late", "a word"))
    )
    assert narrate(CANARY, later) == ["[  84.0s] warning Late: a word"]


def test_the_table_at_the_end() -> None:
    compare_with_golden("closing", [*render_figures(FIGURES), *render_next(None)])


def test_what_never_happened_is_a_dash_in_the_table() -> None:
    nothing = Figures(
        Promotion(None, None, sent=100, failed=3, splits=()),
        TakingBack(None, None, sent=0, failed=0, ready_throughout=False, reason=""),
    )
    problems = describe_problems(["v2 is promoted: not within 300 s"])
    compare_with_golden("closing-nothing", [*render_figures(nothing), *problems])


def list_commands(lines: Sequence[str]) -> list[list[str]]:
    """The commands among lines that a person may copy, each as a shell splits it."""
    joined = "\n".join(line for line in lines if line.startswith("  ")).replace("\\\n", " ")
    return [shlex.split(line.rstrip("& ")) for line in joined.splitlines()]


def test_the_traffic_command_that_is_printed_is_one_that_the_client_takes() -> None:
    (given,) = (each for each in list_commands(render_next(KEPT)) if "testbed.load.traffic" in each)
    load, log = parse_arguments(given[3:])

    assert (load.url, load.host, load.body) == (KEPT.url, KEPT.host, KEPT.body)
    assert load.ramp.rate(599.0) == 20.0
    assert str(log) == "answers.jsonl"


def test_the_other_commands_that_are_printed_exist() -> None:
    """The manifest that is applied, and the command that takes the cluster down."""
    commands = list_commands(render_next(KEPT))
    (applied,) = (each for each in commands if each[:2] == ["kubectl", "apply"])
    (down,) = (each for each in commands if "testbed.cluster" in each)

    assert Path(applied[-1]).exists()
    assert make_parser().parse_args(down[3:]).name == KEPT.name


def test_what_to_type_when_the_cluster_was_kept() -> None:
    compare_with_golden("closing-kept", render_next(KEPT))
