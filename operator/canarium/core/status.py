"""The status of a ModelDeployment as a value: what was decided, and what people read.

Decisions live here and nowhere else, so the operator can be killed at any instant. Times are
seconds since the epoch inside and RFC 3339 with milliseconds outside.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from typing import Any, Literal, TypeVar, cast

from canarium.core.spec import HeaderMatch, Sticky, Traffic

State = Literal[
    "Starting",
    "Idle",
    "Scaling",
    "Shifting",
    "Holding",
    "Guarding",
    "Reverting",
    "Rejected",
    "Broken",
]
Phase = Literal[
    "Pending",
    "Progressing",
    "Paused",
    "Guarding",
    "Healthy",
    "RolledBack",
    "Failed",
    "Invalid",
]
T = TypeVar("T")
ALWAYS = {"always": True}
"Marks a field that is written even when it is empty, because the schema requires it."
Ending = Literal["", "Rejected", "Canceled", "Superseded"]
Emergency = Literal["", "Canary", "Fix"]
"Stable died under the canary; or the canary was begun for a stable without a ready pod: a fix."


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition, as Kubernetes' API conventions have it."""

    type: str
    status: Literal["True", "False", "Unknown"]
    reason: str
    message: str = field(default="", metadata=ALWAYS)
    observed_generation: int = 0
    last_transition_time: float | None = None


@dataclass(frozen=True, slots=True)
class RevisionStatus:
    """One revision that exists now.

    `replicas` is how many pods it should have (the intent its Deployment is written from),
    `weight` the share of traffic in percent that its route is written from, `share` what it
    really gets where weights are approximated by whole pods, `digest` that of its pod template.
    `mirror` (percent), `headers` and `sticky` are what else a canary's route is written from.
    `restarted_at` is when a person last had its pods replaced.
    """

    revision: str
    version: str = ""
    image: str = ""
    digest: str = ""
    replicas: int = 0
    ready_replicas: int = 0
    weight: int = 0
    share: int | None = None
    mirror: int | None = None
    headers: tuple[HeaderMatch, ...] = ()
    sticky: Sticky | None = None
    restarted_at: float | None = None
    unavailable_since: float | None = None
    "Of stable: since when none of its pods is ready, though it should have some."
    analysis: tuple[Mapping[str, Any], ...] = ()

    @property
    def has_extras(self) -> bool:
        """Whether its route says more of it than a weight."""
        return bool(self.headers or self.mirror or self.sticky)

    @property
    def serves(self) -> bool:
        """Whether people get answers from it."""
        return self.weight > 0 or bool(self.headers)

    @property
    def is_routed(self) -> bool:
        """Whether it gets any requests: people's own, or copies."""
        return self.serves or bool(self.mirror)


@dataclass(frozen=True, slots=True)
class Rejection:
    """A revision that was rolled back for its own fault, or aborted."""

    revision: str
    version: str
    reason: str
    message: str
    at: float


@dataclass(frozen=True, slots=True)
class TrustedRevision:
    """A ModelRevision that the operator wrote: the digest is that of its pod template."""

    revision: str
    digest: str


@dataclass(frozen=True, slots=True)
class Override:
    """A person's rollback to `revision`: it holds while the spec names `instead`."""

    revision: str
    instead: str
    at: float


@dataclass(frozen=True, slots=True)
class Rollout:
    """Where a rollout stands.

    `step` counts from 1, the closing step to 100 is len(steps) + 1, and 0 is no step.
    `verified_at` is when the step's traffic is (or, in the future, will have settled as)
    programmed, None while it isn't and while the clock stands still; where pods may have to go
    before a step has its own traffic (`children.drained_at`, `in_place.taken_from`) it is about
    the traffic before. `held_seconds` is what was held before the clock last started.
    `peak_replicas` is N, the size that stable must not fall below until the guard ends. `ending`,
    `reason` and `message` say why a rollout is reverted.
    """

    state: State = "Starting"
    step: int = 0
    step_name: str = ""
    step_started_at: float | None = None
    verified_at: float | None = None
    held_seconds: int = 0
    peak_replicas: int = 0
    retreats: int = 0
    "How often this step's canary lost all its pods under traffic."
    returns: int = 0
    "How often in this rollout, as far as nobody else took them."
    returned: str = ""
    "Whose returns these are, while it may be tried anew: a guard that it lost so began another."
    most_ready: int = 0
    "The most pods of what is tried that were ready in this step; only more than that is progress."
    progress_at: float | None = None
    emergency: Emergency = ""
    emergency_at: float | None = None
    "Since when the canary has the traffic of a stable that is dead."
    emergencies: int | None = None
    "How often that happened in this rollout."
    earned_weight: int | None = None
    "What the canary has by its step while an emergency gives it more."
    ending: Ending = ""
    reason: str = ""
    message: str = ""
    taken_names: tuple[str, ...] = ()
    "Names of this step's Jobs that somebody else has taken, so that they have others."
    tests_key: str = ""
    "Which step's analysis the saved numbers in `tests` belong to."
    tests: str = ""
    tests_saved_at: float | None = None


@dataclass(frozen=True, slots=True)
class RoutesStatus:
    """What became of the route objects that were written.

    `written` is a digest of them as they were last seen in place, "" while others are to be
    written in their place. `reverts` says how often they were put right since others (`managers`,
    the latest first) began to write them, `reverted_at` when last.
    """

    written: str = ""
    reverts: int = 0
    reverted_at: float | None = None
    managers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Status:
    """The whole status subresource."""

    observed_generation: int = 0
    phase: Phase | None = None
    reason: str = ""
    "The one reason that matters now, CamelCase; `message` says it in words."
    message: str = ""
    conditions: tuple[Condition, ...] = ()
    url: str = ""
    router: str = ""
    traffic: Traffic | None = None
    """The gateways, host names, paths and timeouts in force, which routes are written from; None
    as long as an operator wrote this that kept no account of them."""
    routes: RoutesStatus | None = None
    rollout: Rollout | None = None
    stable: RevisionStatus | None = None
    canary: RevisionStatus | None = None
    previous: RevisionStatus | None = None
    override: Override | None = None
    rejected: tuple[Rejection, ...] = ()
    trusted_revisions: tuple[TrustedRevision, ...] = ()
    """The ModelRevisions that may be rendered; empty as long as none was written since this is
    kept track of, and then whichever are there may be."""
    made: Mapping[str, str] | None = field(default=None, metadata=ALWAYS)
    """The uids of the Deployments and Jobs that were made, by kind and name: no others are believed
    to be ours. None as long as an operator wrote this that kept no account of them."""
    begun_at: tuple[float, ...] = ()
    "When the last new revisions were begun, the oldest first; `situation.pace` asks for no more."
    last_handled_commands: Mapping[str, str] = field(default_factory=dict)
    ignored_commands: Mapping[str, str] = field(default_factory=dict)
    "Why the last command of a verb had no effect; nothing of those that had."
    replicas: int = 0
    selector: str = ""


def dump(value: Any) -> Any:
    """Turn a status value into the JSON that the apiserver stores; what is empty is left out."""
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    if isinstance(value, tuple | list):
        return [dump(item) for item in value]
    if isinstance(value, Mapping):
        return {key: dump(item) for key, item in value.items()}
    return {
        outside: write(item)
        for name, outside, write, always in _writers(cast("Hashable", type(value)))
        if (item := getattr(value, name)) is not None and (always or item not in ("", (), {}))
    }


def parse(cls: type[T], raw: Mapping[str, Any]) -> T:
    """Read what `dump` wrote; fields that this version doesn't know are passed over."""
    return cls(
        **{
            name: read(raw[outside])
            for name, outside, read in _fields(cast("Hashable", cls))
            if raw.get(outside) is not None
        }
    )


def format_time(seconds: float) -> str:
    """RFC 3339 in UTC with milliseconds."""
    moment = datetime.fromtimestamp(seconds, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_time(text: str) -> float:
    """Seconds since the epoch of an RFC 3339 time."""
    return datetime.fromisoformat(text).timestamp()


def read_time(text: str) -> float | None:
    """The same of a time that others wrote; None for what isn't one, or has no zone.

    The apiserver keeps years of which Python has none, before 1 and after 9999. One that cannot be
    written again (the last millisecond of the year 9999 is rounded to another year) is none either.
    """
    try:
        moment = datetime.fromisoformat(text)
        seconds = moment.astimezone(UTC).timestamp() if moment.tzinfo is not None else None
        if seconds is not None:
            datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return seconds


def _dump_times(value: Any) -> Any:
    """One time, or those of a list."""
    return list(map(format_time, value)) if isinstance(value, tuple) else format_time(value)


def _parse_times(raw: Any) -> Any:
    """What `_dump_times` wrote."""
    return tuple(map(parse_time, raw)) if isinstance(raw, list) else parse_time(raw)


def _is_time(name: str) -> bool:
    return name == "at" or name.endswith(("_at", "_time", "_since"))


def _outside(name: str) -> str:
    head, *rest = name.split("_")
    return "".join([head, *(word.capitalize() for word in rest)])


@cache
def _writers(cls: Any) -> tuple[tuple[str, str, Callable[[Any], Any], bool], ...]:
    """Each field's name inside and outside, how to write its value, and whether it always is."""
    return tuple(
        (
            f.name,
            _outside(f.name),
            _dump_times if _is_time(f.name) else dump,
            "always" in f.metadata,
        )
        for f in dataclasses.fields(cls)
    )


@cache
def _fields(cls: Any) -> tuple[tuple[str, str, Callable[[Any], Any]], ...]:
    """Each field's name inside and outside, and how to read its value."""
    hints = typing.get_type_hints(cls)
    return tuple(
        (f.name, _outside(f.name), _parse_times if _is_time(f.name) else _reader(hints[f.name]))
        for f in dataclasses.fields(cls)
    )


def _reader(kind: Any) -> Callable[[Any], Any]:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is types.UnionType:
        return _reader(next(a for a in arguments if a is not types.NoneType))
    if origin is tuple:
        read = _reader(arguments[0])
        return lambda items: tuple(read(item) for item in items)
    if dataclasses.is_dataclass(kind):
        return lambda raw: parse(cast("type[Any]", kind), raw)
    return lambda value: value
