"""What has become of one model by a log so far, for the checks to ask: objects, looks and rules."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from testbed.witness.changes import (
    GATEWAY_RULES,
    MODEL_LABEL,
    ROUTE_KINDS,
    Change,
    Json,
    Shares,
    World,
    labels,
    revision_of,
)
from testbed.witness.expectation import OURS, PREFIX, Expectation, Sizes

Ready = dict[str, int]
"Ready pods by revision."
NOTHING: Json = {"spec": {}}


class Stage:
    """The world just before a change, and what the checks of it have in common."""

    def __init__(self, expected: Expectation) -> None:
        self.expected = expected
        self.world = World(expected.model)
        self.sizes: Sizes = expected.sizes()
        self.routed = Looks(("EndpointSlice", "Service", *_pods(expected)), expected.ready)
        self.led = Looks(("Pod",), World.ready_pods)
        self.rules = RulesInForce(expected)
        self.rescued = Rescued()

    def meet(self, change: Change) -> None:
        """Note what the checks of a change ask of it itself."""
        self.rescued.look(self, change)

    def take(self, change: Change) -> None:
        """Let one change happen."""
        self.rules.look(self.world, change)
        self.world.take(change)
        begin = change.time - self.expected.look_seconds
        for looks in (self.routed, self.led):
            looks.take(self.world, change, begin if self.expected.exact else None)
        self.sizes.take(self.world, change)

    def looks(self, change: Change, looks: Looks) -> list[Ready]:
        """What could be seen by whoever made this change."""
        return looks.since(change.earliest - self.expected.look_seconds)

    def capacity_problem(self, revision: str, share: int, looks: list[Ready]) -> str:
        """What is wrong with a raise by every look that the operator may have had."""
        mine = max(look.get(revision, 0) for look in looks)
        need = self.sizes.needed(self.world, share)
        others = min(sum(look.values()) - look.get(revision, 0) for look in looks)
        if mine == 0 and (others or self.sizes.whole(self.world)):
            return f"{revision} was raised to {share} without a ready pod"
        if mine < need and others:
            return f"{revision} was raised to {share} with {mine} of {need} ready pods"
        return ""

    def writes_route(self, change: Change) -> bool:
        """Whether what shares the traffic is written, and as far as is known by us."""
        return change.kind in ROUTE_KINDS and self.is_ours(change) and self.writes(change)

    def shares_requests(self, change: Change) -> bool:
        """Whether we may have written anew who is sent what, though it be the same as before."""
        route = change.kind in ROUTE_KINDS and change.name == self.world.model
        return route and not change.deleted and not is_anothers(change)

    def writes(self, change: Change) -> bool:
        """Whether a spec is written, whoever does."""
        before = self.world.find(change.kind, change.name)
        changed = before is None or before["spec"] != change.object["spec"]
        return changed and not change.deleted

    def is_ours(self, change: Change) -> bool:
        """Whether the object leads to the model, and nobody else is known to have written it."""
        mine = labels(change.object).get(MODEL_LABEL) == self.world.model == change.name
        return mine and not is_anothers(change)

    def share_pairs(self, change: Change) -> list[tuple[Shares, Shares]]:
        """The shares of each rule for everybody before and after a change of the route."""
        return self._pair(change, self.world.shares, self.world.shares)

    def raises(self, change: Change) -> set[tuple[str, int]]:
        """The revisions of which a change of the route demands more, and how much."""
        pairs = self._pair(change, self._demands, self._written)
        return {
            (name, share)
            for old, new in pairs
            for name, share in new.items()
            if share > old.get(name, 0)
        }

    def _demands(self, route: Json) -> list[Shares]:
        return self.world.demands(route, exact=self.expected.exact)

    def _written(self, route: Json) -> list[Shares]:
        """The same by the weights as they are, which are wrong where they don't sum to 100."""
        return self.world.demands(route, exact=self.expected.exact, written=True)

    def _pair(
        self,
        change: Change,
        read_before: Callable[[Json], list[Shares]],
        read_after: Callable[[Json], list[Shares]],
    ) -> list[tuple[Shares, Shares]]:
        found = self.world.find(change.kind, change.name)
        before, after = read_before(found) if found else [], read_after(change.object)
        missing = [Shares()] * (len(after) - len(before))
        return list(zip([*before, *missing], after, strict=False))

    def unbacked(self, change: Change) -> Iterator[str]:
        """What is wrong with whom the live rules name after a change, whether or not it is ready.

        A witness of real parts may see a Deployment later than the route.
        """
        if not self.expected.exact or not self.writes_route(change):
            return
        there = {revision_of(found) for found in self.world.all_of("Deployment")}
        demands = self._demands(change.object)
        for revision in {name for shares in demands for name in shares if shares[name]} - there:
            yield f"{revision} is routed and has no Deployment"

    def left(self, change: Change) -> tuple[str, int] | None:
        """The revision that this change takes capacity from and what it leaves of it."""
        before = self.world.find(change.kind, change.name)
        if before is None or labels(before).get(MODEL_LABEL) != self.world.model:
            return None
        gone = change.deleted or "deletionTimestamp" in change.metadata
        if change.kind == "Service" and gone and revision_of(before):
            return revision_of(before), 0
        if change.kind != "Deployment":
            return None
        replicas = 0 if gone else int(change.object["spec"].get("replicas", 1))
        fell = replicas < int(before["spec"].get("replicas", 1))
        return (revision_of(before), replicas) if fell else None


def is_anothers(change: Change) -> bool:
    """Whether the log says that somebody else than we made a change."""
    return bool(change.by) and change.by not in OURS


def person_act(change: Change) -> tuple[str, ...]:
    """What changes when a person edits the spec or gives a command."""
    given = sorted(f"{k}={v}" for k, v in change.annotations.items() if k.startswith(PREFIX))
    return str(change.metadata["uid"]), str(change.metadata.get("generation")), *given


def _pods(expected: Expectation) -> tuple[str, ...]:
    """Whether pods themselves are counted for the route, and not only the endpoints' word."""
    return () if expected.ready is World.ready else ("Pod",)


@dataclass(slots=True)
class Looks:
    """What each revision had ready over time, by objects of some kinds and a way to count them."""

    kinds: tuple[str, ...]
    count: Callable[[World, str], int]
    history: deque[tuple[float, Ready]] = field(default_factory=lambda: deque([(0.0, {})]))

    def take(self, world: World, change: Change, begin: float | None) -> None:
        """A change has happened; what ended before `begin` need not be kept."""
        if change.kind not in self.kinds:
            return
        revisions = {revision_of(item) for item in world.all_of("Deployment")} - {""}
        ready = {name: self.count(world, name) for name in revisions}
        if ready != self.history[-1][1]:
            self.history.append((change.time, ready))
        while begin is not None and len(self.history) > 1 and self.history[1][0] < begin:
            self.history.popleft()

    def since(self, begin: float) -> list[Ready]:
        """What could be seen from a time on: the state that it began with and all later ones."""
        earlier = [ready for time, ready in self.history if time < begin]
        return earlier[-1:] + [ready for time, ready in self.history if time >= begin]


@dataclass(slots=True)
class RulesInForce:
    """What a gateway may still be serving by.

    Where the log has the gateway's rules, these and the live ones; else every version of the route
    that no later one, accepted and settled, has replaced.
    """

    expected: Expectation
    versions: dict[int, list[Shares]] = field(default_factory=dict)
    accepted: dict[int, float] = field(default_factory=dict)
    "When each may have been accepted at the earliest."

    def look(self, world: World, change: Change) -> None:
        """Note a version of the route, and that one was accepted."""
        if change.kind not in ROUTE_KINDS or change.name != self.expected.model:
            return
        if change.deleted:
            self.versions, self.accepted = {}, {}
            return
        generation = change.metadata.get("generation", 1)
        demands = world.demands(change.object, exact=self.expected.exact)
        self.versions.setdefault(generation, demands)
        if accepted_generation(change.object) >= generation:
            self.accepted.setdefault(generation, change.earliest)

    def share(self, world: World, revision: str, now: float) -> int:
        """The highest share that any version in force gives to a revision, in percent."""
        known = world.find(GATEWAY_RULES, world.model)
        force = self._known(world, known) if known else self._unsettled(now)
        return max((shares.get(revision, 0) for shares in force), default=0)

    def _known(self, world: World, rules: Json) -> Iterator[Shares]:
        for kind in ROUTE_KINDS:
            live = world.find(kind, world.model) or NOTHING
            yield from world.demands(live, exact=self.expected.exact)
        yield from world.demands(rules, exact=self.expected.exact)

    def _unsettled(self, now: float) -> Iterator[Shares]:
        settle = self.expected.settle_seconds
        settled = max((g for g, t in self.accepted.items() if now - t >= settle), default=0)
        for generation, rules in self.versions.items():
            if generation >= settled:
                yield from rules


def accepted_generation(route: Json) -> int:
    """The generation that every gateway of a route has accepted; 0 when one of them has none.

    Of its own kinds Traefik says nothing: what is written counts.
    """
    if "weighted" in route["spec"]:
        return int(route["metadata"]["generation"])
    parents = route.get("status", {}).get("parents", [])
    conditions = [
        {c["type"]: c for c in parent.get("conditions", [])}.get("Accepted", {})
        for parent in parents
    ]
    if len(parents) < len(route["spec"].get("parentRefs", [])):
        return 0
    found = [c.get("observedGeneration", 0) * (c.get("status") == "True") for c in conditions]
    return min(found, default=0)


@dataclass(slots=True)
class Rescued:
    """Who got all traffic since nobody else had a ready endpoint, and what it had before."""

    had: Shares = field(default_factory=dict)
    first: dict[str, float] = field(default_factory=dict)
    "When each revision first got traffic."
    fixes: set[str] = field(default_factory=set)
    "Those that got none before: stable was dead already."
    whole: set[str] = field(default_factory=set)
    "Those that had all otherwise, so that they were stable once."

    def look(self, stage: Stage, change: Change) -> None:
        """Note who is raised by a change, before it happens."""
        if not stage.writes_route(change):
            return
        looks = stage.looks(change, stage.routed)
        for before, after in stage.share_pairs(change):
            for revision, share in after.items():
                if stage.expected.exact and not before.get(revision):
                    self._forget(revision)
                if share > before.get(revision, 0):
                    self.first.setdefault(revision, change.earliest)
                    if share == 100:
                        self._note_all(revision, before.get(revision, 0), looks)

    def _forget(self, revision: str) -> None:
        """Its trial begins anew."""
        self.had.pop(revision, None)
        self.whole.discard(revision)
        self.fixes.discard(revision)

    def _note_all(self, revision: str, before: int, looks: list[Ready]) -> None:
        if min(sum(look.values()) - look.get(revision, 0) for look in looks):
            self.whole.add(revision)
        elif len(self.first) > 1 and revision not in self.whole:
            self.had.setdefault(revision, before)
            self.fixes |= set() if before else {revision}
        else:
            self.whole.add(revision)
