"""What a model's route asks for, and whose routes get the same requests at a parent.

Of two that ask for the very same gateways answer with the older one, and with whichever asks for
less where one does; they say nothing to the other. How they choose:
https://gateway-api.sigs.k8s.io/reference/spec/#httprouterule
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from canarium.core.observed import Claim, Demand, Rival, Share
from canarium.core.spec import ParentRef, PathMatch, Traffic
from canarium.core.status import Status
from canarium.core.text import join_sentence
from canarium.rollout.situation.view import View

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


def list_claims(traffic: Traffic, namespace: str) -> tuple[Claim, ...]:
    """Everything that a route for this traffic asks for; nothing without parents."""
    return tuple(
        Claim(replace(ref, namespace=ref.namespace or namespace), hostname, path, traffic.protocol)
        for ref in traffic.parent_refs
        for hostname in traffic.hostnames or ("",)
        for path in traffic.paths
    )


def find_share(claim: Claim, demand: Demand) -> Share | None:
    """How another route's demand gets requests of a claim, by "Older" if its route is older."""
    theirs = demand.claim
    if theirs.protocol != claim.protocol or not _meets(theirs.parent, claim.parent):
        return None
    if theirs.hostname != claim.hostname:
        overlaps = is_inside(theirs.path, claim.path) or is_inside(claim.path, theirs.path)
        return "NarrowerHost" if overlaps and covers(claim.hostname, theirs.hostname) else None
    if not is_inside(theirs.path, claim.path):
        return None
    if demand.narrowed:
        return "Matches"
    same = theirs.path.type == claim.path.type and _trim(theirs.path) == _trim(claim.path)
    return "Older" if same else "LongerPath"


def covers(wide: str, narrow: str) -> bool:
    """Whether every request for the second host name is one for the first (``*.`` is wild)."""
    return wide in {"", narrow} or (wide.startswith("*.") and narrow.endswith(wide[1:]))


def is_inside(inner: PathMatch, outer: PathMatch) -> bool:
    """Whether whatever matches the first path matches the second, by whole segments."""
    if outer.type == "Exact":
        return inner == outer
    return _trim(inner) == _trim(outer) or inner.value.startswith(f"{_trim(outer)}/")


def _trim(path: PathMatch) -> str:
    """Of a prefix a slash at the end tells nothing."""
    return path.value if path.type == "Exact" else path.value.rstrip("/")


def _meets(theirs: ParentRef, ours: ParentRef) -> bool:
    """Whether they attach wherever we do: to the same parent, and to no part of it alone."""
    place, part = (theirs.kind, theirs.namespace, theirs.name), (theirs.section_name, theirs.port)
    if place != (ours.kind, ours.namespace, ours.name):
        return False
    return all(
        one in (None, other)
        for one, other in zip(part, (ours.section_name, ours.port), strict=True)
    )


@dataclass(frozen=True, slots=True)
class Collision:
    """What others get: `whole` when nothing of what the route asks for is left."""

    whole: bool
    message: str


def find_collision(view: View, status: Status) -> Collision | None:
    """What routes of others get of this one's requests, if anything."""
    spec, rivals = view.spec, view.observed.rivals
    if spec is None or not rivals or "HTTPRoute" not in view.router(status).route_kinds:
        return None
    wanted = list_claims(spec.traffic, view.observed.model.meta.namespace)
    concerned = [rival for rival in rivals if not set(wanted).isdisjoint(rival.claims)]
    older = [rival for rival in concerned if rival.by == "Older"]
    taken = {claim for rival in older for claim in rival.claims}
    lost = [claim for claim in wanted if claim in taken]
    if lost:
        whole = len(lost) == len(wanted)
        return Collision(whole, _describe(view, lost[0], older, whole=whole))
    return Collision(False, _note(view, wanted, concerned)) if concerned else None


def _describe(view: View, claim: Claim, rivals: list[Rival], *, whole: bool) -> str:
    named, has = _name_all(view, rivals)
    effect = "no request comes here" if whole else "those requests don't come here"
    cure = "write another host name or path in spec.traffic, or take it from the other"
    place = _name_place(claim)
    return f"{named} {has} {place} already, with an older route, so {effect}: {cure}"


def _note(view: View, wanted: tuple[Claim, ...], rivals: list[Rival]) -> str:
    """That routes which ask for less get a part, which may be what their makers agreed on."""
    theirs = {claim for rival in rivals for claim in rival.claims}
    claim = next(claim for claim in wanted if claim in theirs)
    named, has = _name_all(view, rivals)
    by = " or ".join(dict.fromkeys(BY[rival.by] for rival in rivals))
    part = f"a part of the requests for {_name_place(claim)}"
    return f"{named} {has} {part}, by a route for {by}; ask there if that isn't meant to be so"


def _name_all(view: View, rivals: list[Rival]) -> tuple[str, str]:
    """The others, three at most, and the verb that goes with them."""
    names = list(dict.fromkeys(_name_rival(view, rival) for rival in rivals))
    named = join_sentence([*names[:NAMED], *(["others"] if len(names) > NAMED else [])])
    return named, "has" if len(names) == 1 else "have"


def _name_place(claim: Claim) -> str:
    return f"{claim.hostname or 'any host name'}{claim.path.value} at {_name_parent(claim.parent)}"


def _name_parent(parent: ParentRef) -> str:
    section = f" ({parent.section_name})" if parent.section_name else ""
    return f"{parent.namespace}/{parent.name}{section}"


def _name_rival(view: View, rival: Rival) -> str:
    """The other one; of another namespace only that, since its names are nobody else's business."""
    if rival.namespace == view.observed.model.meta.namespace:
        return f"{rival.kind} {rival.name}"
    article = "an" if rival.kind == "HTTPRoute" else "a"
    return f"{article} {rival.kind} of namespace {rival.namespace}"
