"""Carries out one write of a plan, and takes the answer into the cache at once.

A child is never adopted: an object of somebody else's under its name is left as it is. A
Deployment or Job that claims to be the ModelDeployment's, by an ownerReference that anybody may
write, and whose uid is not the one that ours has, is deleted and made anew. Where no account was
kept of uids, that is one that chooses other pods than ours for good.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import msgspec

from canarium.core.kinds import Row
from canarium.core.names import REVISION_LABEL
from canarium.core.observed import Meta
from canarium.core.plan import (
    OWNER_MANAGER,
    Apply,
    Create,
    Delete,
    RecordOutcome,
    Ref,
    Write,
)
from canarium.errors import BugError, CanariumError, ConflictError, NotFoundError
from canarium.kube.client import Client
from canarium.kube.informers.projections.meta import project_meta
from canarium.kube.informers.store import Record, Store, model_key, own_key
from canarium.kube.kinds import MODEL_DEPLOYMENTS, TABLE, Resource

CHOOSING = frozenset(row.kind for row in TABLE if row.chooses_pods)
"Kinds of which only what we made ourselves counts."


class RefusedError(CanariumError):
    """A write that is not even tried; `reason` is CamelCase, as a condition shows it."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class StaleError(CanariumError):
    """The cache was behind: it is fresh now, and the plan has to be made again."""


class _Deleted(msgspec.Struct):
    """What DELETE answers: a Status, or the object as it is now."""

    kind: str = ""
    metadata: dict[str, Any] = {}


class _Spec(msgspec.Struct):
    selector: dict[str, Any] = {}


class _Choosing(msgspec.Struct):
    """An object that chooses pods."""

    spec: _Spec


_decode_deleted = msgspec.json.Decoder(_Deleted).decode
_decode_choosing = msgspec.json.Decoder(_Choosing).decode


class Children(Protocol):
    """The kinds that are written for one kind's objects."""

    def children(self, kind: str) -> Store[Any]:
        """The store of one of them."""

    def project(self, kind: str, raw: bytes) -> Any:
        """The record of one such object."""


class _NoChildren:
    """For kinds that have none."""

    def children(self, kind: str) -> Store[Any]:
        raise BugError(f"{kind} is written for nobody")

    def project(self, kind: str, raw: bytes) -> Any:
        raise BugError(f"{kind} is written for nobody")


NO_CHILDREN: Children = _NoChildren()


class Writer:
    """Writes children of one object after the other; `owner` is the kind of those objects.

    `kinds` is the table of kinds, for how children are written.
    """

    def __init__(
        self,
        client: Client,
        cache: Children,
        owner: str = MODEL_DEPLOYMENTS.kind,
        kinds: Iterable[Row] = TABLE,
    ) -> None:
        self._client = client
        self._cache = cache
        self._owner = owner
        self._rows = {row.kind: row for row in kinds if row.written}

    async def refresh(self, namespace: str, ref: Ref) -> None:
        """Read one child live into the cache."""
        raw = await self._fetch(namespace, ref)
        if raw is None:
            self._cache.children(ref.kind).drop(namespace, ref.name)
        else:
            self._take(ref, raw)

    async def write(self, model: Record, write: Write) -> str:
        """Carry out one write; the uid of what was created, "" for other writes.

        Raises `RefusedError` for names that are taken, `StaleError` when the plan was made from
        an outdated cache, and whatever the client raises.
        """
        match write:
            case Create():
                return await self._create(model, write)
            case Apply():
                await self._apply(model.meta.namespace, write)
            case Delete():
                await self._delete(model.meta.namespace, write)
            case RecordOutcome():
                await self._record(model.meta.namespace, write)
        return ""

    async def _create(self, model: Record, write: Create) -> str:
        ref, namespace = write.ref, model.meta.namespace
        made, raw = await self._create_new(namespace, write)
        if raw is None:
            return made
        found = project_meta(raw)
        self._check_owner(model, ref, found)
        is_labelled = model_key(_Bare(found)) == own_key(model)
        if _is_forged(self._rows[ref.kind], write, raw, found, is_labelled=is_labelled):
            return await self._replace(namespace, write, found)
        if is_labelled:
            await self.refresh(namespace, ref)
            raise StaleError(f"{ref.kind} {ref.name} exists already")
        return await self._put(namespace, ref, write.body, OWNER_MANAGER, force=True)

    async def _replace(self, namespace: str, write: Create, found: Meta) -> str:
        """Delete what claims the name of a child, and create the child.

        Whoever is as quick as we are to make it again is not fought with: the next try waits.
        """
        ref = write.ref
        with contextlib.suppress(NotFoundError):
            # By its uid alone: whatever else of it changes, it doesn't become ours.
            await self._client.delete(self._find_resource(ref), namespace, ref.name, found.uid, "")
        made, raw = await self._post(namespace, write)
        if raw is not None:
            raise RefusedError(
                "NameConflict",
                f"the name is taken: {ref.kind} {ref.name} was made by somebody else, with this "
                f"{self._owner} as its owner (ownerReferences), and was still there, or there "
                "again, when it had been deleted: find out who makes it",
            )
        return made

    async def _create_new(self, namespace: str, write: Create) -> tuple[str, bytes | None]:
        """Create the child: its uid; when the name is taken, what has it."""
        ref = write.ref
        if self._rows[ref.kind].written == "Posted":
            return await self._post(namespace, write)
        raw = await self._fetch(namespace, ref)
        if raw is not None:
            return "", raw
        return await self._put(namespace, ref, write.body, OWNER_MANAGER, force=False), None

    async def _post(self, namespace: str, write: Create) -> tuple[str, bytes | None]:
        resource = self._find_resource(write.ref)
        try:
            answer = await self._client.create(resource, namespace, write.body, OWNER_MANAGER)
        except ConflictError as error:
            if error.reason != "AlreadyExists":
                raise
            raw = await self._fetch(namespace, write.ref)
            if raw is None:
                raise StaleError(f"{write.ref.kind} {write.ref.name} is gone again") from error
            return "", raw
        return self._take(write.ref, answer), None

    def _check_owner(self, model: Record, ref: Ref, found: Meta) -> None:
        owner = found.owner
        if owner is not None and owner.uid == model.meta.uid:
            return
        if owner is not None and (owner.kind, owner.name) == (self._owner, model.meta.name):
            raise RefusedError(
                "WaitingForDeletion",
                f"{ref.kind} {ref.name} belongs to a {self._owner} of this name that was "
                "deleted; waiting until it is gone",
            )
        raise RefusedError("NameConflict", _describe_conflict(ref, found, self._owner))

    async def _apply(self, namespace: str, write: Apply) -> None:
        version = await self._remove(namespace, write) if write.removes else write.resource_version
        body = _precondition(write.body, version)
        await self._put(namespace, write.ref, body, write.manager, force=True)

    async def _remove(self, namespace: str, write: Apply) -> str:
        """Take away what others added; the resourceVersion after that."""
        spec: dict[str, Any] = {}
        for path in write.removes:
            part = spec
            for key in path[:-1]:
                part = part.setdefault(key, {})
            part[path[-1]] = None
        body = _precondition({"spec": spec}, write.resource_version)
        answer = await self._client.merge(
            self._find_resource(write.ref), namespace, write.ref.name, body, manager=write.manager
        )
        self._take(write.ref, answer)
        return project_meta(answer).resource_version

    async def _delete(self, namespace: str, write: Delete) -> None:
        ref, store = write.ref, self._cache.children(write.ref.kind)
        try:
            answer = await self._client.delete(
                self._find_resource(ref), namespace, ref.name, write.uid, write.resource_version
            )
        except NotFoundError:
            store.drop(namespace, ref.name)
            return
        left = _decode_deleted(answer)
        if left.kind == ref.kind and left.metadata.get("finalizers"):
            self._take(ref, answer)
        else:
            store.bury(namespace, ref.name, write.uid)

    async def _record(self, namespace: str, write: RecordOutcome) -> None:
        ref, body = write.ref, _precondition({"status": write.status}, write.resource_version)
        answer = await self._client.merge(
            self._find_resource(ref),
            namespace,
            ref.name,
            body,
            manager=OWNER_MANAGER,
            subresource="status",
        )
        self._take(ref, answer)

    async def _put(
        self, namespace: str, ref: Ref, body: Mapping[str, Any], manager: str, *, force: bool
    ) -> str:
        answer = await self._client.apply(
            self._find_resource(ref), namespace, ref.name, body, manager, force=force
        )
        return self._take(ref, answer)

    async def _fetch(self, namespace: str, ref: Ref) -> bytes | None:
        if "get" not in self._rows[ref.kind].verbs:
            return await self._find(namespace, ref)
        try:
            return await self._client.get(self._find_resource(ref), namespace, ref.name)
        except NotFoundError:
            return None

    async def _find(self, namespace: str, ref: Ref) -> bytes | None:
        """The same where the operator has no right to get one object, but to list them."""
        named = f"metadata.name={ref.name}"
        pages = self._client.list_pages(self._find_resource(ref), namespace, fields=named)
        found = [item async for page in pages for item in page.items or ()]
        return bytes(found[0]) if found else None

    def _find_resource(self, ref: Ref) -> Resource:
        return Resource.of(self._rows[ref.kind])

    def _take(self, ref: Ref, raw: bytes) -> str:
        """Take what the apiserver answered into the cache; its uid."""
        record = self._cache.project(ref.kind, raw)
        self._cache.children(ref.kind).put(record)
        uid: str = record.meta.uid
        return uid


def _describe_conflict(ref: Ref, found: Meta, ours: str) -> str:
    """Whose the object is that has the name; `ours` is the kind that it is wanted for."""
    taken, owner = f"the name is taken: {ref.kind} {ref.name}", found.owner
    if owner is None:
        cure = f"rename or delete it, or rename this {ours}"
        return f"{taken} has no owner (ownerReferences), so it is left alone: {cure}"
    if owner.kind != ours:
        cure = f"rename {owner.kind} {owner.name}, or this {ours}"
        return f"{taken} belongs to {owner.kind} {owner.name} and is left alone: {cure}"
    revision = found.labels.get(REVISION_LABEL, "")
    of = f"is revision {revision} of" if revision else "belongs to"
    return f"{taken} {of} {ours} {owner.name} and is left alone: rename one of the two"


def _is_forged(row: Row, write: Create, raw: bytes, found: Meta, *, is_labelled: bool) -> bool:
    """Whether what claims a child's name is none of ours, whatever its ownerReferences say.

    A Job is never changed, so one without our labels wasn't made by us either; a Deployment may
    have lost them, and gets them again.
    """
    if not row.chooses_pods:
        return False
    if "patch" not in row.verbs and not is_labelled:
        return True
    if write.uid is not None:
        return found.uid != write.uid
    return bool(_decode_choosing(raw).spec.selector != write.body["spec"]["selector"])


class _Bare:
    """Metadata where a record is asked for."""

    def __init__(self, meta: Meta) -> None:
        self.meta = meta


def _precondition(body: Mapping[str, Any], resource_version: str) -> Mapping[str, Any]:
    if not resource_version:
        return body
    metadata = {**body.get("metadata", {}), "resourceVersion": resource_version}
    return {**body, "metadata": metadata}
