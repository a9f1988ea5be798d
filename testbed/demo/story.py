"""The story that the demo tells, in three chapters: what is applied, and how each should end.

The endings are pure: they look at what was seen of the model and of its route, nothing else.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from testbed.demo.model_status import Told

EXAMPLE = Path(__file__).parents[2] / "examples" / "iris"
MODEL = "iris"
HOST = "iris.example.com"
PATH = "/v2/models/iris/infer"

Ending = Literal["", "good", "bad"]
"Not yet, as it should be, or never to be as it should."


@dataclass(frozen=True, slots=True)
class Chapter:
    """One manifest that a person applies, and how to tell that its chapter is over.

    `promise` is what should happen, as a sentence; `seconds` the longest it may take.
    """

    title: str
    manifest: Path
    version: str
    promise: str
    judge: Callable[[Told, Mapping[str, int]], Ending]
    seconds: float


def judge_served(told: Told, weights: Mapping[str, int]) -> Ending:
    """v1 serves everything."""
    if told.current and told.phase in ("Failed", "Invalid"):
        return "bad"
    return "good" if _rests_on(told, weights, "v1") and told.phase == "Healthy" else ""


def judge_promoted(told: Told, weights: Mapping[str, int]) -> Ending:
    """v2 serves everything, and its guard is over."""
    if told.current and told.phase in ("RolledBack", "Failed", "Invalid"):
        return "bad"
    return "good" if _rests_on(told, weights, "v2") and told.phase == "Healthy" else ""


def judge_taken_back(told: Told, weights: Mapping[str, int]) -> Ending:
    """v2 serves everything again, v3 is gone and refused."""
    if told.current and (told.version("stable") == "v3" or told.phase in ("Failed", "Invalid")):
        return "bad"
    gone = told.phase == "RolledBack" and "canary" not in told.revisions
    return "good" if _rests_on(told, weights, "v2") and gone else ""


def _rests_on(told: Told, weights: Mapping[str, int], version: str) -> bool:
    """Whether a version is stable, and the live route gives everything to it."""
    revision, stable = told.revisions.get("stable", ("", ""))
    whole = {name: weight for name, weight in weights.items() if weight} == {revision: 100}
    return told.current and stable == version and whole


CHAPTERS = (
    Chapter(
        "1/3 v1 is served",
        EXAMPLE / "modeldeployment.yaml",
        "v1",
        "v1 serves all traffic",
        judge_served,
        120.0,
    ),
    Chapter(
        "2/3 v2 is rolled out in steps and promoted",
        EXAMPLE / "versions" / "v2.yaml",
        "v2",
        "v2 is promoted",
        judge_promoted,
        300.0,
    ),
    Chapter(
        "3/3 v3 answers 30 % with 500 and is taken back",
        EXAMPLE / "versions" / "v3.yaml",
        "v3",
        "v3 is taken back",
        judge_taken_back,
        180.0,
    ),
)
