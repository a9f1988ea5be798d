"""Waits of a scenario: for what lasts, for what was there for a moment, and on a slow machine."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from testbed.cluster.cluster import Cluster
from testbed.operators.apiserver import Apiserver, WatchEndedError
from testbed.scenario.scenario import Scenario, phase

Json = dict[str, Any]


def at(version: int, phase: str) -> Json:
    """The model in a phase, at a resourceVersion."""
    about = {"name": "iris", "uid": "1", "generation": 1, "resourceVersion": str(version)}
    return {"metadata": about, "status": {"observedGeneration": 1, "phase": phase}}


@dataclass
class Fake:
    """An apiserver that has had these versions of the model; a watch ends with the last of them.

    `late` are versions that come while it is watched but that no watch has told of, as where a
    machine stands still until a wait is over.
    """

    versions: list[Json]
    late: list[Json] = field(default_factory=list)
    compacted: bool = False
    watched: list[str] = field(default_factory=list)

    def get(self, _path: str) -> Json:
        last = self.versions[-1]
        return {"metadata": last["metadata"], "items": [last]}

    def watch(
        self, _path: str, since: str, *, seconds: float, selector: str
    ) -> Iterator[tuple[str, Json]]:
        assert selector == "metadata.name=iris"
        self.watched.append(since)
        if self.compacted:
            raise WatchEndedError("too old")
        later = [
            one for one in self.versions if int(one["metadata"]["resourceVersion"]) > int(since)
        ]
        self.versions += self.late
        yield from (("MODIFIED", one) for one in later)


def make(fake: Fake, directory: Path) -> Scenario:
    witness = directory / "witness.jsonl"
    witness.touch()
    apiserver = cast("Apiserver", fake)
    return Scenario(cast("Cluster", None), apiserver, witness, directory, "e2e")


def test_what_is_there_is_found_without_a_watch(tmp_path: Path) -> None:
    fake = Fake([at(5, "Healthy")])

    assert make(fake, tmp_path).wait(phase("Healthy"), 30.0) == at(5, "Healthy")
    assert fake.watched == []


def test_what_came_and_went_since_a_mark_is_found(tmp_path: Path) -> None:
    fake = Fake([at(5, "Healthy")])
    scenario = make(fake, tmp_path)
    mark = scenario.mark()
    fake.versions += [at(6, "Guarding"), at(7, "Healthy")]

    assert scenario.wait(phase("Guarding"), 30.0, since=mark) == at(6, "Guarding")
    with pytest.raises(AssertionError, match="did not come to phase Guarding"):
        scenario.wait(phase("Guarding"), 0.01)


def test_what_was_there_before_a_mark_is_not_found(tmp_path: Path) -> None:
    fake = Fake([at(5, "Guarding")])
    scenario = make(fake, tmp_path)
    mark = scenario.mark()
    fake.versions += [at(6, "Healthy")]

    with pytest.raises(AssertionError, match="did not come to phase Guarding"):
        scenario.wait(phase("Guarding"), 0.01, since=mark)


def test_the_last_look_is_after_the_last_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = Fake([at(5, "Guarding")], late=[at(6, "Healthy")])
    monkeypatch.setattr(time, "monotonic", lambda: 100.0 * len(fake.watched))

    assert make(fake, tmp_path).wait(phase("Healthy"), 30.0) == at(6, "Healthy")


def test_a_mark_that_the_apiserver_has_forgotten_is_followed_by_a_list(tmp_path: Path) -> None:
    fake = Fake([at(5, "Healthy")], compacted=True)

    assert make(fake, tmp_path).wait(phase("Healthy"), 30.0, since="3") == at(5, "Healthy")
    assert fake.watched == ["3"]
