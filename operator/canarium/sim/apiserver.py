"""An apiserver in memory: objects as JSON, with the rules that a controller depends on.

One resourceVersion counts all writes, as etcd does; generations follow `spec`; a write that changes
nothing is none. What it doesn't do: schemas, rights, defaults beyond those that we would notice.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Literal

import msgspec

from canarium.core.status import format_time
from canarium.errors import ApiError, ConflictError, GoneError, NotFoundError
from canarium.sim import fields
from canarium.sim.fields import Json, Owners

Key = tuple[str, str]
"Namespace and name."
ChangeType = Literal["ADDED", "MODIFIED", "DELETED"]

UNCOUNTED = frozenset({"Pod", "Service", "EndpointSlice"})
"Kinds that have no generation."
IMMUTABLE = {"Deployment": ("spec", "selector"), "ModelRevision": ("spec",)}
GRACEFUL = frozenset({"Pod", "ScaledObject"})
"Kinds whose deletion is only asked for; somebody else finishes it."
SCALED = {"Deployment": ("spec", "replicas"), "ModelDeployment": ("spec", "scaling", "replicas")}
"What the scale subresource of a kind writes."
SUCCESS: Json = {"kind": "Status", "apiVersion": "v1", "status": "Success"}

_encode = msgspec.json.Encoder().encode


@dataclass(slots=True, eq=False)
class Stored:
    """One version of one object; neither it nor anything in it is ever changed."""

    body: Json
    owners: Owners = field(default_factory=dict)
    _raw: bytes = b""

    @property
    def raw(self) -> bytes:
        """The object as it goes over the wire."""
        if not self._raw:
            self._raw = _encode(self.body)
        return self._raw

    @property
    def version(self) -> int:
        """Its resourceVersion."""
        return int(self.body["metadata"]["resourceVersion"])


@dataclass(frozen=True, slots=True)
class Change:
    """What one write did, at `time` (virtual seconds since the epoch), and who made it."""

    time: float
    type: ChangeType
    kind: str
    key: Key
    by: str
    before: Stored | None
    after: Stored
    """What it is now; of a deleted object, what it was last, with the deletion's version."""

    @property
    def body(self) -> Json:
        """The object as it is now."""
        return self.after.body

    @property
    def was(self) -> Json | None:
        """The object as it was before; None when it is new."""
        return self.before.body if self.before else None


Listener = Callable[[Change], None]


class ApiServer:
    """Objects by kind, namespace and name.

    `absent` are kinds that aren't served (404), `admission` may refuse what is about to be
    written by raising `ApiError`: it is given the kind and the new object. Of each kind, so many
    changes can a watch be resumed from as `history` says; what is older has expired.
    """

    def __init__(self, now: Callable[[], float], *, history: int = 2000) -> None:
        self._most = history
        self.absent: set[str] = set()
        self.admission: list[Callable[[str, Json], None]] = []
        self._now = now
        self.ahead_seconds = 0.0
        "How far its clock is from the time that everybody else lives in."
        self._objects: dict[str, dict[Key, Stored]] = {}
        self._versions = count(1)
        self._version = 0
        self._uids = count(1)
        self._history: dict[str, deque[Change]] = {}
        self._expired: dict[str, int] = {}
        self._watchers: dict[str, list[Listener]] = {}
        self._listeners: list[Listener] = []

    # Reading

    def time_of_day(self) -> float:
        """The time by its own clock, in seconds since the epoch."""
        return self._now() + self.ahead_seconds

    @property
    def version(self) -> str:
        """The resourceVersion of the last write."""
        return str(self._version)

    def find(self, kind: str, key: Key) -> Json | None:
        """One object, or None."""
        found = self._objects.get(kind, {}).get(key)
        return found.body if found else None

    def all_of(self, kind: str) -> Iterator[Json]:
        """Every object of a kind, oldest first."""
        return (stored.body for stored in tuple(self._objects.get(kind, {}).values()))

    def get(self, kind: str, key: Key) -> Stored:
        """One object. Raises `NotFoundError`."""
        self._check_served(kind)
        found = self._objects.get(kind, {}).get(key)
        if found is None:
            raise NotFoundError(404, "NotFound", f'{kind} "{key[1]}" not found')
        return found

    def list(self, kind: str) -> list[Stored]:
        """Every object of a kind. Raises `NotFoundError` when it isn't served."""
        self._check_served(kind)
        return list(self._objects.get(kind, {}).values())

    def watch(self, kind: str, since: str, listener: Listener) -> Callable[[], None]:
        """Tell of every change after a resourceVersion, those of the past at once; how to stop.

        Raises `GoneError` when what happened since then is no longer known.
        """
        self._check_served(kind)
        if int(since) < self._expired.get(kind, 0):
            raise GoneError(410, "Expired", f"too old resource version: {since}")
        for change in self._history.get(kind, ()):
            if change.after.version > int(since):
                listener(change)
        watchers = self._watchers.setdefault(kind, [])
        watchers.append(listener)
        return lambda: watchers.remove(listener)

    def listen(self, listener: Listener) -> None:
        """Tell of every change of every kind from now on, in the moment in which it is made."""
        self._listeners.append(listener)

    # Writing, as clients do

    def create(self, kind: str, namespace: str, body: Mapping[str, Any], manager: str) -> Stored:
        """Create an object. Raises `ConflictError` (AlreadyExists)."""
        self._check_served(kind)
        key = namespace, str(body["metadata"]["name"])
        if key in self._objects.get(kind, {}):
            raise ConflictError(409, "AlreadyExists", f'{kind} "{key[1]}" already exists')
        fresh = {**body, "kind": kind, "metadata": {**body["metadata"], "namespace": namespace}}
        return self._commit(kind, key, fresh, {manager: fields.list_fields(fresh)}, manager)

    def apply(self, kind: str, key: Key, body: Json, manager: str, *, force: bool) -> Stored:
        """Server-side apply. Raises `ConflictError` for a stale version or others' fields."""
        self._check_served(kind)
        live = self._objects.get(kind, {}).get(key)
        _check_version(live, body.get("metadata", {}).get("resourceVersion"))
        start = live.body if live else {"kind": kind, "metadata": {}}
        owners = live.owners if live else {}
        after, owned = fields.apply(start, owners, manager, body, force=force)
        return self._commit(kind, key, {**body, **after}, owned, manager)

    def replace_status(
        self, kind: str, key: Key, status: Any, version: str, manager: str
    ) -> Stored:
        """Write the whole status over the version that was read. Raises `ConflictError`."""
        live = self.get(kind, key)
        _check_version(live, version)
        return self._commit(kind, key, {**live.body, "status": status}, live.owners, manager)

    def merge(
        self, kind: str, key: Key, patch: Json, manager: str, subresource: str | None
    ) -> Stored:
        """JSON merge patch, of the status alone or of all but the status."""
        live = self.get(kind, key)
        _check_version(live, patch.get("metadata", {}).get("resourceVersion"))
        wanted = {
            name: part
            for name, part in patch.items()
            if (name == "status") == (subresource == "status")
        }
        return self.write(kind, key, lambda body: _merge(body, wanted), manager)

    def write(self, kind: str, key: Key, change: Callable[[Json], Json], manager: str) -> Stored:
        """Write an object anew, by what it is now."""
        live = self.get(kind, key)
        after = change(live.body)
        return self._commit(
            kind, key, after, fields.write(live.body, after, live.owners, manager), manager
        )

    def scale(self, kind: str, key: Key, replicas: int, manager: str) -> Stored:
        """Write the number of replicas through the scale subresource."""
        path = SCALED[kind]
        return self.write(kind, key, lambda body: fields.put(body, path, replicas), manager)

    def delete(self, kind: str, key: Key, manager: str, uid: str = "", version: str = "") -> Json:
        """Delete an object; what DELETE answers. Raises `ConflictError` when it is another one."""
        live = self.get(kind, key)
        _check_version(live, version)
        if uid and live.body["metadata"]["uid"] != uid:
            raise ConflictError(409, "Conflict", "the UID in the precondition is another one")
        if kind not in GRACEFUL:
            self.remove(kind, key, manager)
            return SUCCESS
        if "deletionTimestamp" in live.body["metadata"]:
            return live.body
        at = {"deletionTimestamp": format_time(self.time_of_day())}
        marked = {**live.body, "metadata": {**live.body["metadata"], **at}}
        return self._commit(kind, key, marked, live.owners, manager).body

    def remove(self, kind: str, key: Key, manager: str) -> None:
        """Take an object out for good."""
        live = self._objects[kind].pop(key)
        body = {**live.body, "metadata": {**live.body["metadata"], "resourceVersion": self._next()}}
        self._tell("DELETED", (kind, key), manager, live, Stored(body, live.owners))

    # What every write goes through

    def _commit(self, kind: str, key: Key, body: Json, owners: Owners, by: str) -> Stored:
        live = self._objects.get(kind, {}).get(key)
        body = _default(kind, body)
        if live is not None and _content(body) == _content(live.body):
            self._objects[kind][key] = Stored(live.body, owners, live.raw)
            return self._objects[kind][key]
        _check_immutable(kind, live, body)
        for admit in self.admission:
            admit(kind, body)
        stored = Stored(self._stamp(kind, key, live, body), owners)
        self._objects.setdefault(kind, {})[key] = stored
        self._tell("MODIFIED" if live else "ADDED", (kind, key), by, live, stored)
        return stored

    def _stamp(self, kind: str, key: Key, live: Stored | None, body: Json) -> Json:
        """The object with the metadata that only the apiserver writes."""
        meta = {**body["metadata"], "namespace": key[0], "name": key[1]}
        meta["resourceVersion"] = self._next()
        if live is None:
            meta |= {
                "uid": f"uid-{next(self._uids)}",
                "creationTimestamp": format_time(self.time_of_day()),
            }
            generation = 1
        else:
            was = live.body["metadata"]
            meta |= {"uid": was["uid"], "creationTimestamp": was["creationTimestamp"]}
            generation = was.get("generation", 1) + (live.body.get("spec") != body.get("spec"))
        if kind not in UNCOUNTED:
            meta["generation"] = generation
        return {**body, "metadata": meta}

    def _next(self) -> str:
        self._version = next(self._versions)
        return self.version

    def _tell(
        self,
        type_: ChangeType,
        where: tuple[str, Key],
        by: str,
        before: Stored | None,
        after: Stored,
    ) -> None:
        kind, key = where
        change = Change(self._now(), type_, kind, key, by, before, after)
        history = self._history.setdefault(kind, deque())
        history.append(change)
        if len(history) > self._most:
            self._expired[kind] = history.popleft().after.version
        for listener in (*self._watchers.get(kind, ()), *self._listeners):
            listener(change)

    def _check_served(self, kind: str) -> None:
        if kind in self.absent:
            words = "the server could not find the requested resource"
            raise NotFoundError(404, "NotFound", words)


def labels_of(body: Json) -> Mapping[str, str]:
    """An object's labels."""
    found: Mapping[str, str] = body["metadata"].get("labels") or {}
    return found


def is_deleting(body: Json) -> bool:
    """Whether the object is on its way out."""
    return "deletionTimestamp" in body["metadata"]


def is_ready(pod: Json) -> bool:
    """Whether a pod says that it can be sent requests."""
    conditions = pod["status"].get("conditions") or ()
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def _content(body: Json) -> Json:
    """Everything but what the apiserver itself counts."""
    meta = body["metadata"]
    counted = ("resourceVersion", "generation", "uid", "creationTimestamp")
    return {**body, "metadata": {name: meta[name] for name in meta if name not in counted}}


def _check_version(live: Stored | None, version: str | None) -> None:
    if version and (live is None or live.body["metadata"]["resourceVersion"] != version):
        words = "the object has been modified; please apply your changes to the latest version"
        raise ConflictError(409, "Conflict", words)


def _check_immutable(kind: str, live: Stored | None, body: Json) -> None:
    path = IMMUTABLE.get(kind)
    if path and live and fields.get(live.body, path) != fields.get(body, path):
        raise ApiError(422, "Invalid", f"{'.'.join(path)}: field is immutable")


def _default(kind: str, body: Json) -> Json:
    if kind == "Deployment" and body.get("spec", {}).get("replicas") is None:
        return fields.put(body, ("spec", "replicas"), 1)
    return body


def _merge(live: Any, patch: Any) -> Any:
    """JSON merge patch (RFC 7396): None removes, objects merge, all else replaces."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(live) if isinstance(live, dict) else {}
    for name, part in patch.items():
        if part is None:
            merged.pop(name, None)
        else:
            merged[name] = _merge(merged.get(name), part)
    return merged
