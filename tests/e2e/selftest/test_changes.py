"""The log is read in the apiserver's order, whatever the watches' order was."""

import json
from dataclasses import asdict
from pathlib import Path

from testbed.witness.changes import Change, needed, read_changes
from tests.e2e.selftest.witnessed import canary


def test_changes_come_back_in_the_order_in_which_they_happened(tmp_path: Path) -> None:
    log, changes = tmp_path / "log", canary().changes
    rows = [json.dumps(asdict(change)) for change in reversed(changes)]
    log.write_text("\n".join(rows) + '\n{"time": 1.0, "ty')

    assert read_changes(log) == changes
    assert read_changes(log, "elsewhere") == []


def test_a_change_happened_after_the_apiserver_noted_it_and_before_it_was_seen() -> None:
    metadata = {
        "name": "iris",
        "creationTimestamp": "1970-01-01T00:00:10Z",
        "managedFields": [{"manager": "a", "time": "1970-01-01T00:01:00Z"}, {"manager": "b"}],
    }

    assert Change(65.5, "MODIFIED", "Pod", {"metadata": metadata}).earliest == 60.0
    assert Change(60.0, "MODIFIED", "Pod", {"metadata": metadata}).earliest == 60.0
    assert Change(65.5, "MODIFIED", "Pod", {"metadata": {"name": "iris"}}).earliest == 65.5


def test_every_share_needs_at_least_one_pod() -> None:
    wanted = {(0, 2): 0, (1, 2): 1, (50, 2): 1, (51, 2): 2, (100, 3): 3, (20, 10): 2}

    assert {pair: needed(*pair) for pair in wanted} == wanted
