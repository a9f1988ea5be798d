"""Every state and edge that a rollout reaches: those of docs/contributing/states.md, no other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.walk.walk import walk

DOCUMENT = Path(__file__).parents[2] / "docs" / "contributing" / "states.md"
EDGE = re.compile(r"^\| (\w+) → (\w+) \|", re.MULTILINE)


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("holdback", [0, 10])
def test_every_reachable_state_keeps_the_rules_and_every_edge_is_in_the_documentation(
    capsys: pytest.CaptureFixture[str], holdback: int
) -> None:
    found, listed = walk(holdback=holdback), EDGE.findall(DOCUMENT.read_text())
    with capsys.disabled():
        print(f"\n{found}")
    violated = {what: f"\n{way}\n" for what, way in found.violations.items()}
    unlisted = {edge: f"\n{way}\n" for edge, way in found.edges.items() if edge not in listed}
    never_taken = [edge for edge in listed if edge not in found.edges]
    assert (violated, unlisted, never_taken) == ({}, {}, [])


def test_no_edge_is_listed_twice() -> None:
    listed = EDGE.findall(DOCUMENT.read_text())
    assert sorted(listed) == sorted(set(listed))
