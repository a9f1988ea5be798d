"""What the installed definitions of routes have beyond what every version of Gateway API has.

Formats of others age: session persistence had one form up to Gateway API 1.6 and another from 1.7
on, only in its experimental channel, and rules have names since 1.4 (1.2 in that channel). What is
written follows the schema that the cluster serves, for the apiserver refuses anything else.
"""

from __future__ import annotations

from collections.abc import Mapping

from canarium.core.observed import Observed
from canarium.core.plan import RouteKind
from canarium.core.spec import Protocol, Step, Traffic

ROUTE_KINDS: Mapping[Protocol, RouteKind] = {"HTTP": "HTTPRoute", "GRPC": "GRPCRoute"}

RULE_NAME = "name"
SESSION_NAME = "sessionPersistence.sessionName"
"Up to 1.6, with cookieConfig beside it."
COOKIE = "sessionPersistence.cookie"
"From 1.7 on, with the cookie's name in it."

_UNREAD = (
    "nobody knows how this cluster's {kind} spells a cookie, since its definition cannot be read: "
    "let the operator list and watch the customresourcedefinition {name} (the chart's role does), "
    "or have the front end assign people, with sticky.headers"
)
_WITHOUT = (
    "this cluster's {kind} has no sessionPersistence with a cookie that Canarium knows: install it "
    "from the experimental channel of Gateway API 1.1 to 1.7, or have the front end assign people, "
    "with sticky.headers"
)


def find_fields(traffic: Traffic, observed: Observed) -> frozenset[str]:
    """Those of the fields above that the kind of route for this traffic has; none if unknown."""
    return _find_known(ROUTE_KINDS[traffic.protocol], observed) or frozenset()


def explain_definition(step: Step, traffic: Traffic, observed: Observed) -> str:
    """What of a step cannot be written into the installed kind; "" when all can.

    A kind that isn't there yet is no reason: that may come.
    """
    kind = ROUTE_KINDS[traffic.protocol]
    if step.sticky is None or kind not in observed.installed:
        return ""
    known = _find_known(kind, observed)
    if known is None:
        name = f"{kind.lower()}s.gateway.networking.k8s.io"
        return _UNREAD.format(kind=kind, name=name)
    return "" if known & {SESSION_NAME, COOKIE} else _WITHOUT.format(kind=kind)


def _find_known(kind: RouteKind, observed: Observed) -> frozenset[str] | None:
    return next((found.fields for found in observed.definitions if found.kind == kind), None)
