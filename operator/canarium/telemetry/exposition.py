"""Prometheus' text format, version 0.0.4, for families with a series for every model.

prometheus_client takes several times as long for the same text, and it would be the loop's time.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

Sample = tuple[tuple[str, ...], float]
"Values of the labels, and a number."

_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})
_find_special = re.compile(r'["\\\n]').search


def render_gauge(name: str, text: str, labels: tuple[str, ...], samples: Iterable[Sample]) -> bytes:
    """One gauge with its help and all its samples."""
    pairs = ",".join(f'{label}="%s"' for label in labels)
    line = f"{name}{{{pairs}}} %s\n"
    lines = [f"# HELP {name} {text}\n# TYPE {name} gauge\n"]
    lines += [line % (*_escape(values), format_value(value)) for values, value in samples]
    return "".join(lines).encode()


def format_value(value: float) -> str:
    """A number as Prometheus reads it."""
    if math.isfinite(value):
        return repr(float(value))
    return "NaN" if math.isnan(value) else ("+Inf" if value > 0 else "-Inf")


def _escape(values: tuple[str, ...]) -> tuple[str, ...]:
    """Hardly any value needs it."""
    if not _find_special("".join(values)):
        return values
    return tuple(value.translate(_ESCAPES) for value in values)
