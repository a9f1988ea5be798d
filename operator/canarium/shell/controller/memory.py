"""What is remembered of an object's writes between passes: those that were refused."""

from __future__ import annotations

from dataclasses import dataclass, field

from canarium.core.observed import WriteFailure
from canarium.core.plan import Plan, Ref
from canarium.errors import CanariumError, UnavailableError
from canarium.kube.queues.backoff import Backoff
from canarium.kube.refusals import explain
from canarium.kube.writer import RefusedError

RETRY = Backoff(first_seconds=0.5, longest_seconds=60.0)
WAIT_FOR_DELETION = Backoff(first_seconds=0.5, longest_seconds=2.0)


@dataclass(slots=True)
class _Refusal:
    """A write that failed: what the core is told, how often, and when it is tried again."""

    failure: WriteFailure
    count: int
    retry_at: float


@dataclass(slots=True)
class Memory:
    """The refusals of one object; losing them costs a retry, nothing else."""

    refusals: dict[Ref, _Refusal] = field(default_factory=dict)

    def failures(self) -> tuple[WriteFailure, ...]:
        """What the core is told."""
        return tuple(refusal.failure for refusal in self.refusals.values())

    def moments(self) -> list[float]:
        """When something is tried again."""
        return [refusal.retry_at for refusal in self.refusals.values()]

    def forget_abandoned(self, plan: Plan) -> None:
        """Forget writes that nobody wants any more."""
        wanted = {write.ref for write in plan.writes}
        self.refusals = {ref: item for ref, item in self.refusals.items() if ref in wanted}

    def is_held_off(self, ref: Ref, now: float) -> bool:
        """Whether it is too early to try this one again."""
        refusal = self.refusals.get(ref)
        return refusal is not None and now < refusal.retry_at

    def refuse(self, ref: Ref, error: CanariumError, now: float) -> WriteFailure | None:
        """Note that a write was refused; what the core has to hear, None when that is no news."""
        reason, message = _explain(error)
        before = self.refusals.get(ref)
        count = before.count + 1 if before else 1
        backoff = WAIT_FOR_DELETION if reason == "WaitingForDeletion" else RETRY
        failure = WriteFailure(ref.kind, ref.name, reason, message)
        retry_at = now + max(backoff.compute(count), asked_to_wait(error))
        self.refusals[ref] = _Refusal(failure, count, retry_at)
        return failure if before is None or before.failure != failure else None


def asked_to_wait(error: Exception) -> float:
    """How many seconds the apiserver asked for."""
    return error.retry_after_seconds if isinstance(error, UnavailableError) else 0.0


def _explain(error: CanariumError) -> tuple[str, str]:
    if isinstance(error, RefusedError):
        return error.reason, str(error)
    return explain(error)
