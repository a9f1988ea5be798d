"""Says what a long step is doing and how long it takes, so that nobody wonders whether it hangs.

Every line begins with the seconds since the start; a step that stays quiet gets a heartbeat.
"""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TextIO

HEARTBEAT_SECONDS = 15.0


@dataclass(slots=True)
class Progress:
    """Writes lines such as ``[ 12s] compiling Kubernetes 1.35.4``.

    ``out`` None means standard error at the time of the line, so that it works under pytest.
    """

    out: TextIO | None = None
    heartbeat_seconds: float = HEARTBEAT_SECONDS
    started: float = field(default_factory=time.monotonic)

    def say(self, text: str) -> None:
        """Write one line with the seconds since the start."""
        elapsed = int(time.monotonic() - self.started)
        print(f"[{elapsed:4d}s] {text}", file=self.out or sys.stderr, flush=True)

    def cached(self, text: str) -> None:
        """Say that something was taken from the cache instead of being made."""
        self.say(f"{text} (cached)")

    @contextmanager
    def step(self, text: str) -> Iterator[None]:
        """Say what begins, repeat it while it lasts, and say how long it took if that was long."""
        self.say(f"{text} ...")
        begun, over = time.monotonic(), threading.Event()
        heart = threading.Thread(target=self._beat, args=(text, begun, over), daemon=True)
        heart.start()
        try:
            yield
        finally:
            over.set()
            heart.join()
        seconds = time.monotonic() - begun
        if seconds >= self.heartbeat_seconds:
            self.say(f"{text}: done in {seconds:.0f} s")

    def _beat(self, text: str, begun: float, over: threading.Event) -> None:
        while not over.wait(self.heartbeat_seconds):
            self.say(f"    still {text} ({time.monotonic() - begun:.0f} s so far)")
