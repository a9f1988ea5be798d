"""Reads what the witness and the client write, as it grows, one whole line after the other."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from testbed.demo.gateway_counters import fetch_counts
from testbed.demo.track import Reading, Track
from testbed.load.traffic import Answer
from testbed.witness.changes import Change


class Lines:
    """The rows of a file of JSON lines, each once; a file that isn't there yet has none."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def read(self) -> Iterator[dict[str, Any]]:
        """The rows that are new and whole."""
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            file.seek(self._offset)
            whole = file.read().rpartition(b"\n")
        self._offset += len(whole[0]) + len(whole[1])
        yield from (json.loads(line) for line in whole[0].splitlines())


class Feed:
    """Brings a track up to date."""

    def __init__(self, track: Track, witness: Path, client: Path, metrics_url: str | None) -> None:
        self._track = track
        self._witness = Lines(witness)
        self._client = Lines(client)
        self._metrics_url = metrics_url
        self._read_at = 0.0

    def update(self) -> None:
        """Take in everything that is new, and once a second the gateway's counters."""
        for row in self._witness.read():
            self._track.take_change(Change(**row))
        for row in self._client.read():
            if "number" in row:  # the others tell of the client itself
                self._track.take_answer(Answer(**row))
        now = time.time()
        if self._metrics_url and now - self._read_at >= 1.0:
            self._read_at = now
            self._track.take_reading(Reading(now, fetch_counts(self._metrics_url)))
