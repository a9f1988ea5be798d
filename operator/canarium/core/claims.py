"""What a model's route asks for, and who else asks for the same host name and path at a parent.

Gateways answer with the older route and say nothing to the other. Only ModelDeployments are
compared: routes that somebody else made are not watched.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from canarium.core.observed import Rival
from canarium.core.spec import ParentRef, PathMatch, Traffic
from canarium.core.status import Status
from canarium.core.view import View
from canarium.core.words import join_sentence

NAMED = 3
"How many others are named."
SHARED = "HostnameShared"
TAKEN = "HostnameTaken"


@dataclass(frozen=True, slots=True)
class Claim:
    """One host name ("" for any) and path at one parent, whose namespace is always given."""

    parent: ParentRef
    hostname: str
    path: PathMatch
    protocol: str


def list_claims(traffic: Traffic, namespace: str) -> tuple[Claim, ...]:
    """Everything that a route for this traffic asks for; nothing without parents."""
    return tuple(
        Claim(replace(ref, namespace=ref.namespace or namespace), hostname, path, traffic.protocol)
        for ref in traffic.parent_refs
        for hostname in traffic.hostnames or ("",)
        for path in traffic.paths
    )


@dataclass(frozen=True, slots=True)
class Collision:
    """What others got before: `whole` when nothing of what the route asks for is left."""

    whole: bool
    message: str


def find_collision(view: View, status: Status) -> Collision | None:
    """What older routes of other ModelDeployments take of this one's requests, if any."""
    spec, rivals = view.spec, view.observed.rivals
    if spec is None or not rivals or "HTTPRoute" not in view.router(status).route_kinds:
        return None
    wanted = list_claims(spec.traffic, view.observed.model.meta.namespace)
    taken = {claim for rival in rivals for claim in rival.claims}
    lost = [claim for claim in wanted if claim in taken]
    if not lost:
        return None
    whole = len(lost) == len(wanted)
    return Collision(whole, _describe(view, lost[0], rivals, whole=whole))


def _describe(view: View, claim: Claim, rivals: tuple[Rival, ...], *, whole: bool) -> str:
    place = f"{claim.hostname or 'any host name'}{claim.path.value} at {_name_parent(claim.parent)}"
    names = list(dict.fromkeys(_name_rival(view, rival) for rival in rivals))
    named = join_sentence([*names[:NAMED], *(["others"] if len(names) > NAMED else [])])
    has = "has" if len(names) == 1 else "have"
    effect = "no request comes here" if whole else "those requests don't come here"
    cure = "write another host name or path in spec.traffic, or take it from the other"
    return f"{named} {has} {place} already, with an older route, so {effect}: {cure}"


def _name_parent(parent: ParentRef) -> str:
    section = f" ({parent.section_name})" if parent.section_name else ""
    return f"{parent.namespace}/{parent.name}{section}"


def _name_rival(view: View, rival: Rival) -> str:
    """The other one; of another namespace only that, since its names are nobody else's business."""
    if rival.namespace == view.observed.model.meta.namespace:
        return f"ModelDeployment {rival.name}"
    return f"a ModelDeployment of namespace {rival.namespace}"
