"""What failed, over all tiers of a run, so that its last lines can say it.

`CANARIUM_FAILED` names the file to which all tiers write; without it nobody asks.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

RUN = "CANARIUM_FAILED"
LONGEST = 400
"Characters of what a failed test said; its own tier printed all of it."


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """A phase of a test is over."""
    note(report)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    """The tests of a file were collected."""
    note(report)


def note(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Write down a failed test, or a file whose tests could not be collected."""
    if report.failed:
        write(describe(report))


def write(line: str) -> None:
    """Write down one failure."""
    where = os.environ.get(RUN)
    if where is not None:
        with Path(where).open("a", encoding="utf-8") as file:
            file.write(line + "\n")


def describe(report: pytest.TestReport | pytest.CollectReport) -> str:
    """One line: which test, in which phase, and the beginning of what it said."""
    crash = getattr(report.longrepr, "reprcrash", None)
    said = " ".join(str(crash.message if crash else report.longrepr).split())
    phase = getattr(report, "when", "collect")
    return f"{report.nodeid} ({phase}): {said[:LONGEST]}"
