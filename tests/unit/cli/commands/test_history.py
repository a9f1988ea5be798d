"""`canarium history`: what became of each revision."""

from __future__ import annotations

import pytest
import yaml
from canarium.cli.commands.history import make_rows
from canarium.cli.drawing.terminal import align
from canarium.cli.objects.past import choose, tell_past
from canarium.core.status import dump
from canarium.errors import CommandError

from tests.unit.cli import objects
from tests.unit.cli.golden import compare, printed
from tests.unit.cli.objects import NOW, RECORDS, V7, V8, Json, ago, make_record


def make_past(revision: str, version: str, origin: Json, seconds_ago: float, **status: str) -> Json:
    record = make_record(revision, version, seconds_ago=seconds_ago, **status)
    return {**record, "spec": {**record["spec"], "origin": origin}}


PAST = [
    make_past(
        "1a2b3c4d5e",
        "v4",
        {"manager": "kubectl-client-side-apply"},
        9 * 86400,
        outcome="Superseded",
        stableAt=ago(9 * 86400 - 1500),
        endedAt=ago(9 * 86400 - 1500),
    ),
    make_past(
        "6f7a8b9c0d",
        "v5",
        {"manager": "kustomize-controller", "gitRevision": "main@sha1:0123456789abcdef0123"},
        5 * 86400,
        outcome="RolledBack",
        reason="ErrorRateTooHigh",
        message="9 of 30 failed",
        endedAt=ago(5 * 86400 - 62),
    ),
    make_past(V8, "v8", {"source": {"kind": "Application", "name": "models"}}, 200),
    *RECORDS,
]


def test_the_table_is_as_written_down() -> None:
    told = tell_past(objects.HOLDING, PAST)
    compare("history.txt", printed(align(make_rows(told, NOW), gap=3), width=100))


def test_everything_is_there_for_programs_too() -> None:
    refused = tell_past(objects.HOLDING, PAST[1:2])
    compare("history.yaml", yaml.safe_dump(dump(refused), sort_keys=False))


def test_of_two_that_began_in_the_same_second_the_one_that_ended_later_is_later() -> None:
    first = make_record(V7, "v7", outcome="Stable", endedAt=ago(299.5))
    second = make_record(V8, "v8", outcome="RolledBack", endedAt=ago(298))
    third = make_record("1a2b3c4d5e", "v9")
    told = tell_past(objects.HEALTHY, [second, first, third])
    assert [one.version for one in told] == ["v9", "v8", "v7"]


def test_one_is_chosen_by_id_or_version() -> None:
    told = tell_past(objects.HOLDING, PAST)
    assert [one.version for one in choose(told, V7)] == ["v7"]
    assert [one.revision for one in choose(told, "v8")] == [V8]
    with pytest.raises(CommandError, match=r"^no revision v9 is in history: there is v8 \(9f66"):
        choose(told, "v9")


def test_a_version_that_nobody_named_is_the_images_tag() -> None:
    record = make_record(V7, "")
    record["spec"]["source"] = {"server": {"image": "registry.example.com/fraud:v7"}}
    assert tell_past(objects.HOLDING, [record])[0].version == "v7"
