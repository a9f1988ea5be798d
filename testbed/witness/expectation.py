"""What whoever checks a log knows beside it, how exactly the log tells, and what was violated.

The invariants are the same for every log. Where a number of seconds or a question differs between
a real cluster and a simulated one, it is a field of `Expectation`, which says why.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from testbed.witness.changes import Change, World, needed

OURS = frozenset({"canarium", "canarium-capacity"})
"The field managers of what the operator writes."
PREFIX = "canarium.dev/"
"Of the annotations by which people give commands."
SLACK_SECONDS = 0.3
"Between the live read that allows a write and the write itself a pod may still go."
LOOK_SECONDS = 1.0
"The same where machines are real and an operator may have to wait for a processor in between."
SETTLE_SECONDS = 2.0
"Traefik reloads at most this often: an accepted route may be this far from being programmed."


@dataclass(frozen=True, slots=True)
class Violation:
    """What should never have happened, and at which resourceVersion."""

    invariant: str
    version: int
    time: float
    message: str

    @classmethod
    def at(cls, change: Change, invariant: str, message: str) -> Violation:
        """By this change."""
        return cls(invariant, change.version, change.time, message)

    def __str__(self) -> str:
        return f"[{self.invariant}] rv {self.version} at {self.time:.3f}: {self.message}"


class Sizes:
    """How many pods a share needs: of as many as the person asks for at this moment."""

    def take(self, world: World, change: Change) -> None:
        """A change has happened."""

    def whole(self, world: World) -> int:
        """The pods that carry all traffic; 0 where nobody needs any."""
        return world.wanted_replicas

    def needed(self, world: World, share: int) -> int:
        """The pods that have to be ready before a revision is given a share in percent."""
        return world.needed(share)

    def kept(self, world: World, share: int, *, leads: bool) -> int:
        """The pods that have to stay while a rule may give a share, or the Service leads there.

        Where pods are replaced in place the Service, with a route beside it, says nothing.
        """
        return world.needed(max(100 * (leads and not world.in_place), share))

    def may_idle(self, world: World) -> bool:
        """Whether all pods may go since nobody sends any requests."""
        return world.may_idle


class LowestSizes(Sizes):
    """The fewest that the person asked for since more than one revision has had pods.

    In histories where sizes are edited at any moment a write may still go by the size before.
    """

    def __init__(self) -> None:
        self.size = 1

    def take(self, world: World, change: Change) -> None:
        """While only one revision has pods, the size is what the person asks for now."""
        deployments = world.all_of("Deployment")
        if sum(found["spec"].get("replicas", 1) > 0 for found in deployments) <= 1:
            self.size = self.asked(world)
        elif change.kind == "ModelDeployment" and change.by not in OURS:
            self.size = min(self.size, self.asked(world))

    def asked(self, world: World) -> int:
        """How many pods the person asks for."""
        return world.wanted_replicas

    def whole(self, world: World) -> int:
        return self.size

    def needed(self, world: World, share: int) -> int:
        return needed(share, self.size)

    def kept(self, world: World, share: int, *, leads: bool) -> int:
        return needed(max(100 * leads, share), self.size) if self.size else 0

    def may_idle(self, world: World) -> bool:
        return False


def _no_cause(_world: World, _revision: str) -> bool:
    return False


def _never_full(_world: World) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Expectation:
    """What a scenario knows: the model's name and which revisions are at fault in it."""

    model: str
    blamed: frozenset[str] = frozenset()
    returns: int = 0
    "How often such a one may lose its traffic and get it back before it is rejected."
    settle_seconds: float = SETTLE_SECONDS
    "How far a gateway's deed may be from its word, where the log hasn't its rules themselves."
    look_seconds: float = LOOK_SECONDS
    "How old a look at the pods may be: two objects cannot be written in one transaction."
    exact: bool = False
    """Whether the log tells of each change in its moment, with its author, and of causes.

    Then more is asked: one that lost its share and gets one again is on trial again; a revision
    counts as refused when its ModelRevision says so; copies count by their percent. A witness of
    real parts would take for a fault what it saw late, or did not see the cause of."""
    sizes: Callable[[], Sizes] = Sizes
    ready: Callable[[World, str], int] = World.ready
    "How many pods of a revision are ready for those who come by the route."
    may_fall: Callable[[World, str], bool] = _no_cause
    "Whether there is a cause at this moment for a canary's share to fall, beside what is blamed."
    is_full: Callable[[World], bool] = _never_full
    "Whether there is no place for more pods: those that carry nothing may give theirs to others."
