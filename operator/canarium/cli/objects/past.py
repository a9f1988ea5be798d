"""How revisions went, told from the ModelRevisions. Pure; times in seconds since the epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from canarium.cli.objects.status_report import read_revision, read_time
from canarium.errors import CommandError

Json = Mapping[str, Any]

_DIGEST_LENGTH = 12
"Of a commit's name: enough to find it by."


@dataclass(frozen=True, slots=True)
class Past:
    """One revision. `outcome` is that of its ModelRevision, or what it is doing now.

    `took_seconds` is from its start until it was stable, or was taken back. `verdicts` are the
    rows that it was judged by.
    """

    revision: str
    version: str
    image: str
    outcome: str
    reason: str
    message: str
    started_at: float | None
    stable_at: float | None
    ended_at: float | None
    took_seconds: float | None
    origin: str
    verdicts: tuple[Json, ...]


def tell_past(model: Json, records: Sequence[Json]) -> list[Past]:
    """All revisions, the latest first."""
    told = [_tell(model.get("status") or {}, record) for record in records]
    return sorted(told, key=_age, reverse=True)


def _age(one: Past) -> tuple[float, float]:
    """What to sort by: of those that began in the same second, what ended first was first."""
    return one.started_at or 0.0, one.ended_at or float("inf")


def choose(told: Sequence[Past], text: str) -> list[Past]:
    """Those that a text names, by id or version. CommandError when it names none."""
    found = [one for one in told if text in (one.revision, one.version)]
    if not found:
        known = ", ".join(f"{one.version} ({one.revision})" for one in told) or "none"
        raise CommandError(f"no revision {text} is in history: there is {known}")
    return found


def _tell(status: Json, record: Json) -> Past:
    spec, ended = record.get("spec", {}), record.get("status") or {}
    source, revision = spec.get("source") or {}, read_revision(record)
    started_at = read_time(ended.get("startedAt") or record["metadata"].get("creationTimestamp"))
    stable_at, ended_at = read_time(ended.get("stableAt")), read_time(ended.get("endedAt"))
    done_at = stable_at if stable_at is not None else ended_at
    image = (source.get("server") or {}).get("image", "")
    return Past(
        revision=revision,
        version=(source.get("model") or {}).get("version") or image.rpartition(":")[2],
        image=image,
        outcome=ended.get("outcome") or _find_role(status, revision),
        reason=ended.get("reason", ""),
        message=ended.get("message", ""),
        started_at=started_at,
        stable_at=stable_at,
        ended_at=ended_at,
        took_seconds=_between(started_at, done_at),
        origin=_tell_origin(spec.get("origin") or {}),
        verdicts=tuple(ended.get("evidence") or ()),
    )


def _between(started_at: float | None, done_at: float | None) -> float | None:
    if started_at is None or done_at is None:
        return None
    return max(0.0, done_at - started_at)


def _find_role(status: Json, revision: str) -> str:
    """What a revision without an outcome is doing."""
    state = (status.get("rollout") or {}).get("state", "")
    for role in ("canary", "stable"):
        if (status.get(role) or {}).get("revision") == revision:
            return str(state)
    return ""


def _tell_origin(origin: Json) -> str:
    """Where it came from, as short as can be: a commit, or else who wrote it."""
    commit = str(origin.get("gitRevision") or "")
    if commit:
        branch, _, digest = commit.rpartition(":")
        name = digest[:_DIGEST_LENGTH]
        return f"{branch.partition('@')[0]} {name}" if "@" in branch else name
    source = origin.get("source") or {}
    return str(source.get("name") or origin.get("manager") or "")
