"""What every cluster of a run hands in before it goes: rights given, used, refused.

While a cluster runs, those who install the operator in it note what they gave it, and tests that
take rights away on purpose note what has to be refused. `CANARIUM_RIGHTS` names the directory to
which all clusters of a run hand in; without it nobody asks.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from testbed.cluster.cluster import Cluster
from testbed.rights.requests import Asked, Refusal, Right, read_asked

Json = dict[str, Any]
RUN = "CANARIUM_RIGHTS"
NOTES = "rights.jsonl"


class Expected(msgspec.Struct, frozen=True, kw_only=True):
    """A refusal that a test means to bring about, in one namespace ("" for what has none)."""

    namespace: str
    right: Right
    why: str

    def covers(self, refusal: Refusal) -> bool:
        """Whether a refusal is the one that is meant."""
        return (self.namespace, self.right) == (refusal.namespace, refusal.right)


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """What one cluster hands in.

    `spared` are rights that were given and need not be used: those of values that are not under
    test. `uninstalled` are the accounts whose rights were taken while their operator was still
    ending. What was asked of a cluster that is not `audited` isn't known.
    """

    cluster: str
    granted: list[Right]
    expected: list[Expected]
    spared: list[Right] = []
    uninstalled: list[str] = []
    audited: bool = True
    used: list[tuple[Right, int]]
    refused: list[tuple[Refusal, int]]

    @property
    def asked(self) -> Asked:
        """What was asked for on this cluster."""
        return Asked(dict(self.used), dict(self.refused))


class _Note(msgspec.Struct, frozen=True):
    granted: list[Right] = []
    expected: list[Expected] = []
    spared: list[Right] = []
    uninstalled: list[str] = []


def note_granted(cluster: Cluster, objects: Iterable[Mapping[str, Any]]) -> None:
    """Note the rules of the Roles and ClusterRoles among these objects as the operator's."""
    _append(cluster, _Note(granted=sorted(find_granted(objects))))


def note_spared(cluster: Cluster, objects: Iterable[Mapping[str, Any]]) -> None:
    """Note the rules of values that are not under test: nobody asks whether they are used."""
    _append(cluster, _Note(spared=sorted(find_granted(objects))))


def expect_refusal(cluster: Cluster, namespace: str, right: Right, why: str) -> None:
    """Note that this right has to be refused to the operator in this namespace, and why."""
    _append(cluster, _Note(expected=[Expected(namespace=namespace, right=right, why=why)]))


def expect_farewell(cluster: Cluster, account: str) -> None:
    """Note that an account goes while its operator ends, which then may be refused anything."""
    _append(cluster, _Note(uninstalled=[account]))


def find_granted(objects: Iterable[Mapping[str, Any]]) -> set[Right]:
    """The rights in all the rules of Roles and ClusterRoles."""
    return {
        Right(group, resource, verb)
        for found in objects
        if found["kind"] in ("Role", "ClusterRole")
        for rule in found.get("rules") or ()
        for group in rule.get("apiGroups", ())
        for resource in rule.get("resources", ())
        for verb in rule["verbs"]
    }


def hand_in(cluster: Cluster) -> None:
    """Write this cluster's page, where the run asks for it."""
    directory = os.environ.get(RUN)
    if not directory:
        return
    place = Path(directory)
    place.mkdir(parents=True, exist_ok=True)
    page = make_page(cluster, read_asked(cluster.audit_log) if cluster.audit_log else None)
    (place / f"{cluster.name}-{time.time_ns()}.json").write_bytes(msgspec.json.encode(page))


def make_page(cluster: Cluster, known: Asked | None) -> Page:
    """What was noted on a cluster beside what was asked for, if that is known."""
    asked = known or Asked()
    notes = _read_notes(cluster.directory / NOTES)
    return Page(
        cluster=cluster.name,
        granted=sorted({right for note in notes for right in note.granted}),
        expected=[expected for note in notes for expected in note.expected],
        spared=sorted({right for note in notes for right in note.spared}),
        uninstalled=[account for note in notes for account in note.uninstalled],
        audited=known is not None,
        used=sorted(asked.used.items()),
        refused=sorted(asked.refused.items()),
    )


def read_pages(directory: Path) -> list[Page]:
    """All that was handed in."""
    return [
        msgspec.json.decode(path.read_bytes(), type=Page)
        for path in sorted(directory.glob("*.json"))
    ]


def _append(cluster: Cluster, note: _Note) -> None:
    with (cluster.directory / NOTES).open("ab") as file:
        file.write(msgspec.json.encode(note) + b"\n")


def _read_notes(path: Path) -> list[_Note]:
    lines = path.read_bytes().splitlines() if path.exists() else []
    return [msgspec.json.decode(line, type=_Note) for line in lines]
