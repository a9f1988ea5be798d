"""Runs named tests on a version of the package, in a process of its own, and tells what came."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.mutants.mutant import PACKAGE, ROOT, Mutant

LIMIT_SECONDS = 300.0
FAILURES = ("AssertionError", "Failed", "NeverError")
"What a test says by itself; NeverError is a simulation that never comes where it should."


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a version did: `good` is what was hoped for; `words` are one line for people."""

    good: bool
    words: str
    details: str = ""


def try_mutant(mutant: Mutant) -> Verdict:
    """Run a mutant's own test on it, which has to fail."""
    with tempfile.TemporaryDirectory(prefix="canarium-mutant-") as folder:
        path = mutant.plant(Path(folder))
        return judge(run_tests([mutant.test], path), path / PACKAGE.name)


def try_original(tests: Sequence[str]) -> Verdict:
    """Run tests on the package as it is, which have to pass."""
    run = run_tests(tests, PACKAGE.parent)
    failed = [failure["test"] for failure in run.found.get("failures", ())]
    good = run.code == 0 and not failed and run.found["package"] == str(PACKAGE)
    return Verdict(good, ", ".join(failed) or f"exit code {run.code}", run.output)


@dataclass(frozen=True, slots=True)
class Run:
    """A run of pytest: its exit code, its output, and what the witness found."""

    code: int
    output: str
    found: dict[str, Any]


def run_tests(tests: Sequence[str], path: Path) -> Run:
    """Run pytest with the folder first on the path; it stops at the first failure."""
    with tempfile.TemporaryDirectory(prefix="canarium-witness-") as folder:
        witness = Path(folder) / "found.json"
        plugins = ("no:cacheprovider", "no:xdist", "tests.mutants.witness")
        command = [sys.executable, "-m", "pytest", "-q", "-x", "--witness", str(witness)]
        command += [word for plugin in plugins for word in ("-p", plugin)]
        command += ["-o", f"pythonpath={path} .", *tests]
        code, output = _execute(command, path)
        found = json.loads(witness.read_text()) if witness.exists() else {}
    return Run(code, output, found)


def _execute(command: Sequence[str], path: Path) -> tuple[int, str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(path), str(ROOT)))}
    environment.pop("PYTEST_ADDOPTS", None)
    try:
        done = subprocess.run(
            command, cwd=ROOT, env=environment, timeout=LIMIT_SECONDS,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return -1, f"no end within {LIMIT_SECONDS:g} s"
    return done.returncode, done.stdout


def judge(run: Run, package: Path) -> Verdict:
    """Whether the test failed as a test does, on this package and no other."""
    if run.found.get("package") != str(package):
        return Verdict(False, f"did not run ({run.code})", run.output)
    failures = run.found["failures"]
    if not failures:
        words = "SURVIVES" if run.found["passed"] else "no test ran"
        return Verdict(False, words, run.output)
    failure = failures[0]
    if failure["kind"] not in FAILURES:
        return Verdict(False, f"crashes: {failure['kind']}", run.output)
    return Verdict(True, "caught", failure["message"])
