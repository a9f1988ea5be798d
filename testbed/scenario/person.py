"""Somebody with a terminal: `canarium …` as a process of its own, in a scenario's namespace."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from testbed.operators.running import ROOT
from testbed.scenario.scenario import Scenario


@dataclass(frozen=True)
class Said:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str


class Person:
    """Somebody with a terminal in a scenario's namespace."""

    def __init__(self, scenario: Scenario, kubeconfig: Path | None = None) -> None:
        self._namespace = scenario.namespace
        self._kubeconfig = kubeconfig or scenario.cluster.kubeconfig

    def run(self, *words: str, timeout: float = 90) -> Said:
        """`canarium …`, to its end."""
        done = subprocess.run(
            self._command(words), capture_output=True, text=True, check=False,
            cwd=ROOT, timeout=timeout, env=self._environment(),
        )  # fmt: skip
        return Said(done.returncode, done.stdout, done.stderr)

    @contextmanager
    def running(self, *words: str) -> Iterator[subprocess.Popen[str]]:
        """`canarium …` beside the test; it has to have ended by itself when the block ends."""
        with subprocess.Popen(
            self._command(words), stdout=subprocess.PIPE, text=True, cwd=ROOT,
            env=self._environment(),
        ) as process:  # fmt: skip
            try:
                yield process
            finally:
                if process.poll() is None:
                    process.kill()

    def _command(self, words: tuple[str, ...]) -> list[str]:
        return [sys.executable, "-m", "canarium", *words, "-n", self._namespace]

    def _environment(self) -> dict[str, str]:
        return {**os.environ, "KUBECONFIG": str(self._kubeconfig), "COLUMNS": "100"}
