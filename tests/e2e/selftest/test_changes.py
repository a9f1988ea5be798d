"""The log is read in the apiserver's order, whatever the watches' order was."""

import json
from dataclasses import asdict
from pathlib import Path

from tests.e2e.changes import needed, read_changes
from tests.e2e.selftest.witnessed import canary


def test_changes_come_back_in_the_order_in_which_they_happened(tmp_path: Path) -> None:
    log, changes = tmp_path / "log", canary().changes
    rows = [json.dumps(asdict(change)) for change in reversed(changes)]
    log.write_text("\n".join(rows) + '\n{"time": 1.0, "ty')

    assert read_changes(log) == changes
    assert read_changes(log, "elsewhere") == []


def test_every_share_needs_at_least_one_pod() -> None:
    wanted = {(0, 2): 0, (1, 2): 1, (50, 2): 1, (51, 2): 2, (100, 3): 3, (20, 10): 2}

    assert {pair: needed(*pair) for pair in wanted} == wanted
