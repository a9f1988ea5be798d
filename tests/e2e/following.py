"""One object that is watched from the beginning: all that it has shown, and waiting for more."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kubernetes.client import ApiException

from tests.e2e.apiserver import Apiserver, WatchEndedError

Json = dict[str, Any]
RETRY_SECONDS = 0.5


class Followed:
    """The versions of one object, by a watch in a thread of its own until `end`."""

    def __init__(self, kubeconfig: Path, path: str, name: str) -> None:
        self.seen: list[tuple[float, Json]] = []
        "When which version came, in seconds since the epoch."
        self._path, self._name = path, name
        self._apiserver = Apiserver(kubeconfig)
        self._news = threading.Condition()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def wait(self, holds: Callable[[Json], bool], seconds: float, what: str) -> Json:
        """The first version from now on that this holds of; the one of now counts."""
        deadline = time.monotonic() + seconds
        with self._news:
            first = max(0, len(self.seen) - 1)
            while True:
                if (found := self._find(holds, first)) is not None:
                    return found
                first = max(0, len(self.seen) - 1)
                if not self._news.wait(deadline - time.monotonic()):
                    raise AssertionError(f"{self._name} never came to {what}: {self._last()}")

    def end(self) -> None:
        """Stop watching, with the next thing that is seen."""
        self._ended.set()

    def _find(self, holds: Callable[[Json], bool], first: int) -> Json | None:
        return next((found for _, found in self.seen[first:] if holds(found)), None)

    def _last(self) -> Json:
        return dict(self.seen[-1][1].get("status", {})) if self.seen else {}

    def _follow(self) -> None:
        while not self._ended.is_set():
            try:
                self._follow_once()
            except (WatchEndedError, ApiException):
                time.sleep(RETRY_SECONDS)

    def _follow_once(self) -> None:
        listed = self._apiserver.get(self._path)
        for found in listed["items"]:
            self._see(found)
        since, selector = listed["metadata"]["resourceVersion"], f"metadata.name={self._name}"
        for type_, found in self._apiserver.watch(self._path, since, selector=selector):
            if self._ended.is_set():
                return
            if type_ != "DELETED":
                self._see(found)

    def _see(self, found: Json) -> None:
        if found["metadata"]["name"] == self._name:
            with self._news:
                self.seen.append((time.time(), found))
                self._news.notify_all()
