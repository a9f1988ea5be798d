"""What the states ask of the observed world: the questions, each answered in one place."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeVar, cast

from canarium.core.capacity import carried_weight, needed_replicas, step_replicas
from canarium.core.commands import Command, Verb, pending_commands
from canarium.core.made import find_uid, is_made, list_made, pick_pods
from canarium.core.names import REVISION_LABEL, child_name
from canarium.core.observed import (
    AnalysisResult,
    DeploymentRecord,
    JobRecord,
    Meta,
    ModelObject,
    Observed,
    PodRecord,
    RevisionRecord,
    WriteFailure,
)
from canarium.core.plan import SIZING_KINDS, Ref
from canarium.core.spec import (
    EXPERIMENT_NAME,
    ExperimentSpec,
    RolloutSpec,
    Spec,
    Step,
    Traffic,
    make_closing_step,
)
from canarium.core.spec import Protocol as Spoken
from canarium.core.status import Override, RevisionStatus, Rollout, Status
from canarium.rollout.situation.clock import AHEAD_SECONDS
from canarium.rollout.situation.defaults import freeze_defaults
from canarium.rollout.situation.feasibility import find_undeliverable
from canarium.rollout.situation.pods.faults import ENDED, Fault, find_fault, gave_way
from canarium.rollout.situation.revision import Wanted, compute_wanted, find_record, recall
from canarium.routing import (
    ROUTERS,
    Choice,
    Router,
    Split,
    Verification,
    choose_router,
    find_router,
)
from canarium.routing.base import find_service, is_current, read_selector
from canarium.routing.definitions import find_fields

AT_REST = ("Starting", "Idle", "Rejected", "Broken")
T = TypeVar("T")
ROLLING = ("Scaling", "Shifting", "Holding")
NO_ROOM = ("Unschedulable", "QuotaExceeded")
"Faults of the environment's that pods of another revision, when they go, may heal."
ALL = 100
_AS_BEGUN = "as when the rollout began"


@dataclass(frozen=True, slots=True)
class View:
    """One object at one moment. `now` is in seconds since the epoch.

    `named` is the revision that the spec names; `wanted` is the same unless a person went back to
    another. Both are None when the spec cannot be used: then nothing new is begun, and what runs
    goes on by what was copied when it started.
    """

    observed: Observed
    now: float
    named: Wanted | None
    wanted: Wanted | None
    rollout: RolloutSpec
    made: Mapping[str, str] = field(default_factory=dict)
    "The uids of what we made, as in `Status.made`; other Deployments and Jobs are not looked at."
    strays: tuple[DeploymentRecord | JobRecord, ...] = ()
    "Those with our labels and owner that we have not made, or don't remember."
    known: dict[Hashable, Any] = field(default_factory=dict, compare=False, repr=False)
    "Answers given before: the states ask the same things many times in one pass."

    @property
    def spec(self) -> Spec | None:
        """The spec, None when it cannot be used."""
        return self.observed.model.spec

    @property
    def model(self) -> str:
        """The object's name."""
        return self.observed.model.meta.name

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps in force, with the closing one as it ordinarily is."""
        return self._once("steps", _list_steps, self.rollout)

    @property
    def paused(self) -> bool:
        """Whether clocks and shifting stand still: a person's wish, or a spec of no use."""
        return self.wanted is None or self.rollout.paused

    def step(self, status: Status) -> Step:
        """The step that the rollout is in."""
        return self.step_at(self._number(status), status)

    def step_at(self, number: int, status: Status) -> Step:
        """A step by its number, from 1; the closing one with what can be held back."""
        if number < len(self.steps) or not self.rollout.holdback:
            return self.steps[number - 1]
        return make_closing_step(self._find_holdback(status))

    def _number(self, status: Status) -> int:
        return min(max(rollout_of(status).step, 1), len(self.steps))

    def experiment(self, status: Status) -> ExperimentSpec | None:
        """The experiment, while the rollout is in its step."""
        named = rollout_of(status).step_name == EXPERIMENT_NAME
        return self.rollout.experiment if named else None

    def is_closing(self, status: Status) -> bool:
        """Whether the step is the last one, after which the canary is stable."""
        return self._number(status) == len(self.steps)

    def _find_holdback(self, status: Status) -> int:
        """What the closing step leaves on stable; never more than the canary has left it.

        Nothing on one without a ready pod, or where the canary was stable before: people go back
        to that one, and away from the other.
        """
        canary = status.canary
        record = self.record(canary) if canary else None
        if self.stable_has_no_ready_pods(status) or (record and record.stable_at is not None):
            return 0
        return min(self.rollout.holdback, 100 - canary.weight if canary else 100)

    def command(self, verb: Verb, status: Status) -> Command | None:
        """A person's command that was not handled yet."""
        given = self.observed.model.commands
        return pending_commands(given, status.last_handled_commands).get(verb)

    # Pods and capacity

    def pods(self, revision: str) -> list[PodRecord]:
        """The pods of one revision that are not going away."""
        return [p for p in self.own_pods if p.revision == revision and not p.meta.deleting]

    @property
    def own_pods(self) -> tuple[PodRecord, ...]:
        """The pods of Deployments that we made: whatever is said of a revision is said of these.

        What else has our labels is sent requests all the same.
        """
        seen = self.observed
        return self._once("own pods", pick_pods, seen.pods, seen.replica_sets, self.made)

    def deployment(self, revision: str) -> DeploymentRecord | None:
        """A revision's Deployment."""
        return next((d for d in self.observed.deployments if d.revision == revision), None)

    def uid(self, ref: Ref) -> str | None:
        """The uid that a Deployment or Job of ours has, as in `Create.uid`."""
        return find_uid(self.observed, self.made, ref)

    def record(self, revision: RevisionStatus) -> RevisionRecord | None:
        """A revision's ModelRevision, None unless it is what status says."""
        return find_record(self.observed, revision)

    def ready(self, revision: str, status: Status) -> int:
        """Pods of a revision that can be sent requests, by everything that is known of them."""
        behind_service = self.router(status).revision_services
        return self._once(
            ("ready", revision, behind_service), self._count, revision, behind_service
        )

    def _once(self, key: Hashable, compute: Callable[..., T], *arguments: Any) -> T:
        if key not in self.known:
            self.known[key] = compute(*arguments)
        return cast("T", self.known[key])

    def _once_for(self, name: str, status: Status, compute: Callable[[Status], T]) -> T:
        """What is asked many times of the same status; it is held, so that its id stays its own."""
        key = (name, id(status))
        if key not in self.known:
            self.known[key] = (status, compute(status))
        return cast("T", self.known[key][1])

    def _count(self, revision: str, behind_service: bool) -> int:
        deployment = self.deployment(revision)
        if deployment is None:
            return 0
        pods = sum(pod.ready for pod in self.pods(revision))
        counts = [pods, deployment.ready_replicas, deployment.replicas]
        if behind_service:
            counts.append(self._endpoints(revision))
        return min(counts)

    def _endpoints(self, revision: str) -> int:
        service = child_name(self.model, revision)
        return sum(e.ready for e in self.observed.endpoints if e.service == service)

    def needed_by_step(self, status: Status) -> int:
        """Pods of the canary that the step needs, in this rollout."""
        return step_replicas(self.step(status), rollout_of(status).peak_replicas)

    def has_capacity(self, status: Status) -> bool:
        """Whether the canary has the pods that the step needs, or all that there is place for."""
        canary = status.canary
        if canary is None:
            return False
        needed = self.needed_by_step(status)
        if self.is_closing(status) and self.lacks_room(canary):  # what is held back has its places
            needed = needed_replicas(self.step(status).weight, rollout_of(status).peak_replicas)
        return self.ready(canary.revision, status) >= self._spare_one(canary, needed, status)

    def needed(self, part: RevisionStatus, status: Status) -> int:
        """Pods that a revision's share of the traffic needs, in this rollout."""
        needed = routed_replicas(part, rollout_of(status).peak_replicas)
        return self._spare_one(part, needed, status)

    def _spare_one(self, part: RevisionStatus, needed: int, status: Status) -> int:
        """Where all pods are needed, one fewer will do while that one has no place."""
        whole = needed == rollout_of(status).peak_replicas > 1
        return needed - 1 if whole and self.lacks_room(part) else needed

    def carried(self, revision: RevisionStatus, status: Status) -> int:
        """The highest share that a revision's ready pods carry, in percent."""
        size, ready = rollout_of(status).peak_replicas, self.ready(revision.revision, status)
        if ready and ready == size - 1 and self.lacks_room(revision):
            return ALL
        return carried_weight(ready, max(1, size))

    def carried_by_stable(self, status: Status) -> int:
        """The same of stable."""
        return self.carried(status.stable, status) if status.stable else 0

    def lacks_room(self, part: RevisionStatus) -> bool:
        """Whether pods are to be replaced in place, and there is no place for this revision's."""
        return self.rollout.capacity == "InPlace" and self.is_unschedulable(part)

    def is_unschedulable(self, part: RevisionStatus) -> bool:
        """Whether there is no place for a revision's pods."""
        fault = self.fault(part.revision)
        return fault is not None and fault.reason in NO_ROOM

    def stable_has_no_ready_pods(self, status: Status) -> bool:
        """Whether stable has been without a ready pod for so long that it protects nothing.

        A restart, a drain or a person's delete is no death: those pods are back in seconds.
        """
        since = status.stable.unavailable_since if status.stable else None
        if since is None or not self.stable_is_away(status):
            return False
        return self.now - since >= self.rollout.emergency_seconds

    def stable_is_away(self, status: Status) -> bool:
        """Whether stable should have pods, and none of them is ready at this moment.

        By its pods alone: while another router takes over, its Service may not know them yet.
        Its Deployment may know better, since that is what is read live. One that may be idle and
        isn't at fault is only waking up.
        """
        stable = status.stable
        if stable is None or stable.replicas == 0:
            return False
        deployment = self.deployment(stable.revision)
        if any(pod.ready for pod in self.pods(stable.revision)):
            return False
        if deployment is not None and deployment.ready_replicas > 0:
            return False
        return not self.may_idle or self.own_fault(stable.revision) is not None

    @property
    def may_idle(self) -> bool:
        """Whether an idle model has no pods."""
        scaling = self.spec.scaling if self.spec else None
        return scaling is not None and scaling.is_automatic and scaling.min_replicas == 0

    def is_switched_off(self, status: Status) -> bool:
        """Whether all that serves has no pods because the spec asks for none.

        A model that is idle is none of these: an autoscaler gives it pods again. While the spec is
        of no use, having an autoscaler tells which it is.
        """
        serving = [part for part in parts_of(status) if part.serves]
        off = bool(serving) and all(part.replicas == 0 for part in serving)
        idle = self.may_idle or (self.spec is None and bool(self.observed.scalers))
        return off and not idle

    @property
    def failures(self) -> list[WriteFailure]:
        """Why writes failed that a rollout needs; what only sizes has its own condition."""
        return [each for each in self.observed.failures if each.kind not in SIZING_KINDS]

    def has_leftover_pods(self, status: Status) -> bool:
        """Whether pods of a revision that is gone still answer where pods are not told apart."""
        if not self.router(status).mixes_pods:
            return False
        ours = {part.revision for part in (status.stable, status.canary) if part}
        pods = self.observed.pods
        return any(p.ready and not p.meta.deleting and p.revision not in ours for p in pods)

    def fault(self, revision: str) -> Fault | None:
        """What is wrong with a revision, and with whom the fault lies."""
        name = child_name(self.model, revision)
        failures = [failure for failure in self.failures if failure.name == name]
        return find_fault(revision, self.own_pods, self.deployment(revision), failures)

    def own_fault(self, revision: str) -> Fault | None:
        """The revision's own fault, for which it is rolled back."""
        fault = self.fault(revision)
        return fault if fault is not None and fault.whose == "Revision" else None

    def is_unready(self, revision: str) -> bool:
        """Whether pods of it run on a node and don't get ready, and nobody else is to blame."""
        since, fault = self.oldest_stuck_at(revision), self.fault(revision)
        deadline = self.rollout.progress_deadline_seconds
        stuck = since is not None and self.now - since >= deadline
        return stuck and (fault is None or fault.whose == "Unclear")

    def oldest_stuck_at(self, revision: str) -> float | None:
        """When the oldest of its pods was made that have a node and aren't ready (epoch seconds).

        Whoever takes pods, as nodes are drained, gives those that come instead a deadline of their
        own. One that ended by itself has had its own.
        """
        pods = self.pods(revision)
        stuck = [p for p in pods if p.scheduled and not p.ready and p.phase not in ENDED]
        if stuck and any(pod.phase in ENDED for pod in pods):
            return 0.0
        return min((self._known_time(pod.meta.created_at) for pod in stuck), default=None)

    def _known_time(self, at: float) -> float:
        """A time of the apiserver's; long ago, where a clock that was set back since says later."""
        return at if at <= self.now + AHEAD_SECONDS else 0.0

    def has_given_way(self, revision: str, status: Status) -> bool:
        """Whether pods of it that were there for its traffic stopped to be ready by themselves."""
        since = rollout_of(status).step_started_at or 0.0
        return any(gave_way(pod, since) for pod in self.pods(revision))

    def is_overdue(self, status: Status) -> bool:
        """Whether nothing got better for as long as the progress deadline allows."""
        since = rollout_of(status).progress_at
        return since is not None and self.now - since >= self.rollout.progress_deadline_seconds

    # Traffic

    def router(self, status: Status) -> Router:
        """The router in use; another one named in the spec waits until nothing is under way."""
        return ROUTERS[self.router_name(status)]

    def router_name(self, status: Status) -> str:
        """Its name, as in `status.router`."""
        return self.router_choice(status).name

    def router_choice(self, status: Status) -> Choice:
        """Its name, and why it is this one."""
        return self._once_for("router", status, self._choose_router)

    def _choose_router(self, status: Status) -> Choice:
        """What was decided; where nothing was yet, what the spec asks for.

        Where neither is known, what lives: nothing is written then, and who is routed can be read.
        """
        stated = self.stated_traffic
        chosen = choose_router(stated, self.observed, status.router) if stated else None
        if status.router in ROUTERS and (status.traffic is not None or self.spec is None):
            follows = chosen is not None and chosen.name == status.router and is_at_rest(status)
            return chosen if chosen and follows else Choice(status.router, _AS_BEGUN)
        if chosen is not None:
            return chosen
        return Choice(find_router(self.model, self.observed), "what is routed, is routed so")

    def live_weights(self, status: Status) -> Mapping[str, int]:
        """The revisions that the live rules name, with their weights.

        While another router takes over, what the one before still names counts too.
        """
        return self._once_for("live", status, self._read_live_weights)

    def _read_live_weights(self, status: Status) -> Mapping[str, int]:
        used = self.router(status)
        others = [router for router in ROUTERS.values() if router is not used]
        weights = dict(used.live_weights(self.model, self.observed))
        for router in others:
            if router.route_kinds or not weights:
                for revision, weight in router.live_weights(self.model, self.observed).items():
                    weights.setdefault(revision, weight)
        return weights

    def traffic(self, status: Status) -> Traffic | None:
        """Gateways, host names and paths in force, as decided (`decide.traffic`); None if unknown.

        They are never read from the live route, which anybody may have edited.
        """
        return status.traffic or self.stated_traffic

    def protocol(self, status: Status) -> Spoken:
        """What callers speak; HTTP where nothing is known of them yet."""
        traffic = self.traffic(status)
        return traffic.protocol if traffic else "HTTP"

    @property
    def stated_traffic(self) -> Traffic | None:
        """What the spec says of them, even if another part of it cannot be used."""
        model = self.observed.model
        stated = model.spec.traffic if model.spec else model.traffic
        return _resolve(stated, model) if stated else None

    def split(self, status: Status) -> Split | None:
        """How traffic should be shared by what status says; None while nothing is routed."""
        return self._once_for("split", status, self._compute_split)

    def _compute_split(self, status: Status) -> Split | None:
        canary = status.canary
        # Oldest first, so that a promotion by itself changes nothing of the route.
        oldest_first = (status.previous, status.stable, canary)
        parts = [part for part in oldest_first if part and part.weight > 0]
        traffic = self.traffic(status)
        if not parts or status.stable is None or traffic is None:
            return None
        beside = canary if canary and (canary.headers or canary.mirror) else None
        return Split(
            model=self.model,
            namespace=self.observed.model.meta.namespace,
            traffic=traffic,
            weights=tuple((part.revision, part.weight) for part in parts),
            primary=self._find_primary(parts, status),
            canary=beside.revision if beside else "",
            headers=beside.headers if beside else (),
            mirror=beside.mirror or 0 if beside else 0,
            sticky=canary.sticky if canary else None,
            fields=find_fields(traffic, self.observed),
        )

    def _find_primary(self, parts: list[RevisionStatus], status: Status) -> str:
        """Whom callers in the cluster reach: stable, but while it cannot carry all of them yet.

        A Service cannot be shared: it turns with the closing step, whatever that holds back, and
        going back when the last weight does.
        """
        state, newest = rollout_of(status).state, parts[-1].revision
        closing = state == "Shifting" and self.is_closing(status)
        whole = parts[-1].weight >= self.step(status).weight  # less in place, until the last pods
        if status.stable not in parts or (closing and whole):
            return newest
        if not self._goes_back(status) or not self._may_have_turned(status):
            return status.stable.revision
        service = find_service(self.observed, self.model)
        led = read_selector(service).get(REVISION_LABEL) if service else None
        return newest if led == newest else status.stable.revision

    def _goes_back(self, status: Status) -> bool:
        """Whether traffic may be on its way to stable: after a rollout, or an emergency in it."""
        rollout = rollout_of(status)
        return rollout.state == "Reverting" or rollout.emergency != ""

    def _may_have_turned(self, status: Status) -> bool:
        """Whether it was decided in this rollout that the Service turns: by then, or in the guard.

        Or in an emergency. Only then is the live one asked how far that has come; else it was
        somebody's edit.
        """
        rollout = rollout_of(status)
        return rollout.step == 0 or self.is_closing(status) or rollout.emergencies is not None

    def live_share(self, revision: str, status: Status) -> int:
        """The percentage that a revision gets by the live rules, whatever is intended."""
        weights = self.router(status).live_weights(self.model, self.observed)
        total = sum(weights.values())
        return round(100 * weights.get(revision, 0) / total) if total else 0

    def written_share(self, part: RevisionStatus, status: Status) -> int:
        """What of the share that is meant a revision has by the live rules already, in percent.

        A raise may still be unwritten. What goes beyond is no wish of ours; neither are rules that
        send nobody anywhere.
        """
        if not any(self.live_weights(status).values()):
            return part.weight
        return min(part.weight, self.live_share(part.revision, status))

    def is_raised(self, part: RevisionStatus, status: Status) -> bool:
        """Whether a revision is to get more than the live rules give it."""
        if part.weight > self.live_share(part.revision, status):
            return True
        return part.is_routed and part.revision not in self.live_weights(status)

    def is_written(self, status: Status) -> bool:
        """Whether the route says what status intends, taken by the router or not."""
        split = self.split(status)
        router = self.router(status)
        return split is not None and all(
            is_current(self.observed, child) for child in router.make_routes(split)
        )

    def verify(self, status: Status) -> Verification:
        """Whether the router works by the split that status says."""
        split = self.split(status)
        if split is None:
            unknown = self.traffic(status) is None
            words = "spec.traffic cannot be read" if unknown else "no revision gets traffic yet"
            return Verification(False, "NotRouted", words)
        router = self.router(status)
        key = ("verify", router.name, split)
        return self._write_failure() or self._once(key, router.verify, split, self.observed)

    def is_taken(self, status: Status) -> bool:
        """Whether the router has taken what is written; without a split, that nothing is live."""
        if self.split(status) is None:  # nobody says whether it has taken what lives
            return not self.live_weights(status)
        return self.verify(status).accepted

    def _write_failure(self) -> Verification | None:
        failure = next((f for f in self.failures if f.name == self.model), None)
        if failure is None:
            return None
        return Verification(False, failure.reason, failure.message, refused=True)

    # Judging

    def verdict(self, key: str) -> AnalysisResult | None:
        """What the judge says of the step with this key; None when it has said nothing."""
        result = self.observed.analysis
        return result if result is not None and result.key == key else None


def is_at_rest(status: Status) -> bool:
    """Whether no rollout is under way; the first revision's start is none."""
    state = rollout_of(status).state
    return state in AT_REST or (state == "Shifting" and status.canary is None)


def make_view(observed: Observed, now: float) -> View:
    """Look at one object: only children that it owns, and that we made, count."""
    owned = _refuse_undeliverable(_own_children(observed))
    made = list_made(owned)
    mine, strays = _leave_out_strays(owned, made)
    model = mine.model
    if model.spec is None:
        return View(mine, now, None, None, _copied_rollout(mine), made, strays)
    named = compute_wanted(model, model.spec, mine.revisions)
    wanted = _compute_wanted(mine, named, model.status.override)
    terms = _find_terms(mine, model.spec.rollout)
    return View(mine, now, named, wanted, terms, made, strays)


def look_again(view: View, status: Status) -> View:
    """The same view, where a person's rollback was just taken or lifted: another is wanted then."""
    if view.named is None or status.override == view.observed.model.status.override:
        return view
    wanted = _compute_wanted(view.observed, view.named, status.override)
    return replace(view, wanted=wanted)


def _compute_wanted(observed: Observed, named: Wanted, override: Override | None) -> Wanted | None:
    """What the spec names, unless a person went back and the spec has not changed since.

    None when the revision that a person went back to has lost its ModelRevision.
    """
    if override is None or override.instead != named.revision:
        return named
    return recall(observed, override.revision)


def _find_terms(observed: Observed, spec: RolloutSpec) -> RolloutSpec:
    """What the spec asks for; a rollout under way keeps the defaults that it began with."""
    status = observed.model.status
    tried = status.canary or status.stable
    record = find_record(observed, tried) if tried else None
    if record is None or record.rollout is None or record.outcome:
        return spec
    return freeze_defaults(spec, record.rollout)


def copied_rollout(view: View, status: Status) -> RolloutSpec | None:
    """The steps, analysis and guard that were copied when this rollout started.

    What an earlier rollout of the same revision went by is none of them.
    """
    tried = status.canary or status.stable
    record = view.record(tried) if tried else None
    return record.rollout if record and not record.outcome else None


def routed_replicas(part: RevisionStatus, size: int) -> int:
    """Pods that must be ready for what a revision gets, where `size` pods carry everything."""
    by_share = needed_replicas(max(part.weight, part.mirror or 0), size)
    return max(by_share, 1 if part.headers else 0)


def _list_steps(rollout: RolloutSpec) -> tuple[Step, ...]:
    return rollout.all_steps


def parts_of(status: Status) -> tuple[RevisionStatus, ...]:
    """The revisions that have a place in status: stable, canary, previous, as far as there are."""
    return tuple(part for part in (status.stable, status.canary, status.previous) if part)


def rollout_of(status: Status) -> Rollout:
    """Where the rollout stands; a status that says nothing is at its start."""
    return status.rollout or Rollout()


def began_unsettled(status: Status) -> bool:
    """Whether this may have begun before the router had taken what is written: most states don't.

    A first revision breaks, or begins anew, whatever has become of its route; and a rollout that
    cannot wait for traffic to go back says so by its `ending`.
    """
    rollout, stable = rollout_of(status), status.stable
    if rollout.state in ("Starting", "Broken"):
        return stable is not None and stable.is_routed
    return rollout.state == "Scaling" and rollout.ending != ""


def _refuse_undeliverable(observed: Observed) -> Observed:
    """A spec with a step that the router cannot deliver is of no use."""
    problems = find_undeliverable(observed)
    if not problems:
        return observed
    model, stated = observed.model, observed.model.spec.traffic if observed.model.spec else None
    return replace(observed, model=replace(model, spec=None, problems=problems, traffic=stated))


def _copied_rollout(observed: Observed) -> RolloutSpec:
    status = observed.model.status
    tried = status.canary or status.stable
    record = find_record(observed, tried) if tried else None
    return (record.rollout if record else None) or RolloutSpec()


class _Owned(Protocol):
    @property
    def meta(self) -> Meta: ...


_Record = TypeVar("_Record", bound=_Owned)


def _own_children(observed: Observed) -> Observed:
    uid = observed.model.meta.uid
    jobs, budgets = observed.jobs, observed.budgets
    stores = (
        observed.revisions,
        observed.deployments,
        observed.services,
        observed.routes,
        jobs or (),
        budgets or (),
    )
    if all(_is_owned(uid, record) for records in stores for record in records):
        return observed
    return replace(
        observed,
        revisions=_owned_by(uid, observed.revisions),
        deployments=_owned_by(uid, observed.deployments),
        services=_owned_by(uid, observed.services),
        routes=_owned_by(uid, observed.routes),
        jobs=None if jobs is None else _owned_by(uid, jobs),
        budgets=None if budgets is None else _owned_by(uid, budgets),
    )


def _leave_out_strays(
    owned: Observed, made: Mapping[str, str]
) -> tuple[Observed, tuple[DeploymentRecord | JobRecord, ...]]:
    """Without the Deployments and Jobs that we have not made; and these."""
    every: tuple[DeploymentRecord | JobRecord, ...] = (*owned.deployments, *(owned.jobs or ()))
    strays = tuple(record for record in every if not is_made(made, record))
    if not strays:
        return owned, ()
    ours = replace(
        owned,
        deployments=tuple(each for each in owned.deployments if is_made(made, each)),
        jobs=None if owned.jobs is None else tuple(j for j in owned.jobs if is_made(made, j)),
    )
    return ours, strays


def _owned_by(uid: str, records: tuple[_Record, ...]) -> tuple[_Record, ...]:
    return tuple(record for record in records if _is_owned(uid, record))


def _is_owned(uid: str, record: _Owned) -> bool:
    return record.meta.owner is not None and record.meta.owner.uid == uid


def _resolve(traffic: Traffic, model: ModelObject) -> Traffic:
    refs = tuple(
        ref if ref.namespace else replace(ref, namespace=model.meta.namespace)
        for ref in traffic.parent_refs
    )
    return replace(traffic, parent_refs=refs)
