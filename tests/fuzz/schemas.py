"""Any object that a schema allows: Hypothesis' strategies, made from a CRD's own schema.

Types, enums, bounds, lengths, int-or-string, keyed lists, and of CEL what a text, or the key of a
map, has to match, and which fields exclude each other. What else CEL asks for (one field but not
another) is left to chance, and to the apiserver to judge.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from tests.fuzz.tokens import KEYS, RESOURCES, find_tokens

Json = Mapping[str, Any]
Path = tuple[str | int, ...]
Texts = SearchStrategy[str]
_MADE: dict[str, SearchStrategy[Any]] = {}

VALIDATIONS = "x-kubernetes-validations"
INT_OR_STRING = "x-kubernetes-int-or-string"
MOST_ITEMS = 3
MOST_OPTIONAL = 3
"How many of an object's optional fields are there at most: more would hardly ever be accepted."
LONGEST_RANDOM = 24

_MATCHES = re.compile(r"self\.matches\(r(['\"])\^\((.*?)\)\$\1\)", re.DOTALL)
_KEY_MATCHES = re.compile(r"key\.matches\(r'\^\((.*?)\)\$'\)", re.DOTALL)
_EXISTS_ONE = re.compile(r"\[([^\[\]]*)\]\.exists_one\(given, given\)")
_NOT_BOTH = (
    re.compile(r"!has\(self\.(\w+)\) \|\| !has\(self\.(\w+)\)"),
    re.compile(r"!\(has\(self\.(\w+)\) && has\(self\.(\w+)\)\)"),
)
_INTEGER_RULE = re.compile(r"type\(self\) == int \? (.*?) :")
_LEAST, _MOST = re.compile(r"self >= (\d+)"), re.compile(r"self <= (\d+)")
_INTEGERS = (
    0, 1, 2, 99, 100, 101, 1023, 65535, 2**31 - 1,
    10**15 - 1, 10**15, 10**16, 2**53, 2**53 + 1, 10**18, 2**63 - 1,
)  # fmt: skip


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
        for key in RESOURCES[:4] if values.get(INT_OR_STRING) else KEYS[:1]:
            yield (*path, key), values


def find_excluded(schema: Json, name: str) -> set[str]:
    """The fields that must not be there beside this one, by rules in the forms that we write."""
    found: set[str] = set()
    for group in _find_groups(schema):
        if any(name in each for each in group):
            found |= {other for each in group if name not in each for other in each}
    for rule in schema.get(VALIDATIONS, ()):
        for pair in filter(None, (form.fullmatch(rule["rule"]) for form in _NOT_BOTH)):
            found |= set(pair.groups()) - {name} if name in pair.groups() else set()
    return found


def _find_groups(schema: Json) -> list[list[tuple[str, ...]]]:
    """Of each rule that wants exactly one thing the things, each by its fields."""
    rules = (_EXISTS_ONE.search(rule["rule"]) for rule in schema.get(VALIDATIONS, ()))
    groups = [
        [tuple(re.findall(r"has\(self\.(\w+)\)", each)) for each in found[1].split(", ")]
        for found in rules
        if found is not None
    ]
    return [group for group in groups if all(group)]


def make_values(schema: Json, name: str = "") -> SearchStrategy[Any]:
    """What such a place may hold, as far as the schema says it in a form that can be drawn from.

    `name` is that of its field, by which some texts mean more there than others. A strategy is made
    once a kind of place: that takes longer than to draw from it.
    """
    kind = json.dumps([name, schema], sort_keys=True)
    if kind not in _MADE:
        _MADE[kind] = _make_values(schema, name)
    return _MADE[kind]


def _make_values(schema: Json, name: str) -> SearchStrategy[Any]:
    if schema.get(INT_OR_STRING):
        return _weigh((1, _integers(schema)), (1, _texts(schema, name)))
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    makers: dict[str, Callable[[Json, str], SearchStrategy[Any]]] = {
        "boolean": lambda *_: st.booleans(),
        "integer": lambda *_: _integers(schema),
        "string": _texts,
        "array": _lists,
        "object": _objects,
    }
    return makers[schema["type"]](schema, name)


def _integers(schema: Json) -> SearchStrategy[int]:
    low, high = _find_bounds(schema)
    edges = sorted({each for each in (*_INTEGERS, low, high) if low <= each <= high})
    return _weigh((1, st.sampled_from(edges)), (1, st.integers(low, high)))


def _find_bounds(schema: Json) -> tuple[int, int]:
    rules = (_INTEGER_RULE.search(rule["rule"]) for rule in schema.get(VALIDATIONS, ()))
    said = next((found[1] for found in rules if found is not None), "")
    least, most = _LEAST.search(said), _MOST.search(said)
    low = int(least[1]) if least else schema.get("minimum", 0)
    return low, int(most[1]) if most else schema.get("maximum", 2**63 - 1)


def _texts(schema: Json, name: str) -> Texts:
    """Texts that match, those at the limits of it, and some that mean something to somebody."""
    shortest, longest = schema.get("minLength", 0), schema.get("maxLength", 4096)

    def fits(text: str) -> bool:
        return bool(shortest <= len(text) <= longest)

    tokens = [text for text in find_tokens(name) if fits(text)]
    patterns = [re.compile(pattern) for pattern in _find_patterns(schema, _MATCHES)]
    right = [text for text in tokens if all(each.fullmatch(text) for each in patterns)]
    letters = st.characters(exclude_categories=["Cs"])
    most = max(shortest, min(longest, LONGEST_RANDOM))
    random = st.text(letters, min_size=shortest, max_size=most)
    if not patterns:
        return _weigh((4, st.sampled_from(tokens)), (3, random), (2, random.map(_stretch(longest))))
    matching = _match(patterns).filter(fits)
    return _weigh(
        (5, matching),
        (3, matching.map(_stretch(longest, patterns))),
        (4, st.sampled_from(right) if right else matching),
        (1, st.sampled_from(tokens)),
    )


def _match(patterns: Sequence[re.Pattern[str]]) -> Texts:
    found: Texts = st.from_regex(patterns[0], fullmatch=True)
    return found.filter(lambda text: all(each.fullmatch(text) for each in patterns))


def _weigh(*choices: tuple[int, SearchStrategy[Any]]) -> SearchStrategy[Any]:
    numbers = [number for number, (weight, _) in enumerate(choices) for _ in range(weight)]
    return st.sampled_from(numbers).flatmap(lambda number: choices[number][1])


def _stretch(longest: int, patterns: Sequence[re.Pattern[str]] = ()) -> Any:
    """Make a text as long as may be, if it matches nevertheless."""

    def stretch(text: str) -> str:
        middle = len(text) // 2
        for filler in dict.fromkeys((text[middle : middle + 1], "a", "0", "9", ".a")):
            missing = longest - len(text)
            if filler and missing > 0:
                filled = (filler * missing)[:missing]
                found = text[:middle] + filled + text[middle:]
                if all(each.fullmatch(found) for each in patterns):
                    return found
        return text

    return stretch


def _find_patterns(schema: Json, kind: re.Pattern[str]) -> list[str]:
    rules = (kind.search(rule["rule"]) for rule in schema.get(VALIDATIONS, ()))
    return [found[found.lastindex or 0] for found in rules if found is not None]


def _lists(schema: Json, name: str) -> SearchStrategy[list[Any]]:
    keys = schema.get("x-kubernetes-list-map-keys")
    unique = (lambda item: tuple(str(item.get(key)) for key in keys)) if keys else None
    least = schema.get("minItems", 0)
    most = max(least, min(schema.get("maxItems", MOST_ITEMS), MOST_ITEMS))
    items = make_values(schema["items"], name)
    return st.lists(items, min_size=least, max_size=most, unique_by=unique)


def _objects(schema: Json, name: str) -> SearchStrategy[dict[str, Any]]:
    values = schema.get("additionalProperties")
    if isinstance(values, Mapping):
        return st.dictionaries(_keys(schema), make_values(values, name), max_size=MOST_ITEMS)
    return _structs(schema)


def _keys(schema: Json) -> Texts:
    """Keys of a map: those of resources where it has quantities, others as they have to be."""
    known = RESOURCES if schema["additionalProperties"].get(INT_OR_STRING) else KEYS
    patterns = [re.compile(pattern) for pattern in _find_patterns(schema, _KEY_MATCHES)]
    odd = st.text("ab./-0", min_size=1, max_size=8)
    if not patterns:
        return _weigh((6, st.sampled_from(known)), (1, odd))
    right = _match(patterns)
    far = right.map(_stretch(63, patterns))
    return _weigh((6, st.sampled_from(known)), (1, right), (1, far), (1, odd))


def _structs(schema: Json) -> SearchStrategy[dict[str, Any]]:
    """What is required, one of each group, and a few others."""
    fields, needed = schema.get("properties", {}), schema.get("required", [])
    makers = {name: make_values(child, name) for name, child in fields.items()}
    groups, names = _find_groups(schema), list(fields)

    @st.composite
    def compose(draw: Any) -> dict[str, Any]:
        chosen = [*needed, *(draw(st.sampled_from(group))[0] for group in groups)]
        wanted = [draw(others) for _ in range(draw(counts))] if names else []
        for name in wanted:
            if not any(name in find_excluded(schema, other) for other in chosen):
                chosen.append(name)
        return {name: draw(makers[name]) for name in dict.fromkeys(chosen)}

    others, counts = st.sampled_from(names or [""]), st.integers(0, MOST_OPTIONAL)
    return compose()
