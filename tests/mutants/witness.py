"""A plugin of pytest that writes down what failed, and with which package under test.

A mutant counts as caught by a failed assertion alone: one that crashes is a bad mutant.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import canarium
import pytest


class Witness:
    """Collects the outcome of each test."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._passed: list[str] = []
        self._failures: list[dict[str, str]] = []

    @pytest.hookimpl
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" and report.passed:
            self._passed.append(report.nodeid)

    @pytest.hookimpl
    def pytest_exception_interact(self, node: Any, call: pytest.CallInfo[Any]) -> None:
        if call.excinfo is not None:
            words = str(call.excinfo.value).strip().splitlines() or [""]
            failure = {"kind": call.excinfo.typename, "message": words[0]}
            self._failures.append({"test": node.nodeid, **failure})

    @pytest.hookimpl
    def pytest_sessionfinish(self) -> None:
        package = str(Path(canarium.__file__).parent)
        found = {"package": package, "passed": self._passed, "failures": self._failures}
        self._path.write_text(json.dumps(found))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--witness", type=Path, required=True, help="where to write what was found")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Witness(config.getoption("--witness")))
