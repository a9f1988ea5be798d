"""What is seen of an object, whatever is decided: pods, faults, live rules, the judge's answer."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypeVar, cast

from canarium.core.made import find_uid, pick_pods
from canarium.core.names import child_name
from canarium.core.observed import (
    AnalysisResult,
    DeploymentRecord,
    JobRecord,
    Observed,
    PodRecord,
    RevisionRecord,
    WriteFailure,
)
from canarium.core.plan import SIZING_KINDS, Ref
from canarium.core.spec import RolloutSpec, Step, Traffic
from canarium.core.status import RevisionStatus
from canarium.rollout.situation.clock import AHEAD_SECONDS
from canarium.rollout.situation.pods.faults import ENDED, Fault, find_fault
from canarium.rollout.situation.revision import Wanted, find_record
from canarium.routing import ROUTERS, Split, Verification

NO_ROOM = ("Unschedulable", "QuotaExceeded")
"Faults of the environment's that pods of another revision, when they go, may heal."
T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Seen:
    """One object at one moment, `now` in seconds since the epoch; a pass has one of them.

    `named` is the revision that the spec names; `wanted` is the same unless a person went back to
    another. Both are None when the spec cannot be used: then nothing new is begun, and what runs
    goes on by what was copied when it started.
    """

    observed: Observed
    now: float
    named: Wanted | None
    wanted: Wanted | None
    terms: RolloutSpec
    "What a rollout goes by: the spec's steps, analysis and guard, or what was copied of them."
    made: Mapping[str, str]
    "The uids of what we made, as in `Status.made`; other Deployments and Jobs are not looked at."
    strays: tuple[DeploymentRecord | JobRecord, ...]
    "Those with our labels and owner that we have not made, or don't remember."
    _known: dict[Hashable, Any] = field(default_factory=dict, repr=False)
    "Answers given before, by what was asked: the states ask the same things many times a pass."

    def once(self, key: Hashable, compute: Callable[..., T], *arguments: Any) -> T:
        """What a function says of these arguments, asked once for this key."""
        if key not in self._known:
            self._known[key] = compute(*arguments)
        return cast("T", self._known[key])

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        """The steps in force, with the closing one as it ordinarily is."""
        return self.terms.all_steps

    # Pods

    @cached_property
    def own_pods(self) -> tuple[PodRecord, ...]:
        """The pods of Deployments that we made: whatever is said of a revision is said of these.

        What else has our labels is sent requests all the same.
        """
        return pick_pods(self.observed.pods, self.observed.replica_sets, self.made)

    def pods(self, revision: str) -> list[PodRecord]:
        """The pods of one revision that are not going away."""
        return [p for p in self.own_pods if p.revision == revision and not p.meta.deleting]

    def count_ready(self, revision: str, *, behind_service: bool) -> int:
        """Its ready pods, by all that is known; by its Service too, where that leads to them."""
        key = ("ready", revision, behind_service)
        return self.once(key, self._count, revision, behind_service)

    def _count(self, revision: str, behind_service: bool) -> int:
        deployment = self.deployment(revision)
        if deployment is None:
            return 0
        pods = sum(pod.ready for pod in self.pods(revision))
        counts = [pods, deployment.ready_replicas, deployment.replicas]
        if behind_service:
            service = child_name(self.observed.model.meta.name, revision)
            counts.append(sum(e.ready for e in self.observed.endpoints if e.service == service))
        return min(counts)

    def oldest_stuck_at(self, revision: str) -> float | None:
        """When the oldest of its pods was made that have a node and aren't ready (epoch seconds).

        Whoever takes pods, as nodes are drained, gives those that come instead a deadline of their
        own. One that ended by itself has had its own.
        """
        pods = self.pods(revision)
        stuck = [p for p in pods if p.scheduled and not p.ready and p.phase not in ENDED]
        if stuck and any(pod.phase in ENDED for pod in pods):
            return 0.0
        return min((self.known_time(pod.meta.created_at) for pod in stuck), default=None)

    def known_time(self, at: float) -> float:
        """A time of the apiserver's; long ago, where a clock that was set back since says later."""
        return at if at <= self.now + AHEAD_SECONDS else 0.0

    # Records

    def deployment(self, revision: str) -> DeploymentRecord | None:
        """A revision's Deployment."""
        return next((d for d in self.observed.deployments if d.revision == revision), None)

    def record(self, revision: RevisionStatus) -> RevisionRecord | None:
        """A revision's ModelRevision, None unless it is what status says."""
        return find_record(self.observed, revision)

    def uid(self, ref: Ref) -> str | None:
        """The uid that a Deployment or Job of ours has, as in `Create.uid`."""
        return find_uid(self.observed, self.made, ref)

    def verdict(self, key: str) -> AnalysisResult | None:
        """What the judge says of the step with this key; None when it has said nothing."""
        result = self.observed.analysis
        return result if result is not None and result.key == key else None

    # Faults

    @property
    def failures(self) -> list[WriteFailure]:
        """Why writes failed that a rollout needs; what only sizes has its own condition."""
        return [each for each in self.observed.failures if each.kind not in SIZING_KINDS]

    def fault(self, revision: str) -> Fault | None:
        """What is wrong with a revision, and with whom the fault lies."""
        return self.once(("fault", revision), self._find_fault, revision)

    def _find_fault(self, revision: str) -> Fault | None:
        name = child_name(self.observed.model.meta.name, revision)
        failures = [failure for failure in self.failures if failure.name == name]
        return find_fault(revision, self.own_pods, self.deployment(revision), failures)

    def own_fault(self, revision: str) -> Fault | None:
        """The revision's own fault, for which it is rolled back."""
        fault = self.fault(revision)
        return fault if fault is not None and fault.whose == "Revision" else None

    def is_unready(self, revision: str) -> bool:
        """Whether pods of it run on a node and don't get ready, and nobody else is to blame."""
        since, fault = self.oldest_stuck_at(revision), self.fault(revision)
        deadline = self.terms.progress_deadline_seconds
        stuck = since is not None and self.now - since >= deadline
        return stuck and (fault is None or fault.whose == "Unclear")

    def is_unschedulable(self, part: RevisionStatus) -> bool:
        """Whether there is no place for a revision's pods."""
        fault = self.fault(part.revision)
        return fault is not None and fault.reason in NO_ROOM

    def lacks_room(self, part: RevisionStatus) -> bool:
        """Whether pods are to be replaced in place, and there is no place for this revision's."""
        return self.terms.capacity == "InPlace" and self.is_unschedulable(part)

    # What the spec says

    @property
    def may_idle(self) -> bool:
        """Whether an idle model has no pods."""
        spec = self.observed.model.spec
        return spec is not None and spec.scaling.is_automatic and spec.scaling.min_replicas == 0

    @cached_property
    def stated_traffic(self) -> Traffic | None:
        """What the spec says of gateways, host names and paths, even if the rest is of no use."""
        model = self.observed.model
        stated = model.spec.traffic if model.spec else model.traffic
        if stated is None:
            return None
        refs = tuple(
            ref if ref.namespace else replace(ref, namespace=model.meta.namespace)
            for ref in stated.parent_refs
        )
        return replace(stated, parent_refs=refs)

    # What the routers say

    def rules(self, router: str) -> Mapping[str, int]:
        """The revisions that one router's live rules name, with their weights."""
        read = ROUTERS[router].live_weights
        return self.once(("rules", router), read, self.observed.model.meta.name, self.observed)

    def verify(self, router: str, split: Split) -> Verification:
        """Whether a router works by this split."""
        return self.once((router, split), ROUTERS[router].verify, split, self.observed)
