"""What was last seen of one kind: small records, found by the object that they belong to.

Reflectors fill a store; answers to our own writes go in as well, at once, so that we read what we
wrote. An older version never replaces a newer one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import fields
from functools import cache
from operator import attrgetter
from typing import Any, Generic, Protocol, TypeVar

from canarium.core.names import MODEL_LABEL
from canarium.core.observed import Meta

Key = tuple[str, str]
"Namespace and name of the ModelDeployment (of the Gateway itself, in the Gateways' store)."


class Record(Protocol):
    """Whatever carries metadata."""

    @property
    def meta(self) -> Meta:
        """The object's metadata."""


R = TypeVar("R", bound=Record)


def model_key(record: Record) -> Key:
    """The ModelDeployment that a child says it belongs to, by its label."""
    return record.meta.namespace, record.meta.labels.get(MODEL_LABEL, "")


def own_key(record: Record) -> Key:
    """The object itself."""
    return record.meta.namespace, record.meta.name


def parse_version(version: str) -> int:
    """A resourceVersion as the number that it is in every current apiserver (-1 when it isn't)."""
    return int(version) if version.isdecimal() else -1


def is_newer(version: str, than: str) -> bool:
    """Whether a resourceVersion is later than another; one that is no number counts as later."""
    number = parse_version(version)
    return number < 0 or number > parse_version(than)


class Store(Generic[R]):
    """Records of one kind by key and name; `on_change` hears of keys whose content changed.

    A record for which `index` has no key is nobody's concern and not kept.
    """

    def __init__(
        self,
        index: Callable[[R], Key | None] = model_key,
        on_change: Callable[[Key], None] | None = None,
    ) -> None:
        self._index = index
        self._on_change = on_change or (lambda _key: None)
        self._groups: dict[Key, dict[str, R]] = {}
        self._keys: dict[Key, Key] = {}
        self._buried: dict[Key, str] = {}

    def __len__(self) -> int:
        return len(self._keys)

    def of(self, key: Key) -> tuple[R, ...]:
        """Every record that belongs to the key."""
        return tuple(self._groups.get(key, {}).values())

    def get(self, namespace: str, name: str) -> R | None:
        """One record by its own name."""
        key = self._keys.get((namespace, name))
        return self._groups[key][name] if key is not None else None

    def keys(self) -> tuple[Key, ...]:
        """Every key that something belongs to."""
        return tuple(self._groups)

    def put(self, record: R) -> None:
        """Take a record in, unless one at least as new is there or it is known to be deleted."""
        own = own_key(record)
        known = self.get(*own)
        if self._buried.get(own) == record.meta.uid or not _replaces(record, known):
            return
        key = self._index(record)
        if known is not None and self._keys[own] != key:
            self._on_change(self._remove(own))
            known = None
        if key is None:
            return
        self._groups.setdefault(key, {})[record.meta.name] = record
        self._keys[own] = key
        if not _is_same(record, known):
            self._on_change(key)

    def drop(self, namespace: str, name: str, version: str = "") -> None:
        """Forget an object that is gone; one newer than the version of its deletion stays."""
        own = namespace, name
        self._buried.pop(own, None)
        known = self.get(namespace, name)
        if known is None or (version and is_newer(known.meta.resource_version, version)):
            return
        self._on_change(self._remove(own))

    def bury(self, namespace: str, name: str, uid: str) -> None:
        """Forget an object that we deleted, and don't let late news of it bring it back."""
        known = self.get(namespace, name)
        if known is not None and known.meta.uid == uid:
            self.drop(namespace, name)
            self._buried[namespace, name] = uid

    def replace(self, records: Iterable[R], version: str, namespace: str | None = None) -> None:
        """Take a whole list in; what it no longer has was deleted, unless it is newer."""
        found = {own_key(record): record for record in records}
        for own in [own for own in self._keys if namespace in (None, own[0]) and own not in found]:
            self.drop(*own, version=version)
        self._buried = {own: uid for own, uid in self._buried.items() if own in found}
        for record in found.values():
            self.put(record)

    def _remove(self, own: Key) -> Key:
        key = self._keys.pop(own)
        group = self._groups[key]
        del group[own[1]]
        if not group:
            del self._groups[key]
        return key


def _replaces(record: Record, known: Record | None) -> bool:
    return known is None or is_newer(record.meta.resource_version, known.meta.resource_version)


def _is_same(record: Any, known: Any) -> bool:
    """Whether only the resourceVersion differs, which is nobody's concern."""
    if known is None:
        return False
    content = _content(record.__class__)
    return bool(content(record) == content(known) and _about(record.meta) == _about(known.meta))


def _other_fields(kind: Any, left_out: str) -> Callable[[Any], Any]:
    return attrgetter(*(field.name for field in fields(kind) if field.name != left_out))


@cache
def _content(kind: type) -> Callable[[Any], Any]:
    """Everything of a record but its metadata."""
    return _other_fields(kind, "meta")


_about = _other_fields(Meta, "resource_version")
