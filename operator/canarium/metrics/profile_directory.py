"""Profiles of users' own: a directory with a file for each, as a ConfigMap is mounted."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path

from canarium.metrics.own_profiles import MAX_TEXT, parse_profiles
from canarium.queries.profiles import Profile

logger = logging.getLogger(__name__)

READ_AGAIN_SECONDS = 30.0
"How often the directory is looked at; the kubelet takes a minute to bring a change anyway."


class OwnProfiles:
    """What a directory holds, read again every so often; without one there is nothing."""

    def __init__(self, directory: Path | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._directory = directory
        self._clock = clock
        self._read_at = float("-inf")
        self._texts: dict[str, str] = {}
        self._profiles: dict[str, Profile] = {}

    def get(self) -> dict[str, Profile]:
        """The profiles that can be used; what is wrong with others is logged when they change."""
        if self._directory is None or self._clock() - self._read_at < READ_AGAIN_SECONDS:
            return self._profiles
        self._read_at = self._clock()
        texts = _read(self._directory)
        if texts != self._texts:
            self._texts = texts
            self._profiles, problems = parse_profiles(texts)
            for problem in problems:
                logger.warning("%s: %s", self._directory, problem)
        return self._profiles


def _read(directory: Path) -> dict[str, str]:
    """The files of a mounted ConfigMap; what begins with a dot is the kubelet's own."""
    try:
        files = [path for path in sorted(directory.iterdir()) if not path.name.startswith(".")]
        return {_name(path): _read_text(path) for path in files if path.is_file()}
    except OSError as error:
        logger.warning("profiles in %s cannot be read: %s", directory, error.strerror)
        return {}


def _name(path: Path) -> str:
    return path.stem if path.suffix in (".yaml", ".yml", ".json") else path.name


def _read_text(path: Path) -> str:
    with path.open(encoding="utf-8", errors="replace") as file:
        return file.read(MAX_TEXT + 1)
