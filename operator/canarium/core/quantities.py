"""Kubernetes quantities in the one spelling that the apiserver stores them in.

The apiserver rewrites `1000m` as `1` and `0.5Gi` as `512Mi`. What we render has to be spelled the
same, or it would look as if somebody had changed it, and equal revisions would look different.
The rules are those of resource.Quantity in k8s.io/apimachinery.
"""

from __future__ import annotations

import re
from decimal import ROUND_CEILING, Context, Decimal

QUANTITY_PATTERN = (
    r"[+]?([0-9]{1,15}(\.[0-9]{0,9})?|\.[0-9]{1,9})"
    "([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]{1,2})?"
)

"What people may write as a text; what the apiserver itself writes may have more digits."

_QUANTITY = re.compile(
    r"[+]?([0-9]{1,40}(\.[0-9]{0,40})?|\.[0-9]{1,40})([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]{1,2})?"
)
_PARTS = re.compile("([0-9.]+)(.*)")
_BINARY = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_SUFFIXES = {exponent: suffix for suffix, exponent in _DECIMAL.items()}
_LARGEST = 2**63 - 1
_EXACT = Context(prec=60)


def is_quantity(value: int | str) -> bool:
    """Tell whether `parse_quantity` can read it: there is no other definition."""
    try:
        parse_quantity(value)
    except ValueError:
        return False
    return True


def canonical_quantity(value: int | str) -> str:
    """Spell a quantity in a way that the apiserver keeps; ValueError when it isn't one.

    As there, anything below a thousandth is rounded up to one.
    """
    amount, suffix = parse_quantity(value), _split(str(value).lstrip("+"))[1]
    if suffix in _BINARY[1:]:
        amount = min(amount, Decimal(_LARGEST))  # decimal ones may be larger there
    thousandths = int(_EXACT.scaleb(amount, 3).to_integral_value(ROUND_CEILING))
    if suffix in _BINARY[1:] and thousandths >= 1024_000 and thousandths % 1000 == 0:
        return _spell_binary(thousandths // 1000)
    return _spell_decimal(thousandths, exponential=suffix not in _BINARY and suffix not in _DECIMAL)


def parse_quantity(value: int | str) -> Decimal:
    """The number that a quantity means, exactly; ValueError when it isn't one.

    Negative ones, which Kubernetes knows, mean nothing here. An integer may be as large as JSON's
    are to the apiserver, 2^63 - 1.
    """
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError(f"not a quantity: {type(value).__name__}")  # noqa: TRY004 - one error
    if isinstance(value, int) and not 0 <= value <= _LARGEST:
        raise ValueError("not a quantity: an integer from 0 to 2^63 - 1 is one")
    text = str(value)
    if _QUANTITY.fullmatch(text) is None:
        raise ValueError(f"not a quantity: {text!r}")
    digits, suffix = _split(text.lstrip("+"))
    if suffix in _BINARY[1:]:
        return _EXACT.multiply(digits, Decimal(1024 ** _BINARY.index(suffix)))
    return _EXACT.scaleb(digits, _exponent(suffix))


def _exponent(suffix: str) -> int:
    return _DECIMAL[suffix] if suffix in _DECIMAL else int(suffix[1:])


def _split(text: str) -> tuple[Decimal, str]:
    found = _PARTS.fullmatch(text)
    assert found is not None, text  # noqa: S101 - the pattern above has let it through
    return Decimal(found[1]), found[2]


def _spell_binary(count: int) -> str:
    power, count = 0, min(count, _LARGEST)
    while count % 1024 == 0 and power < len(_BINARY) - 1:
        count, power = count // 1024, power + 1
    return f"{count}{_BINARY[power]}"


def _spell_decimal(thousandths: int, *, exponential: bool) -> str:
    if thousandths == 0:
        return "0"
    count, exponent = thousandths, -3
    while count % 1000 == 0:
        count, exponent = count // 1000, exponent + 3
    if exponential:
        return f"{count}e{exponent}" if exponent else str(count)
    # Beyond E there is no suffix, and the apiserver writes none: it stores 1000E as 1.
    return f"{count}{_SUFFIXES.get(exponent, '')}"
