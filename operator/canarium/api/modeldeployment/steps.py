"""The stages of a rollout: what the canary gets in each, and what ends it."""

from __future__ import annotations

import re
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from canarium.api.rules import Model, Rule, keyed, matching, shaped
from canarium.api.scalars import DnsLabel, Duration, IntOrText
from canarium.core.spec import CLOSING_NAME, EXPERIMENT_NAME

PERCENT_PATTERN = "([1-9][0-9]?|100)%"
_PERCENT = re.compile(PERCENT_PATTERN)
_GIVEN = ("weight", "mirror", "headers", "replicas", "hold", "approval")


class _Capacity(IntOrText):
    def __init__(self) -> None:
        super().__init__(
            cel="type(self) == int ? self >= 1 && self <= 10000"
            f" : self.matches(r'^({PERCENT_PATTERN})$')",
            message='write a number of pods such as 2, or a share of stable\'s such as "50%"',
        )

    def holds(self, value: int | str) -> bool:
        if isinstance(value, int):
            return 1 <= value <= 10000
        return _PERCENT.fullmatch(value) is not None


Capacity = Annotated[int | str, _Capacity()]


class Mirror(Model):
    """Copies of requests, whose answers are thrown away."""

    percent: Annotated[int, Field(ge=1, le=100)] | None = None
    "Percentage of the requests that are copied; 100 when left out."


class HeaderMatch(Model):
    """A request header."""

    name: Annotated[
        str,
        Field(max_length=256),
        matching("[A-Za-z0-9!#$%&*+.^_|~-]+", "write a header's name, such as x-canary"),
    ]
    "Its name; upper and lower case are the same."
    value: Annotated[
        str,
        Field(min_length=1, max_length=1024),
        shaped(
            "[!-~]([ -~]*[!-~])?",
            "write letters, digits and signs of ASCII, with no space at the beginning or the end",
        ),
    ]
    "Its value: ASCII that can be printed, and no space at the beginning or the end."
    type: Literal["Exact", "RegularExpression"] | None = None
    "How value is meant: Exact (when left out) or RegularExpression."


def _percent(capacity: int | str | None) -> int:
    return int(capacity.removesuffix("%")) if isinstance(capacity, str) else 100


class Step(Model):
    """One stage of a rollout. Weight lasts until another step changes it, the rest for one step."""

    rules: ClassVar = (
        Rule(
            cel=" || ".join(f"has(self.{name})" for name in _GIVEN),
            message="a step of nothing but a name does nothing: give it a weight, mirror, headers,"
            " replicas, hold or approval",
            holds=lambda step: any(getattr(step, name) is not None for name in _GIVEN),
        ),
        Rule(
            cel="!has(self.mirror) || !has(self.weight)",
            message="a canary that gets requests of its own needs no copies: write the mirror as a"
            " step of its own, before the first weight",
            holds=lambda step: step.mirror is None or step.weight is None,
            at="mirror",
        ),
        Rule(
            cel="!has(self.replicas) || !has(self.weight) || type(self.replicas) == int"
            " || int(self.replicas.replace('%', '')) >= self.weight",
            message="fewer pods than the weight needs: write at least as many percent as weight, or"
            " leave replicas out",
            holds=lambda step: step.weight is None or _percent(step.replicas) >= step.weight,
            at="replicas",
        ),
    )

    name: Annotated[
        DnsLabel,
        Rule(
            cel=f"self != '{CLOSING_NAME}'",
            message=f"{CLOSING_NAME} is the closing step's name: choose another",
            holds=lambda name: name != CLOSING_NAME,
        ),
        Rule(
            cel=f"self != '{EXPERIMENT_NAME}'",
            message=f"{EXPERIMENT_NAME} is the name of the step that rollout.experiment makes:"
            " choose another",
            holds=lambda name: name != EXPERIMENT_NAME,
        ),
    ]
    "Its name, shown in status and used by commands."
    weight: (
        Annotated[
            int,
            Field(ge=1, le=100),
            Rule(
                cel="self < 100",
                message="100 follows by itself after the last step: leave this step out",
                holds=lambda weight: weight < 100,
            ),
        ]
        | None
    ) = None
    """Share of the traffic that the canary gets, in percent, 1 to 99; that of the step before
    when left out, and none in the first."""
    mirror: Mirror | None = None
    "Copies of requests go to the canary too; what it answers, nobody gets."
    headers: (
        Annotated[list[HeaderMatch], Field(min_length=1, max_length=8), keyed("name")] | None
    ) = None
    "Requests with all of these headers go to the canary, at any weight."
    replicas: Capacity | None = None
    """Pods that the canary has at least: a number, or a share of the stable version's ("50%").
    As many as its traffic needs when left out."""
    hold: Duration | None = None
    "How long the step lasts once its traffic is verified; 0s when left out."
    approval: Literal["Manual"] | None = None
    "Manual: wait, after the hold, until a person promotes."
