"""Who owns which field: as much of server-side apply as the objects that we write need.

A field is the path to a leaf. Maps are granular, but for the selectors that the apiserver takes as
a whole; lists are taken as a whole, since nobody else writes into those that we write.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from canarium.errors import ConflictError

Json = dict[str, Any]
Path = tuple[str, ...]
Owners = Mapping[str, frozenset[Path]]
"The fields that each manager has written last."

WHOLE = frozenset({("spec", "selector")})
"Maps that are replaced as a whole: selectors of Services and Deployments."
IDENTITY = frozenset({"name", "namespace", "uid", "resourceVersion", "generation"})
_ABSENT = object()


def list_fields(body: Mapping[str, Any]) -> frozenset[Path]:
    """Every field that a body says something about; its identity is nobody's field."""
    return frozenset(path for path in _leaves(body, ()) if _is_field(path))


def apply(
    live: Json, owners: Owners, manager: str, body: Json, *, force: bool
) -> tuple[Json, Owners]:
    """The object after a server-side apply, and who owns what then.

    What the manager applied before and leaves out now goes, unless somebody else owns it too.
    Raises `ConflictError` when it would change others' fields and isn't to force that.
    """
    fields = list_fields(body)
    taken = {
        path: other
        for other, theirs in owners.items()
        if other != manager
        for path in theirs & fields
        if get(live, path) != get(body, path)
    }
    if taken and not force:
        raise ConflictError(409, "Conflict", _tell_conflicts(taken))
    others = {name: theirs - taken.keys() for name, theirs in owners.items() if name != manager}
    held = frozenset().union(*others.values())
    after = live
    for path in owners.get(manager, frozenset()) - fields - held:
        after = _without(after, path)
    for path in fields:
        after = put(after, path, get(body, path))
    return after, {**others, manager: fields}


def write(before: Json, after: Json, owners: Owners, manager: str) -> Owners:
    """Who owns what when a manager has written an object in any other way: what it changed."""
    if all(before.get(part) is after.get(part) for part in after if part != "status"):
        return owners
    was, now = list_fields(before), list_fields(after)
    changed = frozenset(path for path in now if get(before, path) != get(after, path))
    gone = was - now
    left = {name: theirs - changed - gone for name, theirs in owners.items()}
    return {**left, manager: left.get(manager, frozenset()) | changed}


def get(body: Mapping[str, Any], path: Path) -> Any:
    """The value at a path; a value like no other when there is none."""
    found: Any = body
    for key in path:
        if not isinstance(found, Mapping) or key not in found:
            return _ABSENT
        found = found[key]
    return found


def put(body: Json, path: Path, value: Any) -> Json:
    """A copy of the object with this value there; what isn't on the way is shared."""
    key, *rest = path
    if not rest:
        return {**body, key: value}
    inner = body.get(key)
    return {**body, key: put(inner if isinstance(inner, dict) else {}, tuple(rest), value)}


def _without(body: Json, path: Path) -> Json:
    key, *rest = path
    if key not in body:
        return body
    if not rest:
        return {name: value for name, value in body.items() if name != key}
    inner = _without(body[key], tuple(rest))
    return {**body, key: inner} if inner else _without(body, (key,))


def _leaves(value: Any, path: Path) -> Iterator[Path]:
    if isinstance(value, Mapping) and value and path not in WHOLE:
        for key, item in value.items():
            yield from _leaves(item, (*path, key))
    elif path:
        yield path


def _is_field(path: Path) -> bool:
    if path[0] == "metadata":
        return len(path) > 1 and path[1] not in IDENTITY
    return path[0] not in ("apiVersion", "kind", "status")


def _tell_conflicts(taken: Mapping[Path, str]) -> str:
    whose = sorted({f'conflict with "{other}"' for other in taken.values()})
    fields = ", ".join(sorted("." + ".".join(path) for path in taken))
    return f"Apply failed with {len(taken)} conflicts: {', '.join(whose)}: {fields}"
