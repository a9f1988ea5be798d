"""The pods that revisions have and need: for a step, for their share, and what they carry."""

from __future__ import annotations

from dataclasses import dataclass

from canarium.core.capacity import carried_weight, needed_replicas, step_replicas
from canarium.core.status import RevisionStatus, Status
from canarium.rollout.situation.seen import Seen
from canarium.rollout.situation.stages import ALL, rollout_of
from canarium.rollout.situation.steps import Steps
from canarium.rollout.situation.traffic import SharedTraffic


def routed_replicas(part: RevisionStatus, size: int) -> int:
    """Pods that must be ready for what a revision gets, where `size` pods carry everything."""
    by_share = needed_replicas(max(part.weight, part.mirror or 0), size)
    return max(by_share, 1 if part.headers else 0)


@dataclass(eq=False, slots=True)
class Capacity:
    """The facet `Situation.capacity`."""

    seen: Seen
    status: Status
    steps: Steps
    traffic: SharedTraffic

    @property
    def _size(self) -> int:
        """Pods that carry everything, in this rollout."""
        return rollout_of(self.status).peak_replicas

    def ready(self, revision: str) -> int:
        """Pods of a revision that can be sent requests, by everything that is known of them."""
        behind_service = self.traffic.router.revision_services
        return self.seen.count_ready(revision, behind_service=behind_service)

    @property
    def needed_by_step(self) -> int:
        """Pods of the canary that the step needs, in this rollout."""
        return step_replicas(self.steps.current, self._size)

    @property
    def suffices(self) -> bool:
        """Whether the canary has the pods that the step needs, or all that there is place for."""
        canary = self.status.canary
        if canary is None:
            return False
        needed = self.needed_by_step
        if self.steps.is_closing and self.seen.lacks_room(canary):
            # What is held back has its places.
            needed = needed_replicas(self.steps.current.weight, self._size)
        return self.ready(canary.revision) >= self._spare_one(canary, needed)

    def needed(self, part: RevisionStatus) -> int:
        """Pods that a revision's share of the traffic needs, in this rollout."""
        return self._spare_one(part, routed_replicas(part, self._size))

    def _spare_one(self, part: RevisionStatus, needed: int) -> int:
        """Where all pods are needed, one fewer will do while that one has no place."""
        whole = needed == self._size > 1
        return needed - 1 if whole and self.seen.lacks_room(part) else needed

    def carried(self, part: RevisionStatus) -> int:
        """The highest share that a revision's ready pods carry, in percent."""
        size, ready = self._size, self.ready(part.revision)
        if ready and ready == size - 1 and self.seen.lacks_room(part):
            return ALL
        return carried_weight(ready, max(1, size))

    @property
    def has_leftover_pods(self) -> bool:
        """Whether pods of a revision that is gone still answer where pods are not told apart."""
        if not self.traffic.router.mixes_pods:
            return False
        ours = {part.revision for part in (self.status.stable, self.status.canary) if part}
        pods = self.seen.observed.pods
        return any(p.ready and not p.meta.deleting and p.revision not in ours for p in pods)
