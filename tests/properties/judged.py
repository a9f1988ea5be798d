"""Holds each write in the world of the property tests against the invariants of `testbed.witness`.

The world forks and plays many passes a second, so it keeps no log in JSON: each of its writes is a
log of one change, told by records as they were just before and just after it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from testbed.witness import changes as log
from testbed.witness.changes import Change, Shares
from testbed.witness.expectation import Expectation, Sizes, Violation
from testbed.witness.invariants import check_backing, check_capacity, check_release
from testbed.witness.stage import Looks, Ready, Rescued, RulesInForce, Stage
from testbed.witness.trials import Falls

if TYPE_CHECKING:
    from tests.properties.world import World


@dataclass(frozen=True, slots=True)
class Facts:
    """Who is sent what at one moment, and how many pods each revision should have."""

    routed: Shares
    demands: Shares
    sizes: Mapping[str, int]


class Told(log.World):
    """What the checks ask of a world but for what the stage answers."""

    def __init__(self, world: World, model: str) -> None:
        super().__init__(model)
        self._world = world

    def ready_pods(self, revision: str) -> int:
        return self._world.ready(revision)


class RolloutSizes(Sizes):
    """Pods that so many percent need in the rollout that goes on, by the size at which it began."""

    def __init__(self, world: World) -> None:
        self._world = world

    def whole(self, _world: log.World) -> int:
        return self._world.size()

    def needed(self, _world: log.World, share: int) -> int:
        return self._world.needed(share)

    def kept(self, _world: log.World, share: int, *, leads: bool) -> int:
        return self._world.needed(share) if self._world.size() else 0

    def may_idle(self, _world: log.World) -> bool:
        return False


class Worked(RulesInForce):
    """What the gateway works by, or may go on by for a while, and what is written now."""

    def __init__(self, world: World, demands: Shares) -> None:
        self._world, self._demands = world, demands

    def share(self, _world: log.World, revision: str, now: float) -> int:
        lingering = [demands for until, demands in self._world.lingering if until > now]
        forces = (self._demands, self._world.taken, *lingering)
        return max(demands.get(revision, 0) for demands in forces)


class Written(Stage):
    """One write, between the facts before and after it; it is a function of those alone."""

    def __init__(self, world: World, before: Facts, after: Facts, expected: Expectation) -> None:
        self._records, self._before, self._after = world, before, after
        self.expected, self.world = expected, Told(world, expected.model)
        self.sizes, self.rules = RolloutSizes(world), Worked(world, after.demands)
        self.rescued = Rescued()
        self.routed = self.led = Looks((), log.World.ready_pods)

    def looks(self, _change: Change, _looks: Looks) -> list[Ready]:
        """No look is old here: a pass takes no time."""
        named = {*self._after.demands, *self._before.demands}
        return [{revision: self._records.ready(revision) for revision in named}]

    def writes_route(self, _change: Change) -> bool:
        return True

    def shares_requests(self, _change: Change) -> bool:
        return True

    def share_pairs(self, _change: Change) -> list[tuple[Shares, Shares]]:
        return [(self._before.routed, self._after.routed)]

    def raises(self, _change: Change) -> set[tuple[str, int]]:
        """To put back what a stranger changed raises nothing."""
        if self._records.size() == 0:
            return set()
        return {
            (revision, demand)
            for revision, demand in self._after.demands.items()
            if self._is_raised(revision, demand)
        }

    def _is_raised(self, revision: str, demand: int) -> bool:
        before, after = self._before, self._after
        if self._records.edited and demand <= self._records.before_edit.get(revision, 0):
            return False
        share, now = before.routed.get(revision, 0), after.routed.get(revision, 0)
        return now > share or demand > before.demands.get(revision, 0)

    def left(self, _change: Change) -> tuple[str, int] | None:
        before, after = self._before.sizes, self._after.sizes
        fell = ((r, after.get(r, 0)) for r, size in before.items() if after.get(r, 0) < size)
        return next(fell, None)

    def unbacked(self, _change: Change) -> Iterator[str]:
        """Each has a pod to come, too, unless none is wanted or it had none before."""
        sizes = self._after.sizes
        for revision in self._after.demands:
            least = min(1, self._records.size(), self._before.sizes.get(revision, 1))
            if revision not in sizes:
                yield f"{revision} is routed and has no Deployment"
            elif sizes[revision] < least and not self._carries_nothing(revision):
                yield f"{revision} is routed without pods"

    def _carries_nothing(self, revision: str) -> bool:
        return self.expected.is_full(self.world) and not self.world.ready_pods(revision)


def judge(stage: Written, change: Change, canary: str) -> list[Violation]:
    """What a write violates, where a revision is on trial, or "" for none."""
    checks = (check_backing, check_release, check_capacity, Falls(canary).look)
    return [violation for check in checks for violation in check(stage, change)]
