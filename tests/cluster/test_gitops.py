"""Flux's and Argo CD's own code on recorded ModelDeployments, against the table in docs/gitops."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.cluster.binaries import GITOPS, build
from tests.cluster.progress import Progress
from tests.unit.gitops.recordings import (
    Json,
    Shown,
    read_blocks,
    read_recordings,
    read_script,
    read_table,
)


@pytest.fixture(scope="module")
def program() -> Path:
    return build(GITOPS, Progress())


def judge(program: Path, *objects: Json) -> list[Shown]:
    """What Argo CD's interpreter, kstatus and Flux's health expressions make of objects."""
    (checked,) = read_blocks("flux.md")[0]["spec"]["healthCheckExprs"]
    asked = {"objects": objects, "expressions": checked, "script": read_script()}
    answer = subprocess.run(
        [program], input=json.dumps(asked), capture_output=True, text=True, check=True
    )
    tools = ("argo", "kstatus", "flux")
    return [Shown(*(item[tool]["status"] for tool in tools)) for item in json.loads(answer.stdout)]


def test_the_tools_show_what_the_table_says(program: Path) -> None:
    recorded = read_recordings()

    shown = judge(program, *recorded.values())

    assert dict(zip(recorded, shown, strict=True)) == read_table()


def test_an_object_that_is_being_deleted_is_terminating_for_kstatus(program: Path) -> None:
    recorded = read_recordings()["healthy"]
    going = {**recorded["metadata"], "deletionTimestamp": "2026-01-01T00:00:00Z"}

    (shown,) = judge(program, {**recorded, "metadata": going})

    assert shown.kstatus == "Terminating"
