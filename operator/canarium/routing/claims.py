"""What a route asks for at a parent, and which of another's requests it gets.

Where two routes ask for the very same requests a gateway answers by the older one, and where one
asks for less, by that one; to the other route's owner it says nothing. How gateways choose:
https://gateway-api.sigs.k8s.io/reference/spec/#httprouterule
"""

from __future__ import annotations

from dataclasses import replace

from canarium.core.observed import Claim, Demand, Share
from canarium.core.spec import ParentRef, PathMatch, Traffic


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
