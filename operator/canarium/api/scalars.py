"""The plain values of the API: what a duration, a ratio, a quantity or a name may look like.

Each says in its message what to write, for that is what people see when they got it wrong.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from canarium.api.durations import (
    DURATION_PATTERN,
    FACTOR_PATTERN,
    RATIO_PATTERN,
    parse_duration,
    parse_ratio,
)
from canarium.api.rules import VALIDATIONS, Rule, matching, not_matching
from canarium.core.quantities import QUANTITY_PATTERN, is_quantity

LABEL_PATTERN = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
SUBDOMAIN_PATTERN = rf"{LABEL_PATTERN}(\.{LABEL_PATTERN})*"
LABEL_VALUE_PATTERN = "([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?"
PORT_NAME_PATTERN = "([0-9]+-)*[0-9]*[a-z][a-z0-9]*(-[a-z0-9]+)*"
"A letter at least, and no two dashes side by side: a number in quotes is no name."
QUALIFIED_NAME_PATTERN = rf"({SUBDOMAIN_PATTERN}/)?[A-Za-z0-9]([-A-Za-z0-9_.]{{0,61}}[A-Za-z0-9])?"

_DURATION_MESSAGE = "write a duration such as 90s, 5m or 1h30m (units h, m, s, ms)"
_RATIO_MESSAGE = 'write a ratio from 0 to 1 as a string, such as "5%" or "0.05"'
_FACTOR_MESSAGE = 'write a factor of at least 1 as a string, such as "1.2"'
_LABEL_MESSAGE = "write lower-case letters, digits and dashes, beginning and ending with no dash"
_SUBDOMAIN_MESSAGE = "write lower-case letters, digits, dashes and dots, as in names of objects"
_LABEL_VALUE_MESSAGE = "write letters, digits, dashes, underscores and dots, as in label values"
_QUALIFIED_MESSAGE = "write a name as in label keys, such as example.com/name"

_QUALIFIED = re.compile(QUALIFIED_NAME_PATTERN)
_LONGEST = 32

Line = Annotated[str, Field(max_length=256)]
Text = Annotated[str, Field(max_length=4096)]
Path = Annotated[str, Field(min_length=1, max_length=1024)]

InnerPath = Annotated[
    str,
    Field(min_length=1, max_length=256),
    not_matching(
        r"^/|(^|/)\.\.(/|$)", "write a path inside the volume: relative, and without .. in it"
    ),
]
UrlPath = Annotated[Path, matching("/.*", "write a path that begins with /")]

Duration = Annotated[str, Field(max_length=24), matching(DURATION_PATTERN, _DURATION_MESSAGE)]
Ratio = Annotated[str, Field(max_length=16), matching(RATIO_PATTERN, _RATIO_MESSAGE)]
Factor = Annotated[str, Field(max_length=16), matching(FACTOR_PATTERN, _FACTOR_MESSAGE)]

DnsLabel = Annotated[str, Field(max_length=63), matching(LABEL_PATTERN, _LABEL_MESSAGE)]
Subdomain = Annotated[str, Field(max_length=253), matching(SUBDOMAIN_PATTERN, _SUBDOMAIN_MESSAGE)]
LabelValue = Annotated[
    str, Field(max_length=63), matching(LABEL_VALUE_PATTERN, _LABEL_VALUE_MESSAGE)
]
QualifiedName = Annotated[
    str, Field(max_length=317), matching(QUALIFIED_NAME_PATTERN, _QUALIFIED_MESSAGE)
]
Image = Annotated[
    str,
    Field(max_length=1024),
    matching("[!-~]+", "write the image's reference, without spaces: registry/name:tag"),
]
PortNumber = Annotated[int, Field(ge=1, le=65535)]
Seconds = Annotated[int, Field(ge=0, le=86400)]
PositiveSeconds = Annotated[int, Field(ge=1, le=86400)]
UserId = Annotated[int, Field(ge=0, le=2147483647)]
PullPolicy = Literal["Always", "IfNotPresent", "Never"]


def at_least(seconds: int) -> Rule:
    """Make the rule for durations that must not be shorter; leaves other texts to their own."""
    return _compared(">=", seconds, f"must be at least {seconds}s", operator.ge)


def at_most(seconds: int) -> Rule:
    """Make the rule for durations that must not be longer; leaves other texts to their own."""
    return _compared("<=", seconds, f"must be at most {seconds}s", operator.le)


def _compared(
    sign: str, seconds: int, message: str, compare: Callable[[float, float], bool]
) -> Rule:
    return Rule(
        cel=f"!self.matches(r'^({DURATION_PATTERN})$')"
        f" || duration(self) {sign} duration('{seconds}s')",
        message=message,
        holds=lambda text: compare(parse_duration(text), seconds),
    )


class IntOrText:
    """An integer or a string, as Kubernetes' int-or-string: `holds` refuses, `message` says why."""

    def __init__(self, cel: str, message: str) -> None:
        self._validation = {"rule": cel, "message": message}
        self._message = message

    def holds(self, value: int | str) -> bool:
        """Tell whether the value means something here."""
        raise NotImplementedError

    def _check(self, value: Any) -> Any:
        right = isinstance(value, int | str) and not isinstance(value, bool)
        if not right or len(str(value)) > _LONGEST or not self.holds(value):
            raise PydanticCustomError("rule", "{message}", {"message": self._message})
        return value

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Check in one go, for a union would put its branches into the error's path."""
        return core_schema.no_info_plain_validator_function(self._check)

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Say it in Kubernetes' words."""
        return {
            "x-kubernetes-int-or-string": True,
            "maxLength": _LONGEST,
            VALIDATIONS: [self._validation],
        }


class _Quantity(IntOrText):
    def __init__(self) -> None:
        super().__init__(
            cel=f"type(self) == int ? self >= 0 : self.matches(r'^({QUANTITY_PATTERN})$')",
            message='write a quantity such as 2, "500m" or 4Gi',
        )

    def holds(self, value: int | str) -> bool:
        return is_quantity(value)


class _PortReference(IntOrText):
    def __init__(self) -> None:
        super().__init__(
            cel="type(self) == int ? self >= 1 && self <= 65535"
            f" : self.size() <= 15 && self.matches(r'^({PORT_NAME_PATTERN})$')",
            message="write a port from 1 to 65535, without quotes, or the name of one",
        )

    def holds(self, value: int | str) -> bool:
        if isinstance(value, int):
            return 1 <= value <= 65535
        return len(value) <= 15 and matching(PORT_NAME_PATTERN, "").holds(value)


QUALIFIED_KEYS = Rule(
    cel=f"self.all(key, key.size() <= 317 && key.matches(r'^({QUALIFIED_NAME_PATTERN})$'))",
    message="write keys such as team or example.com/team",
    holds=lambda table: all(len(key) <= 317 and _QUALIFIED.fullmatch(key) for key in table),
)
LabelMap = Annotated[dict[str, LabelValue], Field(max_length=64), QUALIFIED_KEYS]

Quantity = Annotated[int | str, _Quantity()]
PortReference = Annotated[int | str, _PortReference()]


def is_ratio(text: str) -> bool:
    """Tell whether `parse_ratio` can read it."""
    try:
        parse_ratio(text)
    except ValueError:
        return False
    return True


def is_duration(text: str) -> bool:
    """Tell whether `parse_duration` can read it."""
    try:
        parse_duration(text)
    except ValueError:
        return False
    return True
