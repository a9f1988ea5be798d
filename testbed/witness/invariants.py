"""The design's invariants, checked on a witness's log alone.

The operator's status is never believed: of what it says only a fault of its own is read.

Each check is a pure function from the changes of one namespace to what was violated. Where two
objects cannot be written in one transaction, `LOOK_SECONDS` says how old a look may be. The order
of changes is the apiserver's. Where time counts, a change lies between its `earliest` and its
`time`, and only what was wrong wherever it lay is a violation: a late witness finds none.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from canarium.api.durations import parse_duration

from testbed.witness.changes import (
    MODEL_LABEL,
    ROUTE_KINDS,
    Change,
    Json,
    Shares,
    World,
    labels,
    managers,
    replay,
    revision_of,
)
from testbed.witness.reach import mark_strangers

OURS = frozenset({"canarium", "canarium-capacity"})
PREFIX = "canarium.dev/"
PEOPLES = frozenset(
    {"promote", "abort", "retry", "restart", "rollback", "git-revision", "commit-time"}
)
"The annotations under our prefix that people write: commands, and what they say of a revision."
PERSON = ("kubectl", "canarium-cli", "argocd-controller", "kustomize-controller", "helm")
"How the field managers of a person's tools begin; a sync from Git is a person's doing too."
SLACK_SECONDS = 0.3
"Between the live read that allows a write and the write itself a pod may still go."
LOOK_SECONDS = 1.0
"The same where machines are real and an operator may have to wait for a processor in between."
SETTLE_SECONDS = 2.0
"Traefik reloads at most this often: an accepted route may be this far from being programmed."


CONTEST_SECONDS = 50.0
"""Against somebody who keeps writing there are pauses of up to 30 s before a route is put right.

The rest is for an operator that has to wait for a processor. What nobody heard of by a watch would
be found a minute later."""
QUIET_SECONDS = 10.0
MOST_DECIDED = 2
MOST_STATUSES = 40
"Of one model within that time: the busiest rollouts of our tests write twelve."


@dataclass(frozen=True, slots=True)
class Violation:
    """What should never have happened, and at which resourceVersion."""

    invariant: str
    version: int
    time: float
    message: str

    def __str__(self) -> str:
        return f"[{self.invariant}] rv {self.version} at {self.time:.3f}: {self.message}"


@dataclass(frozen=True, slots=True)
class Expectation:
    """What a scenario knows: the model's name and which revisions are at fault in it."""

    model: str
    blamed: frozenset[str] = frozenset()
    returns: int = 0
    "How often such a one may lose its traffic and get it back before it is rejected."
    settle_seconds: float = SETTLE_SECONDS


Ready = dict[str, int]
"Ready endpoints by revision."
NOBODY: Json = {"spec": {}}
Check = Callable[[Sequence[Change], Expectation], Iterator[Violation]]


def check_weights(changes: Sequence[Change], expected: Expectation) -> Iterator[Violation]:
    """1: the weights of each rule are 0 to 100 and sum to 100 over revisions that exist."""
    for world, change in _route_writes(changes, expected):
        for shares in world.shares(change.object):
            for problem in _weight_problems(shares, world.revisions()):
                yield _violation("1 weights", change, f"{problem} in {shares}")


def _weight_problems(shares: Shares, existing: set[str]) -> Iterator[str]:
    if sum(shares.values()) != 100:
        yield "weights don't sum to 100"
    if any(not 0 <= share <= 100 for share in shares.values()):
        yield "a weight is not within 0 and 100"
    if unknown := sorted(set(shares) - existing):
        yield f"no such revision as {', '.join(unknown)}"


def check_capacity(changes: Sequence[Change], expected: Expectation) -> Iterator[Violation]:
    """2: no write raises a share above what the revision's ready endpoints carry.

    But for a revision beside which no other has a ready endpoint; and never without a single
    ready one.
    """
    seen = _Capacity(("EndpointSlice", "Service"), World.ready)
    for world, change in replay(changes, expected.model):
        if change.kind in ROUTE_KINDS and _is_ours(change, world) and not change.deleted:
            looks = seen.since(change.earliest - LOOK_SECONDS)
            for revision, share in _raises(world, change):
                if problem := _capacity_problem(revision, share, world, looks):
                    yield _violation("2 capacity", change, problem)
        seen.look(world, change)


def check_selection(changes: Sequence[Change], expected: Expectation) -> Iterator[Violation]:
    """2 for callers in the cluster: the leading Service turns to a revision that carries them."""
    seen = _Capacity(("Pod",), World.ready_pods)
    for world, change in replay(changes, expected.model):
        if change.kind == "Service" and _is_ours(change, world) and not change.deleted:
            before, after = world.find("Service", change.name), world.selected(change.object)
            if after and after != (world.selected(before) if before else ""):
                looks = seen.since(change.earliest - LOOK_SECONDS)
                if problem := _capacity_problem(after, 100, world, looks):
                    yield _violation("2 selection", change, problem)
        seen.look(world, change)


def _capacity_problem(revision: str, share: int, world: World, looks: list[Ready]) -> str:
    """What is wrong with a raise by every look that the operator may have had."""
    mine, need = max(look.get(revision, 0) for look in looks), world.needed(share)
    others = min(sum(look.values()) - look.get(revision, 0) for look in looks)
    if mine == 0:
        return f"{revision} was raised to {share} without a ready pod"
    if mine < need and others:
        return f"{revision} was raised to {share} with {mine} of {need} ready pods"
    return ""


@dataclass(slots=True)
class _Capacity:
    """What each revision had ready over time, by objects of some kinds and a way to count them."""

    kinds: tuple[str, ...]
    count: Callable[[World, str], int]
    history: list[tuple[float, Ready]] = field(default_factory=lambda: [(0.0, {})])

    def look(self, world: World, change: Change) -> None:
        if change.kind not in self.kinds:
            return
        world.take(change)
        revisions = {revision_of(item) for item in world.all_of("Deployment")} - {""}
        ready = {name: self.count(world, name) for name in revisions}
        if ready != self.history[-1][1]:
            self.history.append((change.time, ready))

    def since(self, begin: float) -> list[Ready]:
        """What could be seen from a time on: the state that it began with and all later ones."""
        earlier = [ready for time, ready in self.history if time < begin]
        return earlier[-1:] + [ready for time, ready in self.history if time >= begin]


def check_falls(changes: Sequence[Change], expected: Expectation) -> Iterator[Violation]:
    """3: a canary's share falls only for its own fault, or after the person changed something.

    The canary is the revision that was first given traffic last since the person's last act. What
    it got in an emergency it gives back when others have ready pods again.
    """
    canary, served, rescued = "", set[str](), _Rescued()
    act: tuple[str, ...] = ()
    for world, change in replay(changes, expected.model):
        rescued.look(world, change)
        if change.kind == "ModelDeployment" and _person_act(change) != act:
            act, canary = _person_act(change), ""
        if change.kind not in ROUTE_KINDS or change.deleted or change.name != expected.model:
            continue
        for before, after in _share_pairs(world, change):
            canary = next((n for n, share in after.items() if share and n not in served), canary)
            served |= {name for name, share in after.items() if share}
            fell = after.get(canary, 0) < before.get(canary, 0)
            given_back = after.get(canary, 0) >= rescued.had.get(canary, 101)
            if fell and not given_back and canary not in expected.blamed:
                words = f"{canary} fell from {before.get(canary)} to {after.get(canary, 0)}"
                yield _violation("3 falls", change, f"{words} without a cause")


@dataclass(slots=True)
class _Rescued:
    """Who got all traffic since nobody else had a ready endpoint, and what it had before."""

    had: Shares = field(default_factory=dict)
    first: dict[str, float] = field(default_factory=dict)
    "When each revision first got traffic."
    fixes: set[str] = field(default_factory=set)
    "Those that got none before: stable was dead already."
    whole: set[str] = field(default_factory=set)
    "Those that had all otherwise, so that they were stable once."
    seen: "_Capacity" = field(
        default_factory=lambda: _Capacity(("EndpointSlice", "Service"), World.ready)
    )

    def look(self, world: World, change: Change) -> None:
        if change.kind in ROUTE_KINDS and _is_ours(change, world) and not change.deleted:
            for before, after in _share_pairs(world, change):
                for revision, share in after.items():
                    if share > before.get(revision, 0):
                        self._note_raise(revision, share, before.get(revision, 0), change.earliest)
        self.seen.look(world, change)

    def _note_raise(self, revision: str, share: int, before: int, now: float) -> None:
        self.first.setdefault(revision, now)
        if share != 100:
            return
        looks = self.seen.since(now - LOOK_SECONDS)
        if min(sum(look.values()) - look.get(revision, 0) for look in looks):
            self.whole.add(revision)
        elif len(self.first) > 1 and revision not in self.whole:
            self.had.setdefault(revision, before)
            self.fixes |= set() if before else {revision}
        else:
            self.whole.add(revision)


def check_promotions(changes: Sequence[Change], expected: Expectation) -> Iterator[Violation]:
    """13: who got all traffic in an emergency becomes stable only by what its steps ask for.

    It is stable when the pods of those that served before are taken: holds have to have passed by
    then, unless a person promoted it or it was a fix, and a person has to have approved it.
    """
    rescued, promoted = _Rescued(), set[str]()
    for world, change in replay(changes, expected.model):
        rescued.look(world, change)
        if change.kind == "ModelDeployment":
            command = (change.metadata.get("annotations") or {}).get(f"{PREFIX}promote", "")
            promoted.add(command.partition("@")[0].partition(":")[0])
        left = _left(world, change)
        if left is None or left[1] or change.metadata["uid"] in world.doomed:
            continue
        served = left[0] in rescued.first
        waiting = set(rescued.had) - {left[0]} - rescued.whole - promoted if served else set()
        for revision in _served_wholly(world) & waiting:
            if problem := _gate_problem(world, rescued, revision, change.time):
                yield _violation("13 emergency", change, f"{revision} is stable, and {problem}")


def _served_wholly(world: World) -> set[str]:
    """The revisions that have all traffic by a route of the model's."""
    routes = [world.find(kind, world.model) for kind in ROUTE_KINDS]
    shares = [share for route in routes if route for share in world.shares(route)]
    return {revision for share in shares for revision, weight in share.items() if weight == 100}


def _gate_problem(world: World, rescued: _Rescued, revision: str, now: float) -> str:
    """What of its steps a revision has not passed; "" when nothing is known."""
    rollout = world.rollout
    steps = rollout.get("steps", [])
    if any(step.get("approval") == "Manual" for step in steps):
        return "nobody approved it"
    early = rollout.get("analysis", {}).get("decide") == "Early"
    if early or revision in rescued.fixes:
        return ""
    held = sum(parse_duration(step.get("hold", "0s")) for step in steps)
    passed = now - rescued.first[revision]
    return f"its steps hold {held:g} s, of which {passed:.0f} had passed" if passed < held else ""


def check_release(changes: Sequence[Change], expected: Expectation) -> Iterator[Violation]:
    """4: nothing takes from a revision the pods that a rule still in force needs."""
    rules = _RulesInForce(expected)
    for world, change in replay(changes, expected.model):
        rules.look(world, change)
        left = _left(world, change)
        if left is None or change.metadata["uid"] in world.doomed:
            continue
        revision, replicas = left
        if replicas == 0 and world.may_idle and change.kind == "Deployment" and not change.deleted:
            continue  # put to sleep: nobody sends it anything
        led = 100 * (world.selected(world.find("Service", world.model) or NOBODY) == revision)
        share = max(0 if world.in_place else led, rules.share(revision, change.time))
        need = world.needed(share)
        if replicas < need:
            words = f"{change.kind} {change.name} was left {replicas} of {need} pods"
            yield _violation("4 release", change, f"{words} that a rule still needs")


def _left(world: World, change: Change) -> tuple[str, int] | None:
    """The revision that this change takes capacity from and what it leaves of it."""
    before = world.find(change.kind, change.name)
    if before is None or labels(before).get(MODEL_LABEL) != world.model:
        return None
    gone = change.deleted or "deletionTimestamp" in change.metadata
    if change.kind == "Service" and gone and revision_of(before):
        return revision_of(before), 0
    if change.kind != "Deployment":
        return None
    replicas = 0 if gone else int(change.object["spec"].get("replicas", 1))
    fell = replicas < int(before["spec"].get("replicas", 1))
    return (revision_of(before), replicas) if fell else None


@dataclass(slots=True)
class _RulesInForce:
    """Every version of the route that a gateway may still be serving by."""

    expected: Expectation
    versions: dict[int, list[Shares]] = field(default_factory=dict)
    accepted: dict[int, float] = field(default_factory=dict)
    "When each may have been accepted at the earliest."

    def look(self, world: World, change: Change) -> None:
        if change.kind not in ROUTE_KINDS or change.name != self.expected.model:
            return
        if change.deleted:
            self.versions, self.accepted = {}, {}
            return
        generation = change.metadata.get("generation", 1)
        self.versions.setdefault(generation, world.demands(change.object))
        if accepted_generation(change.object) >= generation:
            self.accepted.setdefault(generation, change.earliest)

    def share(self, revision: str, now: float) -> int:
        """The highest share that any version in force gives to a revision, in percent."""
        settle = self.expected.settle_seconds
        settled = [g for g, when in self.accepted.items() if now - when >= settle]
        force = [rules for g, rules in self.versions.items() if g >= max(settled, default=0)]
        return max((shares.get(revision, 0) for rules in force for shares in rules), default=0)


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


def check_canaries(changes: Sequence[Change], expected: Expectation) -> Iterator[Violation]:
    """5a: at most one canary: never more than two revisions with traffic."""
    for world, change in _route_writes(changes, expected):
        for shares in world.shares(change.object):
            serving = sorted(name for name, share in shares.items() if share)
            if len(serving) > 2:
                yield _violation("5 canaries", change, f"traffic for {', '.join(serving)}")


def check_rejected(changes: Sequence[Change], expected: Expectation) -> Iterator[Violation]:
    """5b: what was taken back is tried again only by a retry that no earlier try has used up.

    What loses its pods under traffic may come back so often as is expected before it is rejected.
    """
    down: set[str] = set()
    returns: Counter[str] = Counter()
    used: dict[str, set[str]] = {}
    retry = ""
    for world, change in replay(changes, expected.model):
        if change.kind == "ModelDeployment":
            retry = (change.metadata.get("annotations") or {}).get(f"{PREFIX}retry", "")
        down |= _taken_back(world, change) & expected.blamed
        for revision in _tried(world, change) & expected.blamed:
            known = used.setdefault(revision, set())
            if retry not in known:
                returns[revision] = 0
            elif revision in down:
                returns[revision] += 1
                if returns[revision] > expected.returns:
                    yield _violation("5 rejected", change, f"{revision} is tried again")
            known.add(retry)
            down.discard(revision)


def _taken_back(world: World, change: Change) -> set[str]:
    """The revisions from which this change takes the last traffic, or the last pod."""
    if change.kind in ROUTE_KINDS and not change.deleted:
        pairs = _share_pairs(world, change)
        return {name for old, new in pairs for name in old if old[name] and not new.get(name)}
    left = _left(world, change)
    return {left[0]} if left and left[1] == 0 else set()


def _tried(world: World, change: Change) -> set[str]:
    """The revisions to which this change gives traffic or pods that had none before."""
    if change.deleted:
        return set()
    if change.kind in ROUTE_KINDS:
        return {revision for revision, _ in _raises(world, change)}
    if change.kind != "Deployment":
        return set()
    before = world.find("Deployment", change.name)
    had = int(before["spec"].get("replicas", 1)) if before else 0
    grew = int(change.object["spec"].get("replicas", 1)) > 0 == had
    return {revision_of(change.object)} if grew else set()


def check_spec_is_the_persons(
    changes: Sequence[Change], expected: Expectation
) -> Iterator[Violation]:
    """6a: what we write of a ModelDeployment is its status, and nothing else of it."""
    for _, change in replay(changes, expected.model):
        if change.kind == "ModelDeployment" and not change.deleted:
            for problem in _ownership_problems(change):
                yield _violation("6 ownership", change, problem)


OF_DELETION = {"foregroundDeletion", "orphan"}
"What the apiserver puts there for whoever deletes so; Argo CD prunes in the foreground."


def _ownership_problems(change: Change) -> Iterator[str]:
    for entry in change.metadata.get("managedFields", []):
        written = sorted(set(entry.get("fieldsV1", {})) - {"f:status"})
        if written and not _is_persons(entry):
            yield f"{entry['manager']} wrote {', '.join(written)}"
    if finalizers := set(change.metadata.get("finalizers") or ()) - OF_DELETION:
        yield f"finalizers {sorted(finalizers)}"
    for name in change.metadata.get("annotations") or {}:
        prefix, _, verb = name.rpartition("/")
        if "kopf" in prefix or (f"{prefix}/" == PREFIX and verb not in PEOPLES):
            yield f"annotation {name}"


def _is_persons(entry: Json) -> bool:
    """Whether a field is a person's, or that of an autoscaler by the subresource made for it."""
    scaled = entry.get("subresource") == "scale" and entry["manager"] not in OURS
    return scaled or entry["manager"].startswith(PERSON)


def check_namespaces(changes: Sequence[Change]) -> Iterator[Violation]:
    """6b: nothing of ours is outside the namespaces that hold a ModelDeployment of its name.

    Wants the changes of all namespaces, so it isn't one of CHECKS. What was there before this
    witness is judged by the one that saw it come: its ModelDeployment may have gone in between.
    """
    before = {change.metadata["uid"] for change in changes if change.type == "LISTED"}
    homes = {(c.namespace, c.name) for c in changes if c.kind == "ModelDeployment"}
    for change in changes:
        if change.kind in ("ModelDeployment", "Event") or not managers(change.object) & OURS:
            continue
        if change.metadata["uid"] in before:
            continue
        if (change.namespace, labels(change.object).get(MODEL_LABEL, "")) not in homes:
            yield _violation("6 namespaces", change, f"{change.kind} {change.name} is ours")


def check_reach(changes: Sequence[Change], expected: Expectation) -> Iterator[Violation]:
    """10: what no person asked for doesn't stay in a route: it is never taken for a wish."""
    since: Change | None = None
    for change, theirs in mark_strangers(changes, expected.model):
        if since is not None and change.earliest - since.time > CONTEST_SECONDS:
            words = f"a stranger's edit stayed for {change.earliest - since.time:.1f} s"
            yield _violation("10 reach", since, words)
            since = None
        if change.kind == "HTTPRoute" and change.name == expected.model:
            since = (since or change) if theirs else None


def check_quiet(changes: Sequence[Change], expected: Expectation) -> Iterator[Violation]:
    """11: status isn't written over and over: what is undecided in there would not show elsewhere.

    That it was written counts, not what it says.
    """
    act: tuple[str, ...] = ()
    written: deque[Change] = deque()
    for _, change in replay(changes, expected.model):
        if change.kind != "ModelDeployment" or change.name != expected.model:
            continue
        if _person_act(change) != act:
            act = _person_act(change)
            continue
        written.append(change)
        # A deletion is not noted in the object: it may itself be older than all that counts.
        while written and change.time - written[0].earliest > QUIET_SECONDS:
            written.popleft()
        if len(written) > MOST_STATUSES:
            words = f"{len(written)} statuses were written within {QUIET_SECONDS:.0f} s"
            yield _violation("11 decisions", change, words)
            written.clear()


def check_cycles(changes: Sequence[Change], expected: Expectation) -> Iterator[Violation]:
    """11: shares aren't given, taken and given again while nothing new could be seen.

    To go back once is a verdict's doing, which no watch shows; a second time there is none left.
    """
    seen: Counter[str] = Counter()
    act: tuple[str, ...] = ()
    for world, change in replay(changes, expected.model):
        if change.kind in ROUTE_KINDS and _is_ours(change, world) and not change.deleted:
            pairs = _share_pairs(world, change)
            if any(before != after for before, after in pairs):
                decided = str([sorted(after.items()) for _, after in pairs])
                seen[decided] += 1
                if seen[decided] > MOST_DECIDED:
                    yield _violation("11 decisions", change, f"for the third time: {decided}")
                    seen.clear()
                continue
        elif change.kind == "ModelDeployment":
            if _person_act(change) == act:
                continue
            act = _person_act(change)
        elif change.kind == "Event":
            continue
        seen.clear()


def check_faults(changes: Sequence[Change], expected: Expectation) -> Iterator[Violation]:
    """12: nothing that an object holds is a fault of the operator's; it says so where it is."""
    for _, change in replay(changes, expected.model):
        if change.kind == "ModelDeployment" and not change.deleted:
            status = change.object.get("status", {})
            if status.get("reason") == "InternalError":
                yield _violation("12 faults", change, str(status.get("message")))


CHECKS: tuple[Check, ...] = (
    check_weights,
    check_capacity,
    check_selection,
    check_falls,
    check_release,
    check_canaries,
    check_rejected,
    check_promotions,
    check_spec_is_the_persons,
    check_quiet,
    check_cycles,
    check_faults,
)
"What is checked of what we write, without what strangers wrote into a route in between."


def find_violations(changes: Sequence[Change], expected: Expectation) -> list[Violation]:
    """All that was violated, in the order in which it happened."""
    ours = [change for change, theirs in mark_strangers(changes, expected.model) if not theirs]
    found = [violation for check in CHECKS for violation in check(ours, expected)]
    found += check_reach(changes, expected)
    return sorted(found, key=lambda violation: violation.version)


def _violation(invariant: str, change: Change, message: str) -> Violation:
    return Violation(invariant, change.version, change.time, message)


def _is_ours(change: Change, world: World) -> bool:
    return change.name == world.model and labels(change.object).get(MODEL_LABEL) == world.model


def _route_writes(
    changes: Iterable[Change], expected: Expectation
) -> Iterator[tuple[World, Change]]:
    """The writes of the route's spec, each with the world before it."""
    for world, change in replay(changes, expected.model):
        if change.kind not in ROUTE_KINDS or change.deleted or not _is_ours(change, world):
            continue
        before = world.find(change.kind, change.name)
        if before is None or before["spec"] != change.object["spec"]:
            yield world, change


def _share_pairs(world: World, change: Change) -> list[tuple[Shares, Shares]]:
    """The shares of each rule for everybody before and after a change of the route."""
    return _pair(world, change, World.shares)


def _pair(
    world: World, change: Change, read: Callable[[World, Json], list[Shares]]
) -> list[tuple[Shares, Shares]]:
    found = world.find(change.kind, change.name)
    before, after = read(world, found) if found else [], read(world, change.object)
    missing = [Shares()] * (len(after) - len(before))
    return list(zip([*before, *missing], after, strict=False))


def _raises(world: World, change: Change) -> set[tuple[str, int]]:
    """The revisions of which a change of the route demands more, and how much."""
    pairs = _pair(world, change, World.demands)
    return {
        (name, share)
        for old, new in pairs
        for name, share in new.items()
        if share > old.get(name, 0)
    }


def _person_act(change: Change) -> tuple[str, ...]:
    """What changes when a person edits the spec or gives a command."""
    commands = change.metadata.get("annotations") or {}
    given = sorted(f"{k}={v}" for k, v in commands.items() if k.startswith(PREFIX))
    return str(change.metadata["uid"]), str(change.metadata.get("generation")), *given
