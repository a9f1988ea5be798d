"""Any object that a schema allows: Hypothesis' strategies, made from a CRD's own schema.

Types, enums, bounds, lengths, int-or-string, keyed lists, and of CEL what a text has to match. What
else CEL asks for (one field but not another) is left to chance, and to the apiserver to judge.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

Json = Mapping[str, Any]
Path = tuple[str | int, ...]

VALIDATIONS = "x-kubernetes-validations"
MOST_ITEMS = 3
MOST_OPTIONAL = 3
"How many of an object's optional fields are there at most: more would hardly ever be accepted."

_MATCHES = re.compile(r"self\.matches\(r(['\"])\^\((.*?)\)\$\1\)", re.DOTALL)
_KEYS = (
    "app", "team", "cpu", "memory", "ephemeral-storage", "hugepages-2Mi", "nvidia.com/gpu",
    "example.com/x", "a.b/c", "kubernetes.io/hostname", "prometheus.io/scrape", "X", "0",
)  # fmt: skip
_UGLY = (
    "", " ", "..", ".", "-", "/", "//", "%", "%%", "$", "$(X)", "{{model}}", "{{nobody}}", "{}",
    "0", "-0", "nan", "1e400", "1e-400", "null", "true", "9" * 32, "a" * 63, "a" * 64, "\t",
    "\u00e9", "\u0130", "\u202e", "\ufeff", "\U0001f600", "a\u0300", "\x7f",
    "http://a..b", "http://" + "a" * 64, "http://[::1]:99999", "https://1.2.3.4",
    "$[?@.a==1e400]", "$..*", "$[0]", "0s", "99999h", "0ms", "100%", "0%", "1.00000000",
)  # fmt: skip
_INTEGERS = (0, 1, 2, 99, 100, 101, 1023, 65535, 2**31 - 1, 10**15, 10**16, 2**53, 2**63 - 1)


def list_nodes(schema: Json, path: Path = ()) -> Iterator[tuple[Path, Json]]:
    """Every place below a schema with its own schema; lists by their first item, maps by a key."""
    for name, child in schema.get("properties", {}).items():
        yield (*path, name), child
        yield from list_nodes(child, (*path, name))
    items, values = schema.get("items"), schema.get("additionalProperties")
    if isinstance(items, Mapping):
        yield (*path, 0), items
        yield from list_nodes(items, (*path, 0))
    if isinstance(values, Mapping):
        yield (*path, _KEYS[0]), values


def make_values(schema: Json) -> SearchStrategy[Any]:
    """What such a place may hold, as far as the schema says it in a form that can be drawn from."""
    if schema.get("x-kubernetes-int-or-string"):
        return st.one_of(_integers(schema), _texts(schema))
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    makers = {
        "boolean": lambda _: st.booleans(),
        "integer": _integers,
        "string": _texts,
        "array": _lists,
        "object": _objects,
    }
    return makers[schema["type"]](schema)


def _integers(schema: Json) -> SearchStrategy[int]:
    low, high = schema.get("minimum", 0), schema.get("maximum", 2**63 - 1)
    edges = [each for each in (*_INTEGERS, low, high) if low <= each <= high]
    return st.one_of(st.sampled_from(edges), st.integers(low, high))


def _texts(schema: Json) -> SearchStrategy[str]:
    shortest, longest = schema.get("minLength", 0), schema.get("maxLength", 4096)

    def fits(text: str) -> bool:
        return bool(shortest <= len(text) <= longest)

    drawn = [st.sampled_from([text for text in _UGLY if fits(text)])]
    letters = st.characters(exclude_categories=["Cs"])
    drawn.append(st.text(letters, min_size=shortest, max_size=max(shortest, min(longest, 24))))
    for pattern in _find_patterns(schema):
        # Again and again, for what doesn't match is hardly worth asking for.
        matching = st.from_regex(re.compile(pattern), fullmatch=True).filter(fits)
        drawn += [matching] * 20
    return st.one_of(*drawn)


def _find_patterns(schema: Json) -> list[str]:
    rules = (_MATCHES.search(rule["rule"]) for rule in schema.get(VALIDATIONS, ()))
    return [found[2] for found in rules if found is not None]


def _lists(schema: Json) -> SearchStrategy[list[Any]]:
    keys = schema.get("x-kubernetes-list-map-keys")
    unique = (lambda item: tuple(str(item.get(key)) for key in keys)) if keys else None
    least = schema.get("minItems", 0)
    most = max(least, min(schema.get("maxItems", MOST_ITEMS), MOST_ITEMS))
    items = st.deferred(lambda: make_values(schema["items"]))
    return st.lists(items, min_size=least, max_size=most, unique_by=unique)


def _objects(schema: Json) -> SearchStrategy[dict[str, Any]]:
    values = schema.get("additionalProperties")
    if isinstance(values, Mapping):
        keys = st.one_of(st.sampled_from(_KEYS), st.text("ab./-0", min_size=1, max_size=8))
        return st.dictionaries(keys, make_values(values), max_size=MOST_ITEMS)
    return _structs(schema)


@st.composite
def _structs(draw: Any, schema: Json) -> Any:
    fields, needed = schema.get("properties", {}), schema.get("required", [])
    optional = [name for name in fields if name not in needed]
    chosen = list(needed)
    if optional:
        chosen += draw(st.lists(st.sampled_from(optional), unique=True, max_size=MOST_OPTIONAL))
    return {name: draw(make_values(fields[name])) for name in chosen}


def put(body: Any, path: Path, value: Any, whole: Any, pick: int = 0) -> None:
    """Put a value at a place of an object, and what has to be there to hold it, out of a whole one.

    Of a list that is there already it is one of its items, by `pick`.
    """
    *above, last = path
    for step, following in zip(above, path[1:], strict=True):
        whole = _find(whole, step, pick)
        body = _enter(body, step, whole, [] if isinstance(following, int) else {}, pick)
    _set(body, last, value, pick)


def _find(body: Any, step: str | int, pick: int) -> Any:
    """What is at a step, None when there is nothing."""
    if isinstance(step, int):
        return body[pick % len(body)] if isinstance(body, list) and body else None
    return body.get(step) if isinstance(body, dict) else None


def _enter(body: Any, step: str | int, whole: Any, empty: Any, pick: int) -> Any:
    if not isinstance(_find(body, step, pick), type(empty)):
        made = copy.deepcopy(whole) if isinstance(whole, type(empty)) else empty
        _set(body, step, made, pick)
    return _find(body, step, pick)


def _set(body: Any, step: str | int, value: Any, pick: int) -> None:
    if not isinstance(step, int):
        body[step] = value
    elif body:
        body[pick % len(body)] = value
    else:
        body.append(value)
