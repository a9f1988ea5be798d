"""What is the case: what is observed, and the status that is decided so far.

Whatever is asked is asked of this pair. Deciding something makes the next pair, which shares all
that does not hang on the decision (`seen`).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from canarium.core.commands import Command, Verb, pending_commands
from canarium.core.made import list_made
from canarium.core.observed import Observed
from canarium.core.spec import RolloutSpec, Spec
from canarium.core.status import Override, RevisionStatus, Rollout, Status
from canarium.rollout.situation.capacity import Capacity
from canarium.rollout.situation.defaults import freeze_defaults
from canarium.rollout.situation.feasibility import find_undeliverable
from canarium.rollout.situation.health import Health
from canarium.rollout.situation.own import keep_own, leave_out_strays
from canarium.rollout.situation.revision import Wanted, compute_wanted, find_record, recall
from canarium.rollout.situation.seen import Seen
from canarium.rollout.situation.stages import parts_of, rollout_of
from canarium.rollout.situation.steps import Steps
from canarium.rollout.situation.traffic import SharedTraffic


@dataclass(frozen=True, slots=True)
class Situation:
    """What is seen, the status decided so far, and what follows from the two, by facets."""

    seen: Seen
    status: Status
    health: Health = field(init=False, repr=False, compare=False)
    steps: Steps = field(init=False, repr=False, compare=False)
    traffic: SharedTraffic = field(init=False, repr=False, compare=False)
    capacity: Capacity = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Make the facets; none of them refers to this, so that reference counts free a pass.

        They are not frozen: a pass makes about a dozen situations, which took twice as long.
        """
        seen, status, put = self.seen, self.status, object.__setattr__
        put(self, "health", Health(seen, status))
        put(self, "steps", Steps(seen, status, self.health))
        put(self, "traffic", SharedTraffic(seen, status, self.steps))
        put(self, "capacity", Capacity(seen, status, self.steps, self.traffic))

    # The next one

    def with_status(self, status: Status) -> Situation:
        """The same with another status decided."""
        return self if status is self.status else Situation(self.seen, status)

    def replace(self, **changes: Any) -> Situation:
        """The same with some of the status changed."""
        return Situation(self.seen, replace(self.status, **changes))

    def with_rollout(self, **changes: Any) -> Situation:
        """The same where the rollout stands elsewhere."""
        return self.replace(rollout=replace(self.rollout, **changes))

    # What is seen

    @property
    def observed(self) -> Observed:
        """All that was observed; of children, what the object owns and we made."""
        return self.seen.observed

    @property
    def now(self) -> float:
        """Seconds since the epoch."""
        return self.seen.now

    @property
    def spec(self) -> Spec | None:
        """The spec, None when it cannot be used."""
        return self.seen.observed.model.spec

    @property
    def model(self) -> str:
        """The object's name."""
        return self.seen.observed.model.meta.name

    @property
    def terms(self) -> RolloutSpec:
        """What a rollout goes by."""
        return self.seen.terms

    @property
    def named(self) -> Wanted | None:
        """The revision that the spec names."""
        return self.seen.named

    @property
    def wanted(self) -> Wanted | None:
        """The same unless a person went back to another."""
        return self.seen.wanted

    @property
    def paused(self) -> bool:
        """Whether clocks and shifting stand still: a person's wish, or a spec of no use."""
        return self.wanted is None or self.terms.paused

    # What is decided

    @property
    def rollout(self) -> Rollout:
        """Where the rollout stands."""
        return rollout_of(self.status)

    @property
    def stable(self) -> RevisionStatus | None:
        """What serves, and what one goes back to."""
        return self.status.stable

    @property
    def canary(self) -> RevisionStatus | None:
        """What is tried."""
        return self.status.canary

    @property
    def previous(self) -> RevisionStatus | None:
        """What was stable before, while the new stable is guarded."""
        return self.status.previous

    @property
    def parts(self) -> tuple[RevisionStatus, ...]:
        """These three, as far as there are."""
        return parts_of(self.status)

    def command(self, verb: Verb) -> Command | None:
        """A person's command that was not handled yet."""
        given = self.observed.model.commands
        return pending_commands(given, self.status.last_handled_commands).get(verb)


def make_situation(observed: Observed, now: float) -> Situation:
    """Look at one object, with the status that it has: only children that we made count."""
    owned = _refuse_undeliverable(keep_own(observed))
    made = list_made(owned)
    mine, strays = leave_out_strays(owned, made)
    model, status = mine.model, mine.model.status
    named = compute_wanted(model, model.spec, mine.revisions) if model.spec else None
    wanted = _compute_wanted(mine, named, status.override) if named else None
    return Situation(Seen(mine, now, named, wanted, _find_terms(mine), made, strays), status)


def look_again(situation: Situation) -> Situation:
    """The same, where a person's rollback was just taken or lifted: another is wanted then."""
    seen, override = situation.seen, situation.status.override
    if seen.named is None or override == seen.observed.model.status.override:
        return situation
    wanted = _compute_wanted(seen.observed, seen.named, override)
    return Situation(replace(seen, wanted=wanted), situation.status)


def _refuse_undeliverable(observed: Observed) -> Observed:
    """A spec with a step that the router cannot deliver is of no use."""
    problems = find_undeliverable(observed)
    if not problems:
        return observed
    model, stated = observed.model, observed.model.spec.traffic if observed.model.spec else None
    return replace(observed, model=replace(model, spec=None, problems=problems, traffic=stated))


def _compute_wanted(observed: Observed, named: Wanted, override: Override | None) -> Wanted | None:
    """What the spec names, unless a person went back and the spec has not changed since.

    None when the revision that a person went back to has lost its ModelRevision.
    """
    if override is None or override.instead != named.revision:
        return named
    return recall(observed, override.revision)


def _find_terms(observed: Observed) -> RolloutSpec:
    """What the spec asks for; a rollout under way keeps the defaults that it began with.

    With a spec that cannot be used, what was copied of the one before.
    """
    spec, status = observed.model.spec, observed.model.status
    tried = status.canary or status.stable
    record = find_record(observed, tried) if tried else None
    if spec is None:
        return (record.rollout if record else None) or RolloutSpec()
    if record is None or record.rollout is None or record.outcome:
        return spec.rollout
    return freeze_defaults(spec.rollout, record.rollout)
