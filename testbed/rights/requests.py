"""What the operator's accounts asked an apiserver for, and what came of it, by its audit log.

Pure but for reading the file. A refusal here is one by RBAC: what a quota or an admission webhook
refuses was allowed before.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

ACCOUNT = re.compile(r"system:serviceaccount:[^:]+:canarium")
"Whom the chart's rights are given to, in whichever namespace it was installed."
DECISION = "authorization.k8s.io/decision"
LATEST_STAGES = ("ResponseStarted", "ResponseComplete", "Panic")


@dataclass(frozen=True, slots=True, order=True)
class Right:
    """One verb on one resource (the plural, with its subresource) of an API group."""

    group: str
    resource: str
    verb: str

    def __str__(self) -> str:
        return f"{self.verb} {self.resource}" + (f".{self.group}" if self.group else "")


@dataclass(frozen=True, slots=True, order=True)
class Refusal:
    """A right that an account was refused, on what; names are "" where there is none."""

    account: str
    right: Right
    namespace: str = ""
    name: str = ""

    def __str__(self) -> str:
        where = f" in namespace {self.namespace}" if self.namespace else ""
        return f"{self.account} may not {self.right} {self.name}".rstrip() + where


@dataclass(frozen=True, slots=True)
class Asked:
    """All that the operator's accounts asked for: what they used, and what they were refused."""

    used: Mapping[Right, int] = field(default_factory=dict)
    refused: Mapping[Refusal, int] = field(default_factory=dict)


class _User(msgspec.Struct):
    username: str = ""


class _ObjectRef(msgspec.Struct, rename="camel"):
    resource: str = ""
    subresource: str = ""
    api_group: str = ""
    namespace: str = ""
    name: str = ""


class _ResponseStatus(msgspec.Struct):
    code: int = 0


class _Entry(msgspec.Struct, rename="camel"):
    stage: str
    verb: str
    user: _User
    response_status: _ResponseStatus | None = None
    request_uri: str = msgspec.field(name="requestURI", default="")
    object_ref: _ObjectRef | None = None
    annotations: dict[str, str] = {}


_decoder = msgspec.json.Decoder(_Entry)


def read_asked(log: Path) -> Asked:
    """What an audit log of level Metadata has of the operator's accounts.

    A last line that is half written is left out. Raises msgspec.DecodeError for what is no log.
    """
    with log.open("rb") as lines:
        return count_asked(line for line in lines if line.endswith(b"\n"))


def count_asked(lines: Iterable[bytes]) -> Asked:
    """The same from its lines."""
    used: Counter[Right] = Counter()
    refused: Counter[Refusal] = Counter()
    for entry in _find_ours(lines):
        if entry.annotations.get(DECISION) == "forbid":
            refused[_make_refusal(entry)] += 1
        elif entry.object_ref is not None:
            used.update(_find_used(entry))
    return Asked(used, refused)


def _find_ours(lines: Iterable[bytes]) -> Iterator[_Entry]:
    """The operator's requests; a watch is there when it begins and when it ends, which is fine."""
    for line in lines:
        if b":canarium" not in line:
            continue
        entry = _decoder.decode(line)
        if entry.stage in LATEST_STAGES and ACCOUNT.fullmatch(entry.user.username):
            yield entry


def _find_used(entry: _Entry) -> list[Right]:
    """The right to what was asked, and to create where an apply has made the object.

    The apiserver asks RBAC for that one beside the request's own, and tells no log of it.
    """
    right = _make_right(entry)
    code = entry.response_status.code if entry.response_status else 0
    created = right.verb == "patch" and code == HTTPStatus.CREATED
    return [right, replace(right, verb="create")] if created else [right]


def _make_right(entry: _Entry) -> Right:
    ref = entry.object_ref
    if ref is None:
        return Right("", urlsplit(entry.request_uri).path, entry.verb)
    resource = f"{ref.resource}/{ref.subresource}" if ref.subresource else ref.resource
    return Right(ref.api_group, resource, entry.verb)


def _make_refusal(entry: _Entry) -> Refusal:
    ref = entry.object_ref or _ObjectRef()
    return Refusal(entry.user.username, _make_right(entry), ref.namespace, ref.name)
