"""Watches that end, break or grow too old are taken up again, and nothing is missed."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

import pytest
from canarium.cli import following
from canarium.cli.connection import MODELS, WatchEndedError
from canarium.cli.following import follow
from canarium.errors import UnavailableError

Json = dict[str, Any]
Change = tuple[str, Json]


class Script:
    """A connection whose lists and watches are written down; an exception stands for its rise."""

    def __init__(self, lists: list[Any], watches: list[list[Any]]) -> None:
        self.lists, self.watches, self.asked = lists, watches, list[str]()

    async def list(self, _kind: Any, *, query: Mapping[str, str]) -> Json:
        self.asked.append("list")
        answer = self.lists.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return {"metadata": {"resourceVersion": "10"}, "items": answer}

    async def watch(
        self, _kind: Any, since: str, _query: Mapping[str, str]
    ) -> AsyncGenerator[Change]:
        self.asked.append(f"watch from {since}")
        for change in self.watches.pop(0):
            if isinstance(change, Exception):
                raise change
            yield change


def item(name: str, version: int) -> Json:
    return {"metadata": {"name": name, "resourceVersion": str(version)}}


async def seen(script: Script, count: int) -> list[dict[str, int]]:
    """The first so many states, as version by name."""
    found: list[dict[str, int]] = []
    async with aclosing(follow(script, MODELS, {})) as states:  # type: ignore[arg-type]
        async for state in states:
            versions = {n: int(one["metadata"]["resourceVersion"]) for n, one in state.items()}
            found.append(versions)
            if len(found) == count:
                break
    return found


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "AGAIN_SECONDS", 0.0)


async def test_changes_are_added_to_the_list() -> None:
    changes = [("MODIFIED", item("a", 11)), ("ADDED", item("b", 12)), ("DELETED", item("a", 13))]
    script = Script([[item("a", 9)]], [changes])
    assert await seen(script, 4) == [{"a": 9}, {"a": 11}, {"a": 11, "b": 12}, {"b": 12}]


async def test_a_watch_that_ends_goes_on_where_it_was() -> None:
    bookmark = ("BOOKMARK", item("", 20))
    script = Script([[]], [[bookmark], [("ADDED", item("a", 21))]])
    assert await seen(script, 2) == [{}, {"a": 21}]
    assert script.asked == ["list", "watch from 10", "watch from 20"]


async def test_a_watch_that_is_too_old_begins_with_a_list() -> None:
    script = Script([[item("a", 9)], [item("b", 30)]], [[WatchEndedError()]])
    assert await seen(script, 2) == [{"a": 9}, {"b": 30}]
    assert script.asked == ["list", "watch from 10", "list"]


async def test_an_apiserver_that_goes_away_is_waited_for() -> None:
    away = UnavailableError("away")
    script = Script([[item("a", 9)]], [[away], [away], [("MODIFIED", item("a", 11))]])
    assert await seen(script, 2) == [{"a": 9}, {"a": 11}]


async def test_an_apiserver_that_never_was_there_is_an_error() -> None:
    with pytest.raises(UnavailableError):
        await seen(Script([UnavailableError("away")], []), 1)
