"""Who else wrote an object that is ours, by its managedFields, which are as large as the object."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

import msgspec
from msgspec import Raw

from canarium.core.observed import Addition
from canarium.core.plan import CAPACITY_MANAGER, OWNER_MANAGER
from canarium.core.text import sanitize_text
from canarium.kube.informers.projections.meta import Metadata, Wire

OURS = (OWNER_MANAGER, CAPACITY_MANAGER)


OF_A_SPEC = b'"f:spec"'


OF_A_TEMPLATE = b'"f:template"'


MOST_ADDITIONS = 5


MOST_WRITERS = 3


MOST_OF_A_NAME = 63


class _ManagedFields(Wire):
    manager: str = ""
    subresource: str = ""
    time: str | None = None
    "As it is written, which sorts: who writes managedFields may write years that Python hasn't."
    fields_v1: Raw = Raw(b"{}")


class WrittenMetadata(Metadata):
    """Metadata with who wrote which field."""

    managed_fields: list[_ManagedFields] | None = None


def find_writers(entries: list[_ManagedFields] | None) -> tuple[str, ...]:
    """Who else has written something of a spec, the latest first: a few short names.

    Of managedFields, which are as large as the object, nothing else is kept.
    """
    others = [
        entry
        for entry in entries or ()
        if entry.manager not in OURS
        and not entry.subresource
        and OF_A_SPEC in bytes(entry.fields_v1)
    ]
    others.sort(key=lambda entry: entry.time or "", reverse=True)
    names = dict.fromkeys(sanitize_text(entry.manager)[:MOST_OF_A_NAME] for entry in others)
    return tuple(sys.intern(name) for name in tuple(names)[:MOST_WRITERS] if name)


def find_additions(entries: list[_ManagedFields] | None) -> tuple[Addition, ...]:
    """Which fields of a pod template's spec others have written: a few, since nobody reads more."""
    found = (
        Addition(path, sys.intern(sanitize_text(entry.manager)[:MOST_OF_A_NAME]))
        for entry in entries or ()
        if entry.manager not in OURS and OF_A_TEMPLATE in bytes(entry.fields_v1)
        for path in _list_paths(msgspec.json.decode(entry.fields_v1))
    )
    return tuple(islice(found, MOST_ADDITIONS))


def _list_paths(fields: Mapping[str, Any]) -> Iterator[str]:
    """The fields of spec.template.spec that an entry of managedFields names, in their order."""
    pods = fields.get("f:spec", {}).get("f:template", {}).get("f:spec", {})
    for name, within in pods.items():
        path = name.removeprefix("f:")
        items = [(key, own) for key, own in within.items() if key.startswith("k:")]
        yield from (_tell_item(path, key, own) for key, own in items)
        if path != "." and not items:
            yield sanitize_text(path)[:MOST_OF_A_NAME]


def _tell_item(path: str, key: str, own: Mapping[str, Any]) -> str:
    """One item of a list, by its name; or what of it was written, where the item is another's."""
    known = msgspec.json.decode(key.removeprefix("k:"))
    item = f"{path}[{known.get('name', '')}]"
    within = next((name for name in own if name != "."), "").removeprefix("f:")
    told = item if "." in own or not within else f"{item}.{within}"
    return sanitize_text(told)[:MOST_OF_A_NAME]
