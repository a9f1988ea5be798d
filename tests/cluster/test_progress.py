"""Long steps say what they do and how long it takes."""

import io
import re
from pathlib import Path

import pytest

from testbed.programs.cache import compute_key, keep
from testbed.programs.processes import wait_until
from testbed.programs.progress import Progress


def test_a_quick_step_is_one_line() -> None:
    out = io.StringIO()

    with Progress(out).step("compiling"):
        pass

    assert re.fullmatch(r"\[ +\d+s\] compiling \.\.\.\n", out.getvalue())


def test_a_long_step_has_a_heartbeat_and_says_how_long_it_took() -> None:
    out = io.StringIO()

    with Progress(out, heartbeat_seconds=0.05).step("compiling"):
        assert wait_until(lambda: out.getvalue().count("still compiling") >= 2, 40)

    lines = out.getvalue().splitlines()
    assert re.fullmatch(r"\[ +\d+s\]     still compiling \(\d+ s so far\)", lines[1])
    assert re.fullmatch(r"\[ +\d+s\] compiling: done in \d+ s", lines[-1])


def test_what_comes_from_the_cache_says_so() -> None:
    out = io.StringIO()

    Progress(out).cached("Kubernetes 1.35.4")

    assert re.fullmatch(r"\[ +\d+s\] Kubernetes 1\.35\.4 \(cached\)\n", out.getvalue())


def test_a_cache_entry_is_made_once(tmp_path: Path) -> None:
    made: list[Path] = []

    def make(out: Path) -> None:
        made.append(out)
        out.write_text("content")

    first, second = keep(tmp_path / "entry", make), keep(tmp_path / "entry", make)

    assert (first, second, first.read_text(), len(made)) == (first, first, "content", 1)


def test_a_cache_entry_that_fails_half_way_is_not_there(tmp_path: Path) -> None:
    def fail(out: Path) -> None:
        out.write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        keep(tmp_path / "entry", fail)

    assert [path.name for path in tmp_path.iterdir()] == [".entry.lock"]


def test_a_key_depends_on_where_one_input_ends_and_the_next_begins() -> None:
    assert compute_key("ab", "c") != compute_key("a", "bc")
