"""Whole outputs, kept as files. `CANARIUM_GOLDEN=write` writes them anew: look before keeping."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable
from pathlib import Path

from canarium.cli.drawing.terminal import make_console
from rich.console import RenderableType

GOLDEN = Path(__file__).parents[2] / "golden" / "cli"


def printed(items: Iterable[RenderableType], *, width: int = 96) -> str:
    """What a terminal of this width shows of them, without colours."""
    console = make_console(io.StringIO(), width)
    for item in items:
        console.print(item)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    return "".join(f"{line.rstrip()}\n" for line in text.splitlines())


def compare(name: str, text: str) -> None:
    file = GOLDEN / name
    if os.environ.get("CANARIUM_GOLDEN") == "write":
        file.write_text(text)
    assert text == file.read_text()
