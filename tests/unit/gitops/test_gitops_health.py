"""The health script for Argo CD, run in Lua 5.1 on objects that a real operator left."""

from __future__ import annotations

import copy
from typing import Any
from unittest.mock import ANY

import pytest
import yaml
from lupa import lua51

from testbed.scenario.record import STORIES
from tests.unit.gitops.recordings import (
    ROOT,
    Json,
    read_blocks,
    read_recordings,
    read_script,
    read_table,
)

RECORDINGS = read_recordings()
KEY = "resource.customizations.health.canarium.dev_ModelDeployment"
ALLOWED = ("ipairs", "pairs", "next", "type", "tostring", "tonumber", "table")
"What a script of ours may use of what Argo CD opens: it opens no string, math, io or debug."


def run_script(obj: Json) -> Json:
    """What the script returns for an object, with nothing in reach but what Argo CD opens."""
    lua = lua51.LuaRuntime(register_eval=False, register_builtins=False)
    script, table = lua.compile(read_script()), lua.globals()
    kept = {name: table[name] for name in ALLOWED}
    for name in list(table):
        table[name] = None
    for name, value in kept.items():
        table[name] = value
    table["obj"] = to_lua(lua, obj)
    return dict(script())


def to_lua(lua: Any, value: Any) -> Any:
    if isinstance(value, dict):
        return lua.table_from({key: to_lua(lua, item) for key, item in value.items()})
    if isinstance(value, list):
        return lua.table_from([to_lua(lua, item) for item in value])
    return value


def changed(name: str, **status: Any) -> Json:
    """A recorded object with another status."""
    found = copy.deepcopy(RECORDINGS[name])
    found["status"] |= status
    return found


def test_every_story_is_recorded_and_in_the_table() -> None:
    assert set(STORIES) == set(RECORDINGS) == set(read_table())


@pytest.mark.parametrize("name", RECORDINGS)
def test_argo_cd_shows_what_the_table_says(name: str) -> None:
    assert run_script(RECORDINGS[name])["status"] == read_table()[name].argo


@pytest.mark.parametrize(
    "name",
    [
        "progressing",
        "paused",
        "awaiting-approval",
        "paused-guard",
        "rolled-back",
        "healthy",
        "invalid",
    ],
)
def test_the_message_is_canariums_own(name: str) -> None:
    assert run_script(RECORDINGS[name])["message"] == RECORDINGS[name]["status"]["message"]


def test_an_object_without_a_status_is_on_its_way() -> None:
    bare = {key: value for key, value in RECORDINGS["new"].items() if key != "status"}
    assert run_script(bare) == {
        "status": "Progressing",
        "message": "waits for Canarium to see this change",
    }


def test_what_is_said_of_an_earlier_spec_counts_for_nothing() -> None:
    generation = RECORDINGS["rolled-back"]["metadata"]["generation"]
    stale = changed("rolled-back", observedGeneration=generation - 1)
    assert run_script(stale)["status"] == "Progressing"


def test_missing_pods_are_told_in_the_words_of_ready() -> None:
    ready = next(
        c for c in RECORDINGS["too-few-pods"]["status"]["conditions"] if c["type"] == "Ready"
    )
    assert run_script(RECORDINGS["too-few-pods"])["message"] == ready["message"]


def test_a_status_without_conditions_is_not_taken_for_healthy() -> None:
    assert run_script(changed("healthy", conditions=[]))["status"] == "Progressing"


def test_the_script_that_is_shown_and_the_one_in_the_example_are_the_script() -> None:
    settings, application = read_blocks("argo-cd.md")
    example = (ROOT / "examples" / "gitops" / "argo-cd.yaml").read_text()
    assert settings["data"][KEY] == read_script()
    assert list(yaml.safe_load_all(example)) == [settings, application]


def test_the_example_for_flux_ends_in_what_is_shown() -> None:
    shown, lenient = read_blocks("flux.md")
    example = (ROOT / "examples" / "gitops" / "flux.yaml").read_text()
    assert list(yaml.safe_load_all(example))[-1] == shown
    assert {**shown["spec"], "healthCheckExprs": ANY} == lenient["spec"]
