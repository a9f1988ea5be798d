"""What always holds (docs/contributing/invariants.md), said once, of a log of changes.

Whoever has seen a cluster writes such a log: the witness of a real one (`find_violations`), the
observer of a simulated one and the world of the property tests, change by change (`Judge`). The
operator's status is never believed: of what it says only a fault of its own is read.

Each check is a function of the world just before a change (`Stage`) and the change. Where two
objects cannot be written in one transaction, `Expectation.look_seconds` says how old a look may be.
Where time counts, a change lies between its `earliest` and its `time`, and only what was wrong
wherever it lay is a violation: a late witness finds none.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from testbed.witness.changes import (
    MODEL_LABEL,
    ROUTE_KINDS,
    Change,
    Json,
    Shares,
    labels,
    managers,
)
from testbed.witness.expectation import OURS, PREFIX, Expectation, Violation
from testbed.witness.reach import Asked
from testbed.witness.stage import Stage, is_anothers, person_act
from testbed.witness.trials import Falls, Promotions, Refusals, Rejections

PEOPLES = frozenset(
    {"promote", "abort", "retry", "restart", "rollback", "git-revision", "commit-time"}
)
"The annotations under our prefix that people write: commands, and what they say of a revision."
PERSON = ("kubectl", "canarium-cli", "argocd-controller", "kustomize-controller", "helm")
"How the field managers of a person's tools begin; a sync from Git is a person's doing too."
CONTEST_SECONDS = 50.0
"""Against somebody who keeps writing there are pauses of up to 30 s before a route is put right.

The rest is for an operator that has to wait for a processor. What nobody heard of by a watch would
be found a minute later."""
QUIET_SECONDS = 10.0
MOST_DECIDED = 2
MOST_STATUSES = 40
"Of one model within that time: the busiest rollouts of our tests write twelve."
MOST_SERVING = 2
Look = Callable[[Stage, Change], Iterator[Violation]]


def check_weights(stage: Stage, change: Change) -> Iterator[Violation]:
    """1: the weights of each rule are 0 to 100 and sum to 100 over revisions that exist."""
    if not stage.writes_route(change):
        return
    world, existing = stage.world, stage.world.revisions()
    main, special = world.shares(change.object), world.special_shares(change.object)
    for shares in (*main, *special):
        for problem in weight_problems(shares):
            yield Violation.at(change, "1 weights", f"{problem} in {shares}")
    for shares in (*main, *special, world.copies(change.object)):
        if unknown := sorted(set(shares) - existing):
            words = f"no such revision as {', '.join(unknown)} in {shares}"
            yield Violation.at(change, "1 weights", words)


def weight_problems(shares: Shares) -> Iterator[str]:
    """What is wrong with the weights of one rule."""
    if sum(shares.values()) != 100:
        yield "weights don't sum to 100"
    if any(not 0 <= share <= 100 for share in shares.values()):
        yield "a weight is not within 0 and 100"


def check_capacity(stage: Stage, change: Change) -> Iterator[Violation]:
    """2: no write raises a share above what the revision's ready endpoints carry.

    But for a revision beside which no other has a ready endpoint; and never without a single
    ready one.
    """
    if not stage.writes_route(change):
        return
    looks = stage.looks(change, stage.routed)
    for revision, share in stage.raises(change):
        if problem := stage.capacity_problem(revision, share, looks):
            yield Violation.at(change, "2 capacity", problem)


def check_selection(stage: Stage, change: Change) -> Iterator[Violation]:
    """2 for callers in the cluster: the leading Service turns to a revision that carries them."""
    if change.kind != "Service" or change.deleted or not stage.is_ours(change):
        return
    world = stage.world
    before, after = (
        world.selected(world.find("Service", change.name)),
        world.selected(change.object),
    )
    if after in ("", before):
        return
    if problem := stage.capacity_problem(after, 100, stage.looks(change, stage.led)):
        yield Violation.at(change, "2 selection", problem)


def check_release(stage: Stage, change: Change) -> Iterator[Violation]:
    """4: nothing takes from a revision the pods that a rule still in force needs."""
    left, world = stage.left(change), stage.world
    if left is None or change.metadata["uid"] in world.doomed or is_anothers(change):
        return
    revision, replicas = left
    asleep = replicas == 0 and change.kind == "Deployment" and not change.deleted
    if asleep and stage.sizes.may_idle(world):
        return  # put to sleep: nobody sends it anything
    if stage.expected.is_full(world) and not world.ready_pods(revision):
        return  # pods that carry nothing may give their places to others
    leads = world.selected(world.find("Service", world.model)) == revision
    share = stage.rules.share(world, revision, change.time)
    need = stage.sizes.kept(world, share, leads=leads)
    if replicas < need:
        words = f"{change.kind} {change.name} was left {replicas} of {need} pods"
        yield Violation.at(change, "4 release", f"{words} that a rule still needs")


def check_backing(stage: Stage, change: Change) -> Iterator[Violation]:
    """4: whom a live rule names is there, so that nobody is sent to what cannot come."""
    for problem in stage.unbacked(change):
        yield Violation.at(change, "4 release", problem)


def check_canaries(stage: Stage, change: Change) -> Iterator[Violation]:
    """5a: at most one canary: never more than two revisions with traffic, or with copies of it."""
    if not stage.writes_route(change):
        return
    world, route = stage.world, change.object
    rules = (*world.shares(route), *world.special_shares(route), world.copies(route))
    serving = sorted({name for shares in rules for name, share in shares.items() if share})
    if len(serving) > MOST_SERVING:
        yield Violation.at(change, "5 canaries", f"traffic for {', '.join(serving)}")


def check_spec_is_the_persons(stage: Stage, change: Change) -> Iterator[Violation]:
    """6a: what we write of a ModelDeployment is its status, and nothing else of it."""
    if change.kind != "ModelDeployment" or change.deleted:
        return
    for problem in _ownership_problems(change):
        yield Violation.at(change, "6 ownership", problem)
    if change.by in OURS and _but_status(stage.world.deployment) != _but_status(change.object):
        words = f"{change.by} wrote more of the object than its status"
        yield Violation.at(change, "6 ownership", words)


def _but_status(found: Json | None) -> Json:
    kept = {key: part for key, part in (found or {}).items() if key != "status"}
    return {**kept, "metadata": {**kept.get("metadata", {}), "resourceVersion": ""}}


OF_DELETION = {"foregroundDeletion", "orphan"}
"What the apiserver puts there for whoever deletes so; Argo CD prunes in the foreground."


def _ownership_problems(change: Change) -> Iterator[str]:
    for entry in change.metadata.get("managedFields", []):
        written = sorted(set(entry.get("fieldsV1", {})) - {"f:status"})
        if written and not _is_persons(entry):
            yield f"{entry['manager']} wrote {', '.join(written)}"
    if finalizers := set(change.metadata.get("finalizers") or ()) - OF_DELETION:
        yield f"finalizers {sorted(finalizers)}"
    for name in change.annotations:
        prefix, _, verb = name.rpartition("/")
        if "kopf" in prefix or (f"{prefix}/" == PREFIX and verb not in PEOPLES):
            yield f"annotation {name}"


def _is_persons(entry: Json) -> bool:
    """Whether a field is a person's, or that of an autoscaler by the subresource made for it."""
    scaled = entry.get("subresource") == "scale" and entry["manager"] not in OURS
    return scaled or entry["manager"].startswith(PERSON)


class Homes:
    """6b: nothing of ours is outside the namespaces that hold a ModelDeployment of its name.

    It wants the changes of all namespaces. What was there before a witness is judged by the one
    that saw it come: its ModelDeployment may have gone in between.
    """

    def __init__(self) -> None:
        self._known = set[tuple[str, str]]()
        self._before = set[str]()

    def note(self, change: Change) -> None:
        """Take a change as news of where models are, and of what was there already."""
        if change.kind == "ModelDeployment":
            self._known.add((change.namespace, change.name))
        if change.type == "LISTED":
            self._before.add(change.metadata["uid"])

    def look(self, change: Change) -> Iterator[Violation]:
        """Say what of ours is where no model is."""
        ours = change.by in OURS or managers(change.object) & OURS
        if change.kind in ("ModelDeployment", "Event") or not ours:
            return
        home = change.namespace, labels(change.object).get(MODEL_LABEL, "")
        if home not in self._known and change.metadata["uid"] not in self._before:
            yield Violation.at(change, "6 namespaces", f"{change.kind} {change.name} is ours")


def check_namespaces(changes: Sequence[Change]) -> Iterator[Violation]:
    """6b on a whole log."""
    homes = Homes()
    for change in changes:
        homes.note(change)
    for change in changes:
        yield from homes.look(change)


@dataclass(slots=True)
class Reach:
    """10: what no person asked for is never written by us, and doesn't stay in a route."""

    asked: Asked
    since: Change | None = None
    "A stranger's edit that stands."

    def look(self, change: Change) -> Iterator[Violation]:
        """Say what nobody asked for; in an exact log by its author, else by how long it stays."""
        theirs = self.asked.look(change)
        if change.by:
            if theirs and not is_anothers(change):
                yield Violation.at(change, "10 reach", f"nobody has asked for {change.object}")
            return
        if self.since is not None and change.earliest - self.since.time > CONTEST_SECONDS:
            words = f"a stranger's edit stayed for {change.earliest - self.since.time:.1f} s"
            yield Violation.at(self.since, "10 reach", words)
            self.since = None
        if change.kind == "HTTPRoute" and change.name == self.asked.model:
            self.since = (self.since or change) if theirs else None


@dataclass(slots=True)
class Quiet:
    """11: status isn't written over and over: what is undecided there would not show elsewhere.

    That it was written counts, not what it says.
    """

    act: tuple[str, ...] = ()
    written: deque[Change] = field(default_factory=deque)

    def look(self, stage: Stage, change: Change) -> Iterator[Violation]:
        """Say when there were too many."""
        if change.kind != "ModelDeployment" or change.name != stage.world.model:
            return
        if person_act(change) != self.act:
            self.act = person_act(change)
            return
        self.written.append(change)
        # A deletion is not noted in the object: it may itself be older than all that counts.
        while self.written and change.time - self.written[0].earliest > QUIET_SECONDS:
            self.written.popleft()
        if len(self.written) > MOST_STATUSES:
            words = f"{len(self.written)} statuses were written within {QUIET_SECONDS:.0f} s"
            yield Violation.at(change, "11 decisions", words)
            self.written.clear()


@dataclass(slots=True)
class Cycles:
    """11: shares aren't given, taken and given again while nothing new could be seen.

    To go back once is a verdict's doing, which no watch shows; a second time there is none left.
    """

    seen: Counter[str] = field(default_factory=Counter)
    act: tuple[str, ...] = ()

    def look(self, stage: Stage, change: Change) -> Iterator[Violation]:
        """Say what was decided for the third time."""
        if change.kind in ROUTE_KINDS and stage.is_ours(change) and not change.deleted:
            pairs = stage.share_pairs(change)
            if any(before != after for before, after in pairs):
                yield from self._note(change, [after for _, after in pairs])
                return
        elif change.kind == "ModelDeployment":
            if person_act(change) == self.act:
                return
            self.act = person_act(change)
        elif change.kind == "Event":
            return
        self.seen.clear()

    def _note(self, change: Change, shares: list[Shares]) -> Iterator[Violation]:
        decided = str([sorted(after.items()) for after in shares])
        self.seen[decided] += 1
        if self.seen[decided] > MOST_DECIDED:
            yield Violation.at(change, "11 decisions", f"for the third time: {decided}")
            self.seen.clear()


def check_faults(_stage: Stage, change: Change) -> Iterator[Violation]:
    """12: nothing that an object holds is a fault of the operator's; it says so where it is."""
    if change.kind == "ModelDeployment" and not change.deleted:
        status = change.object.get("status", {})
        if status.get("reason") == "InternalError":
            yield Violation.at(change, "12 faults", str(status.get("message")))


class Judge:
    """Takes a log of one model change by change, in order, and says what each violates."""

    def __init__(self, expected: Expectation) -> None:
        self.stage = Stage(expected)
        self._reach = Reach(Asked(expected.model))
        self._checks: tuple[Look, ...] = (
            check_weights,
            check_capacity,
            check_selection,
            Falls().look,
            check_release,
            check_backing,
            check_canaries,
            Rejections().look,
            Refusals().look,
            Promotions().look,
            check_spec_is_the_persons,
            Quiet().look,
            Cycles().look,
            check_faults,
        )

    def look(self, change: Change) -> list[Violation]:
        """What this change violates, after all those before it.

        What a stranger made of a route is passed over where only that gives the author away.
        """
        found = list(self._reach.look(change))
        if self._reach.asked.theirs and not change.by:
            return found
        self.stage.meet(change)
        found += [violation for check in self._checks for violation in check(self.stage, change)]
        self.stage.take(change)
        return found


def find_violations(changes: Iterable[Change], expected: Expectation) -> list[Violation]:
    """All that was violated in a log, in the order in which it happened."""
    judge = Judge(expected)
    found = [violation for change in changes for violation in judge.look(change)]
    return sorted(found, key=lambda violation: violation.version)
