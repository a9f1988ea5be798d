"""Whose routes get requests that a model's route asks for, and what is said of it."""

from __future__ import annotations

from dataclasses import dataclass

from canarium.core.observed import Claim, Rival, Share
from canarium.core.spec import ParentRef
from canarium.core.text import join_sentence
from canarium.rollout.situation.situation import Situation
from canarium.routing.claims import list_claims

NAMED = 3
"How many others are named."
SHARED = "HostnameShared"
TAKEN = "HostnameTaken"
BY: dict[Share, str] = {
    "LongerPath": "a longer path",
    "Matches": "headers, a method or a query",
    "NarrowerHost": "one of the host names",
}
"What routes that ask for less ask for."


@dataclass(frozen=True, slots=True)
class Collision:
    """What others get: `whole` when nothing of what the route asks for is left."""

    whole: bool
    message: str


def find_collision(situation: Situation) -> Collision | None:
    """What routes of others get of this one's requests, if anything."""
    spec, rivals = situation.spec, situation.observed.rivals
    if spec is None or not rivals or not situation.traffic.router.attaches:
        return None
    wanted = list_claims(spec.traffic, situation.observed.model.meta.namespace)
    concerned = [rival for rival in rivals if not set(wanted).isdisjoint(rival.claims)]
    older = [rival for rival in concerned if rival.by == "Older"]
    taken = {claim for rival in older for claim in rival.claims}
    lost = [claim for claim in wanted if claim in taken]
    if lost:
        whole = len(lost) == len(wanted)
        return Collision(whole, _describe(situation, lost[0], older, whole=whole))
    return Collision(False, _note(situation, wanted, concerned)) if concerned else None


def _describe(situation: Situation, claim: Claim, rivals: list[Rival], *, whole: bool) -> str:
    named, has = _name_all(situation, rivals)
    effect = "no request comes here" if whole else "those requests don't come here"
    cure = "write another host name or path in spec.traffic, or take it from the other"
    place = _name_place(claim)
    return f"{named} {has} {place} already, with an older route, so {effect}: {cure}"


def _note(situation: Situation, wanted: tuple[Claim, ...], rivals: list[Rival]) -> str:
    """That routes which ask for less get a part, which may be what their makers agreed on."""
    theirs = {claim for rival in rivals for claim in rival.claims}
    claim = next(claim for claim in wanted if claim in theirs)
    named, has = _name_all(situation, rivals)
    by = " or ".join(dict.fromkeys(BY[rival.by] for rival in rivals))
    part = f"a part of the requests for {_name_place(claim)}"
    return f"{named} {has} {part}, by a route for {by}; ask there if that isn't meant to be so"


def _name_all(situation: Situation, rivals: list[Rival]) -> tuple[str, str]:
    """The others, three at most, and the verb that goes with them."""
    names = list(dict.fromkeys(_name_rival(situation, rival) for rival in rivals))
    named = join_sentence([*names[:NAMED], *(["others"] if len(names) > NAMED else [])])
    return named, "has" if len(names) == 1 else "have"


def _name_place(claim: Claim) -> str:
    return f"{claim.hostname or 'any host name'}{claim.path.value} at {_name_parent(claim.parent)}"


def _name_parent(parent: ParentRef) -> str:
    section = f" ({parent.section_name})" if parent.section_name else ""
    return f"{parent.namespace}/{parent.name}{section}"


def _name_rival(situation: Situation, rival: Rival) -> str:
    """The other one; of another namespace only that, since its names are nobody else's business."""
    if rival.namespace == situation.observed.model.meta.namespace:
        return f"{rival.kind} {rival.name}"
    article = "an" if rival.kind == "HTTPRoute" else "a"
    return f"{article} {rival.kind} of namespace {rival.namespace}"
