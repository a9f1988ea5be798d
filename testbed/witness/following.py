"""One object that is watched from the beginning: all that it has shown, and waiting for more."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import urllib3
from kubernetes.client import ApiException

from testbed.operators.apiserver import Apiserver, WatchEndedError

Json = dict[str, Any]
RETRY_SECONDS = 0.5


def version_of(found: Json) -> int:
    """The resourceVersion of an object, by which what different objects show can be ordered."""
    return int(found["metadata"]["resourceVersion"])


class Followed:
    """The versions of one object, by a watch in a thread of its own until `end`."""

    def __init__(self, kubeconfig: Path, path: str, name: str) -> None:
        self.seen: list[Json] = []
        "Every version, in the apiserver's order."
        self._path, self._name = path, name
        self._apiserver = Apiserver(kubeconfig)
        self._news = threading.Condition()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def mark(self) -> int:
        """This moment: what is seen from now on is what a wait since then goes by."""
        with self._news:
            return len(self.seen)

    def wait(
        self,
        holds: Callable[[Json], bool],
        seconds: float,
        what: str,
        *,
        since: int | None = None,
    ) -> Json:
        """The first version since a `mark` that this holds of; without one, from that of now on."""
        deadline = time.monotonic() + seconds
        with self._news:
            first = max(0, len(self.seen) - 1) if since is None else since
            while True:
                if (found := self._find(holds, first)) is not None:
                    return found
                first = len(self.seen)
                if not self._news.wait(deadline - time.monotonic()):
                    raise AssertionError(f"{self._name} never came to {what}: {self._last()}")

    def end(self) -> None:
        """Stop watching, with the next thing that is seen."""
        self._ended.set()

    def _find(self, holds: Callable[[Json], bool], first: int) -> Json | None:
        return next((found for found in self.seen[first:] if holds(found)), None)

    def _last(self) -> Json:
        return dict(self.seen[-1].get("status", {})) if self.seen else {}

    def _follow(self) -> None:
        while not self._ended.is_set():
            try:
                self._follow_once()
            except (WatchEndedError, ApiException, urllib3.exceptions.HTTPError):
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
                self.seen.append(found)
                self._news.notify_all()
