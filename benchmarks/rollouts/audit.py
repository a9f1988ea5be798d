"""What the apiserver's audit log says the operator asked for: the honest count of its requests.

Parsing and counting are pure; `Tail` follows the file, through rotations too.
"""

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

import msgspec

OPERATOR_AGENTS = ("canarium", "kopf")
"What the operator's user agents begin with: its own client, and the one that kopf watches with."
WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})


@dataclass(frozen=True, slots=True)
class Request:
    """One answered request. `at` is when it came in, in seconds since the epoch.

    `resource` is the plural with its subresource (`modeldeployments/status`), "" for what is no
    resource (discovery); `code` is the HTTP status.
    """

    at: float
    agent: str
    verb: str
    resource: str
    code: int = 200


@dataclass(frozen=True, slots=True)
class Tally:
    """Requests by (verb, resource); watches, leases and events stand apart from what counts."""

    counted: Mapping[tuple[str, str], int] = field(default_factory=dict)
    events: int = 0
    leases: int = 0
    watches: int = 0
    conflicts: int = 0

    @property
    def total(self) -> int:
        """How many requests count."""
        return sum(self.counted.values())

    @property
    def writes(self) -> Mapping[tuple[str, str], int]:
        """Those that change something, events included: at rest there should be none."""
        found = {key: n for key, n in self.counted.items() if key[0] in WRITES}
        return found | ({("create", "events"): self.events} if self.events else {})


class _ObjectRef(msgspec.Struct):
    resource: str = ""
    subresource: str = ""


class _ResponseStatus(msgspec.Struct):
    code: int = 0


class _Entry(msgspec.Struct, rename="camel"):
    stage: str
    verb: str
    request_received_timestamp: str
    user_agent: str = ""
    object_ref: _ObjectRef | None = None
    response_status: _ResponseStatus | None = None


_decoder = msgspec.json.Decoder(_Entry)


def parse_line(line: bytes) -> Request | None:
    """One line of the log, or None for a stage that would count a request twice.

    A watch counts when it starts, as its end may be far away; everything else when it is answered.
    Raises msgspec.DecodeError for what is no audit entry.
    """
    entry = _decoder.decode(line)
    wanted = "ResponseStarted" if entry.verb == "watch" else "ResponseComplete"
    if entry.stage != wanted:
        return None
    return Request(
        at=datetime.fromisoformat(entry.request_received_timestamp).timestamp(),
        agent=entry.user_agent,
        verb=entry.verb,
        resource=_name(entry.object_ref),
        code=entry.response_status.code if entry.response_status else 0,
    )


def _name(ref: _ObjectRef | None) -> str:
    if ref is None:
        return ""
    return f"{ref.resource}/{ref.subresource}" if ref.subresource else ref.resource


def is_operator(request: Request) -> bool:
    """Whether the operator sent it."""
    return request.agent.lower().startswith(OPERATOR_AGENTS)


def tally(requests: Iterable[Request], *, since: float, until: float) -> Tally:
    """Count the operator's requests that came in from `since` to just before `until`."""
    ours = [r for r in requests if is_operator(r) and since <= r.at < until]
    kinds = Counter(_classify(request) for request in ours)
    counted = Counter((r.verb, r.resource) for r in ours if _classify(r) == "counted")
    return Tally(
        counted=dict(sorted(counted.items())),
        events=kinds["events"],
        leases=kinds["leases"],
        watches=kinds["watches"],
        conflicts=sum(request.code == 409 for request in ours),
    )


def find_last_write(requests: Iterable[Request]) -> float:
    """Seconds since the epoch at which the last write but the Lease's came in; 0 for never."""
    writes = (r.at for r in requests if r.verb in WRITES and _classify(r) != "leases")
    return max(writes, default=0.0)


def _classify(request: Request) -> str:
    if request.verb == "watch":
        return "watches"
    return request.resource if request.resource in ("events", "leases") else "counted"


class Tail:
    """Follows the log from its present end; each `read` gives the operator's requests since."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("rb")
        self._file.seek(0, 2)
        self._rest = b""

    def read(self) -> list[Request]:
        """Whole lines only; what is half written waits for the next time."""
        parsed = (parse_line(line) for line in self._lines())
        return [request for request in parsed if request is not None and is_operator(request)]

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def _lines(self) -> Iterator[bytes]:
        yield from self._drain()
        while self._is_rotated():
            self._file.close()
            self._file = self._path.open("rb")
            yield from self._drain()

    def _drain(self) -> Iterator[bytes]:
        *lines, self._rest = (self._rest + self._file.read()).split(b"\n")
        yield from (line for line in lines if line)

    def _is_rotated(self) -> bool:
        return self._path.exists() and not _is_same(self._file, self._path)


def _is_same(file: BinaryIO, path: Path) -> bool:
    return os.path.samestat(os.fstat(file.fileno()), path.stat())
