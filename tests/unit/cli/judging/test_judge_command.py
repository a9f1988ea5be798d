"""`canarium judge`: the verdict, its evidence, its exit code, its pictures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import yaml
from canarium.cli.judging.input import Block
from canarium.cli.judging.picture import draw, draw_svg
from canarium.cli.judging.trial import Point, Trial, run_trial, thin
from canarium.cli.main import main
from canarium.judge import Metric, Row
from canarium.judge.sequential import Counts

from tests.unit.cli.golden import compare, printed

NO_WORSE = Metric("error-rate", "ErrorRate", max_increase=0.0)
GOOD = Block("good", Counts(1, 100), Counts(1, 100))
BAD = Block("bad", Counts(1, 100), Counts(30, 100))


def make_row(check: Any, bound: float, **changes: Any) -> Row:
    values: dict[str, Any] = {
        "metric": "error-rate",
        "check": check,
        "verdict": "Pass",
        "reason": "WithinBounds",
        "message": "nothing speaks against it",
        "stable_bad": 20,
        "stable_total": 2000,
        "canary_bad": 12,
        "canary_total": 400,
        "e_value": 0.5,
        "fails_at": 200.0,
        "bound": bound,
        "interval": (0.01, 0.04),
        "threshold_seconds": None,
        "tested_ratio": None,
    }
    return Row(**values | changes)


def make_points(e_values: list[tuple[float, ...]]) -> tuple[Point, ...]:
    """Points at 12:00:00 and so on, a fifth of the answers of each row at each."""
    return tuple(
        Point(f"12:00:0{n}", Counts(4 * n + 4, 400 * n + 400), Counts(n + 1, 80 * n + 80), each)
        for n, each in enumerate(e_values)
    )


FAILED = Trial(
    "Fail",
    (
        make_row("max", 0.05),
        make_row(
            "vsStable",
            0.005,
            verdict="Fail",
            reason="ErrorRateTooHigh",
            message="canary: 12 of 400 failed (3%); stable: 20 of 2000 failed (1%)",
            interval=(-0.002, 0.05),
            e_value=1300.0,
        ),
    ),
    make_points([(0.5, 0.6), (0.5, 2.0), (0.45, 9.0), (0.4, 80.0), (0.5, 1300.0)]),
    given=60,
    alpha=0.01,
    fails_at=200.0,
)
ONE_LOOK = Trial("Pass", (make_row("max", 0.05),), make_points([(0.5,)]), 1, 0.01, 100.0)


def test_a_verdict_is_drawn_as_written_down() -> None:
    compare("judge-failed.txt", printed(draw(FAILED, 80, ascii_only=False), width=80))


def test_a_terminal_without_unicode_gets_ascii() -> None:
    text = printed(draw(FAILED, 80, ascii_only=True), width=80)
    compare("judge-failed-ascii.txt", text)
    assert text.isascii()


def test_one_look_has_no_curve() -> None:
    compare("judge-one-look.txt", printed(draw(ONE_LOOK, 80, ascii_only=False), width=80))


def test_the_picture_as_svg_is_as_written_down() -> None:
    compare("judge-failed.svg", draw_svg(FAILED))


@pytest.mark.parametrize("trial", [FAILED, ONE_LOOK])
def test_an_svg_can_be_read_and_says_the_verdict(trial: Trial) -> None:
    root = ET.fromstring(draw_svg(trial))  # noqa: S314 - of our own making
    title = root.find("{http://www.w3.org/2000/svg}title")
    assert title is not None
    assert (title.text or "").startswith(trial.verdict)


def test_what_comes_after_a_fail_is_not_looked_at() -> None:
    trial = run_trial([GOOD, BAD, BAD, GOOD, GOOD], NO_WORSE, 0.01, 0)
    assert (trial.verdict, trial.given, trial.failed_at) == ("Fail", 5, "bad")
    assert len(trial.points) <= 3
    assert trial.points[-1].e_values[0] >= trial.fails_at == 100.0


def test_a_handful_of_bad_answers_needs_a_second_reading_and_hundreds_do_not() -> None:
    few = Block("few", Counts(1, 100), Counts(5, 10))
    many = Block("many", Counts(2, 200), Counts(60, 200))
    assert run_trial([many], NO_WORSE, 0.01, 0).failed_at == "many"
    assert run_trial([few], NO_WORSE, 0.01, 0).verdict == "Inconclusive"
    assert run_trial([few, few], NO_WORSE, 0.01, 0).failed_at == "few"


def test_reading_by_reading_the_judge_sees_what_a_rollout_shows_it() -> None:
    trial = run_trial([GOOD] * 3, NO_WORSE, 0.01, 200)
    assert (trial.verdict, trial.failed_at) == ("Pass", None)
    assert trial.points[-1].canary == Counts(3, 300)
    assert trial.rows[0].canary_total == 300


@pytest.mark.parametrize(("most", "want"), [(10, [0, 1, 2, 3, 4]), (3, [0, 2, 4]), (2, [0, 4])])
def test_a_picture_keeps_the_first_and_the_last_point(most: int, want: list[int]) -> None:
    assert thin(range(5), most) == want


@pytest.mark.parametrize(
    ("arguments", "code", "verdict"),
    [
        (["--stable", "12/4000", "--canary", "9/400"], 1, "Fail, ErrorRateTooHigh"),
        (["--stable", "12/4000", "--canary", "2/400"], 0, "Pass, WithinBounds"),
        (["--stable", "0/40", "--canary", "0/15"], 3, "Inconclusive, TooFewRequests"),
        (["--stable", "0/40", "--canary", "0/15", "--min-requests", "15"], 0, "Pass, WithinBounds"),
        (["--stable", "0/0", "--canary", "0/400"], 3, "Inconclusive, NoStableData"),
        (["--stable", "0/40", "--canary", "0/0"], 3, "NoData, NoCanaryData"),
        (["--canary", "90/400", "--max", "5%"], 1, "Fail, ErrorRateTooHigh"),
        (["--canary", "90/400", "--max", "0.5"], 0, "Pass, WithinBounds"),
        (
            ["--stable", "12/4000", "--canary", "9/400", "--max-increase", "5%"],
            0,
            "Pass, WithinBounds",
        ),
        (
            ["--stable", "12/4000", "--canary", "9/400", "--max-ratio", "20"],
            0,
            "Pass, WithinBounds",
        ),
        (
            ["--stable", "12/4000", "--canary", "9/400", "--alpha", "0.01%"],
            0,
            "Pass, WithinBounds",
        ),
    ],
)
def test_each_verdict_has_its_exit_code(
    arguments: list[str], code: int, verdict: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["judge", *arguments]) == code
    assert capsys.readouterr().out.splitlines()[0] == verdict


@pytest.mark.parametrize(
    ("arguments", "want"),
    [
        ([], "give --stable and --canary, such as 12/4000 and 9/400, or a file"),
        (["--canary", "1/2"], "give --stable to compare with, or only --max"),
        (
            ["--canary", "1/2", "--max", "5%", "--max-ratio", "2"],
            "give --stable to compare with, or only --max",
        ),
        (["a.csv", "--canary", "1/2"], "give a file or counts, not both"),
        (["--stable", "1/2", "--canary", "1/2", "--alpha", "0"], "alpha has to be between 0 and 1"),
        (
            ["--stable", "1/2", "--canary", "1/2", "--svg", "/nowhere/a.svg"],
            "/nowhere/a.svg cannot be written: No such file or directory",
        ),
    ],
)
def test_what_cannot_be_judged_is_said_in_a_sentence(
    arguments: list[str], want: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["judge", *arguments]) == 2
    assert capsys.readouterr() == ("", f"canarium: {want}\n")


@pytest.mark.parametrize(
    ("arguments", "want"),
    [
        (["--canary", "5/3"], "argument --canary: 5 bad ones of 3 cannot be"),
        (["--max", "7"], "argument --max: not a ratio: '7'"),
        (["--max-ratio", "0.5"], "argument --max-ratio: not a factor of at least 1: '0.5'"),
        (["--min-requests", "-1"], "argument --min-requests: write a number of answers, not '-1'"),
    ],
)
def test_an_argument_that_is_none_is_refused(
    arguments: list[str], want: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["judge", *arguments])
    assert capsys.readouterr().err.endswith(f"{want}\n")


def write_readings(path: Path, *blocks: Block) -> str:
    lines = ["block,stable_bad,stable_total,canary_bad,canary_total"]
    lines += [
        f"{b.label},{b.stable.bad},{b.stable.total},{b.canary.bad},{b.canary.total}" for b in blocks
    ]
    path.write_text("\n".join(lines))
    return str(path)


def test_a_file_is_judged_and_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, svg = write_readings(tmp_path / "a.csv", GOOD, BAD, BAD, GOOD), tmp_path / "a.svg"
    assert main(["judge", file, "--svg", str(svg)]) == 1
    printed_text = capsys.readouterr().out
    assert printed_text.startswith("Fail, ErrorRateTooHigh, after reading 3 of 4 (bad)\n")
    assert "evidence against the canary, stable + 0%: fails at 100" in printed_text
    assert "\x1b" not in printed_text
    assert svg.read_text().startswith("<svg ")


@pytest.mark.parametrize(("form", "read"), [("json", json.loads), ("yaml", yaml.safe_load)])
def test_programs_get_the_numbers(
    form: str, read: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write_readings(tmp_path / "a.csv", GOOD, GOOD)
    assert main(["judge", file, "-o", form, "--max", "50%"]) == 0
    found = read(capsys.readouterr().out)
    (row,) = found.pop("checks")
    assert found == {
        "verdict": "Pass",
        "reason": "WithinBounds",
        "alpha": 0.01,
        "readings": 2,
        "readingsSeen": 2,
    }
    low, high = row.pop("intervalLow"), row.pop("intervalHigh")
    assert 0.0 < low < 0.01 < high < 0.1
    assert 0.0 < row.pop("eValue") < 1.0
    assert row.pop("message").startswith("canary: 2 of 200 failed (1%); allowed: 50%")
    assert row == {
        "metric": "error-rate",
        "check": "max",
        "verdict": "Pass",
        "reason": "WithinBounds",
        "canaryBad": 2,
        "canaryTotal": 200,
        "stableBad": 2,
        "stableTotal": 200,
        "bound": 0.5,
        "failsAt": 100.0,
    }


def test_a_fail_says_at_which_reading(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write_readings(tmp_path / "a.csv", GOOD, BAD, BAD, GOOD)
    assert main(["judge", file, "-o", "json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["verdict"], found["readings"], found["readingsSeen"], found["failedAt"]) == (
        "Fail",
        4,
        3,
        "bad",
    )
