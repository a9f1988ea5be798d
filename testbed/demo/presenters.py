"""Puts scenes on a terminal, where they move, or into a log, where each change is a line."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.live import Live

from testbed.demo.live import WIDTH, render
from testbed.demo.plain import narrate
from testbed.demo.scene import Scene


class Presenter(Protocol):
    """Shows scenes."""

    def show(self, scene: Scene) -> None:
        """Show one, now."""


class PlainPresenter:
    """Prints what changed since the last scene."""

    def __init__(self) -> None:
        self._before: Scene | None = None

    def show(self, scene: Scene) -> None:
        """Print the changes."""
        print_lines(narrate(self._before, scene))
        self._before = scene


class LivePresenter:
    """Redraws one picture in place."""

    def __init__(self, live: Live) -> None:
        self._live = live

    def show(self, scene: Scene) -> None:
        """Draw it."""
        self._live.update(render(scene), refresh=True)


@contextmanager
def presenting(*, plain: bool) -> Iterator[Presenter]:
    """The presenter for where standard output goes."""
    if plain or not sys.stdout.isatty():
        yield PlainPresenter()
        return
    console = Console(highlight=False, soft_wrap=False)
    console.width = min(console.width, WIDTH)
    with Live(console=console, auto_refresh=False, transient=False) as live:
        yield LivePresenter(live)


def print_lines(lines: Sequence[str]) -> None:
    """Print at once, also into a pipe."""
    for line in lines:
        print(line, flush=True)
