"""A router, and a source, is one file and a line: what docs/contributing shows is done here."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
HERE = Path(__file__).parent
PAGE = ROOT / "docs" / "contributing" / "adding-a-router.md"


def test_what_is_known_of_the_toys_follows_from_their_files() -> None:
    """In an interpreter of its own, for the registries are read when the rest is imported."""
    words = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-p")
    toys = ("tests.unit.adding.registered", str(HERE / "with_toys.py"))
    done = subprocess.run(
        [sys.executable, *words, *toys], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]


@pytest.mark.parametrize("name", ["toy_router.py", "toy_source.py"])
def test_the_page_shows_the_files_as_they_are(name: str) -> None:
    shown = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert (HERE / name).read_text() in shown
