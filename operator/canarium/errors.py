"""Every error of Canarium's own, in one tree, so that one table can say what happens next."""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from pathlib import Path


class CanariumError(Exception):
    """The root: catch this to catch whatever Canarium raises on purpose."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a spec: the field's path and what to write instead."""

    field: str
    message: str

    def __str__(self) -> str:
        return f"{self.field}: {self.message}" if self.field else self.message


class SpecError(CanariumError):
    """A spec that cannot be carried out; people have to change it, retrying is no use."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__("; ".join(str(problem) for problem in problems))
        self.problems = problems


class ConfigError(CanariumError):
    """The operator's own settings cannot be used: a kubeconfig, a context, an address."""


class CommandError(CanariumError):
    """What a person asked for on the command line cannot be done; `code` is the exit code."""

    def __init__(self, message: str, code: int = 2) -> None:
        super().__init__(message)
        self.code = code


class DeniedError(CommandError):
    """The cluster refused what was written: its schema, a policy or a webhook, in their words."""


class NotAllowedError(CommandError):
    """The cluster says that this person has no right to do it."""


class ApiError(CanariumError):
    """The apiserver refused a request.

    `status` is the HTTP code, `reason` the CamelCase word of the Status object ("" when there is
    none), `message` the server's own words.
    """

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(f"{status} {reason}: {message}")
        self.status = status
        self.reason = reason
        self.message = message


class NotFoundError(ApiError):
    """404: the object, or the whole kind, is not there."""


class ConflictError(ApiError):
    """409: written from a stale resourceVersion, or a field that somebody else owns."""


class GoneError(ApiError):
    """410: the resourceVersion to resume a watch from is too old; list again."""


class UnavailableError(CanariumError):
    """The apiserver could not be reached or did not answer in time; retry with backoff.

    `retry_after_seconds` is how long it asked to be left alone (0: it said nothing).
    """

    def __init__(self, message: str, retry_after_seconds: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class BugError(CanariumError):
    """Something that nobody raised on purpose, in words that may be shown; see `describe_bug`."""


def describe_bug(error: BaseException) -> str:
    """Name an exception that nobody raised on purpose: its type and where it left our code.

    Never its text, which may be somebody else's: long, unprintable, or a secret.
    """
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    package = Path(__file__).parent
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if Path(frame.filename).is_relative_to(package)]
    if not ours:
        return type(error).__name__
    place = Path(ours[-1].filename).relative_to(package).as_posix()
    return f"{type(error).__name__} at {place}:{ours[-1].lineno}"
