"""What a person, the pods, the judge, the router and the clock may bring about between two passes.

A place of the walk is what the operator itself has made: its status and its children. Everything
else is free: each circumstance below is set anew for each pass, whatever it was before.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from itertools import combinations
from typing import cast

from canarium.core.observed import (
    ContainerState,
    ExperimentVerdict,
    GatewayClassRecord,
    Meta,
    Observed,
    PodRecord,
)
from canarium.core.plan import Plan
from canarium.core.spec import ExperimentSpec, HeaderMatch, Spec, Step
from canarium.core.status import RevisionStatus, Rollout, Status
from canarium.rollout.plan import plan
from canarium.rollout.situation.stages import ROLLING

from tests.properties.world import NAME, NAMESPACE, World, make_rollout, make_spec

Circumstance = tuple[str, str]
"What differs from the ordinary, and how."
Circumstances = tuple[Circumstance, ...]

VERSIONS = ("1", "2", "3")
SIZE = 2
HOLD_SECONDS = 10.0
GUARD_SECONDS = 10.0
DEADLINE_SECONDS = 600.0
ORDINARY_SECONDS = 30.0
"Long enough for settling, draining, holds, the guard and a first retreat."
SECONDS = {"soon": 0.5, "late": 2 * DEADLINE_SECONDS}
PAUSED = ("spec", "paused")
DEAD_STABLE = ("stable", "none")
DESPITE_A_PAUSE = {("fault", "own"), ("verdict", "Fail"), ("canary", "none"), DEAD_STABLE}
BESIDE_THE_DEAD = {
    *DESPITE_A_PAUSE,
    *(PAUSED, ("spec", "edited"), ("verdict", "NoData"), ("gateway", "silent")),
    *(("status", "lost"), ("previous", "none")),
} - {DEAD_STABLE}
STEPS = (
    Step("copies", 0, hold_seconds=HOLD_SECONDS, mirror=20),
    Step("testers", 0, hold_seconds=HOLD_SECONDS, headers=(HeaderMatch("x-canary", "1"),)),
    Step("some", 20, hold_seconds=HOLD_SECONDS),
    Step("half", 50, hold_seconds=HOLD_SECONDS, approval=True),
)
EXPERIMENT = ExperimentSpec(
    "error-rate", min_seconds=HOLD_SECONDS, max_seconds=2 * ORDINARY_SECONDS
)
OTHER_STEPS = (Step("some", 20, hold_seconds=HOLD_SECONDS), Step("most", 60))
MIRRORING = GatewayClassRecord(
    Meta("", "traefik", "uid-of-the-class", "1"),
    "traefik.io/gateway-controller",
    accepted=True,
    supported_features=(
        "HTTPRouteRequestMirror",
        "HTTPRouteRequestPercentageMirror",
        "HTTPRouteRequestMultipleMirrors",
    ),
)


@dataclass
class WalkedWorld(World):
    """The small world with a gateway that mirrors, and a judge that may be silent."""

    silent: bool = False
    holdback: int = 0

    def observe(self) -> Observed:
        seen = super().observe()
        mirroring = replace(seen, gateway_classes=(MIRRORING,))
        return replace(mirroring, analysis=None) if self.silent else mirroring

    def make_pass(self) -> Plan:
        """One pass of the operator, planned once; its writes land, checked."""
        made = plan(self.observe(), self.now)
        self.last_plan = made
        if made.status is not None:
            before = self.status
            self.status_raw = dict(made.status)
            self._next()
            self.check_status()
            self.check_promotion(before)
            self.check_decision(before)
        for write in made.writes:
            self._land_checked(write)
        return made


@cache
def make_wish(version: str, change: str = "", holdback: int = 0) -> Spec:
    """The spec of a version: as always, with `edited` steps, `paused`, or of `zero` pods.

    Where something is held back, an experiment follows the steps; an edit takes that away, and
    holds less back.
    """
    rollout = make_rollout(
        *(OTHER_STEPS if change == "edited" else STEPS),
        analysis=True,
        guard=GUARD_SECONDS,
        holdback=holdback // 2 if change == "edited" else holdback,
        experiment=EXPERIMENT if holdback and change != "edited" else None,
        deadline=DEADLINE_SECONDS,
        paused=change == "paused",
    )
    return make_spec(version, replicas=0 if change == "zero" else SIZE, rollout=rollout)


def copy(world: WalkedWorld) -> WalkedWorld:
    """A world that goes on by itself; records are values, so only what holds them is copied."""
    return replace(
        world,
        revisions=dict(world.revisions),
        deployments=dict(world.deployments),
        services=dict(world.services),
        routes=dict(world.routes),
        pods=dict(world.pods),
        commands={},
        verdicts={},
        outcomes={},
        rescued=set(world.rescued),
        approved=set(world.approved),
        ungated=set(world.ungated),
        decided=[],
        events=[],
        writes=[],
        silent=False,
    )


def offer(world: WalkedWorld) -> Iterator[Circumstances]:
    """The ordinary, each circumstance, and pairs of those that are about the same decision.

    While stable has no ready pod, everything else comes together with that: the ordinary is that
    it is back. Of places with a third version, which are many, that is all that follows.
    """
    single = list(_offer_single(world))
    yield ()
    stable = world.status.stable
    if stable is not None and stable.unavailable_since is not None:
        if sum(describe_version(world, version) != () for version in VERSIONS) == len(VERSIONS):
            return
        yield (DEAD_STABLE,)
        yield from ((one, DEAD_STABLE) for one in single if _matters_to_the_dead(one))
        return
    yield from ((one,) for one in single)
    for one, two in combinations(single, 2):
        if _belong_together(world.state, one, two):
            yield one, two


def _matters_to_the_dead(one: Circumstance) -> bool:
    """Whether what is decided about a dead stable may hang on this."""
    kind, how = one
    told = kind == "command" and how.partition(" ")[0] in ("abort", "promote", "rollback")
    return told or kind == "wanted" or one in BESIDE_THE_DEAD


def _belong_together(state: str, one: Circumstance, two: Circumstance) -> bool:
    """Whether the two decide together: as they come from `_offer_single`, in its order."""
    if one[0] == "wanted":
        return two[0] == "spec" or (state == "Reverting" and two == DEAD_STABLE)
    return one == PAUSED and two in DESPITE_A_PAUSE


def are_rare(circumstances: Circumstances) -> bool:
    """Whether nothing else that is out of the ordinary follows: it would double the states."""
    return DEAD_STABLE in circumstances[1:] or any(map(_is_rare, circumstances))


def _is_rare(circumstance: Circumstance) -> bool:
    kind, how = circumstance
    return kind == "status" or how in ("zero", "edited") or how.startswith("rollback")


def _offer_single(world: WalkedWorld) -> Iterator[Circumstance]:
    status = world.status
    yield from (("wanted", version) for version in _find_wishes(world))
    yield from (("clock", moment) for moment in SECONDS)
    yield from (("spec", change) for change in ("useless", "paused", "edited", "zero"))
    if status.stable is None:
        return
    yield from (("gateway", trouble) for trouble in ("gone", "silent"))
    yield "status", "lost"
    for role, part in _parts(status).items():
        if part is not None and part.revision in {d.revision for d in world.deployments.values()}:
            yield from ((role, readiness) for readiness in ("none", "some"))
    yield from (("fault", whose) for whose in ("own", "environment"))
    if world.last_plan.measure is not None:
        yield from (("verdict", v) for v in ("Fail", "Inconclusive", "NoData", "silent"))
        if world.last_plan.measure.experiment:
            yield from (("outcome", outcome) for outcome in ("CanaryWorse", "Undecided"))
    yield from (("command", text) for text in _offer_commands(world))


def _find_wishes(world: WalkedWorld) -> Iterator[str]:
    """The versions that may be wanted instead, one of those that are alike."""
    alike = set()
    for version in VERSIONS:
        kind = describe_version(world, version)
        if version != ordinary_wish(world) and kind not in alike:
            alike.add(kind)
            yield version


def ordinary_wish(world: World) -> str:
    """The version that is wanted as long as nobody changes the spec."""
    status = world.status
    if status.override is not None:
        return world.version_of(status.override.instead) or "1"
    state = status.rollout.state if status.rollout else ""
    refused = [rejection.version for rejection in status.rejected]
    if state == "Rejected" and refused:
        return refused[-1]
    going = status.rollout is not None and status.rollout.ending == "Rejected"
    if status.canary is not None and (state != "Reverting" or going):
        return status.canary.version
    return status.stable.version if status.stable else "1"


def _offer_commands(world: WalkedWorld) -> Iterator[str]:
    status, rollout = world.status, world.status.rollout
    tried = status.canary or status.stable
    if tried is None or rollout is None:
        return
    yield from (f"promote {tried.revision}", f"abort {tried.revision}", f"retry {tried.revision}")
    if status.canary is not None:
        names = [step.name for step in (*STEPS, *OTHER_STEPS)]
        later = names[min(max(rollout.step, 0), len(STEPS) - 1)]
        yield from (f"promote {tried.revision}:{later}", f"promote {tried.revision}:full")
    if status.rejected and status.rejected[-1].revision != tried.revision:
        yield f"retry {status.rejected[-1].revision}"
    if status.stable is not None:
        yield f"restart {status.stable.revision}"
    yield from (f"rollback {r.revision}" for r in world.revisions.values())
    yield "abort nonsense with blanks"


def _parts(status: Status) -> dict[str, RevisionStatus | None]:
    return {"stable": status.stable, "canary": status.canary, "previous": status.previous}


def imagine(place: WalkedWorld, circumstances: Circumstances) -> WalkedWorld:
    """The world at this place in these circumstances."""
    given, world = dict(circumstances), copy(place)
    if "status" in given:
        world.status_raw = {}
    world.now += SECONDS.get(given.get("clock", ""), ORDINARY_SECONDS)
    _wish(world, place, given)
    _furnish(world, place.status, given)
    if given.get("gateway") == "gone":
        world.delete_gateway()
    elif given.get("gateway") != "silent":
        world.answer_routes()
    if "command" in given:
        verb, _, what = given["command"].partition(" ")
        world.commands = {verb: f"{what}@{world.now:.1f}"}
    verdict = given.get("verdict", "Pass")
    world.silent = verdict == "silent"
    world.verdicts = dict.fromkeys(VERSIONS, verdict)
    outcome = cast("ExperimentVerdict", given.get("outcome", "CanaryBetter"))
    world.outcomes = dict.fromkeys(VERSIONS, outcome)
    return world


def _wish(world: WalkedWorld, place: WalkedWorld, given: dict[str, str]) -> None:
    change = given.get("spec", "")
    version = given.get("wanted") or ordinary_wish(place)
    wish = None if change == "useless" else make_wish(version, change, world.holdback)
    if wish is not world.spec:
        world.apply(wish)


def _furnish(world: WalkedWorld, status: Status, given: dict[str, str]) -> None:
    """Give every Deployment its pods, as ready and as faulty as the circumstances say."""
    roles = {part.revision: role for role, part in _parts(status).items() if part is not None}
    tried = status.canary or status.stable
    world.pods = {}
    for name, deployment in world.deployments.items():
        revision = deployment.revision
        readiness = given.get(roles.get(revision, ""), "all")
        ready = {"none": 0, "some": 1}.get(readiness, deployment.replicas)
        fault = given.get("fault", "") if tried and tried.revision == revision else ""
        pods = _make_pods(name, revision, deployment.replicas, ready, fault)
        world.pods |= {pod.meta.name: pod for pod in pods}
        world.deployments[name] = replace(
            deployment, current_replicas=len(pods), ready_replicas=sum(p.ready for p in pods)
        )


def _make_pods(name: str, revision: str, size: int, ready: int, fault: str) -> list[PodRecord]:
    pods = [
        PodRecord(
            Meta(NAMESPACE, f"{name}-{number}", f"uid-{name}-{number}", "1"),
            revision,
            ip="198.18.0.9",
            scheduled=True,
            ready=number < ready,
        )
        for number in range(size)
    ]
    return [*pods[:-1], _harm(pods[-1], fault)] if pods and fault else pods


def _harm(pod: PodRecord, fault: str) -> PodRecord:
    """A pod that is not well: for its own fault, or for its environment's."""
    if fault == "environment":
        words = "0/3 nodes are available"
        return replace(pod, ready=False, scheduled=False, scheduling_message=words)
    crash = ContainerState("server", restarts=2, waiting_reason="CrashLoopBackOff")
    return replace(pod, ready=False, containers=(crash,))


def describe_version(world: World, version: str) -> tuple[object, ...]:
    """All of a version that decisions may depend on, without its name."""
    record = next((r for r in world.revisions.values() if r.version == version), None)
    if record is None:
        return ()
    status, revision = world.status, record.revision
    size = sum(d.replicas for d in world.deployments.values() if d.revision == revision)
    live = _describe_share(world.routed().get(revision)) if revision in world.demands() else ""
    for role, part in _parts(status).items():
        if part is not None and part.revision == revision:
            capacity = "none" if not size else "less" if size < part.replicas else "enough"
            return (role, live, capacity, *_describe_part(status, part))
    rejected = revision in {rejection.revision for rejection in status.rejected}
    past = "rejected" if rejected else "stable" if record.stable_at is not None else "tried"
    return (past, "named" if live else "running" if size else "gone")


def _describe_override(status: Status) -> str:
    """What a person went back to: the revision with which part, if anybody did."""
    if status.override is None:
        return ""
    roles = {part.revision: role for role, part in _parts(status).items() if part is not None}
    return roles.get(status.override.revision, "other")


def _describe_part(status: Status, part: RevisionStatus) -> tuple[object, ...]:
    away = part.unavailable_since is not None
    if status.rollout is None or status.rollout.state not in (*ROLLING, "Guarding"):
        return (_describe_share(part.weight), part.replicas > 0, away)
    return (_describe_share(part.weight), part.replicas, part.mirror, bool(part.headers), away)


def _describe_share(weight: int | None) -> str:
    if weight is None:
        return "beside"
    return {0: "0", 100: "100"}.get(weight, "some")


def describe(world: World) -> tuple[object, ...]:
    """The abstract state that a world is in."""
    status, known = world.status, NAME in world.routes
    decided = _describe_rollout(status.rollout) if status.rollout else ()
    versions = {describe_version(world, version) for version in VERSIONS}
    return (*decided, known, _describe_override(status), frozenset(versions))


def _describe_rollout(rollout: Rollout) -> tuple[object, ...]:
    if rollout.state not in ROLLING:
        settled = rollout.verified_at is not None
        return (rollout.state, rollout.ending, settled, rollout.emergency)
    at = (rollout.step, rollout.verified_at is not None, rollout.retreats > 0)
    emergency = (rollout.emergency, _describe_share(rollout.earned_weight))
    return (rollout.state, rollout.step_name, *at, bool(rollout.ending), *emergency)
