"""How stable and what is tried are doing: whether somebody serves, and whether pods give way."""

from __future__ import annotations

from dataclasses import dataclass

from canarium.core.status import Status
from canarium.rollout.situation.pods.faults import gave_way
from canarium.rollout.situation.seen import Seen
from canarium.rollout.situation.stages import parts_of, rollout_of


@dataclass(eq=False, slots=True)
class Health:
    """The facet `Situation.health`."""

    seen: Seen
    status: Status

    @property
    def stable_has_no_ready_pods(self) -> bool:
        """Whether stable has been without a ready pod for so long that it protects nothing.

        A restart, a drain or a person's delete is no death: those pods are back in seconds.
        """
        since = self.status.stable.unavailable_since if self.status.stable else None
        if since is None or not self.stable_is_away:
            return False
        return self.seen.now - since >= self.seen.terms.emergency_seconds

    @property
    def stable_is_away(self) -> bool:
        """Whether stable should have pods, and none of them is ready at this moment.

        By its pods alone: while another router takes over, its Service may not know them yet.
        Its Deployment may know better, since that is what is read live. One that may be idle and
        isn't at fault is only waking up.
        """
        seen, stable = self.seen, self.status.stable
        if stable is None or stable.replicas == 0:
            return False
        deployment = seen.deployment(stable.revision)
        if any(pod.ready for pod in seen.pods(stable.revision)):
            return False
        if deployment is not None and deployment.ready_replicas > 0:
            return False
        return not seen.may_idle or seen.own_fault(stable.revision) is not None

    @property
    def is_switched_off(self) -> bool:
        """Whether all that serves has no pods because the spec asks for none.

        A model that is idle is none of these: an autoscaler gives it pods again. While the spec is
        of no use, having an autoscaler tells which it is.
        """
        seen = self.seen
        serving = [part for part in parts_of(self.status) if part.serves]
        off = bool(serving) and all(part.replicas == 0 for part in serving)
        idle = seen.may_idle or (seen.observed.model.spec is None and bool(seen.observed.scalers))
        return off and not idle

    @property
    def is_overdue(self) -> bool:
        """Whether nothing got better for as long as the progress deadline allows."""
        since, deadline = rollout_of(self.status).progress_at, self.seen.terms
        return since is not None and self.seen.now - since >= deadline.progress_deadline_seconds

    def has_given_way(self, revision: str) -> bool:
        """Whether pods of it that were there for its traffic stopped to be ready by themselves."""
        since = rollout_of(self.status).step_started_at or 0.0
        return any(gave_way(pod, since) for pod in self.seen.pods(revision))
