"""What image/ makes of the base image, on small trees; the scripts themselves run in the build."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

SCRIPTS = Path(__file__).parents[3] / "image"


@pytest.fixture
def collect(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The script as a module; it finds the one beside it as it does in the build."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    yield importlib.import_module("collect")
    for name in ("collect", "bill"):
        sys.modules.pop(name, None)


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A library behind two links: lib -> usr/lib, and its short name."""
    machine = tmp_path / "machine"
    (machine / "usr" / "lib").mkdir(parents=True)
    (machine / "usr" / "lib" / "libc.so.6.1").write_text("code")
    (machine / "usr" / "lib" / "libc.so.6").symlink_to("libc.so.6.1")
    (machine / "lib").symlink_to("usr/lib")
    return machine


def test_links_on_the_way_to_a_file_are_made_as_they_are(
    collect: Any, machine: Path, tmp_path: Path
) -> None:
    tree = collect.Tree(tmp_path / "root")
    tree.add(machine / "lib" / "libc.so.6")
    copied = tmp_path / "root" / machine.relative_to("/")
    assert (copied / "lib").readlink() == Path("usr/lib")
    assert (copied / "usr" / "lib" / "libc.so.6").readlink() == Path("libc.so.6.1")
    assert (copied / "lib" / "libc.so.6").read_text() == "code"
    assert tree.sources == {machine / "usr" / "lib" / "libc.so.6.1"}


def test_what_nothing_needs_is_left_out_of_the_library(collect: Any, tmp_path: Path) -> None:
    kept = ["json/decoder.py", "lib-dynload/_ssl.cpython-311.so"]
    unused = [
        "__pycache__/os.cpython-311.pyc",
        "config-3.11-x86_64-linux-gnu/Makefile",
        "ensurepip/__init__.py",
        "lib-dynload/_curses.cpython-311.so",
        "lib-dynload/readline.cpython-311.so",
        "test/support.py",
    ]
    for name in (*kept, *unused):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = collect.walk(tmp_path, collect.NOT_OF_LIBRARY)
    assert [str(path.relative_to(tmp_path)) for path in found] == kept


def test_the_same_files_at_other_times_become_the_same_tree(collect: Any, tmp_path: Path) -> None:
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "module.py").write_text("WORDS = frozenset({'a', 'b', 'c'})\n")
    collect.set_times(tmp_path, 86400)
    times = {path.stat().st_mtime for path in (tmp_path, *tmp_path.rglob("*"))}
    assert times == {86400.0}


def test_the_bill_is_about_the_program_and_names_the_packages_of_both_kinds(collect: Any) -> None:
    program = {"name": "canarium", "type": "library", "externalReferences": ["file:///wheel"]}
    package = collect.bill.Package("libpython3.11-stdlib", "3.11.2", "amd64", "Package: …")
    complete = collect.bill.complete({"components": [{"name": "kopf"}, program]}, [package])
    assert complete == {
        "metadata": {"component": {"name": "canarium", "type": "application"}},
        "components": [{"name": "kopf"}, package.make_component()],
    }


def test_an_interpreter_that_no_package_brought_is_on_the_bill(collect: Any) -> None:
    program = {"name": "canarium", "type": "library"}
    complete = collect.bill.complete({"components": [program]}, [])
    assert [each["name"] for each in complete["components"]] == ["python"]
