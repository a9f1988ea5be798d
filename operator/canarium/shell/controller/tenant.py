"""What the controller has to know of a kind whose objects it works on.

Three pure functions say what is wanted: `observe` what is the case, `plan` what to do about it, and
`report` what an object says of itself when its pass broke. All else has a default: a kind says
otherwise where it has to. docs/contributing/adding-a-kind.md adds one, step by step.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, TypeVar

from canarium.core.observed import WriteFailure
from canarium.core.plan import Event, Plan, Write
from canarium.kube.boundary import Part
from canarium.kube.informers.store import Key, Record, Store
from canarium.kube.kinds import Resource
from canarium.kube.writer import NO_CHILDREN, Children
from canarium.shell.brake import Cause

R = TypeVar("R", bound=Record)
"What is known of an object of the kind."
O = TypeVar("O")  # noqa: E741 - two letters would say no more
"What its plan is made from."


@dataclass(frozen=True, slots=True)
class Position:
    """Where an object stands, for its log lines: fields of theirs, and a sentence."""

    fields: Mapping[str, str | int | None] = field(default_factory=dict)
    text: str = field(default="", compare=False)


class Tenant(ABC, Generic[R, O]):
    """A kind whose objects are brought to where their plans want them."""

    part: ClassVar[Part] = "Planning"
    "Under what name bugs with its objects are counted and logged."
    reads_live: ClassVar[bool] = True
    """Whether the operator has the right to get one object. Where it hasn't, the watch alone says
    what is there: also after a conflict, and when the object seems to be gone."""

    names_kind: ClassVar[bool] = True
    "Whether log lines have the kind before an object's name."

    resource: Resource
    "The kind itself, as the apiserver serves it."
    store: Store[R]
    "Its objects; what is written is put in at once."
    children: Children = NO_CHILDREN
    "The kinds that are written for it."

    @abstractmethod
    def observe(self, record: R, failures: tuple[WriteFailure, ...]) -> O:
        """Everything that is known about one object now; `failures` are writes that were refused.

        It reads what is in memory and asks nobody: a plan is made from it several times in a pass.
        """

    @abstractmethod
    def plan(self, observed: O, now: float) -> Plan:
        """What to do now (seconds since the epoch): carried out, and planned again, it is empty."""

    @abstractmethod
    def report(self, record: R, problem: str, now: float) -> Mapping[str, Any] | None:
        """The status of an object whose pass broke; None where it has no way to say so."""

    @abstractmethod
    def project(self, raw: bytes, known: R | None) -> R:
        """The record of an object as the apiserver has it; `known` is what was known of it."""

    # Hooks, in the order in which a pass comes by

    async def prepare(self, record: R) -> None:
        """Ask for what `observe` cannot know from memory, once a pass."""

    def find_cause(self, record: R, plan: Plan) -> Cause:
        """From which budget the write of this plan's status is taken."""
        return Cause.ORDINARY

    def reported(self, before: R, after: R) -> None:
        """Status was written."""

    def position(self, record: R) -> Position:
        """Where the object stands, for the log."""
        return Position()

    def follow(self, record: R, plan: Plan) -> None:
        """Begin and end what goes on beside the passes, as the plan has it: measuring, say."""

    def wrote(self, record: R, write: Write, uid: str) -> None:
        """A child was written; `uid` is that of one that was created, "" otherwise."""

    def tell(self, record: R, event: Event) -> None:
        """Send an event about the object to whoever wants to know."""

    def release(self, key: Key) -> None:
        """Forget an object that is gone or going."""
