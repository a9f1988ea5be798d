"""Collects the files that the operator's image consists of: Python, its packages, what they link.

It runs in the build stage, with the base image's own Python. No shell, package manager or compiler
is among what it collects. Equal inputs give equal bytes: all files have one time, and bytecode is
compiled with hashes in place of times.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

import bill

BILL = "opt/canarium/sbom.cdx.json"
USER_ID = 65532
"A number, so that Kubernetes can tell that it isn't root (runAsNonRoot)."
NOT_OF_LIBRARY = frozenset(
    (
        "__pycache__",
        "dist-packages",
        "distutils",
        "ensurepip",
        "idlelib",
        "lib2to3",
        "pydoc_data",
        "site-packages",
        "test",
        "tkinter",
        "turtledemo",
        "venv",
    )
)
"Folders of the standard library that nothing needs to run."
UNUSED_MODULES = ("_curses", "_dbm", "_gdbm", "_sqlite3", "nis.", "readline.")
"Of the standard library's compiled modules those that bring libraries which nothing here needs."
NOT_OF_PACKAGES = frozenset(("__pycache__",))
AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
WHERE_THERE = (
    Path("/etc/ssl/openssl.cnf"),
    Path("/usr/lib/ssl/openssl.cnf"),
    Path("/etc/os-release"),
    Path("/etc/ld.so.conf"),
)
UNLINKED = "libgcc_s.so.1"
"The C library loads it by name when a thread ends: no program says so."
PASSWD = f"root:x:0:0:root:/:/sbin/nologin\nnonroot:x:{USER_ID}:{USER_ID}:nonroot:/:/sbin/nologin\n"
GROUP = f"root:x:0:\nnonroot:x:{USER_ID}:\n"
LINKED = re.compile(r"(/\S+) \(0x[0-9a-f]+\)$", re.MULTILINE)
OF_COMMANDS = ("canarium",)


class Tree:
    """A file tree below ``root`` that is filled with files of this machine, at their own paths."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.sources: set[Path] = set()

    def add(self, path: Path) -> None:
        """Copy a file; symbolic links on the way to it are made as they are here."""
        path = Path(os.path.normpath(path))
        for part in (*reversed(path.parents), path):
            if part.is_symlink():
                self._link(part)
                self.add(part.parent / part.readlink() / path.relative_to(part))
                return
        target = self._place(path)
        if not target.exists():
            shutil.copy2(path, target)
            self.sources.add(path)

    def add_folder(self, folder: Path, without: Collection[str]) -> None:
        """Copy the files below a folder, but for those in folders of some names."""
        for path in walk(folder, without):
            self.add(path)

    def write(self, path: str, text: str) -> None:
        """Write a small file of our own."""
        self._place(Path("/", path)).write_text(text)

    def _link(self, link: Path) -> None:
        target = self._place(link)
        if not target.is_symlink():
            target.symlink_to(link.readlink())

    def _place(self, path: Path) -> Path:
        target = self.root / path.relative_to("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        return target


def walk(folder: Path, without: Collection[str]) -> Iterator[Path]:
    """The files below a folder, sorted; static libraries' folders (config-…) are left out, too."""
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(
            name for name in folders if name not in without and not name.startswith("config-")
        )
        yield from (Path(place, name) for name in sorted(names) if is_used(Path(place, name)))


def is_used(path: Path) -> bool:
    """Whether a file is none of the standard library's compiled modules that are left out."""
    return path.parent.name != "lib-dynload" or not path.name.startswith(UNUSED_MODULES)


def find_linked(paths: Iterable[Path]) -> set[Path]:
    """The shared objects that programs and libraries load."""
    found: set[Path] = set()
    for path in paths:
        said = subprocess.run(["ldd", path], capture_output=True, text=True, check=False).stdout
        found |= {Path(match) for match in LINKED.findall(said)}
    return found


def add_python(tree: Tree, environment: Path) -> None:
    """The interpreter with its library, and the virtual environment with ours."""
    packages = next((environment / "lib").glob("python3.*/site-packages"))
    for name in ("stdlib", "platstdlib"):
        tree.add_folder(Path(sysconfig.get_path(name)), NOT_OF_LIBRARY)
    tree.add_folder(packages, NOT_OF_PACKAGES)
    for name in ("pyvenv.cfg", "bin/python", "bin/python3", *(f"bin/{n}" for n in OF_COMMANDS)):
        tree.add(environment / name)


def add_libraries(tree: Tree) -> None:
    """What the collected programs and modules link, and what has to be where they look for it."""
    linking = [path for path in tree.sources if is_elf(path)]
    linked = find_linked(linking)
    for path in sorted(linked):
        tree.add(path)
    for path in sorted({library.parent / UNLINKED for library in linked}):
        if path.exists():
            tree.add(path)
    for path in WHERE_THERE:
        if path.exists():
            tree.add(path)
    tree.add_folder(Path("/etc/ld.so.conf.d"), ())
    tree.add(AUTHORITIES)
    subprocess.run(["ldconfig", "-X", "-r", tree.root], check=True)
    shutil.rmtree(tree.root / "var", ignore_errors=True)  # ldconfig's own notes, with times


def is_elf(path: Path) -> bool:
    """Whether a file is a program or a library."""
    with path.open("rb") as file:
        return file.read(4) == b"\x7fELF"


def compile_bytecode(root: Path) -> None:
    """Bytecode beside every module, since the root file system will be read-only."""
    flags = ["--invalidation-mode", "unchecked-hash", "-q", "-s", str(root), "-p", "/"]
    command = [sys.executable, "-m", "compileall", *flags, str(root)]
    # Sets of constants are stored in the order of their hashes.
    subprocess.run(command, env={**os.environ, "PYTHONHASHSEED": "0"}, check=True)


def set_times(root: Path, seconds: int) -> None:
    """One time for everything."""
    for place, folders, names in os.walk(root, topdown=False):
        for name in (*folders, *names):
            os.utime(Path(place, name), (seconds, seconds), follow_symlinks=False)
    os.utime(root, (seconds, seconds))


def add_copyrights(tree: Tree) -> None:
    """What Debian's packages say of their licences, where the base image has kept it."""
    for package in bill.find_packages(tree.sources):
        path = Path("/usr/share/doc", package.name, "copyright")
        if path.exists():
            tree.add(path)


def main(environment: Path, root: Path, packages: Path) -> None:
    """Fill ``root`` with the image's files; ``packages`` is the bill of the Python packages."""
    tree = Tree(root)
    add_python(tree, environment)
    add_libraries(tree)
    add_copyrights(tree)
    tree.write("etc/passwd", PASSWD)
    tree.write("etc/group", GROUP)
    tree.write("etc/nsswitch.conf", "hosts: files dns\n")
    (root / "tmp").mkdir()
    (root / "tmp").chmod(0o1777)
    bill.write(packages, root, BILL, tree.sources)
    compile_bytecode(root)
    set_times(root, int(os.environ.get("SOURCE_DATE_EPOCH") or 0))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
