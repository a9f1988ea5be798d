"""The last lines of a run say which tests failed."""

import os
import subprocess
import sys
from pathlib import Path

from testbed.failed import RUN

TESTS = """
import pytest

@pytest.fixture
def broken():
    raise OSError("no such\\n  machine")

def test_good(): pass
def test_bad(): assert 1 + 1 == 3, "arithmetic " * 100
def test_without_a_machine(broken): pass
"""


def test_failed_tests_are_noted_once_for_all_workers(tmp_path: Path) -> None:
    (tmp_path / "test_some.py").write_text(TESTS)
    (tmp_path / "test_unreadable.py").write_text("import nothing_of_this_name")
    noted = tmp_path / "noted"

    words = ("-q", "-n", "2", "-p", "tests.conftest", "-p", "no:cacheprovider", str(tmp_path))
    done = subprocess.run(
        (sys.executable, "-m", "pytest", *words, f"--rootdir={tmp_path}"),
        env={**os.environ, RUN: str(noted)},
        capture_output=True,
        check=False,
    )

    assert done.returncode == 1
    lines = sorted(noted.read_text().splitlines())
    assert [line[:50] for line in lines] == [
        "test_some.py::test_bad (call): AssertionError: ari",
        "test_some.py::test_without_a_machine (setup): OSEr",
        "test_unreadable.py (collect): ImportError while im",
    ]
    assert "OSError: no such machine" in lines[1]
    assert max(map(len, lines)) < 500
