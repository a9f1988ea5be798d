"""The steps of a rollout: which one it is in, and what that asks for."""

from __future__ import annotations

from dataclasses import dataclass

from canarium.core.spec import (
    EXPERIMENT_NAME,
    ExperimentSpec,
    RolloutSpec,
    Step,
    make_closing_step,
)
from canarium.core.status import Status
from canarium.rollout.situation.health import Health
from canarium.rollout.situation.seen import Seen
from canarium.rollout.situation.stages import rollout_of


@dataclass(eq=False, slots=True)
class Steps:
    """The facet `Situation.steps`."""

    seen: Seen
    status: Status
    health: Health

    @property
    def all(self) -> tuple[Step, ...]:
        """The steps in force, with the closing one as it ordinarily is."""
        return self.seen.steps

    @property
    def current(self) -> Step:
        """The step that the rollout is in."""
        return self.at(self._number)

    def at(self, number: int) -> Step:
        """A step by its number, from 1; the closing one with what can be held back."""
        if number < len(self.all) or not self.seen.terms.holdback:
            return self.all[number - 1]
        return make_closing_step(self._find_holdback())

    @property
    def _number(self) -> int:
        return min(max(rollout_of(self.status).step, 1), len(self.all))

    @property
    def experiment(self) -> ExperimentSpec | None:
        """The experiment, while the rollout is in its step."""
        named = rollout_of(self.status).step_name == EXPERIMENT_NAME
        return self.seen.terms.experiment if named else None

    @property
    def is_closing(self) -> bool:
        """Whether the step is the last one, after which the canary is stable."""
        return self._number == len(self.all)

    @property
    def copied(self) -> RolloutSpec | None:
        """The steps, analysis and guard that were copied when this rollout started.

        What an earlier rollout of the same revision went by is none of them.
        """
        tried = self.status.canary or self.status.stable
        record = self.seen.record(tried) if tried else None
        return record.rollout if record and not record.outcome else None

    def _find_holdback(self) -> int:
        """What the closing step leaves on stable; never more than the canary has left it.

        Nothing on one without a ready pod, or where the canary was stable before: people go back
        to that one, and away from the other.
        """
        canary = self.status.canary
        record = self.seen.record(canary) if canary else None
        dead = self.health.stable_has_no_ready_pods
        if dead or (record and record.stable_at is not None):
            return 0
        return min(self.seen.terms.holdback, 100 - canary.weight if canary else 100)
