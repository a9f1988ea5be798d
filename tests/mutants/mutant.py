"""A wrong version of the operator: one text replaced in one file of a copy of the package."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "operator" / "canarium"


class DoesNotApplyError(Exception):
    """The code has moved on: the text that a mutant replaces is not there once."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """`old` in `file` (below the package) becomes `new`; `test` is the node id that must fail.

    `wrong` says what is wrong, as people would meet it.
    """

    name: str
    wrong: str
    file: str
    old: str
    new: str
    test: str

    def change(self, source: str) -> str:
        """The file's text with the mistake in it."""
        found = source.count(self.old)
        if found != 1:
            raise DoesNotApplyError(f"{self.name}: the old text is {found} times in {self.file}")
        return source.replace(self.old, self.new)

    def read(self) -> str:
        """The file as it is, with the mistake in it."""
        return self.change((PACKAGE / self.file).read_text())

    def plant(self, folder: Path) -> Path:
        """Copy the package into a folder, mistaken; what to put on the path in its place."""
        source, copy = self.read(), folder / PACKAGE.name
        shutil.copytree(PACKAGE, copy)
        changed = copy / self.file
        for compiled in (changed.parent / "__pycache__").glob(f"{changed.stem}.*"):
            compiled.unlink()  # it would be taken for this version's if size and time agree
        changed.write_text(source)
        return folder
