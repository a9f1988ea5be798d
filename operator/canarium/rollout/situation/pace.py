"""How many new revisions of a model are begun in a minute.

Each is a ModelRevision, a Deployment and a Service, whose pods are scheduled and whose images are
pulled: who edits a spec in a loop would keep the cluster busy for all. What is over the budget
waits until the first ones are a minute old, and then what the spec says by that time is begun. So
edits are passed over on the way, and the last one never is.

The times are kept apart from the revisions: with a short history the same few are made, deleted
and made anew.
"""

from __future__ import annotations

from canarium.rollout.situation.revision import Wanted
from canarium.rollout.situation.situation import Situation
from canarium.rollout.situation.stages import ROLLING, parts_of

MOST_BEGUN = 12
"Ten quick edits in a minute are ordinary."
PACE_SECONDS = 60.0
"Within so long it counts how many were begun."
WAITING = "TooManyRevisions"
"The reason while a revision waits for that."


def must_wait(situation: Situation, wanted: Wanted) -> bool:
    """Whether a revision is not begun yet, since too many were.

    Only new ones wait: to go back, and to try one of the history again, makes nothing new.
    """
    return wanted.record is None and situation.now < _free_at(situation)


def waits_until(situation: Situation) -> float | None:
    """When the revision that is wanted may be begun, where nothing but this is in its way."""
    wanted, stable = situation.wanted, situation.stable
    if wanted is None or stable is None or situation.paused:
        return None
    if situation.rollout.state in ROLLING:  # what is under way is taken back first
        return None
    refused = {stable.revision, *(rejection.revision for rejection in situation.status.rejected)}
    if wanted.revision in refused or not must_wait(situation, wanted):
        return None
    return _free_at(situation)


def record_begun(situation: Situation) -> Situation:
    """Keep account of when a new revision was begun, in the write that begins it.

    So a restart knows it too, and what is there already costs no write.
    """
    there = {record.revision for record in situation.observed.revisions}
    named = {part.revision for part in parts_of(situation.observed.model.status)}
    if all(part.revision in there | named for part in situation.parts):
        return situation
    return situation.replace(begun_at=(*_past(situation), situation.now)[-MOST_BEGUN:])


def _free_at(situation: Situation) -> float:
    """When a new one may be begun: once the first of so many is old enough."""
    past = _past(situation)
    return past[-MOST_BEGUN] + PACE_SECONDS if len(past) >= MOST_BEGUN else situation.now


def _past(situation: Situation) -> tuple[float, ...]:
    """The times that have come; one that is still to come is of a clock that was set back."""
    return tuple(at for at in situation.status.begun_at if at <= situation.now)
