"""What must hold of those who are tried: a share that only rises, a rejection, an emergency."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from canarium.api.durations import parse_duration

from testbed.witness.changes import ROUTE_KINDS, Change, Shares, World, is_ready, revision_of
from testbed.witness.expectation import PREFIX, Violation
from testbed.witness.stage import Stage, is_anothers, person_act

AGAIN = ("retry", "rollback")
"The commands that bring a refused revision again."


@dataclass(slots=True)
class Falls:
    """3: a canary's share falls only for its own fault, or after the person changed something.

    The canary is the revision that was first given traffic last, and since the person's last act.
    What it got in an emergency it gives back when others have ready pods again.
    """

    canary: str = ""
    excused: bool = False
    served: set[str] = field(default_factory=set)
    "Those whose trial doesn't begin when they are given traffic."
    beside: set[str] = field(default_factory=set)
    "Those that served when the canary's trial began."
    act: tuple[str, ...] = ()

    def look(self, stage: Stage, change: Change) -> Iterator[Violation]:
        """Say what fell without a cause, and note whose trial begins."""
        self.excused = self._is_excused(stage, change) or self.excused
        if not stage.shares_requests(change):
            return
        for before, after in stage.share_pairs(change):
            if not stage.expected.exact:
                self._begin(stage, after)
            if self._falls(stage, before, after):
                words = f"from {before.get(self.canary)} to {after.get(self.canary, 0)}"
                words = f"{self.canary} fell {words} without a cause"
                yield Violation.at(change, "3 falls", words)
            self._begin(stage, after)

    def _is_excused(self, stage: Stage, change: Change) -> bool:
        """Whether something happens after which the share may fall at any time."""
        if change.kind == "ModelDeployment" and person_act(change) != self.act:
            self.act = person_act(change)
            return True
        if change.kind in ROUTE_KINDS and is_anothers(change):
            return stage.writes(change)
        mine = change.kind == "Pod" and revision_of(change.object) == self.canary
        return mine and stage.expected.exact and _is_lost(stage.world, change)

    def _falls(self, stage: Stage, before: Shares, after: Shares) -> bool:
        expected, now = stage.expected, after.get(self.canary, 0)
        if now >= before.get(self.canary, 0) or self.excused or self.canary in expected.blamed:
            return False
        given_back = now >= stage.rescued.had.get(self.canary, 101)
        return not given_back and not expected.may_fall(stage.world, self.canary)

    def _begin(self, stage: Stage, after: Shares) -> None:
        """Note whose trial begins; a share that is given back after an emergency begins none."""
        serving = {name for name, share in after.items() if share}
        for new in [name for name in after if name in serving - self.served][:1]:
            self.canary, self.excused, self.beside = new, False, set(self.served)
        if not stage.expected.exact:
            self.served |= serving
            return
        rescued = self.canary in stage.rescued.had
        self.served = serving | (self.beside if rescued else set())


def _is_lost(world: World, change: Change) -> bool:
    """Whether a pod stops being ready, or begins to go."""
    before = world.find("Pod", change.name)
    if before is None or change.deleted:
        return False
    going = "deletionTimestamp" in change.metadata and "deletionTimestamp" not in before["metadata"]
    return going or (is_ready(before) and not is_ready(change.object))


@dataclass(slots=True)
class Rejections:
    """5b: what was taken back is tried again only by a retry that no earlier try has used up.

    What loses its pods under traffic may come back so often as is expected before it is rejected.
    A Deployment that is deleted before a route sent anybody there is replaced, and not taken back:
    an operator that was killed before it could note that it made it makes it anew.
    """

    down: set[str] = field(default_factory=set)
    carried: set[str] = field(default_factory=set)
    "Those that a route sent somebody to."
    returns: Counter[str] = field(default_factory=Counter)
    used: dict[str, set[str]] = field(default_factory=dict)
    retry: str = ""

    def look(self, stage: Stage, change: Change) -> Iterator[Violation]:
        """Say who is tried again."""
        if change.kind == "ModelDeployment":
            self.retry = change.annotations.get(f"{PREFIX}retry", "")
        if change.kind in ROUTE_KINDS and not change.deleted:
            self.carried |= {revision for revision, _ in stage.raises(change)}
        if not self._is_replaced(stage, change):
            self.down |= _taken_back(stage, change) & stage.expected.blamed
        for revision in _tried(stage, change) & stage.expected.blamed:
            known = self.used.setdefault(revision, set())
            if self.retry not in known:
                self.returns[revision] = 0
            elif revision in self.down:
                self.returns[revision] += 1
                if self.returns[revision] > stage.expected.returns:
                    yield Violation.at(change, "5 rejected", f"{revision} is tried again")
            known.add(self.retry)
            self.down.discard(revision)

    def _is_replaced(self, stage: Stage, change: Change) -> bool:
        gone = change.kind == "Deployment" and change.deleted
        routed = any(stage.world.all_of(kind) for kind in ROUTE_KINDS)
        return gone and routed and revision_of(change.object) not in self.carried


@dataclass(slots=True)
class Refusals:
    """5b in an exact log: what a ModelRevision says was rolled back waits for a new command.

    A witness of real parts goes by those that a scenario blames, and believes no status.
    """

    asked: set[str] = field(default_factory=set)
    "The commands that were given and bring a refused revision again."
    refused: dict[str, set[str]] = field(default_factory=dict)
    "Revisions that were rolled back, with the commands that had been given before."

    def look(self, stage: Stage, change: Change) -> Iterator[Violation]:
        """Note what is asked for and refused; say who is tried again nevertheless."""
        if not stage.expected.exact:
            return
        if change.kind == "ModelDeployment":
            self.asked |= {change.annotations.get(PREFIX + verb, "") for verb in AGAIN}
        elif change.kind == "ModelRevision":
            self._note(change)
        elif not is_anothers(change):
            for revision in _tried(stage, change) & self.refused.keys():
                before = self.refused.pop(revision)
                if not any(text.startswith(revision) for text in self.asked - before):
                    words = f"{revision} was rolled back and is tried again"
                    yield Violation.at(change, "5 rejected", words)

    def _note(self, change: Change) -> None:
        ended, revision = change.object.get("status", {}), revision_of(change.object)
        if change.deleted:
            self.refused.pop(revision, None)
        elif ended.get("outcome") == "RolledBack" and ended.get("reason") != "Overridden":
            self.refused.setdefault(revision, set(self.asked))


def _taken_back(stage: Stage, change: Change) -> set[str]:
    """The revisions from which this change takes the last traffic, or the last pod."""
    if change.kind in ROUTE_KINDS and not change.deleted:
        pairs = stage.share_pairs(change)
        return {name for old, new in pairs for name in old if old[name] and not new.get(name)}
    left = stage.left(change)
    return {left[0]} if left and left[1] == 0 else set()


def _tried(stage: Stage, change: Change) -> set[str]:
    """The revisions to which this change gives traffic or pods that had none before."""
    if change.deleted:
        return set()
    if change.kind in ROUTE_KINDS:
        return {revision for revision, _ in stage.raises(change)}
    if change.kind != "Deployment":
        return set()
    before = stage.world.find("Deployment", change.name)
    had = int(before["spec"].get("replicas", 1)) if before else 0
    grew = int(change.object["spec"].get("replicas", 1)) > 0 == had
    return {revision_of(change.object)} if grew else set()


@dataclass(slots=True)
class Promotions:
    """13: who got all traffic in an emergency becomes stable only by what its steps ask for.

    It is stable when the pods of those that served before are taken: holds have to have passed by
    then, unless a person promoted it or it was a fix, and a person has to have approved it.
    """

    promoted: set[str] = field(default_factory=set)

    def look(self, stage: Stage, change: Change) -> Iterator[Violation]:
        """Say who has become stable, and what it has not passed."""
        if change.kind == "ModelDeployment":
            command = change.annotations.get(f"{PREFIX}promote", "")
            self.promoted.add(command.partition("@")[0].partition(":")[0])
        left, rescued = stage.left(change), stage.rescued
        if left is None or left[1] or change.metadata["uid"] in stage.world.doomed:
            return
        if left[0] not in rescued.first or is_anothers(change):
            return
        waiting = set(rescued.had) - {left[0]} - rescued.whole - self.promoted
        for revision in _served_wholly(stage.world) & waiting:
            if problem := _gate_problem(stage, revision, change.time):
                words = f"{revision} is stable, and {problem}"
                yield Violation.at(change, "13 emergency", words)


def _served_wholly(world: World) -> set[str]:
    """The revisions that have all traffic by a route of the model's."""
    routes = [world.find(kind, world.model) for kind in ROUTE_KINDS]
    shares = [share for route in routes if route for share in world.shares(route)]
    return {revision for share in shares for revision, weight in share.items() if weight == 100}


def _gate_problem(stage: Stage, revision: str, now: float) -> str:
    """What of its steps a revision has not passed; "" when nothing is known."""
    rollout = stage.world.rollout
    steps = rollout.get("steps", [])
    if any(step.get("approval") == "Manual" for step in steps):
        return "nobody approved it"
    early = rollout.get("analysis", {}).get("decide") == "Early"
    if early or revision in stage.rescued.fixes:
        return ""
    held = sum(parse_duration(step.get("hold", "0s")) for step in steps)
    passed = now - stage.rescued.first[revision]
    return f"its steps hold {held:g} s, of which {passed:.0f} had passed" if passed < held else ""
