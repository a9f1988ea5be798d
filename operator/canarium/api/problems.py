"""pydantic's errors in the words of this API: which field, and what to write instead."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from canarium.api.rules import Model, fields_of
from canarium.errors import Problem

MOST_SHOWN = 20
LONGEST_KEY = 80

Details = Mapping[str, Any]

_WORDS: Mapping[str, Callable[[Details], str]] = {
    "missing": lambda _: "is required",
    "string_type": lambda _: "write a string (in quotes when it looks like a number)",
    "int_type": lambda _: "write a whole number",
    "int_from_float": lambda _: "write a whole number",
    "bool_type": lambda _: "write true or false",
    "list_type": lambda _: "write a list",
    "dict_type": lambda _: "write a mapping of names to values",
    "model_type": lambda _: "write a mapping with fields",
    "literal_error": lambda context: f"write one of {context['expected']}",
    "greater_than_equal": lambda context: f"write {context['ge']} or more",
    "less_than_equal": lambda context: f"write {context['le']} or less",
    "string_too_long": lambda context: f"at most {context['max_length']} characters are allowed",
    "string_too_short": lambda _: "must not be empty",
    "too_long": lambda context: f"at most {context['max_length']} entries are allowed",
    "too_short": lambda context: f"at least {context['min_length']} must be given",
}


def explain(error: ValidationError, path: str, model: type[Model]) -> Iterator[Problem]:
    """Yield a problem for each of pydantic's errors about this model, MOST_SHOWN at the most."""
    found = error.errors(include_url=False, include_input=False)
    for details in found[:MOST_SHOWN]:
        yield Problem(_field(path, details["loc"]), _cure(details, model))
    if len(found) > MOST_SHOWN:
        yield Problem(path, f"and {len(found) - MOST_SHOWN} more problems")


def _cure(details: Any, model: type[Model]) -> str:
    kind = details["type"]
    if kind == "extra_forbidden":
        *above, name = details["loc"]
        return _misspelt(str(name), fields_of(model, above))
    word = _WORDS.get(kind)
    return word(details.get("ctx", {})) if word else str(details["msg"])


def _misspelt(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"no such field: did you mean {close[0]}?" if close else "no such field: remove it"


def _field(path: str, location: Iterable[int | str]) -> str:
    for part in location:
        if part == "[key]":
            continue
        if isinstance(part, int):
            path += f"[{part}]"
        else:
            shown = _printable(part)
            path += f".{shown}" if shown.isalnum() else f"[{shown}]"
    return path


def _printable(text: str) -> str:
    """Make a key that anybody may have written fit for a message: short, on one line."""
    shown = "".join(
        letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text
    )
    return shown if len(shown) <= LONGEST_KEY else f"{shown[:LONGEST_KEY]}..."
