"""How each chapter ends, and what the story comes to in figures."""

import pytest

from testbed.demo.figures import (
    Figures,
    Marks,
    Promotion,
    Split,
    TakingBack,
    compute_figures,
)
from testbed.demo.model_status import read_status
from testbed.demo.story import CHAPTERS, Ending, judge_promoted, judge_served, judge_taken_back
from testbed.load.traffic import Answer, Report
from testbed.witness.changes import Change
from tests.unit.demo.demo_builders import (
    MODEL,
    REVISIONS,
    make_answer,
    make_model,
    make_route,
    make_traffic,
)

ALL_TO = {version: {revision: 100} for version, revision in REVISIONS.items()}
MARKS = Marks(MODEL, applied_v2=1000.0, applied_v3=1100.0, ended=1150.0)


def test_the_manifests_of_all_chapters_exist() -> None:
    assert [chapter.manifest for chapter in CHAPTERS if not chapter.manifest.is_file()] == []


@pytest.mark.parametrize(
    ("change", "served"),
    [
        (make_model(1, "Healthy", stable="v1"), "good"),
        (make_model(1, "Healthy", stable="v1", generation=2), ""),
        (make_model(1, "Pending", stable="v1"), ""),
        (make_model(1, "Failed", stable="v1"), "bad"),
    ],
)
def test_v1_is_served_when_it_is_healthy_by_a_current_status(
    change: Change, served: Ending
) -> None:
    assert judge_served(read_status(change.object), ALL_TO["v1"]) == served


def test_v1_is_not_served_before_the_route_says_so() -> None:
    told = read_status(make_model(1, "Healthy", stable="v1").object)
    assert judge_served(told, {}) == ""


@pytest.mark.parametrize(
    ("change", "ending"),
    [
        (make_model(1, "Progressing", stable="v1", canary="v2"), ""),
        (make_model(1, "Guarding", stable="v2", previous="v1"), ""),
        (make_model(1, "Healthy", stable="v2"), "good"),
        (make_model(1, "RolledBack", stable="v1"), "bad"),
    ],
)
def test_v2_is_promoted_when_its_guard_is_over(change: Change, ending: Ending) -> None:
    assert judge_promoted(read_status(change.object), ALL_TO["v2"]) == ending


@pytest.mark.parametrize(
    ("change", "ending"),
    [
        (make_model(1, "Progressing", stable="v2", canary="v3"), ""),
        (make_model(1, "RolledBack", stable="v2", canary="v3"), ""),
        (make_model(1, "RolledBack", stable="v2"), "good"),
        (make_model(1, "Guarding", stable="v3", previous="v2"), "bad"),
    ],
)
def test_v3_is_taken_back_when_it_is_gone_and_v2_serves(change: Change, ending: Ending) -> None:
    assert judge_taken_back(read_status(change.object), ALL_TO["v2"]) == ending


def make_story() -> list[Change]:
    return [
        make_model(990, "Healthy", stable="v1"),
        make_route(990, v1=100),
        make_model(1001, "Progressing", stable="v1", canary="v2"),
        make_route(1010, v1=80, v2=20),
        make_route(1030, v1=50, v2=50),
        make_route(1050, v2=100),
        make_model(1052, "Guarding", stable="v2", previous="v1"),
        make_model(1080, "Healthy", stable="v2"),
        make_model(1101, "Progressing", stable="v2", canary="v3"),
        make_route(1110, v2=80, v3=20),
        make_route(1114.5, v2=100),
        make_model(
            1120,
            "RolledBack",
            stable="v2",
            reason="ErrorRateTooHigh",
            conditions={"Ready": "True", "Stalled": "True"},
        ),
    ]


def make_report(*more: Answer) -> Report:
    answers = [
        *make_traffic(1000, 1012.5, "v1", rate=20),
        *make_traffic(1012.5, 1030, "v1", rate=16),
        *make_traffic(1012.5, 1030, "v2", rate=4),
        *make_traffic(1030, 1050, "v1", rate=10),
        *make_traffic(1030, 1050, "v2", rate=10),
        *make_traffic(1050, 1150, "v2", rate=20),
        *more,
    ]
    return Report(planned=len(answers), answers=tuple(answers))


def test_the_figures_of_a_story_that_went_well() -> None:
    failures = [make_answer(at, latency=0.5) for at in (1111.0, 1113.0, 1115.0)]
    assert compute_figures(make_story(), make_report(*failures), MARKS) == Figures(
        Promotion(
            seconds_to_full=50.0,
            seconds_to_healthy=80.0,
            sent=2000,
            failed=0,
            splits=(Split(20, 0.2, 350), Split(50, 0.5, 350), Split(100, 1.0, 950)),
        ),
        TakingBack(
            seconds_to_zero=3.0,
            seconds_to_last_failure=4.0,
            sent=1003,
            failed=3,
            ready_throughout=True,
            reason="ErrorRateTooHigh",
        ),
    )


def test_a_ready_that_was_lost_for_a_moment_is_seen() -> None:
    lost = make_model(1112, "Progressing", stable="v2", conditions={"Ready": "False"})
    story = sorted([*make_story(), lost], key=lambda change: change.version)
    assert not compute_figures(story, make_report(), MARKS).taking_back.ready_throughout


def test_without_a_failed_answer_there_is_no_time_since_the_first() -> None:
    found = compute_figures(make_story(), make_report(), MARKS).taking_back
    assert (found.seconds_to_zero, found.seconds_to_last_failure) == (None, None)


def test_what_never_came_is_none() -> None:
    story = make_story()[:4]
    found = compute_figures(story, make_report(), MARKS)
    assert found.promotion.seconds_to_full is None
    assert found.promotion.seconds_to_healthy is None
    assert found.taking_back.seconds_to_zero is None
    assert not found.taking_back.ready_throughout
