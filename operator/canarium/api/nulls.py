"""Nulls in what people write mean the same as leaving the field out, as for the apiserver."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_PLAIN = (str, int)
_TABLES = (dict, Mapping)
"Asked for in this order, for to ask an abstract class is slow."


def drop_nulls(value: Any) -> Any:
    """Copy plain JSON without the nulls in objects, which the apiserver drops too."""
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, _TABLES):
        return {key: drop_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [drop_nulls(item) for item in value]
    return value
